//! The first rows and Regions.
use super::*;
use crate::core::bootstrap::{Place, assign, cut_space, initial_ranges};
use troupe_types::key::raw_key;

fn assert_covers(space: &KeyRange, ranges: &[KeyRange]) {
    assert_eq!(ranges[0].start, space.start);
    assert_eq!(ranges[ranges.len() - 1].end, space.end);
    for pair in ranges.windows(2) {
        assert_eq!(pair[0].end, pair[1].start, "no gap, no overlap");
    }
    assert!(ranges.iter().all(|range| range.start < range.end), "none is empty");
}

#[test]
fn ranges_cover_each_space_and_favour_printable_keys() {
    for space in [KeyRange::raw_space(), KeyRange::txn_space()] {
        for count in [1, 2, 3, 7, 16, 32, 100, 1000] {
            let ranges = initial_ranges(&space, count);
            assert_eq!(ranges.len(), count as usize);
            assert_covers(&space, &ranges);
        }
    }
    let ascii = KeyRange::new(raw_key(0, b"\x20"), raw_key(0, b"\x80"));
    let inside = initial_ranges(&KeyRange::raw_space(), 32)
        .iter()
        .filter(|range| ascii.covers(range))
        .count();
    assert!((15..=16).contains(&inside), "half lie in printable ASCII: {inside}");
}

#[test]
fn split_keys_outside_or_repeated_are_left_out() {
    let keys = [&b"a"[..], b"r\0\0\0m", b"r\0\0\0m", b"r\0\0\0z", b"x"];
    let space = KeyRange::raw_space();
    let ranges = cut_space(&space, keys.iter().map(|key| Bytes::copy_from_slice(key)));
    assert_eq!(ranges.len(), 3);
    assert_covers(&space, &ranges);
}

#[test]
fn replicas_and_leaders_are_even_and_on_distinct_nodes() {
    // Stores and nodes, Regions.
    let cases: [(&[(u64, u64)], usize); 4] = [
        (&[(1, 1), (2, 2), (3, 3)], 32),
        (&[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)], 32),
        (&[(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 3)], 30),
        (&[(1, 1)], 4),
    ];
    for (stores, count) in cases {
        let place =
            |(store, node): &(u64, u64)| Place { store: StoreId(*store), node: NodeId(*node) };
        let places: Vec<Place> = stores.iter().map(place).collect();
        let regions = assign(count, 3, &places);
        let nodes: std::collections::BTreeSet<u64> = stores.iter().map(|(_, node)| *node).collect();
        let mut leaders: BTreeMap<StoreId, usize> = places.iter().map(|p| (p.store, 0)).collect();
        let mut replicas = leaders.clone();
        for region in &regions {
            assert_eq!(region.len(), nodes.len().min(3));
            *leaders.get_mut(&region[0]).unwrap() += 1;
            let mut on: Vec<NodeId> = Vec::new();
            for store in region {
                *replicas.get_mut(store).unwrap() += 1;
                on.push(places.iter().find(|p| p.store == *store).unwrap().node);
            }
            on.sort();
            on.dedup();
            assert_eq!(on.len(), region.len(), "distinct nodes");
        }
        let spread = |counts: &BTreeMap<StoreId, usize>| {
            counts.values().max().unwrap() - counts.values().min().unwrap()
        };
        assert!(spread(&leaders) <= 1, "leaders {leaders:?}");
        assert!(spread(&replicas) <= 1, "replicas {replicas:?}");
    }
}

#[test]
fn three_stores_get_their_regions_until_all_have_made_them() {
    let mut pd = Bench::first(3, 32);
    pd.register(1, StoreId(1));
    pd.join(2);
    assert!(pd.heartbeat(1, true).create.is_empty(), "two Stores are too few");
    pd.join(3);

    let Ok(PdReply::Routes(routes)) =
        pd.ask(PdRequest::Regions { range: KeyRange::raw_space(), limit: 1000 })
    else {
        panic!("routes")
    };
    let ranges: Vec<KeyRange> = routes.iter().map(|route| route.region.range.clone()).collect();
    assert_eq!(ranges.len(), 32);
    assert_covers(&KeyRange::raw_space(), &ranges);
    assert!(routes.iter().all(|r| r.region.epoch == RegionEpoch::INITIAL));
    let mut peers: Vec<PeerId> =
        routes.iter().flat_map(|r| r.region.peers.iter().map(|peer| peer.id)).collect();
    peers.sort();
    peers.dedup();
    assert_eq!(peers.len(), 96, "no peer id twice");

    for store in [1, 2, 3] {
        assert_eq!(pd.heartbeat(store, true).create.len(), 64, "its early yes means nothing");
        assert_eq!(pd.heartbeat(store, false).create.len(), 64);
        assert!(pd.heartbeat(store, true).create.is_empty());
    }
    let initial = KeyRange::prefix(b"s/initial/");
    assert!(pd.rows.scan(&initial).is_empty(), "the plan is forgotten");
    let key = raw_key(0, b"hello");
    assert!(
        matches!(pd.ask(PdRequest::RegionByKey { key }), Ok(PdReply::Routes(r)) if r.len() == 1)
    );
}

#[test]
fn another_leader_goes_on_with_the_plan() {
    let mut pd = Bench::first(1, 4);
    pd.register(1, StoreId(1));
    let planned = pd.heartbeat(1, false).create;
    assert_eq!(planned.len(), 8, "four of each space");
    let mut next = Bench::new(2, &pd.rows, None);
    next.lead();
    assert_eq!(next.heartbeat(1, false).create, planned);
}
