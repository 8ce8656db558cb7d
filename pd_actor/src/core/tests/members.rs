//! Join, register, drain, remove, views.
use super::*;
use troupe_types::pd::{Expulsion, StoreState};

fn join(grpc: &str, http: &str, identities: &[u64]) -> PdRequest {
    let node = NodeInfo {
        id: NodeId(0),
        grpc_address: grpc.to_owned(),
        http_address: http.to_owned(),
        version: "test".to_owned(),
    };
    PdRequest::Join { node, identities: identities.to_vec() }
}

#[test]
fn joining_again_gives_the_same_ids() {
    let mut pd = Bench::first(3, 4);
    let first = pd.ask(join("a:1", "a:2", &[5, 6]));
    let Ok(PdReply::Joined { cluster, node, stores, directory }) = &first else { panic!("joined") };
    assert_eq!((*cluster, *node), (ClusterId(7), NodeId(2)));
    assert_eq!(stores, &[StoreId(2), StoreId(3)]);
    assert_eq!(directory.len(), 2);
    assert_eq!(pd.ask(join("a:1", "a:2", &[5, 6])), first);
    let Ok(PdReply::Joined { node, stores, .. }) = pd.ask(join("b:1", "b:2", &[6, 9])) else {
        panic!("joined")
    };
    assert_eq!((node, stores), (NodeId(2), vec![StoreId(3), StoreId(4)]), "moved, one more disk");
}

#[test]
fn what_cannot_join() {
    let mut pd = Bench::first(3, 4);
    assert_eq!(pd.code(join("a:1", "a:2", &[5])), "ok");
    for (what, request) in [
        ("address of another node", join("a:1", "b:2", &[7])),
        ("its other address", join("b:1", "a:2", &[7])),
        ("no Store", join("b:1", "b:2", &[])),
        ("no identity", join("b:1", "b:2", &[0])),
        ("one disk twice", join("b:1", "b:2", &[7, 7])),
        ("disks of two nodes", join("b:1", "b:2", &[5, 1001])),
    ] {
        assert_eq!(pd.code(request), "BAD_PARAMETER", "{what}");
    }
}

#[test]
fn register_checks_identity_and_writes_only_changes() {
    let mut pd = Bench::first(3, 4);
    pd.join(2);
    let before = pd.rows.0.borrow().clone();
    pd.register(2, StoreId(2));
    assert_eq!(*pd.rows.0.borrow(), before);
    let stores = vec![(StoreId(2), 77, Vec::new())];
    assert_eq!(pd.code(PdRequest::Register { node: node(2), stores }), "BAD_PARAMETER");
    let stores = vec![(StoreId(1), 1001, Vec::new())];
    assert_eq!(pd.code(PdRequest::Register { node: node(2), stores }), "BAD_PARAMETER");
    let request = PdRequest::Register { node: node(9), stores: Vec::new() };
    assert_eq!(pd.code(request), "NOT_FOUND");
}

#[test]
fn the_view_shows_silence() {
    let mut pd = Bench::first(3, 4);
    pd.join(2);
    pd.heartbeat(2, false);
    for _ in 0..10 {
        pd.tick(true);
    }
    let Ok(PdReply::Cluster(view)) = pd.ask(PdRequest::Cluster) else { panic!("cluster") };
    assert_eq!((view.name.as_str(), view.pd_leader, view.replicas), ("test", NodeId(1), 3));
    let silent: Vec<Option<u64>> = view.stores.iter().map(|store| store.silent_ms).collect();
    assert_eq!(silent, [None, Some(1000)]);
}

#[test]
fn a_store_is_removed_only_when_all_regions_say_it_is_empty() {
    let mut pd = Bench::first(9, 4);
    for id in 2..=4 {
        pd.join(id);
    }
    let store = StoreId(4);
    assert_eq!(pd.ask(PdRequest::DrainStore { store }), Ok(PdReply::Done));
    let remove = PdRequest::RemoveStore { store };
    assert_eq!(pd.code(remove.clone()), "unavailable", "no Region has reported");
    let system = region(1, KeyRange::system(), &[1, 2, 3]);
    let data = region(2, KeyRange::raw_space(), &[1, 2, 4]);
    let txn = region(3, KeyRange::txn_space(), &[1, 2, 3]);
    let reports = vec![report(&system, 1), report(&data, 1), report(&txn, 1)];
    pd.ask(PdRequest::RegionHeartbeat { reports }).unwrap();
    assert_eq!(pd.code(remove.clone()), "STORE_NOT_EMPTY");
    let mut data = region(2, KeyRange::raw_space(), &[1, 2, 3]);
    data.epoch.conf_ver = 4;
    let reports = vec![report(&data, 1)];
    pd.ask(PdRequest::RegionHeartbeat { reports }).unwrap();
    assert_eq!(pd.code(remove.clone()), "ok");
    assert_eq!(pd.code(remove), "STORE_NOT_FOUND");
    let heartbeat = PdRequest::StoreHeartbeat {
        store,
        stats: StoreStats::default(),
        bootstrapped: true,
        orphans: Vec::new(),
    };
    assert_eq!(pd.code(heartbeat), "STORE_NOT_FOUND");
    assert_eq!(pd.code(join("n4:1", "n4:2", &[1004])), "STORE_NOT_FOUND");
    let Ok(PdReply::Joined { stores, .. }) = pd.ask(join("n4:1", "n4:2", &[2004])) else {
        panic!("a new disk at the old address")
    };
    assert_eq!(stores, [StoreId(5)], "ids are never used again");
    let Ok(PdReply::Cluster(view)) = pd.ask(PdRequest::Cluster) else { panic!("cluster") };
    assert!(view.stores.iter().all(|store| store.info.state != StoreState::Removed));
}

#[test]
fn an_orphan_is_destroyed_only_after_a_newer_report_without_it() {
    let mut pd = Bench::first(9, 4);
    for id in 2..=4 {
        pd.join(id);
    }
    let data = region(2, KeyRange::raw_space(), &[1, 2, 3]);
    let orphan = (RegionId(2), Peer::voter(PeerId(77), StoreId(4)));
    let mut destroyed = Vec::new();
    for _ in 0..3 {
        let request = PdRequest::StoreHeartbeat {
            store: StoreId(4),
            stats: StoreStats::default(),
            bootstrapped: true,
            orphans: vec![orphan, (RegionId(2), data.peers[1])],
        };
        let Ok(PdReply::StoreHeartbeat(told)) = pd.ask(request) else { panic!("heartbeat") };
        destroyed.push(told.destroy);
        pd.tick(true);
        let reports = vec![report(&data, 1)];
        pd.ask(PdRequest::RegionHeartbeat { reports }).unwrap();
    }
    let (region, peer) = orphan;
    let expulsion = Expulsion { region, peer, epoch: data.epoch };
    assert_eq!(destroyed, [vec![], vec![expulsion.clone()], vec![expulsion]]);
}
