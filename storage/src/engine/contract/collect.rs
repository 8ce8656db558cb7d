//! The contract of garbage collection: nobody who may read can tell that it took place.
use super::*;

/// A history of one of few keys: a commit, and what happens behind it.
#[derive(Clone, Debug)]
struct Moved {
    key: u8,
    kind: WriteKind,
    is_long: bool,
    expires_in: Option<u64>,
    /// The record so far back gets a mark.
    mark: Option<usize>,
    /// What the engine is made to do.
    stir: u64,
    /// Garbage is collected, up to which of the moments so far.
    collect_at: Option<u64>,
}

fn moved_strategy() -> impl Strategy<Value = Moved> {
    let kind = prop::sample::select(vec![
        WriteKind::Put,
        WriteKind::Put,
        WriteKind::Delete,
        WriteKind::Lock,
        WriteKind::Rollback,
    ]);
    let expires_in = prop::option::weighted(0.2, 1_u64..30);
    let collect_at = prop::option::weighted(0.2, 0_u64..100);
    let mark = prop::option::weighted(0.3, 0_usize..8);
    (0_u8..4, kind, any::<bool>(), expires_in, mark, any::<u64>(), collect_at).prop_map(
        |(key, kind, is_long, expires_in, mark, stir, collect_at)| Moved {
            key,
            kind,
            is_long: is_long && kind == WriteKind::Put,
            expires_in: expires_in.filter(|_| kind == WriteKind::Put),
            mark,
            stir,
            collect_at,
        },
    )
}

/// Every record of a long value has it, whether anybody can see it or not.
fn assert_no_value_is_missing(snapshot: &dyn KvSnapshot) {
    for (row, stored) in scan(snapshot, Cf::Write, &KeyRange::prefix(b"x"), false) {
        let record = WriteRecord::decode(&stored).unwrap();
        if record.kind == WriteKind::Put && record.short_value.is_none() {
            let mut at = row[..row.len() - 8].to_vec();
            at.extend_from_slice(&(!record.start_ts.get()).to_be_bytes());
            assert!(snapshot.get(Cf::Default, &at).unwrap().is_some(), "{record:?}");
        }
    }
}

fn versioned(key: u8, ts: Timestamp) -> Bytes {
    let mut row = encode_ordered(&txn_key(0, &[key])).to_vec();
    row.extend_from_slice(&(!ts.get()).to_be_bytes());
    row.into()
}

/// The value of `key` at `ts`, by the shortest reader that can be written.
fn read_at(snapshot: &dyn KvSnapshot, key: u8, ts: Timestamp) -> Option<Bytes> {
    let end = versioned(key, Timestamp::ZERO);
    let rows = scan(snapshot, Cf::Write, &KeyRange::new(versioned(key, ts), end), false);
    let record = rows
        .iter()
        .map(|(_, value)| WriteRecord::decode(value).unwrap())
        .find(|record| matches!(record.kind, WriteKind::Put | WriteKind::Delete))?;
    let has_ended = record.expires_at.is_some_and(|end| end.get() <= ts.physical_ms());
    if record.kind == WriteKind::Delete || has_ended {
        return None;
    }
    record.short_value.or_else(|| {
        let value = snapshot.get(Cf::Default, &versioned(key, record.start_ts)).unwrap();
        Some(value.expect("a record that can be read has its value"))
    })
}

/// A replica that is behind may have collected a record before it applies a mark on it.
pub(crate) fn a_mark_never_brings_back_what_was_collected(engine: &dyn KvEngine) {
    let at = |ms| Timestamp::compose(ms, 0);
    let record = |kind, start: u64| WriteRecord {
        kind,
        start_ts: at(start),
        short_value: (kind == WriteKind::Put).then(|| "v".into()),
        expires_at: None,
        protects_rollback: false,
        last_change: None,
    };
    let put = |row_at, record: &WriteRecord| {
        Modify::Put(Cf::Write, versioned(1, at(row_at)), record.encode())
    };
    let (old, end) = (record(WriteKind::Put, 9), record(WriteKind::Delete, 19));
    buffered(engine, vec![put(10, &old), put(20, &end)]);
    let marked = WriteRecord { protects_rollback: true, ..old };
    let mark = || vec![Modify::ReplaceRecord(versioned(1, at(10)), marked.encode())];
    buffered(engine, mark());
    let rows =
        |snapshot: &dyn KvSnapshot| scan(snapshot, Cf::Write, &KeyRange::prefix(b"x"), false);
    assert_eq!(rows(&*engine.snapshot())[1].1, marked.encode(), "it is there");
    engine.make_durable().unwrap();
    engine.set_gc_safe_point(at(30));
    while engine.collect_garbage().unwrap().has_more {}
    assert_eq!(rows(&*engine.snapshot()), []);
    buffered(engine, mark());
    assert_eq!(rows(&*engine.snapshot()), []);
    assert_eq!(read_at(&*engine.snapshot(), 1, at(40)), None);
    // Within a batch, what came before counts.
    let row = versioned(1, at(10));
    let both = [vec![put(10, &old_put())], mark(), vec![Modify::Delete(Cf::Write, row)], mark()];
    buffered(engine, both.concat());
    assert_eq!(rows(&*engine.snapshot()), []);
}

