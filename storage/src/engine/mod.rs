//! The key-value engine of a Store.
//!
//! The Raft log is the write-ahead log of applied data: applying writes with
//! [`Durability::Buffered`], and the Raft log of a Region is cut only up to an applied index that
//! [`KvEngine::make_durable`] has covered. What must survive by itself (a replica's birth, the
//! intent to apply a snapshot, a tombstone) is written with [`Durability::Synced`].
//!
//! Any error of a write or sync is fatal for the Store: the caller ends the process (see
//! [`crate::failure`]).
use crate::error::StorageError;
use bytes::Bytes;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use troupe_types::raft_message::SnapshotFile;
use troupe_types::{KeyRange, Timestamp};

mod files;
pub mod memory;
pub mod rocks;

#[cfg(test)]
pub(crate) mod contract;

/// A column family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cf {
    /// Values: raw rows, PD's rows, long transactional values.
    Default,
    /// Locks of transactions.
    Lock,
    /// Commit records of transactions.
    Write,
    /// What the Store persists about its replicas (see [`crate::region_state`]).
    Raft,
}

impl Cf {
    /// All column families.
    pub const ALL: [Self; 4] = [Self::Default, Self::Lock, Self::Write, Self::Raft];
    /// Those that hold the data of Regions.
    pub const DATA: [Self; 3] = [Self::Default, Self::Lock, Self::Write];

    /// Name on disk.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Lock => "lock",
            Self::Write => "write",
            Self::Raft => "raft",
        }
    }

    /// The column family with this name on disk.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cf| cf.name() == name)
    }
}

/// One change of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Modify {
    /// Set.
    Put(Cf, Bytes, Bytes),
    /// Remove.
    Delete(Cf, Bytes),
    /// Remove every key of the range.
    DeleteRange(Cf, KeyRange),
    /// Set a row of [`Cf::Write`] if it is there, and else do nothing. Never brings back what
    /// [`KvEngine::collect_garbage`] removes at the same time.
    ReplaceRecord(Bytes, Bytes),
}

/// Changes that take effect together, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteBatch {
    /// In order; a later change of the same key wins.
    pub changes: Vec<Modify>,
}

impl WriteBatch {
    /// Is there a change that depends on what is stored?
    fn is_conditional(&self) -> bool {
        self.changes.iter().any(|change| matches!(change, Modify::ReplaceRecord(..)))
    }

    /// The same batch without [`Modify::ReplaceRecord`]: each is a put, or nothing. `is_stored` tells of
    /// the state before the batch.
    fn settled(
        self,
        is_stored: impl Fn(&[u8]) -> Result<bool, StorageError>,
    ) -> Result<Self, StorageError> {
        let mut changes: Vec<Modify> = Vec::with_capacity(self.changes.len());
        for change in self.changes {
            let Modify::ReplaceRecord(key, value) = change else {
                changes.push(change);
                continue;
            };
            let by_batch = changes.iter().rev().find_map(|earlier| earlier.leaves_record(&key));
            if by_batch.map_or_else(|| is_stored(&key), Ok)? {
                changes.push(Modify::Put(Cf::Write, key, value));
            }
        }
        Ok(Self { changes })
    }
}

impl Modify {
    /// Is the record `key` there behind this change? `None` if the change is not about it.
    fn leaves_record(&self, key: &[u8]) -> Option<bool> {
        match self {
            Self::Put(Cf::Write, of, _) if of == key => Some(true),
            Self::Delete(Cf::Write, of) if of == key => Some(false),
            Self::DeleteRange(Cf::Write, range) if range.contains(key) => Some(false),
            Self::Put(..) | Self::Delete(..) | Self::DeleteRange(..) | Self::ReplaceRecord(..) => {
                None
            }
        }
    }
}

/// How much a write must survive when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing yet. A crash, of the process as of the machine, may lose it together with every
    /// later buffered write, but never an earlier one without it.
    Buffered,
    /// Everything; earlier buffered writes become durable with it.
    Synced,
}

