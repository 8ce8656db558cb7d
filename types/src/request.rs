//! Region-scoped requests and replies: what a gateway sends to the leader of one Region, on this
//! node or on another.
use crate::command::{ReadCommand, ReadReply, WriteCommand, WriteReply};
use crate::error::RegionError;
use crate::ids::{LogIndex, RegionId, StoreId, Term, Timestamp};
use crate::key::KeyRange;
use crate::region::{Peer, Region, RegionEpoch};
use crate::trace::TraceTags;
use crate::txn::command::TxnAnswer;
use crate::txn::deadlock::{DetectReply, DetectRequest};
use crate::txn::session::{SessionRequest, SessionResult};
use crate::txn::{LockInfo, ReadView, TxnCommand};
use serde::{Deserialize, Serialize};

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Consistency {
    /// At the leader: by its lease, or by ReadIndex when the lease is not sure. Linearizable as long
    /// as monotonic clocks of different machines run at the same rate within 10 %.
    #[default]
    Leader,
    /// At the leader, always by ReadIndex: linearizable without any clock.
    Linearizable,
    /// At the replica asked, by an index that the leader confirms. Linearizable.
    Follower,
}

/// Which Region, and the shape that the sender believes it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionTarget {
    /// Which Region.
    pub region: RegionId,
    /// Shape the sender routed by.
    pub epoch: RegionEpoch,
}

/// One request to one Region on one store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionRequest {
    /// Which store is asked.
    pub store: StoreId,
    /// Which Region of it.
    pub target: RegionTarget,
    /// What to do.
    pub body: RegionBody,
    /// Traces that this belongs to.
    pub traces: TraceTags,
}

/// What to do with a Region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegionBody {
    /// Read on a snapshot.
    Read {
        /// What.
        command: ReadCommand,
        /// How fresh.
        consistency: Consistency,
    },
    /// Replicate and apply.
    Write(WriteCommand),
    /// Change the Raft group.
    Admin(AdminCommand),
    /// Describe the replica.
    Status,
    /// The index that a read at any replica must have applied to be linearizable. Leader only.
    ReadIndex,
    /// Read at this replica once it has applied `index` (see [`Consistency::Follower`]). Answered
    /// [`RegionReply::ReadAt`].
    ReadAt {
        /// What.
        command: ReadCommand,
        /// From [`RegionBody::ReadIndex`].
        index: LogIndex,
    },
    /// Take a quarantined or halted replica back into service.
    Release,
    /// Execute a command of a transaction. Answered [`RegionReply::Txn`].
    Txn(Box<TxnCommand>),
    /// As [`RegionBody::ReadIndex`], for a snapshot read of the transactional space at another replica:
    /// the leader also takes note of the read's timestamp, so that no later commit lands below it.
    /// Answered [`RegionReply::ReadIndex`] or [`RegionReply::ReadBlocked`].
    SnapshotReadIndex {
        /// What will be read; keys as ranges of one.
        ranges: Vec<KeyRange>,
        /// As of when.
        view: Box<ReadView>,
    },
    /// To the leader of the system Region: who waits for whom. Answered [`RegionReply::Detected`].
    Detect(DetectRequest),
    /// To a Store itself, whatever the Region: interactive transactions that its node owns. Answered
    /// [`RegionReply::Session`].
    Session(Box<SessionRequest>),
    /// To the leader: locks of transactions that began below `safe_point`, once no command that is under
    /// way can add one. Refused by a Store that has not heard of that safe point. Answered
    /// [`RegionReply::Read`] with locks.
    LastLocks {
        /// Must lie inside the Region.
        range: KeyRange,
        /// A transaction safe point of PD.
        safe_point: Timestamp,
        /// At most so many (≥ 1).
        limit: u32,
    },
    /// To a Store itself: commands that wait for locks there. Answered [`RegionReply::Session`] with
    /// `Waits`.
    LockWaits,
}

/// Change of a Raft group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdminCommand {
    /// Change members by joint consensus (one change alone goes the simple way). Answered when the
    /// configuration is no longer joint.
    ChangePeers {
        /// What to change, each peer at most once.
        changes: Vec<PeerChange>,
    },
    /// Hand leadership to a voter. Answered when the hand-over was started.
    TransferLeader {
        /// Who shall lead.
        to: Peer,
    },
}

/// One step of a member change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerChange {
    /// Add a voter, or make a learner one.
    AddVoter(Peer),
    /// Add a learner, or make a voter one.
    AddLearner(Peer),
    /// Remove a replica.
    Remove(Peer),
}

/// What a replica says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Shape as applied.
    pub region: Region,
    /// The replica asked.
    pub peer: Peer,
    /// Who leads, as far as it knows.
    pub leader: Option<Peer>,
    /// Its term.
    pub term: Term,
    /// First index still in the log.
    pub first_index: LogIndex,
    /// Last index in the log.
    pub last_index: LogIndex,
    /// Known to be committed.
    pub committed: LogIndex,
    /// Applied to the engine.
    pub applied: LogIndex,
    /// For a leader: what each replica is known to hold.
    pub matched: Vec<(Peer, LogIndex)>,
    /// Was the lease valid when asked?
    pub lease_valid: bool,
}

/// What a Region answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegionReply {
    /// To a read.
    Read(ReadReply),
    /// To a write.
    Write(WriteReply),
    /// To an admin command: the Region's shape after it.
    Admin(Region),
    /// To a status query.
    Status(Box<PeerStatus>),
    /// To [`RegionBody::ReadIndex`].
    ReadIndex(LogIndex),
    /// To [`RegionBody::Release`].
    Released,
    /// To [`RegionBody::ReadAt`].
    ReadAt {
        /// What was read.
        reply: ReadReply,
        /// The entry that the replica had applied when it read: perhaps later than was asked for, and
        /// then perhaps later than what the leader itself has applied.
        applied: LogIndex,
    },
    /// To [`RegionBody::Txn`]: reply or refusal of the command.
    Txn(TxnAnswer),
    /// To [`RegionBody::SnapshotReadIndex`]: a lock that is not yet stored must be resolved first.
    ReadBlocked(Box<LockInfo>),
    /// To [`RegionBody::Detect`].
    Detected(DetectReply),
    /// To [`RegionBody::Session`] and [`RegionBody::LockWaits`].
    Session(Box<SessionResult>),
    /// To a read of the transactional space below the safe point, or too far ahead of the oracle.
    ReadRefused(Box<crate::txn::TxnError>),
}

/// Reply or refusal of one Region.
pub type RegionResult = Result<RegionReply, RegionError>;
