//! Parts of a node that need each other: each is given a place that is filled when the other stands.
use futures::future::BoxFuture;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use troupe_actors::node::{LocalPd, RaftInbox, RegionService};
use troupe_actors::store::inbox::LocalStores;
use troupe_actors::transport::OutgoingSnapshot;
use troupe_pd_actor::PdHandle;
use troupe_types::pd::{PdError, PdRequest, PdResult};
use troupe_types::raft_message::RaftEnvelope;
use troupe_types::request::{RegionRequest, RegionResult};
use troupe_types::{Moment, RegionError, StoreId, TraceTags};

/// PD of this node, once it runs. Until then another node leads.
#[derive(Clone, Default)]
pub(super) struct LatePd(Arc<OnceLock<PdHandle>>);

impl LatePd {
    pub(super) fn fill(&self, pd: PdHandle) {
        // It is filled once, by the one start of the node.
        let _ = self.0.set(pd);
    }
}

impl LocalPd for LatePd {
    fn call(&self, request: PdRequest, deadline: Moment) -> BoxFuture<'static, PdResult> {
        match self.0.get() {
            Some(pd) => pd.call(request, deadline),
            None => Box::pin(async { Err(PdError::NotLeader { leader: None }) }),
        }
    }
}

/// The Stores of this node, once they run. Until then nothing is served.
#[derive(Clone, Default)]
pub(super) struct LateStores(Arc<OnceLock<LocalStores>>);

impl LateStores {
    pub(super) fn fill(&self, stores: LocalStores) {
        let _ = self.0.set(stores);
    }
}

impl RegionService for LateStores {
    fn has_store(&self, store: StoreId) -> bool {
        self.0.get().is_some_and(|stores| stores.has_store(store))
    }

    fn serve(&self, request: RegionRequest, deadline: Moment) -> BoxFuture<'static, RegionResult> {
        match self.0.get() {
            Some(stores) => stores.serve(request, deadline),
            None => Box::pin(async { Err(RegionError::WrongRecipient) }),
        }
    }
}

impl RaftInbox for LateStores {
    fn deliver(&self, to: StoreId, messages: Vec<RaftEnvelope>, tags: TraceTags) {
        if let Some(stores) = self.0.get() {
            stores.deliver(to, messages, tags);
        }
    }

    fn deliver_snapshot(&self, to: StoreId, snapshot: OutgoingSnapshot) {
        if let Some(stores) = self.0.get() {
            stores.deliver_snapshot(to, snapshot);
        }
    }

    fn snapshot_folder(&self, to: StoreId) -> Option<PathBuf> {
        self.0.get().and_then(|stores| stores.snapshot_folder(to))
    }

    fn report_unreachable(&self, to: StoreId) {
        if let Some(stores) = self.0.get() {
            stores.report_unreachable(to);
        }
    }
}
