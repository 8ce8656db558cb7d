//! The checks of order find what they are for.
use super::{Claim, Given, LeaderWatch, VoteWatch, timestamps};
use troupe_types::{PeerId, RegionId, StoreId, Term, Timestamp};

fn given(invoked: u64, returned: u64, first: u64, last: u64) -> Given {
    Given { invoked, returned, first: Timestamp(first), last: Timestamp(last) }
}

#[test]
fn timestamps_grow_from_answer_to_question() {
    assert_eq!(timestamps(&[given(1, 2, 10, 19), given(3, 4, 20, 20)]), None);
    assert!(timestamps(&[given(1, 2, 10, 19), given(3, 4, 19, 25)]).is_some());
    assert!(timestamps(&[given(5, 6, 8, 9), given(1, 2, 10, 19)]).is_some());
}

#[test]
fn timestamps_asked_for_together_may_come_in_any_order() {
    assert_eq!(timestamps(&[given(1, 4, 20, 29), given(2, 3, 10, 19)]), None);
}

fn claim(peer: u64, term: u64, leads: bool, has_lease: bool) -> Claim {
    let (region, store) = (RegionId(2), StoreId(peer));
    Claim { region, peer: PeerId(peer), store, term: Term(term), leads, has_lease }
}

#[test]
fn two_leaders_of_one_term_are_found_even_at_different_times() {
    let mut watch = LeaderWatch::default();
    watch.look(&[claim(1, 6, true, true), claim(2, 6, false, false)]);
    watch.look(&[claim(1, 6, false, false), claim(2, 7, true, false)]);
    assert_eq!((watch.wrong().len(), watch.terms()), (0, 2));
    watch.look(&[claim(2, 6, true, false)]);
    assert_eq!(watch.wrong().len(), 1);
}

#[test]
fn two_leases_at_one_moment_are_found() {
    let mut watch = LeaderWatch::default();
    watch.look(&[claim(1, 6, true, true), claim(2, 7, true, false)]);
    assert!(watch.wrong().is_empty());
    watch.look(&[claim(1, 6, true, true), claim(2, 7, true, true)]);
    assert_eq!(watch.wrong().len(), 1);
}

#[test]
fn two_votes_of_one_replica_in_one_term_are_found() {
    let mut watch = VoteWatch::default();
    let mut vote = |voter, term, candidate| {
        watch.granted(RegionId(2), Term(term), (PeerId(voter), PeerId(candidate)));
        watch.wrong().len()
    };
    for right in [(1, 6, 2), (1, 6, 2), (3, 6, 4), (1, 7, 4)] {
        assert_eq!(vote(right.0, right.1, right.2), 0, "{right:?}");
    }
    assert_eq!(vote(1, 6, 4), 1);
}
