//! Replicas that differ are found, and only when they stand at the same entry.
use super::{are_level, differences, replicas};
use troupe_storage::engine::memory::MemoryEngine;
use troupe_storage::engine::{Cf, Durability, KvEngine, Modify, WriteBatch};
use troupe_storage::region_state::{ApplyState, ReplicaState, apply_key, replica_key};
use troupe_types::{
    KeyRange, LogIndex, Peer, PeerId, Region, RegionEpoch, RegionId, StoreId, Term, codec,
};

/// An engine with one replica of Region 2 that applied up to `applied` and holds `value`.
fn engine(applied: u64, value: &'static [u8]) -> MemoryEngine {
    let region = RegionId(2);
    let shape = Region {
        id: region,
        range: KeyRange::new(&b"a"[..], &b"z"[..]),
        epoch: RegionEpoch::INITIAL,
        peers: vec![Peer::voter(PeerId(3), StoreId(1))],
    };
    let replica = ReplicaState::Normal { peer: PeerId(3), region: shape };
    let apply = ApplyState { applied: LogIndex(applied), applied_term: Term(6), halted: None };
    let changes = vec![
        Modify::Put(Cf::Raft, replica_key(region), codec::encode(&replica).into()),
        Modify::Put(Cf::Raft, apply_key(region), codec::encode(&apply).into()),
        Modify::Put(Cf::Default, (&b"k"[..]).into(), value.into()),
        Modify::Put(Cf::Default, (&b"zz"[..]).into(), (&b"of another Region"[..]).into()),
    ];
    let engine = MemoryEngine::new();
    engine.write(WriteBatch { changes }, Durability::Synced).unwrap();
    engine
}

fn compare(one: &MemoryEngine, other: &MemoryEngine) -> (usize, bool) {
    let engines: [(StoreId, &dyn KvEngine); 2] = [(StoreId(1), one), (StoreId(2), other)];
    let all = replicas(&engines);
    assert_eq!(all[&RegionId(2)].len(), 2);
    assert!(all[&RegionId(2)].iter().all(|replica| replica.rows == 1));
    (differences(&all).len(), are_level(&all))
}

#[test]
fn equal_replicas_do_not_differ() {
    assert_eq!(compare(&engine(9, b"x"), &engine(9, b"x")), (0, true));
}

#[test]
fn a_different_row_at_the_same_entry_is_found() {
    assert_eq!(compare(&engine(9, b"x"), &engine(9, b"y")), (1, true));
}

#[test]
fn a_replica_that_is_behind_may_differ() {
    assert_eq!(compare(&engine(9, b"x"), &engine(8, b"y")), (0, false));
}
