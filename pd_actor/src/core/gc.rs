//! Safe points of the transactional space, and the barriers that hold them back.
//!
//! ```text
//! versions   ──────────┬──────────────────┬──────────────────┬───────────► time
//!     may be collected │ no longer served │ served           │ now
//!                gc_safe_point  ≤   txn_safe_point   ≤   every live barrier
//! ```
//! Both safe points only grow, over changes of PD's leader too: they are a row, and no answer shows
//! what is not durable.
//!
//! Stores trust what they heard for a time, and the one who collects waits that time between the two
//! safe points. So an answer must never be older than a change that was answered elsewhere before
//! it: a new reign changes nothing here until its predecessor can surely answer no more, as with
//! timestamps (see [`super::tso`]).
use super::Turn;
use super::rows::{GC, put};
use super::serving::{Serving, refuse};
use troupe_types::pd::{PdError, PdReply, PdResult};
use troupe_types::txn::gc::{GcBarrier, GcState};
use troupe_types::{Code, Timestamp, UnixMillis};

/// Most barriers at the same time.
const MAX_BARRIERS: usize = 1000;
/// Longest name of a service, in bytes.
const MAX_SERVICE_BYTES: usize = 128;

impl Serving {
    /// Safe points, and barriers that are alive.
    pub(super) fn on_gc_state(&self, turn: &Turn<'_>) -> PdResult {
        let now = self.oracle_clock(turn);
        let mut shown = self.state.gc.clone();
        shown.barriers.retain(|barrier| is_alive(barrier, now));
        Ok(PdReply::Gc(shown))
    }

    /// Moves the transaction safe point as far as barriers let it.
    pub(super) fn on_advance_txn_safe_point(
        &mut self,
        target: Timestamp,
        turn: &Turn<'_>,
    ) -> PdResult {
        self.check_change(target, turn)?;
        let mut next = self.living(turn);
        let barrier = next.barriers.iter().map(|barrier| barrier.ts).min();
        let reached = barrier.map_or(target, |barrier| barrier.min(target));
        next.txn_safe_point = next.txn_safe_point.max(reached);
        self.put_gc(next, turn)
    }

    /// Moves the GC safe point.
    pub(super) fn on_advance_gc_safe_point(
        &mut self,
        target: Timestamp,
        turn: &Turn<'_>,
    ) -> PdResult {
        self.check_change(target, turn)?;
        let mut next = self.living(turn);
        if target > next.txn_safe_point {
            let detail = format!(
                "versions are served from the transaction safe point {} on: nothing behind it may \
                 be collected, and {target} is",
                next.txn_safe_point
            );
            return refuse(Code::BadParameter, detail);
        }
        next.gc_safe_point = next.gc_safe_point.max(target);
        self.put_gc(next, turn)
    }

    /// Sets or replaces the barrier of a service.
    pub(super) fn on_set_gc_barrier(&mut self, barrier: GcBarrier, turn: &Turn<'_>) -> PdResult {
        self.check_change(barrier.ts, turn)?;
        if !(1..=MAX_SERVICE_BYTES).contains(&barrier.service.len()) {
            let detail = format!("the name of a service has 1 to {MAX_SERVICE_BYTES} bytes");
            return refuse(Code::BadParameter, detail);
        }
        if !is_alive(&barrier, self.oracle_clock(turn)) {
            return refuse(Code::BadParameter, "the barrier has expired already");
        }
        let mut next = self.living(turn);
        if barrier.ts < next.txn_safe_point {
            let detail = format!(
                "versions at {} may have been collected: the safe point is {}",
                barrier.ts, next.txn_safe_point
            );
            return refuse(Code::SnapshotGone, detail);
        }
        next.barriers.retain(|other| other.service != barrier.service);
        if next.barriers.len() >= MAX_BARRIERS {
            return refuse(Code::TooLarge, format!("there are {MAX_BARRIERS} barriers already"));
        }
        next.barriers.push(barrier);
        next.barriers.sort_by(|a, b| a.service.cmp(&b.service));
        self.put_gc(next, turn)
    }

    /// Removes the barrier of a service, if it has one.
    pub(super) fn on_remove_gc_barrier(&mut self, service: &str, turn: &Turn<'_>) -> PdResult {
        self.check_change(Timestamp::ZERO, turn)?;
        let mut next = self.living(turn);
        next.barriers.retain(|barrier| barrier.service != service);
        self.put_gc(next, turn)
    }

    /// The oracle's time: never behind a timestamp that was given, whatever the wall clock shows.
    fn oracle_clock(&self, turn: &Turn<'_>) -> UnixMillis {
        UnixMillis(self.tso.reached_ms(turn.unix))
    }

    /// The state without barriers that have expired.
    fn living(&self, turn: &Turn<'_>) -> GcState {
        let now = self.oracle_clock(turn);
        let mut next = self.state.gc.clone();
        next.barriers.retain(|barrier| is_alive(barrier, now));
        next
    }

    /// May the state change now, and is `ts` a time that has been?
    fn check_change(&self, ts: Timestamp, turn: &Turn<'_>) -> Result<(), PdError> {
        self.cluster()?;
        if turn.now < self.tso.opens_at() {
            let why = "the former leader may still answer".to_owned();
            return Err(PdError::Unavailable { why });
        }
        if ts.physical_ms() > self.oracle_clock(turn).get() {
            return refuse(Code::BadParameter, format!("timestamp {ts} lies in the future"));
        }
        Ok(())
    }

    fn put_gc(&mut self, next: GcState, turn: &Turn<'_>) -> PdResult {
        let before = &self.state.gc;
        assert!(next.txn_safe_point >= before.txn_safe_point, "the safe point never goes back");
        assert!(next.gc_safe_point >= before.gc_safe_point, "the GC safe point never goes back");
        assert!(next.gc_safe_point <= next.txn_safe_point, "nothing served is collected");
        if next != *before {
            self.writer.stage(put(GC, &next));
            self.state.gc = next;
        }
        self.on_gc_state(turn)
    }
}

fn is_alive(barrier: &GcBarrier, now: UnixMillis) -> bool {
    barrier.expires_at.is_none_or(|end| now < end)
}
