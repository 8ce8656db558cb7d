//! The clock of a simulated node: tokio's paused time, at a pace of its own and with a wall clock
//! that may step.
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
}

impl SimClock {
    /// A clock that runs true from `start` on.
    #[must_use]
    pub fn new(start: Instant) -> Self {
        let shown = Moment(0).after(OFFSET).0;
        let pace = Pace { since: Duration::ZERO, shown, ppm: 0, unix_ahead_ms: 0 };
        Self { start, pace: Mutex::new(pace) }
    }

    /// From here on it runs `ppm` parts in a million too fast (negative: too slow).
    pub fn set_drift(&self, ppm: i64) {
        let shown = self.now().0;
        let mut pace = self.pace.lock().unwrap();
        *pace = Pace { since: self.start.elapsed(), shown, ppm, ..*pace };
    }

    /// Steps the wall clock by `ms` milliseconds. The monotonic clock does not step.
    pub fn step_unix(&self, ms: i64) {
        self.pace.lock().unwrap().unix_ahead_ms += ms;
    }
}

impl Clock for SimClock {
    fn now(&self) -> Moment {
        let pace = self.pace.lock().unwrap();
        let gone = i128::try_from((self.start.elapsed() - pace.since).as_nanos()).unwrap();
        let shown = i128::from(pace.shown) + gone + gone * i128::from(pace.ppm) / 1_000_000;
        Moment(u64::try_from(shown).unwrap())
    }

    fn unix(&self) -> UnixMillis {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap();
        let ahead = self.pace.lock().unwrap().unix_ahead_ms;
        UnixMillis((UNIX_START_MS + elapsed).saturating_add_signed(ahead))
    }
}
