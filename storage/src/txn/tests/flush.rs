//! Transactions larger than memory: parts that are flushed, and reads of what was.
use super::*;
use crate::mvcc::record::SHORT_VALUE_BYTES;

fn flush(mutations: Vec<Mutation>, start_ts: u64, generation: u64) -> TxnCommand {
    TxnCommand::Flush {
        primary: key("a"),
        mutations,
        start_ts: Timestamp(start_ts),
        lock_ttl_ms: 1_000,
        generation,
    }
}

/// What the transaction that began at 10 finds of its own; `Err`: the lock that removes the key.
fn buffered(world: &World, key: &Key, start_ts: u64) -> Result<Option<Bytes>, Box<LockInfo>> {
    let (snapshot, keys) = (world.engine.snapshot(), [key.clone()]);
    let found = crate::mvcc::view::buffer_get(&*snapshot, &keys, Timestamp(start_ts)).unwrap();
    match found.into_iter().next().unwrap() {
        TxnValue::Row(row) => Ok(row.map(|row| row.value)),
        TxnValue::Locked(lock) => Err(lock),
    }
}

const DONE: TxnResult =
    Ok(TxnReply::Prewritten { min_commit_ts: Timestamp::ZERO, one_pc_commit_ts: Timestamp::ZERO });

#[test]
fn only_the_transaction_itself_reads_what_it_has_flushed() {
    let (mut world, a) = (World::default(), key("a"));
    assert_eq!(world.run(&flush(vec![put_value(&a, "1")], 10, 1)), DONE);
    assert_eq!(buffered(&world, &a, 10), Ok(Some("1".into())));
    assert_eq!(buffered(&world, &a, 11), Ok(None), "another transaction");
    assert_eq!(buffered(&world, &key("b"), 10), Ok(None), "a key that it did not flush");
    let other = world.get(&a, &ReadView::at(Timestamp(20)));
    assert!(matches!(other, TxnValue::Locked(_)), "{other:?}");
    assert_eq!(world.value(&a, 9), None, "a snapshot before it began");
    world.run(&commit(&a, 10, 15)).unwrap();
    assert_eq!(world.value(&a, 20), Some("1".into()));
    assert_eq!(buffered(&world, &a, 10), Ok(None), "it is committed");
}

#[test]
fn a_removed_key_is_found_as_the_lock_that_removes_it() {
    let (mut world, a) = (World::default(), key("a"));
    world.store(put(&a), 1, 2);
    world.run(&flush(vec![mutation(&a, MutationOp::Delete)], 10, 1)).unwrap();
    assert_eq!(buffered(&world, &a, 10).unwrap_err().start_ts, Timestamp(10));
}

#[test]
fn a_pessimistic_lock_holds_nothing_that_could_be_read() {
    let (mut world, a) = (World::default(), key("a"));
    world.run(&TxnCommand::PessimisticLock(lock_request(&a, 10, 10))).unwrap();
    assert_eq!(buffered(&world, &a, 10), Ok(None));
}

#[test]
fn a_later_part_replaces_an_earlier_one_that_comes_late_or_twice_changes_nothing() {
    let (mut world, a) = (World::default(), key("a"));
    let long = "x".repeat(SHORT_VALUE_BYTES + 1);
    let first = flush(vec![put_value(&a, &long)], 10, 1);
    let second = flush(vec![put_value(&a, "2")], 10, 2);
    assert_eq!(world.run(&first), DONE);
    assert_eq!(world.run(&second), DONE);
    assert_eq!(buffered(&world, &a, 10), Ok(Some("2".into())));
    let late = world.run(&first);
    assert!(matches!(late, Err(TxnError::GenerationPassed { generation: 1, .. })), "{late:?}");
    assert_eq!(world.run(&second), DONE);
    assert_eq!(buffered(&world, &a, 10), Ok(Some("2".into())));
    // From short to long again: each part has its own value.
    assert_eq!(world.run(&flush(vec![put_value(&a, &long)], 10, 3)), DONE);
    assert_eq!(buffered(&world, &a, 10), Ok(Some(long.clone().into())));
    world.run(&commit(&a, 10, 15)).unwrap();
    assert_eq!(world.value(&a, 20), Some(long.into()));
}

#[test]
fn a_part_is_taken_whole_or_not_at_all() {
    let (mut world, a, b) = (World::default(), key("a"), key("b"));
    world.run(&TxnCommand::Prewrite(prewrite(vec![put(&b)], 7))).unwrap();
    match world.run(&flush(vec![put(&a), put(&b)], 10, 1)) {
        Ok(TxnReply::Blocked(locks)) => assert_eq!(locks[0].start_ts, Timestamp(7)),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.locked(&a), None);
    world.run(&rollback(&b, 7)).unwrap();
    assert_eq!(world.run(&flush(vec![put(&a), put(&b)], 10, 1)), DONE);
    assert!(world.locked(&a).is_some() && world.locked(&b).is_some());
}

#[test]
fn inserts_are_checked_by_the_flush_against_others_and_against_its_own_puts() {
    let insert =
        |key: &Key| mutation(key, MutationOp::Insert { value: "i".into(), expires_at: None });
    let exists = |result: TxnResult| matches!(result, Err(TxnError::AlreadyExists { .. }));
    let (mut world, a, b) = (World::default(), key("a"), key("b"));
    world.store(put(&a), 1, 2);
    assert!(exists(world.run(&flush(vec![insert(&a)], 10, 1))));
    assert_eq!(world.locked(&a), None);
    assert_eq!(world.run(&flush(vec![put(&b)], 10, 1)), DONE);
    assert!(exists(world.run(&flush(vec![insert(&b)], 10, 2))), "it has put it itself");
    let removed = mutation(&b, MutationOp::Delete);
    assert_eq!(world.run(&flush(vec![removed], 10, 2)), DONE);
    assert_eq!(world.run(&flush(vec![insert(&b)], 10, 3)), DONE);
    assert_eq!(buffered(&world, &b, 10), Ok(Some("i".into())));
}

#[test]
fn a_part_that_comes_behind_the_end_of_its_transaction_takes_no_lock() {
    let (mut world, a) = (World::default(), key("a"));
    let part = flush(vec![put(&a)], 10, 1);
    world.run(&part).unwrap();
    world.run(&commit(&a, 10, 15)).unwrap();
    assert_eq!(world.run(&part), DONE, "it was answered so before");
    assert_eq!(world.locked(&a), None);
    let (mut world, a) = (World::default(), key("a"));
    world.run(&rollback(&a, 10)).unwrap();
    let late = world.run(&part);
    assert!(is_refused_as_rolled_back(&late), "{late:?}");
    assert_eq!(world.locked(&a), None);
}

#[test]
fn a_commit_of_others_since_it_began_is_a_conflict() {
    let (mut world, a) = (World::default(), key("a"));
    world.store(put(&a), 11, 12);
    let refused = world.run(&flush(vec![put(&a)], 10, 1));
    let reason = ConflictReason::Optimistic;
    assert!(
        matches!(refused, Err(TxnError::WriteConflict { reason: found, .. }) if found == reason),
        "{refused:?}"
    );
}
