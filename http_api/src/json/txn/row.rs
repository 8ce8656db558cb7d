//! Rows and writes of the transactional space in replies.
use crate::json::bytes::{BytesOut, Enc};
use crate::json::reply::{Decimal, user_part};
use serde::Serialize;
use troupe_types::txn::TxnRow;
use troupe_types::{Key, Timestamp, UnixMillis};
use utoipa::ToSchema;

/// A row and its version.
#[derive(Debug, Serialize, ToSchema)]
pub struct KvRow {
    /// Key.
    pub key: BytesOut,
    /// Value; left out with `keys_only`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<BytesOut>,
    /// When it was committed, for `If-Match`; left out for what the transaction itself wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "455930112233472001")]
    pub version: Option<Decimal>,
    /// Milliseconds until the row ends, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// As of when it was read, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub read_ts: Option<Decimal>,
}

/// How rows are shown.
#[derive(Clone, Copy, Debug)]
pub struct RowStyle {
    /// Encoding of bytes.
    pub enc: Enc,
    /// Without values.
    pub keys_only: bool,
    /// For what is left of a row's life.
    pub now: UnixMillis,
}

impl KvRow {
    /// `row` as it is shown.
    #[must_use]
    pub fn new(row: TxnRow, style: RowStyle) -> Self {
        let left = |at: UnixMillis| at.get().saturating_sub(style.now.get());
        Self {
            key: BytesOut::key(user_part(&row.key), style.enc),
            value: (!style.keys_only).then_some(BytesOut::value(row.value, style.enc)),
            version: version(row.commit_ts),
            ttl_ms: row.expires_at.map(left),
            read_ts: None,
        }
    }
}

/// A timestamp, unless it is 0.
#[must_use]
pub fn version(ts: Timestamp) -> Option<Decimal> {
    (ts != Timestamp::ZERO).then_some(Decimal(ts.get()))
}

/// One answer to a question for a key.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum KvItem {
    /// The row.
    Found(KvRow),
    /// There is none.
    Missing {
        /// Key.
        key: BytesOut,
        /// Always true.
        missing: bool,
    },
}

impl KvItem {
    /// What was found under the stored `key`.
    #[must_use]
    pub fn new(key: &Key, row: Option<TxnRow>, style: RowStyle) -> Self {
        match row {
            Some(row) => Self::Found(KvRow::new(row, style)),
            None => Self::Missing { key: BytesOut::key(user_part(key), style.enc), missing: true },
        }
    }
}

/// Answers of a batch read, in the order asked, all of one moment.
#[derive(Debug, Serialize, ToSchema)]
pub struct KvItems {
    /// One for each key.
    pub items: Vec<KvItem>,
    /// As of when.
    #[schema(value_type = String)]
    pub read_ts: Decimal,
}

/// A page of rows, all of one moment.
#[derive(Debug, Serialize, ToSchema)]
pub struct KvPage {
    /// Rows, in scan order.
    pub items: Vec<KvRow>,
    /// As of when; the same for all pages of a scan.
    #[schema(value_type = String)]
    pub read_ts: Decimal,
    /// Goes on with the next page; left out at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Why the page ends: `end` of the range, `limit` of rows, or `bytes` of a page.
    pub stopped_by: &'static str,
}

/// A key that was written or removed.
#[derive(Debug, Serialize, ToSchema)]
pub struct KvWritten {
    /// Key.
    pub key: BytesOut,
    /// When it was committed; the key's version, unless it was removed.
    #[schema(value_type = String, example = "455930112233472001")]
    pub version: Decimal,
}

/// A batch that was written, all or nothing.
#[derive(Debug, Serialize, ToSchema)]
pub struct KvBatchWritten {
    /// Keys.
    pub written: usize,
    /// When they were committed.
    #[schema(value_type = String)]
    pub commit_ts: Decimal,
}

/// A batch that was deleted, all or nothing.
#[derive(Debug, Serialize, ToSchema)]
pub struct KvBatchDeleted {
    /// Keys that have no value now.
    pub deleted: usize,
    /// When they were deleted.
    #[schema(value_type = String)]
    pub commit_ts: Decimal,
}

/// A range that was deleted, or would be.
#[derive(Debug, Serialize, ToSchema)]
pub struct KvRangeDeleted {
    /// Rows deleted, or with `dry_run` those that would be.
    pub rows: u64,
}
