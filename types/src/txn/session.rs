//! Operations, conditions and whole transactions, as gateways pass them to the coordinator.
use super::TxnRow;
use super::deadlock::LockWait;
use super::error::TxnError;
use crate::error::Code;
use crate::ids::{StoreId, Timestamp, UnixMillis};
use crate::key::{Key, KeyRange};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// How a transaction meets conflicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TxnMode {
    /// Conflicts are found at the commit.
    #[default]
    Optimistic,
    /// Keys are locked before they are read for a change.
    Pessimistic,
}

/// What concurrent transactions may see of each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TxnIsolation {
    /// Reads are of one snapshot; write skew is possible.
    #[default]
    Snapshot,
    /// As if transactions ran one after the other: what was read is checked again at the commit.
    Serializable,
}

/// How a transaction commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitProtocol {
    /// The cheapest that fits: one phase if one Region holds all keys, else asynchronously if there
    /// are few, else in two phases.
    #[default]
    Auto,
    /// Asynchronously if there are few keys, else in two phases.
    Async,
    /// In two phases.
    TwoPhase,
}

/// How a transaction runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxnSettings {
    /// How it meets conflicts.
    pub mode: TxnMode,
    /// What it guarantees.
    pub isolation: TxnIsolation,
    /// How it commits.
    pub commit: CommitProtocol,
    /// How long it waits for others' locks, in milliseconds; `None` = a second.
    pub lock_wait_ms: Option<u64>,
}

/// One step of a transaction. Later steps see what earlier ones did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TxnOp {
    /// Read a key. Answered [`TxnOpResult::Value`].
    Get {
        /// Which key.
        key: Key,
        /// Lock it too, as for a change (pessimistic transactions), or check at the commit that
        /// nobody changed it (optimistic ones).
        for_update: bool,
    },
    /// Read rows of a range in key order. Answered [`TxnOpResult::Rows`].
    Scan {
        /// Of the transactional space.
        range: KeyRange,
        /// At most so many rows (≥ 1).
        limit: u32,
        /// From the end of the range to its start.
        reverse: bool,
        /// Leave values out.
        keys_only: bool,
    },
    /// Store a value. Answered [`TxnOpResult::Done`].
    Put {
        /// Which key.
        key: Key,
        /// What.
        value: Bytes,
        /// Ends so long after the transaction's timestamp.
        ttl_ms: Option<u64>,
    },
    /// Store a value, refused `ALREADY_EXISTS` if the key has one. Answered [`TxnOpResult::Done`].
    Insert {
        /// Which key.
        key: Key,
        /// What.
        value: Bytes,
        /// As in [`TxnOp::Put`].
        ttl_ms: Option<u64>,
    },
    /// Remove a key. Answered [`TxnOpResult::Done`].
    Delete {
        /// Which key.
        key: Key,
    },
    /// Add to a decimal number; an absent key counts as 0. Answered [`TxnOpResult::Value`] with the
    /// sum; refused `NOT_AN_INTEGER`.
    Add {
        /// Which key.
        key: Key,
        /// How much.
        by: i64,
    },
    /// Lock keys without a change. Answered [`TxnOpResult::Done`].
    Lock {
        /// Which.
        keys: Vec<Key>,
        /// How long to wait, in milliseconds; `Some(0)` = not at all, `None` = as set for the
        /// transaction.
        wait_ms: Option<u64>,
    },
}

impl TxnOp {
    /// Bytes of keys and values.
    #[must_use]
    pub fn approximate_bytes(&self) -> usize {
        match self {
            Self::Put { key, value, .. } | Self::Insert { key, value, .. } => {
                key.len() + value.len()
            }
            Self::Get { key, .. } | Self::Delete { key } | Self::Add { key, .. } => key.len(),
            Self::Scan { range, .. } => range.start.len() + range.end.len(),
            Self::Lock { keys, .. } => keys.iter().map(Key::len).sum(),
        }
    }
}

/// What a step answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TxnOpResult {
    /// Done; it takes effect with the commit.
    Done,
    /// The row, if there is one. `commit_ts` is 0 if the transaction itself wrote it.
    Value(Option<TxnRow>),
    /// Rows of a scan.
    Rows {
        /// In scan order.
        rows: Vec<TxnRow>,
        /// What is left to scan.
        rest: Option<KeyRange>,
    },
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
}

/// What a key is compared with. An absent key fulfils only [`Condition::Exists`] with `false`,
/// [`Condition::Value`] with [`Comparison::Ne`], and versions as version 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// Has it a value?
    Exists(bool),
    /// Its value, as bytes.
    Value(Comparison, Bytes),
    /// Its value, as a decimal number; refused `NOT_AN_INTEGER` if it is none.
    Int(Comparison, i64),
    /// When it was committed; 0 = absent.
    Version(Comparison, Timestamp),
}

/// A condition on one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxnCompare {
    /// Which key.
    pub key: Key,
    /// What must hold.
    pub condition: Condition,
}

