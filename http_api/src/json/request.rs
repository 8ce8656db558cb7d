//! Bodies of requests.
use crate::json::bytes::BytesIn;
use serde::Deserialize;
use utoipa::ToSchema;

/// Keys to read or delete.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeysBody {
    /// Keys, in the order of the reply.
    pub keys: Vec<BytesIn>,
}

/// Rows to write.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutBody {
    /// Rows; a key named twice gets the last value.
    pub items: Vec<RowIn>,
}

/// One row.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RowIn {
    /// Key.
    pub key: BytesIn,
    /// Value.
    pub value: BytesIn,
    /// The row ends after so long, such as `30s`.
    pub ttl: Option<String>,
}

/// The last line of an export.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trailer {
    /// Always true.
    pub done: bool,
    /// Rows of the export.
    pub rows: u64,
    /// Checksum of the export, hexadecimal.
    pub checksum: String,
    /// As of when an export of the transactional space was read.
    pub read_ts: Option<String>,
}

/// A page of rows to read.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanBody {
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
    /// How bytes are shown: `auto`, `utf8`, `b64`, `hex` or `json`.
    pub enc: Option<String>,
}

/// Changes one key if it is as expected.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CasBody {
    /// Key.
    pub key: BytesIn,
    /// What must be there.
    pub expect: Expect,
    /// The new value.
    pub put: Option<BytesIn>,
    /// Remove the key instead.
    #[serde(default)]
    pub delete: bool,
    /// The new value ends after so long, such as `30s`.
    pub ttl: Option<String>,
}

/// What a compare-and-swap expects: exactly one of these.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// No value.
    #[serde(default)]
    pub absent: bool,
    /// Any value.
    #[serde(default)]
    pub present: bool,
    /// Exactly this value.
    pub value: Option<BytesIn>,
}

/// A range to delete: `prefix`, both of `start` and `end`, or `all` with `confirm`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteRangeBody {
    /// All keys that begin like this.
    pub prefix: Option<BytesIn>,
    /// First key of the range.
    pub start: Option<BytesIn>,
    /// First key behind the range.
    pub end: Option<BytesIn>,
    /// The whole raw space.
    #[serde(default)]
    pub all: bool,
    /// Name of the cluster, needed with `all`.
    pub confirm: Option<String>,
    /// Only count.
    #[serde(default)]
    pub dry_run: bool,
}

/// A range: `prefix`, or `start` and `end`, or everything.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RangeBody {
    /// All keys that begin like this.
    pub prefix: Option<BytesIn>,
    /// First key of the range.
    pub start: Option<BytesIn>,
    /// First key behind the range.
    pub end: Option<BytesIn>,
}

/// A Store to put a replica on, to take one from, or to hand leadership to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreBody {
    /// Id of the Store.
    pub store: u64,
}

/// From where to where a replica moves.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveBody {
    /// Store that loses its replica.
    pub from: u64,
    /// Store that gets one.
    pub to: u64,
}

/// A change of a Store.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StorePatch {
    /// `leaving`: the Store shall lose all its replicas.
    pub state: String,
}
