//! Heartbeats and cleanup: each rule once, also when deliveries repeat, come late, or change places.
use super::*;
use troupe_types::txn::WriteKind;

fn beat(primary: &Key, start_ts: u64, ttl_ms: u64) -> TxnCommand {
    TxnCommand::HeartBeat { primary: primary.clone(), start_ts: Timestamp(start_ts), ttl_ms }
}

fn cleanup(key: &Key, start_ts: u64, current_ts: u64) -> TxnCommand {
    let (start_ts, current_ts) = (Timestamp(start_ts), Timestamp(current_ts));
    TxnCommand::Cleanup { key: key.clone(), start_ts, current_ts }
}

fn ask(primary: &Key, start_ts: u64, current_ts: u64) -> TxnCommand {
    TxnCommand::CheckTxnStatus(CheckTxnStatus {
        primary: primary.clone(),
        start_ts: Timestamp(start_ts),
        caller_start_ts: Timestamp::ZERO,
        current_ts: Timestamp(current_ts),
        rollback_if_not_exist: true,
        force_sync_commit: false,
        resolving_pessimistic_lock: false,
        verify_is_primary: true,
    })
}

/// A key locked at 100 ms for 50 ms.
fn one_locked() -> (World, Key) {
    let (mut world, a) = (World::default(), key("a"));
    let mut request = prewrite(vec![put(&a)], at(100));
    request.lock_ttl_ms = 50;
    world.run(&TxnCommand::Prewrite(request)).unwrap();
    (world, a)
}

#[test]
fn a_heartbeat_makes_a_lock_live_longer_and_never_shorter() {
    let (mut world, a) = one_locked();
    assert_eq!(world.run(&beat(&a, at(100), 500)), Ok(TxnReply::Alive { ttl_ms: 500 }));
    // The one before it comes late, and the newest once more.
    assert_eq!(world.run(&beat(&a, at(100), 200)), Ok(TxnReply::Alive { ttl_ms: 500 }));
    assert_eq!(world.run(&beat(&a, at(100), 500)), Ok(TxnReply::Alive { ttl_ms: 500 }));
    assert_eq!(world.locked(&a).unwrap().ttl_ms, 500);
    let alive = world.run(&ask(&a, at(100), at(600))).unwrap();
    assert!(matches!(alive, TxnReply::Status(TxnStatus::Alive { .. })), "{alive:?}");
    let over = world.run(&ask(&a, at(100), at(601))).unwrap();
    assert!(matches!(over, TxnReply::Status(TxnStatus::RolledBack { .. })), "{over:?}");
}

#[test]
fn a_heartbeat_revives_a_lock_that_expired_while_nobody_asked() {
    let (mut world, a) = one_locked();
    world.run(&beat(&a, at(100), 10_000)).unwrap();
    let asked = world.run(&ask(&a, at(100), at(9_000))).unwrap();
    assert!(matches!(asked, TxnReply::Status(TxnStatus::Alive { .. })), "{asked:?}");
    assert_eq!(world.run(&commit(&a, at(100), at(9_001))), Ok(TxnReply::Done));
}

#[test]
fn a_heartbeat_finds_only_a_lock_of_its_own_transaction_and_leaves_nothing() {
    let (mut world, a) = one_locked();
    let refused = |result: TxnResult| matches!(result, Err(TxnError::TxnNotFound { .. }));
    let before = world.stored(&a);
    assert!(refused(world.run(&beat(&a, at(99), 500))));
    assert!(refused(world.run(&beat(&key("b"), at(100), 500))));
    assert_eq!((world.stored(&a), world.stored(&key("b"))), (before, None));
    world.run(&commit(&a, at(100), at(101))).unwrap();
    assert!(refused(world.run(&beat(&a, at(100), 500))), "it is committed");
    let (mut world, a) = one_locked();
    world.run(&rollback(&a, at(100))).unwrap();
    assert!(refused(world.run(&beat(&a, at(100), 500))), "it is rolled back");
    assert_eq!(world.locked(&a), None);
}

