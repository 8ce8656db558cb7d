//! Every command, alone and behind others in one batch; and the whole against a map.
use super::*;
use crate::engine::memory::MemoryEngine;
use crate::engine::{Durability, KvEngine};
use proptest::prelude::*;
use std::cell::Cell;

const NOW: UnixMillis = UnixMillis(1_000);

fn set(value: &str) -> RawChange {
    RawChange::Put { value: Bytes::copy_from_slice(value.as_bytes()), expires_at: None }
}

fn write(key: &'static str, change: RawChange) -> WriteCommand {
    WriteCommand::RawWrite { changes: vec![(key.into(), change)] }
}

fn swap(key: &'static str, expect: RawExpectation, change: RawChange) -> WriteCommand {
    WriteCommand::RawCompareAndSwap { key: key.into(), expect, change, now: NOW }
}

fn swapped(succeeded: bool, previous: Option<&'static str>) -> WriteReply {
    WriteReply::Swapped { succeeded, previous: previous.map(Bytes::from) }
}

/// Applies `commands` as one batch and writes it.
fn apply(engine: &MemoryEngine, commands: &[WriteCommand]) -> Vec<WriteReply> {
    let base = || engine.snapshot();
    let mut batch = ApplyBatch::new(&base);
    let replies = commands.iter().map(|command| batch.apply(command).unwrap()).collect();
    engine.write(batch.finish(), Durability::Buffered).unwrap();
    replies
}

fn stored(engine: &MemoryEngine, key: &str) -> Option<Bytes> {
    let stored = engine.get(Cf::Default, key.as_bytes()).unwrap();
    stored.map(|bytes| RawValue::decode(&bytes).unwrap().value)
}

#[test]
fn an_expectation_decides() {
    use RawExpectation::{Absent, Equals, Hash, NotHash, Present};
    let hash = |value: &str| value_hash(value.as_bytes());
    for (expect, when_absent, when_old) in [
        (Absent, true, false),
        (Present, false, true),
        (Equals("old".into()), false, true),
        (Equals("other".into()), false, false),
        (Hash(hash("old")), false, true),
        (Hash(hash("other")), false, false),
        (NotHash(hash("old")), true, false),
        (NotHash(hash("other")), true, true),
    ] {
        let engine = MemoryEngine::new();
        let replies = apply(&engine, &[swap("k", expect.clone(), set("new"))]);
        assert_eq!(replies, [swapped(when_absent, None)], "{expect:?} of nothing");
        assert_eq!(stored(&engine, "k"), when_absent.then(|| "new".into()));
        apply(&engine, &[write("k", set("old"))]);
        let replies = apply(&engine, &[swap("k", expect.clone(), RawChange::Delete)]);
        assert_eq!(replies, [swapped(when_old, Some("old"))], "{expect:?} of a value");
        assert_eq!(stored(&engine, "k").is_none(), when_old);
    }
}

#[test]
fn an_expired_value_is_absent() {
    let engine = MemoryEngine::new();
    let until = |at| RawChange::Put { value: "v".into(), expires_at: Some(UnixMillis(at)) };
    apply(&engine, &[write("gone", until(1_000)), write("there", until(1_001))]);
    let absent = RawExpectation::Absent;
    let replies =
        apply(&engine, &[swap("gone", absent.clone(), set("n")), swap("there", absent, set("n"))]);
    assert_eq!(replies, [swapped(true, None), swapped(false, Some("v"))]);
}

#[test]
fn later_commands_of_a_batch_see_earlier_ones() {
    let engine = MemoryEngine::new();
    apply(&engine, &[write("b", set("base")), write("c", set("base"))]);
    let all = KeyRange::new("a", "c");
    let replies = apply(
        &engine,
        &[
            write("a", set("1")),
            swap("a", RawExpectation::Equals("1".into()), set("2")),
            WriteCommand::RawDeleteRange { range: all },
            swap("a", RawExpectation::Absent, set("3")),
            swap("b", RawExpectation::Absent, set("4")),
            swap("c", RawExpectation::Equals("base".into()), RawChange::Delete),
            swap("c", RawExpectation::Present, set("5")),
        ],
    );
    let swaps: Vec<_> = replies.into_iter().filter(|reply| *reply != WriteReply::Done).collect();
    assert_eq!(
        swaps,
        [
            swapped(true, Some("1")),
            swapped(true, None),
            swapped(true, None),
            swapped(true, Some("base")),
            swapped(false, None),
        ]
    );
    let rows = ["a", "b", "c"].map(|key| stored(&engine, key));
    assert_eq!(rows, [Some("3".into()), Some("4".into()), None]);
}

