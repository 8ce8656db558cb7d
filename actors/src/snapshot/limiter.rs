//! Limits bytes a second with a token bucket. Pure.
use std::time::Duration;
use troupe_types::Moment;

/// A bucket that fills with `rate` tokens a second, up to a quarter of a second's worth. One token is
/// one byte.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    rate: u64,
    /// Moment up to which all tokens are spent; may lie in the future.
    spent_until: Moment,
}

/// What an idle bucket saves up.
const BURST: Duration = Duration::from_millis(250);

impl TokenBucket {
    /// A full bucket. `rate` is bytes a second; 0 = no limit.
    #[must_use]
    pub fn new(rate: u64, now: Moment) -> Self {
        Self { rate, spent_until: before(now, BURST) }
    }

    /// Spends `bytes` and answers how long to wait before using them. Takes turns: who asks later
    /// waits longer.
    pub fn take(&mut self, now: Moment, bytes: u64) -> Duration {
        if self.rate == 0 {
            return Duration::ZERO;
        }
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.rate);
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.spent_until = self.spent_until.max(before(now, BURST)).after(cost);
        self.spent_until.since(now)
    }
}

fn before(now: Moment, duration: Duration) -> Moment {
    Moment(now.0.saturating_sub(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
}
