//! Pages of locks, some stored and some remembered.
use super::super::tests::lock;
use super::*;
use bytes::Bytes;

fn range(start: &str, end: &str) -> KeyRange {
    KeyRange::new(Bytes::from(start.to_owned()), Bytes::from(end.to_owned()))
}

/// Locks on keys of one letter each.
fn locks(keys: &str, start_ts: u64) -> Vec<LockInfo> {
    let lock = |key: char| LockInfo {
        key: Bytes::from(key.to_string()),
        start_ts: Timestamp(start_ts),
        ..lock("p")
    };
    keys.chars().map(lock).collect()
}

fn page(stored: &str, rest: Option<&str>, remembered: &str, limit: usize) -> (String, Option<Key>) {
    let rest = rest.map(|start| range(start, "z"));
    let found = Found { locks: locks(stored, 1), rest };
    let Found { locks, rest } = found.with(locks(remembered, 2), &range("a", "z"), limit);
    let keys = locks.iter().map(|lock| String::from_utf8_lossy(&lock.key).into_owned());
    assert!(rest.as_ref().is_none_or(|rest| rest.end == "z"), "{rest:?}");
    (keys.collect(), rest.map(|rest| rest.start))
}

fn key(text: &str) -> Option<Key> {
    Some(Bytes::from(text.to_owned()))
}

#[test]
fn both_kinds_come_in_key_order() {
    assert_eq!(page("bd", None, "ace", 10), ("abcde".to_owned(), None));
    assert_eq!(page("", None, "ac", 10), ("ac".to_owned(), None));
    assert_eq!(page("b", None, "", 10), ("b".to_owned(), None));
}

#[test]
fn a_page_that_is_full_goes_on_behind_its_last_lock() {
    assert_eq!(page("bd", None, "ace", 3), ("abc".to_owned(), key("c\0")));
    assert_eq!(page("bd", None, "ac", 4), ("abcd".to_owned(), None));
}

#[test]
fn what_lies_behind_the_stored_ones_of_a_page_comes_with_the_next() {
    assert_eq!(page("bd", Some("d\0"), "ace", 2), ("ab".to_owned(), key("b\0")));
    assert_eq!(page("bd", Some("d\0"), "e", 2), ("bd".to_owned(), key("d\0")));
}

#[test]
fn a_lock_that_is_stored_counts_before_the_same_one_remembered() {
    let found = Found { locks: locks("a", 1), rest: None };
    let found = found.with(locks("a", 2), &range("a", "z"), 10);
    assert_eq!(found.locks, locks("a", 1));
}
