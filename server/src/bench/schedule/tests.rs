//! Arrivals come at their rate, and none is due early or twice.
use super::Schedule;

#[test]
fn arrivals_are_spaced_by_the_rate() {
    let schedule = Schedule::new(4000);
    assert_eq!((schedule.at(0), schedule.at(1), schedule.at(4000)), (0, 250_000, 1_000_000_000));
}

#[test]
fn an_arrival_is_due_exactly_from_its_time_on() {
    for rate in [1, 3, 7, 999, 4000, 1_000_000] {
        let schedule = Schedule::new(rate);
        for number in (0..1000).chain([123_456, 1_000_000_007]) {
            let at = schedule.at(number);
            assert!(schedule.due(at) > number, "arrival {number} at rate {rate}");
            if at > 0 {
                assert!(schedule.due(at - 1) <= number, "arrival {number} at rate {rate} is early");
            }
        }
    }
}
