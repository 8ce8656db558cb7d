//! Bodies of replies about the cluster: Stores, Regions, operators.
use crate::json::bytes::{BytesOut, Enc};
use crate::json::reply::Decimal;
use serde::Serialize;
use std::collections::BTreeMap;
use troupe_types::pd::{
    ClusterView, NodeInfo, OperatorRequest, OperatorState, OperatorView, RegionRoute, StoreState,
    StoreView,
};
use troupe_types::request::PeerStatus;
use troupe_types::{KeyRange, Peer, PeerRole, RegionEpoch, StoreId};
use utoipa::ToSchema;

/// A node.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeOut {
    /// Id.
    pub id: u64,
    /// Address of its HTTP server.
    pub http: String,
    /// Address of its gRPC server.
    pub grpc: String,
    /// Version of its build.
    pub version: String,
}

impl From<&NodeInfo> for NodeOut {
    fn from(node: &NodeInfo) -> Self {
        Self {
            id: node.id.get(),
            http: node.http_address.clone(),
            grpc: node.grpc_address.clone(),
            version: node.version.clone(),
        }
    }
}

/// Who leads the Placement Driver.
#[derive(Debug, Serialize, ToSchema)]
pub struct PdLeaderOut {
    /// Id of the node.
    pub node: u64,
    /// Address of its HTTP server, if it is known.
    pub http: Option<String>,
}

/// The cluster.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClusterOut {
    /// Id, as a decimal string.
    #[schema(value_type = String)]
    pub id: Decimal,
    /// Name, asked for by dangerous operations.
    pub name: String,
    /// Who leads the Placement Driver.
    pub pd_leader: PdLeaderOut,
    /// Are the first Regions made?
    pub bootstrapped: bool,
    /// Replicas that each Region shall have.
    pub replicas: u32,
    /// All nodes.
    pub nodes: Vec<NodeOut>,
    /// Number of Stores.
    pub stores: usize,
    /// Number of Regions.
    pub regions: u64,
}

impl From<&ClusterView> for ClusterOut {
    fn from(view: &ClusterView) -> Self {
        let leader = view.nodes.iter().find(|node| node.id == view.pd_leader);
        let http = leader.map(|node| node.http_address.clone());
        Self {
            id: Decimal(view.cluster.get()),
            name: view.name.clone(),
            pd_leader: PdLeaderOut { node: view.pd_leader.get(), http },
            bootstrapped: view.bootstrapped,
            replicas: view.replicas,
            nodes: view.nodes.iter().map(NodeOut::from).collect(),
            stores: view.stores.len(),
            regions: view.regions,
        }
    }
}

/// A Store.
#[derive(Debug, Serialize, ToSchema)]
pub struct StoreOut {
    /// Id.
    pub id: u64,
    /// Id of its node.
    pub node: u64,
    /// What is planned with it: `up`, `leaving` or `removed`.
    pub state: &'static str,
    /// Did it report of late?
    pub alive: bool,
    /// Milliseconds since its last report; null if there was none to the present leader.
    pub silent_ms: Option<u64>,
    /// Labels for placement.
    pub labels: BTreeMap<String, String>,
    /// Bytes of its file system.
    pub capacity_bytes: u64,
    /// Bytes free.
    pub available_bytes: u64,
    /// Replicas.
    pub regions: u64,
    /// Replicas that lead.
    pub leaders: u64,
    /// Replicas in quarantine or halted.
    pub halted: u64,
    /// Writes applied since its start.
    pub writes: u64,
    /// Reads served since its start.
    pub reads: u64,
}

impl StoreOut {
    /// `view`, alive if it was not silent for longer than `silence_ms`.
    #[must_use]
    pub fn new(view: &StoreView, silence_ms: u64) -> Self {
        let StoreView { info, stats, silent_ms } = view;
        Self {
            id: info.id.get(),
            node: info.node.get(),
            state: store_state(info.state),
            alive: silent_ms.is_some_and(|ms| ms <= silence_ms),
            silent_ms: *silent_ms,
            labels: info.labels.iter().cloned().collect(),
            capacity_bytes: stats.capacity_bytes,
            available_bytes: stats.available_bytes,
            regions: stats.regions,
            leaders: stats.leaders,
            halted: stats.halted,
            writes: stats.writes_total,
            reads: stats.reads_total,
        }
    }
}

