//! Assertions about values, and values that end.
use super::*;
use troupe_types::txn::LockKind;
use troupe_types::{Code, KeyRange, ReadCommand, ReadReply, UnixMillis};

fn asserted(key: &Key, assertion: Assertion) -> Mutation {
    Mutation { assertion, ..put(key) }
}

fn ending(key: &Key, at_ms: u64) -> Mutation {
    mutation(key, MutationOp::Put { value: "v".into(), expires_at: Some(UnixMillis(at_ms)) })
}

fn run_prewrite(world: &mut World, mutations: Vec<Mutation>, start_ts: u64) -> TxnResult {
    world.run(&TxnCommand::Prewrite(prewrite(mutations, start_ts)))
}

/// Whether the key has a value, as a failed assertion tells, and the commit that it names.
fn failed(result: TxnResult) -> (bool, u64) {
    match result {
        Err(TxnError::AssertionFailed { exists, existing_commit_ts, .. }) => {
            (exists, existing_commit_ts.get())
        }
        other => panic!("{other:?}"),
    }
}

/// Nothing of the API asserts anything: only commands of another coordinator can raise
/// `ASSERTION_FAILED`.
#[test]
fn an_assertion_that_does_not_hold_is_refused_and_nothing_is_locked() {
    let (mut world, a, b) = (World::default(), key("a"), key("b"));
    world.store(put(&a), 1, 2);
    let other = put(&key("c"));
    let absent = vec![other.clone(), asserted(&a, Assertion::NotExist)];
    let refused = run_prewrite(&mut world, absent, 10);
    assert_eq!(refused.as_ref().unwrap_err().code(), Code::AssertionFailed);
    assert_eq!(failed(refused), (true, 2));
    let present = vec![other, asserted(&b, Assertion::Exist)];
    assert_eq!(failed(run_prewrite(&mut world, present, 10)), (false, 0));
    assert_eq!((world.locked(&a), world.stored(&b), world.stored(&key("c"))), (None, None, None));
}

#[test]
fn an_assertion_that_holds_changes_nothing_else_also_when_it_is_repeated() {
    let (mut world, a, b) = (World::default(), key("a"), key("b"));
    world.store(put(&a), 1, 2);
    let both = vec![asserted(&a, Assertion::Exist), asserted(&b, Assertion::NotExist)];
    for _ in 0..2 {
        assert_eq!(run_prewrite(&mut world, both.clone(), 10), prewritten(0, 0));
    }
    world.run(&commit(&b, 10, 15)).unwrap();
    // Its own value is there by now: that is no reason to refuse the repeated delivery.
    assert_eq!(run_prewrite(&mut world, both, 10), prewritten(0, 0));
}

#[test]
fn an_assertion_speaks_of_the_snapshot_only_after_conflicts_and_locks_are_ruled_out() {
    let (mut world, a, b) = (World::default(), key("a"), key("b"));
    world.store(put(&a), 20, 21);
    let late = run_prewrite(&mut world, vec![asserted(&a, Assertion::NotExist)], 10);
    assert!(matches!(late, Err(TxnError::WriteConflict { .. })), "{late:?}");
    run_prewrite(&mut world, vec![put(&b)], 5).unwrap();
    let blocked = vec![asserted(&a, Assertion::NotExist), put(&b)];
    let blocked = run_prewrite(&mut world, blocked, 30);
    assert!(matches!(blocked, Ok(TxnReply::Blocked(_))), "{blocked:?}");
}

#[test]
fn a_value_that_has_ended_is_absent_for_assertions_and_inserts() {
    let (mut world, a) = (World::default(), key("a"));
    world.store(ending(&a, 100), at(10), at(11));
    let exists = vec![asserted(&a, Assertion::Exist)];
    assert_eq!(failed(run_prewrite(&mut world, exists.clone(), at(100))), (false, 0));
    let insert = mutation(&a, MutationOp::Insert { value: "i".into(), expires_at: None });
    let early = run_prewrite(&mut world, vec![insert.clone()], at(99));
    assert!(matches!(early, Err(TxnError::AlreadyExists { .. })), "{early:?}");
    let check = mutation(&a, MutationOp::CheckNotExists);
    assert_eq!(run_prewrite(&mut world, vec![check], at(100)), prewritten(0, 0));
    assert_eq!(run_prewrite(&mut world, vec![insert], at(100)), prewritten(0, 0));
}

#[test]
fn every_reader_of_a_moment_agrees_whether_a_value_has_ended() {
    let (mut world, a) = (World::default(), key("a"));
    world.store(ending(&a, 100), at(10), at(11));
    assert_eq!(world.value(&a, at(100) - 1), Some("v".into()));
    assert_eq!(world.value(&a, at(100)), None);
    // The newest has no timestamp: it goes by the clock that comes with the read.
    let newest = |now| ReadView { now: UnixMillis(now), ..ReadView::at(Timestamp::MAX) };
    assert!(matches!(world.get(&a, &newest(99)), TxnValue::Row(Some(_))));
    assert!(matches!(world.get(&a, &newest(100)), TxnValue::Row(None)));
    // An older version does not come back.
    world.store(put(&a), at(200), at(201));
    world.store(ending(&a, 300), at(210), at(211));
    assert_eq!(world.value(&a, at(300)), None);
}

#[test]
fn every_way_to_commit_keeps_the_end_of_a_value() {
    for way in ["two phases", "asynchronous", "one phase"] {
        let (mut world, a) = (World { max_ts: at(11), ..World::default() }, key("a"));
        let mut request = prewrite(vec![ending(&a, 100)], at(10));
        request.async_commit = (way == "asynchronous").then(Vec::new);
        request.try_one_pc = way == "one phase";
        world.run(&TxnCommand::Prewrite(request)).unwrap();
        if way != "one phase" {
            world.run(&commit(&a, at(10), at(12))).unwrap();
        }
        let stored = world.stored(&a).unwrap();
        assert_eq!(stored.versions[0].expires_at, Some(UnixMillis(100)), "{way}");
        assert_eq!(world.value(&a, at(99)), Some("v".into()), "{way}");
        assert_eq!(world.value(&a, at(100)), None, "{way}");
    }
}

#[test]
fn a_scan_and_a_pessimistic_lock_see_no_ended_value() {
    let (mut world, a, b) = (World::default(), key("a"), key("b"));
    world.store(ending(&a, 100), at(10), at(11));
    world.store(put(&b), at(10), at(11));
    let scan = ReadCommand::TxnScan {
        range: KeyRange::txn_space(),
        view: ReadView::at(Timestamp(at(100))),
        limit: 10,
        max_bytes: 1 << 20,
        reverse: false,
        keys_only: false,
    };
    let page = crate::read::read(&*world.engine.snapshot(), &scan, UnixMillis(0)).unwrap();
    let ReadReply::TxnRows { rows, .. } = page else { panic!("{page:?}") };
    assert_eq!(rows.iter().map(|row| &row.key).collect::<Vec<_>>(), [&b]);
    let mut request = lock_request(&a, at(100), at(100));
    request.return_values = true;
    match world.run(&TxnCommand::PessimisticLock(request)) {
        Ok(TxnReply::Locked(keys)) => assert!(!keys[0].exists && keys[0].value.is_none()),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.locked(&a).unwrap().kind, LockKind::Pessimistic);
}
