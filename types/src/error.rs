//! Error classes, stable codes, and what a Region answers instead of a reply.
use crate::ids::{RegionId, StoreId};
use crate::region::{Peer, Region};
use serde::{Deserialize, Serialize};

/// How a caller reacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The same request may succeed later or elsewhere; it had no effect.
    Retry,
    /// The request conflicts with the present state.
    Conflict,
    /// The request itself is wrong.
    BadInput,
    /// Whether the request had an effect is not known.
    Unknown,
    /// A bug or a damaged disk.
    Fatal,
}

/// Stable codes of the API. Never renamed; `docs/ERRORS.md` has a paragraph for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the meaning of each is its `title`")]
pub enum Code {
    BadJson,
    UnknownField,
    BadEncoding,
    BadRange,
    BadCursor,
    BadConsistency,
    BadParameter,
    BadHost,
    IdempotencyUnsupported,
    ConfirmationNeeded,
    KeyNotFound,
    RegionNotFound,
    StoreNotFound,
    NotFound,
    MethodNotAllowed,
    OperatorConflict,
    StoreNotEmpty,
    CasMismatch,
    TooLarge,
    NotUtf8,
    ServerBusy,
    RegionUnavailable,
    NoQuorum,
    DiskFull,
    PdUnavailable,
    NotReady,
    RequestTimeout,
    Internal,
    ActorCrashed,
    Corruption,
    NotSupported,
    DeadlineExceeded,
    OutcomeUnknown,
    SnapshotGone,
    TxnNotFound,
    TxnExpired,
    WriteConflict,
    Deadlock,
    LockWaitTimeout,
    AlreadyExists,
    AssertionFailed,
    CommitTsExpired,
    TxnRolledBack,
    IdempotentInProgress,
    IdempotencyMismatch,
    NotAnInteger,
    DataNotReady,
    TxnOutcomeUnknown,
}

impl Code {
    /// All codes, in order of declaration.
    pub const ALL: [Self; 48] = [
        Self::BadJson,
        Self::UnknownField,
        Self::BadEncoding,
        Self::BadRange,
        Self::BadCursor,
        Self::BadConsistency,
        Self::BadParameter,
        Self::BadHost,
        Self::IdempotencyUnsupported,
        Self::ConfirmationNeeded,
        Self::KeyNotFound,
        Self::RegionNotFound,
        Self::StoreNotFound,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::OperatorConflict,
        Self::StoreNotEmpty,
        Self::CasMismatch,
        Self::TooLarge,
        Self::NotUtf8,
        Self::ServerBusy,
        Self::RegionUnavailable,
        Self::NoQuorum,
        Self::DiskFull,
        Self::PdUnavailable,
        Self::NotReady,
        Self::RequestTimeout,
        Self::Internal,
        Self::ActorCrashed,
        Self::Corruption,
        Self::NotSupported,
        Self::DeadlineExceeded,
        Self::OutcomeUnknown,
        Self::SnapshotGone,
        Self::TxnNotFound,
        Self::TxnExpired,
        Self::WriteConflict,
        Self::Deadlock,
        Self::LockWaitTimeout,
        Self::AlreadyExists,
        Self::AssertionFailed,
        Self::CommitTsExpired,
        Self::TxnRolledBack,
        Self::IdempotentInProgress,
        Self::IdempotencyMismatch,
        Self::NotAnInteger,
        Self::DataNotReady,
        Self::TxnOutcomeUnknown,
    ];

