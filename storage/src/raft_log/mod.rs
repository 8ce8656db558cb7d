//! The Raft log of a Store: entries, hard state and truncation point of all its Regions.
//!
//! One [`LogBatch`] carries what many Regions want to persist; one sync makes it durable. A failed
//! sync ends the process inside the call (see [`crate::failure`]): it is never reported, never
//! tried again.
use crate::error::StorageError;
use raft::eraftpb::{Entry, HardState};
use troupe_types::{LogIndex, RegionId, Term};

pub mod engine;
pub mod file_system;
pub mod memory;

#[cfg(test)]
pub(crate) mod contract;

/// What one Region wants to persist.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RegionLogWrite {
    /// New tail. Entries that the log already has at the first index and behind are replaced.
    pub entries: Vec<Entry>,
    /// New hard state.
    pub hard_state: Option<HardState>,
    /// The log is emptied and starts behind this point (a snapshot was accepted). Done before
    /// `entries` are appended.
    pub reset_to: Option<(LogIndex, Term)>,
}

/// What all Regions want to persist together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogBatch {
    /// By Region; a Region stands here at most once.
    pub regions: Vec<(RegionId, RegionLogWrite)>,
}

/// What the log knows of one Region.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogState {
    /// Term, vote, commit.
    pub hard_state: HardState,
    /// The entry in front of the first: everything up to it is gone.
    pub truncated: (LogIndex, Term),
    /// Last entry; equals the truncation point if the log is empty.
    pub last_index: LogIndex,
}

/// Persistent Raft state of all Regions of a Store.
///
/// `append` blocks for a sync and is called by the log writer's thread alone. `entries` and `term`
/// may be called from any thread.
pub trait RaftLog: Send + Sync + 'static {
    /// Persists `batch` with one sync. Everything in it is durable when this returns.
    ///
    /// # Errors
    /// The disk is full: nothing of the batch is durable and it may be tried again. All other
    /// failures end the process.
    fn append(&self, batch: LogBatch) -> Result<(), StorageError>;

    /// State of `region`, `None` if the log has never heard of it.
    ///
    /// # Errors
    /// Stored bytes do not decode.
    fn state(&self, region: RegionId) -> Result<Option<LogState>, StorageError>;

    /// All Regions that the log has heard of and not forgotten, in order.
    fn regions(&self) -> Vec<RegionId>;

    /// Entries `[low, high)`, cut behind `max_bytes` but at least one.
    ///
    /// # Errors
    /// [`StorageError::Compacted`] if `low` is cut off already; [`StorageError::Unavailable`] if
    /// the log ends before `high`.
    fn entries(
        &self,
        region: RegionId,
        low: LogIndex,
        high: LogIndex,
        max_bytes: u64,
    ) -> Result<Vec<Entry>, StorageError>;

    /// Term of the entry at `index`; also answers for the truncation point.
    ///
    /// # Errors
    /// As [`RaftLog::entries`]; [`StorageError::Unavailable`] behind the last entry.
    fn term(&self, region: RegionId, index: LogIndex) -> Result<Term, StorageError>;

    /// Forgets entries up to and with `through`. Lazy: durable with a later sync. No effect if the
    /// log already starts behind `through`.
    ///
    /// # Errors
    /// As [`RaftLog::append`]; [`StorageError::Unavailable`] if `through` is behind the last entry.
    fn compact(&self, region: RegionId, through: LogIndex) -> Result<(), StorageError>;

    /// Forgets a Region that was destroyed. Lazy, as [`RaftLog::compact`].
    ///
    /// # Errors
    /// As [`RaftLog::append`].
    fn remove(&self, region: RegionId) -> Result<(), StorageError>;

    /// Frees files that hold nothing live. Slow: on a background thread. Answers Regions whose old
    /// entries hold back space, and up to which index at most they should be compacted (their last
    /// one; what is not applied durably yet must stay).
    ///
    /// # Errors
    /// As [`RaftLog::append`].
    fn purge(&self) -> Result<Vec<(RegionId, LogIndex)>, StorageError>;

    /// Syncs made and bytes written since the start.
    fn figures(&self) -> LogFigures;
}

/// Counters of a Raft log since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogFigures {
    /// Calls of fdatasync and fsync.
    pub syncs: u64,
    /// Bytes handed to the file system.
    pub bytes_written: u64,
    /// Batches appended.
    pub batches: u64,
    /// Entries appended.
    pub entries: u64,
}

/// A hole in a log, or an entry where one was cut off, is a bug of the caller.
///
/// `span` is the truncation point's index and the last index in front of `entries`.
fn check_contiguous(region: RegionId, span: (LogIndex, LogIndex), entries: &[Entry]) {
    let (truncated, last) = span;
    let Some(first) = entries.first() else {
        return;
    };
    assert!(
        first.index > truncated.get() && first.index <= last.get() + 1,
        "region {region}: entry {} does not follow a log of ({truncated}, {last}]",
        first.index,
    );
    for (before, entry) in entries.iter().zip(&entries[1..]) {
        assert!(
            entry.index == before.index + 1,
            "region {region}: entry {} follows {}",
            entry.index,
            before.index,
        );
    }
}
