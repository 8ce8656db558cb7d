//! What an error means for the request that got it.
use crate::transport::TransportError;
use std::time::Duration;
use troupe_types::{Code, Peer, Region, RegionError};

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Ask this replica now: it is said to lead.
    AskLeader(Peer),
    /// Ask another replica.
    NextReplica,
    /// The Region has this shape now.
    NewShape(Region),
    /// The route is wrong: ask PD.
    RefreshRoute,
    /// Ask the same replica again, after at least so many milliseconds.
    BackOff {
        /// 0 = as soon as the pauses allow.
        at_least_ms: u64,
    },
    /// Asking again is useless, or not allowed.
    Fail(Code),
}

/// Reaction to what a Region answered.
#[must_use]
pub fn on_region_error(error: &RegionError, is_write: bool) -> Reaction {
    match error {
        RegionError::NotLeader { leader: Some(leader), .. } => Reaction::AskLeader(*leader),
        RegionError::NotLeader { leader: None, .. }
        | RegionError::RegionHalted { .. }
        | RegionError::NotReady { .. } => Reaction::NextReplica,
        RegionError::EpochNotMatch { current } => Reaction::NewShape(current.as_ref().clone()),
        RegionError::RegionNotFound { .. }
        | RegionError::KeyNotInRegion { .. }
        | RegionError::WrongRecipient => Reaction::RefreshRoute,
        RegionError::ServerIsBusy { backoff_ms, .. } => {
            Reaction::BackOff { at_least_ms: *backoff_ms }
        }
        RegionError::StaleCommand | RegionError::MaxTimestampNotSynced { .. } => {
            Reaction::BackOff { at_least_ms: 0 }
        }
        RegionError::EntryTooLarge { .. } => Reaction::Fail(Code::TooLarge),
        RegionError::DiskFull { .. } => Reaction::Fail(Code::DiskFull),
        RegionError::DeadlineExceeded => Reaction::Fail(Code::DeadlineExceeded),
        RegionError::OutcomeUnknown { .. } if is_write => Reaction::Fail(Code::OutcomeUnknown),
        RegionError::OutcomeUnknown { .. } => Reaction::NextReplica,
        RegionError::ChangeRefused { .. } => Reaction::Fail(Code::OperatorConflict),
        RegionError::Malformed { .. } => Reaction::Fail(Code::Corruption),
    }
}

/// Reaction to a request that did not get through.
#[must_use]
pub fn on_transport_error(error: &TransportError, is_write: bool) -> Reaction {
    match error {
        TransportError::Broken { .. } if is_write => Reaction::Fail(Code::OutcomeUnknown),
        TransportError::Broken { .. }
        | TransportError::Unreachable { .. }
        | TransportError::Refused { .. } => Reaction::NextReplica,
        TransportError::UnknownAddress => Reaction::RefreshRoute,
    }
}

/// How long a request waits before it is tried again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pauses {
    failures: u32,
    hints: u32,
}

const SHORTEST: Duration = Duration::from_millis(2);
const LONGEST: Duration = Duration::from_millis(200);
/// Hints followed at once. Replicas that name each other would otherwise keep everybody busy.
const HINTS_AT_ONCE: u32 = 2;

impl Pauses {
    /// The wait before the next attempt; doubles with each failure.
    pub fn next(&mut self, reaction: &Reaction) -> Duration {
        let grown = SHORTEST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures += 1;
        match reaction {
            Reaction::AskLeader(_) if self.hints < HINTS_AT_ONCE => {
                self.hints += 1;
                self.failures -= 1;
                Duration::ZERO
            }
            Reaction::NewShape(_) if self.failures == 1 => Duration::ZERO,
            Reaction::BackOff { at_least_ms } => grown.max(Duration::from_millis(*at_least_ms)),
            Reaction::AskLeader(_)
            | Reaction::NewShape(_)
            | Reaction::NextReplica
            | Reaction::RefreshRoute
            | Reaction::Fail(_) => grown,
        }
    }
}
