//! Pages of scans that a published lock cuts.
use super::txn::Page;
use bytes::Bytes;
use troupe_types::key::{successor, txn_key};
use troupe_types::txn::{LockInfo, LockKind, TxnRow};
use troupe_types::{Key, KeyRange, Timestamp};

fn key(name: &str) -> Key {
    txn_key(0, name.as_bytes())
}

pub(super) fn lock(name: &str) -> LockInfo {
    LockInfo {
        key: key(name),
        primary: key(name),
        start_ts: Timestamp(5),
        kind: LockKind::Put,
        ttl_ms: 3000,
        txn_size: 1,
        for_update_ts: Timestamp(0),
        min_commit_ts: Timestamp(0),
        use_async_commit: true,
        secondaries: Vec::new(),
    }
}

fn page(names: &[&str], rest: Option<KeyRange>) -> Page {
    let row = |name: &&str| TxnRow {
        key: key(name),
        value: Bytes::new(),
        commit_ts: Timestamp(1),
        expires_at: None,
    };
    Page { rows: names.iter().map(row).collect(), rest, lock: None }
}

fn range(start: &str, end: &str) -> KeyRange {
    KeyRange::new(key(start), key(end))
}

fn names(page: &Page) -> Vec<Key> {
    page.rows.iter().map(|row| row.key.clone()).collect()
}

#[test]
fn a_page_ends_at_a_published_lock_that_lies_in_it() {
    let cut = page(&["b", "c", "d"], None).cut(&range("a", "z"), false, lock("c"));
    assert_eq!(names(&cut), [key("b")]);
    assert_eq!((cut.rest, cut.lock.unwrap().key), (Some(range("c", "z")), key("c")));
    // Between rows.
    let cut = page(&["b", "d"], Some(range("e", "z"))).cut(&range("a", "z"), false, lock("c"));
    assert_eq!((names(&cut), cut.rest), (vec![key("b")], Some(range("c", "z"))));
}

#[test]
fn a_page_that_ends_before_the_lock_stays() {
    let whole = page(&["b", "c"], Some(range("d", "z")));
    assert_eq!(
        page(&["b", "c"], Some(range("d", "z"))).cut(&range("a", "z"), false, lock("d")),
        whole
    );
    let whole = page(&["y", "x"], Some(range("a", "x")));
    assert_eq!(
        page(&["y", "x"], Some(range("a", "x"))).cut(&range("a", "z"), true, lock("w")),
        whole
    );
}

#[test]
fn a_page_from_the_end_is_cut_from_the_other_side() {
    let cut = page(&["y", "x", "w"], Some(range("a", "w"))).cut(&range("a", "z"), true, lock("x"));
    assert_eq!(names(&cut), [key("y")]);
    let rest = KeyRange::new(key("a"), successor(&key("x")));
    assert_eq!((cut.rest, cut.lock.unwrap().key), (Some(rest), key("x")));
}
