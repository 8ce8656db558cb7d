//! Arithmetic at the ends of the clock.
use super::*;

#[test]
fn moments_neither_wrap_nor_go_below_zero() {
    let second = Duration::from_secs(1);
    assert_eq!(Moment(5).after(second), Moment(1_000_000_005));
    assert_eq!(Moment::NEVER.after(second), Moment::NEVER);
    assert_eq!(Moment(5).after(Duration::MAX), Moment::NEVER);
    assert_eq!(Moment(9).since(Moment(4)), Duration::from_nanos(5));
    assert_eq!(Moment(4).since(Moment(9)), Duration::ZERO);
}
