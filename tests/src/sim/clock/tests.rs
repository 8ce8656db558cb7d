//! What a node's clocks show while they run wrong.
use super::*;

const SECOND: Duration = Duration::from_secs(1);

async fn shown(clock: &SimClock, during: Duration) -> Duration {
    let before = clock.now();
    tokio::time::sleep(during).await;
    clock.now().since(before)
}

#[tokio::test(start_paused = true)]
async fn a_fast_clock_shows_more_and_its_timers_take_less() {
    let clock = SimClock::new(Instant::now());
    assert_eq!(shown(&clock, SECOND).await, SECOND);
    clock.set_drift(250_000);
    assert_eq!(shown(&clock, SECOND).await, Duration::from_millis(1250));
    assert_eq!(clock.true_time(SECOND), Duration::from_millis(800));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_stood_still_goes_on_from_there() {
    let clock = SimClock::new(Instant::now());
    clock.freeze(SECOND * 3);
    assert_eq!(shown(&clock, SECOND * 2).await, Duration::ZERO);
    // A new pace meanwhile does not wake it.
    clock.set_drift(100_000);
    assert_eq!(shown(&clock, SECOND).await, Duration::ZERO);
    assert_eq!(shown(&clock, SECOND).await, Duration::from_millis(1100));
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_steps_and_stands_still_and_the_other_does_not() {
    let clock = SimClock::new(Instant::now());
    let (unix, now) = (clock.unix(), clock.now());
    clock.step_unix(-5_000);
    assert_eq!(clock.unix().0, unix.0 - 5_000);
    clock.freeze_unix(SECOND * 2);
    tokio::time::sleep(SECOND).await;
    assert_eq!(clock.unix().0, unix.0 - 5_000);
    tokio::time::sleep(SECOND).await;
    assert_eq!(clock.unix().0, unix.0 - 3_000);
    assert_eq!(clock.now().since(now), SECOND * 2);
}
