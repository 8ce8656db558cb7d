//! What gateways pass in and get.
use crate::kv_service::StoppedBy;
use troupe_types::txn::TxnRow;
use troupe_types::{KeyRange, Timestamp};

/// Rows of a transactional scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnScanPage {
    /// In scan order.
    pub rows: Vec<TxnRow>,
    /// What is left to scan; `None` at the end.
    pub rest: Option<KeyRange>,
    /// Why it stopped.
    pub stopped_by: StoppedBy,
    /// As of when; the rest is to be read at the same timestamp.
    pub read_ts: Timestamp,
}

/// What became of locks that were to be resolved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResolvedLocks {
    /// Committed or rolled back.
    pub resolved: u64,
    /// Of transactions that are alive.
    pub alive: u64,
}
