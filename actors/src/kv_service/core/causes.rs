//! What a request met on its way, and which code it ends with when its time is up.
use crate::transport::TransportError;
use std::collections::BTreeSet;
use troupe_types::pd::PdError;
use troupe_types::{Code, RegionError, RegionId};

/// Kinds of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    /// Nobody leads, or whoever leads does not answer.
    Leaderless,
    /// A replica is out of service.
    Halted,
    /// Queues are full.
    Busy,
    /// PD does not answer.
    Pd,
    /// What passes by itself: new shapes, overtaken proposals.
    Passing,
}

/// The errors of one request, newest last.
#[derive(Clone, Debug, Default)]
pub struct Causes {
    lines: Vec<String>,
    seen: BTreeSet<Trouble>,
    retry_after_ms: Option<u64>,
    region: Option<RegionId>,
    /// Some attempt was sent and not answered, or answered that nobody knows.
    may_have_arrived: bool,
    /// How often a new leader that has no largest read timestamp yet may still say so; `None` = always.
    sync_patience: Option<u32>,
}

/// Errors kept for the reply.
const KEPT: usize = 8;

impl Causes {
    /// Causes of a request that gives up when leaders say so often that they have no largest read
    /// timestamp yet.
    #[must_use]
    pub fn with_sync_patience(refusals: u32) -> Self {
        Self { sync_patience: Some(refusals), ..Self::default() }
    }

    /// Has that patience come to its end?
    #[must_use]
    pub fn is_tired_of_unsynced(&self) -> bool {
        self.sync_patience == Some(0)
    }

    /// May some attempt have taken effect, or do so later? If not, all of them were refused.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        self.may_have_arrived
    }

    /// A Region refused.
    pub fn region_error(&mut self, region: RegionId, error: &RegionError) {
        self.region = Some(region);
        match error {
            RegionError::OutcomeUnknown { .. } => self.may_have_arrived = true,
            RegionError::MaxTimestampNotSynced { .. } => {
                self.sync_patience = self.sync_patience.map(|left| left.saturating_sub(1));
            }
            RegionError::NotLeader { .. }
            | RegionError::NotReady { .. }
            | RegionError::RegionHalted { .. }
            | RegionError::ServerIsBusy { .. }
            | RegionError::RegionNotFound { .. }
            | RegionError::EpochNotMatch { .. }
            | RegionError::KeyNotInRegion { .. }
            | RegionError::StaleCommand
            | RegionError::EntryTooLarge { .. }
            | RegionError::DiskFull { .. }
            | RegionError::DeadlineExceeded
            | RegionError::ChangeRefused { .. }
            | RegionError::WrongRecipient
            | RegionError::Malformed { .. } => {}
        }
        let trouble = match error {
            RegionError::NotLeader { .. } | RegionError::NotReady { .. } => Trouble::Leaderless,
            RegionError::RegionHalted { .. } => Trouble::Halted,
            RegionError::ServerIsBusy { backoff_ms, .. } => {
                self.retry_after_ms = Some(*backoff_ms);
                Trouble::Busy
            }
            RegionError::RegionNotFound { .. }
            | RegionError::EpochNotMatch { .. }
            | RegionError::KeyNotInRegion { .. }
            | RegionError::StaleCommand
            | RegionError::EntryTooLarge { .. }
            | RegionError::DiskFull { .. }
            | RegionError::DeadlineExceeded
            | RegionError::OutcomeUnknown { .. }
            | RegionError::ChangeRefused { .. }
            | RegionError::WrongRecipient
            | RegionError::MaxTimestampNotSynced { .. }
            | RegionError::Malformed { .. } => Trouble::Passing,
        };
        self.note(trouble, error.to_string());
    }

    /// A node did not answer.
    pub fn transport_error(&mut self, region: RegionId, store: u64, error: &TransportError) {
        self.region = Some(region);
        self.may_have_arrived |= matches!(error, TransportError::Broken { .. });
        self.note(Trouble::Leaderless, format!("store {store}: {error}"));
    }

    /// PD did not tell the route.
    pub fn pd_error(&mut self, error: &PdError) {
        self.note(Trouble::Pd, error.to_string());
    }

    /// PD knows no Region for the key.
    pub fn no_region(&mut self) {
        self.note(Trouble::Pd, "the Placement Driver knows no region for the key".to_owned());
    }

    fn note(&mut self, trouble: Trouble, line: String) {
        self.seen.insert(trouble);
        if self.lines.last() == Some(&line) {
            return;
        }
        if self.lines.len() == KEPT {
            self.lines.remove(0);
        }
        self.lines.push(line);
    }

    /// The code of a request whose deadline came. It had no effect: had it been possible that it had
    /// one, it would have ended at once.
    #[must_use]
    pub fn code_at_deadline(&self) -> Code {
        let only = |kinds: &[Trouble]| {
            !self.seen.is_empty() && self.seen.iter().all(|seen| kinds.contains(seen))
        };
        if only(&[Trouble::Leaderless]) {
            Code::NoQuorum
        } else if only(&[Trouble::Leaderless, Trouble::Halted]) {
            Code::RegionUnavailable
        } else if only(&[Trouble::Busy]) {
            Code::ServerBusy
        } else if only(&[Trouble::Pd]) {
            Code::PdUnavailable
        } else {
            Code::DeadlineExceeded
        }
    }

    /// The lines, oldest first.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// When to come back, as the last busy queue said.
    #[must_use]
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.retry_after_ms
    }

    /// The Region asked last.
    #[must_use]
    pub fn region(&self) -> Option<RegionId> {
        self.region
    }
}
