//! A Store's timetable, its answer to messages for unknown replicas, and what replicas start from.
use super::core::{
    Addressee, Chore, ChoreTimes, Timetable, Unrouted, addressee, is_worth_quarantine, unrouted,
};
use super::recovery::{create_replicas, recover};
use raft::eraftpb::{Entry, HardState};
use std::time::Duration;
use troupe_storage::StorageError;
use troupe_storage::engine::memory::MemoryEngine;
use troupe_storage::engine::{Cf, Durability, KvEngine, Modify, WriteBatch};
use troupe_storage::raft_log::memory::MemoryRaftLog;
use troupe_storage::raft_log::{LogBatch, RaftLog, RegionLogWrite};
use troupe_storage::region_state::{ApplyState, ReplicaState, apply_key, replica_key};
use troupe_types::raft_message::{RaftEnvelope, SnapshotManifest};
use troupe_types::{
    ClusterId, KeyRange, LogIndex, Moment, Peer, PeerId, Region, RegionEpoch, RegionId, StoreId,
    Term, codec,
};

const REGION: RegionId = RegionId(7);
const STORE: StoreId = StoreId(1);

fn shape() -> Region {
    let peers = (1..=3).map(|n| Peer::voter(PeerId(100 + n), StoreId(n))).collect();
    Region { id: REGION, range: KeyRange::default(), epoch: RegionEpoch::INITIAL, peers }
}

mod timetable {
    use super::*;

    fn times() -> ChoreTimes {
        ChoreTimes {
            tick: Duration::from_secs(1),
            heartbeat: Duration::from_secs(10),
            cut_logs: Duration::from_secs(5),
            purge_log: Duration::from_secs(20),
            check_health: Duration::from_secs(3),
            collect: Duration::from_secs(4),
        }
    }

    fn at(secs: u64) -> Moment {
        Moment(0).after(Duration::from_secs(secs))
    }

    #[test]
    fn the_first_heartbeat_comes_at_once_and_the_rest_in_its_time() {
        let mut table = Timetable::new(times(), at(100));
        assert_eq!(table.due(at(100)), [Chore::Heartbeat]);
        assert_eq!(table.due(at(100)), []);
        assert_eq!(table.wait(at(100)), Duration::from_secs(1));
        assert_eq!(table.due(at(101)), [Chore::Tick]);
        assert_eq!(table.due(at(103)), [Chore::Tick, Chore::CheckHealth]);
    }

    #[test]
    fn a_store_that_slept_does_each_chore_once() {
        let mut table = Timetable::new(times(), at(0));
        assert_eq!(table.due(at(3600)), Chore::ALL);
        assert_eq!(table.due(at(3600)), []);
        assert_eq!(table.wait(at(3600)), Duration::from_secs(1));
    }

    #[test]
    fn a_chore_can_be_hurried_and_the_wait_is_never_nothing() {
        let mut table = Timetable::new(times(), at(0));
        table.due(at(0));
        table.hurry(Chore::PurgeLog, at(0));
        assert_eq!(table.wait(at(0)), Duration::from_millis(1));
        assert_eq!(table.due(at(0)), [Chore::PurgeLog]);
    }
}

fn envelope(peer: u64, is_tombstone: bool) -> RaftEnvelope {
    RaftEnvelope {
        cluster: ClusterId(1),
        region: REGION,
        from: shape().peers[1],
        to: Peer::voter(PeerId(peer), STORE),
        epoch: RegionEpoch::INITIAL,
        message: bytes::Bytes::new(),
        is_tombstone,
    }
}

/// Found by the simulator: a learner that was removed while it was cut off was in the way of the replica
/// that PD added on its Store again, and PD destroys no orphan while it adds one.
#[test]
fn a_message_for_a_newer_replica_says_that_the_one_here_has_left() {
    let to = |peer, is_tombstone| addressee(PeerId(104), &envelope(peer, is_tombstone));
    assert_eq!(to(104, false), Addressee::Here);
    assert_eq!(to(104, true), Addressee::Here);
    assert_eq!(to(105, false), Addressee::Successor);
    assert_eq!(to(105, true), Addressee::Nobody);
    assert_eq!(to(103, false), Addressee::Nobody);
}

