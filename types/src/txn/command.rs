//! Commands of the transactional space and their replies.
use super::error::TxnResult;
use super::{LockInfo, Mutation};
use crate::ids::Timestamp;
use crate::key::{Key, KeyRange};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A command that may change locks or commit records. All are idempotent: repeated, late or
/// reordered deliveries never change what an earlier one decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TxnCommand {
    /// Phase one: lock the keys and leave the values. Answered [`TxnReply::Prewritten`] or
    /// [`TxnReply::Blocked`].
    Prewrite(Prewrite),
    /// Phase two. Answered [`TxnReply::Done`].
    Commit {
        /// Keys of this Region.
        keys: Vec<Key>,
        /// Which transaction.
        start_ts: Timestamp,
        /// When it commits.
        commit_ts: Timestamp,
    },
    /// Roll keys back, whatever the state of the transaction. Refused [`super::TxnError::Committed`]
    /// if it is committed. Answered [`TxnReply::Done`].
    Rollback {
        /// Keys of this Region.
        keys: Vec<Key>,
        /// Which transaction.
        start_ts: Timestamp,
    },
    /// Roll one key back if its lock has expired at `current_ts` (0 = in any case). Answered
    /// [`TxnReply::Done`].
    Cleanup {
        /// Which key.
        key: Key,
        /// Which transaction.
        start_ts: Timestamp,
        /// Now, by the oracle.
        current_ts: Timestamp,
    },
    /// Lock keys before the prewrite. Answered [`TxnReply::Locked`].
    PessimisticLock(PessimisticLock),
    /// Drop pessimistic locks. Other locks stay. Answered [`TxnReply::Done`].
    PessimisticRollback {
        /// Keys of this Region.
        keys: Vec<Key>,
        /// Which transaction.
        start_ts: Timestamp,
        /// Locks with a later one stay: they were taken anew since.
        for_update_ts: Timestamp,
    },
    /// Keep the transaction alive. Answered [`TxnReply::Alive`].
    HeartBeat {
        /// The primary.
        primary: Key,
        /// Which transaction.
        start_ts: Timestamp,
        /// Alive for so long after the physical part of `start_ts`; never shortens it.
        ttl_ms: u64,
    },
    /// What became of a transaction, by its primary. Answered [`TxnReply::Status`].
    CheckTxnStatus(CheckTxnStatus),
    /// For an asynchronous commit: are all these keys locked? Keys without lock and commit are
    /// rolled back. Answered [`TxnReply::Secondaries`].
    CheckSecondaryLocks {
        /// Keys of this Region.
        keys: Vec<Key>,
        /// Which transaction.
        start_ts: Timestamp,
    },
    /// Commit or roll back these keys, where they still hold the transaction's lock. Answered
    /// [`TxnReply::Done`].
    ResolveKeys {
        /// Keys of this Region.
        keys: Vec<Key>,
        /// Which transaction.
        start_ts: Timestamp,
        /// When it committed; 0 = it was rolled back.
        commit_ts: Timestamp,
    },
    /// Commit or roll back every lock of these transactions in the range. Answered
    /// [`TxnReply::Done`]. The scheduler breaks it up into [`TxnCommand::ResolveKeys`].
    ResolveLocks {
        /// Must lie inside the Region.
        range: KeyRange,
        /// Transactions and when they committed (0 = rolled back), by start timestamp.
        txns: Vec<(Timestamp, Timestamp)>,
    },
    /// A part of a transaction that is larger than memory: its keys are locked and its values left, so
    /// that [`crate::ReadCommand::TxnBufferGet`] finds them. Answered [`TxnReply::Prewritten`] or
    /// [`TxnReply::Blocked`].
    Flush {
        /// Keys of this Region. Inserts are checked here.
        mutations: Vec<Mutation>,
        /// The primary.
        primary: Key,
        /// Which transaction.
        start_ts: Timestamp,
        /// As in [`Prewrite::lock_ttl_ms`].
        lock_ttl_ms: u64,
        /// Grows by one with each part; a later part replaces what an earlier one left on a key, and
        /// an earlier one that comes late changes nothing.
        generation: u64,
    },
}

/// Phase one of a commit, for the keys of one Region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prewrite {
    /// Keys of this Region and what to do with them.
    pub mutations: Vec<Mutation>,
    /// The key that decides.
    pub primary: Key,
    /// Which transaction.
    pub start_ts: Timestamp,
    /// Alive for so long after the physical part of `start_ts`.
    pub lock_ttl_ms: u64,
    /// Keys of the whole transaction.
    pub txn_size: u64,
    /// A pessimistic transaction's last one; 0 for an optimistic transaction.
    pub for_update_ts: Timestamp,
    /// Keys (as places in `mutations`) whose pessimistic lock must have exactly this
    /// `for_update_ts`, as they were locked with a conflict.
    pub for_update_ts_checks: Vec<(u32, Timestamp)>,
    /// Not to commit below this.
    pub min_commit_ts: Timestamp,
    /// Not to commit above this, asynchronously or in one phase; 0 = no limit.
    pub max_commit_ts: Timestamp,
    /// Commit asynchronously. On the request with the primary: all other keys of the transaction.
    pub async_commit: Option<Vec<Key>>,
    /// These are all keys of the transaction: commit at once if possible.
    pub try_one_pc: bool,
}

