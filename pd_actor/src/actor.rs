//! PdActor: one on each node; leads PD while its node's replica of the system Region leads. Guide:
//! `lib.rs`. Decisions: `core/`.
use crate::core::{
    BootstrapPlan, Core, EffectId, Input, LocalStatus, Output, PdOptions, RequestId, WriteOutcome,
};
use crate::oracle::TsoOracle;
use crate::region_one::RegionOne;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use troupe_actors::cell::{Acts, Cx, Delivery, Message, On, ReplyTo};
use troupe_actors::env::Env;
use troupe_actors::node::{RegionService, SharedDirectory};
use troupe_types::pd::{NodeInfo, PdError, PdRequest, PdResult};
use troupe_types::{RegionEpoch, StoreId};

/// [`crate::PdHandle`] → PdActor. Ask; expires with an error. Whether it may be repeated is up to
/// the request; all that change something may.
#[derive(Debug)]
pub struct PdCall {
    /// What.
    pub request: PdRequest,
    /// Where the answer goes.
    pub reply: ReplyTo<PdResult>,
}

impl Message for PdCall {
    const NAME: &'static str = "PdCall";
    const DELIVERY: Delivery = Delivery::Ask;

    fn expire(self) {
        let why = "the deadline passed in the queue".to_owned();
        self.reply.send(Err(PdError::Unavailable { why }));
    }
}

/// What PD is built from.
#[derive(Clone)]
pub struct PdParts {
    /// Clock, workers, registry.
    pub env: Env,
    /// This node.
    pub node: NodeInfo,
    /// Stores of this node: one of them may hold a replica of the system Region.
    pub system_stores: Vec<StoreId>,
    /// Serves requests to local Stores.
    pub regions: Arc<dyn RegionService>,
    /// The directory of this node; updated while this node leads PD.
    pub directory: SharedDirectory,
    /// Habits.
    pub options: PdOptions,
    /// Only on the first node of a new cluster. Harmless when the rows are there already.
    pub bootstrap: Option<BootstrapPlan>,
}

/// The thin actor.
pub struct PdActor {
    parts: PdParts,
    core: Core,
    region: RegionOne,
    waiting: BTreeMap<RequestId, ReplyTo<PdResult>>,
    next_request: RequestId,
    /// Stores that were asked how their replica is.
    asked: BTreeSet<StoreId>,
    outputs: Vec<Output>,
}

impl PdActor {
    /// A node that follows until it learns otherwise.
    #[must_use]
    pub fn new(parts: PdParts, oracle: Arc<TsoOracle>) -> Self {
        let core = Core::new(parts.node.clone(), parts.options, parts.bootstrap.clone(), oracle);
        let patience = (parts.options.tick * 10).max(Duration::from_secs(5));
        let region = RegionOne {
            env: parts.env.clone(),
            regions: parts.regions.clone(),
            epoch: RegionEpoch::INITIAL,
            patience,
            pause: parts.options.tick,
        };
        Self {
            parts,
            core,
            region,
            waiting: BTreeMap::new(),
            next_request: 1,
            asked: BTreeSet::new(),
            outputs: Vec::new(),
        }
    }

    fn step(&mut self, input: Input, cx: &mut Cx<'_, Self>) {
        let unix = cx.env().clock.unix();
        self.core.step(cx.now(), unix, input, &mut self.outputs);
        for output in std::mem::take(&mut self.outputs) {
            self.perform(output, cx);
        }
    }

    fn perform(&mut self, output: Output, cx: &mut Cx<'_, Self>) {
        match output {
            Output::LoadRows { id, store, range } => {
                let load = self.region.clone().load(store, range);
                cx.spawn(load, move |actor, (rows, epoch), cx| {
                    actor.region.epoch = epoch;
                    actor.step(Input::RowsLoaded { id, rows }, cx);
                });
            }
            Output::WriteRows { id, store, expect, rows } => {
                let write = self.region.clone().write(store, expect, rows);
                cx.spawn(write, move |actor, (outcome, epoch), cx| {
                    actor.region.epoch = epoch;
                    actor.on_written(id, outcome, cx);
                });
            }
            Output::Reply { id, result } => {
                if let Some(reply) = self.waiting.remove(&id) {
                    reply.send(result);
                }
            }
            Output::UpdateDirectory(list) => self.parts.directory.update(&list),
            Output::Note(text) => tracing::info!(node = %self.parts.node.id, "pd: {text}"),
        }
    }

    fn on_written(&mut self, id: EffectId, outcome: WriteOutcome, cx: &mut Cx<'_, Self>) {
        self.step(Input::WriteDone { id, outcome }, cx);
    }

    fn ask_status(&mut self, cx: &mut Cx<'_, Self>) {
        for store in self.parts.system_stores.clone() {
            if !self.asked.insert(store) {
                continue;
            }
            let asked = cx.now();
            let status = self.region.clone().status(store, self.parts.options.tick * 2);
            let directory = self.parts.directory.clone();
            cx.spawn(status, move |actor, answer, cx| {
                actor.asked.remove(&store);
                let Some(status) = answer else { return };
                let leader = status.leader.and_then(|leader| {
                    directory.load().node_of(leader).map(|node| node.grpc_address.clone())
                });
                actor.region.epoch = status.epoch.unwrap_or(actor.region.epoch);
                let status = LocalStatus { store, asked, leads: status.leads, leader };
                actor.step(Input::LocalStatus(status), cx);
            });
        }
    }
}

impl Acts for PdActor {
    const KIND: &'static str = "pd";

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.ask_status(cx);
        cx.wake_after(self.parts.options.tick, 0);
    }

    fn wake(&mut self, _token: u64, cx: &mut Cx<'_, Self>) {
        cx.wake_after(self.parts.options.tick, 0);
        self.waiting.retain(|_, reply| !reply.is_abandoned());
        self.step(Input::Tick, cx);
        self.ask_status(cx);
    }
}

impl On<PdCall> for PdActor {
    fn on(&mut self, call: PdCall, cx: &mut Cx<'_, Self>) {
        let id = self.next_request;
        self.next_request += 1;
        self.waiting.insert(id, call.reply);
        self.step(Input::Request { id, request: call.request }, cx);
    }
}

#[cfg(test)]
mod tests;
