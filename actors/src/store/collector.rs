//! When a Store collects garbage. Pure: the work is done on a worker of its own.
//!
//! The engine is told each GC safe point that PD tells, and asked to collect when one is new, when it
//! said that more is left, and after a long time anyway, for what compactions turned up meanwhile.
//! Between two runs the Store rests for as long as the last one took, so that it spends no more than
//! half of its time on this.
use std::time::Duration;
use troupe_types::{Moment, Timestamp};

/// Habits of a Store that collects.
#[derive(Clone, Copy, Debug)]
pub struct CollectOptions {
    /// Rest between two runs, at least.
    pub rest: Duration,
    /// A run after so long even if no safe point is new.
    pub again_after: Duration,
}

/// See the module.
#[derive(Debug)]
pub struct Collector {
    options: CollectOptions,
    /// The newest that was heard; 0 = none.
    safe_point: Timestamp,
    /// Of the last run that is over.
    collected: Timestamp,
    /// The run under way: its safe point, and since when.
    running: Option<(Timestamp, Moment)>,
    has_more: bool,
    /// Not before.
    rests_until: Moment,
    /// When the last run ended.
    ended: Moment,
}

impl Collector {
    /// Nothing was heard yet.
    #[must_use]
    pub fn new(options: CollectOptions) -> Self {
        Self {
            options,
            safe_point: Timestamp::ZERO,
            collected: Timestamp::ZERO,
            running: None,
            has_more: false,
            rests_until: Moment(0),
            ended: Moment(0),
        }
    }

    /// A safe point was heard; it may be an old one.
    pub fn heard(&mut self, safe_point: Timestamp) {
        self.safe_point = self.safe_point.max(safe_point);
    }

    /// Shall a run begin now? It has begun, if so.
    pub fn begin(&mut self, now: Moment) -> bool {
        let is_idle = self.running.is_none() && now >= self.rests_until;
        let is_worth_it = self.has_more
            || self.safe_point > self.collected
            || now.since(self.ended) >= self.options.again_after;
        if self.safe_point == Timestamp::ZERO || !is_idle || !is_worth_it {
            return false;
        }
        self.running = Some((self.safe_point, now));
        true
    }

    /// The run is over.
    pub fn ended(&mut self, now: Moment, has_more: bool) {
        let Some((safe_point, since)) = self.running.take() else { return };
        self.collected = safe_point;
        self.has_more = has_more;
        self.ended = now;
        self.rests_until = now.after(self.options.rest.max(now.since(since)));
    }
}

#[cfg(test)]
mod tests;
