//! Rounds and fences of Apply, and its executor over the memory engine.
use super::core::{ApplyCore, Input, Output};
use super::executor::{Adopted, ApplyFigures, Done, Executor, Task, install_snapshot};
use crate::cell::ReplyTo;
use crate::env::{FaultPoint, Faults};
use crate::region_peer::core::members::conf_change;
use crate::region_peer::core::{ApplyOutcome, CommittedEntry};
use protobuf::Message as _;
use raft::eraftpb::{Entry, EntryType};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;
use troupe_storage::engine::memory::MemoryEngine;
use troupe_storage::engine::{Cf, Durability, KvEngine, Modify, WriteBatch};
use troupe_storage::region_state::{
    ReplicaState, read_apply_state, read_durable_apply_state, read_replica_state,
};
use troupe_types::command::{EntryPayload, RawChange, RawExpectation};
use troupe_types::raft_message::SnapshotManifest;
use troupe_types::request::{PeerChange, RegionReply, RegionResult};
use troupe_types::{
    Generation, KeyRange, LogIndex, Peer, PeerId, Region, RegionEpoch, RegionError, RegionId,
    StoreId, Term, UnixMillis, WriteCommand, WriteReply, codec,
};

mod rounds {
    use super::*;

    const A: RegionId = RegionId(1);
    const B: RegionId = RegionId(2);

    fn steps(core: &mut ApplyCore<u8, u8>, inputs: Vec<Input<u8, u8>>) -> Vec<Output<u8, u8>> {
        let mut out = Vec::new();
        for input in inputs {
            core.step(input, &mut out);
        }
        out
    }

    #[test]
    fn tasks_that_arrive_together_run_together_and_in_order() {
        let mut core = ApplyCore::default();
        let inputs = vec![
            Input::Task(B, 1),
            Input::Task(A, 2),
            Input::Task(B, 3),
            Input::Flush,
            Input::Flush,
        ];
        assert_eq!(steps(&mut core, inputs), [Output::Run(vec![1, 2, 3])]);
        assert_eq!(steps(&mut core, vec![Input::Task(A, 4), Input::Flush]), []);
        let inputs = vec![Input::Done, Input::Flush];
        assert_eq!(steps(&mut core, inputs), [Output::Run(vec![4])]);
    }

    #[test]
    fn a_fence_waits_for_its_region_alone() {
        let mut core = ApplyCore::default();
        let inputs = vec![Input::Task(A, 1), Input::Fence(A, 1), Input::Fence(B, 2)];
        assert_eq!(steps(&mut core, inputs), [Output::Fenced(2)]);
        assert_eq!(steps(&mut core, vec![Input::Flush]), [Output::Run(vec![1])]);
        assert_eq!(steps(&mut core, vec![Input::Done]), [Output::Fenced(1)]);
    }
}

/// Panics while applying to one Region, as often as told.
#[derive(Default)]
struct Poison {
    region: AtomicU64,
    times: AtomicU64,
}

impl Faults for Poison {
    fn hit(&self, point: FaultPoint, region: RegionId) {
        let is_here =
            point == FaultPoint::Apply && region.get() == self.region.load(Ordering::SeqCst);
        if is_here && self.times.load(Ordering::SeqCst) > 0 {
            self.times.fetch_sub(1, Ordering::SeqCst);
            panic!("planted");
        }
    }
}

/// An executor with the Regions 7 (`a` to `n`) and 8 (`n` to the end) at index 5.
struct Bench {
    engine: Arc<MemoryEngine>,
    poison: Arc<Poison>,
    executor: Executor,
}

fn region(id: u64, start: &str, end: &str) -> Region {
    let range = KeyRange::new(start.to_owned(), end.to_owned());
    let peers = (1..=3).map(|n| Peer::voter(PeerId(100 + n), StoreId(n))).collect();
    Region { id: RegionId(id), range, epoch: RegionEpoch::INITIAL, peers }
}

fn seventh() -> Region {
    region(7, "a", "n")
}

fn entry(index: u64, commands: Vec<WriteCommand>) -> Entry {
    let payload = EntryPayload::Writes { epoch: RegionEpoch::INITIAL, commands };
    Entry { index, term: 6, data: codec::encode(&payload).into(), ..Entry::default() }
}

