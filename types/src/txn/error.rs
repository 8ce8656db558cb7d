//! Why a transactional command was refused.
use super::LockInfo;
use super::command::TxnReply;
use super::deadlock::WaitEdge;
use crate::error::Code;
use crate::ids::Timestamp;
use crate::key::Key;
use serde::{Deserialize, Serialize};

/// Answer or refusal of a command.
pub type TxnResult = Result<TxnReply, TxnError>;

/// Refusal of a command, decided at the leader by what is stored. It changed nothing, save where a
/// variant says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum TxnError {
    /// A lock is in the way, and the command does not wait (any longer).
    #[error("key {:?} is locked by the transaction that began at {}", .0.key, .0.start_ts)]
    Locked(Box<LockInfo>),
    /// Somebody committed a key after the transaction's snapshot.
    #[error(
        "key {key:?} was committed at {conflict_commit_ts}, after this transaction began at {start_ts}"
    )]
    WriteConflict {
        /// This transaction.
        start_ts: Timestamp,
        /// The other one.
        conflict_start_ts: Timestamp,
        /// When it committed.
        conflict_commit_ts: Timestamp,
        /// Which key.
        key: Key,
        /// This transaction's primary.
        primary: Key,
        /// What was found.
        reason: ConflictReason,
    },
    /// A key that must be absent has a value.
    #[error("key {key:?} has a value already")]
    AlreadyExists {
        /// Which key.
        key: Key,
        /// The transaction that stored the value.
        existing_start_ts: Timestamp,
    },
    /// The transaction's lock is not there, nor a commit record of it: it was rolled back.
    #[error("the transaction that began at {start_ts} holds no lock on {key:?}")]
    LockNotFound {
        /// Which transaction.
        start_ts: Timestamp,
        /// The commit that was tried; 0 = none.
        commit_ts: Timestamp,
        /// Which key.
        key: Key,
    },
    /// Neither lock nor record of the transaction is at its primary.
    #[error(
        "nothing is known of a transaction that began at {start_ts} with the primary {primary:?}"
    )]
    TxnNotFound {
        /// Which transaction.
        start_ts: Timestamp,
        /// Where it was looked for.
        primary: Key,
    },
    /// Waiting for the lock would never end.
    #[error("waiting for the lock on {key:?} would be a deadlock")]
    Deadlock {
        /// This transaction.
        start_ts: Timestamp,
        /// Who holds the lock.
        lock_ts: Timestamp,
        /// Which key.
        key: Key,
        /// Who waits for whom, from this transaction back to it.
        cycle: Vec<WaitEdge>,
    },
    /// A reader was promised that the transaction commits behind it.
    #[error("the transaction may not commit at {attempted}, but not before {min_commit_ts}")]
    CommitTsExpired {
        /// Which transaction.
        start_ts: Timestamp,
        /// The commit that was tried.
        attempted: Timestamp,
        /// Which key.
        key: Key,
        /// The least that is allowed.
        min_commit_ts: Timestamp,
    },
    /// What the sender asserted of a key does not hold.
    #[error("key {key:?} is not as asserted")]
    AssertionFailed {
        /// Which transaction.
        start_ts: Timestamp,
        /// Which key.
        key: Key,
        /// `true`: it has a value, against the assertion; `false`: it has none.
        exists: bool,
        /// The value's transaction; 0 = none.
        existing_start_ts: Timestamp,
        /// When that committed; 0 = none.
        existing_commit_ts: Timestamp,
    },
    /// The key is locked by the transaction, but under another primary.
    #[error("key {:?} is not the primary of its transaction", .0.key)]
    PrimaryMismatch(Box<LockInfo>),
    /// A pessimistic lock was lost, and somebody may have committed since.
    #[error("the pessimistic lock on {key:?} is lost")]
    PessimisticLockNotFound {
        /// Which transaction.
        start_ts: Timestamp,
        /// Which key.
        key: Key,
    },
    /// The transaction was rolled back before it could lock.
    #[error("the transaction that began at {start_ts} was rolled back")]
    RolledBack {
        /// Which transaction.
        start_ts: Timestamp,
        /// Where that was found.
        key: Key,
    },
    /// The transaction is committed and cannot be rolled back.
    #[error("the transaction that began at {start_ts} committed at {commit_ts}")]
    Committed {
        /// Which transaction.
        start_ts: Timestamp,
        /// When.
        commit_ts: Timestamp,
        /// Where that was found.
        key: Key,
    },
    /// Versions that the command needs may have been collected.
    #[error("timestamp {ts} is below the safe point {safe_point}")]
    SnapshotGone {
        /// Timestamp of the command.
        ts: Timestamp,
        /// Nothing below it is served.
        safe_point: Timestamp,
    },
    /// The timestamp lies too far ahead of the oracle.
    #[error("timestamp {ts} lies in the future")]
    FutureTimestamp {
        /// Which.
        ts: Timestamp,
    },
    /// Only keys that exist are locked, and values must be returned for that.
    #[error("locking only existing keys needs their values to be returned")]
    LockIfExistsNeedsValues {
        /// Which transaction.
        start_ts: Timestamp,
    },
    /// The flush generation is older than what is there; nothing was changed.
    #[error("generation {generation} of the transaction that began at {start_ts} came late")]
    GenerationPassed {
        /// Which transaction.
        start_ts: Timestamp,
        /// Which generation.
        generation: u64,
    },
}

/// How a write conflict was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictReason {
    /// At the prewrite of an optimistic transaction.
    Optimistic,
    /// At a pessimistic lock: to be tried again with a newer `for_update_ts`.
    PessimisticRetry,
    /// The transaction itself was rolled back.
    SelfRolledBack,
    /// A lazily checked constraint of a pessimistic transaction.
    LazyUniquenessCheck,
    /// A read of a serializable transaction is no longer true.
    ReadChanged,
}

impl TxnError {
    /// Stable code of the API.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Locked(_) => Code::LockWaitTimeout,
            Self::WriteConflict { reason: ConflictReason::SelfRolledBack, .. }
            | Self::LockNotFound { .. }
            | Self::RolledBack { .. } => Code::TxnRolledBack,
            Self::WriteConflict { .. } | Self::PessimisticLockNotFound { .. } => {
                Code::WriteConflict
            }
            Self::AlreadyExists { .. } => Code::AlreadyExists,
            Self::TxnNotFound { .. } => Code::TxnNotFound,
            Self::Deadlock { .. } => Code::Deadlock,
            Self::CommitTsExpired { .. } => Code::CommitTsExpired,
            Self::AssertionFailed { .. } => Code::AssertionFailed,
            Self::SnapshotGone { .. } => Code::SnapshotGone,
            Self::FutureTimestamp { .. } => Code::BadParameter,
            Self::PrimaryMismatch(_)
            | Self::Committed { .. }
            | Self::LockIfExistsNeedsValues { .. }
            | Self::GenerationPassed { .. } => Code::Internal,
        }
    }
}
