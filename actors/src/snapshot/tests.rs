//! Slots, ages, rates, and that all parts of a snapshot come from one view of the engine.
use super::core::{Input, Output, SnapshotCore, SnapshotOptions};
use super::folders::{self, Folder};
use super::generate::generate;
use super::limiter::TokenBucket;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use troupe_storage::StorageError;
use troupe_storage::engine::memory::MemoryEngine;
use troupe_storage::engine::{
    Cf, Durability, ExportedFile, KvEngine, KvSnapshot, Modify, WriteBatch,
};
use troupe_storage::region_state::{ApplyState, ReplicaState, apply_key, replica_key};
use troupe_types::raft_message::SnapshotManifest;
use troupe_types::{
    KeyRange, LogIndex, Moment, Peer, PeerId, Region, RegionEpoch, RegionId, StoreId, Term, codec,
};

const START: Moment = Moment(3_600_000_000_000);

#[test]
fn an_idle_bucket_allows_a_burst_and_then_its_rate() {
    let mut bucket = TokenBucket::new(1000, START);
    assert_eq!(bucket.take(START, 250), Duration::ZERO);
    assert_eq!(bucket.take(START, 500), Duration::from_millis(500));
    assert_eq!(bucket.take(START, 500), Duration::from_secs(1), "later askers wait longer");
    let later = START.after(Duration::from_secs(60));
    assert_eq!(bucket.take(later, 250), Duration::ZERO, "an idle minute saves only the burst");
    assert_eq!(bucket.take(later, 100), Duration::from_millis(100));
}

#[test]
fn a_bucket_without_rate_never_waits() {
    let mut bucket = TokenBucket::new(0, START);
    assert_eq!(bucket.take(START, u64::MAX), Duration::ZERO);
}

fn core() -> SnapshotCore {
    let options = SnapshotOptions { generating: 1, sending: 1, waiting: 1, ..Default::default() };
    SnapshotCore::new(options)
}

fn step(core: &mut SnapshotCore, now: Moment, input: Input) -> Vec<Output> {
    let mut out = Vec::new();
    core.step(now, input, &mut out);
    out
}

#[test]
fn slots_queue_and_refuse() {
    let mut core = core();
    assert_eq!(step(&mut core, START, Input::Generate(1)), [Output::Generate(1)]);
    assert_eq!(step(&mut core, START, Input::Generate(2)), []);
    assert_eq!(step(&mut core, START, Input::Generate(3)), [Output::Refuse(3)]);
    assert_eq!(step(&mut core, START, Input::Generated(1)), [Output::Generate(2)]);
}

#[test]
fn a_folder_goes_when_its_last_send_is_over() {
    let mut core = core();
    let folder = "gen-7-10-0".to_owned();
    let send = |ticket| Input::Send { ticket, folder: folder.clone() };
    assert_eq!(step(&mut core, START, send(1)), [Output::Send(1)]);
    assert_eq!(step(&mut core, START, send(2)), []);
    assert_eq!(step(&mut core, START, Input::Sent(1)), [Output::Send(2)]);
    assert_eq!(step(&mut core, START, Input::Sent(2)), [Output::Remove(folder)]);
}

#[test]
fn only_folders_made_here_are_removed_after_a_send() {
    let mut core = core();
    step(&mut core, START, Input::Send { ticket: 1, folder: String::new() });
    assert_eq!(step(&mut core, START, Input::Sent(1)), []);
}

#[test]
fn forgotten_folders_go_by_age_unless_they_are_needed() {
    let mut core = core();
    let listed = || Input::Listed {
        names: ["gen-1-1-0", "recv-2-1-0", "recv-3-1-0", "other"].map(str::to_owned).to_vec(),
        needed: BTreeSet::from(["recv-3-1-0".to_owned()]),
    };
    assert_eq!(step(&mut core, START, listed()), []);
    let later = START.after(Duration::from_secs(601));
    assert_eq!(step(&mut core, later, listed()), [Output::Remove("gen-1-1-0".to_owned())]);
    let much_later = START.after(Duration::from_secs(3601));
    let out = step(&mut core, much_later, listed());
    assert_eq!(out, [Output::Remove("recv-2-1-0".to_owned())], "the other one is a new name again");
}

/// The engine in memory, with a write that comes between a snapshot's view and its export.
#[derive(Default)]
struct Engine {
    inner: MemoryEngine,
    during_export: Mutex<Option<WriteBatch>>,
}

