//! Transactions: the commands that the leader of a Region executes for a transaction, and what they
//! answer. Edge-neutral: the JSON gateway and TiKV's protocol build the same ones.
//!
//! The protocol is Percolator's two-phase commit (Peng, Dabek: "Large-scale Incremental Processing
//! Using Distributed Transactions and Notifications", 2010, section 2.2) with TiKV's additions:
//! pessimistic locks, asynchronous commit and one-phase commit.
//!
//! | file | subject |
//! |---|---|
//! | this one | mutations, locks as others see them, rows, history |
//! | [`command`] | the commands and their replies |
//! | [`error`] | why a command was refused |
//! | [`deadlock`] | who waits for whom |
//! | [`gc`] | safe points |
//! | [`session`] | operations, conditions and whole transactions, as gateways pass them in |
//!
//! Keys are stored keys (`x`, keyspace, user key; see [`crate::key`]), never encoded.
use crate::ids::{Timestamp, UnixMillis};
use crate::key::Key;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub mod command;
pub mod deadlock;
pub mod error;
pub mod gc;
pub mod session;

pub use command::{CheckTxnStatus, PessimisticLock, Prewrite, TxnCommand, TxnReply, TxnStatus};
pub use error::{TxnError, TxnResult};

/// What a transaction does to a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MutationOp {
    /// Store a value.
    Put {
        /// User value.
        value: Bytes,
        /// When it ends, if ever; judged by the physical part of the timestamp that reads it.
        expires_at: Option<UnixMillis>,
    },
    /// Store a value, if the key has none.
    Insert {
        /// User value.
        value: Bytes,
        /// As in [`MutationOp::Put`].
        expires_at: Option<UnixMillis>,
    },
    /// Remove the value.
    Delete,
    /// Change nothing, but let nobody else change the key meanwhile.
    Lock,
    /// Only check, at prewrite, that the key has no value. Leaves no lock.
    CheckNotExists,
}

/// What the sender believes about a key's value before the transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Assertion {
    /// Nothing.
    #[default]
    None,
    /// It has a value.
    Exist,
    /// It has none.
    NotExist,
}

/// One key of a prewrite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mutation {
    /// Which key.
    pub key: Key,
    /// What to do.
    pub op: MutationOp,
    /// What must hold before.
    pub assertion: Assertion,
    /// What a pessimistic transaction knows about its lock on the key.
    pub pessimistic: PessimisticAction,
}

/// How a prewrite treats a key with regard to pessimistic locks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PessimisticAction {
    /// The transaction holds no pessimistic lock on it: check for newer commits, unless it is a
    /// pessimistic transaction, which has none on keys that cannot conflict.
    #[default]
    Skip,
    /// It must hold one. If the lock is lost, it is made anew when nobody committed since.
    Check,
    /// It holds none; check for commits newer than the start timestamp.
    CheckConflict,
}

/// Kind of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockKind {
    /// A value will be stored.
    Put,
    /// The value will be removed.
    Delete,
    /// Nothing will change.
    Lock,
    /// Held by a pessimistic transaction before its prewrite. Readers do not see it.
    Pessimistic,
}

/// A lock as others see it: all that is needed to find out what became of its transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockInfo {
    /// Locked key.
    pub key: Key,
    /// The key whose lock or commit record decides the transaction.
    pub primary: Key,
    /// Start timestamp: the transaction's identity.
    pub start_ts: Timestamp,
    /// Kind.
    pub kind: LockKind,
    /// The transaction is alive for so long after the physical part of its start timestamp. 0 = it
    /// may be resolved at once.
    pub ttl_ms: u64,
    /// Keys of the transaction, as far as known.
    pub txn_size: u64,
    /// Timestamp up to which a pessimistic lock saw commits; 0 for an optimistic transaction.
    pub for_update_ts: Timestamp,
    /// It will not commit below this.
    pub min_commit_ts: Timestamp,
    /// It commits asynchronously: it is committed once all its locks are there.
    pub use_async_commit: bool,
    /// On the primary of an asynchronous commit: all other keys.
    pub secondaries: Vec<Key>,
}

/// Is a transaction past its time at `now`, by the oracle's clock? The one rule for those who ask about
/// a lock and those who decide: with two, they would send each other in circles.
#[must_use]
pub const fn has_expired(start_ts: Timestamp, ttl_ms: u64, now: Timestamp) -> bool {
    ttl_ms == 0 || start_ts.physical_ms().saturating_add(ttl_ms) < now.physical_ms()
}

/// How locks and commits are seen by a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadIsolation {
    /// Snapshot: a lock that may commit below the read's timestamp blocks it.
    #[default]
    Snapshot,
    /// Read committed: locks are not looked at.
    ReadCommitted,
}

/// How a read looks at the transactional space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadView {
    /// Commits up to this one are seen. [`Timestamp::MAX`]: the newest commit of a single key,
    /// linearizable, without a snapshot that a second read could share.
    pub ts: Timestamp,
    /// How locks are treated.
    pub isolation: ReadIsolation,
    /// Locks of these transactions are passed by: they will not commit at or below `ts`.
    pub bypass: Vec<Timestamp>,
    /// Locks of these transactions count as committed at or below `ts`.
    pub access: Vec<Timestamp>,
    /// Clock by which expiry is judged when `ts` is [`Timestamp::MAX`].
    pub now: UnixMillis,
}

impl ReadView {
    /// A snapshot read at `ts`.
    #[must_use]
    pub fn at(ts: Timestamp) -> Self {
        Self {
            ts,
            isolation: ReadIsolation::Snapshot,
            bypass: Vec::new(),
            access: Vec::new(),
            now: UnixMillis(ts.physical_ms()),
        }
    }

    /// The clock by which expiry is judged.
    #[must_use]
    pub fn expiry_clock(&self) -> UnixMillis {
        if self.ts == Timestamp::MAX { self.now } else { UnixMillis(self.ts.physical_ms()) }
    }
}

/// A transactional row as read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxnRow {
    /// Stored key.
    pub key: Key,
    /// User value; empty if only keys were asked for.
    pub value: Bytes,
    /// When it was committed.
    pub commit_ts: Timestamp,
    /// When it ends, if ever.
    pub expires_at: Option<UnixMillis>,
}

/// What a point read found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TxnValue {
    /// The row, if there is one.
    Row(Option<TxnRow>),
    /// A lock must be resolved first.
    Locked(Box<LockInfo>),
}

/// Kind of a commit record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteKind {
    /// A value was stored.
    Put,
    /// The value was removed.
    Delete,
    /// Nothing changed.
    Lock,
    /// The transaction that began at this timestamp was rolled back.
    Rollback,
}

/// One commit record of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MvccVersion {
    /// Kind.
    pub kind: WriteKind,
    /// When the transaction began.
    pub start_ts: Timestamp,
    /// When it committed; for a rollback the start timestamp.
    pub commit_ts: Timestamp,
    /// The value, for a put; `None` too if garbage collection has taken it.
    pub value: Option<Bytes>,
    /// When the value ends, if ever.
    pub expires_at: Option<UnixMillis>,
    /// A rollback that must not be collapsed, or a commit that stands for one as well.
    pub protects_rollback: bool,
}

/// All that is stored about a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MvccHistory {
    /// Stored key.
    pub key: Key,
    /// Its lock.
    pub lock: Option<LockInfo>,
    /// Newest first.
    pub versions: Vec<MvccVersion>,
}
