//! The messages that a Store takes.
use crate::cell::{Delivery, Message, ReplyTo};
use crate::supervision::Verdict;
use crate::transport::OutgoingSnapshot;
use std::time::Duration;
use troupe_storage::engine::Collected;
use troupe_types::pd::RegionReport;
use troupe_types::raft_message::RaftEnvelope;
use troupe_types::request::RegionResult;
use troupe_types::{Generation, LogIndex, RegionError, RegionId};

/// Inbox → Store: a message for a Region of which no replica runs here. Raft sends again.
#[derive(Debug)]
pub struct UnroutedRaft {
    /// The message.
    pub envelope: RaftEnvelope,
}

impl Message for UnroutedRaft {
    const NAME: &'static str = "UnroutedRaft";
    const DELIVERY: Delivery = Delivery::Droppable;
}

/// Inbox → Store: a snapshot for one of its replicas. Raft sends again.
#[derive(Debug)]
pub struct SnapshotArrived {
    /// Message and files.
    pub snapshot: OutgoingSnapshot,
}

impl Message for SnapshotArrived {
    const NAME: &'static str = "SnapshotArrived";
    const DELIVERY: Delivery = Delivery::Droppable;
}

/// RegionPeer → Store: news for PD. Told again.
#[derive(Debug)]
pub struct RegionReported {
    /// What PD shall know.
    pub report: RegionReport,
}

impl Message for RegionReported {
    const NAME: &'static str = "RegionReported";
    const DELIVERY: Delivery = Delivery::Droppable;
}

/// RegionPeer → Store: it left the group, and its data is gone durably.
#[derive(Debug)]
pub struct PeerDestroyed {
    /// Which Region.
    pub region: RegionId,
    /// Which life.
    pub generation: Generation,
}

impl Message for PeerDestroyed {
    const NAME: &'static str = "PeerDestroyed";
    const DELIVERY: Delivery = Delivery::Must;
}

/// Supervisor → Store: the supervision of a replica ended.
#[derive(Debug)]
pub struct PeerEnded {
    /// Which Region.
    pub region: RegionId,
    /// How.
    pub verdict: Verdict,
}

impl Message for PeerEnded {
    const NAME: &'static str = "PeerEnded";
    const DELIVERY: Delivery = Delivery::Must;
}

/// A person → Store: take a quarantined replica back into service. Repeating it is refused.
#[derive(Debug)]
pub struct ReleaseReplica {
    /// Which Region.
    pub region: RegionId,
    /// Answered when it starts again.
    pub reply: ReplyTo<RegionResult>,
}

impl Message for ReleaseReplica {
    const NAME: &'static str = "ReleaseReplica";
    const DELIVERY: Delivery = Delivery::Ask;

    fn expire(self) {
        self.reply.send(Err(RegionError::DeadlineExceeded));
    }
}

/// Node → Store: hand leaders over, then end all replicas. Answered when that is done or `within`
/// has passed.
#[derive(Debug)]
pub struct StopStore {
    /// Time for the hand-over.
    pub within: Duration,
    /// Answered when nothing runs any more.
    pub reply: ReplyTo<()>,
}

impl Message for StopStore {
    const NAME: &'static str = "StopStore";
    const DELIVERY: Delivery = Delivery::Must;
}

/// Worker → Store: the first replicas are made.
pub(super) struct Bootstrapped {
    pub(super) created: Vec<RegionId>,
}

impl Message for Bootstrapped {
    const NAME: &'static str = "Bootstrapped";
    const DELIVERY: Delivery = Delivery::Must;
}

/// Worker → Store: logs may be cut up to these indexes.
pub(super) struct LogsDurable {
    pub(super) indexes: Vec<(RegionId, LogIndex)>,
}

impl Message for LogsDurable {
    const NAME: &'static str = "LogsDurable";
    const DELIVERY: Delivery = Delivery::Must;
}

/// Worker → Store: figures of the disk and sizes of the Regions to report are known.
pub(super) struct Measured {
    pub(super) space: (u64, u64),
    pub(super) reports: Vec<RegionReport>,
}

impl Message for Measured {
    const NAME: &'static str = "Measured";
    const DELIVERY: Delivery = Delivery::Must;
}

/// Worker → Store: a run of collection is over.
pub(super) struct GarbageCollected {
    pub(super) collected: Collected,
}

impl Message for GarbageCollected {
    const NAME: &'static str = "GarbageCollected";
    const DELIVERY: Delivery = Delivery::Must;

    fn detail(&self) -> [u64; 2] {
        [self.collected.records, u64::from(self.collected.has_more)]
    }
}

/// Worker → Store: the replica's row was rewritten; start it.
pub(super) struct Released {
    pub(super) region: RegionId,
    pub(super) reply: ReplyTo<RegionResult>,
}

impl Message for Released {
    const NAME: &'static str = "Released";
    const DELIVERY: Delivery = Delivery::Must;
}