/// Name of a Store's state.
#[must_use]
pub fn store_state(state: StoreState) -> &'static str {
    match state {
        StoreState::Up => "up",
        StoreState::Leaving => "leaving",
        StoreState::Removed => "removed",
    }
}

/// All Stores.
#[derive(Debug, Serialize, ToSchema)]
pub struct StoresOut {
    /// By id.
    pub items: Vec<StoreOut>,
}

/// A Store whose state was changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct StoreChanged {
    /// Id.
    pub id: u64,
    /// What is planned with it now.
    pub state: &'static str,
}

/// A replica.
#[derive(Debug, Serialize, ToSchema)]
pub struct PeerOut {
    /// Id.
    pub id: u64,
    /// Its Store.
    pub store: u64,
    /// `voter`, `learner`, `incoming_voter` or `demoting_voter`.
    pub role: &'static str,
}

impl From<&Peer> for PeerOut {
    fn from(peer: &Peer) -> Self {
        let role = match peer.role {
            PeerRole::Voter => "voter",
            PeerRole::Learner => "learner",
            PeerRole::IncomingVoter => "incoming_voter",
            PeerRole::DemotingVoter => "demoting_voter",
        };
        Self { id: peer.id.get(), store: peer.store.get(), role }
    }
}

/// Stored keys with their space's prefix, hexadecimal.
#[derive(Debug, Serialize, ToSchema)]
pub struct RangeOut {
    /// First key inside.
    pub start: BytesOut,
    /// First key behind; empty: to the end of all keys.
    pub end: BytesOut,
}

impl From<&KeyRange> for RangeOut {
    fn from(range: &KeyRange) -> Self {
        let hex = |bytes: &bytes::Bytes| BytesOut { bytes: bytes.clone(), enc: Enc::Hex };
        Self { start: hex(&range.start), end: hex(&range.end) }
    }
}

/// Version of a Region's shape.
#[derive(Debug, Serialize, ToSchema)]
pub struct EpochOut {
    /// Grows with every change of members.
    pub conf_ver: u64,
    /// Grows with every change of the range, as a decimal string.
    #[schema(value_type = String)]
    pub version: Decimal,
}

impl From<RegionEpoch> for EpochOut {
    fn from(epoch: RegionEpoch) -> Self {
        Self { conf_ver: epoch.conf_ver, version: Decimal(epoch.version) }
    }
}

/// A Region.
#[derive(Debug, Serialize, ToSchema)]
pub struct RegionOut {
    /// Id.
    pub id: u64,
    /// Its keys.
    pub range: RangeOut,
    /// Version of its shape.
    pub epoch: EpochOut,
    /// Its replicas.
    pub peers: Vec<PeerOut>,
    /// Who leads, as last reported.
    pub leader: Option<PeerOut>,
    /// Ids of replicas that are down.
    pub down: Vec<u64>,
    /// Ids of replicas that are far behind.
    pub pending: Vec<u64>,
    /// Rough bytes of data.
    pub approximate_bytes: u64,
}

impl From<&RegionRoute> for RegionOut {
    fn from(route: &RegionRoute) -> Self {
        Self {
            id: route.region.id.get(),
            range: RangeOut::from(&route.region.range),
            epoch: route.region.epoch.into(),
            peers: route.region.peers.iter().map(PeerOut::from).collect(),
            leader: route.leader.as_ref().map(PeerOut::from),
            down: route.down.iter().map(|peer| peer.get()).collect(),
            pending: route.pending.iter().map(|peer| peer.get()).collect(),
            approximate_bytes: route.approximate_bytes,
        }
    }
}

/// A page of Regions.
#[derive(Debug, Serialize, ToSchema)]
pub struct RegionsOut {
    /// In key order.
    pub items: Vec<RegionOut>,
    /// Goes on with the next page; left out at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// How far a replica is known to hold the log.
#[derive(Debug, Serialize, ToSchema)]
pub struct MatchedOut {
    /// Id of the replica.
    pub peer: u64,
    /// Its Store.
    pub store: u64,
    /// Index.
    #[schema(value_type = String)]
    pub index: Decimal,
}

/// What a replica says of itself.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ReplicaOut {
    /// It answered.
    Known {
        /// Its Store.
        store: u64,
        /// Its term.
        #[schema(value_type = String)]
        term: Decimal,
        /// First index of its log.
        #[schema(value_type = String)]
        first_index: Decimal,
        /// Last index of its log.
        #[schema(value_type = String)]
        last_index: Decimal,
        /// Committed as far as it knows.
        #[schema(value_type = String)]
        committed: Decimal,
        /// Applied.
        #[schema(value_type = String)]
        applied: Decimal,
        /// Does it lead with a valid lease?
        lease_valid: bool,
        /// Of a leader: what each replica holds.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        matched: Vec<MatchedOut>,
    },
    /// It did not.
    Failed {
        /// Its Store.
        store: u64,
        /// Why.
        error: String,
    },
}

