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
//!
//! | file | subject |
//! |---|---|
//! | `prewrite`, `judge` | phase one: each key is judged, then all are written one way |
//! | `commit`, `rollback`, `resolve` | how locks end |
//! | `status`, `secondaries` | what became of a transaction; heartbeats |
//! | `pessimistic` | locks ahead of the prewrite |
//! | `flush` | transactions larger than memory |
//! | `account` | what the records of a key say about a transaction |
//! | `draft` | what a command has decided so far |
use crate::engine::KvSnapshot;
use crate::error::StorageError;
use crate::mvcc::Lock;
use draft::{Draft, Stop};
use std::collections::BTreeMap;
use troupe_types::command::TxnChange;
use troupe_types::txn::{LockInfo, TxnCommand, TxnReply, TxnResult};
use troupe_types::{Key, Timestamp};

mod account;
mod commit;
mod draft;
mod flush;
mod judge;
mod pessimistic;
mod prewrite;
mod resolve;
mod rollback;
mod secondaries;
mod status;

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
    /// Transactions that began below it are settled everywhere, and records below it may be collected.
    /// Known no earlier than the snapshot was taken.
    pub gc_safe_point: Timestamp,
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

/// Executes `command`. What is refused changes nothing.
///
/// # Errors
/// Reading failed, a stored row does not decode, or the command is one that the scheduler breaks up.
pub fn execute(command: &TxnCommand, context: &TxnContext<'_>) -> Result<Executed, StorageError> {
    let mut draft = Draft::default();
    match decide(command, context, &mut draft) {
        Ok(Outcome::Reply(reply)) => Ok(Executed { result: Some(Ok(reply)), ..draft.out }),
        Ok(Outcome::Wait(lock)) => Ok(Executed { waits_for: Some(lock), ..Executed::default() }),
        Err(Stop::Refused(error)) => {
            Ok(Executed { result: Some(Err(error)), ..Executed::default() })
        }
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// A reply, or the lock to wait for.
enum Outcome {
    Reply(TxnReply),
    Wait(Box<LockInfo>),
}

fn decide(
    command: &TxnCommand,
    context: &TxnContext<'_>,
    draft: &mut Draft,
) -> Result<Outcome, Stop> {
    let reply = match command {
        TxnCommand::Prewrite(request) => prewrite::prewrite(request, context, draft),
        TxnCommand::Commit { keys, start_ts, commit_ts } => {
            commit::commit(keys, (*start_ts, *commit_ts), context, draft)
        }
        TxnCommand::Rollback { keys, start_ts } => {
            rollback::rollback(keys, *start_ts, context, draft)
        }
        TxnCommand::Cleanup { key, start_ts, current_ts } => {
            rollback::cleanup(key, (*start_ts, *current_ts), context, draft)
        }
        TxnCommand::PessimisticLock(request) => {
            return match pessimistic::lock(request, context, draft)? {
                pessimistic::Outcome::Locked(keys) => Ok(Outcome::Reply(TxnReply::Locked(keys))),
                pessimistic::Outcome::Wait(lock) => Ok(Outcome::Wait(lock)),
            };
        }
        TxnCommand::PessimisticRollback { keys, start_ts, for_update_ts } => {
            pessimistic::rollback(keys, (*start_ts, *for_update_ts), context, draft)
        }
        TxnCommand::HeartBeat { primary, start_ts, ttl_ms } => {
            status::heart_beat(primary, (*start_ts, *ttl_ms), context, draft)
        }
        TxnCommand::CheckTxnStatus(check) => status::check_txn_status(check, context, draft),
        TxnCommand::CheckSecondaryLocks { keys, start_ts } => {
            secondaries::check(keys, *start_ts, context, draft)
        }
        TxnCommand::ResolveKeys { keys, start_ts, commit_ts } => {
            resolve::resolve_keys(keys, (*start_ts, *commit_ts), context, draft)
        }
        TxnCommand::ResolveLocks { .. } => {
            let detail = "locks of a range are resolved key by key".to_owned();
            Err(StorageError::Inconsistent { detail }.into())
        }
        TxnCommand::Flush { mutations, primary, start_ts, lock_ttl_ms, generation } => {
            let (start_ts, lock_ttl_ms, generation) = (*start_ts, *lock_ttl_ms, *generation);
            let part = flush::Part { mutations, primary, start_ts, lock_ttl_ms, generation };
            flush::flush(&part, context, draft)
        }
    };
    reply.map(Outcome::Reply)
}

#[cfg(test)]
mod tests;
