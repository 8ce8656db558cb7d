//! Bodies of requests of the transactional space.
use super::numbers::{BareOr, DecimalIn, IntegerIn};
use crate::json::bytes::BytesIn;
use serde::Deserialize;
use utoipa::ToSchema;

/// Keys to read.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KvGetBody {
    /// Keys, in the order of the reply.
    pub keys: Vec<BytesIn>,
    /// As of when: a timestamp, RFC 3339, or `-5s`. Default: now.
    pub at: Option<String>,
}

/// A page of rows to read.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KvScanBody {
    /// All keys that begin like this. Not together with `start` and `end`.
    pub prefix: Option<BytesIn>,
    /// First key of the range.
    pub start: Option<BytesIn>,
    /// First key behind the range.
    pub end: Option<BytesIn>,
    /// Rows at most.
    pub limit: Option<u64>,
    /// From the end of the range to its start.
    #[serde(default)]
    pub reverse: bool,
    /// Leave values out.
    #[serde(default)]
    pub keys_only: bool,
    /// `next_cursor` of the page before; the other fields must be the same as there.
    pub cursor: Option<String>,
    /// As of when: a timestamp, RFC 3339, or `-5s`. Default: now. A cursor keeps its own.
    pub at: Option<String>,
    /// How bytes are shown: `auto`, `utf8`, `b64`, `hex` or `json`.
    pub enc: Option<String>,
}

/// A transaction in one request.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TxnBody {
    /// Conditions; all must hold. Without any, `then` is done.
    #[serde(rename = "if", default)]
    pub conditions: Vec<CompareIn>,
    /// Steps if they hold.
    #[serde(default)]
    pub then: Vec<StepIn>,
    /// Steps if they do not.
    #[serde(rename = "else", default)]
    pub otherwise: Vec<StepIn>,
    /// `optimistic` (default) or `pessimistic`.
    pub mode: Option<String>,
    /// `snapshot` (default) or `serializable`.
    pub isolation: Option<String>,
    /// `auto` (default), `async` or `two_phase`.
    pub commit: Option<String>,
    /// How long it waits for locks of others, such as `500ms`. Default: 1s; `0s`: not at all.
    pub lock_wait: Option<String>,
}

/// An interactive transaction to begin.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginBody {
    /// `optimistic` (default) or `pessimistic`.
    pub mode: Option<String>,
    /// `snapshot` (default) or `serializable`.
    pub isolation: Option<String>,
    /// `auto` (default), `async` or `two_phase`.
    pub commit: Option<String>,
    /// How long it waits for locks of others, such as `500ms`. Default: 1s; `0s`: not at all.
    pub lock_wait: Option<String>,
    /// Rolled back after so long without a request, such as `30s` (the default).
    pub ttl: Option<String>,
}

/// Steps of an interactive transaction.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpsBody {
    /// Steps, in order. Later ones see what earlier ones did.
    pub ops: Vec<StepIn>,
}

/// A condition on a key: at least one of `exists`, `value` and `version`; all that are given must
/// hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareIn {
    /// Key.
    pub key: BytesIn,
    /// Has it a value?
    pub exists: Option<bool>,
    /// Its value: a string that it must equal, or comparisons.
    #[schema(value_type = Option<ValueIs>)]
    pub value: Option<BareOr<ValueIs>>,
    /// When it was committed (0: no value): a version that it must equal, or comparisons.
    #[schema(value_type = Option<VersionIs>)]
    pub version: Option<BareOr<VersionIs>>,
}

/// Comparisons with a value; all that are given must hold. Those of bytes are by bytes; `…_int`
/// takes the value for a decimal number, and refuses one that is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ValueIs {
    /// Equal.
    pub eq: Option<BytesIn>,
    /// Not equal; an absent value is.
    pub ne: Option<BytesIn>,
    /// Less.
    pub lt: Option<BytesIn>,
    /// Less or equal.
    pub le: Option<BytesIn>,
    /// Greater.
    pub gt: Option<BytesIn>,
    /// Greater or equal.
    pub ge: Option<BytesIn>,
    /// Equal, as numbers.
    #[schema(value_type = Option<i64>)]
    pub eq_int: Option<IntegerIn>,
    /// Not equal, as numbers.
    #[schema(value_type = Option<i64>)]
    pub ne_int: Option<IntegerIn>,
    /// Less, as numbers.
    #[schema(value_type = Option<i64>)]
    pub lt_int: Option<IntegerIn>,
    /// Less or equal, as numbers.
    #[schema(value_type = Option<i64>)]
    pub le_int: Option<IntegerIn>,
    /// Greater, as numbers.
    #[schema(value_type = Option<i64>)]
    pub gt_int: Option<IntegerIn>,
    /// Greater or equal, as numbers.
    #[schema(value_type = Option<i64>)]
    pub ge_int: Option<IntegerIn>,
}

