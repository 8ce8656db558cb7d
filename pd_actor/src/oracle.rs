//! The timestamp oracle's shared window: taken from by any thread without a lock or a message.
//!
//! The core of PD's leader decides (see `core/tso.rs`): it persists a bound, raises `limit` to it,
//! and confirms until when this node surely leads. Everyone else only takes.
//!
//! ```text
//!      given out        free to take          never given before its bound is durable
//! ───────────────┬──────────────────────┬─────────────────────────────────────────────►
//!               next                  limit
//! ```
use std::sync::atomic::{AtomicU64, Ordering};
use troupe_types::ids::TIMESTAMP_LOGICAL_BITS;
use troupe_types::{Moment, Timestamp, UnixMillis};

/// Most timestamps of one request: all of one millisecond.
pub const MAX_TIMESTAMPS: u32 = 1 << TIMESTAMP_LOGICAL_BITS;

/// Why no timestamp was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeError {
    /// The persisted window does not reach far enough.
    Exhausted,
    /// It is not sure that this node leads PD.
    Revoked,
}

/// The window. Invariant: `next` and `limit` never shrink.
#[derive(Debug, Default)]
pub struct TsoOracle {
    /// The smallest timestamp that was never given.
    next: AtomicU64,
    /// First timestamp behind the persisted window.
    limit: AtomicU64,
    /// Moment until which this node surely leads; 0 = it does not.
    valid_until: AtomicU64,
}

impl TsoOracle {
    /// Takes `count` timestamps (1 to [`MAX_TIMESTAMPS`]) of one millisecond; answers the last.
    ///
    /// The order of the checks matters. The timestamps are reserved first, by a compare-and-swap on
    /// `next`; only then is `now` read and compared with `valid_until`. So an answer proves that at
    /// some moment *within the call* no other node could have given a timestamp. A thread that
    /// sleeps before the check fails it (its timestamps are lost, which harms nobody); one that
    /// sleeps behind it answers late, but its call had begun before any later leader gave its first
    /// timestamp, so the two calls overlap and may be ordered either way.
    ///
    /// `limit` may be read before `next`: both only grow, and a window that was persisted once
    /// belongs to this cluster's past for ever, so an old limit is only more careful.
    ///
    /// # Errors
    /// [`TakeError`].
    pub fn take(
        &self,
        count: u32,
        unix: UnixMillis,
        now: impl FnOnce() -> Moment,
    ) -> Result<Timestamp, TakeError> {
        assert!((1..=MAX_TIMESTAMPS).contains(&count), "the caller checked the count");
        if self.valid_until.load(Ordering::SeqCst) == 0 {
            return Err(TakeError::Revoked);
        }
        let limit = self.limit.load(Ordering::SeqCst);
        let clock = unix.get() << TIMESTAMP_LOGICAL_BITS;
        let reserve = |next: u64| {
            let last = last_of(next.max(clock), count);
            (last < limit).then_some(last + 1)
        };
        let before = self.next.fetch_update(Ordering::SeqCst, Ordering::SeqCst, reserve);
        let before = before.map_err(|_| TakeError::Exhausted)?;
        if now().0 >= self.valid_until.load(Ordering::SeqCst) {
            return Err(TakeError::Revoked);
        }
        Ok(Timestamp(last_of(before.max(clock), count)))
    }

    /// Begins a reign: nothing below `persisted_ms` is given any more, and nothing above until
    /// [`TsoOracle::raise`] says that a larger bound is durable. Stays revoked.
    pub fn begin(&self, persisted_ms: u64) {
        self.revoke();
        let floor = persisted_ms << TIMESTAMP_LOGICAL_BITS;
        self.next.fetch_max(floor, Ordering::SeqCst);
        self.limit.fetch_max(floor, Ordering::SeqCst);
    }

    /// The bound `persisted_ms` is durable.
    pub fn raise(&self, persisted_ms: u64) {
        self.limit.fetch_max(persisted_ms << TIMESTAMP_LOGICAL_BITS, Ordering::SeqCst);
    }

    /// Time has gone on to `ms`: no timestamp below it is given any more. Not beyond the persisted
    /// window.
    pub fn pass(&self, ms: u64) {
        let limit = self.limit.load(Ordering::SeqCst);
        self.next.fetch_max((ms << TIMESTAMP_LOGICAL_BITS).min(limit), Ordering::SeqCst);
    }

    /// This node surely leads until `until`.
    pub fn confirm(&self, until: Moment) {
        self.valid_until.store(until.0, Ordering::SeqCst);
    }

    /// This node leads no more. No call that begins behind this one gets a timestamp.
    pub fn revoke(&self) {
        self.valid_until.store(0, Ordering::SeqCst);
    }

    /// Millisecond of the next timestamp.
    #[must_use]
    pub fn next_ms(&self) -> u64 {
        Timestamp(self.next.load(Ordering::SeqCst)).physical_ms()
    }

    /// The smallest timestamp that was never given: tells whether any was given meanwhile.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.next.load(Ordering::SeqCst)
    }
}

/// The last of `count` timestamps from `start` on that share one millisecond: the next millisecond
/// if they do not fit into what is left of this one.
fn last_of(start: u64, count: u32) -> u64 {
    let per_ms = u64::from(MAX_TIMESTAMPS);
    let left = per_ms - start % per_ms;
    let start = if left < u64::from(count) { start + left } else { start };
    start + u64::from(count) - 1
}

#[cfg(test)]
mod tests;
