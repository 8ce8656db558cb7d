//! Small random histories: the checker agrees with the definition, tried order by order.
use crate::sim::checkers::linear::{Verdict, check_key};
use crate::workload::{Op, Outcome, Record, Value};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::cell::Cell;

/// Is there an order of all that was done, and of some of what perhaps was, that a register would
/// go through, and in which nothing comes before what returned before it began?
fn by_definition(left: &[Record], state: Option<Value>) -> bool {
    let is_unknown = |record: &Record| record.outcome == Outcome::Unknown;
    if left.iter().all(is_unknown) {
        return true;
    }
    left.iter().enumerate().any(|(i, record)| {
        let mut rest = left.to_vec();
        rest.remove(i);
        let end = |other: &Record| other.returned.filter(|_| !is_unknown(other));
        let is_first = rest.iter().all(|other| end(other).is_none_or(|at| at >= record.invoked));
        let after = after(record, state);
        is_first && after.is_some_and(|after| by_definition(&rest, after))
    })
}

/// What is there after `record` took effect; `None` if its outcome would be another one.
fn after(record: &Record, state: Option<Value>) -> Option<Option<Value>> {
    let (after, outcome) = match record.op {
        Op::Get => (state, Outcome::Read(state)),
        Op::Put(value) => (Some(value), Outcome::Done),
        Op::Delete => (None, Outcome::Done),
        Op::Cas { expect, new } => {
            let succeeded = state == expect;
            let after = if succeeded { Some(new) } else { state };
            (after, Outcome::Swapped { succeeded, previous: state })
        }
    };
    let is_so = [Outcome::Unknown, outcome].contains(&record.outcome);
    is_so.then_some(after)
}

/// Operation number `number`, from random numbers: what, when, how long, and which outcome.
fn record(number: usize, (kind, value, begin, length, came): (u8, u64, u64, u64, u8)) -> Record {
    let own = number as u64 + 1;
    let some = (value > 0).then_some(value);
    let op = match kind {
        0..4 => Op::Get,
        4..7 => Op::Put(own),
        7 => Op::Delete,
        _ => Op::Cas { expect: some, new: own },
    };
    let outcome = match (op, came) {
        (_, 0) => Outcome::Failed,
        (_, 1..3) => Outcome::Unknown,
        (Op::Get, _) => Outcome::Read(some),
        (Op::Put(_) | Op::Delete, _) => Outcome::Done,
        (Op::Cas { expect, .. }, 3..8) => Outcome::Swapped { succeeded: true, previous: expect },
        (Op::Cas { expect, .. }, _) => {
            let previous = (own > 1).then_some(own - 1);
            Outcome::Swapped { succeeded: expect == previous, previous }
        }
    };
    let returned = Some(begin * 2 + length * 2 + 1);
    Record { client: 0, key: 0, op, invoked: begin * 2, returned, outcome }
}

fn histories() -> impl Strategy<Value = Vec<Record>> {
    let numbers = (0..10_u8, 0..5_u64, 0..12_u64, 0..8_u64, 0..11_u8);
    proptest::collection::vec(numbers, 1..7)
        .prop_map(|all| all.into_iter().enumerate().map(|(i, one)| record(i, one)).collect())
}

#[test]
fn the_checker_agrees_with_the_definition() {
    let (violated, held) = (Cell::new(0), Cell::new(0));
    let config = ProptestConfig { cases: 100_000, failure_persistence: None, ..<_>::default() };
    let result = TestRunner::new(config).run(&histories(), |records| {
        let had_effect = |record: &&Record| record.outcome != Outcome::Failed;
        let effective: Vec<Record> = records.iter().filter(had_effect).copied().collect();
        let is_so = by_definition(&effective, None);
        let count = if is_so { &held } else { &violated };
        count.set(count.get() + 1);
        let verdict = check_key(&records);
        prop_assert!(verdict != Verdict::Undecided);
        prop_assert_eq!(verdict == Verdict::Linearizable, is_so, "{:?}", verdict);
        Ok(())
    });
    println!("{} violated, {} held", violated.get(), held.get());
    result.unwrap();
    // Agreement says little where one verdict is rare.
    assert!(violated.get().min(held.get()) > 10_000);
}