/// Locks of a pessimistic transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PessimisticLock {
    /// Keys of this Region; `true`: refuse with [`super::TxnError::AlreadyExists`] if it has a value.
    pub keys: Vec<(Key, bool)>,
    /// The key that decides.
    pub primary: Key,
    /// Which transaction.
    pub start_ts: Timestamp,
    /// Commits up to this one are seen. A later one is [`super::TxnError::WriteConflict`].
    pub for_update_ts: Timestamp,
    /// As in [`Prewrite::lock_ttl_ms`].
    pub lock_ttl_ms: u64,
    /// How long to wait for others' locks, in milliseconds; `None` = not at all.
    pub wait_ms: Option<u64>,
    /// Answer the values.
    pub return_values: bool,
    /// Answer whether there are values.
    pub check_existence: bool,
    /// Do not lock keys without value.
    pub lock_only_if_exists: bool,
    /// Lock even if somebody committed after `for_update_ts`, and answer that commit. One key only.
    pub allow_conflict: bool,
    /// Not to commit below this.
    pub min_commit_ts: Timestamp,
}

/// What became of a transaction?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckTxnStatus {
    /// The key that decides.
    pub primary: Key,
    /// Which transaction.
    pub start_ts: Timestamp,
    /// The reader that asks: the transaction is pushed to commit behind it, if possible. 0 = nobody
    /// reads; [`Timestamp::MAX`] = it reads the newest.
    pub caller_start_ts: Timestamp,
    /// Now, by the oracle; expiry is judged by it.
    pub current_ts: Timestamp,
    /// Without lock and commit record: roll it back, so that a late prewrite fails.
    pub rollback_if_not_exist: bool,
    /// Take an asynchronous commit for an ordinary one: it may then be rolled back when expired.
    pub force_sync_commit: bool,
    /// The lock that led here is pessimistic.
    pub resolving_pessimistic_lock: bool,
    /// Refuse with [`super::TxnError::PrimaryMismatch`] if the key is locked, but not as primary.
    pub verify_is_primary: bool,
}

/// What a command answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TxnReply {
    /// Done, or was done before.
    Done,
    /// Answer of a prewrite.
    Prewritten {
        /// For an asynchronous commit: this Region's part of the commit timestamp; 0 = it fell back
        /// to an ordinary commit.
        min_commit_ts: Timestamp,
        /// Committed in one phase at this timestamp; 0 = not committed.
        one_pc_commit_ts: Timestamp,
    },
    /// Others' locks are in the way; nothing was changed.
    Blocked(Vec<LockInfo>),
    /// Answer of a pessimistic lock, one for each key.
    Locked(Vec<LockedKey>),
    /// Answer of a heartbeat: what the lock has now.
    Alive {
        /// See [`LockInfo::ttl_ms`].
        ttl_ms: u64,
    },
    /// Answer of a status check.
    Status(TxnStatus),
    /// Answer of a check of secondaries. If any is missing and was not committed, the transaction
    /// is rolled back by then: no locks, commit timestamp 0.
    Secondaries {
        /// Those that are locked.
        locks: Vec<LockInfo>,
        /// If one is committed: when; else 0.
        commit_ts: Timestamp,
    },
}

/// One key that a pessimistic transaction locked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedKey {
    /// Its value, if asked for.
    pub value: Option<Bytes>,
    /// Has it a value? Known only if values or existence were asked for.
    pub exists: bool,
    /// It was locked in spite of this commit; 0 = there was no conflict.
    pub conflict_ts: Timestamp,
    /// Not locked, as it has no value.
    pub skipped: bool,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TxnStatus {
    /// Rolled back, by this command or earlier.
    RolledBack {
        /// What this command did.
        action: StatusAction,
    },
    /// Committed.
    Committed {
        /// When.
        commit_ts: Timestamp,
    },
    /// Still locked.
    Alive {
        /// The primary lock.
        lock: Box<LockInfo>,
        /// What this command did.
        action: StatusAction,
    },
}

