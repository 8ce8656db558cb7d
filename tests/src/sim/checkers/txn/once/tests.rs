//! One outcome for a key, and two.
use super::*;

fn attempt(fate: Fate, commit_ts: u64, repeated: bool) -> Attempt {
    let commit_ts = (commit_ts > 0).then_some(Timestamp(commit_ts));
    Attempt { key: "order 7".to_owned(), fate, commit_ts, succeeded: true, repeated }
}

#[test]
fn one_outcome_told_again_and_again_passes() {
    let unknown = attempt(Fate::Unknown, 0, false);
    let failed = attempt(Fate::Failed, 0, false);
    let first = attempt(Fate::Committed, 5, false);
    let again = attempt(Fate::Committed, 5, true);
    assert_eq!(check(&[unknown.clone(), again.clone(), again.clone()]), Vec::<String>::new());
    assert_eq!(check(&[failed.clone(), unknown, first, failed, again]), Vec::<String>::new());
}

#[test]
fn a_second_outcome_is_told() {
    let first = attempt(Fate::Committed, 5, false);
    for second in [attempt(Fate::Committed, 6, true), attempt(Fate::Committed, 5, false)] {
        assert_eq!(check(&[first.clone(), second]).len(), 1);
    }
    let otherwise = Attempt { succeeded: false, ..attempt(Fate::Committed, 5, true) };
    assert_eq!(check(&[first, otherwise]).len(), 1);
    assert_eq!(check(&[attempt(Fate::Committed, 5, true)]).len(), 1, "repeated at the first time");
}