#[test]
fn rows_of_pd_change_together_or_not_at_all() {
    let engine = MemoryEngine::new();
    let system = |expect: &[(&'static str, Option<&'static str>)], rows: &[_]| {
        let own = |rows: &[(&'static str, Option<&'static str>)]| {
            rows.iter().map(|(key, row)| (Key::from(*key), row.map(Bytes::from))).collect()
        };
        WriteCommand::System { expect: own(expect), rows: own(rows) }
    };
    let get = |key: &str| engine.get(Cf::Default, key.as_bytes()).unwrap();
    let first = system(&[("sa", None)], &[("sa", Some("1")), ("sb", Some("1"))]);
    assert_eq!(apply(&engine, &[first.clone(), first]), [WriteReply::Done, WriteReply::Rejected]);
    let mixed = system(&[("sa", Some("1")), ("sb", Some("other"))], &[("sa", Some("2"))]);
    assert_eq!(apply(&engine, &[mixed]), [WriteReply::Rejected]);
    assert_eq!(get("sa"), Some("1".into()), "a rejected command changes nothing");
    let moved = system(&[("sa", Some("1"))], &[("sa", None), ("sc", Some("1"))]);
    assert_eq!(apply(&engine, &[moved]), [WriteReply::Done]);
    assert_eq!(get("sa"), None);
    assert_eq!(get("sc"), Some("1".into()));
}

#[test]
fn blind_writes_read_nothing() {
    let taken = Cell::new(0);
    let engine = MemoryEngine::new();
    let base = || {
        taken.set(taken.get() + 1);
        engine.snapshot()
    };
    let mut batch = ApplyBatch::new(&base);
    batch.apply(&write("a", set("1"))).unwrap();
    let range = KeyRange::new("b", "c");
    batch.apply(&WriteCommand::RawDeleteRange { range }).unwrap();
    batch.put_raw_cf(Cf::Raft, "A".into(), "1".into());
    assert_eq!(taken.get(), 0);
    let own = swap("a", RawExpectation::Present, set("2"));
    assert_eq!(batch.apply(&own).unwrap(), swapped(true, Some("1")));
    assert_eq!(taken.get(), 0, "a key that the batch wrote needs no snapshot");
    for _ in 0..2 {
        batch.apply(&swap("x", RawExpectation::Absent, RawChange::Delete)).unwrap();
    }
    assert_eq!(taken.get(), 1);
    assert_eq!(batch.len(), 6);
}

#[test]
fn a_row_of_the_caller_is_no_user_row() {
    let engine = MemoryEngine::new();
    let base = || engine.snapshot();
    let mut batch = ApplyBatch::new(&base);
    assert!(batch.is_empty());
    batch.put_raw_cf(Cf::Raft, "k".into(), "mine".into());
    batch.delete_raw_cf(Cf::Lock, "k".into());
    assert_eq!(
        batch.apply(&swap("k", RawExpectation::Present, set("1"))).unwrap(),
        swapped(false, None)
    );
    let expected =
        [Modify::Put(Cf::Raft, "k".into(), "mine".into()), Modify::Delete(Cf::Lock, "k".into())];
    assert_eq!(batch.finish().changes, expected);
}

#[test]
fn a_value_that_does_not_decode_is_the_same_error_everywhere() {
    let engine = MemoryEngine::new();
    let broken = Modify::Put(Cf::Default, "k".into(), Bytes::from_static(&[7, 99]));
    engine.write(WriteBatch { changes: vec![broken] }, Durability::Buffered).unwrap();
    let base = || engine.snapshot();
    let mut batch = ApplyBatch::new(&base);
    let error = batch.apply(&swap("k", RawExpectation::Present, set("1"))).unwrap_err();
    assert!(error.is_deterministic());
    assert!(batch.is_empty(), "a failed command leaves no change");
}

fn command_strategy() -> impl Strategy<Value = WriteCommand> {
    let key = || prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(Key::from);
    let change = || {
        let at = prop::option::of(999..1002_u64);
        prop_oneof![
            3 => (key(), at).prop_map(|(value, at)| RawChange::Put {
                value,
                expires_at: at.map(UnixMillis),
            }),
            1 => Just(RawChange::Delete),
        ]
    };
    let expect = prop_oneof![
        Just(RawExpectation::Absent),
        Just(RawExpectation::Present),
        key().prop_map(RawExpectation::Equals),
    ];
    prop_oneof![
        prop::collection::vec((key(), change()), 1..3)
            .prop_map(|changes| WriteCommand::RawWrite { changes }),
        (key(), expect, change()).prop_map(|(key, expect, change)| {
            WriteCommand::RawCompareAndSwap { key, expect, change, now: NOW }
        }),
        (key(), key()).prop_map(|(start, end)| WriteCommand::RawDeleteRange {
            range: KeyRange::new(start, end),
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// One batch of commands does what each of them does in a batch of its own.
    #[test]
    fn a_batch_is_its_commands_one_by_one(
        before in prop::collection::vec(command_strategy(), 0..6),
        commands in prop::collection::vec(command_strategy(), 1..12),
    ) {
        let (together, single) = (MemoryEngine::new(), MemoryEngine::new());
        apply(&together, &before);
        apply(&single, &before);
        let replies = apply(&together, &commands);
        let one_by_one: Vec<_> =
            commands.iter().flat_map(|c| apply(&single, std::slice::from_ref(c))).collect();
        prop_assert_eq!(replies, one_by_one);
        for key in ["a", "b", "c", "d"] {
            let of = |engine: &MemoryEngine| engine.get(Cf::Default, key.as_bytes()).unwrap();
            prop_assert_eq!(of(&together), of(&single));
        }
    }
}
