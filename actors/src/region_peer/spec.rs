//! How a Store builds, fences and restarts a replica.
use super::core::storage::DurableState;
use super::core::{CoreOptions, RegionCore};
use super::{PeerParts, RegionPeer};
use crate::apply::executor::Adopted;
use crate::apply::{AdoptRegion, FenceApply};
use crate::cell::{Mailbox, Port, ReplyTo};
use crate::env::Env;
use crate::log_writer::FenceLog;
use crate::router::{PeerHandle, RegionView, Router};
use crate::store::{PeerEnded, recovery};
use crate::supervision::{ChildSpec, Policy, StartFailure, StormMeter, Verdict};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use troupe_storage::engine::KvEngine;
use troupe_storage::raft_log::RaftLog;
use troupe_types::{Class, Generation, Peer, RegionId, StoreId, Term};

/// See the module. One for each replica of a Store.
pub struct PeerSpec {
    /// Which Region.
    pub region: RegionId,
    /// The Store.
    pub store: StoreId,
    /// Environment.
    pub env: Env,
    /// Limits and times.
    pub options: CoreOptions,
    /// How often it may crash.
    pub policy: Policy,
    /// Crashes of all replicas of the Store.
    pub storm: Arc<Mutex<StormMeter>>,
    /// Applied data.
    pub engine: Arc<dyn KvEngine>,
    /// Raft log.
    pub log: Arc<dyn RaftLog>,
    /// Where the Store's replicas are.
    pub router: Arc<Router>,
    /// What the replica reaches.
    pub parts: PeerParts,
    /// The Store, told how supervision ended.
    pub ended: Port<PeerEnded>,
    /// The life under way.
    pub life: Option<Life>,
    /// The term that the last life led in when it crashed.
    pub led: Option<Term>,
}

/// One life, as its supervisor knows it.
pub struct Life {
    generation: Generation,
    peer: Peer,
    view: Arc<RegionView>,
}

impl PeerSpec {
    fn failure(&self, why: String, may_pass: bool) -> StartFailure {
        StartFailure { name: self.name(), why, may_pass }
    }

    fn adopt(&self, generation: Generation, peer: Peer, found: &recovery::Recovered) {
        let DurableState { region, applied, applied_term, .. } = found.state.clone();
        let halted = found.halted.clone();
        let adopted = Adopted { generation, peer, region, applied, applied_term, halted };
        let told = self.parts.apply.tell(AdoptRegion(adopted));
        assert!(told.is_ok(), "Apply outlives the peers");
    }
}

impl ChildSpec for PeerSpec {
    type Actor = RegionPeer;

    fn name(&self) -> String {
        format!("store-{}/region-{}", self.store, self.region)
    }

    fn policy(&self) -> Policy {
        self.policy
    }

    fn settled(&mut self) -> Pin<Box<dyn Future<Output = ()>>> {
        if planted!(FenceForgotten) {
            return Box::pin(std::future::ready(()));
        }
        let (reply, log) = ReplyTo::channel();
        let _ = self.parts.log_writer.tell(FenceLog { region: self.region, reply });
        let (reply, apply) = ReplyTo::channel();
        let _ = self.parts.apply.tell(FenceApply { region: self.region, reply });
        Box::pin(async move {
            let _ = log.await;
            let _ = apply.await;
        })
    }

    fn build(&mut self, generation: Generation) -> Result<RegionPeer, StartFailure> {
        let found = recovery::recover(self.region, self.store, &*self.engine, &*self.log);
        let found = found.map_err(|error| {
            // A disk may have room again; what does not decode, never will.
            self.failure(error.to_string(), error.class() == Class::Retry)
        })?;
        let peer = found.peer;
        self.adopt(generation, peer, &found);
        let seed = self.env.rngs.rng(&format!("{}#{generation}", self.name())).next_u64();
        let start = (self.env.now(), seed);
        let core = RegionCore::new(self.options, peer, &found.state, self.log.clone(), start);
        let mut core = core.map_err(|error| self.failure(error.to_string(), false))?;
        let led = self.led.take();
        if found.halted.is_some() {
            core.start_halted();
        } else if let Some(term) = led {
            core.resume_lead(term);
        }
        let view = Arc::new(RegionView::default());
        self.life = Some(Life { generation, peer, view: view.clone() });
        let who = (self.region, peer, found.state.region.epoch);
        Ok(RegionPeer::new(who, generation, core, view, self.parts.clone()))
    }

    fn install(&mut self, mailbox: &Mailbox<RegionPeer>) {
        let Some(Life { generation, peer, view }) = &self.life else { return };
        let (generation, peer, view) = (*generation, *peer, view.clone());
        let handle = PeerHandle { peer, generation, mailbox: mailbox.clone(), view };
        self.router.install(self.region, handle);
    }

    fn fence(&mut self) {
        let Some(life) = self.life.take() else { return };
        let delegate = life.view.delegate();
        let led = delegate.filter(|d| d.leader.is_some_and(|leader| leader.id == life.peer.id));
        self.led = led.map(|delegate| delegate.term);
        life.view.close();
        self.router.remove(self.region, life.generation);
    }

    fn crashed(&mut self, _panic: &str) {
        let children = self.router.list().len();
        let is_storm =
            self.storm.lock().map_or(true, |mut meter| meter.on_crash(self.env.now(), children));
        if is_storm {
            troupe_storage::failure::end_process(
                "many Regions of one Store crash: the fault is not theirs",
            );
        }
    }

    fn ended(&mut self, verdict: &Verdict) {
        self.ended.cast(PeerEnded { region: self.region, verdict: verdict.clone() });
    }
}
