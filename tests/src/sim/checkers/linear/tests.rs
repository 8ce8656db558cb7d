//! The checker accepts what can be explained and refuses what cannot.
use super::{Verdict, check, check_key, check_key_within};
use crate::workload::{History, Op, OpId, Outcome};
use Outcome::{Done, Read, Unknown};

mod long;
mod random;

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
fn an_update_that_got_lost_is_found() {
    let cas = |expect, new| Op::Cas { expect: Some(expect), new };
    assert!(!passes(&sequence(&[
        (Op::Put(1), Done),
        (cas(1, 2), swapped(true, Some(1))),
        (Op::Get, Read(Some(1))),
    ])));
    assert!(!passes(&sequence(&[
        (Op::Put(1), Done),
        (cas(1, 2), swapped(true, Some(1))),
        (cas(1, 3), swapped(true, Some(1))),
        (Op::Get, Read(Some(3))),
    ])));
}

#[test]
fn a_deleted_value_that_comes_back_is_found() {
    let deleted = [(Op::Put(1), Done), (Op::Delete, Done)];
    for back in
        [&[(Op::Get, Read(Some(1)))][..], &[(Op::Get, Read(None)), (Op::Get, Read(Some(1)))]]
    {
        assert!(!passes(&sequence(&[&deleted[..], back].concat())));
    }
}

#[test]
fn a_read_that_goes_back_while_the_write_is_under_way_is_found() {
    let mut history = sequence(&[(Op::Put(1), Done)]);
    let write = history.invoke(1, 0, Op::Put(2));
    for value in [2, 1] {
        let read = history.invoke(2, 0, Op::Get);
        history.complete(read, Read(Some(value)));
    }
    history.complete(write, Done);
    assert!(!passes(&history));
}

#[test]
fn an_unknown_swap_that_was_seen_found_what_it_expected() {
    let cas = Op::Cas { expect: Some(1), new: 2 };
    let seen = (Op::Get, Read(Some(2)));
    assert!(passes(&sequence(&[(Op::Put(1), Unknown), (cas, Unknown), seen])));
    assert!(!passes(&sequence(&[(Op::Put(1), Outcome::Failed), (cas, Unknown), seen])));
    assert!(!passes(&sequence(&[(cas, Unknown), seen, (Op::Put(1), Done)])));
}

#[test]
fn each_unknown_delete_explains_one_loss() {
    let put = |value| (Op::Put(value), Done);
    let (gone, lost) = ((Op::Get, Read(None)), (Op::Delete, Unknown));
    assert!(passes(&sequence(&[lost, put(1), gone])));
    assert!(passes(&sequence(&[lost, lost, put(1), gone, put(2), gone])));
    assert!(!passes(&sequence(&[lost, put(1), gone, put(2), gone])));
    assert!(!passes(&sequence(&[put(1), gone, lost])));
}

#[test]
fn giving_up_is_no_pass() {
    let mut history = History::default();
    let puts: Vec<OpId> = (0..20).map(|value| history.invoke(1, 0, Op::Put(value))).collect();
    puts.into_iter().for_each(|put| history.complete(put, Done));
    for value in [7, 9, 7] {
        let read = history.invoke(2, 0, Op::Get);
        history.complete(read, Read(Some(value)));
    }
    assert_eq!(check_key_within(history.records(), 100), Verdict::Undecided);
    assert!(matches!(check_key(history.records()), Verdict::Violation(_)));
}

#[test]
fn a_violation_names_who_wrote_and_who_saw() {
    let stale = [(Op::Put(11), Done), (Op::Put(22), Done), (Op::Get, Read(Some(11)))];
    let Verdict::Violation(why) = check_key(sequence(&stale).records()) else {
        panic!("a stale read passes")
    };
    for line in ["with 11 there", "Put(11) = Done", "Put(22) = Done", "Get = Read(Some(11))"] {
        assert!(why.contains(line), "{line} is not in\n{why}");
    }
}

#[test]
#[should_panic(expected = "two operations write the value 5")]
fn values_must_be_unique() {
    let _ = check_key(sequence(&[(Op::Put(5), Done), (Op::Put(5), Done)]).records());
}