fn old_put() -> WriteRecord {
    WriteRecord {
        kind: WriteKind::Put,
        start_ts: Timestamp(9),
        short_value: Some("v".into()),
        expires_at: None,
        protects_rollback: false,
        last_change: None,
    }
}

/// Bug B21 of other systems: a filter that saw some records of a key dropped a value that was alive.
pub(crate) fn garbage_collection_never_drops_a_live_value(engine: &dyn KvEngine) {
    collects_like_a_twin_that_never_does(engine, 32, &|_, _| {});
}

/// Does something with the engine, as a random number says; finds rows by random numbers.
pub(crate) type Stir<'a> = &'a dyn Fn(u64, &dyn Fn(u64) -> Bytes);

/// Histories on an engine that collects, and on one that never does: what can be seen at or above the
/// safe point is the same. `stir` is called behind each commit, with a random number and the keys.
pub(crate) fn collects_like_a_twin_that_never_does(
    engine: &dyn KvEngine,
    cases: u32,
    stir: Stir<'_>,
) {
    let config = ProptestConfig { cases, failure_persistence: None, ..Default::default() };
    // Safe points only grow, so each case lives behind the last one.
    let begin = Cell::new(1_u64);
    proptest!(config, |(moves in prop::collection::vec(moved_strategy(), 1..40))| {
        let base = begin.get();
        begin.set(base + 1000);
        let twin = MemoryEngine::new();
        let mut safe_point = Timestamp::ZERO;
        let everything = range("", "");
        buffered(engine, Cf::ALL.map(|cf| Modify::DeleteRange(cf, everything.clone())).to_vec());
        let mut records: Vec<(Bytes, WriteRecord)> = Vec::new();
        for (i, moved) in (0_u64..).zip(&moves) {
            let start_ts = Timestamp::compose(base + 2 * i, 0);
            let commit_ts = match moved.kind {
                WriteKind::Rollback => start_ts,
                WriteKind::Put | WriteKind::Delete | WriteKind::Lock => {
                    Timestamp::compose(base + 2 * i + 1, 0)
                }
            };
            let is_short = moved.kind == WriteKind::Put && !moved.is_long;
            let value = Bytes::from(format!("{i}"));
            let record = WriteRecord {
                kind: moved.kind,
                start_ts,
                short_value: is_short.then(|| value.clone()),
                expires_at: moved.expires_in.map(|ms| UnixMillis(commit_ts.physical_ms() + ms)),
                protects_rollback: false,
                last_change: None,
            };
            let row = versioned(moved.key, commit_ts);
            let mut changes = vec![Modify::Put(Cf::Write, row.clone(), record.encode())];
            records.push((row, record));
            if moved.is_long {
                changes.push(Modify::Put(Cf::Default, versioned(moved.key, start_ts), value));
            }
            if let Some((row, record)) = moved.mark.and_then(|back| records.iter().rev().nth(back))
                && record.kind != WriteKind::Rollback
            {
                let marked = WriteRecord { protects_rollback: true, ..record.clone() };
                changes.push(Modify::ReplaceRecord(row.clone(), marked.encode()));
            }
            buffered(&twin, changes.clone());
            buffered(engine, changes);
            let some_row = |random: u64| {
                let at = Timestamp::compose(base + random % (2 * i + 2), 0);
                versioned(u8::try_from(random / 7 % 4).unwrap(), at)
            };
            stir(moved.stir, &some_row);
            assert_no_value_is_missing(&*engine.snapshot());
            if let Some(percent) = moved.collect_at {
                engine.make_durable().unwrap();
                let reached = Timestamp::compose(base + 2 * i * percent / 100, 0);
                safe_point = safe_point.max(reached);
                engine.set_gc_safe_point(safe_point);
                while engine.collect_garbage().unwrap().has_more {}
            }
        }
        let (now, expected) = (engine.snapshot(), twin.snapshot());
        assert_no_value_is_missing(&*now);
        let last = base + 2 * moves.len() as u64 + 40;
        for at in safe_point.physical_ms().max(base)..last {
            for key in 0..4 {
                let at = Timestamp::compose(at, 0);
                prop_assert_eq!(read_at(&*now, key, at), read_at(&*expected, key, at));
            }
        }
        let all = KeyRange::prefix(b"x");
        let visible = |snapshot: &dyn KvSnapshot| visible_rows(snapshot, &all, safe_point).unwrap();
        prop_assert_eq!(visible(&*now), visible(&*expected));
    });
}
