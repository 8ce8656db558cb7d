//! Tables of what the coordinator decides.
use super::buffer::{Occupied, WriteBuffer, Written};
use super::eval::{holds, sum};
use super::fate::{Fate, Judged, Secondaries, is_expired, judge, removal};
use super::plan::{Plan, Protocol, patience_ms, ttl_ms};
use super::reads::ReadSet;
use bytes::Bytes;
use troupe_types::txn::command::StatusAction;
use troupe_types::txn::session::{CommitProtocol, Comparison, Condition};
use troupe_types::txn::{LockInfo, LockKind, MutationOp, TxnCommand, TxnRow, TxnStatus};
use troupe_types::{Key, KeyRange, Timestamp};

fn value(text: &'static str) -> Written {
    Written::Value { value: Bytes::from(text), expires_at: None }
}

fn row(key: &'static str, text: &'static str) -> TxnRow {
    let (key, value) = (Key::from(key), Bytes::from(text));
    TxnRow { key, value, commit_ts: Timestamp(7), expires_at: None }
}

#[test]
fn a_buffer_lies_over_what_others_committed() {
    let mut buffer = WriteBuffer::default();
    buffer.write(Key::from("b"), Written::Deleted);
    buffer.write(Key::from("c"), value("mine"));
    buffer.write(Key::from("z"), value("outside"));
    let range = KeyRange::new(&b"a"[..], &b"d"[..]);
    let seen = buffer.overlay(vec![row("b", "1"), row("a", "1")], &range, true);
    let keys: Vec<&[u8]> = seen.iter().map(|row| row.key.as_ref()).collect();
    assert_eq!(keys, [b"c", b"a"]);
    assert_eq!(seen[0].commit_ts, Timestamp::ZERO);
}

#[test]
fn what_an_insert_becomes_depends_on_what_follows() {
    let mut buffer = WriteBuffer::default();
    for key in ["a", "b"] {
        buffer.insert(Key::from(key), Bytes::from("1"), None).unwrap();
    }
    assert_eq!(buffer.insert(Key::from("a"), Bytes::new(), None), Err(Occupied));
    buffer.write(Key::from("b"), Written::Deleted);
    buffer.write(Key::from("c"), Written::Deleted);
    buffer.insert(Key::from("c"), Bytes::from("1"), None).unwrap();
    let mutations = buffer.mutations(&|_| false, false);
    assert!(matches!(mutations[0].op, MutationOp::Insert { .. }));
    assert!(matches!(mutations[1].op, MutationOp::CheckNotExists));
    assert!(matches!(mutations[2].op, MutationOp::Put { .. }), "absent by its own doing");
    let plan = Plan::new(mutations, None).unwrap();
    assert_eq!(plan.primary, Key::from("a"));
    let protocol = plan.protocol(CommitProtocol::Auto, 2);
    assert_eq!(protocol, Protocol::TWO_PHASE, "a check leaves no lock to be found");
}

#[test]
fn conditions_on_absent_keys_and_numbers() {
    let is = |condition: Condition, row: Option<&TxnRow>| holds(&condition, row);
    assert_eq!(is(Condition::Value(Comparison::Ne, Bytes::new()), None), Ok(true));
    assert_eq!(is(Condition::Value(Comparison::Eq, Bytes::new()), None), Ok(false));
    assert_eq!(is(Condition::Version(Comparison::Eq, Timestamp::ZERO), None), Ok(true));
    assert_eq!(is(Condition::Int(Comparison::Gt, 9), Some(&row("a", "10"))), Ok(true));
    assert!(is(Condition::Int(Comparison::Gt, 9), Some(&row("a", "ten"))).is_err());
    assert_eq!(sum(Some(&row("a", "-3")), 5), Ok(Bytes::from("2")));
    assert!(sum(Some(&row("a", "9223372036854775807")), 1).is_err());
}