/// What a status check changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StatusAction {
    /// Nothing.
    None,
    /// The lock had expired: rolled back.
    ExpiredRolledBack,
    /// There was neither lock nor commit: a rollback was left.
    MissingRolledBack,
    /// It will commit behind the caller, who may read past its lock.
    MinCommitTsPushed,
    /// A pessimistic primary had expired: its lock was dropped, without a record.
    ExpiredPessimisticRolledBack,
    /// There was no lock and none was left.
    MissingDoNothing,
}

impl TxnCommand {
    /// Keys that it looks at or changes; of [`TxnCommand::ResolveLocks`] none is known before.
    #[must_use]
    pub fn keys(&self) -> Vec<&Key> {
        match self {
            Self::Prewrite(Prewrite { mutations, .. }) | Self::Flush { mutations, .. } => {
                mutations.iter().map(|mutation| &mutation.key).collect()
            }
            Self::Commit { keys, .. }
            | Self::Rollback { keys, .. }
            | Self::PessimisticRollback { keys, .. }
            | Self::CheckSecondaryLocks { keys, .. }
            | Self::ResolveKeys { keys, .. } => keys.iter().collect(),
            Self::Cleanup { key, .. } => vec![key],
            Self::PessimisticLock(lock) => lock.keys.iter().map(|(key, _)| key).collect(),
            Self::HeartBeat { primary, .. } => vec![primary],
            Self::CheckTxnStatus(check) => vec![&check.primary],
            Self::ResolveLocks { .. } => Vec::new(),
        }
    }

    /// Which transaction it belongs to; `None` for [`TxnCommand::ResolveLocks`].
    #[must_use]
    pub fn start_ts(&self) -> Option<Timestamp> {
        match self {
            Self::Prewrite(Prewrite { start_ts, .. })
            | Self::PessimisticLock(PessimisticLock { start_ts, .. })
            | Self::CheckTxnStatus(CheckTxnStatus { start_ts, .. })
            | Self::Commit { start_ts, .. }
            | Self::Rollback { start_ts, .. }
            | Self::Cleanup { start_ts, .. }
            | Self::PessimisticRollback { start_ts, .. }
            | Self::HeartBeat { start_ts, .. }
            | Self::CheckSecondaryLocks { start_ts, .. }
            | Self::ResolveKeys { start_ts, .. }
            | Self::Flush { start_ts, .. } => Some(*start_ts),
            Self::ResolveLocks { .. } => None,
        }
    }

    /// Does every key lie inside `range`?
    #[must_use]
    pub fn is_inside(&self, range: &KeyRange) -> bool {
        if let Self::ResolveLocks { range: part, .. } = self {
            return range.covers(part);
        }
        self.keys().into_iter().all(|key| range.contains(key))
    }

    /// Its name in traces.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Prewrite(_) => "prewrite",
            Self::Commit { .. } => "commit",
            Self::Rollback { .. } => "rollback",
            Self::Cleanup { .. } => "cleanup",
            Self::PessimisticLock(_) => "pessimistic_lock",
            Self::PessimisticRollback { .. } => "pessimistic_rollback",
            Self::HeartBeat { .. } => "heart_beat",
            Self::CheckTxnStatus(_) => "check_txn_status",
            Self::CheckSecondaryLocks { .. } => "check_secondary_locks",
            Self::ResolveKeys { .. } => "resolve_keys",
            Self::ResolveLocks { .. } => "resolve_locks",
            Self::Flush { .. } => "flush",
        }
    }

    /// Rough size on the wire and in a Raft entry, for limits.
    #[must_use]
    pub fn approximate_bytes(&self) -> usize {
        const OVERHEAD: usize = 64;
        let extra = match self {
            Self::Prewrite(Prewrite { mutations, .. }) | Self::Flush { mutations, .. } => {
                mutations.iter().map(Mutation::value_bytes).sum()
            }
            Self::Commit { .. }
            | Self::Rollback { .. }
            | Self::PessimisticRollback { .. }
            | Self::CheckSecondaryLocks { .. }
            | Self::ResolveKeys { .. }
            | Self::Cleanup { .. }
            | Self::PessimisticLock(_)
            | Self::HeartBeat { .. }
            | Self::CheckTxnStatus(_)
            | Self::ResolveLocks { .. } => 0,
        };
        self.keys().iter().map(|key| key.len() + OVERHEAD).sum::<usize>() + extra + OVERHEAD
    }
}

impl Mutation {
    /// Bytes of the value.
    #[must_use]
    pub fn value_bytes(&self) -> usize {
        use super::MutationOp;
        match &self.op {
            MutationOp::Put { value, .. } | MutationOp::Insert { value, .. } => value.len(),
            MutationOp::Delete | MutationOp::Lock | MutationOp::CheckNotExists => 0,
        }
    }
}

/// Result of a command as it travels.
pub type TxnAnswer = Box<TxnResult>;