#[test]
fn a_message_for_an_unknown_replica_creates_it_unless_it_was_here_before() {
    let dead = ReplicaState::Tombstone { peer: PeerId(104) };
    let manifest =
        SnapshotManifest { region: shape(), index: LogIndex(9), term: Term(6), files: Vec::new() };
    let reason = "broken".to_owned();
    let peer = PeerId(101);
    let born = ReplicaState::Uninitialised { peer };
    let normal = ReplicaState::Normal { peer, region: shape() };
    let applying = ReplicaState::Applying { peer, manifest, folder: "f".to_owned() };
    let quarantined = ReplicaState::Quarantined { peer, region: shape(), reason };
    let table = [
        (None, 104, Unrouted::Create(PeerId(104))),
        (Some(&dead), 103, Unrouted::Drop),
        (Some(&dead), 104, Unrouted::Drop),
        (Some(&dead), 105, Unrouted::Create(PeerId(105))),
        (Some(&born), 105, Unrouted::Drop),
        (Some(&normal), 105, Unrouted::Drop),
        (Some(&applying), 105, Unrouted::Drop),
        (Some(&quarantined), 105, Unrouted::Drop),
    ];
    for (state, to, expected) in table {
        assert_eq!(unrouted(state, &envelope(to, false)), expected, "{state:?} for {to}");
        assert_eq!(unrouted(state, &envelope(to, true)), Unrouted::Drop);
    }
    // One that crashed while it was destroyed must not keep its successor away.
    let worth =
        [None, Some(&dead), Some(&born), Some(&normal), Some(&applying), Some(&quarantined)];
    assert_eq!(worth.map(is_worth_quarantine), [false, false, true, true, true, true]);
}

/// Both disks of a Store.
struct Disks {
    engine: MemoryEngine,
    log: MemoryRaftLog,
}

impl Disks {
    fn new() -> Self {
        Self { engine: MemoryEngine::new(), log: MemoryRaftLog::new() }
    }

    fn put<T: serde::Serialize>(&self, key: bytes::Bytes, row: &T, durability: Durability) {
        let put = Modify::Put(Cf::Raft, key, codec::encode(row).into());
        self.engine.write(WriteBatch { changes: vec![put] }, durability).unwrap();
    }

    fn applied(&self, index: u64, term: u64, durability: Durability) {
        let normal = ReplicaState::Normal { peer: PeerId(101), region: shape() };
        self.put(replica_key(REGION), &normal, durability);
        let state = ApplyState { applied: LogIndex(index), applied_term: Term(term), halted: None };
        self.put(apply_key(REGION), &state, durability);
    }

    /// A log of entries in `indexes` of `term`, behind the entry in front of them.
    fn log(&self, indexes: std::ops::RangeInclusive<u64>, term: u64, hard_state: HardState) {
        let reset_to = Some((LogIndex(indexes.start() - 1), Term(term)));
        let entries = indexes.map(|index| Entry { index, term, ..Entry::default() }).collect();
        let write = RegionLogWrite { entries, hard_state: Some(hard_state), reset_to };
        self.log.append(LogBatch { regions: vec![(REGION, write)] }).unwrap();
    }

    /// A power cut, and what the replica starts from then.
    fn restart(&self) -> Result<super::recovery::Recovered, StorageError> {
        self.engine.crash();
        self.log.crash();
        recover(REGION, STORE, &self.engine, &self.log)
    }
}

fn state(term: u64, vote: u64, commit: u64) -> HardState {
    HardState { term, vote, commit, ..HardState::default() }
}

#[test]
fn the_log_is_replayed_from_the_applied_index() {
    let disks = Disks::new();
    disks.applied(8, 6, Durability::Synced);
    disks.log(6..=12, 6, state(7, 102, 10));
    // What was applied and not durable is applied again.
    disks.applied(11, 6, Durability::Buffered);
    let found = disks.restart().unwrap();
    assert_eq!(found.peer, shape().peers[0]);
    assert_eq!((found.state.applied, found.state.applied_term), (LogIndex(8), Term(6)));
    assert_eq!(found.state.truncated, (LogIndex(5), Term(6)));
    assert_eq!(found.state.last_index, LogIndex(12));
    assert_eq!(found.state.hard_state, state(7, 102, 10));
}

/// A commit index alone is not synced: what is applied was committed all the same.
#[test]
fn what_is_applied_is_committed() {
    let disks = Disks::new();
    disks.log(6..=12, 6, state(6, 101, 7));
    disks.applied(11, 6, Durability::Synced);
    assert_eq!(disks.restart().unwrap().state.hard_state, state(6, 101, 11));
}

/// B10: the power goes between the installation of a snapshot in the engine and the write of the log.
#[test]
fn a_log_that_a_snapshot_has_overtaken_begins_anew() {
    let ends_before = |disks: &Disks| disks.log(6..=12, 6, state(6, 102, 12));
    let other_term = |disks: &Disks| disks.log(6..=60, 6, state(6, 102, 12));
    let newer_vote = |disks: &Disks| disks.log(6..=12, 6, state(9, 103, 12));
    let same_vote = |disks: &Disks| disks.log(6..=12, 6, state(8, 103, 12));
    let none = |_: &Disks| {};
    // (what the log holds, term and vote behind the recovery)
    type Fill = fn(&Disks);
    let table: [(Fill, (u64, u64)); 5] = [
        (ends_before, (8, 0)),
        (other_term, (8, 0)),
        (newer_vote, (9, 103)),
        (same_vote, (8, 103)),
        (none, (8, 0)),
    ];
    for (fill, (term, vote)) in table {
        let disks = Disks::new();
        fill(&disks);
        disks.applied(50, 8, Durability::Synced);
        for start in 0..2 {
            let found = disks.restart().unwrap().state;
            let start_of_log = (LogIndex(50), Term(8));
            assert_eq!((found.truncated, found.last_index), (start_of_log, LogIndex(50)));
            assert_eq!(found.hard_state, state(term, vote, 50), "start {start}");
        }
        let on_disk = disks.log.state(REGION).unwrap().unwrap();
        assert_eq!((on_disk.truncated.0, on_disk.last_index), (LogIndex(50), LogIndex(50)));
    }
}

