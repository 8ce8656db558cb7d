//! Locks and commit records as they are stored: the versioned codec of [`troupe_types::codec`].
use crate::error::StorageError;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use troupe_types::txn::{LockInfo, LockKind, WriteKind};
use troupe_types::{Key, Timestamp, UnixMillis, codec};

/// Longest value that stands in a lock or a commit record itself.
pub const SHORT_VALUE_BYTES: usize = 255;

/// A lock of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Kind.
    pub kind: LockKind,
    /// The key that decides.
    pub primary: Key,
    /// Which transaction.
    pub start_ts: Timestamp,
    /// See [`LockInfo::ttl_ms`].
    pub ttl_ms: u64,
    /// The value, if it is short.
    pub short_value: Option<Bytes>,
    /// When the value ends.
    pub expires_at: Option<UnixMillis>,
    /// See [`LockInfo::for_update_ts`].
    pub for_update_ts: Timestamp,
    /// See [`LockInfo::txn_size`].
    pub txn_size: u64,
    /// See [`LockInfo::min_commit_ts`].
    pub min_commit_ts: Timestamp,
    /// See [`LockInfo::use_async_commit`].
    pub use_async_commit: bool,
    /// See [`LockInfo::secondaries`].
    pub secondaries: Vec<Key>,
    /// Transactions rolled back on this key since: their rollback cannot be a record of its own if
    /// this transaction commits at exactly their start timestamp.
    pub rollbacks: Vec<Timestamp>,
    /// See [`troupe_types::TxnCommand::Flush`]; 0 = not flushed.
    pub generation: u64,
    /// A pessimistic lock taken in spite of a newer commit.
    pub locked_with_conflict: bool,
}

impl Lock {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        codec::encode(self).into()
    }

    /// Reads what [`Lock::encode`] wrote.
    ///
    /// # Errors
    /// The bytes are no lock.
    pub fn decode(bytes: &[u8]) -> Result<Self, StorageError> {
        codec::decode(bytes).map_err(|source| StorageError::Corrupt { what: "lock", source })
    }

    /// As others see it.
    #[must_use]
    pub fn info(&self, key: Key) -> LockInfo {
        LockInfo {
            key,
            primary: self.primary.clone(),
            start_ts: self.start_ts,
            kind: self.kind,
            ttl_ms: self.ttl_ms,
            txn_size: self.txn_size,
            for_update_ts: self.for_update_ts,
            min_commit_ts: self.min_commit_ts,
            use_async_commit: self.use_async_commit,
            secondaries: self.secondaries.clone(),
        }
    }
}

/// A commit record of one version of a key, or a rollback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteRecord {
    /// Kind.
    pub kind: WriteKind,
    /// Which transaction.
    pub start_ts: Timestamp,
    /// The value of a put, if it is short.
    pub short_value: Option<Bytes>,
    /// When the value ends.
    pub expires_at: Option<UnixMillis>,
    /// On a rollback: it must not be collapsed. On a commit: it stands also for the rollback of the
    /// transaction that began at this record's commit timestamp.
    pub protects_rollback: bool,
    /// On a lock or rollback record: where the newest put or delete below it is, so that readers
    /// need not walk. `None` = not known.
    pub last_change: Option<LastChange>,
}

/// The newest put or delete below a record that changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastChange {
    /// When it was committed; 0 = there is none.
    pub commit_ts: Timestamp,
    /// How many records lie between, at least.
    pub distance: u64,
}

impl WriteRecord {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        codec::encode(self).into()
    }

    /// Reads what [`WriteRecord::encode`] wrote.
    ///
    /// # Errors
    /// The bytes are no record.
    pub fn decode(bytes: &[u8]) -> Result<Self, StorageError> {
        codec::decode(bytes)
            .map_err(|source| StorageError::Corrupt { what: "commit record", source })
    }
}

#[cfg(test)]
mod tests;