/// A file that [`KvEngine::export`] wrote, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedFile {
    /// Where it is.
    pub path: PathBuf,
    /// Column family, length, checksum, keys.
    pub meta: SnapshotFile,
}

/// What a call of [`KvEngine::collect_garbage`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Records removed by this call, or in compactions since the last one.
    pub records: u64,
    /// There is more to do: call again soon.
    pub has_more: bool,
}

/// Takes one row of a scan, key and value, and may end the scan.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// A consistent view of the engine. Holds resources: drop it soon.
pub trait KvSnapshot: Send + Sync {
    /// The value of `key`.
    ///
    /// # Errors
    /// Reading the disk failed, or a block's checksum is wrong.
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, StorageError>;

    /// Calls `visit` with each key and value of `range`, in key order or, with `reverse`, from the
    /// last to the first, until it breaks.
    ///
    /// # Errors
    /// As [`KvSnapshot::get`].
    fn scan(
        &self,
        cf: Cf,
        range: &KeyRange,
        reverse: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), StorageError>;
}

/// Applied data of a Store. Calls block: never on an arbiter that serves others, save
/// [`KvEngine::get`] of one key.
pub trait KvEngine: Send + Sync + 'static {
    /// The value of `key` as of now.
    ///
    /// # Errors
    /// As [`KvSnapshot::get`].
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, StorageError>;

    /// The value of `key` as a power cut at this moment would leave it; never forces anything to
    /// disk. A change that is not durable yet is not seen, be it a put, a delete or a deleted range.
    ///
    /// # Errors
    /// As [`KvSnapshot::get`].
    fn get_persisted(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, StorageError>;

    /// A consistent view of now.
    fn snapshot(&self) -> Arc<dyn KvSnapshot>;

    /// Makes all changes visible together.
    ///
    /// # Errors
    /// Fatal for the Store.
    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), StorageError>;

    /// Returns when everything written before the call would survive a power cut.
    ///
    /// # Errors
    /// Fatal for the Store.
    fn make_durable(&self) -> Result<(), StorageError>;

    /// Writes the rows of `range` in `snapshot` (all of [`Cf::DATA`]) into new SST files in `dir`
    /// (which exists). A column family without rows gets no file.
    ///
    /// # Errors
    /// Writing the files failed. Nothing of the engine has changed.
    fn export(
        &self,
        snapshot: &dyn KvSnapshot,
        range: &KeyRange,
        dir: &Path,
    ) -> Result<Vec<ExportedFile>, StorageError>;

    /// Replaces all rows of `range` in [`Cf::DATA`] by the content of `files` and makes that durable.
    /// Repeating it gives the same result, so a crash in the middle is mended by doing it again.
    ///
    /// The caller keeps readers and writers of `range` out from before the call until behind it: a
    /// snapshot taken earlier may find rows of `range` gone, and rows change one family at a time.
    ///
    /// # Errors
    /// A checksum does not match (nothing has changed), or the engine failed (fatal).
    fn replace_range(&self, range: &KeyRange, files: &[ExportedFile]) -> Result<(), StorageError>;

    /// From now on versions that nobody can read at or above `safe_point` are garbage (see
    /// [`crate::gc`]). Never goes back. Not remembered over a restart: then nothing is garbage until
    /// this is called again.
    ///
    /// The caller sees to it that nobody reads or changes anything below `safe_point` any more.
    fn set_gc_safe_point(&self, safe_point: Timestamp);

    /// Removes garbage: rows that are in each other's way together, so that no view and no crash
    /// shows a record without its value. May take long, and leaves the rest for the next call.
    ///
    /// # Errors
    /// Fatal for the Store.
    fn collect_garbage(&self) -> Result<Collected, StorageError>;

    /// Rough bytes on disk of `range` in [`Cf::DATA`].
    fn approximate_bytes(&self, range: &KeyRange) -> u64;

    /// Figures for the metrics page: name and value. Polled every second; also the place where
    /// background errors are noticed.
    ///
    /// # Errors
    /// The engine reports a background error: fatal.
    fn health(&self) -> Result<Vec<(&'static str, u64)>, StorageError>;
}
