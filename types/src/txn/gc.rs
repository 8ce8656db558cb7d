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
