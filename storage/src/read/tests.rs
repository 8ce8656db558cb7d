//! Reads over a small space, and paging against the whole.
use super::*;
use crate::engine::memory::MemoryEngine;
use crate::engine::{Durability, KvEngine, Modify, WriteBatch};
use proptest::prelude::*;
use std::sync::Arc;
use troupe_types::key::raw_key;

const NOW: UnixMillis = UnixMillis(1_000);

fn snapshot(rows: Vec<(Key, Bytes)>) -> Arc<dyn KvSnapshot> {
    let engine = MemoryEngine::new();
    let changes = rows.into_iter().map(|(key, value)| Modify::Put(Cf::Default, key, value));
    engine.write(WriteBatch { changes: changes.collect() }, Durability::Buffered).unwrap();
    engine.snapshot()
}

fn row(key: &str, value: &str, expires_at: Option<u64>) -> (Key, Bytes) {
    let value = Bytes::copy_from_slice(value.as_bytes());
    let stored = RawValue { value, expires_at: expires_at.map(UnixMillis) };
    (raw_key(0, key.as_bytes()), stored.encode())
}

fn three_live_rows() -> Arc<dyn KvSnapshot> {
    snapshot(vec![
        row("a", "1", None),
        row("b", "gone", Some(1_000)),
        row("c", "22", Some(1_001)),
        row("d", "333", None),
    ])
}

fn scan(limit: u32, max_bytes: u64, reverse: bool) -> ReadCommand {
    let range = KeyRange::raw_space();
    ReadCommand::RawScan { range, limit, max_bytes, reverse, keys_only: false }
}

fn rows(reply: ReadReply) -> (Vec<RawRow>, Option<KeyRange>) {
    match reply {
        ReadReply::Rows { rows, rest } => (rows, rest),
        other => panic!("not rows: {other:?}"),
    }
}

fn user_keys(rows: &[RawRow]) -> Vec<&str> {
    rows.iter().map(|row| std::str::from_utf8(&row.key[PREFIX_LEN..]).unwrap()).collect()
}

#[test]
fn gets_answer_in_the_order_asked() {
    let keys = ["d", "x", "b", "a"].map(|key| raw_key(0, key.as_bytes())).to_vec();
    let reply = read(&*three_live_rows(), &ReadCommand::RawGet { keys }, NOW).unwrap();
    let ReadReply::Values(values) = reply else { panic!("not values: {reply:?}") };
    let values: Vec<_> = values.into_iter().map(|row| row.map(|row| row.value)).collect();
    assert_eq!(values, [Some("333".into()), None, None, Some("1".into())]);
}

#[test]
fn a_scan_leaves_expired_rows_out() {
    let (found, rest) = rows(read(&*three_live_rows(), &scan(9, 999, false), NOW).unwrap());
    assert_eq!(user_keys(&found), ["a", "c", "d"]);
    assert_eq!(found[1].expires_at, Some(UnixMillis(1_001)));
    assert_eq!(found[1].value, "22");
    assert_eq!(rest, None);
}

#[test]
fn a_page_ends_by_rows_or_bytes_and_says_what_is_left() {
    let snapshot = three_live_rows();
    let key = |user: &str| raw_key(0, user.as_bytes());
    let space = KeyRange::raw_space();
    // A row of this space has a key of 5 bytes.
    for (limit, max_bytes, reverse, found, rest) in [
        (2, 999, false, &["a", "c"][..], Some(KeyRange::new(key("d"), space.end.clone()))),
        (2, 999, true, &["d", "c"], Some(KeyRange::new(space.start.clone(), successor(&key("b"))))),
        (3, 999, false, &["a", "c", "d"], None),
        (9, 0, false, &["a"], Some(KeyRange::new(key("c"), space.end.clone()))),
        (9, 13, false, &["a", "c"], Some(KeyRange::new(key("d"), space.end.clone()))),
        (9, 12, false, &["a"], Some(KeyRange::new(key("c"), space.end.clone()))),
        (0, 999, false, &["a"], Some(KeyRange::new(key("b"), space.end.clone()))),
    ] {
        let reply = read(&*snapshot, &scan(limit, max_bytes, reverse), NOW).unwrap();
        let (page, left) = rows(reply);
        assert_eq!(user_keys(&page), found, "limit {limit}, {max_bytes} bytes");
        assert_eq!(left, rest, "limit {limit}, {max_bytes} bytes");
    }
}

#[test]
fn keys_only_leaves_values_out() {
    let range = KeyRange::raw_space();
    let command =
        ReadCommand::RawScan { range, limit: 9, max_bytes: 15, reverse: false, keys_only: true };
    let (found, _) = rows(read(&*three_live_rows(), &command, NOW).unwrap());
    assert_eq!(user_keys(&found), ["a", "c", "d"], "values take no room");
    assert!(found.iter().all(|row| row.value.is_empty()));
}