impl KvEngine for Engine {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.inner.get(cf, key)
    }

    fn get_persisted(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.inner.get_persisted(cf, key)
    }

    fn snapshot(&self) -> Arc<dyn KvSnapshot> {
        self.inner.snapshot()
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), StorageError> {
        self.inner.write(batch, durability)
    }

    fn make_durable(&self) -> Result<(), StorageError> {
        self.inner.make_durable()
    }

    fn export(
        &self,
        snapshot: &dyn KvSnapshot,
        range: &KeyRange,
        dir: &Path,
    ) -> Result<Vec<ExportedFile>, StorageError> {
        if let Some(batch) = self.during_export.lock().unwrap().take() {
            self.write(batch, Durability::Buffered)?;
        }
        self.inner.export(snapshot, range, dir)
    }

    fn replace_range(&self, range: &KeyRange, files: &[ExportedFile]) -> Result<(), StorageError> {
        self.inner.replace_range(range, files)
    }

    fn set_gc_safe_point(&self, safe_point: troupe_types::Timestamp) {
        self.inner.set_gc_safe_point(safe_point);
    }

    fn collect_garbage(&self) -> Result<troupe_storage::engine::Collected, StorageError> {
        self.inner.collect_garbage()
    }

    fn approximate_bytes(&self, range: &KeyRange) -> u64 {
        self.inner.approximate_bytes(range)
    }

    fn health(&self) -> Result<Vec<(&'static str, u64)>, StorageError> {
        self.inner.health()
    }
}

fn region() -> Region {
    Region {
        id: RegionId(7),
        range: KeyRange::new("b", "d"),
        epoch: RegionEpoch::INITIAL,
        peers: vec![Peer::voter(PeerId(1), StoreId(1))],
    }
}

fn put(cf: Cf, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Modify {
    Modify::Put(cf, key.into(), value.into())
}

fn applied(index: u64) -> Modify {
    let state = ApplyState { applied: LogIndex(index), applied_term: Term(6), halted: None };
    put(Cf::Raft, apply_key(RegionId(7)), codec::encode(&state))
}

fn replica(state: &ReplicaState) -> Modify {
    put(Cf::Raft, replica_key(RegionId(7)), codec::encode(state))
}

fn engine_with(changes: Vec<Modify>) -> Engine {
    let engine = Engine::default();
    engine.write(WriteBatch { changes }, Durability::Synced).unwrap();
    engine
}

#[test]
fn index_shape_and_data_of_a_snapshot_agree_whatever_is_applied_meanwhile() {
    let engine = engine_with(vec![
        replica(&ReplicaState::Normal { peer: PeerId(1), region: region() }),
        applied(10),
        put(Cf::Default, "a", "outside"),
        put(Cf::Default, "b", "1"),
        put(Cf::Default, "c", "2"),
    ]);
    let later = WriteBatch { changes: vec![applied(11), put(Cf::Default, "c", "newer")] };
    *engine.during_export.lock().unwrap() = Some(later);
    let parent = tempfile::tempdir().unwrap();
    let made = generate(&engine, parent.path(), RegionId(7)).unwrap();
    assert_eq!((made.manifest.index, made.manifest.term), (LogIndex(10), Term(6)));
    assert_eq!(made.manifest.region, region());
    assert_eq!(made.manifest.files[0].keys, 2);
    assert_eq!(std::fs::read_dir(&made.folder).unwrap().count(), 1, "only the numbered files");
    let file = ExportedFile { path: made.folder.join("0"), meta: made.manifest.files[0].clone() };
    let copy = MemoryEngine::new();
    copy.replace_range(&region().range, &[file]).unwrap();
    assert_eq!(copy.get(Cf::Default, b"c").unwrap().unwrap(), "2");
    assert_eq!(copy.get(Cf::Default, b"a").unwrap(), None);
}

#[test]
fn a_replica_without_data_gives_no_snapshot_and_leaves_nothing_behind() {
    let engine = engine_with(vec![replica(&ReplicaState::Uninitialised { peer: PeerId(1) })]);
    let parent = tempfile::tempdir().unwrap();
    let refused = generate(&engine, parent.path(), RegionId(7)).unwrap_err();
    assert!(refused.to_string().contains("it has no data yet"), "{refused}");
    assert!(generate(&engine, parent.path(), RegionId(8)).is_err());
    assert_eq!(folders::list(parent.path()).unwrap(), Vec::<String>::new());
}

#[test]
fn the_start_removes_all_folders_but_those_that_replicas_take_in() {
    let parent = tempfile::tempdir().unwrap();
    let new = |prefix| Folder::create(parent.path(), prefix, RegionId(7), LogIndex(9)).unwrap();
    let needed = new("recv-").keep();
    let (_stale, _made) = (new("recv-").keep(), new("gen-").keep());
    std::fs::write(parent.path().join("other"), "stays").unwrap();
    let folder = needed.file_name().unwrap().to_string_lossy().into_owned();
    let manifest =
        SnapshotManifest { region: region(), index: LogIndex(9), term: Term(6), files: Vec::new() };
    let state = ReplicaState::Applying { peer: PeerId(1), manifest, folder: folder.clone() };
    let engine = engine_with(vec![replica(&state)]);
    assert_eq!(folders::clean_at_start(parent.path(), &engine).unwrap(), 2);
    assert_eq!(folders::list(parent.path()).unwrap(), [folder]);
    assert!(parent.path().join("other").exists());
}

#[test]
fn a_folder_that_is_not_kept_goes() {
    let parent = tempfile::tempdir().unwrap();
    let folder = Folder::create(parent.path(), "recv-", RegionId(7), LogIndex(9)).unwrap();
    let path = folder.path().to_owned();
    assert!(path.exists());
    drop(folder);
    assert!(!path.exists());
}