/// Entries between the applied index and the start of the log are lost: nothing can be done here.
#[test]
fn a_log_that_begins_behind_the_applied_index_is_refused() {
    let disks = Disks::new();
    disks.log(21..=25, 6, state(6, 0, 25));
    disks.applied(8, 6, Durability::Synced);
    let error = disks.restart().unwrap_err();
    assert!(matches!(error, StorageError::Inconsistent { .. }), "{error}");
}

#[test]
fn an_uninitialised_replica_keeps_its_vote() {
    let disks = Disks::new();
    let born = ReplicaState::Uninitialised { peer: PeerId(104) };
    disks.put(replica_key(REGION), &born, Durability::Synced);
    let write = RegionLogWrite { hard_state: Some(state(9, 102, 0)), ..RegionLogWrite::default() };
    disks.log.append(LogBatch { regions: vec![(REGION, write)] }).unwrap();
    let found = disks.restart().unwrap();
    assert_eq!(found.peer.id, PeerId(104));
    assert!(found.state.region.peers.is_empty());
    assert_eq!(found.state.hard_state, state(9, 102, 0));
    assert_eq!((found.state.applied, found.state.last_index), (LogIndex(0), LogIndex(0)));
}

/// A replica was destroyed and a new one of the same Region came, before the log of the first was
/// forgotten: the new one took its commit index for its own, and could not be built.
#[test]
fn a_new_replica_takes_nothing_from_the_log_of_an_earlier_one() {
    let disks = Disks::new();
    disks.log(21..=38, 6, state(6, 101, 38));
    let born = ReplicaState::Uninitialised { peer: PeerId(104) };
    disks.put(replica_key(REGION), &born, Durability::Synced);
    let found = disks.restart().unwrap();
    assert_eq!(found.state.hard_state, HardState::default());
    // Once it has voted itself, that counts, whatever else is left of the other.
    let write = RegionLogWrite { hard_state: Some(state(9, 102, 0)), ..RegionLogWrite::default() };
    disks.log.append(LogBatch { regions: vec![(REGION, write)] }).unwrap();
    assert_eq!(disks.restart().unwrap().state.hard_state, state(9, 102, 0));
}

#[test]
fn what_is_dead_or_out_of_service_does_not_start() {
    let peer = PeerId(101);
    let reason = "broken".to_owned();
    let rows = [
        Some(ReplicaState::Tombstone { peer }),
        Some(ReplicaState::Quarantined { peer, region: shape(), reason }),
        None,
    ];
    for row in rows {
        let disks = Disks::new();
        if let Some(row) = &row {
            disks.put(replica_key(REGION), row, Durability::Synced);
        }
        assert!(disks.restart().is_err(), "{row:?}");
    }
}

#[test]
fn first_replicas_are_created_once_and_only_where_they_belong() {
    let disks = Disks::new();
    let elsewhere = Region { id: RegionId(8), peers: vec![shape().peers[1]], ..shape() };
    let dead = Region { id: RegionId(9), ..shape() };
    let tombstone = ReplicaState::Tombstone { peer: PeerId(101) };
    disks.put(replica_key(dead.id), &tombstone, Durability::Synced);
    let regions = [shape(), elsewhere, dead];
    let create = || create_replicas(&disks.engine, &disks.log, STORE, &regions).unwrap();
    assert_eq!(create(), [REGION]);
    assert_eq!(create(), []);
    let found = disks.restart().unwrap().state;
    assert_eq!((found.applied, found.applied_term), (LogIndex(5), Term(5)));
    assert_eq!(found.truncated, (LogIndex(5), Term(5)));
    assert_eq!(found.hard_state, state(5, 0, 5));
}

/// The power goes between the two writes of a creation.
#[test]
fn a_first_replica_without_its_log_starts_all_the_same() {
    let disks = Disks::new();
    disks.applied(5, 5, Durability::Synced);
    let found = disks.restart().unwrap().state;
    assert_eq!(found.truncated, (LogIndex(5), Term(5)));
    assert_eq!(found.hard_state, state(5, 0, 5));
}
