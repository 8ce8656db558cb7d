//! The window without a core: threads that take while it is revoked.
use super::*;
use std::collections::BTreeSet;
use std::sync::Arc;

const MS: u64 = 1_700_000_000_000;

fn open(persisted_ms: u64) -> TsoOracle {
    let oracle = TsoOracle::default();
    oracle.begin(MS);
    oracle.raise(persisted_ms);
    oracle.confirm(Moment(100));
    oracle
}

#[test]
fn nothing_at_or_behind_the_persisted_bound() {
    let oracle = open(MS + 2);
    let take = |count| oracle.take(count, UnixMillis(MS), || Moment(1));
    assert_eq!(take(MAX_TIMESTAMPS), Ok(Timestamp::compose(MS, 262_143)));
    assert_eq!(take(1), Ok(Timestamp::compose(MS + 1, 0)));
    assert_eq!(take(MAX_TIMESTAMPS), Err(TakeError::Exhausted), "they would not share a ms");
    assert_eq!(take(MAX_TIMESTAMPS - 1), Ok(Timestamp::compose(MS + 1, 262_143)));
    assert_eq!(take(1), Err(TakeError::Exhausted));
    oracle.raise(MS + 3);
    assert_eq!(take(1), Ok(Timestamp::compose(MS + 2, 0)));
}

#[test]
fn nothing_once_the_confirmation_has_lapsed() {
    let oracle = open(MS + 2);
    assert!(oracle.take(1, UnixMillis(MS), || Moment(99)).is_ok());
    assert_eq!(oracle.take(1, UnixMillis(MS), || Moment(100)), Err(TakeError::Revoked));
    oracle.confirm(Moment(200));
    let revoked_meanwhile = oracle.take(1, UnixMillis(MS), || {
        oracle.revoke();
        Moment(150)
    });
    assert_eq!(revoked_meanwhile, Err(TakeError::Revoked));
}

#[test]
fn time_passes_up_to_the_persisted_bound_and_never_back() {
    let oracle = open(MS + 10);
    let take = || oracle.take(1, UnixMillis(MS), || Moment(1));
    oracle.pass(MS + 4);
    assert_eq!(take(), Ok(Timestamp::compose(MS + 4, 0)));
    oracle.pass(MS + 1);
    assert_eq!(take(), Ok(Timestamp::compose(MS + 4, 1)));
    oracle.pass(MS + 99);
    assert_eq!(take(), Err(TakeError::Exhausted));
    oracle.raise(MS + 11);
    assert_eq!(take(), Ok(Timestamp::compose(MS + 10, 0)));
}

#[test]
fn threads_never_share_a_timestamp() {
    let oracle = Arc::new(open(MS + 1000));
    let take_many = |oracle: Arc<TsoOracle>| {
        std::thread::spawn(move || {
            let take = |i: u64| oracle.take(3, UnixMillis(MS + i / 100), || Moment(1)).unwrap();
            let lasts: Vec<u64> = (0..5000).map(|i| take(i).get()).collect();
            assert!(lasts.is_sorted_by(|a, b| a < b));
            lasts
        })
    };
    let threads: Vec<_> = (0..4).map(|_| take_many(oracle.clone())).collect();
    let mut all = BTreeSet::new();
    for thread in threads {
        for last in thread.join().unwrap() {
            assert!((0..3).all(|i| all.insert(last - i)), "given twice");
        }
    }
}
