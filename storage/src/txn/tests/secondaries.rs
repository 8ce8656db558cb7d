//! Are all keys of an asynchronous commit locked? Whoever asks, and whenever, comes to the same end.
use super::*;

fn check(keys: &[&Key]) -> TxnCommand {
    let keys = keys.iter().map(|key| (*key).clone()).collect();
    TxnCommand::CheckSecondaryLocks { keys, start_ts: Timestamp(10) }
}

fn async_part(key: &Key) -> TxnCommand {
    let mut request = prewrite(vec![put(key)], 10);
    request.primary = super::key("primary");
    request.async_commit = Some(Vec::new());
    TxnCommand::Prewrite(request)
}

/// Locks at these keys; what the check answers as locked keys and commit timestamp.
fn seen(result: TxnResult) -> (Vec<Key>, u64) {
    match result {
        Ok(TxnReply::Secondaries { locks, commit_ts }) => {
            (locks.into_iter().map(|lock| lock.key).collect(), commit_ts.get())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_locked_is_answered_with_the_locks_and_changes_nothing() {
    let (mut world, a, b) = (World { max_ts: 20, ..World::default() }, key("a"), key("b"));
    world.run(&async_part(&a)).unwrap();
    world.run(&async_part(&b)).unwrap();
    let before = (world.stored(&a), world.stored(&b));
    for _ in 0..2 {
        match world.run(&check(&[&a, &b])) {
            Ok(TxnReply::Secondaries { locks, commit_ts }) => {
                let least: Vec<u64> = locks.iter().map(|lock| lock.min_commit_ts.get()).collect();
                assert_eq!((least, commit_ts), (vec![21, 21], Timestamp::ZERO));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((world.stored(&a), world.stored(&b)), before);
}

#[test]
fn a_missing_key_is_rolled_back_and_its_late_prewrite_refused() {
    let (mut world, a, b) = (World::default(), key("a"), key("b"));
    world.run(&async_part(&a)).unwrap();
    assert_eq!(seen(world.run(&check(&[&a, &b]))), (vec![], 0));
    let late = world.run(&async_part(&b));
    assert!(is_refused_as_rolled_back(&late), "{late:?}");
    assert_eq!(seen(world.run(&check(&[&a, &b]))), (vec![], 0), "the second to ask hears the same");
    let records = world.stored(&b).unwrap().versions;
    assert!(records[0].protects_rollback, "a later rollback does not take its place");
    world.run(&rollback(&b, 30)).unwrap();
    assert!(is_refused_as_rolled_back(&world.run(&async_part(&b))));
}

#[test]
fn one_committed_key_tells_the_commit_of_all() {
    let (mut world, a, b) = (World::default(), key("a"), key("b"));
    world.run(&async_part(&a)).unwrap();
    world.run(&async_part(&b)).unwrap();
    world.run(&commit(&b, 10, 15)).unwrap();
    assert_eq!(seen(world.run(&check(&[&a, &b]))), (vec![], 15));
    assert!(world.locked(&a).is_some(), "it is for the one who asks to commit it");
    world.run(&commit(&a, 10, 15)).unwrap();
    assert_eq!(seen(world.run(&check(&[&a, &b]))), (vec![], 15));
}

#[test]
fn a_pessimistic_lock_is_no_prewrite() {
    let (mut world, a) = (World::default(), key("a"));
    world.run(&TxnCommand::PessimisticLock(lock_request(&a, 10, 10))).unwrap();
    assert_eq!(seen(world.run(&check(&[&a]))), (vec![], 0));
    assert_eq!(world.locked(&a), None);
    let mut late = prewrite(vec![put(&a)], 10);
    late.for_update_ts = Timestamp(10);
    late.mutations[0].pessimistic = PessimisticAction::Check;
    let late = world.run(&TxnCommand::Prewrite(late));
    assert!(is_refused_as_rolled_back(&late), "{late:?}");
}

#[test]
fn the_lock_of_another_transaction_is_no_prewrite_and_stays() {
    let (mut world, a) = (World::default(), key("a"));
    world.run(&TxnCommand::Prewrite(prewrite(vec![put(&a)], 20))).unwrap();
    assert_eq!(seen(world.run(&check(&[&a]))), (vec![], 0));
    assert_eq!(world.locked(&a).unwrap().start_ts, Timestamp(20));
    world.run(&commit(&a, 20, 25)).unwrap();
    let late = world.run(&async_part(&a));
    assert!(is_refused_as_rolled_back(&late), "{late:?}");
}
