//! When the requests of an open loop are meant to start: at a fixed rate, whatever the server does.
//! Pure.
//!
//! A request's latency counts from that moment, not from when a client became free for it. So a
//! server that stands still for a second is charged for all requests that should have run meanwhile
//! (coordinated omission).

const SECOND: u64 = 1_000_000_000;

/// Evenly spaced arrivals. Times are nanoseconds since the schedule's start.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    per_second: u32,
}

impl Schedule {
    /// So many arrivals a second, at least one.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        assert!(per_second > 0, "an open loop has arrivals");
        Self { per_second }
    }

    /// When arrival `number` is due; the first one is number 0, at 0.
    #[must_use]
    pub fn at(self, number: u64) -> u64 {
        let at = u128::from(number) * u128::from(SECOND) / u128::from(self.per_second);
        u64::try_from(at).unwrap_or(u64::MAX)
    }

    /// How many arrivals were due by `time`, the one at `time` included.
    #[must_use]
    pub fn due(self, time: u64) -> u64 {
        let spaces = u128::from(time) * u128::from(self.per_second);
        // One that is due inside this nanosecond counts, as `at` rounds down.
        let due = (spaces + u128::from(self.per_second) - 1) / u128::from(SECOND) + 1;
        u64::try_from(due).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
