//! The transaction safe point as a Store knows it: what it reads and prewrites no longer.
//!
//! Versions are collected behind a *second* safe point, which PD moves only later. In between, every
//! Store that still serves must have heard of the first one. So what a Store heard counts for a
//! limited time, by its own monotonic clock, from before it asked:
//!
//! ```text
//! Store     ask ──── trusted for `trust` ────┤ refuses, unless it has heard again
//! collector       T is durable in PD ── waits `trust` and a quarter ──┤ then collects behind T
//! ```
//! A Store that asked before T was durable has stopped to trust its answer by then, and one that
//! asked later knows T; also one that cannot be reached, was down, or hangs. As with leases, clocks
//! of different machines must *run* within 10 % of each other.
//!
//! A read is checked *behind* the look at the engine, for what is being collected meanwhile; whoever
//! changes something is checked behind its look at the engine, before it proposes.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use troupe_types::txn::TxnError;
use troupe_types::{Moment, Timestamp};

/// How long what a Store heard is trusted, if nobody says otherwise.
pub const TRUST: Duration = Duration::from_secs(60);

/// Why a timestamp is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SafePointRefusal {
    /// What it needs may have been collected ([`TxnError::SnapshotGone`]).
    Gone(TxnError),
    /// The Store has not heard from PD for too long: try again.
    Unknown,
}

/// See the module. Cheap to clone; clones share their state.
#[derive(Clone, Debug)]
pub struct TxnSafePoint(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    trust: Duration,
    /// Only grows.
    safe_point: AtomicU64,
    /// When the newest answer was asked for; 0 = none was heard.
    asked: AtomicU64,
    /// The GC safe point. Only grows.
    gc_safe_point: AtomicU64,
}

impl TxnSafePoint {
    /// Nothing is known yet. What will be heard is trusted for `trust`.
    #[must_use]
    pub fn unknown(trust: Duration) -> Self {
        Self(Arc::new(Shared {
            trust,
            safe_point: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            gc_safe_point: AtomicU64::new(0),
        }))
    }

    /// PD said that this is the safe point, when asked at `asked` or later.
    pub fn heard(&self, safe_point: Timestamp, asked: Moment) {
        // In this order, as `admit` looks in the other one.
        self.0.safe_point.fetch_max(safe_point.get(), Ordering::SeqCst);
        self.0.asked.fetch_max(asked.0.max(1), Ordering::SeqCst);
    }

    /// PD said that versions hidden at `gc_safe_point` may be collected. Heard behind the transaction
    /// safe point of the same answer, which is no smaller.
    pub fn heard_gc(&self, gc_safe_point: Timestamp) {
        self.0.gc_safe_point.fetch_max(gc_safe_point.get(), Ordering::SeqCst);
    }

    /// The largest GC safe point that was heard; 0 = none. Nothing behind it is collected here before.
    #[must_use]
    pub fn gc(&self) -> Timestamp {
        Timestamp(self.0.gc_safe_point.load(Ordering::SeqCst))
    }

    /// The largest that was heard; 0 = none.
    #[must_use]
    pub fn get(&self) -> Timestamp {
        Timestamp(self.0.safe_point.load(Ordering::SeqCst))
    }

    /// Is what was heard still trusted?
    #[must_use]
    pub fn is_trusted(&self, now: Moment) -> bool {
        let asked = self.0.asked.load(Ordering::SeqCst);
        asked != 0 && now < Moment(asked).after(self.0.trust)
    }

    /// May a read at `ts`, or a change of the transaction that began at `ts`, be served? A read of
    /// the newest version ([`Timestamp::MAX`]) always: that is never collected.
    ///
    /// # Errors
    /// [`SafePointRefusal`].
    pub fn admit(&self, ts: Timestamp, now: Moment) -> Result<(), SafePointRefusal> {
        if ts == Timestamp::MAX {
            return Ok(());
        }
        let trusted = self.is_trusted(now);
        let safe_point = self.get();
        if ts < safe_point {
            return Err(SafePointRefusal::Gone(TxnError::SnapshotGone { ts, safe_point }));
        }
        if trusted { Ok(()) } else { Err(SafePointRefusal::Unknown) }
    }
}

#[cfg(test)]
mod tests;
