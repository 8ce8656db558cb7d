//! Lost writes are counted, and overwritten ones are not.
use super::fate;
use crate::workload::{History, Op, Outcome, Record};

/// Operations one after the other.
fn history(operations: &[(Op, Outcome)]) -> Vec<Record> {
    let mut history = History::default();
    for (op, outcome) in operations {
        let id = history.invoke(1, 1, *op);
        history.complete(id, *outcome);
    }
    history.records().to_vec()
}

const PUT_1: (Op, Outcome) = (Op::Put(1), Outcome::Done);
const PUT_2: (Op, Outcome) = (Op::Put(2), Outcome::Done);

fn read(value: Option<u64>) -> (Op, Outcome) {
    (Op::Get, Outcome::Read(value))
}

fn lost(operations: &[(Op, Outcome)]) -> Vec<Op> {
    fate(&history(operations)).lost.iter().map(|record| record.op).collect()
}

#[test]
fn a_write_that_was_overwritten_is_not_lost() {
    assert!(lost(&[PUT_1, PUT_2, read(Some(2))]).is_empty());
}

#[test]
fn a_write_after_the_one_that_is_there_is_lost() {
    assert_eq!(lost(&[PUT_1, PUT_2, read(Some(1))]), [Op::Put(2)]);
}

#[test]
fn all_writes_are_lost_where_nothing_is_and_nothing_was_deleted() {
    assert_eq!(lost(&[PUT_1, PUT_2, read(None)]), [Op::Put(1), Op::Put(2)]);
}

#[test]
fn a_deletion_explains_an_empty_place_only_for_what_was_written_before() {
    let deleted = (Op::Delete, Outcome::Done);
    assert!(lost(&[PUT_1, deleted, read(None)]).is_empty());
    assert_eq!(lost(&[PUT_1, deleted, PUT_2, read(None)]), [Op::Put(2)]);
    assert_eq!(lost(&[PUT_1, deleted, read(Some(1))]), [Op::Delete]);
}

#[test]
fn a_write_of_unknown_outcome_may_come_late() {
    let unknown = (Op::Put(1), Outcome::Unknown);
    assert!(lost(&[unknown, PUT_2, read(Some(1))]).is_empty());
}

#[test]
fn a_lost_swap_counts_and_a_failed_one_does_not() {
    let swap = |succeeded| {
        let op = Op::Cas { expect: Some(1), new: 2 };
        (op, Outcome::Swapped { succeeded, previous: Some(1) })
    };
    assert_eq!(lost(&[PUT_1, swap(true), read(Some(1))]).len(), 1);
    assert!(lost(&[PUT_1, swap(false), read(Some(1))]).is_empty());
}

#[test]
fn a_value_that_nobody_wrote_is_a_ghost() {
    assert!(fate(&history(&[PUT_1, read(Some(7))])).is_ghost);
    assert!(!fate(&history(&[PUT_1, read(Some(1))])).is_ghost);
}

#[test]
fn a_write_that_overlaps_the_read_may_be_behind_it() {
    let mut history = History::default();
    let write = history.invoke(1, 1, Op::Put(1));
    let read = history.invoke(2, 1, Op::Get);
    history.complete(read, Outcome::Read(None));
    history.complete(write, Outcome::Done);
    assert!(fate(history.records()).lost.is_empty());
}
