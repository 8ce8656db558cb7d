//! raft-engine keeps the contract, also over restarts, torn tails and full disks.
use super::super::contract::{
    self, REGION, append, assert_same, batch, entries, read, state, step_strategy, take_step,
};
use super::super::memory::MemoryRaftLog;
use super::*;
use contract::Step;
use proptest::prelude::*;
use std::path::PathBuf;
use tempfile::TempDir;

fn small() -> RaftLogOptions {
    RaftLogOptions {
        target_file_bytes: 4096,
        purge_threshold_bytes: 4 * 4096,
        prefill_bytes: 0,
        compression_threshold_bytes: 0,
        recovery_threads: 1,
    }
}

fn open() -> (EngineRaftLog, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (EngineRaftLog::open(dir.path(), &small()).unwrap(), dir)
}

fn reopen(log: EngineRaftLog, dir: &TempDir) -> EngineRaftLog {
    drop(log);
    open_again(dir)
}

/// Another test may start a process just now, which holds the folder's lock until its `exec`.
fn open_again(dir: &TempDir) -> EngineRaftLog {
    for _ in 0..500 {
        match EngineRaftLog::open(dir.path(), &small()) {
            Ok(log) => return log,
            Err(StorageError::Log(raft_engine::Error::Other(error)))
                if error.to_string().contains("lock") =>
            {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("the folder is locked after five seconds");
}

/// The append files, oldest first.
fn files(dir: &TempDir) -> Vec<PathBuf> {
    let all = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> =
        all.filter(|path| path.extension().is_some_and(|it| it == "raftlog")).collect();
    files.sort();
    files
}

contract::contract_tests!(open);

#[test]
fn a_reopened_log_knows_everything() {
    let (log, dir) = open();
    append(&log, 6..=60, 5);
    append(&log, 50..=70, 6);
    log.compact(REGION, LogIndex(20)).unwrap();
    append(&log, 71..=71, 6);
    let before = state(&log);
    let log = reopen(log, &dir);
    assert_eq!(state(&log), before);
    assert_eq!(read(&log, 21, 72).unwrap(), [entries(21..=49, 5), entries(50..=71, 6)].concat());
    assert_eq!(log.regions(), [REGION]);
}

#[test]
fn a_log_is_open_once() {
    let (_log, dir) = open();
    assert!(EngineRaftLog::open(dir.path(), &small()).is_err());
}

/// Blocks of two logs lie at the same place of files with the same number.
#[test]
fn one_thread_reads_two_logs() {
    let (a, _dir) = open();
    let (b, _other) = open();
    append(&a, 6..=8, 5);
    append(&b, 6..=8, 7);
    for _ in 0..2 {
        assert_eq!(read(&a, 6, 9).unwrap(), entries(6..=8, 5));
        assert_eq!(read(&b, 6, 9).unwrap(), entries(6..=8, 7));
        assert_eq!(b.term(REGION, LogIndex(7)).unwrap(), Term(7));
    }
}

#[test]
fn the_default_options_open() {
    let dir = tempfile::tempdir().unwrap();
    let options = RaftLogOptions { prefill_bytes: 0, ..RaftLogOptions::default() };
    let log = EngineRaftLog::open(&dir.path().join("new").join("log"), &options).unwrap();
    append(&log, 6..=6, 5);
}

#[test]
fn prepared_files_are_used() {
    let dir = tempfile::tempdir().unwrap();
    let options = RaftLogOptions { prefill_bytes: 2 * 4096, ..small() };
    let log = EngineRaftLog::open(dir.path(), &options).unwrap();
    for index in 6..100 {
        append(&log, index..=index, 5);
    }
    let log = reopen(log, &dir);
    assert_eq!(read(&log, 6, 100).unwrap(), entries(6..=99, 5));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..Default::default()
    })]

    /// The twin and the real log tell the same after every step, restarts included.
    #[test]
    fn the_twin_is_one(steps in prop::collection::vec(step_strategy(), 1..25)) {
        let (mut log, dir) = open();
        let twin = MemoryRaftLog::new();
        for (term, step) in (1..).zip(&steps) {
            if matches!(step, Step::Reopen) {
                log.purge().unwrap();
                log = reopen(log, &dir);
            }
            take_step(&log, step, term);
            take_step(&twin, step, term);
            assert_same(&log, &twin);
        }
    }
}

#[test]
fn a_torn_tail_loses_the_torn_batch_alone() {
    let (log, dir) = open();
    append(&log, 6..=8, 5);
    append(&log, 9..=11, 6);
    drop(log);
    let last = files(&dir).pop().unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&last).unwrap();
    file.set_len(file.metadata().unwrap().len() - 10).unwrap();
    let log = open_again(&dir);
    assert_eq!(state(&log).last_index, LogIndex(8));
    append(&log, 9..=9, 7);
    let log = reopen(log, &dir);
    assert_eq!(read(&log, 6, 10).unwrap(), [entries(6..=8, 5), entries(9..=9, 7)].concat());
}

