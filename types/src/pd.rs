//! What nodes say to the Placement Driver (PD) and what it answers.
//!
//! PD's leader is the node whose replica of the system Region leads; every other node answers
//! [`PdError::NotLeader`].
use crate::error::Code;
use crate::ids::{ClusterId, NodeId, PeerId, RegionId, StoreId, Term, Timestamp};
use crate::key::{Key, KeyRange};
use crate::region::{Peer, Region, RegionEpoch};
use crate::txn::gc::{GcBarrier, GcRound, GcState};
use serde::{Deserialize, Serialize};

/// A process of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Which node.
    pub id: NodeId,
    /// `host:port` of its gRPC server, as other nodes reach it.
    pub grpc_address: String,
    /// `host:port` of its HTTP server, as people reach it.
    pub http_address: String,
    /// Version of its build.
    pub version: String,
}

/// What PD plans with a Store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreState {
    /// Takes replicas.
    #[default]
    Up,
    /// Shall lose all its replicas; takes no new ones.
    Leaving,
    /// Gone for good: its id is never used again.
    Removed,
}

/// A Store as PD's rows hold it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreInfo {
    /// Which Store.
    pub id: StoreId,
    /// Its node.
    pub node: NodeId,
    /// Random number written into its data directory when it was made: a Store with the same id
    /// but another identity is a replaced disk, and is refused.
    pub identity: u64,
    /// What PD plans with it.
    pub state: StoreState,
    /// Labels for placement, such as `zone`.
    pub labels: Vec<(String, String)>,
    /// Were the initial replicas of the bootstrap created on it?
    pub bootstrapped: bool,
}

/// Figures of a Store, sent with each heartbeat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreStats {
    /// Bytes of the file system.
    pub capacity_bytes: u64,
    /// Bytes free.
    pub available_bytes: u64,
    /// Replicas.
    pub regions: u64,
    /// Replicas that lead.
    pub leaders: u64,
    /// Replicas in quarantine or halted.
    pub halted: u64,
    /// Writes applied since the start.
    pub writes_total: u64,
    /// Reads served since the start.
    pub reads_total: u64,
}

/// A Store as PD's leader sees it now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreView {
    /// What is recorded.
    pub info: StoreInfo,
    /// What it last said.
    pub stats: StoreStats,
    /// Milliseconds since it last said anything; `None` = not since this PD leader took over.
    pub silent_ms: Option<u64>,
}

/// The cluster as PD's leader sees it now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterView {
    /// Which cluster.
    pub cluster: ClusterId,
    /// Its name.
    pub name: String,
    /// Node of PD's leader.
    pub pd_leader: NodeId,
    /// Are the first Regions made?
    pub bootstrapped: bool,
    /// Replicas that each data Region shall have.
    pub replicas: u32,
    /// All nodes.
    pub nodes: Vec<NodeInfo>,
    /// All Stores that are not [`StoreState::Removed`].
    pub stores: Vec<StoreView>,
    /// Number of Regions with the system Region.
    pub regions: u64,
}

/// What the leader of a Region says about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionReport {
    /// Its shape.
    pub region: Region,
    /// Who leads (the sender's replica).
    pub leader: Peer,
    /// In which term.
    pub term: Term,
    /// Replicas that were silent for longer than the store's limit.
    pub down: Vec<PeerId>,
    /// Replicas that need a snapshot or are far behind.
    pub pending: Vec<PeerId>,
    /// Rough bytes of data.
    pub approximate_bytes: u64,
}

/// A Region and who leads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionRoute {
    /// Its shape.
    pub region: Region,
    /// Who leads, as last reported.
    pub leader: Option<Peer>,
    /// Replicas that are down, as last reported.
    pub down: Vec<PeerId>,
    /// Replicas that are behind, as last reported.
    pub pending: Vec<PeerId>,
    /// Rough bytes of data, as last reported.
    pub approximate_bytes: u64,
}

