//! What the parts of a node share: who is where, and how to reach PD and the local Stores.
use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::Arc;
use troupe_types::moment::Moment;
use troupe_types::pd::{NodeInfo, PdRequest, PdResult};
use troupe_types::request::{RegionRequest, RegionResult};
use troupe_types::txn::session::{SessionRequest, SessionResult};
use troupe_types::{NodeId, RegionError, StoreId};

/// Which nodes exist and which Stores they run, as PD last told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    /// By id.
    pub nodes: BTreeMap<NodeId, NodeInfo>,
    /// Node of each Store.
    pub stores: BTreeMap<StoreId, NodeId>,
}

impl Directory {
    /// From PD's list.
    #[must_use]
    pub fn from_list(list: &[(NodeInfo, Vec<StoreId>)]) -> Self {
        let mut directory = Self::default();
        for (node, stores) in list {
            directory.nodes.insert(node.id, node.clone());
            directory.stores.extend(stores.iter().map(|store| (*store, node.id)));
        }
        directory
    }

    /// As PD's list, by node.
    #[must_use]
    pub fn to_list(&self) -> Vec<(NodeInfo, Vec<StoreId>)> {
        let stores_of = |id: NodeId| {
            self.stores.iter().filter(|(_, node)| **node == id).map(|(store, _)| *store).collect()
        };
        self.nodes.values().map(|node| (node.clone(), stores_of(node.id))).collect()
    }

    /// The node that runs `store`.
    #[must_use]
    pub fn node_of(&self, store: StoreId) -> Option<&NodeInfo> {
        self.nodes.get(self.stores.get(&store)?)
    }
}

/// The directory as a node shares it; read without locks.
#[derive(Clone, Debug, Default)]
pub struct SharedDirectory(Arc<ArcSwap<Directory>>);

impl SharedDirectory {
    /// The directory now.
    #[must_use]
    pub fn load(&self) -> Arc<Directory> {
        self.0.load_full()
    }

    /// Replaces it, unless PD told nothing.
    pub fn update(&self, list: &[(NodeInfo, Vec<StoreId>)]) {
        let directory = Directory::from_list(list);
        if !list.is_empty() && *self.0.load_full() != directory {
            self.0.store(Arc::new(directory));
        }
    }
}

/// Answers PD requests on this node, if it leads PD.
pub trait LocalPd: Send + Sync + 'static {
    /// Answers `request`, or says who leads.
    fn call(&self, request: PdRequest, deadline: Moment) -> BoxFuture<'static, PdResult>;
}

/// Finds PD's leader and asks it.
pub trait PdCaller: Send + Sync + 'static {
    /// Asks PD's leader, wherever it is, until `deadline`.
    fn call(&self, request: PdRequest, deadline: Moment) -> BoxFuture<'static, PdResult>;
}

/// Serves region-scoped requests of Stores on this node.
pub trait RegionService: Send + Sync + 'static {
    /// Is the Store on this node?
    fn has_store(&self, store: StoreId) -> bool;

    /// Serves `request`; its traces are the caller's current ones.
    fn serve(&self, request: RegionRequest, deadline: Moment) -> BoxFuture<'static, RegionResult>;
}

/// Serves the interactive transactions that this node owns.
pub trait SessionService: Send + Sync + 'static {
    /// Serves `request`. An error means that it surely had no effect.
    fn serve(
        &self,
        request: SessionRequest,
        deadline: Moment,
    ) -> BoxFuture<'static, Result<SessionResult, RegionError>>;
}

/// Takes Raft messages that came in for Stores on this node.
pub trait RaftInbox: Send + Sync + 'static {
    /// Hands `messages` to the replicas of `to`; those for unknown replicas may create them.
    fn deliver(
        &self,
        to: StoreId,
        messages: Vec<troupe_types::raft_message::RaftEnvelope>,
        tags: troupe_types::TraceTags,
    );

    /// Hands over a snapshot whose files lie complete and verified in `folder`.
    fn deliver_snapshot(&self, to: StoreId, snapshot: crate::transport::OutgoingSnapshot);

    /// A folder of `to` for the files of an incoming snapshot: on the Store's own file system.
    fn snapshot_folder(&self, to: StoreId) -> Option<std::path::PathBuf>;

    /// Messages to `to` did not get through.
    fn report_unreachable(&self, to: StoreId);
}