#[test]
fn secondaries_decide_together() {
    let all = |parts: &[(usize, u64)]| {
        parts.iter().fold(Secondaries::none(Timestamp(5)), |all, (asked, commit_ts)| {
            all.and(*asked, &[], Timestamp(*commit_ts))
        })
    };
    assert_eq!(all(&[(0, 0)]), Secondaries::Locked(Timestamp(5)));
    assert_eq!(all(&[(1, 0)]), Secondaries::Decided(Timestamp::ZERO));
    assert_eq!(all(&[(0, 0), (1, 9)]), Secondaries::Decided(Timestamp(9)));
}

#[test]
fn locks_live_by_size_and_the_younger_gives_way() {
    assert_eq!([0, 1 << 20, 64 << 20].map(ttl_ms), [3_000, 6_000, 20_000]);
    assert_eq!(patience_ms(Timestamp(9), Timestamp(3), 1_000, true), 60);
    assert_eq!(patience_ms(Timestamp(3), Timestamp(9), 1_000, true), 1_000);
    assert_eq!(patience_ms(Timestamp(9), Timestamp(3), 1_000, false), 1_000);
}

#[test]
fn a_read_set_names_the_key_that_differs() {
    let rows = |pairs: &[(&'static str, u64)]| {
        pairs.iter().map(|(key, ts)| (Key::from(*key), Timestamp(*ts))).collect::<Vec<_>>()
    };
    let read = rows(&[("a", 1), ("c", 1)]);
    assert_eq!(ReadSet::difference(&read, &read), None);
    let phantom = rows(&[("a", 1), ("b", 2), ("c", 1)]);
    assert_eq!(ReadSet::difference(&read, &phantom), Some(Key::from("b")));
    assert_eq!(ReadSet::difference(&read, &read[..1]), Some(Key::from("c")));
}

fn lock_of(start_ms: u64, ttl_ms: u64) -> LockInfo {
    LockInfo {
        key: Key::from("p"),
        primary: Key::from("p"),
        start_ts: Timestamp::compose(start_ms, 0),
        kind: LockKind::Put,
        ttl_ms,
        txn_size: 2,
        for_update_ts: Timestamp::ZERO,
        min_commit_ts: Timestamp::compose(start_ms, 9),
        use_async_commit: true,
        secondaries: vec![Key::from("s")],
    }
}

/// Storage judges by the same rule: at the very millisecond a lock is alive for both.
#[test]
fn a_lock_has_expired_only_behind_its_last_millisecond() {
    let lock = lock_of(1_000, 500);
    for (now_ms, expected) in [(1_499, false), (1_500, false), (1_501, true)] {
        assert_eq!(is_expired(&lock, Timestamp::compose(now_ms, 7)), expected, "at {now_ms}");
    }
    assert!(is_expired(&lock_of(1_000, 0), Timestamp::compose(1_000, 0)), "to be ended at once");
}

/// Whoever met a lock of the transaction asks the secondaries, be it one that was only locked
/// pessimistically when the coordinator died: nobody else may ever come by.
#[test]
fn the_secondaries_decide_an_expired_asynchronous_commit() {
    let alive =
        |lock: LockInfo| TxnStatus::Alive { lock: Box::new(lock), action: StatusAction::None };
    let ask = Judged::AskSecondaries {
        keys: vec![Key::from("s")],
        min_commit_ts: Timestamp::compose(1_000, 9),
    };
    let status = alive(lock_of(1_000, 500));
    assert_eq!(judge(&status, Timestamp::compose(1_501, 0)), ask);
    assert_eq!(judge(&status, Timestamp::compose(1_500, 0)), Judged::Fate(Fate::Alive));
    let ordinary = LockInfo { use_async_commit: false, ..lock_of(1_000, 500) };
    let alive_yet = judge(&alive(ordinary), Timestamp::compose(1_501, 0));
    assert_eq!(alive_yet, Judged::Fate(Fate::Alive), "its Region would have ended it");
    // What is then done with the lock that was met.
    let met = LockInfo { kind: LockKind::Pessimistic, ..lock_of(1_000, 500) };
    let ended = removal(&met, Fate::RolledBack);
    assert!(matches!(ended, Some(TxnCommand::PessimisticRollback { .. })), "{ended:?}");
}