fn put(key: &str, value: &str) -> WriteCommand {
    let change = RawChange::Put { value: value.to_owned().into(), expires_at: None };
    WriteCommand::RawWrite { changes: vec![(key.to_owned().into(), change)] }
}

fn swap(key: &str, expect: RawExpectation, value: &str) -> WriteCommand {
    let change = RawChange::Put { value: value.to_owned().into(), expires_at: None };
    WriteCommand::RawCompareAndSwap {
        key: key.to_owned().into(),
        expect,
        change,
        now: UnixMillis(1),
    }
}

type Answer = oneshot::Receiver<RegionResult>;

fn waited(entry: Entry, waiters: usize) -> (CommittedEntry<ReplyTo<RegionResult>>, Vec<Answer>) {
    let (waiters, answers) = (0..waiters).map(|_| ReplyTo::channel()).unzip();
    (CommittedEntry { entry, waiters }, answers)
}

fn alone(entry: Entry) -> CommittedEntry<ReplyTo<RegionResult>> {
    CommittedEntry { entry, waiters: Vec::new() }
}

fn task(region: u64, entries: Vec<CommittedEntry<ReplyTo<RegionResult>>>) -> Task {
    Task::Entries { region: RegionId(region), generation: Generation(1), entries }
}

impl Bench {
    fn new() -> Self {
        let engine = Arc::new(MemoryEngine::new());
        let poison = Arc::new(Poison::default());
        let figures = Arc::new(ApplyFigures::default());
        let executor = Executor::new(engine.clone(), poison.clone(), StoreId(1), figures);
        let mut bench = Self { engine, poison, executor };
        for region in [seventh(), region(8, "n", "")] {
            bench.adopt(region);
        }
        bench
    }

    fn adopt(&mut self, region: Region) {
        let adopted = Adopted {
            generation: Generation(1),
            peer: region.peers[0],
            region,
            applied: LogIndex(5),
            applied_term: Term(5),
            halted: None,
        };
        assert!(self.executor.run(vec![Task::Adopt(adopted)]).is_empty());
    }

    fn rows(&self, cf: Cf) -> usize {
        let mut count = 0;
        let all = KeyRange::default();
        self.engine
            .snapshot()
            .scan(cf, &all, false, &mut |_, _| {
                count += 1;
                ControlFlow::Continue(())
            })
            .unwrap();
        count
    }

    fn has(&self, key: &str) -> bool {
        self.engine.get(Cf::Default, key.as_bytes()).unwrap().is_some()
    }

    fn applied(&self, region: u64) -> LogIndex {
        read_apply_state(&*self.engine, RegionId(region)).unwrap().unwrap().applied
    }
}

fn outcomes(done: Vec<Done>) -> Vec<(u64, ApplyOutcome)> {
    let one = |done| match done {
        Done::Applied(region, _, outcome) => (region.get(), outcome),
        Done::Installed(..) => panic!("no snapshot here"),
    };
    done.into_iter().map(one).collect()
}

fn done() -> RegionResult {
    Ok(RegionReply::Write(WriteReply::Done))
}

#[test]
fn entries_of_many_regions_share_one_batch_with_their_indexes() {
    let mut bench = Bench::new();
    let (first, mut answers) = waited(entry(6, vec![put("b", "1"), put("c", "2")]), 2);
    let tasks = vec![task(7, vec![first]), task(8, vec![alone(entry(6, vec![put("x", "3")]))])];
    let outcomes = outcomes(bench.executor.run(tasks));
    let seen: Vec<_> = outcomes.iter().map(|(r, o)| (*r, o.applied.get(), o.halted)).collect();
    assert_eq!(seen, [(7, 6, false), (8, 6, false)]);
    assert!(answers.iter_mut().all(|answer| answer.try_recv() == Ok(done())));
    assert_eq!(bench.engine.buffered_batches(), 1);
    // A crash loses data and index together.
    bench.engine.crash();
    assert!(!bench.has("b"));
    assert_eq!(read_durable_apply_state(&*bench.engine, RegionId(7)).unwrap(), None);
}