/// Asks for a change of one Region's replicas, made in steps by an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperatorRequest {
    /// Add a replica on `store` (as a learner that is promoted once it caught up).
    AddPeer {
        /// Where.
        store: StoreId,
    },
    /// Remove the replica on `store`.
    RemovePeer {
        /// Where.
        store: StoreId,
    },
    /// Add a replica on `to`, then remove the one on `from`.
    MovePeer {
        /// Where it leaves.
        from: StoreId,
        /// Where it comes to.
        to: StoreId,
    },
    /// Hand leadership to the replica on `store`.
    TransferLeader {
        /// Where.
        store: StoreId,
    },
}

/// How far an operator is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorState {
    /// Some step is not done.
    Running,
    /// All steps are done.
    Succeeded,
    /// It took too long.
    TimedOut,
    /// The Region changed in another way.
    Cancelled,
}

/// An operator as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorView {
    /// Which operator; unique in the cluster.
    pub id: u64,
    /// Which Region.
    pub region: RegionId,
    /// What was asked.
    pub request: OperatorRequest,
    /// How far it is.
    pub state: OperatorState,
    /// Steps, in order: what, and whether it is done.
    pub steps: Vec<(String, bool)>,
    /// Milliseconds since it was made.
    pub age_ms: u64,
    /// Why it ended, if it did not succeed.
    pub reason: Option<String>,
}

/// What PD tells a Region's leader to do next, with the reply to its report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegionInstruction {
    /// Propose this.
    Do(crate::request::AdminCommand),
}

/// A Store as its node tells PD: id, identity, labels.
pub type StoreRegistration = (StoreId, u64, Vec<(String, String)>);

/// A question or command to PD.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PdRequest {
    /// A new node asks to be let in. Answered [`PdReply::Joined`]. Repeating it with the same
    /// identities gives the same ids.
    Join {
        /// Its addresses; `id` is 0.
        node: NodeInfo,
        /// Identity of each of its Stores, in the order of its data directories.
        identities: Vec<u64>,
    },
    /// A node has started: records its addresses and Stores. Answered [`PdReply::Done`].
    Register {
        /// The node.
        node: NodeInfo,
        /// Its Stores.
        stores: Vec<StoreRegistration>,
    },
    /// Answered [`PdReply::Ids`]: `count` numbers that were never given before.
    AllocateIds {
        /// How many, 1 to 10,000.
        count: u32,
    },
    /// Answered [`PdReply::StoreHeartbeat`].
    StoreHeartbeat {
        /// Who.
        store: StoreId,
        /// Its figures.
        stats: StoreStats,
        /// Were the replicas of [`StoreInstructions::create`] made durable?
        bootstrapped: bool,
        /// Replicas that have had no leader for long: are they still members?
        orphans: Vec<(RegionId, Peer)>,
    },
    /// Answered [`PdReply::RegionHeartbeat`].
    RegionHeartbeat {
        /// From the leaders of one Store.
        reports: Vec<RegionReport>,
    },
    /// Answered [`PdReply::Routes`] with the Region that holds `key`.
    RegionByKey {
        /// A stored key.
        key: Key,
    },
    /// Answered [`PdReply::Routes`] with at most one.
    RegionById {
        /// Which.
        region: RegionId,
    },
    /// Answered [`PdReply::Routes`]: Regions that overlap `range`, in key order.
    Regions {
        /// Which keys.
        range: KeyRange,
        /// At most so many, 1 to 1,000.
        limit: u32,
    },
    /// Answered [`PdReply::Cluster`].
    Cluster,
    /// Answered [`PdReply::Timestamps`].
    Timestamps {
        /// How many, 1 to 262,144.
        count: u32,
    },
    /// Answered [`PdReply::Operator`].
    AddOperator {
        /// Which Region.
        region: RegionId,
        /// What to do with it.
        request: OperatorRequest,
    },
    /// Answered [`PdReply::Operators`], newest first.
    Operators,
    /// Drain a Store: it shall lose all its replicas. Answered [`PdReply::Done`].
    DrainStore {
        /// Which.
        store: StoreId,
    },
    /// Forget a Store without replicas for good. Answered [`PdReply::Done`].
    RemoveStore {
        /// Which.
        store: StoreId,
    },
    /// Safe points and barriers. Answered [`PdReply::Gc`].
    GcState,
    /// Refuse reads and writes below `target`, or below the lowest barrier if that is less; never
    /// goes back. Answered [`PdReply::Gc`].
    AdvanceTxnSafePoint {
        /// New safe point.
        target: Timestamp,
    },
    /// Let versions hidden at `target` be collected; never goes back, nor beyond the transaction safe
    /// point (refused). Answered [`PdReply::Gc`].
    AdvanceGcSafePoint {
        /// New safe point.
        target: Timestamp,
    },
    /// Keep versions for a service. Refused if `ts` is below the transaction safe point. Answered
    /// [`PdReply::Gc`].
    SetGcBarrier(GcBarrier),
    /// Keep nothing for a service any more. Answered [`PdReply::Gc`].
    RemoveGcBarrier {
        /// Which.
        service: String,
    },
    /// How the collector of old versions is getting on. Answered [`PdReply::GcRound`].
    GcRound,
    /// The collector beside PD's leader tells how it is getting on. Answered [`PdReply::Done`].
    ReportGcRound(GcRound),
}

