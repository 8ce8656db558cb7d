//! What PD changes by itself.
use super::operators::{Group, cluster, views};
use super::*;
use troupe_types::key::raw_key;
use troupe_types::pd::OperatorState;
use troupe_types::{PeerRole, ids::SYSTEM_REGION};

/// Reports until no Region is told anything and nothing runs.
fn settle(pd: &mut Bench, groups: &mut [Group]) {
    for _ in 0..200 {
        for store in 1..=5 {
            let stats = StoreStats::default();
            let (bootstrapped, orphans) = (true, Vec::new());
            let store = StoreId(store);
            let _ = pd.ask(PdRequest::StoreHeartbeat { store, stats, bootstrapped, orphans });
        }
        let told: Vec<_> = groups.iter_mut().map(|group| group.report(pd)).collect();
        pd.tick(true);
        let is_busy = views(pd).iter().any(|view| view.state == OperatorState::Running);
        if told.iter().all(Option::is_none) && !is_busy {
            return;
        }
    }
    panic!("it never settles: {:?}", views(pd));
}

fn data(id: u64, stores: &[u64], leader: u64) -> Group {
    let byte = u8::try_from(id).unwrap();
    let range = KeyRange::new(raw_key(0, &[byte]), raw_key(0, &[byte + 1]));
    Group::of(region(id, range, stores), leader)
}

#[test]
fn the_system_region_grows_one_by_one_on_the_first_nodes() {
    let mut pd = cluster(5);
    let mut groups = [Group::of(region(1, KeyRange::system(), &[1]), 1)];
    settle(&mut pd, &mut groups);
    assert_eq!(groups[0].stores(), [1, 2, 3]);
    let made: Vec<_> = views(&mut pd).iter().map(|view| view.region).collect();
    assert_eq!(made, [SYSTEM_REGION; 2], "two operators, one after the other");
}

/// Found by the simulator: with a replica on every Store there is none to move to, and the Store that
/// leaves kept its replica for ever.
#[test]
fn a_drained_store_loses_a_replica_that_its_region_has_too_many_of() {
    let mut pd = cluster(4);
    let mut groups = vec![data(10, &[1, 2, 3, 4], 2)];
    settle(&mut pd, &mut groups);
    let store = StoreId(2);
    assert_eq!(pd.ask(PdRequest::DrainStore { store }), Ok(PdReply::Done));
    settle(&mut pd, &mut groups);
    assert_eq!(groups[0].stores(), [1, 3, 4]);
}

#[test]
fn a_drained_store_loses_all_replicas_a_few_at_a_time() {
    let mut pd = cluster(5);
    let mut groups = vec![Group::of(region(1, KeyRange::system(), &[1, 2, 3]), 3)];
    groups.extend((10..30).map(|id| data(id, &[1, 2, 3], 1 + id % 3)));
    settle(&mut pd, &mut groups);
    assert!(views(&mut pd).is_empty(), "nothing to do");

    let store = StoreId(3);
    assert_eq!(pd.ask(PdRequest::DrainStore { store }), Ok(PdReply::Done));
    let mut most = 0;
    for _ in 0..400 {
        let _ = groups.iter_mut().map(|group| group.report(&mut pd)).collect::<Vec<_>>();
        let running = |view: &troupe_types::pd::OperatorView| {
            let moves = matches!(view.request, troupe_types::pd::OperatorRequest::MovePeer { .. });
            moves && view.state == OperatorState::Running && view.region != SYSTEM_REGION
        };
        most = most.max(views(&mut pd).iter().filter(|view| running(view)).count());
    }
    settle(&mut pd, &mut groups);
    assert!((1..=4).contains(&most), "a few at a time: {most}");
    for group in &groups {
        assert!(!group.stores().contains(&3), "{:?}", group.region);
        assert_eq!(group.region.peers.len(), 3);
        assert!(group.region.peers.iter().all(|peer| peer.role == PeerRole::Voter));
    }
    let on = |store: u64| groups.iter().filter(|g| g.stores().contains(&store)).count();
    assert!(on(4).abs_diff(on(5)) <= 1, "spread over the free Stores: {} {}", on(4), on(5));
}

#[test]
fn without_a_free_store_only_the_leaders_leave() {
    let mut pd = cluster(3);
    let mut groups = [data(10, &[1, 2, 3], 3)];
    settle(&mut pd, &mut groups);
    pd.ask(PdRequest::DrainStore { store: StoreId(3) }).unwrap();
    settle(&mut pd, &mut groups);
    assert_eq!(groups[0].stores(), [1, 2, 3]);
    assert_ne!(groups[0].leader, StoreId(3));
}

#[test]
fn a_replica_that_is_down_for_long_is_replaced() {
    let mut pd = cluster(4);
    let mut groups = [data(10, &[1, 2, 3], 1)];
    groups[0].down = vec![groups[0].region.peer_on(StoreId(3)).unwrap().id];
    settle(&mut pd, &mut groups);
    assert_eq!(groups[0].stores(), [1, 2, 3], "not at once");
    pd.pass(Duration::from_secs(1801));
    pd.tick(true);
    settle(&mut pd, &mut groups);
    assert_eq!(groups[0].stores(), [1, 2, 4]);
}

#[test]
fn a_halted_replica_is_built_anew_on_its_store_if_no_other_is_free() {
    let mut pd = cluster(3);
    let mut groups = [data(10, &[1, 2, 3], 1)];
    let old = groups[0].region.peer_on(StoreId(3)).unwrap().id;
    groups[0].down = vec![old];
    settle(&mut pd, &mut groups);
    pd.pass(Duration::from_secs(1801));
    pd.tick(true);
    settle(&mut pd, &mut groups);
    assert_eq!(groups[0].stores(), [1, 2, 3]);
    assert_eq!(groups[0].region.peer(old), None, "a new replica");
}

#[test]
fn a_learner_left_behind_is_used_or_removed() {
    let mut pd = cluster(5);
    let learner = Peer::learner(PeerId(999), StoreId(4));
    let mut groups = [data(10, &[1, 2], 1), data(11, &[1, 2, 3], 1)];
    for group in &mut groups {
        group.region.peers.push(learner);
    }
    groups[1].region.peers[3].id = PeerId(99_999);
    settle(&mut pd, &mut groups);
    assert_eq!(groups[0].region.peer(PeerId(999)).unwrap().role, PeerRole::Voter);
    assert_eq!(groups[1].stores(), [1, 2, 3, 4], "it has some time");
    pd.pass(Duration::from_secs(61));
    pd.tick(true);
    settle(&mut pd, &mut groups);
    assert_eq!(groups[1].stores(), [1, 2, 3]);
}
