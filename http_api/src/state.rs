//! What all handlers of one node share. Nothing here is global: several nodes live in one process.
use crate::gate::admission::Admission;
use crate::gate::host::HostRule;
use crate::metrics::{Metrics, Sample};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use troupe_actors::env::Env;
use troupe_actors::kv_service::KvService;
use troupe_config::Config;
use troupe_types::ClusterId;
use troupe_types::pd::NodeInfo;

/// Answers each check by its name: whether it holds, or why not.
pub type ReadyChecks = Arc<dyn Fn() -> Vec<(String, Result<(), String>)> + Send + Sync>;

/// Answers figures of other parts of the node for `/metrics`.
pub type ExtraMetrics = Arc<dyn Fn() -> Vec<Sample> + Send + Sync>;

/// What the gateway is made of.
#[derive(Clone)]
pub struct HttpParts {
    /// Clock, randomness, registry, traces.
    pub env: Env,
    /// Does what requests ask for.
    pub service: KvService,
    /// Sections `limits`, `http`, `node`, `actors` and `pd` are read.
    pub config: Arc<Config>,
    /// This node.
    pub node: NodeInfo,
    /// Its cluster.
    pub cluster: ClusterId,
    /// Is the node ready?
    pub ready: ReadyChecks,
    /// More figures for `/metrics`.
    pub extra_metrics: ExtraMetrics,
}

/// Shared by all workers of one node's gateway.
pub struct HttpState {
    /// What it was made of.
    pub parts: HttpParts,
    /// Figures of the gateway.
    pub metrics: Metrics,
    /// What is in flight.
    pub admission: Arc<Admission>,
    /// Which hosts are ours.
    pub hosts: HostRule,
    /// The document at `/openapi.json`.
    pub openapi: bytes::Bytes,
    seed: u64,
    requests: AtomicU64,
}

impl HttpState {
    /// Builds the shared state.
    ///
    /// # Errors
    /// Two metrics have the same name, which is a bug.
    pub fn new(parts: HttpParts) -> Result<Arc<Self>, prometheus::Error> {
        let limits = &parts.config.limits;
        let admission =
            Admission::new(limits.in_flight_requests, limits.in_flight_bytes.bytes()).into();
        let document = crate::openapi::document(&parts.node.version);
        let openapi = document.to_json().expect("invariant: the document is plain data");
        Ok(Arc::new(Self {
            metrics: Metrics::new()?,
            admission,
            hosts: HostRule::new(&parts.config, &parts.node),
            openapi: openapi.into(),
            seed: parts.env.rngs.rng("http").next_u64(),
            requests: AtomicU64::new(0),
            parts,
        }))
    }

    /// A number for a new request: never twice in one process, and not guessable from the one
    /// before. Never 0.
    #[must_use]
    pub fn next_request(&self) -> u64 {
        let count = self.requests.fetch_add(1, Ordering::Relaxed);
        mix(self.seed.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15))).max(1)
    }

    /// Is this request one of the sample that is traced?
    #[must_use]
    pub fn is_sampled(&self, request: u64) -> bool {
        let sample = u64::from(self.parts.config.actors.trace_sample);
        sample > 0 && request.is_multiple_of(sample)
    }
}

/// The finalizer of SplitMix64: a bijection that spreads all bits.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
