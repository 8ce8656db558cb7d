//! `troupe kv`: keys and values.
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Which of the two key spaces: they share nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SpaceName {
    /// Plain keys without versions, /v1/raw
    Raw,
    /// Transactional keys with versions, /v1/kv
    Kv,
}

/// Read and write keys and values.
#[derive(Debug, Args)]
pub struct KvArgs {
    /// Keys and values on this command line are hexadecimal digits
    #[arg(long, global = true)]
    pub hex: bool,
    /// Which key space [default: raw, and kv for history]
    #[arg(long, global = true, value_enum)]
    pub space: Option<SpaceName>,
    /// What to do.
    #[command(subcommand)]
    pub command: KvCommand,
}

impl KvArgs {
    /// The space that the command is about.
    #[must_use]
    pub fn space(&self) -> SpaceName {
        let only = match self.command {
            KvCommand::History(_) => SpaceName::Kv,
            KvCommand::Get(_)
            | KvCommand::Put(_)
            | KvCommand::Del(_)
            | KvCommand::Scan(_)
            | KvCommand::Cas(_)
            | KvCommand::Import { .. }
            | KvCommand::Export(_)
            | KvCommand::Checksum(_)
            | KvCommand::DeleteRange(_) => SpaceName::Raw,
        };
        self.space.unwrap_or(only)
    }
}

/// What to do with keys and values.
#[derive(Debug, Subcommand)]
pub enum KvCommand {
    /// Print the value of a key, or of several
    Get(GetArgs),
    /// Write a value
    Put(PutArgs),
    /// Delete keys; one that does not exist is no error
    #[command(visible_alias = "delete")]
    Del(DelArgs),
    /// List keys and values in order
    Scan(ScanArgs),
    /// Print all versions of a key that are kept, and its lock (space kv)
    History(HistoryArgs),
    /// Write a value if the present one is as expected, in one step
    Cas(CasArgs),
    /// Write all rows of an NDJSON file: {"key":…,"value":…} a line
    Import {
        /// File to read; - for stdin
        file: PathBuf,
    },
    /// Print all rows of a range as NDJSON, as import reads them
    Export(ExportArgs),
    /// Count rows and bytes of a range and print their checksum
    Checksum(RangeArgs),
    /// Delete all keys of a range
    DeleteRange(DeleteRangeArgs),
}

/// Print the value of a key, or of several.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// Keys to read
    #[arg(required = true)]
    pub keys: Vec<String>,
    /// Print the bytes of the value and nothing else, not even a line end (one key)
    #[arg(long)]
    pub raw: bool,
    /// As of when: a timestamp, an RFC 3339 time, or so long ago such as -5s (space kv)
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub at: Option<String>,
    /// leader, linearizable or follower
    #[arg(long)]
    pub consistency: Option<String>,
    /// How bytes are shown: auto, utf8, b64, hex or json
    #[arg(long)]
    pub enc: Option<String>,
}

/// Write a value.
#[derive(Debug, Args)]
pub struct PutArgs {
    /// Key to write
    pub key: String,
    /// Its value; - for stdin
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub value: Option<String>,
    /// Read the value from a file
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// The value disappears after so long, such as 30s
    #[arg(long)]
    pub ttl: Option<String>,
    /// Only if the key has no value
    #[arg(long, conflicts_with = "if_match")]
    pub if_absent: bool,
    /// Only if the value has this ETag; in space kv: this version
    #[arg(long, value_name = "ETAG")]
    pub if_match: Option<String>,
    /// Takes effect once, however often it is sent under this key (space kv)
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
}

/// Delete keys.
#[derive(Debug, Args)]
pub struct DelArgs {
    /// Keys to delete
    #[arg(required = true)]
    pub keys: Vec<String>,
    /// Only if the value has this ETag; in space kv: this version (one key)
    #[arg(long, value_name = "ETAG")]
    pub if_match: Option<String>,
    /// Takes effect once, however often it is sent under this key (space kv)
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
}

/// Print all versions of a key that are kept, and its lock.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// The key
    pub key: String,
    /// How bytes are shown: auto, utf8, b64, hex or json
    #[arg(long)]
    pub enc: Option<String>,
}

/// A part of the key space; without any of these: all of it.
#[derive(Clone, Debug, Default, Args)]
pub struct RangeArgs {
    /// Keys that begin with this
    #[arg(long, conflicts_with_all = ["start", "end"])]
    pub prefix: Option<String>,
    /// From this key on
    #[arg(long)]
    pub start: Option<String>,
    /// Up to this key, without it
    #[arg(long)]
    pub end: Option<String>,
}

/// List keys and values in order.
#[derive(Debug, Args)]
pub struct ScanArgs {
    /// Which part of the key space.
    #[command(flatten)]
    pub range: RangeArgs,
    /// Rows at most
    #[arg(long)]
    pub limit: Option<u64>,
    /// From the last key to the first
    #[arg(long)]
    pub reverse: bool,
    /// Keys without values
    #[arg(long)]
    pub keys_only: bool,
    /// Go on where an earlier scan stopped: the cursor that it printed
    #[arg(long)]
    pub cursor: Option<String>,
    /// As of when: a timestamp, an RFC 3339 time, or so long ago such as -5s (space kv)
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub at: Option<String>,
    /// leader, linearizable or follower
    #[arg(long)]
    pub consistency: Option<String>,
    /// How bytes are shown: auto, utf8, b64, hex or json
    #[arg(long)]
    pub enc: Option<String>,
}

/// Write a value if the present one is as expected.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("expected").required(true))]
#[command(group = clap::ArgGroup::new("new").required(true))]
pub struct CasArgs {
    /// Key to write
    pub key: String,
    /// New value
    #[arg(group = "new")]
    pub value: Option<String>,
    /// Delete the key instead
    #[arg(long, group = "new")]
    pub delete: bool,
    /// The present value must be this
    #[arg(long, group = "expected", value_name = "VALUE")]
    pub expect: Option<String>,
    /// The key must have no value
    #[arg(long, group = "expected")]
    pub expect_absent: bool,
    /// The key must have some value
    #[arg(long, group = "expected")]
    pub expect_present: bool,
    /// The new value disappears after so long, such as 30s
    #[arg(long, conflicts_with = "delete")]
    pub ttl: Option<String>,
}

/// Print all rows of a range as NDJSON.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Which part of the key space.
    #[command(flatten)]
    pub range: RangeArgs,
    /// Rows at most
    #[arg(long)]
    pub limit: Option<u64>,
    /// As of when: a timestamp, an RFC 3339 time, or so long ago such as -5s (space kv)
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub at: Option<String>,
    /// How bytes are written: auto, b64, hex or json
    #[arg(long)]
    pub enc: Option<String>,
    /// File to write instead of stdout
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
}

/// Delete all keys of a range.
#[derive(Debug, Args)]
pub struct DeleteRangeArgs {
    /// Which part of the key space.
    #[command(flatten)]
    pub range: RangeArgs,
    /// The whole key space; needs --confirm
    #[arg(long, conflicts_with_all = ["prefix", "start", "end"], requires = "confirm")]
    pub all: bool,
    /// Name of the cluster, to show that it is the right one
    #[arg(long, value_name = "CLUSTER")]
    pub confirm: Option<String>,
    /// Only count what would be deleted
    #[arg(long)]
    pub dry_run: bool,
}
