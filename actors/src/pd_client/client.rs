//! Asks PD's leader until the deadline.
use super::core::{Search, Step, Target};
use super::merge::Merger;
use crate::env::{Env, Rng};
use crate::node::{LocalPd, PdCaller, SharedDirectory};
use crate::transport::{Transport, TransportError};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use troupe_types::Moment;
use troupe_types::pd::{PdError, PdRequest, PdResult};

/// What the client needs.
pub struct PdClientParts {
    /// The environment.
    pub env: Env,
    /// Reaches other nodes.
    pub transport: Arc<dyn Transport>,
    /// PD on this node.
    pub local: Arc<dyn LocalPd>,
    /// All nodes, once known.
    pub directory: SharedDirectory,
    /// gRPC addresses to ask before the directory is known.
    pub bootstrap: Vec<String>,
    /// gRPC address of this node, as other nodes know it.
    pub own_address: String,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct PdClient(Arc<Inner>);

struct Inner {
    parts: PdClientParts,
    leader: Mutex<Option<Target>>,
    jitter: Mutex<Box<dyn Rng>>,
    merger: Merger,
}

/// One node gets no longer than this to answer: the next may lead meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);

impl PdClient {
    /// Knows no leader yet.
    #[must_use]
    pub fn new(parts: PdClientParts) -> Self {
        let jitter = Mutex::new(parts.env.rngs.rng("pd_client"));
        Self(Arc::new(Inner { parts, leader: Mutex::default(), jitter, merger: Merger::default() }))
    }

    /// The moment `patience` from now, on the clock that deadlines are measured by.
    #[must_use]
    pub fn deadline_in(&self, patience: Duration) -> Moment {
        self.0.parts.env.now().after(patience)
    }
}

impl PdCaller for PdClient {
    fn call(&self, request: PdRequest, deadline: Moment) -> BoxFuture<'static, PdResult> {
        let inner = self.0.clone();
        match request {
            PdRequest::Timestamps { count } => {
                let asker = inner.clone();
                let ask = move |request, deadline| asker.clone().search(request, deadline).boxed();
                let merged = inner.merger.ask(count, deadline, Arc::new(ask));
                inner.bounded(merged, deadline).boxed()
            }
            request => inner.search(request, deadline).boxed(),
        }
    }
}

impl Inner {
    async fn bounded(
        self: Arc<Self>,
        answer: BoxFuture<'static, PdResult>,
        deadline: Moment,
    ) -> PdResult {
        let env = &self.parts.env;
        tokio::select! {
            biased;
            answer = answer => answer,
            () = env.spawner.sleep(deadline.since(env.now())) => {
                Err(PdError::Unavailable { why: "no timestamp by the deadline".to_owned() })
            }
        }
    }

    async fn search(self: Arc<Self>, request: PdRequest, deadline: Moment) -> PdResult {
        let env = &self.parts.env;
        let mut search = Search::new(&request, &self.parts.own_address);
        let mut step = search.again(self.remembered().as_ref(), &self.addresses());
        loop {
            if env.now() >= deadline {
                return Err(search.give_up());
            }
            step = match step {
                Step::Answer(answer) => return answer,
                Step::Ask(target) => self.attempt(&mut search, target, &request, deadline).await,
                Step::Wait(wait) => {
                    env.spawner.sleep(self.spread(wait).min(deadline.since(env.now()))).await;
                    search.again(self.remembered().as_ref(), &self.addresses())
                }
            };
        }
    }

    async fn attempt(
        &self,
        search: &mut Search,
        target: Target,
        request: &PdRequest,
        deadline: Moment,
    ) -> Step {
        let until = deadline.min(self.parts.env.now().after(PATIENCE));
        let answer = self.ask(&target, request.clone(), until).await;
        let is_from_leader = match &answer {
            Ok(Ok(_) | Err(PdError::Refused { .. })) => true,
            Ok(Err(PdError::NotLeader { .. } | PdError::Unavailable { .. })) | Err(_) => false,
        };
        self.remember(&target, is_from_leader);
        match answer {
            Ok(answer) => search.answered(&target, answer),
            Err(error) => search.failed(&target, &error),
        }
    }

    async fn ask(
        &self,
        target: &Target,
        request: PdRequest,
        until: Moment,
    ) -> Result<PdResult, TransportError> {
        let env = &self.parts.env;
        let answer = match target {
            Target::Local => self.parts.local.call(request, until).map(Ok).boxed(),
            Target::Remote(address) => self.parts.transport.call_pd(address, request, until),
        };
        // Whoever is asked should answer in time; a deaf one must not hold the search up.
        let grace = until.since(env.now()) + Duration::from_millis(100);
        tokio::select! {
            biased;
            answer = answer => answer,
            () = env.spawner.sleep(grace) => {
                Err(TransportError::Broken { why: "no answer in time".to_owned() })
            }
        }
    }

    /// All known addresses, without order of preference.
    fn addresses(&self) -> Vec<String> {
        let directory = self.parts.directory.load();
        let known = directory.nodes.values().map(|node| node.grpc_address.clone());
        known.chain(self.parts.bootstrap.iter().cloned()).collect()
    }

    fn remembered(&self) -> Option<Target> {
        self.leader.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, target: &Target, leads: bool) {
        let mut leader = self.leader.lock().unwrap_or_else(PoisonError::into_inner);
        if leads {
            if leader.as_ref() != Some(target) {
                *leader = Some(target.clone());
            }
        } else if leader.as_ref() == Some(target) {
            *leader = None;
        }
    }

    /// Half to all of `wait`, so that many callers do not come back together.
    fn spread(&self, wait: Duration) -> Duration {
        let mut jitter = self.jitter.lock().unwrap_or_else(PoisonError::into_inner);
        let nanos = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX).max(2);
        Duration::from_nanos(jitter.between(nanos / 2, nanos))
    }
}