    /// The code as it stands in replies, such as `KEY_NOT_FOUND`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadJson => "BAD_JSON",
            Self::UnknownField => "UNKNOWN_FIELD",
            Self::BadEncoding => "BAD_ENCODING",
            Self::BadRange => "BAD_RANGE",
            Self::BadCursor => "BAD_CURSOR",
            Self::BadConsistency => "BAD_CONSISTENCY",
            Self::BadParameter => "BAD_PARAMETER",
            Self::BadHost => "BAD_HOST",
            Self::IdempotencyUnsupported => "IDEMPOTENCY_UNSUPPORTED",
            Self::ConfirmationNeeded => "CONFIRMATION_NEEDED",
            Self::KeyNotFound => "KEY_NOT_FOUND",
            Self::RegionNotFound => "REGION_NOT_FOUND",
            Self::StoreNotFound => "STORE_NOT_FOUND",
            Self::NotFound => "NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::OperatorConflict => "OPERATOR_CONFLICT",
            Self::StoreNotEmpty => "STORE_NOT_EMPTY",
            Self::CasMismatch => "CAS_MISMATCH",
            Self::TooLarge => "TOO_LARGE",
            Self::NotUtf8 => "NOT_UTF8",
            Self::ServerBusy => "SERVER_BUSY",
            Self::RegionUnavailable => "REGION_UNAVAILABLE",
            Self::NoQuorum => "NO_QUORUM",
            Self::DiskFull => "DISK_FULL",
            Self::PdUnavailable => "PD_UNAVAILABLE",
            Self::NotReady => "NOT_READY",
            Self::RequestTimeout => "REQUEST_TIMEOUT",
            Self::Internal => "INTERNAL",
            Self::ActorCrashed => "ACTOR_CRASHED",
            Self::Corruption => "CORRUPTION",
            Self::NotSupported => "NOT_SUPPORTED",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::OutcomeUnknown => "OUTCOME_UNKNOWN",
            Self::SnapshotGone => "SNAPSHOT_GONE",
            Self::TxnNotFound => "TXN_NOT_FOUND",
            Self::TxnExpired => "TXN_EXPIRED",
            Self::WriteConflict => "WRITE_CONFLICT",
            Self::Deadlock => "DEADLOCK",
            Self::LockWaitTimeout => "LOCK_WAIT_TIMEOUT",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::AssertionFailed => "ASSERTION_FAILED",
            Self::CommitTsExpired => "COMMIT_TS_EXPIRED",
            Self::TxnRolledBack => "TXN_ROLLED_BACK",
            Self::IdempotentInProgress => "IDEMPOTENT_IN_PROGRESS",
            Self::IdempotencyMismatch => "IDEMPOTENCY_MISMATCH",
            Self::NotAnInteger => "NOT_AN_INTEGER",
            Self::DataNotReady => "DATA_NOT_READY",
            Self::TxnOutcomeUnknown => "TXN_OUTCOME_UNKNOWN",
        }
    }

    /// One sentence for people: what happened.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::BadJson => "The body is not the JSON that this operation takes",
            Self::UnknownField => "A field or parameter is not known here",
            Self::BadEncoding => "A key or value is not in the encoding that it claims",
            Self::BadRange => "The key range is empty, inverted or incomplete",
            Self::BadCursor => "The cursor was not made by this cluster or was changed",
            Self::BadConsistency => "The consistency level is not known",
            Self::BadParameter => "A parameter has a value that is not allowed",
            Self::BadHost => "The Host header does not name this server",
            Self::IdempotencyUnsupported => "This operation takes no Idempotency-Key",
            Self::ConfirmationNeeded => "This operation needs an explicit confirmation",
            Self::KeyNotFound => "The key has no value",
            Self::RegionNotFound => "There is no Region with this id",
            Self::StoreNotFound => "There is no Store with this id",
            Self::NotFound => "There is nothing at this path",
            Self::MethodNotAllowed => "The path exists, but not with this method",
            Self::OperatorConflict => "The Region cannot take this change now",
            Self::StoreNotEmpty => "The Store still holds replicas",
            Self::CasMismatch => "The precondition does not hold",
            Self::TooLarge => "A part of the request is larger than its limit",
            Self::NotUtf8 => "The bytes are not UTF-8, which was asked for",
            Self::ServerBusy => "A queue is full",
            Self::RegionUnavailable => "The Region did not serve before the deadline",
            Self::NoQuorum => "The Region has no reachable majority",
            Self::DiskFull => "The disk of a Store is full",
            Self::PdUnavailable => "The Placement Driver has no reachable leader",
            Self::NotReady => "The server is still starting, or is stopping",
            Self::RequestTimeout => "The request's body came too slowly",
            Self::Internal => "The server has a bug",
            Self::ActorCrashed => "The actor that held the request crashed and was restarted",
            Self::Corruption => "Stored data is damaged",
            Self::NotSupported => "This build does not do that",
            Self::DeadlineExceeded => "The deadline passed; the request had no effect",
            Self::OutcomeUnknown => "Whether the write took effect is not known",
            Self::SnapshotGone => "The versions of this timestamp may have been collected",
            Self::TxnNotFound => "There is no such transaction",
            Self::TxnExpired => "The transaction is over",
            Self::WriteConflict => "Another transaction changed this key first",
            Self::Deadlock => "Transactions wait for each other",
            Self::LockWaitTimeout => "Another transaction holds the lock",
            Self::AlreadyExists => "The key has a value already",
            Self::AssertionFailed => "A key is not as the request asserts",
            Self::CommitTsExpired => "A reader was promised a later commit",
            Self::TxnRolledBack => "The transaction was rolled back",
            Self::IdempotentInProgress => "The same request is still running",
            Self::IdempotencyMismatch => "The Idempotency-Key was used for another request",
            Self::NotAnInteger => "A value is not a decimal integer",
            Self::DataNotReady => "No replica is as fresh as asked for",
            Self::TxnOutcomeUnknown => "Whether the transaction committed is not known",
        }
    }

    /// How a caller reacts.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::BadJson
            | Self::UnknownField
            | Self::BadEncoding
            | Self::BadRange
            | Self::BadCursor
            | Self::BadConsistency
            | Self::BadParameter
            | Self::BadHost
            | Self::IdempotencyUnsupported
            | Self::ConfirmationNeeded
            | Self::KeyNotFound
            | Self::RegionNotFound
            | Self::StoreNotFound
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::TooLarge
            | Self::NotUtf8
            | Self::NotSupported
            | Self::RequestTimeout
            | Self::TxnNotFound
            | Self::IdempotencyMismatch
            | Self::NotAnInteger => Class::BadInput,
            Self::OperatorConflict
            | Self::StoreNotEmpty
            | Self::CasMismatch
            | Self::SnapshotGone
            | Self::TxnExpired
            | Self::WriteConflict
            | Self::Deadlock
            | Self::LockWaitTimeout
            | Self::AlreadyExists
            | Self::AssertionFailed
            | Self::CommitTsExpired
            | Self::TxnRolledBack
            | Self::IdempotentInProgress => Class::Conflict,
            Self::ServerBusy
            | Self::RegionUnavailable
            | Self::NoQuorum
            | Self::DiskFull
            | Self::PdUnavailable
            | Self::NotReady
            | Self::DeadlineExceeded
            | Self::DataNotReady => Class::Retry,
            Self::ActorCrashed | Self::OutcomeUnknown | Self::TxnOutcomeUnknown => Class::Unknown,
            Self::Internal | Self::Corruption => Class::Fatal,
        }
    }
}

