//! Safe points: below them, old versions may be collected.
//!
//! Two of them, so that nobody reads what is being collected: the *transaction safe point* moves
//! first and refuses reads and writes below it; when every Store knows it and no lock is left below
//! it, the *GC safe point* follows, and versions below it that a newer one hides go away.
use crate::ids::{Timestamp, UnixMillis};
use serde::{Deserialize, Serialize};

/// What PD holds back for a service: nothing at or above `ts` is collected until it expires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcBarrier {
    /// Name of the service; one barrier each.
    pub service: String,
    /// Its versions stay.
    pub ts: Timestamp,
    /// Until then, by PD's clock; `None` = until it is removed.
    pub expires_at: Option<UnixMillis>,
}

/// Safe points and barriers as PD holds them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcState {
    /// Reads and prewrites below it are refused.
    pub txn_safe_point: Timestamp,
    /// Versions hidden at it may be collected. Never above `txn_safe_point`.
    pub gc_safe_point: Timestamp,
    /// By service.
    pub barriers: Vec<GcBarrier>,
}

/// What the collector is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GcPhase {
    /// Between two rounds.
    #[default]
    Idle,
    /// It moves the transaction safe point.
    Moving,
    /// Stores that do not know that safe point yet may still trust an older one.
    Waiting,
    /// It resolves locks of transactions that began below.
    Resolving,
    /// It moves the GC safe point.
    Releasing,
    /// It removes values that have ended.
    Sweeping,
}

impl GcPhase {
    /// Stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Moving => "moving",
            Self::Waiting => "waiting",
            Self::Resolving => "resolving",
            Self::Releasing => "releasing",
            Self::Sweeping => "sweeping",
        }
    }
}

/// The newest round of the collector, as it told the Placement Driver beside it. Not durable: a new
/// leader of PD knows of none until its own collector begins one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcRound {
    /// Rounds begun since the collector started; counts from 1.
    pub number: u64,
    /// What it is at.
    pub phase: GcPhase,
    /// The safe point that this round is about; 0 before it is known.
    pub safe_point: Timestamp,
    /// Locks resolved in this round.
    pub locks_resolved: u64,
    /// Ended values removed in this round.
    pub values_removed: u64,
    /// When this round began.
    pub began_at: UnixMillis,
    /// When a round last came to its end.
    pub finished_at: Option<UnixMillis>,
    /// Why the last round that failed did; `None` once a round has come to its end again.
    pub last_error: Option<String>,
}
