//! The messages that a RegionPeer takes.
use super::core::ApplyOutcome;
use crate::cell::{Delivery, Message, ReplyTo};
use raft::eraftpb;
use std::path::PathBuf;
use troupe_types::raft_message::SnapshotManifest;
use troupe_types::request::{AdminCommand, RegionResult};
use troupe_types::{
    Generation, LogIndex, Peer, RegionEpoch, RegionError, StoreId, Term, WriteCommand,
};

/// Gateway → RegionPeer: replicate and apply a write. Not idempotent by itself. When it is refused
/// or expires, it had no effect.
#[derive(Debug)]
pub struct ProposeWrite {
    /// Shape the sender routed by.
    pub epoch: RegionEpoch,
    /// The only term in which it may be proposed, if it was decided by what a leader's snapshot of
    /// that term showed.
    pub term: Option<Term>,
    /// What.
    pub command: WriteCommand,
    /// Answered by Apply, or by the peer if it refuses.
    pub reply: ReplyTo<RegionResult>,
}

impl Message for ProposeWrite {
    const NAME: &'static str = "ProposeWrite";
    const DELIVERY: Delivery = Delivery::Ask;

    fn bytes(&self) -> usize {
        self.command.approximate_bytes()
    }

    fn expire(self) {
        self.reply.send(Err(RegionError::DeadlineExceeded));
    }
}

/// What a reader gets: the applied index that it may read at, at least.
pub type ReadPermit = Result<LogIndex, RegionError>;

/// Gateway → RegionPeer: may I read now, linearizably? Idempotent.
#[derive(Debug)]
pub struct ReadIndexQuery {
    /// Answered once the index is applied here.
    pub reply: ReplyTo<ReadPermit>,
}

impl Message for ReadIndexQuery {
    const NAME: &'static str = "ReadIndexQuery";
    const DELIVERY: Delivery = Delivery::Ask;

    fn expire(self) {
        self.reply.send(Err(RegionError::DeadlineExceeded));
    }
}

/// Gateway → RegionPeer: say when `index` is applied here. Idempotent.
#[derive(Debug)]
pub struct AppliedQuery {
    /// Which index.
    pub index: LogIndex,
    /// Answered then.
    pub reply: ReplyTo<ReadPermit>,
}

impl Message for AppliedQuery {
    const NAME: &'static str = "AppliedQuery";
    const DELIVERY: Delivery = Delivery::Ask;

    fn expire(self) {
        self.reply.send(Err(RegionError::DeadlineExceeded));
    }
}

/// PD's operator or a person → RegionPeer: change the group. Repeating it is refused or harmless.
#[derive(Debug)]
pub struct AdminRequest {
    /// How.
    pub command: AdminCommand,
    /// Answered when it is done.
    pub reply: ReplyTo<RegionResult>,
}

impl Message for AdminRequest {
    const NAME: &'static str = "AdminRequest";
    const DELIVERY: Delivery = Delivery::Ask;

    fn expire(self) {
        self.reply.send(Err(RegionError::DeadlineExceeded));
    }
}

/// Gateway → RegionPeer: describe yourself. Idempotent.
#[derive(Debug)]
pub struct StatusQuery {
    /// Answered at once.
    pub reply: ReplyTo<RegionResult>,
}

impl Message for StatusQuery {
    const NAME: &'static str = "StatusQuery";
    const DELIVERY: Delivery = Delivery::Ask;

    fn expire(self) {
        self.reply.send(Err(RegionError::DeadlineExceeded));
    }
}

/// Transport → RegionPeer: a Raft message. Raft sends again.
#[derive(Debug)]
pub struct RaftReceived {
    /// Who sent it.
    pub from: Peer,
    /// Shape of the Region at the sender.
    pub epoch: RegionEpoch,
    /// The message.
    pub message: eraftpb::Message,
}

impl Message for RaftReceived {
    const NAME: &'static str = "RaftReceived";
    const DELIVERY: Delivery = Delivery::Droppable;

