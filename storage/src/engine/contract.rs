//! What every engine must do, run against the real one and its twin: `contract_tests!(open)`,
//! where `open` gives an empty engine and a folder that lives as long as the test.
use super::{Cf, Durability, KvEngine, KvSnapshot, Modify, WriteBatch};
use crate::engine::memory::MemoryEngine;
use crate::error::StorageError;
use crate::gc::visible_rows;
use crate::mvcc::WriteRecord;
use bytes::Bytes;
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use troupe_types::key::{encode_ordered, txn_key};
use troupe_types::txn::WriteKind;
use troupe_types::{KeyRange, Timestamp, UnixMillis};

pub(crate) type Rows = Vec<(Bytes, Bytes)>;

macro_rules! contract_tests {
    ($open:expr) => {
        #[test]
        fn later_changes_of_a_batch_win() {
            let (engine, _dir) = $open();
            $crate::engine::contract::later_changes_of_a_batch_win(&engine);
        }
        #[test]
        fn a_snapshot_does_not_see_later_writes() {
            let (engine, _dir) = $open();
            $crate::engine::contract::a_snapshot_does_not_see_later_writes(&engine);
        }
        #[test]
        fn a_scan_obeys_range_direction_and_break() {
            let (engine, _dir) = $open();
            $crate::engine::contract::a_scan_obeys_range_direction_and_break(&engine);
        }
        #[test]
        fn only_durable_rows_are_persisted() {
            let (engine, _dir) = $open();
            $crate::engine::contract::only_durable_rows_are_persisted(&engine);
        }
        #[test]
        fn a_range_moves_to_another_engine() {
            let (from, dir) = $open();
            let (to, _other) = $open();
            $crate::engine::contract::a_range_moves_to_another_engine(&from, &to, dir.path());
        }
        #[test]
        fn a_damaged_file_changes_nothing() {
            let (engine, dir) = $open();
            $crate::engine::contract::a_damaged_file_changes_nothing(&engine, dir.path());
        }
        #[test]
        fn b21_garbage_collection_never_drops_a_live_value() {
            let (engine, _dir) = $open();
            $crate::engine::contract::garbage_collection_never_drops_a_live_value(&engine);
        }
        #[test]
        fn a_mark_never_brings_back_what_was_collected() {
            let (engine, _dir) = $open();
            $crate::engine::contract::a_mark_never_brings_back_what_was_collected(&engine);
        }
        #[test]
        fn batches_act_like_a_map() {
            let (engine, _dir) = $open();
            $crate::engine::contract::batches_act_like_a_map(&engine);
        }
    };
}
pub(crate) use contract_tests;

mod collect;

pub(crate) use collect::{
    a_mark_never_brings_back_what_was_collected, collects_like_a_twin_that_never_does,
    garbage_collection_never_drops_a_live_value,
};

pub(crate) fn put(cf: Cf, key: &str, value: &str) -> Modify {
    Modify::Put(
        cf,
        Bytes::copy_from_slice(key.as_bytes()),
        Bytes::copy_from_slice(value.as_bytes()),
    )
}

pub(crate) fn range(start: &str, end: &str) -> KeyRange {
    KeyRange::new(start.as_bytes().to_vec(), end.as_bytes().to_vec())
}

pub(crate) fn buffered(engine: &dyn KvEngine, changes: Vec<Modify>) {
    engine.write(WriteBatch { changes }, Durability::Buffered).unwrap();
}

pub(crate) fn scan(snapshot: &dyn KvSnapshot, cf: Cf, range: &KeyRange, reverse: bool) -> Rows {
    let mut rows = Vec::new();
    snapshot
        .scan(cf, range, reverse, &mut |key, value| {
            rows.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            ControlFlow::Continue(())
        })
        .unwrap();
    rows
}

fn keys(rows: &Rows) -> Vec<&str> {
    rows.iter().map(|(key, _)| std::str::from_utf8(key).unwrap()).collect()
}

fn get(engine: &dyn KvEngine, cf: Cf, key: &str) -> Option<Bytes> {
    engine.get(cf, key.as_bytes()).unwrap()
}

pub(crate) fn later_changes_of_a_batch_win(engine: &dyn KvEngine) {
    let doomed = Modify::DeleteRange(Cf::Default, range("a", "c"));
    let backwards = Modify::DeleteRange(Cf::Default, range("z", "a"));
    buffered(
        engine,
        vec![
            put(Cf::Default, "a", "1"),
            put(Cf::Default, "b", "1"),
            put(Cf::Default, "c", "1"),
            put(Cf::Lock, "a", "lock"),
            doomed,
            put(Cf::Default, "b", "2"),
            backwards,
        ],
    );
    assert_eq!(get(engine, Cf::Default, "a"), None);
    assert_eq!(get(engine, Cf::Default, "b"), Some("2".into()));
    assert_eq!(get(engine, Cf::Default, "c"), Some("1".into()));
    assert_eq!(get(engine, Cf::Lock, "a"), Some("lock".into()));
}

