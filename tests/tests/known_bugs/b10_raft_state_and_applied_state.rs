//! B10: Raft state and applied state in two databases (tikv#12618, tikv#12470, etcd#20426).
//!
//! The log and the engine are not written together. A crash between the two writes, the loss of what the
//! engine had not flushed, or a crash in the middle of taking a snapshot leaves the one ahead of the
//! other: a replica that then trusts the wrong one skips entries, applies some twice, or does not start.
//!
//! The tests write a log and apply it, one entry at a time, and crash at every point; the start must find
//! a state from which the log gives exactly the data that it describes. Compare-and-swap chains
//! notice an entry that is skipped or applied twice. Once with the memory twins, once with RocksDB and
//! raft-engine, whose folders are copied while they are open: such a copy is what a crash leaves.
use super::one_replica::{REGION, entry, region, voter};
use super::recording::{Recording, Rows, content, executor, task};
use raft::eraftpb::{Entry, HardState};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use troupe_actors::apply::executor::install_snapshot;
use troupe_actors::store::find_replicas;
use troupe_actors::store::recovery::{Recovered, create_replicas, recover};
use troupe_storage::StorageError;
use troupe_storage::engine::memory::MemoryEngine;
use troupe_storage::engine::rocks::{RocksEngine, RocksOptions};
use troupe_storage::engine::{Cf, KvEngine};
use troupe_storage::raft_log::engine::{EngineRaftLog, RaftLogOptions};
use troupe_storage::raft_log::memory::MemoryRaftLog;
use troupe_storage::raft_log::{LogBatch, RaftLog, RegionLogWrite};
use troupe_types::command::{RawChange, RawExpectation};
use troupe_types::key::raw_key;
use troupe_types::raft_message::SnapshotManifest;
use troupe_types::{LogIndex, StoreId, Term, UnixMillis, WriteCommand};

/// Entries 6 to this one are written.
const LAST: u64 = 26;
/// The engine is flushed behind this entry, and the log then cut up to it.
const FLUSHED: u64 = 15;
const STORE: StoreId = StoreId(1);

fn put(value: u64) -> RawChange {
    RawChange::Put { value: value.to_string().into(), expires_at: None }
}

/// Every second entry swaps a counter from the one value to the next, the others write keys of their own.
fn entry_at(index: u64) -> Entry {
    let key = |text: String| raw_key(0, text.as_bytes());
    let command = if index.is_multiple_of(2) {
        let expect = match index {
            6 => RawExpectation::Absent,
            _ => RawExpectation::Equals((index - 2).to_string().into()),
        };
        let (key, change) = (key("counter".to_owned()), put(index));
        WriteCommand::RawCompareAndSwap { key, expect, change, now: UnixMillis(1) }
    } else {
        WriteCommand::RawWrite { changes: vec![(key(format!("key-{}", index % 5)), put(index))] }
    };
    entry(index, 6, command)
}

/// What the entries up to `last` make of nothing.
fn model(last: u64) -> (Rows, u64) {
    let engine = Arc::new(MemoryEngine::new());
    let start = (region(3), voter(1), LogIndex(5), Term(5));
    let mut executor = executor(engine.clone(), &[start]);
    executor.run(vec![task(REGION, (6..=last).map(entry_at).collect())]);
    content(&*engine)
}

/// Where a story ends: behind which write of which entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Its log write is durable, it is not applied.
    Logged(u64),
    /// It is applied, nothing more.
    Applied(u64),
}

/// Writes and applies entries until `end`.
fn tell(engine: &Arc<dyn KvEngine>, log: &Arc<dyn RaftLog>, end: End) {
    create_replicas(&**engine, &**log, STORE, &[region(3)]).unwrap();
    let start = (region(3), voter(1), LogIndex(5), Term(5));
    let mut executor = executor(engine.clone(), &[start]);
    for index in 6..=LAST {
        let hard_state =
            HardState { term: 6, vote: 101, commit: index - 1, ..HardState::default() };
        let write = RegionLogWrite {
            entries: vec![entry_at(index)],
            hard_state: Some(hard_state),
            reset_to: None,
        };
        log.append(LogBatch { regions: vec![(REGION, write)] }).unwrap();
        if end == End::Logged(index) {
            return;
        }
        executor.run(vec![task(REGION, vec![entry_at(index)])]);
        if index == FLUSHED {
            engine.make_durable().unwrap();
            log.compact(REGION, LogIndex(FLUSHED)).unwrap();
        }
        if end == End::Applied(index) {
            return;
        }
    }
}

