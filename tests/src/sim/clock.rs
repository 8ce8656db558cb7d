//! The clocks of a simulated node: tokio's paused time, at a pace of its own, which its timers follow
//! too. The monotonic clock may stand still for a moment; the wall clock may step and stand still.
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;
use troupe_actors::env::Clock;
use troupe_types::{Moment, UnixMillis};

/// Distance of the first moment from 0, so that "some seconds ago" is never below it.
const OFFSET: Duration = Duration::from_secs(3600);
/// What the wall clocks show at the start: some day in 2026.
const UNIX_START_MS: u64 = 1_780_000_000_000;

/// See the module. Invariant: `now` never goes back, whatever pace is set.
pub struct SimClock {
    start: Instant,
    pace: Mutex<Pace>,
}

struct Pace {
    /// True time at which this pace was set.
    since: Duration,
    /// What the clock showed then.
    shown: u64,
    /// Parts in a million that it runs too fast.
    ppm: i64,
    /// Milliseconds that the wall clock is ahead.
    unix_ahead_ms: i64,
    /// True time until which the monotonic clock shows `shown`.
    frozen_until: Duration,
    /// What the wall clock shows until a true time, if it stands still.
    unix_frozen: Option<(u64, Duration)>,
}

impl SimClock {
    /// A clock that runs true from `start` on.
    #[must_use]
    pub fn new(start: Instant) -> Self {
        let shown = Moment(0).after(OFFSET).0;
        let pace = Pace {
            since: Duration::ZERO,
            shown,
            ppm: 0,
            unix_ahead_ms: 0,
            frozen_until: Duration::ZERO,
            unix_frozen: None,
        };
        Self { start, pace: Mutex::new(pace) }
    }

    /// From here on it runs `ppm` parts in a million too fast (negative: too slow).
    pub fn set_drift(&self, ppm: i64) {
        let shown = self.now().0;
        let mut pace = self.pace.lock().unwrap();
        *pace = Pace { since: self.start.elapsed(), shown, ppm, ..*pace };
    }

    /// The monotonic clock stands still for so long, and then goes on from there.
    pub fn freeze(&self, duration: Duration) {
        let (shown, now) = (self.now().0, self.start.elapsed());
        let mut pace = self.pace.lock().unwrap();
        let until = pace.frozen_until.max(now + duration);
        *pace = Pace { since: now, shown, frozen_until: until, ..*pace };
    }

    /// The wall clock stands still for so long, and then shows the right time again.
    pub fn freeze_unix(&self, duration: Duration) {
        let (shown, until) = (self.unix().0, self.start.elapsed() + duration);
        self.pace.lock().unwrap().unix_frozen = Some((shown, until));
    }

    /// True time that passes while this clock shows `duration`.
    #[must_use]
    pub fn true_time(&self, duration: Duration) -> Duration {
        let ppm = self.pace.lock().unwrap().ppm;
        let pace = u64::try_from(1_000_000 + ppm).expect("no clock runs backwards");
        let nanos = duration.as_nanos() * 1_000_000 / u128::from(pace);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Steps the wall clock by `ms` milliseconds. The monotonic clock does not step.
    pub fn step_unix(&self, ms: i64) {
        self.pace.lock().unwrap().unix_ahead_ms += ms;
    }
}

impl Clock for SimClock {
    fn now(&self) -> Moment {
        let pace = self.pace.lock().unwrap();
        let since = pace.since.max(pace.frozen_until);
        let gone = i128::try_from(self.start.elapsed().saturating_sub(since).as_nanos()).unwrap();
        let shown = i128::from(pace.shown) + gone + gone * i128::from(pace.ppm) / 1_000_000;
        Moment(u64::try_from(shown).unwrap())
    }

    fn unix(&self) -> UnixMillis {
        let now = self.start.elapsed();
        let pace = self.pace.lock().unwrap();
        if let Some((shown, _)) = pace.unix_frozen.filter(|(_, until)| now < *until) {
            return UnixMillis(shown);
        }
        let elapsed = u64::try_from(now.as_millis()).unwrap();
        UnixMillis((UNIX_START_MS + elapsed).saturating_add_signed(pace.unix_ahead_ms))
    }
}

#[cfg(test)]
mod tests;