pub(crate) fn a_snapshot_does_not_see_later_writes(engine: &dyn KvEngine) {
    buffered(engine, vec![put(Cf::Default, "a", "1"), put(Cf::Write, "w", "1")]);
    let snapshot = engine.snapshot();
    buffered(engine, vec![put(Cf::Default, "a", "2"), Modify::Delete(Cf::Write, "w".into())]);
    engine.make_durable().unwrap();
    assert_eq!(snapshot.get(Cf::Default, b"a").unwrap(), Some("1".into()));
    assert_eq!(scan(&*snapshot, Cf::Write, &range("", ""), false).len(), 1);
    assert_eq!(get(engine, Cf::Default, "a"), Some("2".into()));
    assert_eq!(get(engine, Cf::Write, "w"), None);
}

pub(crate) fn a_scan_obeys_range_direction_and_break(engine: &dyn KvEngine) {
    buffered(engine, ["a", "b", "c", "d"].map(|key| put(Cf::Default, key, key)).to_vec());
    let snapshot = engine.snapshot();
    let all = |range: &KeyRange, reverse| scan(&*snapshot, Cf::Default, range, reverse);
    assert_eq!(keys(&all(&range("b", "d"), false)), ["b", "c"]);
    assert_eq!(keys(&all(&range("b", "d"), true)), ["c", "b"]);
    assert_eq!(keys(&all(&range("c", ""), true)), ["d", "c"]);
    assert_eq!(keys(&all(&range("", ""), false)), ["a", "b", "c", "d"]);
    assert!(all(&range("d", "b"), false).is_empty());
    let mut met = 0;
    snapshot
        .scan(Cf::Default, &range("", ""), false, &mut |_, _| {
            met += 1;
            if met == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!(met, 2);
}

pub(crate) fn only_durable_rows_are_persisted(engine: &dyn KvEngine) {
    let persisted = |key: &str| engine.get_persisted(Cf::Raft, key.as_bytes()).unwrap();
    buffered(engine, vec![put(Cf::Raft, "a", "1")]);
    assert_eq!(persisted("a"), None);
    engine.make_durable().unwrap();
    assert_eq!(persisted("a"), Some("1".into()));
    buffered(engine, vec![put(Cf::Raft, "a", "2")]);
    assert_eq!(persisted("a"), Some("1".into()));
    buffered(engine, vec![Modify::Delete(Cf::Raft, "a".into())]);
    assert_eq!(persisted("a"), Some("1".into()));
    let synced = WriteBatch { changes: vec![put(Cf::Raft, "b", "1")] };
    engine.write(synced, Durability::Synced).unwrap();
    assert_eq!(persisted("b"), Some("1".into()));
    assert_eq!(persisted("a"), None, "a synced write makes what is in front of it durable too");
}

pub(crate) fn a_range_moves_to_another_engine(from: &dyn KvEngine, to: &dyn KvEngine, dir: &Path) {
    buffered(
        from,
        vec![
            put(Cf::Default, "a", "outside"),
            put(Cf::Default, "b", "1"),
            put(Cf::Default, "c", "2"),
            put(Cf::Write, "b", "w"),
            put(Cf::Default, "d", "outside"),
        ],
    );
    let files = from.export(&*from.snapshot(), &range("b", "d"), dir).unwrap();
    assert_eq!(files.iter().map(|file| file.meta.keys).sum::<u64>(), 3);
    assert!(files.iter().all(|file| file.meta.cf != Cf::Lock.name()), "no rows, no file");
    let mut old: Vec<_> =
        ["a", "b", "bb", "d"].map(|key| put(Cf::Default, key, "old")).into_iter().collect();
    old.push(put(Cf::Lock, "c", "old"));
    buffered(to, old);
    for _ in 0..2 {
        to.replace_range(&range("b", "d"), &files).unwrap();
        let snapshot = to.snapshot();
        let rows = scan(&*snapshot, Cf::Default, &range("", ""), false);
        let expected = [("a", "old"), ("b", "1"), ("c", "2"), ("d", "old")];
        assert_eq!(rows, expected.map(|(key, value)| (Bytes::from(key), Bytes::from(value))));
        assert!(scan(&*snapshot, Cf::Lock, &range("", ""), false).is_empty());
        assert_eq!(get(to, Cf::Write, "b"), Some("w".into()));
        assert_eq!(to.get_persisted(Cf::Default, b"c").unwrap(), Some("2".into()));
    }
    let (_, empty) = (to.replace_range(&range("b", "d"), &[]).unwrap(), to.snapshot());
    assert_eq!(keys(&scan(&*empty, Cf::Default, &range("", ""), false)), ["a", "d"]);
}

pub(crate) fn a_damaged_file_changes_nothing(engine: &dyn KvEngine, dir: &Path) {
    buffered(engine, vec![put(Cf::Default, "a", "1"), put(Cf::Default, "b", "1")]);
    let files = engine.export(&*engine.snapshot(), &range("a", ""), dir).unwrap();
    buffered(engine, vec![put(Cf::Default, "a", "2")]);
    let mut content = std::fs::read(&files[0].path).unwrap();
    content[9] ^= 1;
    std::fs::write(&files[0].path, &content).unwrap();
    let refused = engine.replace_range(&range("a", ""), &files);
    assert!(matches!(refused, Err(StorageError::Checksum { .. })), "{refused:?}");
    content.pop();
    std::fs::write(&files[0].path, &content).unwrap();
    let refused = engine.replace_range(&range("a", ""), &files);
    assert!(matches!(refused, Err(StorageError::Inconsistent { .. })), "{refused:?}");
    assert_eq!(get(engine, Cf::Default, "a"), Some("2".into()));
}

/// A batch, and whether it is synced.
type Step = (Vec<Modify>, bool);
type Model = BTreeMap<(Cf, Bytes), Bytes>;

pub(crate) fn key_strategy() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), Just(0), Just(0xfe)], 1..3)
        .prop_map(Bytes::from)
}

