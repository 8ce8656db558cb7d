//! The checker accepts what can be explained and refuses what cannot.
use super::{Verdict, check, check_key};
use crate::workload::{History, Op, OpId, Outcome};
use Outcome::{Done, Read, Unknown};

/// A history on key 0 from lines of (operation, outcome), one after the other.
fn sequence(steps: &[(Op, Outcome)]) -> History {
    let mut history = History::default();
    for (op, outcome) in steps {
        let id = history.invoke(1, 0, *op);
        if *outcome != Unknown {
            history.complete(id, *outcome);
        }
    }
    history
}

fn passes(history: &History) -> bool {
    check_key(history.records()) == Verdict::Linearizable
}

fn swapped(succeeded: bool, previous: Option<u64>) -> Outcome {
    Outcome::Swapped { succeeded, previous }
}

#[test]
fn what_happens_one_after_the_other_is_read() {
    let cas = Op::Cas { expect: Some(1), new: 2 };
    assert!(passes(&sequence(&[
        (Op::Get, Read(None)),
        (Op::Put(1), Done),
        (Op::Get, Read(Some(1))),
        (cas, swapped(true, Some(1))),
        (cas, swapped(false, Some(2))),
        (Op::Delete, Done),
        (Op::Get, Read(None)),
    ])));
}

#[test]
fn a_stale_read_is_found() {
    assert!(!passes(&sequence(&[
        (Op::Put(1), Done),
        (Op::Put(2), Done),
        (Op::Get, Read(Some(1))),
    ])));
}

#[test]
fn a_lost_acknowledged_write_is_found() {
    assert!(!passes(&sequence(&[(Op::Put(1), Done), (Op::Get, Read(None))])));
}

#[test]
fn a_value_from_nowhere_is_found() {
    assert!(!passes(&sequence(&[(Op::Put(1), Done), (Op::Get, Read(Some(9)))])));
}

#[test]
fn two_swaps_of_one_value_cannot_both_succeed() {
    let cas = |new| Op::Cas { expect: Some(1), new };
    assert!(!passes(&sequence(&[
        (Op::Put(1), Done),
        (cas(2), swapped(true, Some(1))),
        (cas(3), swapped(true, Some(1))),
    ])));
}

#[test]
fn a_swap_that_failed_tells_the_truth_about_what_was_there() {
    let cas = Op::Cas { expect: None, new: 2 };
    assert!(passes(&sequence(&[(Op::Put(1), Done), (cas, swapped(false, Some(1)))])));
    assert!(!passes(&sequence(&[(Op::Put(1), Done), (cas, swapped(false, Some(7)))])));
    assert!(!passes(&sequence(&[(Op::Put(1), Done), (cas, swapped(false, None))])));
}

#[test]
fn an_unknown_write_may_have_happened_or_not() {
    let start = [(Op::Put(1), Done), (Op::Put(2), Unknown)];
    for value in [1, 2] {
        let steps = [&start[..], &[(Op::Get, Read(Some(value)))]].concat();
        assert!(passes(&sequence(&steps)), "{value} may be there");
    }
}

#[test]
fn an_unknown_write_may_happen_late_but_only_once() {
    let late = [
        (Op::Put(1), Unknown),
        (Op::Put(2), Done),
        (Op::Get, Read(Some(2))),
        (Op::Get, Read(Some(1))),
    ];
    assert!(passes(&sequence(&late)));
    let again = [&late[..], &[(Op::Put(3), Done), (Op::Get, Read(Some(1)))]].concat();
    assert!(!passes(&sequence(&again)));
}

#[test]
fn an_unknown_write_does_not_happen_before_it_is_asked_for() {
    let steps = [(Op::Get, Read(Some(1))), (Op::Put(1), Unknown)];
    assert!(!passes(&sequence(&steps)));
}

#[test]
fn a_write_that_failed_is_never_seen() {
    let steps = [(Op::Put(1), Outcome::Failed), (Op::Get, Read(Some(1)))];
    assert!(!passes(&sequence(&steps)));
}

#[test]
fn what_overlaps_may_be_seen_in_any_order_but_one_order() {
    let overlap = |first: u64, second: u64| {
        let mut history = History::default();
        let writes: Vec<OpId> = [1, 2].map(|v| history.invoke(1, 0, Op::Put(v))).to_vec();
        for value in [first, second] {
            let read = history.invoke(2, 0, Op::Get);
            history.complete(read, Read(Some(value)));
        }
        writes.into_iter().for_each(|id| history.complete(id, Done));
        history
    };
    assert!(passes(&overlap(1, 2)));
    assert!(passes(&overlap(2, 1)));
    let mut flips = overlap(1, 2);
    let read = flips.invoke(2, 0, Op::Get);
    flips.complete(read, Read(Some(1)));
    assert!(!passes(&flips));
}

#[test]
fn keys_are_checked_apart() {
    let mut history = History::default();
    for (key, seen) in [(0, 1), (1, 7)] {
        let put = history.invoke(1, key, Op::Put(1));
        history.complete(put, Done);
        let get = history.invoke(1, key, Op::Get);
        history.complete(get, Read(Some(seen)));
    }
    let (key, verdict) = check(history.records()).expect("key 1 is wrong");
    assert_eq!(key, 1);
    assert!(matches!(verdict, Verdict::Violation(_)), "{verdict:?}");
}

#[test]
fn long_histories_are_decided() {
    let mut history = History::default();
    for round in 0..2_000_u64 {
        let writes: Vec<_> =
            (0..4).map(|c| (c, history.invoke(c, 0, Op::Put(round * 4 + u64::from(c))))).collect();
        let read = history.invoke(9, 0, Op::Get);
        for (_, id) in writes.iter().filter(|(c, _)| u64::from(*c) != round % 50) {
            history.complete(*id, Done);
        }
        history.complete(read, Read(Some(round * 4 + 3)));
    }
    assert!(passes(&history));
    let get = history.invoke(9, 0, Op::Get);
    history.complete(get, Read(Some(3)));
    assert!(matches!(check_key(history.records()), Verdict::Violation(_)));
}
