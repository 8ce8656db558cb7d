//! Serializable transactions: what was read is checked again at the commit.
//!
//! Such a transaction first locks all it writes, then takes its commit timestamp C from the oracle,
//! then reads again, at C, whatever it read of others' commits. If all is as it was in its snapshot, it
//! commits at C, and at no other timestamp; else it is rolled back.
//!
//! Why that makes serializable ones serial, in order of C: all its writes take effect at C. All its
//! reads are what a transaction would see that ran at C alone. A later commit cannot change that: one
//! that was already prewritten when the key was read again was met as a lock, and either had its end
//! (then it was seen) or was pushed to commit behind C; one that is prewritten after that takes its
//! timestamp from the oracle after C, or, if it commits in one phase or asynchronously, above the
//! largest timestamp read, which is C at least. And if a reader pushed this transaction itself
//! meanwhile, its commit at C is refused, and it validates again at a newer C.
//!
//! If one Region holds everything and only single keys were read, locks on the keys read do the same
//! in one phase: the prewrite refuses if one of them changed, and it commits in the same step.
use super::core::reads::{ReadSet, version, versions};
use super::steps::Transaction;
use crate::kv_service::api::Inner;
use crate::kv_service::core::Causes;
use crate::kv_service::{CallOptions, ScanOptions, ServiceError};
use std::sync::Arc;
use troupe_types::txn::TxnError;
use troupe_types::txn::error::ConflictReason;
use troupe_types::{Key, Timestamp};

/// Rows read again in one page.
const PAGE_ROWS: u32 = 1024;
const PAGE_BYTES: u64 = 4 << 20;

impl Inner {
    /// Is everything that `txn` read still so at `at`?
    ///
    /// # Errors
    /// `WRITE_CONFLICT` with [`ConflictReason::ReadChanged`] if not; others if it cannot be read.
    pub(super) async fn validate(
        self: &Arc<Self>,
        txn: &Transaction,
        at: Timestamp,
        o: &CallOptions,
    ) -> Result<(), ServiceError> {
        // The prewrite has checked what it wrote, back to the start; but not where it had locks, which
        // may have come later than the read.
        let is_checked = |key: &Key| txn.buffer.holds(key) && !txn.locked.contains(key);
        let unguarded = txn.reads.points().filter(|(key, _)| !is_checked(key));
        let read: Vec<(Key, Timestamp)> = unguarded.map(|(k, v)| (k.clone(), v)).collect();
        let keys: Vec<Key> = read.iter().map(|(key, _)| key.clone()).collect();
        let look = self.look(at).bypassing(txn.start_ts);
        let rows = self.snapshot_rows(&keys, &look, o).await?;
        let now: Vec<_> =
            keys.into_iter().zip(rows.iter().map(|row| version(row.as_ref()))).collect();
        check(txn, &read, &now)?;
        for read in txn.reads.ranges() {
            let mut now = Vec::new();
            let mut left = Some(read.range.clone());
            let mut look = self.look(at).bypassing(txn.start_ts);
            while let Some(range) = left {
                let scan = ScanOptions {
                    limit: PAGE_ROWS,
                    max_bytes: PAGE_BYTES,
                    reverse: false,
                    keys_only: true,
                };
                let page = self.snapshot_scan(range, scan, &mut look, o).await?;
                now.extend(versions(&page.rows, false));
                left = page.rest;
            }
            check(txn, &read.rows, &now)?;
        }
        Ok(())
    }
}

fn check(
    txn: &Transaction,
    read: &[(Key, Timestamp)],
    now: &[(Key, Timestamp)],
) -> Result<(), ServiceError> {
    let Some(key) = ReadSet::difference(read, now) else { return Ok(()) };
    let conflict = now.iter().find(|(changed, _)| *changed == key).map(|(_, ts)| *ts);
    let error = TxnError::WriteConflict {
        start_ts: txn.start_ts,
        conflict_start_ts: Timestamp::ZERO,
        conflict_commit_ts: conflict.unwrap_or_default(),
        primary: txn.primary.clone().unwrap_or_else(|| key.clone()),
        key,
        reason: ConflictReason::ReadChanged,
    };
    Err(ServiceError::of_txn(error, &Causes::default()))
}