/// A transaction in one request: if all conditions hold, `then`, else `otherwise`; tried again by the
/// server when it meets conflicts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneShot {
    /// All must hold.
    pub conditions: Vec<TxnCompare>,
    /// Steps if they do.
    pub then: Vec<TxnOp>,
    /// Steps if they do not.
    pub otherwise: Vec<TxnOp>,
    /// How it runs.
    pub settings: TxnSettings,
    /// Commits once only, however often it is sent.
    pub idempotency: Option<Idempotency>,
}

/// Identity of a request that is to take effect once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    /// Chosen by the client, 1 to 255 bytes.
    pub key: String,
    /// Hash of what was asked for: another request under the same key is refused.
    pub fingerprint: u64,
}

/// Outcome of a [`OneShot`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneShotOutcome {
    /// Did the conditions hold?
    pub succeeded: bool,
    /// When it committed, or for one without changes, the timestamp of its reads.
    pub commit_ts: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// One for each step.
    pub results: Vec<TxnOpResult>,
    /// It had committed before, under the same idempotency key; nothing was done now.
    pub repeated: bool,
    /// How it committed.
    pub committed_by: CommittedBy,
}

/// How a transaction committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommittedBy {
    /// It had nothing to commit.
    #[default]
    Nothing,
    /// In one phase.
    OnePhase,
    /// Asynchronously.
    Async,
    /// In two phases.
    TwoPhase,
}

/// Identity of an interactive transaction: which Store's node owns it, when it began, and a random
/// number that nobody can guess. Shown as `tx_<store>-<start_ts>-<random in base 36>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TxnId {
    /// A Store of the owner.
    pub store: StoreId,
    /// When it began.
    pub start_ts: Timestamp,
    /// Random.
    pub nonce: u64,
}

/// Asks the owner of interactive transactions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionRequest {
    /// Begin one here. Answered [`SessionReply::State`].
    Begin {
        /// How it runs.
        settings: TxnSettings,
        /// Rolled back after so long without a request.
        idle_ms: u64,
    },
    /// Steps. Answered [`SessionReply::Results`].
    Ops {
        /// Which.
        id: TxnId,
        /// In order.
        ops: Vec<TxnOp>,
    },
    /// Commit. May be repeated. Answered [`SessionReply::State`].
    Commit {
        /// Which.
        id: TxnId,
        /// Commits once only.
        idempotency: Option<Idempotency>,
    },
    /// Roll back. May be repeated. Answered [`SessionReply::State`].
    Rollback {
        /// Which.
        id: TxnId,
    },
    /// Start the idle time anew. Answered [`SessionReply::State`].
    KeepAlive {
        /// Which.
        id: TxnId,
    },
    /// How it stands. Answered [`SessionReply::State`].
    Status {
        /// Which.
        id: TxnId,
    },
    /// Open transactions here. Answered [`SessionReply::Open`].
    List,
}

impl SessionRequest {
    /// The transaction that it is about, if it is about one.
    #[must_use]
    pub fn id(&self) -> Option<TxnId> {
        match self {
            Self::Ops { id, .. }
            | Self::Commit { id, .. }
            | Self::Rollback { id }
            | Self::KeepAlive { id }
            | Self::Status { id } => Some(*id),
            Self::Begin { .. } | Self::List => None,
        }
    }

    /// May it be sent twice without harm?
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        match self {
            Self::Commit { .. }
            | Self::Rollback { .. }
            | Self::KeepAlive { .. }
            | Self::Status { .. }
            | Self::List => true,
            Self::Begin { .. } | Self::Ops { .. } => false,
        }
    }
}

/// Answer of the owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionReply {
    /// How it stands.
    State(SessionState),
    /// Results of steps.
    Results(Vec<TxnOpResult>),
    /// All that are open.
    Open(Vec<SessionState>),
    /// Commands that wait for locks at the Store asked.
    Waits(Vec<LockWait>),
}

/// How an interactive transaction stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionState {
    /// Which.
    pub id: TxnId,
    /// How it runs; not known when its owner is gone.
    pub settings: Option<TxnSettings>,
    /// Phase.
    pub phase: SessionPhase,
    /// Keys it has written or locked, as far as that is known.
    pub keys: u64,
    /// When it ends by itself, if nobody asks.
    pub expires_in_ms: u64,
    /// Wall clock of its begin.
    pub began_at: UnixMillis,
}

/// Phase of an interactive transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionPhase {
    /// Takes steps.
    Open,
    /// The commit is under way.
    Committing,
    /// Committed.
    Committed {
        /// When; for one without changes, the timestamp of its reads.
        commit_ts: Timestamp,
        /// How, if the owner itself tells.
        by: Option<CommittedBy>,
    },
    /// Rolled back.
    RolledBack,
    /// Not known yet: the owner does not answer, or waits for the answer to a commit.
    Unknown,
}

/// Refusal of the coordinator, as it travels from the owner of an interactive transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{}: {detail}", code.as_str())]
pub struct SessionError {
    /// Stable code.
    pub code: Code,
    /// For people.
    pub detail: String,
    /// What a Region said, if that was it.
    pub txn: Option<Box<TxnError>>,
}

/// Answer or refusal.
pub type SessionResult = Result<SessionReply, SessionError>;