pub(crate) fn step_strategy() -> impl Strategy<Value = Step> {
    let cf = prop::sample::select(Cf::ALL.to_vec());
    let change =
        (cf, key_strategy(), key_strategy(), 0..7).prop_map(|(cf, a, b, kind)| match kind {
            0 => Modify::Delete(cf, a),
            1 => Modify::DeleteRange(cf, KeyRange::new(a, b)),
            2 => Modify::DeleteRange(cf, KeyRange::new(a, Bytes::new())),
            3 => Modify::ReplaceRecord(a, b),
            _ => Modify::Put(cf, a, b),
        });
    (prop::collection::vec(change, 1..8), prop::bool::weighted(0.1))
}

pub(crate) fn apply_to_model(model: &mut Model, changes: &[Modify]) {
    for change in changes {
        match change {
            Modify::Put(cf, key, value) => {
                model.insert((*cf, key.clone()), value.clone());
            }
            Modify::Delete(cf, key) => {
                model.remove(&(*cf, key.clone()));
            }
            Modify::ReplaceRecord(key, value) => {
                if let Some(stored) = model.get_mut(&(Cf::Write, key.clone())) {
                    *stored = value.clone();
                }
            }
            Modify::DeleteRange(cf, range) => {
                model.retain(|(of, key), _| of != cf || !range.contains(key));
            }
        }
    }
}

pub(crate) fn assert_like_model(snapshot: &dyn KvSnapshot, model: &Model) {
    for cf in Cf::ALL {
        let rows = |start: &str, end: &str| -> Rows {
            let range = range(start, end);
            let inside = model.iter().filter(|((of, key), _)| *of == cf && range.contains(key));
            inside.map(|((_, key), value)| (key.clone(), value.clone())).collect()
        };
        assert_eq!(scan(snapshot, cf, &range("", ""), false), rows("", ""));
        let mut reversed = rows("a", "b");
        reversed.reverse();
        assert_eq!(scan(snapshot, cf, &range("a", "b"), true), reversed);
        for (key, value) in rows("", "") {
            assert_eq!(snapshot.get(cf, &key).unwrap(), Some(value));
        }
    }
}

pub(crate) fn batches_act_like_a_map(engine: &dyn KvEngine) {
    let config = ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() };
    proptest!(config, |(steps in prop::collection::vec(step_strategy(), 1..12))| {
        let everything = range("", "");
        buffered(engine, Cf::ALL.map(|cf| Modify::DeleteRange(cf, everything.clone())).to_vec());
        let mut model = Model::new();
        for (changes, synced) in steps {
            apply_to_model(&mut model, &changes);
            let durability = if synced { Durability::Synced } else { Durability::Buffered };
            engine.write(WriteBatch { changes }, durability).unwrap();
            assert_like_model(&*engine.snapshot(), &model);
        }
    });
}