/// Starts from what a crash left, applies the rest of the log, and compares with the model.
fn check(engine: &Arc<dyn KvEngine>, log: &Arc<dyn RaftLog>, logged: u64) -> Recovered {
    let nowhere = Path::new("/no-such-folder");
    assert_eq!(find_replicas(&**engine, nowhere).unwrap().replicas, [REGION]);
    let found = recover(REGION, STORE, &**engine, &**log).unwrap();
    let state = &found.state;
    assert_eq!(state.last_index, LogIndex(logged), "no durable entry is lost");
    let (_, applied) = content(&**engine);
    assert_eq!(state.applied, LogIndex(applied));
    assert_eq!(content(&**engine), model(applied), "the engine holds what its index says");
    assert!(state.hard_state.commit >= applied && state.hard_state.commit <= logged);
    assert_eq!((state.hard_state.term, state.hard_state.vote), (6, 101), "term and vote");
    let next = state.applied.next();
    let rest = log.entries(REGION, next, LogIndex(logged + 1), u64::MAX).unwrap();
    let start = (state.region.clone(), found.peer, state.applied, state.applied_term);
    executor(engine.clone(), &[start]).run(vec![task(REGION, rest)]);
    assert_eq!(content(&**engine), model(logged), "replayed from {next}");
    found
}

#[test]
fn a_crash_between_any_two_writes_is_reconciled_by_the_memory_twins() {
    for index in 6..=LAST {
        for end in [End::Logged(index), End::Applied(index)] {
            for kept in [0, 1, 3, 100] {
                let (memory, twin) =
                    (Arc::new(MemoryEngine::new()), Arc::new(MemoryRaftLog::new()));
                let engine: Arc<dyn KvEngine> = memory.clone();
                let log: Arc<dyn RaftLog> = twin.clone();
                tell(&engine, &log, end);
                // Some of what was not flushed may have reached the disk all the same.
                memory.crash_keeping(kept);
                twin.crash();
                check(&engine, &log, index);
            }
        }
    }
}

/// The power goes within the write of the last entry, which is gone; nobody had been told.
#[test]
fn a_crash_within_a_log_write_loses_that_write_alone() {
    for index in 7..=LAST {
        let (memory, twin) = (Arc::new(MemoryEngine::new()), Arc::new(MemoryRaftLog::new()));
        let engine: Arc<dyn KvEngine> = memory.clone();
        let log: Arc<dyn RaftLog> = twin.clone();
        tell(&engine, &log, End::Logged(index));
        memory.crash();
        twin.crash_losing_last_append();
        check(&engine, &log, index - 1);
    }
}

/// Copies what the engines have on disk. They remove files that they no longer need in the background:
/// a copy that misses one is no state that the disk was ever in, and is made anew.
fn copy(from: &Path, to: &Path) {
    while let Err(error) = try_copy(from, to) {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        std::fs::remove_dir_all(to).unwrap();
    }
}

fn try_copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for found in std::fs::read_dir(from)? {
        let found = found?;
        let target = to.join(found.file_name());
        if found.file_type()?.is_dir() {
            try_copy(&found.path(), &target)?;
        } else if found.file_name() != "LOCK" {
            std::fs::copy(found.path(), target)?;
        }
    }
    Ok(())
}

fn open(folder: &Path) -> (Arc<dyn KvEngine>, Arc<dyn RaftLog>) {
    let options = RaftLogOptions { prefill_bytes: 0, ..RaftLogOptions::default() };
    let log = EngineRaftLog::open(&folder.join("raft"), &options).unwrap();
    let engine = RocksEngine::open(&folder.join("kv"), &RocksOptions::default()).unwrap();
    (Arc::new(engine), Arc::new(log))
}

#[test]
fn a_crash_between_any_two_writes_is_reconciled_by_the_real_engines() {
    for index in [6, 7, FLUSHED, FLUSHED + 1, LAST] {
        for end in [End::Logged(index), End::Applied(index)] {
            let folder = tempfile::tempdir().unwrap();
            let (disk, image) = (folder.path().join("disk"), folder.path().join("image"));
            let (engine, log) = open(&disk);
            tell(&engine, &log, end);
            copy(&disk, &image);
            drop((engine, log));
            let (engine, log) = open(&image);
            let (_, applied) = content(&*engine);
            let flushed =
                if end == End::Applied(index) { index >= FLUSHED } else { index > FLUSHED };
            assert_eq!(applied, if flushed { FLUSHED } else { 5 }, "the tail really was lost");
            check(&engine, &log, index);
        }
    }
}

/// A snapshot of the model at `SNAPSHOT` as files in `folder`.
const SNAPSHOT: u64 = 100;