#[test]
fn damage_in_front_of_the_last_file_is_refused() {
    let (log, dir) = open();
    for index in 6..200 {
        append(&log, index..=index, 5);
    }
    drop(log);
    let first = files(&dir).swap_remove(0);
    let mut content = std::fs::read(&first).unwrap();
    content[1500..2000].fill(0xee);
    std::fs::write(&first, content).unwrap();
    assert!(matches!(EngineRaftLog::open(dir.path(), &small()), Err(StorageError::Log(_))));
}

#[test]
fn a_torn_end_of_an_earlier_file_is_refused() {
    let (log, dir) = open();
    for index in 6..200 {
        append(&log, index..=index, 5);
    }
    drop(log);
    let first = files(&dir).swap_remove(0);
    let file = std::fs::OpenOptions::new().write(true).open(&first).unwrap();
    file.set_len(file.metadata().unwrap().len() - 10).unwrap();
    assert!(matches!(EngineRaftLog::open(dir.path(), &small()), Err(StorageError::Log(_))));
}

#[test]
fn a_purge_frees_files_and_keeps_what_is_live() {
    let (log, dir) = open();
    for index in 6..400 {
        append(&log, index..=index, 5);
    }
    let write = contract::hard_state(9, 6);
    let other = RegionLogWrite { hard_state: Some(write.clone()), ..Default::default() };
    log.append(batch(RegionId(3), other)).unwrap();
    let full = log.used_bytes();
    log.compact(REGION, LogIndex(390)).unwrap();
    let syncs = log.figures().syncs;
    log.purge().unwrap();
    assert!(log.figures().syncs > syncs, "the compaction is durable before files go");
    assert!(log.used_bytes() < full / 2, "{} of {full}", log.used_bytes());
    let log = reopen(log, &dir);
    assert_eq!(state(&log).truncated, (LogIndex(390), Term(5)));
    assert_eq!(read(&log, 391, 400).unwrap(), entries(391..=399, 5));
    assert_eq!(log.state(RegionId(3)).unwrap().unwrap().hard_state, write);
    assert_eq!(log.regions().len(), 2, "the marker's group is no Region");
}

#[test]
fn a_reset_survives_a_purge_and_a_restart() {
    let (log, dir) = open();
    for index in 6..300 {
        append(&log, index..=index, 5);
    }
    let write = RegionLogWrite {
        entries: entries(501..=502, 7),
        hard_state: None,
        reset_to: Some((LogIndex(500), Term(6))),
    };
    log.append(batch(REGION, write)).unwrap();
    log.purge().unwrap();
    let log = reopen(log, &dir);
    assert_eq!(state(&log).truncated, (LogIndex(500), Term(6)));
    assert_eq!(read(&log, 501, 503).unwrap(), entries(501..=502, 7));
}

#[test]
fn a_full_disk_refuses_without_effect() {
    let dir = tempfile::tempdir().unwrap();
    let watch = Arc::new(DiskWatch::default());
    let log = EngineRaftLog::open_watched(dir.path(), &small(), Arc::clone(&watch)).unwrap();
    append(&log, 6..=8, 5);
    watch.set_disk_full(true);
    let write = RegionLogWrite { entries: entries(9..=9, 5), ..Default::default() };
    for _ in 0..3 {
        let refused = log.append(batch(REGION, write.clone()));
        assert!(matches!(refused, Err(StorageError::DiskFull)), "{refused:?}");
        assert_eq!(state(&log).last_index, LogIndex(8));
    }
    watch.set_disk_full(false);
    append(&log, 9..=10, 6);
    let log = reopen(log, &dir);
    assert_eq!(read(&log, 6, 11).unwrap(), [entries(6..=8, 5), entries(9..=10, 6)].concat());
}

/// A node was killed some time after its disk had been full, and did not start again: the file that
/// raft-engine had prepared while there was no room lay behind the one that it went on with.
#[test]
fn a_log_whose_disk_was_full_survives_a_kill() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let watch = Arc::new(DiskWatch::default());
    let log = EngineRaftLog::open_watched(dir.path(), &small(), Arc::clone(&watch)).unwrap();
    append(&log, 6..=8, 5);
    watch.set_disk_full(true);
    let write = RegionLogWrite { entries: entries(9..=9, 5), ..Default::default() };
    let refused = log.append(batch(REGION, write));
    assert!(matches!(refused, Err(StorageError::DiskFull)), "{refused:?}");
    watch.set_disk_full(false);
    append(&log, 9..=10, 6);
    for file in std::fs::read_dir(dir.path()).unwrap().flatten() {
        std::fs::copy(file.path(), killed.path().join(file.file_name())).unwrap();
    }
    let log = EngineRaftLog::open(killed.path(), &small()).unwrap();
    assert_eq!(read(&log, 6, 11).unwrap(), [entries(6..=8, 5), entries(9..=10, 6)].concat());
}