/// A replica that the shape of its Region does not name. What PD knows of a Region may be old: a
/// replica whose own shape is as new was added since, and must stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expulsion {
    /// Whose.
    pub region: RegionId,
    /// The replica.
    pub peer: Peer,
    /// Of the shape without it.
    pub epoch: RegionEpoch,
}

/// What a Store shall do, told with the reply to its heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreInstructions {
    /// Initial Regions to create here, until the Store says `bootstrapped`.
    pub create: Vec<Region>,
    /// Orphans that are no longer members: destroy those whose own shape is older.
    pub destroy: Vec<Expulsion>,
    /// Addresses of all nodes and the Stores they run.
    pub directory: Vec<(NodeInfo, Vec<StoreId>)>,
}

/// Answer of PD.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PdReply {
    /// Nothing to tell.
    Done,
    /// Ids for a new node and its Stores.
    Joined {
        /// Which cluster this is.
        cluster: ClusterId,
        /// Id of the node.
        node: NodeId,
        /// Ids of its Stores, in the order asked.
        stores: Vec<StoreId>,
        /// Addresses of all nodes and the Stores they run.
        directory: Vec<(NodeInfo, Vec<StoreId>)>,
    },
    /// `first`, `first + 1`, …
    Ids {
        /// The first.
        first: u64,
        /// How many.
        count: u32,
    },
    /// See [`StoreInstructions`].
    StoreHeartbeat(StoreInstructions),
    /// Steps to take.
    RegionHeartbeat(Vec<(RegionId, RegionInstruction)>),
    /// Regions and their leaders.
    Routes(Vec<RegionRoute>),
    /// The cluster.
    Cluster(Box<ClusterView>),
    /// The last of `count` timestamps that follow each other in the logical part.
    Timestamps {
        /// The largest.
        last: Timestamp,
        /// How many.
        count: u32,
    },
    /// The operator that was made.
    Operator(OperatorView),
    /// Running and recent operators.
    Operators(Vec<OperatorView>),
    /// Safe points and barriers.
    Gc(GcState),
    /// The newest round of collection, if one has begun since PD's leader leads.
    GcRound(Option<GcRound>),
}

/// Refusal of PD.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum PdError {
    /// Another node leads PD.
    #[error("this node does not lead the Placement Driver (leader: {leader:?})")]
    NotLeader {
        /// gRPC address of the leader's node, if known.
        leader: Option<String>,
    },
    /// PD cannot answer now (no majority, or a write of its own did not finish in time).
    #[error("the Placement Driver is not available: {why}")]
    Unavailable {
        /// Why.
        why: String,
    },
    /// The request was refused.
    #[error("{detail}")]
    Refused {
        /// Stable code.
        code: Code,
        /// For people.
        detail: String,
    },
}

/// Answer or refusal of PD.
pub type PdResult = Result<PdReply, PdError>;
