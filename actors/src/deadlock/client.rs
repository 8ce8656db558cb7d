//! Finds the detector of deadlocks: the Store that leads the system Region.
use crate::env::Env;
use crate::node::{RegionService, SharedDirectory};
use crate::store::inbox::WeakStores;
use crate::transport::Transport;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex, PoisonError};
use troupe_types::request::{RegionBody, RegionReply, RegionRequest, RegionTarget};
use troupe_types::txn::deadlock::{DetectReply, DetectRequest};
use troupe_types::{Moment, RegionEpoch, RegionError, SYSTEM_REGION, StoreId, TraceTags};

/// Asks the detector of deadlocks, wherever it is.
pub trait DetectorCaller: Send + Sync + 'static {
    /// Its answer; `None` if it was not found before `deadline`. Whoever waits tells it again.
    fn detect(
        &self,
        request: DetectRequest,
        deadline: Moment,
    ) -> BoxFuture<'static, Option<DetectReply>>;
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct DetectorClient(Arc<Inner>);

struct Inner {
    env: Env,
    transport: Arc<dyn Transport>,
    directory: SharedDirectory,
    local: WeakStores,
    leader: Mutex<Option<StoreId>>,
}

/// What one Store said.
enum Said {
    Answer(DetectReply),
    /// Another one leads, as far as it knows.
    Elsewhere(Option<StoreId>),
}

impl DetectorClient {
    /// Asks Stores of this node through `local`, others through `transport`.
    #[must_use]
    pub fn new(
        env: Env,
        transport: Arc<dyn Transport>,
        directory: SharedDirectory,
        local: WeakStores,
    ) -> Self {
        Self(Arc::new(Inner { env, transport, directory, local, leader: Mutex::default() }))
    }
}

impl DetectorCaller for DetectorClient {
    fn detect(
        &self,
        request: DetectRequest,
        deadline: Moment,
    ) -> BoxFuture<'static, Option<DetectReply>> {
        let inner = self.0.clone();
        async move { inner.search(request, deadline).await }.boxed()
    }
}

impl Inner {
    /// The remembered leader first, then each Store once; a Store that names another is believed.
    async fn search(&self, request: DetectRequest, deadline: Moment) -> Option<DetectReply> {
        let mut left: Vec<StoreId> = self.directory.load().stores.keys().rev().copied().collect();
        left.extend(self.remembered());
        let mut asked = Vec::new();
        while let Some(store) = left.pop() {
            if asked.contains(&store) {
                continue;
            }
            if self.env.now() >= deadline {
                return None;
            }
            asked.push(store);
            match self.ask(store, request.clone(), deadline).await {
                Said::Answer(answer) => {
                    self.remember(Some(store));
                    return Some(answer);
                }
                Said::Elsewhere(hint) => left.extend(hint),
            }
        }
        self.remember(None);
        None
    }

    async fn ask(&self, store: StoreId, request: DetectRequest, deadline: Moment) -> Said {
        let target = RegionTarget { region: SYSTEM_REGION, epoch: RegionEpoch::default() };
        let body = RegionBody::Detect(request);
        let request = RegionRequest { store, target, body, traces: TraceTags::NONE };
        let local = self.local.get().filter(|stores| stores.has_store(store));
        let answer = match local {
            Some(stores) => stores.serve(request, deadline).await,
            None => match self.transport.call_region(request, deadline).await {
                Ok(answer) => answer,
                Err(_) => return Said::Elsewhere(None),
            },
        };
        match answer {
            Ok(RegionReply::Detected(answer)) => Said::Answer(answer),
            Err(RegionError::NotLeader { leader, .. }) => {
                Said::Elsewhere(leader.map(|leader| leader.store))
            }
            Ok(_) | Err(_) => Said::Elsewhere(None),
        }
    }

    fn remembered(&self) -> Option<StoreId> {
        *self.leader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, store: Option<StoreId>) {
        *self.leader.lock().unwrap_or_else(PoisonError::into_inner) = store;
    }
}
