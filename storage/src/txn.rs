//! Commands of transactions: a command and what is stored in, changes and a reply out. Pure, one file
//! a command.
//!
//! ```text
//!   snapshot of the leader ──┐
//!   locks held in memory ────┤          ┌─► result       reply or refusal
//!   largest read timestamp ──┼─► execute┼─► changes      one Raft entry, of this term only
//!   the command ─────────────┘          ├─► published    locks for readers while that is under way
//!                                       ├─► remembered, forgotten   pessimistic locks in memory
//!                                       └─► released, waits_for     who can go on, whom to wait for
//! ```
//! The caller holds latches on the keys of the command from before the snapshot until the changes are
//! applied, so that commands on a key run one after the other.
use crate::engine::KvSnapshot;
use crate::error::StorageError;
use crate::mvcc::Lock;
use std::collections::BTreeMap;
use troupe_types::command::TxnChange;
use troupe_types::txn::{LockInfo, TxnCommand, TxnResult};
use troupe_types::{Key, Timestamp};

/// What a command sees.
pub struct TxnContext<'a> {
    /// Everything applied before the latches were had.
    pub snapshot: &'a dyn KvSnapshot,
    /// Pessimistic locks of the command's keys that are held in memory only. They hide stored locks.
    pub memory: &'a BTreeMap<Key, Lock>,
    /// No read at the leader of this Region, now or before, used a larger timestamp, save reads that
    /// are blocked by what the caller has published for the command's keys. Known for commands that
    /// choose a commit timestamp.
    pub max_ts: Timestamp,
    /// Pessimistic locks may be held in memory.
    pub may_remember: bool,
}

/// What came of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executed {
    /// Reply or refusal; `None` if it must wait for [`Executed::waits_for`] and run again.
    pub result: Option<TxnResult>,
    /// To be replicated before the result is told.
    pub changes: Vec<TxnChange>,
    /// Locks of an asynchronous or one-phase commit: readers at or above their `min_commit_ts` wait
    /// for them until the changes are applied.
    pub published: Vec<LockInfo>,
    /// Pessimistic locks to be held in memory instead of being stored.
    pub remembered: Vec<(Key, Lock)>,
    /// Keys whose lock in memory ends when the changes are applied.
    pub forgotten: Vec<Key>,
    /// Keys whose lock ends when the changes are applied: who waits for one can go on.
    pub released: Vec<Key>,
    /// The lock that a pessimistic lock command has to wait for.
    pub waits_for: Option<Box<LockInfo>>,
}

/// Executes `command`.
///
/// # Errors
/// Reading failed, or a stored row does not decode.
pub fn execute(command: &TxnCommand, _context: &TxnContext<'_>) -> Result<Executed, StorageError> {
    Err(StorageError::Inconsistent { detail: format!("{} is not served", command.name()) })
}