#[test]
fn a_heartbeat_reaches_a_lock_that_is_held_in_memory() {
    let (mut world, a) = (World { may_remember: true, ..World::default() }, key("a"));
    world.run(&TxnCommand::PessimisticLock(lock_request(&a, 10, 10))).unwrap();
    assert_eq!(world.run(&beat(&a, 10, 777)), Ok(TxnReply::Alive { ttl_ms: 777 }));
    assert_eq!(world.memory[&a].ttl_ms, 777);
    assert_eq!(world.stored(&a), None, "it stays in memory");
}

#[test]
fn cleanup_leaves_a_living_transaction_alone_and_names_its_lock() {
    let (mut world, a) = one_locked();
    let before = world.stored(&a);
    match world.run(&cleanup(&a, at(100), at(150))) {
        Err(TxnError::Locked(lock)) => assert_eq!(lock.start_ts, Timestamp(at(100))),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.stored(&a), before);
    assert_eq!(world.run(&commit(&a, at(100), at(160))), Ok(TxnReply::Done));
}

#[test]
fn cleanup_of_an_expired_lock_keeps_a_late_prewrite_out() {
    let (mut world, a) = one_locked();
    assert_eq!(world.run(&cleanup(&a, at(100), at(151))), Ok(TxnReply::Done));
    assert_eq!(world.run(&cleanup(&a, at(100), at(151))), Ok(TxnReply::Done), "once more");
    assert_eq!(world.locked(&a), None);
    let records = world.stored(&a).unwrap().versions;
    assert_eq!((records.len(), records[0].kind), (1, WriteKind::Rollback));
    assert!(records[0].protects_rollback);
    let late = world.run(&TxnCommand::Prewrite(prewrite(vec![put(&a)], at(100))));
    assert!(is_refused_as_rolled_back(&late), "{late:?}");
    let late = world.run(&commit(&a, at(100), at(160)));
    assert!(matches!(late, Err(TxnError::LockNotFound { .. })), "{late:?}");
}

#[test]
fn cleanup_without_a_time_ends_a_living_transaction() {
    let (mut world, a) = one_locked();
    assert_eq!(world.run(&cleanup(&a, at(100), 0)), Ok(TxnReply::Done));
    assert_eq!(world.locked(&a), None);
}

#[test]
fn cleanup_that_overtakes_the_prewrite_wins() {
    let (mut world, a) = (World::default(), key("a"));
    assert_eq!(world.run(&cleanup(&a, at(100), at(100))), Ok(TxnReply::Done));
    let late = world.run(&TxnCommand::Prewrite(prewrite(vec![put(&a)], at(100))));
    assert!(is_refused_as_rolled_back(&late), "{late:?}");
    assert_eq!(world.locked(&a), None);
}

#[test]
fn cleanup_behind_the_commit_is_refused_and_changes_nothing() {
    let (mut world, a) = one_locked();
    world.run(&commit(&a, at(100), at(120))).unwrap();
    let before = world.stored(&a);
    match world.run(&cleanup(&a, at(100), at(9_000))) {
        Err(TxnError::Committed { commit_ts, .. }) => assert_eq!(commit_ts.get(), at(120)),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.stored(&a), before);
}

#[test]
fn cleanup_leaves_the_lock_of_another_where_it_is() {
    let (mut world, a) = one_locked();
    assert_eq!(world.run(&cleanup(&a, at(90), at(9_000))), Ok(TxnReply::Done));
    assert_eq!(world.locked(&a).unwrap().start_ts.get(), at(100));
    assert_eq!(world.run(&commit(&a, at(100), at(120))), Ok(TxnReply::Done));
    assert_eq!(world.value(&a, at(130)), Some("v".into()));
    let late = world.run(&TxnCommand::Prewrite(prewrite(vec![put(&a)], at(90))));
    assert!(is_refused_as_rolled_back(&late), "{late:?}");
}
