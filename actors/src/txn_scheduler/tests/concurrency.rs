//! What readers and committing transactions tell each other.
use super::*;
use crate::txn_scheduler::ConcurrencyManager;
use crate::txn_scheduler::concurrency::blocks;
use troupe_types::KeyRange;
use troupe_types::txn::{ReadIsolation, ReadView};

fn view(ts: u64) -> ReadView {
    ReadView::at(Timestamp(ts))
}

fn published(name: &str, start_ts: u64, min_commit_ts: u64) -> LockInfo {
    LockInfo { min_commit_ts: Timestamp(min_commit_ts), ..lock_on(name, start_ts) }
}

#[test]
fn a_snapshot_read_is_noted_and_others_are_not() {
    let memory = ConcurrencyManager::default();
    memory.note_read(&view(10));
    memory.note_read(&view(5));
    memory.note_read(&view(u64::MAX));
    memory.note_read(&ReadView { isolation: ReadIsolation::ReadCommitted, ..view(50) });
    assert_eq!(memory.max_ts(), Timestamp(10));
}

#[test]
fn which_lock_blocks_which_read() {
    let by = |list: &[u64]| list.iter().copied().map(Timestamp).collect::<Vec<_>>();
    let lock = published("k", 10, 20);
    let committed = ReadIsolation::ReadCommitted;
    let table = [
        ("before it began", view(9), false),
        ("before it can commit", view(19), false),
        ("at its commit", view(20), true),
        ("the newest", view(u64::MAX), true),
        ("told to pass it by", ReadView { bypass: by(&[10]), ..view(30) }, false),
        ("told that it is committed", ReadView { access: by(&[10]), ..view(30) }, false),
        ("told so of another one", ReadView { bypass: by(&[11]), ..view(30) }, true),
        ("read committed", ReadView { isolation: committed, ..view(30) }, false),
    ];
    for (what, view, expected) in table {
        assert_eq!(blocks(&lock, &view), expected, "{what}");
    }
    // Before its commit timestamp is chosen it blocks whoever began later.
    assert!(blocks(&published("k", 10, 0), &view(10)));
    assert!(!blocks(&published("k", 10, 0), &view(9)));
}

#[test]
fn locks_are_found_by_key_and_by_range_until_they_are_withdrawn() {
    let memory = ConcurrencyManager::default();
    memory.publish([published("b", 10, 0), published("d", 10, 0), published("f", 99, 0)]);
    let first = |start: &str, end: &str, reverse| {
        let range = KeyRange::new(key(start), key(end));
        memory.first_blocking(&range, reverse, &view(20)).map(|lock| lock.key)
    };
    assert_eq!(memory.blocking(&key("b"), &view(20)).map(|lock| lock.key), Some(key("b")));
    assert_eq!(memory.blocking(&key("c"), &view(20)), None);
    assert_eq!(first("a", "z", false), Some(key("b")));
    assert_eq!(first("a", "z", true), Some(key("d")), "f begins later");
    assert_eq!(first("c", "d", false), None);
    assert_eq!(first("d", "d", false), None);
    // Its commit timestamp is known, and one key turned out to need no lock.
    memory.replace(&keys(&["b", "d"]), vec![published("b", 10, 30)]);
    assert_eq!(first("a", "z", false), None);
    assert_eq!(memory.published(), 2);
    memory.withdraw(&keys(&["b", "f", "x"]));
    assert_eq!(memory.published(), 0);
}