fn snapshot(engine: &dyn KvEngine, source: &Arc<dyn KvEngine>, folder: &Path) -> SnapshotManifest {
    std::fs::create_dir_all(folder).unwrap();
    let start = (region(3), voter(1), LogIndex(5), Term(5));
    let mut executor = executor(source.clone(), &[start]);
    executor.run(vec![task(REGION, (6..=SNAPSHOT).map(entry_at).collect())]);
    let region = region(3);
    let files = engine.export(&*source.snapshot(), &region.range, folder).unwrap();
    for (number, file) in files.iter().enumerate() {
        std::fs::rename(&file.path, folder.join(number.to_string())).unwrap();
    }
    let files = files.into_iter().map(|file| file.meta).collect();
    SnapshotManifest { region, index: LogIndex(SNAPSHOT), term: Term(9), files }
}

/// Installs a snapshot over the told story and dies before the engine's operation `dies_at`. Answers how
/// many operations there were; the disks are as the crash leaves them.
fn install_and_die(
    (engine, log): (&Arc<dyn KvEngine>, &Arc<dyn RaftLog>),
    (manifest, folder): (&SnapshotManifest, &Path),
    dies_at: usize,
) -> usize {
    tell(engine, log, End::Applied(LAST));
    let dies = move |number| assert!(number != dies_at, "the process dies here");
    let recording = Recording::new(engine.clone(), dies);
    let installed = catch_unwind(AssertUnwindSafe(|| {
        install_snapshot(&recording, voter(1).id, manifest, folder);
    }));
    assert_eq!(installed.is_err(), recording.count() > dies_at);
    recording.count()
}

/// What the start must find, and find again at the next one.
fn check_snapshot(
    (engine, log): (&Arc<dyn KvEngine>, &Arc<dyn RaftLog>),
    snapshots: &Path,
    is_begun: bool,
) {
    if !is_begun {
        check(engine, log, LAST);
        return;
    }
    for _ in 0..2 {
        assert_eq!(find_replicas(&**engine, snapshots).unwrap().replicas, [REGION]);
        let state = recover(REGION, STORE, &**engine, &**log).unwrap().state;
        let index = LogIndex(SNAPSHOT);
        assert_eq!((state.applied, state.applied_term), (index, Term(9)));
        assert_eq!((state.truncated, state.last_index), ((index, Term(9)), index));
        assert_eq!((state.hard_state.term, state.hard_state.commit), (9, SNAPSHOT));
        assert_eq!(state.hard_state.vote, 0, "a vote of an older term means nothing");
        assert_eq!(content(&**engine).0, model(SNAPSHOT).0);
    }
}

#[test]
fn a_crash_while_a_snapshot_is_taken_is_mended_by_the_memory_twins() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("received");
    let source: Arc<dyn KvEngine> = Arc::new(MemoryEngine::new());
    let manifest = snapshot(&MemoryEngine::new(), &source, &files);
    for dies_at in 0.. {
        let (memory, twin) = (Arc::new(MemoryEngine::new()), Arc::new(MemoryRaftLog::new()));
        let (engine, log): (Arc<dyn KvEngine>, Arc<dyn RaftLog>) = (memory.clone(), twin.clone());
        let count = install_and_die((&engine, &log), (&manifest, &files), dies_at);
        memory.crash();
        twin.crash();
        check_snapshot((&engine, &log), folder.path(), dies_at > 0);
        if count <= dies_at {
            assert_eq!(count, 3, "intent, data, end");
            return;
        }
    }
}

#[test]
fn a_crash_while_a_snapshot_is_taken_is_mended_by_the_real_engines() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("received");
    let (source, _) = open(&folder.path().join("source"));
    let manifest = snapshot(&*source, &source, &files);
    for dies_at in 0..=3 {
        let disk = folder.path().join(format!("disk-{dies_at}"));
        let image = folder.path().join(format!("image-{dies_at}"));
        let (engine, log) = open(&disk);
        install_and_die((&engine, &log), (&manifest, &files), dies_at);
        copy(&disk, &image);
        drop((engine, log));
        let (engine, log) = open(&image);
        check_snapshot((&engine, &log), folder.path(), dies_at > 0);
    }
}

/// Entries between the two would be missing for good: such a replica must not serve.
#[test]
fn a_log_that_begins_behind_the_applied_index_is_refused() {
    let (memory, twin) = (Arc::new(MemoryEngine::new()), Arc::new(MemoryRaftLog::new()));
    let (engine, log): (Arc<dyn KvEngine>, Arc<dyn RaftLog>) = (memory.clone(), twin.clone());
    tell(&engine, &log, End::Applied(LAST));
    log.compact(REGION, LogIndex(FLUSHED + 1)).unwrap();
    log.append(LogBatch::default()).unwrap();
    memory.crash();
    twin.crash();
    assert!(engine.get(Cf::Default, &raw_key(0, b"counter")).unwrap().is_some());
    let found = recover(REGION, STORE, &*engine, &*log);
    assert!(matches!(found, Err(StorageError::Inconsistent { .. })), "{found:?}");
}