#[test]
fn each_command_of_an_entry_gets_its_own_answer() {
    let mut bench = Bench::new();
    let commands = vec![
        swap("b", RawExpectation::Absent, "1"),
        swap("b", RawExpectation::Absent, "2"),
        put("z", "outside"),
        swap("b", RawExpectation::Equals("1".into()), "3"),
    ];
    let (one, mut answers) = waited(entry(6, commands), 4);
    bench.executor.run(vec![task(7, vec![one])]);
    let swapped = |succeeded, previous: Option<&'static str>| {
        let previous = previous.map(Into::into);
        Ok(RegionReply::Write(WriteReply::Swapped { succeeded, previous }))
    };
    let expected = [
        swapped(true, None),
        swapped(false, Some("1")),
        Err(RegionError::KeyNotInRegion { region: RegionId(7) }),
        swapped(true, Some("1")),
    ];
    let got: Vec<_> = answers.iter_mut().map(|answer| answer.try_recv().unwrap()).collect();
    assert_eq!(got, expected);
    assert!(!bench.has("z"));
}

#[test]
fn an_entry_of_another_shape_has_no_effect() {
    let mut bench = Bench::new();
    let epoch = RegionEpoch { version: 2, ..RegionEpoch::INITIAL };
    let payload = EntryPayload::Writes { epoch, commands: vec![put("b", "1")] };
    let stale =
        Entry { index: 6, term: 6, data: codec::encode(&payload).into(), ..Entry::default() };
    let broken = Entry { index: 7, term: 6, data: vec![9, 9, 9].into(), ..Entry::default() };
    let (stale, mut first) = waited(stale, 1);
    let (broken, mut second) = waited(broken, 1);
    bench.executor.run(vec![task(7, vec![stale, broken])]);
    let current = Box::new(seventh());
    assert_eq!(first[0].try_recv(), Ok(Err(RegionError::EpochNotMatch { current })));
    assert!(matches!(second[0].try_recv(), Ok(Err(RegionError::Malformed { .. }))));
    assert_eq!((bench.applied(7), bench.rows(Cf::Default)), (LogIndex(7), 0));
}

#[test]
fn a_member_change_updates_the_row_in_the_same_batch() {
    let mut bench = Bench::new();
    let added = Peer::learner(PeerId(104), StoreId(4));
    let change = conf_change(&[PeerChange::AddLearner(added)]);
    let mut one = Entry { index: 6, term: 6, ..Entry::default() };
    one.set_entry_type(EntryType::EntryConfChangeV2);
    one.data = change.write_to_bytes().unwrap().into();
    let outcomes = outcomes(bench.executor.run(vec![task(7, vec![alone(one)])]));
    let mut expected = seventh();
    expected.epoch.conf_ver = 2;
    expected.peers.push(added);
    assert_eq!(outcomes[0].1.conf_changes[0].region, expected);
    let row = read_replica_state(&*bench.engine, RegionId(7)).unwrap();
    assert_eq!(row, Some(ReplicaState::Normal { peer: PeerId(101), region: expected }));
    assert_eq!(bench.engine.buffered_batches(), 1);
}

/// Found by the simulator (a Region stayed in its joint configuration for ever): tasks of one Region that
/// shared a batch all named its last index, the first of them without the member change that made it,
/// and raft-rs leaves a joint configuration only if it hears of both together.
#[test]
fn tasks_that_share_a_batch_each_name_the_index_they_came_to() {
    let mut bench = Bench::new();
    let change = conf_change(&[PeerChange::AddLearner(Peer::learner(PeerId(104), StoreId(4)))]);
    let mut second = Entry { index: 7, term: 6, ..Entry::default() };
    second.set_entry_type(EntryType::EntryConfChangeV2);
    second.data = change.write_to_bytes().unwrap().into();
    let first = task(7, vec![alone(entry(6, vec![put("b", "1")]))]);
    let outcomes = outcomes(bench.executor.run(vec![first, task(7, vec![alone(second)])]));
    let seen: Vec<_> =
        outcomes.iter().map(|(_, o)| (o.applied.get(), o.conf_changes.len())).collect();
    assert_eq!(seen, [(6, 0), (7, 1)]);
    assert_eq!(bench.engine.buffered_batches(), 1);
}

