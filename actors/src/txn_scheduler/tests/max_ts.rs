//! In which term commit timestamps may be chosen.
use super::*;
use crate::txn_scheduler::core::max_ts::{MaxTsBook, may_choose_commit_ts};

#[test]
fn only_a_timestamp_that_was_asked_for_later_counts() {
    let mut book = MaxTsBook::default();
    assert!(!book.begin(ms(0)), "nobody leads");
    book.on_led(REGION, Term(6));
    assert!(book.begin(ms(1)));
    // It leads another term and another Region while the request is under way.
    book.on_led(REGION, Term(7));
    book.on_led(RegionId(8), Term(9));
    assert!(!book.begin(ms(2)), "one request at a time");
    book.on_answer(ms(3), true);
    assert_eq!((book.synced(REGION), book.synced(RegionId(8))), (Some(Term(6)), None));
    assert!(book.begin(ms(3)));
    book.on_answer(ms(4), true);
    assert_eq!((book.synced(REGION), book.synced(RegionId(8))), (Some(Term(7)), Some(Term(9))));
    book.on_led(REGION, Term(7));
    assert!(!book.begin(ms(5)), "it is known");
}

#[test]
fn what_pd_does_not_answer_is_asked_again() {
    let mut book = MaxTsBook::default();
    book.on_led(REGION, Term(6));
    assert!(book.begin(ms(0)));
    book.on_answer(ms(10), false);
    assert_eq!((book.synced(REGION), book.retry_at()), (None, Some(ms(210))));
    assert!(!book.begin(ms(209)));
    assert!(book.begin(ms(210)));
    book.on_answer(ms(220), true);
    assert_eq!((book.synced(REGION), book.retry_at()), (Some(Term(6)), None));
}

#[test]
fn the_term_must_be_the_very_one() {
    let table =
        [(None, false), (Some(Term(5)), false), (Some(Term(6)), true), (Some(Term(7)), false)];
    for (synced, expected) in table {
        assert_eq!(may_choose_commit_ts(synced, TERM), expected, "{synced:?}");
    }
}

#[test]
fn a_new_leader_asks_pd_by_itself() {
    let mut script = Script::new();
    script.step(Input::Led { region: REGION, term: TERM });
    script.saw(&["ask PD"]);
    script.step(Input::TimestampAnswered { is_raised: false });
    script.saw(&[]);
    let retry = script.core.next_wake().expect("it will ask again");
    script.wake_at(retry);
    script.saw(&["ask PD"]);
    script.step(Input::TimestampAnswered { is_raised: true });
    assert_eq!(script.core.next_wake(), None);
}
