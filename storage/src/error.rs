//! What can go wrong below the Raft group.
use troupe_types::codec::CodecError;
use troupe_types::raw_value::BadRawValue;
use troupe_types::{Class, LogIndex};

/// Error of the engine or the log.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// RocksDB refused.
    #[error("the key-value engine failed")]
    Engine(#[source] rocksdb::Error),
    /// raft-engine refused.
    #[error("the raft log failed")]
    Log(#[source] raft_engine::Error),
    /// A file operation failed.
    #[error("{what} failed on {path}")]
    Io {
        /// Which operation.
        what: &'static str,
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The disk is full: the write had no effect and may be tried again.
    #[error("no space left on the disk")]
    DiskFull,
    /// The entry is cut off already; the first one left is given.
    #[error("the entry was compacted; the log starts at {first}")]
    Compacted {
        /// First index still there.
        first: LogIndex,
    },
    /// The entry is not there yet.
    #[error("the log has no entry {index}")]
    Unavailable {
        /// Which.
        index: LogIndex,
    },
    /// Stored bytes do not decode.
    #[error("stored {what} does not decode")]
    Corrupt {
        /// What was read.
        what: &'static str,
        /// Why.
        #[source]
        source: CodecError,
    },
    /// A stored raw value has no readable trailer. Every replica finds the same bytes.
    #[error("a stored raw value does not decode")]
    BadValue(#[from] BadRawValue),
    /// RocksDB failed outside any call of ours.
    #[error("the key-value engine reports {errors} background errors")]
    Background {
        /// How many since it was opened.
        errors: u64,
    },
    /// A file's checksum is not what its manifest says.
    #[error("checksum of {path} is {actual:08x}, its manifest says {expected:08x}")]
    Checksum {
        /// Which file.
        path: String,
        /// From the manifest.
        expected: u32,
        /// Of the file.
        actual: u32,
    },
    /// The files belong together in a way that they do not.
    #[error("stored state is inconsistent: {detail}")]
    Inconsistent {
        /// What.
        detail: String,
    },
    /// An injected failure of a test.
    #[error("injected failure: {what}")]
    Injected {
        /// Which.
        what: &'static str,
    },
}

impl StorageError {
    /// How a caller reacts.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::DiskFull | Self::Compacted { .. } | Self::Unavailable { .. } => Class::Retry,
            Self::Engine(_)
            | Self::Log(_)
            | Self::Io { .. }
            | Self::Corrupt { .. }
            | Self::BadValue(_)
            | Self::Background { .. }
            | Self::Checksum { .. }
            | Self::Inconsistent { .. }
            | Self::Injected { .. } => Class::Fatal,
        }
    }

    /// Does every replica that applies the same entry to the same state get this error? Only then
    /// may it be answered to a client as the entry's result; any other error ends the process.
    #[must_use]
    pub const fn is_deterministic(&self) -> bool {
        match self {
            Self::BadValue(_) => true,
            Self::Engine(_)
            | Self::Log(_)
            | Self::Io { .. }
            | Self::DiskFull
            | Self::Compacted { .. }
            | Self::Unavailable { .. }
            | Self::Corrupt { .. }
            | Self::Background { .. }
            | Self::Checksum { .. }
            | Self::Inconsistent { .. }
            | Self::Injected { .. } => false,
        }
    }

    /// A failed file operation.
    pub(crate) fn io(what: &'static str, path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Io { what, path: path.display().to_string(), source }
    }
}
