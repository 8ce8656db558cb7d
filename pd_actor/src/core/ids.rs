//! Numbers for Regions, peers and whoever asks: never given twice in the life of a cluster.
//!
//! A bound is persisted ahead. A number at or above the durable bound is only ever told in an
//! answer that waits for the row with the larger bound, so a leader that starts at the durable
//! bound repeats none, whether the last row of its predecessor was written or not.
use super::rows::{IDS, RowChange, put};

/// The first number: below it are those of the first node, its Stores and the system Region.
pub const FIRST_ID: u64 = 100;
/// How far the bound is persisted ahead.
const WINDOW: u64 = 1000;
/// Most numbers of one request.
pub const MAX_IDS: u32 = 10_000;

/// The allocator of one reign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    next: u64,
    /// Bound of the last row staged.
    bound: u64,
}

impl Ids {
    /// Starts at the durable bound.
    #[must_use]
    pub fn new(bound: u64) -> Self {
        let bound = bound.max(FIRST_ID);
        Self { next: bound, bound }
    }

    /// Gives `count` numbers: the first, and the row that must be durable before anybody is told.
    pub fn take(&mut self, count: u32) -> (u64, Option<RowChange>) {
        let first = self.next;
        self.next += u64::from(count);
        if self.next <= self.bound {
            return (first, None);
        }
        self.bound = self.next + WINDOW;
        (first, Some(put(IDS, &self.bound)))
    }
}
