//! A failed sync or write ends the process before anything is acknowledged. Each test runs itself
//! again as a child and looks at how the child died.
use super::super::contract::{append, batch, entries, hard_state};
use super::super::engine::{EngineRaftLog, RaftLogOptions};
use super::super::{RaftLog, RegionLogWrite};
use super::*;
use crate::failure::tests::{assert_aborted, child_folder, run_as_child};
use crate::failure::{self, read_marks};
use troupe_types::{LogIndex, RegionId, Term};

fn open(dir: &Path, watch: &Arc<DiskWatch>) -> EngineRaftLog {
    let options = RaftLogOptions { prefill_bytes: 0, ..RaftLogOptions::default() };
    EngineRaftLog::open_watched(&dir.join("log"), &options, Arc::clone(watch)).unwrap()
}

/// Several writers append at once, so that the one that syncs does it for others too.
fn append_until_death(dir: PathBuf, fail: fn(&DiskWatch)) {
    failure::set_mark_folder(dir.clone());
    let watch = Arc::new(DiskWatch::default());
    let log = open(&dir, &watch);
    append(&log, 6..=6, 5);
    println!("confirmed before the failure");
    fail(&watch);
    std::thread::scope(|scope| {
        for id in 10..14 {
            let log = &log;
            scope.spawn(move || {
                let write = RegionLogWrite {
                    entries: entries(6..=6, 5),
                    hard_state: Some(hard_state(5, 5)),
                    reset_to: Some((LogIndex(5), Term(5))),
                };
                let result = log.append(batch(RegionId(id), write));
                println!("confirmed after the failure: {result:?}");
            });
        }
    });
}

fn assert_died_unconfirmed(name: &str, what: &str) {
    let dir = tempfile::tempdir().unwrap();
    let output = run_as_child(name, dir.path());
    assert_aborted(&output);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("confirmed before the failure"), "{stdout}");
    assert!(!stdout.contains("confirmed after the failure"), "{stdout}");
    let marks = read_marks(dir.path()).unwrap();
    assert_eq!(marks.len(), 1);
    assert!(marks[0].reason.contains(what), "{}", marks[0].reason);
}

#[test]
fn a_failed_sync_ends_the_process() {
    if let Some(dir) = child_folder() {
        return append_until_death(dir, DiskWatch::fail_syncs);
    }
    let name = "raft_log::file_system::tests::a_failed_sync_ends_the_process";
    assert_died_unconfirmed(name, "sync of ");
}

#[test]
fn a_failed_write_ends_the_process() {
    if let Some(dir) = child_folder() {
        return append_until_death(dir, DiskWatch::fail_writes);
    }
    let name = "raft_log::file_system::tests::a_failed_write_ends_the_process";
    assert_died_unconfirmed(name, "write of ");
}

#[test]
fn syncs_and_bytes_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let watch = Arc::default();
    let log = open(dir.path(), &watch);
    let (syncs, bytes) = (watch.syncs(), watch.bytes_written());
    append(&log, 6..=6, 5);
    append(&log, 7..=9, 5);
    assert_eq!(watch.syncs(), syncs + 2, "one sync a batch");
    assert!(watch.bytes_written() > bytes + 400, "four entries of 100 bytes");
}