/// Comparisons with a version (decimal; 0 = no value); all that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionIs {
    /// Equal.
    #[schema(value_type = Option<String>)]
    pub eq: Option<DecimalIn>,
    /// Not equal.
    #[schema(value_type = Option<String>)]
    pub ne: Option<DecimalIn>,
    /// Older.
    #[schema(value_type = Option<String>)]
    pub lt: Option<DecimalIn>,
    /// Older or equal.
    #[schema(value_type = Option<String>)]
    pub le: Option<DecimalIn>,
    /// Newer.
    #[schema(value_type = Option<String>)]
    pub gt: Option<DecimalIn>,
    /// Newer or equal.
    #[schema(value_type = Option<String>)]
    pub ge: Option<DecimalIn>,
}

/// One step of a transaction: an object with one of these fields.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepIn {
    /// Read a key.
    Get(GetStep),
    /// Write a key.
    Put(PutStep),
    /// Write a key that has no value; else the transaction is refused.
    Insert(PutStep),
    /// Remove a key.
    Delete(DeleteStep),
    /// Add to a number.
    Add(AddStep),
    /// Read a range.
    Scan(ScanStep),
    /// Lock keys without a change.
    Lock(LockStep),
}

/// Reads a key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GetStep {
    /// Key.
    pub key: BytesIn,
    /// Nobody else may change it before the commit: a pessimistic transaction locks it, an
    /// optimistic one checks it.
    #[serde(default)]
    pub for_update: bool,
}

/// Writes a key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutStep {
    /// Key.
    pub key: BytesIn,
    /// Value.
    pub value: BytesIn,
    /// The row ends after so long, such as `30s`.
    pub ttl: Option<String>,
}

/// Removes a key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteStep {
    /// Key.
    pub key: BytesIn,
}

/// Adds to a number in decimal digits; no value counts as 0.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddStep {
    /// Key.
    pub key: BytesIn,
    /// How much; may be negative.
    #[schema(value_type = i64)]
    pub by: IntegerIn,
}

/// Reads a range.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanStep {
    /// All keys that begin like this. Not together with `start` and `end`.
    pub prefix: Option<BytesIn>,
    /// First key of the range.
    pub start: Option<BytesIn>,
    /// First key behind the range.
    pub end: Option<BytesIn>,
    /// Rows at most. Default: 100.
    pub limit: Option<u64>,
    /// From the end of the range to its start.
    #[serde(default)]
    pub reverse: bool,
    /// Leave values out.
    #[serde(default)]
    pub keys_only: bool,
}

/// Locks keys.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LockStep {
    /// Keys.
    pub keys: Vec<BytesIn>,
    /// How long to wait for locks of others; `0s`: not at all. Default: as the transaction.
    pub wait: Option<String>,
}

/// Which locks to resolve.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveBody {
    /// All keys that begin like this. Not together with `start` and `end`.
    pub prefix: Option<BytesIn>,
    /// First key of the range.
    pub start: Option<BytesIn>,
    /// First key behind the range.
    pub end: Option<BytesIn>,
    /// Locks of transactions that began by then: a timestamp, RFC 3339, or `-5s`. Default: now.
    pub began_by: Option<String>,
}

/// How far old versions may be collected.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GcBody {
    /// Nothing below it is read any more: a timestamp, RFC 3339, or `-10m`.
    pub safe_point: String,
}

/// What a service needs kept.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BarrierBody {
    /// Versions from then on stay: a timestamp, RFC 3339, or `-10m`.
    pub at: String,
    /// For so long, such as `1h`. Without it: until the barrier is removed.
    pub ttl: Option<String>,
}
