//! What a Store serves, depending on what it heard and when.
use super::*;

const TRUST: Duration = Duration::from_secs(60);

fn at(seconds: u64) -> Moment {
    Moment(0).after(Duration::from_secs(seconds))
}

#[test]
fn nothing_is_served_before_pd_was_heard_but_the_newest_version() {
    let cell = TxnSafePoint::unknown(TRUST);
    assert_eq!(cell.admit(Timestamp(5), at(10)), Err(SafePointRefusal::Unknown));
    assert_eq!(cell.admit(Timestamp::MAX, at(10)), Ok(()));
}

#[test]
fn what_was_heard_is_trusted_from_the_question_on() {
    let cell = TxnSafePoint::unknown(TRUST);
    cell.heard(Timestamp(5), at(10));
    assert_eq!(cell.admit(Timestamp(5), at(69)), Ok(()));
    assert_eq!(cell.admit(Timestamp(5), at(70)), Err(SafePointRefusal::Unknown));
    let gone = TxnError::SnapshotGone { ts: Timestamp(4), safe_point: Timestamp(5) };
    assert_eq!(cell.admit(Timestamp(4), at(70)), Err(SafePointRefusal::Gone(gone)));
    cell.heard(Timestamp(5), at(60));
    assert_eq!(cell.admit(Timestamp(5), at(119)), Ok(()));
}

#[test]
fn an_answer_that_comes_late_takes_nothing_back() {
    let cell = TxnSafePoint::unknown(TRUST);
    cell.heard(Timestamp(9), at(20));
    cell.heard(Timestamp(5), at(10));
    assert_eq!(cell.get(), Timestamp(9));
    assert!(cell.is_trusted(at(79)));
    assert!(cell.clone().admit(Timestamp(8), at(30)).is_err());
}
