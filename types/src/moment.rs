//! Points on a monotonic clock.
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Nanoseconds on the monotonic clock of one process (or one simulated node) since an arbitrary
/// start. Never compared between processes, never stored.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// Later than every moment that a clock shows.
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment `duration` later; stays at [`Moment::NEVER`] at the end.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// Time from `earlier` to this moment, 0 if it lies behind it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests;
