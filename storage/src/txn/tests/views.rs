//! How reads look at locks: read committed, locks passed by, and locks that count as committed. Each
//! rule holds for point reads and for scans.
use super::*;
use troupe_types::txn::{ReadIsolation, TxnRow};
use troupe_types::{KeyRange, ReadCommand, ReadReply, UnixMillis};

/// What a read sees of the one key there is; `Err`: blocked by the lock of who began then.
type Seen = Result<Option<(Bytes, u64)>, u64>;

fn row(row: Option<TxnRow>) -> Option<(Bytes, u64)> {
    row.map(|row| (row.value, row.commit_ts.get()))
}

fn seen(world: &World, view: &ReadView) -> Seen {
    let point = match world.get(&key("a"), view) {
        TxnValue::Row(found) => Ok(row(found)),
        TxnValue::Locked(lock) => Err(lock.start_ts.get()),
    };
    if view.ts == Timestamp::MAX {
        return point;
    }
    for reverse in [false, true] {
        assert_eq!(scanned(world, view, reverse), point, "a scan sees the same ({reverse})");
    }
    point
}

fn scanned(world: &World, view: &ReadView, reverse: bool) -> Seen {
    let (range, view) = (KeyRange::txn_space(), view.clone());
    let (limit, max_bytes, keys_only) = (10, 1 << 20, false);
    let scan = ReadCommand::TxnScan { range, view, limit, max_bytes, reverse, keys_only };
    let page = crate::read::read(&*world.engine.snapshot(), &scan, UnixMillis(0)).unwrap();
    match page {
        ReadReply::TxnRows { rows, lock: None, .. } => Ok(row(rows.into_iter().next())),
        ReadReply::TxnRows { lock: Some(lock), .. } => Err(lock.start_ts.get()),
        other => panic!("{other:?}"),
    }
}

fn old() -> Seen {
    Ok(Some(("old".into(), 2)))
}

/// `old` is committed at 2, and `op` is prewritten by the transaction that began at 10.
fn world(op: MutationOp) -> World {
    let (mut world, a) = (World::default(), key("a"));
    world.store(put_value(&a, "old"), 1, 2);
    world.run(&TxnCommand::Prewrite(prewrite(vec![mutation(&a, op)], 10))).unwrap();
    world
}

fn put_new() -> MutationOp {
    MutationOp::Put { value: "new".into(), expires_at: None }
}

fn view(ts: u64) -> ReadView {
    ReadView::at(Timestamp(ts))
}

fn bypassing(ts: u64, start_ts: u64) -> ReadView {
    ReadView { bypass: vec![Timestamp(start_ts)], ..view(ts) }
}

fn accessing(ts: u64, start_ts: u64) -> ReadView {
    ReadView { access: vec![Timestamp(start_ts)], ..view(ts) }
}

#[test]
fn a_snapshot_is_blocked_by_a_lock_that_may_commit_below_it_and_by_no_other() {
    let world = world(put_new());
    assert_eq!(seen(&world, &view(9)), old(), "it began later");
    assert_eq!(seen(&world, &view(10)), Err(10));
    assert_eq!(seen(&world, &view(u64::MAX)), Err(10));
}

#[test]
fn read_committed_looks_at_no_lock() {
    for op in [put_new(), MutationOp::Delete, MutationOp::Lock] {
        let mut world = world(op);
        let committed = |ts| ReadView { isolation: ReadIsolation::ReadCommitted, ..view(ts) };
        assert_eq!(seen(&world, &committed(50)), old());
        assert_eq!(seen(&world, &committed(u64::MAX)), old());
        assert_eq!(seen(&world, &committed(1)), Ok(None), "and at nothing newer than it asks for");
        world.run(&commit(&key("a"), 10, 20)).unwrap();
        assert_eq!(seen(&world, &committed(19)), old());
        assert!(seen(&world, &committed(20)).is_ok());
    }
}

#[test]
fn a_lock_that_only_locks_blocks_no_read() {
    let world = world(MutationOp::Lock);
    assert_eq!(seen(&world, &view(50)), old());
    assert_eq!(seen(&world, &view(u64::MAX)), old());
}

#[test]
fn a_lock_of_a_transaction_that_is_passed_by_is_not_there() {
    for op in [put_new(), MutationOp::Delete] {
        let world = world(op);
        assert_eq!(seen(&world, &bypassing(50, 10)), old());
        assert_eq!(seen(&world, &bypassing(50, 11)), Err(10), "another one is passed by");
    }
}

#[test]
fn a_lock_of_a_transaction_that_counts_as_committed_shows_what_it_holds_back() {
    let put = world(put_new());
    assert_eq!(seen(&put, &accessing(50, 10)), Ok(Some(("new".into(), 11))));
    assert_eq!(seen(&put, &accessing(50, 11)), Err(10), "another one counts as committed");
    let delete = world(MutationOp::Delete);
    assert_eq!(seen(&delete, &accessing(50, 10)), Ok(None));
    let long = "x".repeat(crate::mvcc::record::SHORT_VALUE_BYTES + 1);
    let value = Bytes::from(long.clone());
    let long_put = world(MutationOp::Put { value, expires_at: None });
    assert_eq!(seen(&long_put, &accessing(50, 10)), Ok(Some((long.into(), 11))));
}

#[test]
fn what_counts_as_committed_may_have_ended() {
    let (mut world, a) = (World::default(), key("a"));
    let op = MutationOp::Put { value: "new".into(), expires_at: Some(UnixMillis(100)) };
    world.run(&TxnCommand::Prewrite(prewrite(vec![mutation(&a, op)], at(10)))).unwrap();
    assert!(matches!(seen(&world, &accessing(at(99), at(10))), Ok(Some(_))));
    assert_eq!(seen(&world, &accessing(at(100), at(10))), Ok(None));
}

#[test]
fn who_is_passed_by_does_not_count_as_committed() {
    let both = ReadView { access: vec![Timestamp(10)], ..bypassing(50, 10) };
    assert_eq!(seen(&world(put_new()), &both), old());
}

#[test]
fn a_lock_that_was_pushed_behind_a_snapshot_lets_it_pass_but_not_a_read_of_the_newest() {
    let (mut world, a) = (World { max_ts: 30, ..World::default() }, key("a"));
    world.store(put_value(&a, "old"), 1, 2);
    let mut request = prewrite(vec![put(&a)], 10);
    request.async_commit = Some(Vec::new());
    assert_eq!(world.run(&TxnCommand::Prewrite(request)), prewritten(31, 0));
    assert_eq!(seen(&world, &view(30)), old());
    assert_eq!(seen(&world, &view(31)), Err(10));
    assert_eq!(seen(&world, &view(u64::MAX)), Err(10));
}
