//! The twin keeps the contract, and loses in a crash exactly what was lazy.
use super::super::contract::{self, REGION, append, read, state};
use super::*;

fn open() -> (MemoryRaftLog, ()) {
    (MemoryRaftLog::new(), ())
}

contract::contract_tests!(open);

#[test]
fn a_crash_keeps_appends_and_undoes_lazy_changes_behind_them() {
    let log = MemoryRaftLog::new();
    append(&log, 6..=9, 5);
    log.compact(REGION, LogIndex(6)).unwrap();
    append(&log, 10..=10, 5);
    log.compact(REGION, LogIndex(8)).unwrap();
    log.remove(REGION).unwrap();
    log.crash();
    assert_eq!(state(&log).truncated, (LogIndex(6), Term(5)));
    assert_eq!(state(&log).last_index, LogIndex(10));
    assert_eq!(read(&log, 7, 11).unwrap().len(), 4);
}

#[test]
fn a_crash_into_an_append_undoes_it_whole() {
    let log = MemoryRaftLog::new();
    append(&log, 6..=9, 5);
    append(&log, 8..=12, 6);
    log.crash_losing_last_append();
    assert_eq!(state(&log).last_index, LogIndex(9));
    assert_eq!(read(&log, 9, 10).unwrap()[0].term, 5);
    log.crash_losing_last_append();
    assert_eq!(state(&log).last_index, LogIndex(9), "nothing was appended since");
}

#[test]
fn a_full_disk_refuses_without_effect() {
    let log = MemoryRaftLog::new();
    append(&log, 6..=7, 5);
    log.set_disk_full(true);
    let refused = log.append(LogBatch::default());
    assert!(matches!(refused, Err(StorageError::DiskFull)));
    log.set_disk_full(false);
    log.fail_next_append();
    assert!(matches!(log.append(LogBatch::default()), Err(StorageError::Injected { .. })));
    append(&log, 8..=8, 5);
    assert_eq!(state(&log).last_index, LogIndex(8));
}
