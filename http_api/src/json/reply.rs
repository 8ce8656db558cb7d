//! Bodies of replies of the raw space, and what all replies are made of.
use crate::error::Problem;
use crate::json::bytes::{BytesOut, Enc};
use serde::{Serialize, Serializer};
use troupe_actors::kv_service::ServiceError;
use troupe_types::command::{RawChecksum, RawRow};
use troupe_types::key::user_key;
use troupe_types::raw_value::value_hash;
use troupe_types::{Code, Key, UnixMillis};
use utoipa::ToSchema;

/// Serializes a reply.
///
/// # Errors
/// `NOT_UTF8`: bytes do not fit the encoding that was asked for, the only thing that can fail.
pub fn to_json<T: Serialize>(reply: &T) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(reply).map_err(|error| {
        let detail = format!("a value does not fit the encoding that was asked for: {error}");
        Problem::new(Code::NotUtf8, detail)
    })
}

/// A 64-bit number as a decimal string: JavaScript loses digits above 2^53.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal(pub u64);

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A 64-bit number as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hex64(pub u64);

impl std::fmt::Display for Hex64 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Hex64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The user's part of a stored key.
#[must_use]
pub fn user_part(key: &Key) -> Key {
    user_key(key).unwrap_or_default()
}

/// Milliseconds that a row has left at `now`.
#[must_use]
pub fn ttl_ms(row: &RawRow, now: UnixMillis) -> Option<u64> {
    row.expires_at.map(|at| at.get().saturating_sub(now.get()))
}

/// A row.
#[derive(Debug, Serialize, ToSchema)]
pub struct RowOut {
    /// Key.
    pub key: BytesOut,
    /// Value; left out with `keys_only`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<BytesOut>,
    /// Hash of the value, for `If-Match`; left out with `keys_only`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "0a1b2c3d4e5f6071")]
    pub etag: Option<Hex64>,
    /// Milliseconds until the row ends, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
}

impl RowOut {
    /// `row` as it is shown at `now`.
    #[must_use]
    pub fn new(row: RawRow, enc: Enc, keys_only: bool, now: UnixMillis) -> Self {
        Self {
            key: BytesOut::key(user_part(&row.key), enc),
            etag: (!keys_only).then(|| Hex64(value_hash(&row.value))),
            ttl_ms: ttl_ms(&row, now),
            value: (!keys_only).then_some(BytesOut::value(row.value, enc)),
        }
    }
}

/// A key that was written.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyWritten {
    /// Key.
    pub key: BytesOut,
    /// Hash of the new value; left out for a delete.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "0a1b2c3d4e5f6071")]
    pub etag: Option<Hex64>,
}

/// One answer of a batch read.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ItemOut {
    /// The row.
    Found(RowOut),
    /// There is none.
    Missing {
        /// Key.
        key: BytesOut,
        /// Always true.
        missing: bool,
    },
}

/// Answers of a batch read, in the order asked.
#[derive(Debug, Serialize, ToSchema)]
pub struct ItemsOut {
    /// One for each key.
    pub items: Vec<ItemOut>,
}

/// A key whose write failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailedKey {
    /// Key.
    pub key: BytesOut,
    /// Stable code.
    #[schema(value_type = String)]
    pub code: Code,
    /// For people.
    pub detail: String,
}

impl FailedKey {
    /// For the stored `key`.
    #[must_use]
    pub fn new((key, error): (Key, ServiceError)) -> Self {
        let key = BytesOut::key(user_part(&key), Enc::Auto);
        Self { key, code: error.code, detail: error.detail }
    }
}

/// What became of a batch put.
#[derive(Debug, Serialize, ToSchema)]
pub struct WrittenOut {
    /// Rows written.
    pub written: u64,
    /// Rows that were not, or perhaps not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedKey>,
}

/// What became of a batch delete.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeletedOut {
    /// Keys that have no value now.
    pub deleted: u64,
    /// Keys that were not deleted, or perhaps not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedKey>,
}

/// A page of rows.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageOut {
    /// Rows, in scan order.
    pub items: Vec<RowOut>,
    /// Goes on with the next page; left out at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Why the page ends: `end` of the range, `limit` of rows, or `bytes` of a page.
    pub stopped_by: &'static str,
}

/// What became of a compare-and-swap.
#[derive(Debug, Serialize, ToSchema)]
pub struct SwappedOut {
    /// Was the key as expected, and so changed?
    pub succeeded: bool,
    /// The value before; null if there was none.
    pub previous: Option<BytesOut>,
}

/// A range that was deleted, or would be.
#[derive(Debug, Serialize, ToSchema)]
pub struct RangeDeletedOut {
    /// Regions that took part.
    pub regions: u64,
    /// Rows that would be deleted; only with `dry_run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// Sum over rows.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChecksumOut {
    /// Rows.
    pub rows: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// XOR over rows of XXH3-64 of (key length as 4 bytes little endian, key, value).
    #[schema(value_type = String, example = "0a1b2c3d4e5f6071")]
    pub checksum: Hex64,
}

impl From<RawChecksum> for ChecksumOut {
    fn from(sum: RawChecksum) -> Self {
        Self { rows: sum.rows, bytes: sum.bytes, checksum: Hex64(sum.xor) }
    }
}

/// A line of an export. An import takes it as it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportRow {
    /// Key.
    pub key: BytesOut,
    /// Value; left out with `keys_only`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<BytesOut>,
    /// What the row has left, if it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
}

/// The last line of an export.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportEnd {
    /// Always true.
    pub done: bool,
    /// Rows of the export.
    pub rows: u64,
    /// Checksum of all rows, as of `POST /v1/raw/checksum`.
    #[schema(value_type = String)]
    pub checksum: Hex64,
    /// As of when all rows were read; only of the transactional space.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub read_ts: Option<Decimal>,
}

/// A line of progress of an import.
#[derive(Debug, Serialize, ToSchema)]
pub struct Progress {
    /// Rows acknowledged so far.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// The last line of an import.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportEnd {
    /// Always true.
    pub done: bool,
    /// Rows acknowledged.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Checksum of all rows that were imported.
    #[schema(value_type = String)]
    pub checksum: Hex64,
}
