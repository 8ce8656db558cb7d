//! Faults that decide which code a client hears: answers that never come, readers that push, and locks
//! that others took away.
use super::world::{Engine, all_settings, begin, everything_runs, values};
use super::*;
use troupe_types::txn::{CheckTxnStatus, TxnCommand, TxnError};

fn both(commit: CommitProtocol) -> OneShot {
    let mut request =
        OneShot { then: vec![store("a", "1"), store("z", "1")], ..OneShot::default() };
    request.settings.commit = commit;
    request
}

fn lost() -> Option<RegionResult> {
    Some(Err(RegionError::OutcomeUnknown { why: UnknownReason::ConnectionLost }))
}

async fn code_of(world: &World, request: OneShot, ms: u64) -> Code {
    let service = world.service();
    let refused = service.txn_once(request, &options(&service, ms)).await.unwrap_err();
    refused.code
}

/// Commands with this name take effect or not, and nobody hears of it before it is mended.
fn loses_answers(world: &World, name: &'static str, takes_effect: bool) {
    world.engine.lock().unwrap().instead = Some(Box::new(move |engine: &mut Engine, command| {
        if command.name() != name {
            return None;
        }
        if takes_effect {
            let _nobody_hears_it = engine.execute(command);
        }
        lost()
    }));
}

#[actix::test]
async fn txn_outcome_unknown_is_for_a_commit_that_is_never_answered_and_it_is_settled_later() {
    let cases = [
        (CommitProtocol::TwoPhase, "commit", true),
        (CommitProtocol::TwoPhase, "commit", false),
        (CommitProtocol::Async, "prewrite", true),
        (CommitProtocol::Auto, "prewrite", true),
    ];
    for (commit, name, takes_effect) in cases {
        let world = World::new();
        loses_answers(&world, name, takes_effect);
        if commit != CommitProtocol::TwoPhase {
            // Nor can it be found out.
            world.engine.lock().unwrap().instead = Some(Box::new(move |engine, command| {
                if command.name() == name {
                    let _nobody_hears_it = engine.execute(command);
                }
                lost()
            }));
        }
        assert_eq!(code_of(&world, both(commit), 200).await, Code::TxnOutcomeUnknown);
        world.engine.lock().unwrap().instead = None;
        world.pass(120_000);
        let seen = values(&world.of_node(1).service(), &["a", "z"]).await;
        assert_eq!(seen[0], seen[1], "all or nothing");
        if takes_effect {
            assert_eq!(seen[0].as_deref(), Some("1"), "{commit:?}: the commit was there");
        }
    }
}

#[actix::test]
async fn a_prewrite_of_two_phases_that_is_never_answered_has_no_effect() {
    let world = World::new();
    loses_answers(&world, "prewrite", true);
    let code = code_of(&world, both(CommitProtocol::TwoPhase), 200).await;
    assert_ne!(code, Code::TxnOutcomeUnknown, "nothing was to be committed yet");
    world.engine.lock().unwrap().instead = None;
    world.pass(120_000);
    assert_eq!(values(&world.of_node(1).service(), &["a", "z"]).await, [None, None]);
}

/// A reader with a timestamp far ahead pushes the transaction before each of its commits.
#[actix::test]
async fn commit_ts_expired_is_for_one_that_readers_push_again_and_again() {
    let world = World::new();
    world.engine.lock().unwrap().instead = Some(Box::new(|engine: &mut Engine, command| {
        if let TxnCommand::Commit { keys, start_ts, commit_ts } = command {
            let check = CheckTxnStatus {
                primary: keys[0].clone(),
                start_ts: *start_ts,
                caller_start_ts: Timestamp(commit_ts.get() + 1_000_000),
                current_ts: *commit_ts,
                rollback_if_not_exist: true,
                force_sync_commit: false,
                resolving_pessimistic_lock: false,
                verify_is_primary: true,
            };
            engine.execute(&TxnCommand::CheckTxnStatus(check)).unwrap();
        }
        None
    }));
    let code = code_of(&world, both(CommitProtocol::TwoPhase), 300).await;
    assert_eq!(code, Code::CommitTsExpired);
    everything_runs().await;
    assert_eq!(world.engine.lock().unwrap().locks(), [], "its locks are gone");
    assert_eq!(values(&world.service(), &["a", "z"]).await, [None, None]);
}

#[actix::test]
async fn txn_rolled_back_is_for_one_whose_locks_somebody_took_away() {
    let world = World::new();
    world.engine.lock().unwrap().instead = Some(Box::new(|engine: &mut Engine, command| {
        if let TxnCommand::Commit { keys, start_ts, .. } = command {
            let (keys, start_ts) = (keys.clone(), *start_ts);
            engine.execute(&TxnCommand::Rollback { keys, start_ts }).unwrap();
        }
        None
    }));
    let code = code_of(&world, both(CommitProtocol::TwoPhase), 300).await;
    assert_eq!(code, Code::TxnRolledBack);
    everything_runs().await;
    assert_eq!(values(&world.service(), &["a", "z"]).await, [None, None]);
    world.engine.lock().unwrap().instead = None;
    let running = begin(&world.service(), both(CommitProtocol::TwoPhase), 5000);
    assert!(running.await.unwrap().is_ok(), "sent again, it commits");
}

/// The lock of a living transaction, which no reader can push.
fn held_by_another(world: &World) {
    let lock = troupe_types::txn::Prewrite {
        mutations: vec![troupe_types::txn::Mutation {
            key: k("a"),
            op: troupe_types::txn::MutationOp::Delete,
            assertion: troupe_types::txn::Assertion::None,
            pessimistic: troupe_types::txn::PessimisticAction::Skip,
        }],
        primary: k("a"),
        start_ts: Timestamp(77),
        lock_ttl_ms: u64::MAX,
        txn_size: 1,
        for_update_ts: Timestamp::ZERO,
        for_update_ts_checks: Vec::new(),
        min_commit_ts: Timestamp::ZERO,
        max_commit_ts: Timestamp::ZERO,
        async_commit: Some(Vec::new()),
        try_one_pc: false,
    };
    world.engine.lock().unwrap().execute(&TxnCommand::Prewrite(lock)).unwrap();
}

/// Seen at a real cluster: with less time than its patience, a write heard only that time was over.
#[actix::test]
async fn a_lock_that_is_in_the_way_until_the_deadline_is_named_to_writers_and_readers() {
    let world = World::new();
    held_by_another(&world);
    let service = world.service();
    for (name, settings) in all_settings() {
        let then = vec![store("a", "1"), store("z", "1")];
        let request = OneShot { then, settings, ..OneShot::default() };
        let refused = service.txn_once(request, &options(&service, 150)).await.unwrap_err();
        assert_eq!(refused.code, Code::LockWaitTimeout, "{name}: {}", refused.detail);
        match refused.txn.as_deref() {
            Some(TxnError::Locked(lock)) => assert_eq!(lock.start_ts, Timestamp(77), "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    let o = options(&service, 150);
    let read = service.txn_get(k("a"), None, &o).await.unwrap_err();
    assert_eq!(read.code, Code::LockWaitTimeout, "{}", read.detail);
    let o = options(&service, 150);
    let read = service.txn_batch_get(vec![k("a"), k("z")], None, &o).await.unwrap_err();
    assert_eq!(read.code, Code::LockWaitTimeout, "{}", read.detail);
}