impl From<&PeerStatus> for ReplicaOut {
    fn from(status: &PeerStatus) -> Self {
        let matched = status.matched.iter().map(|(peer, index)| MatchedOut {
            peer: peer.id.get(),
            store: peer.store.get(),
            index: Decimal(index.get()),
        });
        Self::Known {
            store: status.peer.store.get(),
            term: Decimal(status.term.get()),
            first_index: Decimal(status.first_index.get()),
            last_index: Decimal(status.last_index.get()),
            committed: Decimal(status.committed.get()),
            applied: Decimal(status.applied.get()),
            lease_valid: status.lease_valid,
            matched: matched.collect(),
        }
    }
}

/// A Region with what its replicas say.
#[derive(Debug, Serialize, ToSchema)]
pub struct RegionDetail {
    /// The Region.
    #[serde(flatten)]
    pub region: RegionOut,
    /// Each replica, asked just now.
    pub replicas: Vec<ReplicaOut>,
}

/// A replica that was taken back into service.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReleasedOut {
    /// Id of the Region.
    pub region: u64,
    /// Id of the Store.
    pub store: u64,
    /// Always true.
    pub released: bool,
}

/// One step of an operator.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepOut {
    /// What it does.
    pub what: String,
    /// Is it done?
    pub done: bool,
}

/// What an operator was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperatorAsked {
    /// `add-peer`, `remove-peer`, `move-peer` or `transfer-leader`.
    pub kind: &'static str,
    /// The Store, or of `move-peer` where the replica leaves.
    pub store: u64,
    /// Of `move-peer`: where the replica comes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

impl From<&OperatorRequest> for OperatorAsked {
    fn from(request: &OperatorRequest) -> Self {
        let one = |kind, store: &StoreId| Self { kind, store: store.get(), to: None };
        match request {
            OperatorRequest::AddPeer { store } => one("add-peer", store),
            OperatorRequest::RemovePeer { store } => one("remove-peer", store),
            OperatorRequest::MovePeer { from, to } => {
                Self { to: Some(to.get()), ..one("move-peer", from) }
            }
            OperatorRequest::TransferLeader { store } => one("transfer-leader", store),
        }
    }
}

/// An operator: a change of a Region's replicas, made in steps.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperatorOut {
    /// Id.
    pub id: u64,
    /// Id of the Region.
    pub region: u64,
    /// What was asked.
    pub request: OperatorAsked,
    /// `running`, `succeeded`, `timed_out` or `cancelled`.
    pub state: &'static str,
    /// In order.
    pub steps: Vec<StepOut>,
    /// Milliseconds since it was made.
    pub age_ms: u64,
    /// Why it ended, if it did not succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<&OperatorView> for OperatorOut {
    fn from(view: &OperatorView) -> Self {
        let state = match view.state {
            OperatorState::Running => "running",
            OperatorState::Succeeded => "succeeded",
            OperatorState::TimedOut => "timed_out",
            OperatorState::Cancelled => "cancelled",
        };
        let step = |(what, done): &(String, bool)| StepOut { what: what.clone(), done: *done };
        Self {
            id: view.id,
            region: view.region.get(),
            request: OperatorAsked::from(&view.request),
            state,
            steps: view.steps.iter().map(step).collect(),
            age_ms: view.age_ms,
            reason: view.reason.clone(),
        }
    }
}

/// Running and recent operators.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperatorsOut {
    /// Newest first.
    pub items: Vec<OperatorOut>,
}

/// Timestamps of the oracle.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimestampsOut {
    /// The largest.
    #[schema(value_type = String)]
    pub ts: Decimal,
    /// How many; the others are the numbers right below.
    pub count: u32,
}