#[test]
fn a_scan_over_expired_rows_stops_and_goes_on() {
    let skipped = MAX_EXPIRED_ROWS_SKIPPED as usize;
    let mut all: Vec<_> = (0..skipped + 1).map(|i| row(&format!("e{i:05}"), "", Some(1))).collect();
    all.push(row("z", "live", None));
    let snapshot = snapshot(all);
    let (found, rest) = rows(read(&*snapshot, &scan(1, 999, false), NOW).unwrap());
    assert!(found.is_empty());
    let range = rest.unwrap();
    assert_eq!(range.start, raw_key(0, format!("e{skipped:05}").as_bytes()));
    let command =
        ReadCommand::RawScan { range, limit: 1, max_bytes: 9, reverse: false, keys_only: false };
    let (found, rest) = rows(read(&*snapshot, &command, NOW).unwrap());
    assert_eq!(user_keys(&found), ["z"]);
    assert_eq!(rest, None);
}

#[test]
fn checksums_of_pages_add_up() {
    let snapshot = three_live_rows();
    let page =
        |range, limit| match read(&*snapshot, &ReadCommand::RawChecksum { range, limit }, NOW)
            .unwrap()
        {
            ReadReply::Checksum { sum, rest } => (sum, rest),
            other => panic!("not a checksum: {other:?}"),
        };
    let (whole, rest) = page(KeyRange::raw_space(), 100);
    assert_eq!(rest, None);
    assert_eq!((whole.rows, whole.bytes), (3, 3 + 1 + 2 + 3));
    let (mut sum, mut left, mut pages) = (RawChecksum::default(), Some(KeyRange::raw_space()), 0);
    while let Some(range) = left {
        let (part, rest) = page(range, 1);
        sum.merge(&part);
        (left, pages) = (rest, pages + 1);
    }
    assert_eq!(sum, whole);
    assert_eq!(pages, 4, "an expired row counts as one looked at");
    let mut expected = RawChecksum::default();
    for (key, value) in [("a", "1"), ("c", "22"), ("d", "333")] {
        expected.add(key.as_bytes(), value.as_bytes());
    }
    assert_eq!(whole, expected);
}

#[test]
fn rows_of_pd_are_read_as_they_are() {
    let stored = vec![("s1".into(), "x".into()), ("s2".into(), Bytes::new())];
    let command = ReadCommand::SystemScan { range: KeyRange::system() };
    let (found, rest) = rows(read(&*snapshot(stored), &command, NOW).unwrap());
    let found: Vec<_> = found.into_iter().map(|row| (row.key, row.value)).collect();
    assert_eq!(found, [("s1".into(), Bytes::from("x")), ("s2".into(), Bytes::new())]);
    assert_eq!(rest, None);
}

#[test]
fn a_value_that_does_not_decode_is_an_error() {
    for broken in [&[][..], &[99], &[0, 0, 1]] {
        let stored = vec![(raw_key(0, b"k"), Bytes::copy_from_slice(broken))];
        let snapshot = snapshot(stored);
        let scanned = read(&*snapshot, &scan(1, 1, false), NOW);
        assert!(matches!(scanned, Err(StorageError::BadValue(_))), "{broken:?}");
        let got = read(&*snapshot, &ReadCommand::RawGet { keys: vec![raw_key(0, b"k")] }, NOW);
        assert!(matches!(got, Err(StorageError::BadValue(_))), "{broken:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Pages of any size, in both directions, give each live row once and in order.
    #[test]
    fn pages_add_up(
        all in prop::collection::btree_map("[a-c]{0,3}", ("[x-z]{0,4}", prop::option::of(999..1002_u64)), 0..20),
        limit in 1..5_u32,
        max_bytes in 0..40_u64,
        reverse in any::<bool>(),
    ) {
        let snapshot =
            snapshot(all.iter().map(|(key, (value, at))| row(key, value, *at)).collect());
        let live = all.iter().filter(|(_, (_, at))| at.is_none_or(|at| at > NOW.get()));
        let mut expected: Vec<_> = live.map(|(key, (value, _))| (key.clone(), value.clone())).collect();
        if reverse {
            expected.reverse();
        }
        let (mut found, mut left) = (Vec::new(), Some(KeyRange::raw_space()));
        while let Some(range) = left {
            let command =
                ReadCommand::RawScan { range, limit, max_bytes, reverse, keys_only: false };
            let (page, rest) = rows(read(&*snapshot, &command, NOW).unwrap());
            prop_assert!(page.len() <= limit as usize);
            for row in page {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                found.push((text(&row.key[PREFIX_LEN..]), text(&row.value)));
            }
            left = rest;
        }
        prop_assert_eq!(found, expected);
    }
}
