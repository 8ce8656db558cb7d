//! Commands beside garbage collection.
use super::*;
use crate::apply::ApplyBatch;
use crate::mvcc::WriteRecord;
use crate::mvcc::keys::{Ordered, split};
use crate::mvcc::reader::WALK_AT_MOST;
use std::ops::ControlFlow;
use troupe_types::txn::ReadView;
use troupe_types::{ReadCommand, UnixMillis, WriteCommand};

/// Records of `key` in the engine, newest first.
fn records(world: &World, key: &Key) -> Vec<(Timestamp, WriteRecord)> {
    let ordered = Ordered::of(key);
    let (snapshot, mut found) = (world.engine.snapshot(), Vec::new());
    let range = ordered.versions(Timestamp::MAX);
    snapshot
        .scan(Cf::Write, &range, false, &mut |row, value| {
            let (_, at) = split(row).unwrap();
            found.push((at, WriteRecord::decode(value).unwrap()));
            ControlFlow::Continue(())
        })
        .unwrap();
    found
}

/// The rollback of a transaction that began exactly when another one committed is a mark on that one's
/// record. A replica that is behind has collected the record, and applies the mark after that.
#[test]
fn a_late_mark_brings_no_collected_record_back() {
    let k = key("a");
    let mut leader = World::default();
    let mut behind = World::default();
    for world in [&mut leader, &mut behind] {
        world.run(&TxnCommand::Prewrite(prewrite(vec![put(&k)], 10))).unwrap();
        world.run(&commit(&k, 10, 20)).unwrap();
        let delete = Mutation { op: MutationOp::Delete, ..put(&k) };
        world.run(&TxnCommand::Prewrite(prewrite(vec![delete], 30))).unwrap();
        world.run(&commit(&k, 30, 40)).unwrap();
    }
    let snapshot = leader.engine.snapshot();
    let context = TxnContext {
        snapshot: &*snapshot,
        memory: &BTreeMap::new(),
        max_ts: Timestamp::ZERO,
        may_remember: false,
        gc_safe_point: Timestamp::ZERO,
    };
    let done = execute(&rollback(&k, 20), &context).unwrap();
    let [mark] = &done.changes[..] else { panic!("{:?}", done.changes) };
    assert!(mark.if_present);
    behind.engine.set_gc_safe_point(Timestamp(50));
    behind.engine.collect_garbage().unwrap();
    assert_eq!(records(&behind, &k), []);
    let command = WriteCommand::Txn { changes: done.changes.clone() };
    for world in [&leader, &behind] {
        let base = || world.engine.snapshot();
        let mut batch = ApplyBatch::new(&base);
        batch.apply(&command).unwrap();
        world.engine.write(batch.finish(), Durability::Buffered).unwrap();
    }
    assert_eq!(records(&behind, &k), [], "the value would be read again");
    assert!(records(&leader, &k)[1].1.protects_rollback);
}

/// Nothing of a settled transaction can come any more. A record of its rollback would take the place of
/// one that is collected here and not yet elsewhere, and leave that one's long value behind there.
#[test]
fn the_rollback_of_a_settled_transaction_leaves_no_record() {
    let k = key("a");
    let mut world = World { gc_safe_point: 50, ..World::default() };
    assert_eq!(world.run(&rollback(&k, 49)), Ok(TxnReply::Done));
    assert_eq!(records(&world, &k), []);
    assert_eq!(world.run(&rollback(&k, 50)), Ok(TxnReply::Done));
    assert_eq!(records(&world, &k).len(), 1);
}

/// A run of records that change nothing points to the change below, so that readers need not walk.
/// Collection may take that change away, together with everything below: then there is no value.
#[test]
fn a_hint_to_a_collected_change_leads_to_no_value() {
    let k = key("a");
    let mut world = World::default();
    world.run(&TxnCommand::Prewrite(prewrite(vec![put(&k)], 10))).unwrap();
    world.run(&commit(&k, 10, 11)).unwrap();
    let delete = Mutation { op: MutationOp::Delete, ..put(&k) };
    world.run(&TxnCommand::Prewrite(prewrite(vec![delete], 20))).unwrap();
    world.run(&commit(&k, 20, 21)).unwrap();
    let locks = 2 * WALK_AT_MOST;
    for i in 0..locks {
        let lock = Mutation { op: MutationOp::Lock, ..put(&k) };
        world.run(&TxnCommand::Prewrite(prewrite(vec![lock], 30 + 2 * i))).unwrap();
        world.run(&commit(&k, 30 + 2 * i, 31 + 2 * i)).unwrap();
    }
    let hint = |world: &World| records(world, &k)[0].1.last_change.unwrap();
    assert_eq!(hint(&world).commit_ts, Timestamp(21));
    assert!(hint(&world).distance > WALK_AT_MOST, "readers jump");
    let get = |world: &World, at: u64| {
        let view = ReadView::at(Timestamp(at));
        let command = ReadCommand::TxnGet { keys: vec![k.clone()], view };
        let now = UnixMillis(0);
        crate::read::read(&*world.engine.snapshot(), &command, now).unwrap()
    };
    let end = 31 + 2 * locks;
    let before = get(&world, end);
    world.engine.set_gc_safe_point(Timestamp(25));
    assert_eq!(world.engine.collect_garbage().unwrap().records, 2);
    assert_eq!(get(&world, end), before);
    // What is written on top copies the hint, and a new value is found above all.
    let lock = Mutation { op: MutationOp::Lock, ..put(&k) };
    world.run(&TxnCommand::Prewrite(prewrite(vec![lock], end + 1))).unwrap();
    world.run(&commit(&k, end + 1, end + 2)).unwrap();
    assert_eq!(get(&world, end + 3), before);
    let insert = MutationOp::Insert { value: "new".into(), expires_at: None };
    let insert = Mutation { op: insert, ..put(&k) };
    world.run(&TxnCommand::Prewrite(prewrite(vec![insert], end + 4))).unwrap();
    world.run(&commit(&k, end + 4, end + 5)).unwrap();
    assert_ne!(get(&world, end + 6), before);
}
