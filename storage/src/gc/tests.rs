//! What is dropped, and that no read at or above the safe point can tell.
use super::*;
use crate::engine::KvEngine;
use crate::engine::contract::buffered;
use crate::engine::memory::MemoryEngine;
use troupe_types::UnixMillis;
use troupe_types::key::{encode_ordered, txn_key};

fn encoded(key: &str) -> Bytes {
    encode_ordered(&txn_key(0, key.as_bytes()))
}

fn ts(ms: u64) -> Timestamp {
    Timestamp::compose(ms, 0)
}

fn record(kind: WriteKind, start_ms: u64) -> WriteRecord {
    WriteRecord {
        kind,
        start_ts: ts(start_ms),
        short_value: (kind == WriteKind::Put).then(|| Bytes::from(start_ms.to_string())),
        expires_at: None,
        protects_rollback: false,
        last_change: None,
    }
}

fn put(start_ms: u64) -> WriteRecord {
    record(WriteKind::Put, start_ms)
}

fn long(start_ms: u64) -> WriteRecord {
    WriteRecord { short_value: None, ..put(start_ms) }
}

fn expiring(start_ms: u64, end: u64) -> WriteRecord {
    WriteRecord { expires_at: Some(UnixMillis(end)), ..put(start_ms) }
}

/// Verdicts of the filter on records of one key, newest first, at a safe point of 50 ms.
fn verdicts(records: &[(u64, WriteRecord)]) -> Vec<Verdict> {
    let mut filter = WriteFilter::new(ts(50));
    let key = encoded("k");
    let one =
        |(at, record): &(u64, WriteRecord)| filter.row(&join(&key, ts(*at)), &record.encode());
    records.iter().map(one).collect()
}

#[test]
fn the_newest_version_at_the_safe_point_stays_and_hides_the_rest() {
    use Verdict::{Clean, Drop, Keep};
    let cases = [
        (
            vec![(60, put(55)), (50, put(45)), (40, put(35)), (30, long(25))],
            vec![Keep, Keep, Drop, Clean],
        ),
        (vec![(40, put(35)), (30, put(25))], vec![Keep, Drop]),
        (vec![(40, record(WriteKind::Delete, 35)), (30, put(25))], vec![Clean, Drop]),
        (vec![(50, record(WriteKind::Delete, 35)), (30, put(25))], vec![Keep, Drop]),
        (vec![(40, expiring(35, 50)), (30, put(25))], vec![Clean, Drop]),
        (vec![(40, expiring(35, 51)), (30, put(25))], vec![Keep, Drop]),
        (
            vec![
                (60, record(WriteKind::Rollback, 60)),
                (50, record(WriteKind::Rollback, 50)),
                (49, record(WriteKind::Rollback, 49)),
                (45, record(WriteKind::Lock, 44)),
                (40, put(35)),
            ],
            vec![Keep, Keep, Drop, Drop, Keep],
        ),
    ];
    for (records, expected) in cases {
        assert_eq!(verdicts(&records), expected, "{records:?}");
    }
}

#[test]
fn what_does_not_decode_stays_with_what_is_older() {
    let mut filter = WriteFilter::new(ts(50));
    let key = encoded("k");
    assert_eq!(filter.row(&join(&key, ts(45)), &put(44).encode()), Verdict::Keep);
    assert_eq!(filter.row(&join(&key, ts(40)), b"\xffnonsense"), Verdict::Keep);
    assert_eq!(filter.row(&join(&key, ts(30)), &put(25).encode()), Verdict::Keep);
    let other = encoded("l");
    assert_eq!(filter.row(&join(&other, ts(40)), &put(35).encode()), Verdict::Keep);
    assert_eq!(filter.row(&join(&other, ts(30)), &put(25).encode()), Verdict::Drop);
    for row in [&b""[..], b"x", b"r00012345678", b"xxxxxxxxxxxxxxxxxxxx", &[0xff; 17]] {
        assert_eq!(filter.row(row, &put(1).encode()), Verdict::Keep, "{row:?}");
    }
}

#[test]
fn a_key_is_cleaned_as_a_whole_and_a_long_value_goes_with_its_record() {
    let engine = MemoryEngine::new();
    let (gone, kept) = (encoded("gone"), encoded("kept"));
    let set = |key: &Bytes, at: u64, record: &WriteRecord| {
        let mut changes = vec![Modify::Put(Cf::Write, join(key, ts(at)), record.encode())];
        if has_long_value(record) {
            changes.push(Modify::Put(Cf::Default, join(key, record.start_ts), "long".into()));
        }
        buffered(&engine, changes);
    };
    set(&gone, 20, &long(15));
    set(&gone, 30, &record(WriteKind::Delete, 25));
    set(&kept, 20, &long(15));
    set(&kept, 30, &long(25));
    let rows = |engine: &MemoryEngine| {
        let all = KeyRange::prefix(&[TXN_PREFIX]);
        visible_rows(&*engine.snapshot(), &all, Timestamp::ZERO).unwrap()
    };
    let all = KeyRange::prefix(&[TXN_PREFIX]);
    let expected = visible_rows(&*engine.snapshot(), &all, ts(50)).unwrap();
    assert_eq!(engine.collect_garbage().unwrap().records, 0, "there is no safe point");
    engine.set_gc_safe_point(ts(50));
    assert_eq!(engine.collect_garbage().unwrap().records, 3);
    assert_eq!(rows(&engine), expected);
    let keys: Vec<_> = expected.iter().map(|(cf, key, _)| (*cf, key.clone())).collect();
    assert_eq!(keys, [(Cf::Default, join(&kept, ts(25))), (Cf::Write, join(&kept, ts(30)))]);
}