    fn bytes(&self) -> usize {
        self.message.entries.iter().map(|entry| entry.data.len() + 64).sum::<usize>() + 64
    }

    fn detail(&self) -> [u64; 2] {
        [self.message.get_msg_type() as u64, self.message.index]
    }
}

/// Transport → RegionPeer: a snapshot whose files are here. Raft sends again.
#[derive(Debug)]
pub struct SnapshotReceived {
    /// Who sent it.
    pub from: Peer,
    /// The `MsgSnapshot`.
    pub message: eraftpb::Message,
    /// What the files hold.
    pub manifest: SnapshotManifest,
    /// Where they lie.
    pub folder: PathBuf,
}

impl Message for SnapshotReceived {
    const NAME: &'static str = "SnapshotReceived";
    const DELIVERY: Delivery = Delivery::Droppable;
}

/// LogWriter → RegionPeer: writes up to `number` are durable. In order.
#[derive(Debug)]
pub struct EntriesPersisted {
    /// Which life: late news of another is dropped.
    pub generation: Generation,
    /// Up to which write.
    pub number: u64,
}

impl Message for EntriesPersisted {
    const NAME: &'static str = "EntriesPersisted";
    const DELIVERY: Delivery = Delivery::Must;

    fn detail(&self) -> [u64; 2] {
        [self.generation.get(), self.number]
    }
}

/// Apply → RegionPeer: entries were applied. In order.
#[derive(Debug)]
pub struct EntriesApplied {
    /// Which life: late news of another is dropped.
    pub generation: Generation,
    /// What was done.
    pub outcome: ApplyOutcome,
}

impl Message for EntriesApplied {
    const NAME: &'static str = "EntriesApplied";
    const DELIVERY: Delivery = Delivery::Must;

    fn detail(&self) -> [u64; 2] {
        [self.generation.get(), self.outcome.applied.get()]
    }
}

/// Apply → RegionPeer: the accepted snapshot is installed.
#[derive(Debug)]
pub struct SnapshotInstalled {
    /// Which life: late news of another is dropped.
    pub generation: Generation,
    /// Index of the snapshot.
    pub index: LogIndex,
    /// Its term.
    pub term: Term,
}

impl Message for SnapshotInstalled {
    const NAME: &'static str = "SnapshotInstalled";
    const DELIVERY: Delivery = Delivery::Must;
}

/// Store → RegionPeer: Raft's clock. The next one comes soon.
#[derive(Debug)]
pub struct PeerTick;

impl Message for PeerTick {
    const NAME: &'static str = "PeerTick";
    const DELIVERY: Delivery = Delivery::Droppable;
}

/// Store → RegionPeer: applied data up to `durable` survives without the log. Told again.
#[derive(Debug)]
pub struct LogMayBeCut {
    /// Last entry whose effect is durable in the engine.
    pub durable: LogIndex,
}

impl Message for LogMayBeCut {
    const NAME: &'static str = "LogMayBeCut";
    const DELIVERY: Delivery = Delivery::Droppable;
}

/// Transport → RegionPeer: messages to a Store did not get through. Told again.
#[derive(Debug)]
pub struct StoreUnreachable {
    /// Which Store.
    pub store: StoreId,
}

impl Message for StoreUnreachable {
    const NAME: &'static str = "StoreUnreachable";
    const DELIVERY: Delivery = Delivery::Droppable;
}

/// Store → RegionPeer: the node stops; hand leadership to another voter. Told again.
#[derive(Debug)]
pub struct StepAside;

impl Message for StepAside {
    const NAME: &'static str = "StepAside";
    const DELIVERY: Delivery = Delivery::Droppable;
}

/// Inbox, Store → RegionPeer: you are no member any more. Told again.
#[derive(Debug)]
pub struct Expelled {
    /// Epoch of the Region's shape without this replica, as a fellow replica or PD knows it.
    pub epoch: RegionEpoch,
}

impl Message for Expelled {
    const NAME: &'static str = "Expelled";
    const DELIVERY: Delivery = Delivery::Droppable;
}
