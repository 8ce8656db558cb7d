//! Removes many rows, in transactions of bounded size.
use crate::kv_service::api::Inner;
use crate::kv_service::{CallOptions, ScanOptions, ServiceError};
use std::sync::Arc;
use troupe_types::KeyRange;
use troupe_types::txn::session::{OneShot, TxnOp};

/// Rows of one transaction.
const ROWS: u32 = 1024;
const BYTES: u64 = 1 << 20;

impl Inner {
    pub(super) async fn delete_rows(
        self: &Arc<Self>,
        range: KeyRange,
        o: &CallOptions,
    ) -> Result<u64, ServiceError> {
        let scan = ScanOptions { limit: ROWS, max_bytes: BYTES, reverse: false, keys_only: true };
        let (mut left, mut deleted) = (Some(range), 0);
        while let Some(range) = left {
            let page = self.txn_scan_page(range, scan, None, o).await?;
            left = page.rest;
            if page.rows.is_empty() {
                continue;
            }
            deleted += page.rows.len() as u64;
            let then = page.rows.into_iter().map(|row| TxnOp::Delete { key: row.key }).collect();
            self.run_once(OneShot { then, ..OneShot::default() }, o).await?;
        }
        Ok(deleted)
    }
}