/// What a Region, its store or its node answers instead of a reply. All but
/// [`RegionError::OutcomeUnknown`] promise that a write had no effect and never will.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum RegionError {
    /// Another replica leads.
    #[error("region {region} is not led here (leader: {leader:?})")]
    NotLeader {
        /// Which Region.
        region: RegionId,
        /// Who leads, if known.
        leader: Option<Peer>,
    },
    /// This store has no such Region.
    #[error("store {store} has no region {region}")]
    RegionNotFound {
        /// Which Region.
        region: RegionId,
        /// Which store was asked.
        store: StoreId,
    },
    /// The Region has another shape by now.
    #[error("region {} has another epoch", current.id)]
    EpochNotMatch {
        /// Its shape now.
        current: Box<Region>,
    },
    /// A key of the request lies outside the Region.
    #[error("a key lies outside region {region}")]
    KeyNotInRegion {
        /// Which Region.
        region: RegionId,
    },
    /// A queue is full, or the disk is behind.
    #[error("{what} is busy; retry after {backoff_ms} ms")]
    ServerIsBusy {
        /// Which queue.
        what: BusyReason,
        /// When to try again.
        backoff_ms: u64,
    },
    /// The proposal was dropped: another leader's entry took its place. It had no effect.
    #[error("the proposal was overtaken by another leader")]
    StaleCommand,
    /// The replica cannot serve this yet (it starts, takes a snapshot, or changes its leader).
    #[error("region {region} is not ready: {why}")]
    NotReady {
        /// Which Region.
        region: RegionId,
        /// Why.
        why: NotReadyReason,
    },
    /// The replica crashed too often, or cannot apply an entry; it serves no more.
    #[error("region {region} is halted on store {store}")]
    RegionHalted {
        /// Which Region.
        region: RegionId,
        /// Which store.
        store: StoreId,
    },
    /// The request is larger than a Raft entry may be.
    #[error("{actual} bytes are more than a Raft entry may hold ({limit})")]
    EntryTooLarge {
        /// Size of the request.
        actual: u64,
        /// Largest allowed.
        limit: u64,
    },
    /// No space left for writes.
    #[error("the disk of store {store} is full")]
    DiskFull {
        /// Which store.
        store: StoreId,
    },
    /// The deadline passed before anything was proposed.
    #[error("the deadline passed while the request was queued")]
    DeadlineExceeded,
    /// The write was proposed and what became of it is not known.
    #[error("the outcome is unknown: {why}")]
    OutcomeUnknown {
        /// Why it is not known.
        why: UnknownReason,
    },
    /// A change of members or a transfer cannot be made now.
    #[error("the change was refused: {why}")]
    ChangeRefused {
        /// Why.
        why: String,
    },
    /// The message came from another cluster or for another store.
    #[error("the request was meant for another cluster or store")]
    WrongRecipient,
    /// The bytes of a request or of stored data do not decode.
    #[error("cannot decode: {what}")]
    Malformed {
        /// What.
        what: String,
    },
    /// The leader is new and does not know yet which timestamps were read before its time: it cannot
    /// choose a commit timestamp by itself.
    #[error("the leader of region {region} does not know the largest read timestamp yet")]
    MaxTimestampNotSynced {
        /// Which Region.
        region: RegionId,
    },
}