/// B25: the entry that cannot be applied halts its Region, durably; the neighbour goes on, and what
/// stood in front of it is applied.
#[test]
fn a_poison_entry_halts_its_region_alone() {
    let mut bench = Bench::new();
    bench.poison.region.store(7, Ordering::SeqCst);
    bench.executor.run(vec![task(7, vec![alone(entry(6, vec![put("b", "1")]))])]);
    bench.poison.times.store(2, Ordering::SeqCst);
    let (poison, mut lost) = waited(entry(7, vec![put("c", "1")]), 1);
    let (other, mut answer) = waited(entry(6, vec![put("x", "1")]), 1);
    let outcomes = outcomes(bench.executor.run(vec![
        task(7, vec![poison, alone(entry(8, vec![put("d", "1")]))]),
        task(8, vec![other]),
    ]));
    assert_eq!(lost[0].try_recv(), Err(oneshot::error::TryRecvError::Closed));
    assert_eq!(answer[0].try_recv(), Ok(done()));
    let of_7: Vec<_> = outcomes.iter().filter(|(region, _)| *region == 7).collect();
    assert!(of_7.iter().all(|(_, o)| o.halted && o.applied == LogIndex(6)), "{of_7:?}");
    assert!(bench.has("x") && !bench.has("c") && !bench.has("d"));
    bench.engine.crash();
    let state = read_apply_state(&*bench.engine, RegionId(7)).unwrap().unwrap();
    let halt = state.halted.unwrap();
    assert_eq!((state.applied, halt.index, halt.term), (LogIndex(6), LogIndex(7), Term(6)));
    assert_eq!(halt.crc32c, crc32c::crc32c(&entry(7, vec![put("c", "1")]).data));
    assert_eq!(halt.message, "planted");
}

#[test]
fn a_panic_that_does_not_come_again_costs_nothing() {
    let mut bench = Bench::new();
    bench.poison.region.store(7, Ordering::SeqCst);
    bench.poison.times.store(1, Ordering::SeqCst);
    let (one, mut answer) = waited(entry(6, vec![put("b", "1")]), 1);
    let outcomes = outcomes(bench.executor.run(vec![task(7, vec![one])]));
    assert!(outcomes.iter().all(|(_, outcome)| !outcome.halted));
    assert_eq!(answer[0].try_recv(), Ok(done()));
    assert_eq!(bench.applied(7), LogIndex(6));
}

#[test]
fn entries_that_are_applied_already_are_passed_over() {
    let mut bench = Bench::new();
    bench.executor.run(vec![task(7, vec![alone(entry(6, vec![put("b", "1")]))])]);
    let again = swap("b", RawExpectation::Present, "2");
    let again = vec![alone(entry(6, vec![again])), alone(entry(7, vec![put("c", "1")]))];
    bench.executor.run(vec![task(7, again)]);
    let value = bench.engine.get(Cf::Default, b"b").unwrap().unwrap();
    assert!(value.starts_with(b"1"));
    assert_eq!(bench.applied(7), LogIndex(7));
}

#[test]
fn a_destroyed_replica_leaves_a_durable_tombstone_and_no_data() {
    let mut bench = Bench::new();
    bench.executor.run(vec![
        task(7, vec![alone(entry(6, vec![put("b", "1")]))]),
        task(8, vec![alone(entry(6, vec![put("x", "1")]))]),
    ]);
    let (reply, mut removed) = ReplyTo::channel();
    bench.executor.run(vec![Task::Destroy { region: RegionId(7), peer: PeerId(101), reply }]);
    assert_eq!(removed.try_recv(), Ok(()));
    bench.engine.crash();
    assert!(!bench.has("b") && bench.has("x"));
    let row = read_replica_state(&*bench.engine, RegionId(7)).unwrap();
    assert_eq!(row, Some(ReplicaState::Tombstone { peer: PeerId(101) }));
    assert_eq!(read_apply_state(&*bench.engine, RegionId(7)).unwrap(), None);
}

/// The files of a snapshot that holds the row `b`, in `folder`.
fn snapshot_of_b(folder: &std::path::Path) -> SnapshotManifest {
    let source = MemoryEngine::new();
    let put = Modify::Put(Cf::Default, "b".into(), "new".into());
    source.write(WriteBatch { changes: vec![put] }, Durability::Synced).unwrap();
    let exported = source.export(&*source.snapshot(), &seventh().range, folder).unwrap();
    for (n, file) in exported.iter().enumerate() {
        std::fs::rename(&file.path, folder.join(n.to_string())).unwrap();
    }
    let files = exported.into_iter().map(|file| file.meta).collect();
    SnapshotManifest { region: seventh(), index: LogIndex(50), term: Term(9), files }
}