/// Which queue was full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BusyReason {
    /// Mailbox of an actor.
    Mailbox,
    /// Proposals in flight of one Region.
    Proposals,
    /// The forwarding stream to another node.
    Forwarding,
    /// Read pool.
    ReadPool,
    /// The whole node's admission.
    Node,
    /// Transactional commands at a Store.
    TxnScheduler,
}

impl std::fmt::Display for BusyReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Mailbox => "a mailbox",
            Self::Proposals => "the Region's proposal queue",
            Self::Forwarding => "the stream to the leader's node",
            Self::ReadPool => "the read pool",
            Self::Node => "the node",
            Self::TxnScheduler => "the Store's queue of transactional commands",
        })
    }
}

/// Why a replica cannot serve yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NotReadyReason {
    /// It has no data yet.
    Uninitialised,
    /// The leader has not yet applied an entry of its own term.
    NewTerm,
    /// It restarts after a crash.
    Restarting,
    /// It hands leadership over.
    TransferringLeader,
    /// The node stops.
    Stopping,
    /// Its Store has not heard from the Placement Driver which versions are still served.
    SafePointUnknown,
}

impl std::fmt::Display for NotReadyReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Uninitialised => "it waits for a snapshot",
            Self::NewTerm => "its leader is new",
            Self::Restarting => "it restarts after a crash",
            Self::TransferringLeader => "it hands leadership over",
            Self::Stopping => "its node stops",
            Self::SafePointUnknown => {
                "its Store has not heard from the Placement Driver which versions are served"
            }
        })
    }
}

/// Why an outcome is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum UnknownReason {
    /// The deadline passed after the proposal.
    Deadline,
    /// The connection to the leader's node broke after the request was sent.
    ConnectionLost,
    /// The actor that held the proposal crashed.
    ActorCrashed,
    /// The replica was removed while the proposal was in flight.
    PeerRemoved,
    /// A snapshot replaced the log that held the proposal.
    Snapshot,
    /// Leadership moved on while a member change was in flight.
    LeaderChanged,
}

impl std::fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Deadline => "the deadline passed after the write was proposed",
            Self::ConnectionLost => "the connection to the leader's node broke",
            Self::ActorCrashed => "the replica that held the write crashed",
            Self::PeerRemoved => "the replica was removed while the write was in flight",
            Self::LeaderChanged => "leadership moved while the change was in flight",
            Self::Snapshot => "a snapshot replaced the log that held the write",
        })
    }
}

impl RegionError {
    /// How a caller reacts.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::NotLeader { .. }
            | Self::RegionNotFound { .. }
            | Self::EpochNotMatch { .. }
            | Self::KeyNotInRegion { .. }
            | Self::ServerIsBusy { .. }
            | Self::StaleCommand
            | Self::NotReady { .. }
            | Self::RegionHalted { .. }
            | Self::DiskFull { .. }
            | Self::DeadlineExceeded
            | Self::WrongRecipient
            | Self::MaxTimestampNotSynced { .. } => Class::Retry,
            Self::EntryTooLarge { .. } => Class::BadInput,
            Self::ChangeRefused { .. } => Class::Conflict,
            Self::OutcomeUnknown { .. } => Class::Unknown,
            Self::Malformed { .. } => Class::Fatal,
        }
    }
}