/// An engine that loses its power after a number of steps of an installation.
struct Failing {
    inner: Arc<MemoryEngine>,
    steps_left: Mutex<u32>,
}

impl Failing {
    fn step(&self) {
        let mut left = self.steps_left.lock().unwrap();
        assert!(*left > 0, "power cut");
        *left -= 1;
    }
}

impl KvEngine for Failing {
    fn get(
        &self,
        cf: Cf,
        key: &[u8],
    ) -> Result<Option<bytes::Bytes>, troupe_storage::StorageError> {
        self.inner.get(cf, key)
    }

    fn get_persisted(
        &self,
        cf: Cf,
        key: &[u8],
    ) -> Result<Option<bytes::Bytes>, troupe_storage::StorageError> {
        self.inner.get_persisted(cf, key)
    }

    fn snapshot(&self) -> Arc<dyn troupe_storage::engine::KvSnapshot> {
        self.inner.snapshot()
    }

    fn write(
        &self,
        batch: WriteBatch,
        durability: Durability,
    ) -> Result<(), troupe_storage::StorageError> {
        self.step();
        self.inner.write(batch, durability)
    }

    fn make_durable(&self) -> Result<(), troupe_storage::StorageError> {
        self.inner.make_durable()
    }

    fn export(
        &self,
        snapshot: &dyn troupe_storage::engine::KvSnapshot,
        range: &KeyRange,
        dir: &std::path::Path,
    ) -> Result<Vec<troupe_storage::engine::ExportedFile>, troupe_storage::StorageError> {
        self.inner.export(snapshot, range, dir)
    }

    fn replace_range(
        &self,
        range: &KeyRange,
        files: &[troupe_storage::engine::ExportedFile],
    ) -> Result<(), troupe_storage::StorageError> {
        self.step();
        self.inner.replace_range(range, files)
    }

    fn set_gc_safe_point(&self, safe_point: troupe_types::Timestamp) {
        self.inner.set_gc_safe_point(safe_point);
    }

    fn collect_garbage(
        &self,
    ) -> Result<troupe_storage::engine::Collected, troupe_storage::StorageError> {
        self.step();
        self.inner.collect_garbage()
    }

    fn approximate_bytes(&self, range: &KeyRange) -> u64 {
        self.inner.approximate_bytes(range)
    }

    fn health(&self) -> Result<Vec<(&'static str, u64)>, troupe_storage::StorageError> {
        self.inner.health()
    }
}

/// B9: whatever the step at which the power goes, the next start has the old state or installs the
/// snapshot to its end.
#[test]
fn a_snapshot_whose_installation_was_cut_short_is_installed_at_the_next_start() {
    for steps in 0..=3 {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("in");
        std::fs::create_dir(&files).unwrap();
        let manifest = snapshot_of_b(&files);
        let mut bench = Bench::new();
        bench.executor.run(vec![task(7, vec![alone(entry(6, vec![put("c", "old")]))])]);
        bench.engine.make_durable().unwrap();
        let failing = Failing { inner: bench.engine.clone(), steps_left: Mutex::new(steps) };
        let install = || install_snapshot(&failing, PeerId(101), &manifest, &files);
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(install));
        assert_eq!(ended.is_ok(), steps == 3);
        bench.engine.crash();
        if steps == 0 {
            assert!(bench.has("c") && bench.applied(7) == LogIndex(6));
            continue;
        }
        let found = crate::store::find_replicas(&*bench.engine, folder.path()).unwrap();
        assert_eq!(found.replicas, [RegionId(7)]);
        assert!(bench.has("b") && !bench.has("c"), "after {steps} steps");
        assert_eq!(bench.applied(7), LogIndex(50));
        let row = read_replica_state(&*bench.engine, RegionId(7)).unwrap();
        assert_eq!(row, Some(ReplicaState::Normal { peer: PeerId(101), region: seventh() }));
    }
}
