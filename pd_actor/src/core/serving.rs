//! A reign: what PD's leader holds, and which request goes where.
use super::bootstrap::BootstrapPlan;
use super::heartbeats::Heard;
use super::ids::{Ids, MAX_IDS};
use super::operators::Operators;
use super::placement::Placement;
use super::routes::Routes;
use super::rows::{ClusterRow, State};
use super::tso::Tso;
use super::writer::Writer;
use super::{EffectId, Output, PdOptions, RequestId, Turn};
use crate::oracle::TsoOracle;
use std::sync::Arc;
use troupe_types::pd::{ClusterView, NodeInfo, PdError, PdReply, PdRequest, PdResult, StoreState};
use troupe_types::txn::gc::GcRound;
use troupe_types::{Code, Moment, NodeId, StoreId};

/// Most Regions of one answer.
const MAX_REGIONS: u32 = 1000;

/// What the leader holds. `state` is durable (or on its way); the rest is rebuilt from reports.
#[derive(Debug)]
pub struct Serving {
    pub(super) node: NodeId,
    pub(super) options: PdOptions,
    pub(super) state: State,
    pub(super) writer: Writer,
    pub(super) ids: Ids,
    pub(super) tso: Tso,
    pub(super) heard: Heard,
    pub(super) routes: Routes,
    pub(super) operators: Operators,
    pub(super) placement: Placement,
    /// What the collector of this node told.
    gc_round: Option<GcRound>,
    /// When the last write was sent, to confirm the lead when it succeeds.
    sent_at: Moment,
}

/// A refusal with `code`.
pub(super) fn refuse<T>(code: Code, detail: impl Into<String>) -> Result<T, PdError> {
    Err(PdError::Refused { code, detail: detail.into() })
}

impl Serving {
    /// From the rows as loaded.
    #[must_use]
    pub fn new(
        node: &NodeInfo,
        options: PdOptions,
        state: State,
        writer: Writer,
        oracle: &Arc<TsoOracle>,
    ) -> Self {
        let tso = Tso::new(oracle.clone(), state.tso_ms, &options);
        Self {
            node: node.id,
            options,
            ids: Ids::new(state.ids),
            tso,
            heard: Heard::default(),
            routes: Routes::seeded(state.initial.values()),
            operators: Operators::new(options.operator_timeout),
            placement: Placement::default(),
            gc_round: None,
            state,
            writer,
            sent_at: Moment(0),
        }
    }

    /// Begins to serve; timestamps only from `opens_at` on.
    pub fn start(&mut self, opens_at: Moment, plan: Option<&BootstrapPlan>, turn: &mut Turn<'_>) {
        self.tso.open_at(opens_at);
        if self.state.cluster.is_none() {
            match plan {
                Some(plan) => self.write_initial_rows(plan),
                None => turn.note("the system Region has no rows, and no new cluster is planned"),
            }
        }
        turn.out.push(Output::UpdateDirectory(self.directory()));
    }

    /// Is `id` the write in flight?
    #[must_use]
    pub fn awaits(&self, id: EffectId) -> bool {
        self.writer.awaits(id)
    }

    /// The write in flight is durable.
    pub fn on_durable(&mut self, turn: &mut Turn<'_>) {
        let durable = self.writer.done(turn);
        self.confirm(self.sent_at, turn.now);
        if let Some(bound_ms) = durable.tso_ms {
            self.tso.persisted(bound_ms);
        }
        if durable.has_members {
            turn.out.push(Output::UpdateDirectory(self.directory()));
        }
    }

    /// The write in flight had no effect.
    pub fn on_try_again(&mut self) {
        self.writer.try_again();
    }

    /// At the moment `asked` this node surely led.
    pub fn confirm(&mut self, asked: Moment, now: Moment) {
        self.tso.confirm(asked.after(self.options.lease), now);
    }

    /// Time went on.
    pub fn on_tick(&mut self, turn: &mut Turn<'_>) {
        self.tso.tick(&mut self.writer, turn);
        self.operators.tick(turn.now);
        self.bootstrap_regions(turn);
    }

    /// After each input: timestamps for those who wait, and one write for all that was staged.
    pub fn finish(&mut self, turn: &mut Turn<'_>) {
        self.tso.serve(&mut self.writer, turn);
        let before = turn.out.len();
        self.writer.pump(turn);
        if turn.out.len() > before {
            self.sent_at = turn.now;
        }
    }

    /// Answers a request, at once or when its rows are durable.
    pub fn on_request(&mut self, id: RequestId, request: PdRequest, turn: &mut Turn<'_>) {
        let result = match request {
            PdRequest::Timestamps { count } => return self.tso.request(id, count, turn),
            _ if !self.tso.is_confirmed(turn.now) => {
                let why = "the system Region has no majority".to_owned();
                Err(PdError::Unavailable { why })
            }
            PdRequest::Join { node, identities } => self.on_join(node, &identities),
            PdRequest::Register { node, stores } => self.on_register(node, stores, turn),
            PdRequest::AllocateIds { count } => self.on_allocate_ids(count),
            PdRequest::StoreHeartbeat { store, stats, bootstrapped, orphans } => {
                self.on_store_heartbeat((store, stats, bootstrapped), &orphans, turn)
            }
            PdRequest::RegionHeartbeat { reports } => self.on_region_heartbeat(reports, turn),
            PdRequest::RegionByKey { key } => {
                Ok(PdReply::Routes(self.routes.by_key(&key).cloned().into_iter().collect()))
            }
            PdRequest::RegionById { region } => {
                Ok(PdReply::Routes(self.routes.get(region).cloned().into_iter().collect()))
            }
            PdRequest::Regions { range, limit } if (1..=MAX_REGIONS).contains(&limit) => {
                Ok(PdReply::Routes(self.routes.overlapping(&range, limit as usize)))
            }
            PdRequest::Regions { .. } => {
                refuse(Code::BadParameter, format!("limit must be 1 to {MAX_REGIONS}"))
            }
            PdRequest::Cluster => self.on_cluster(turn.now),
            PdRequest::AddOperator { region, request } => {
                self.on_add_operator(region, request, turn.now)
            }
            PdRequest::Operators => Ok(PdReply::Operators(self.operators.views(turn.now))),
            PdRequest::DrainStore { store } => self.on_drain_store(store),
            PdRequest::RemoveStore { store } => self.on_remove_store(store, turn.now),
            PdRequest::GcState => self.on_gc_state(turn),
            PdRequest::AdvanceTxnSafePoint { target } => {
                self.on_advance_txn_safe_point(target, turn)
            }
            PdRequest::AdvanceGcSafePoint { target } => self.on_advance_gc_safe_point(target, turn),
            PdRequest::SetGcBarrier(barrier) => self.on_set_gc_barrier(barrier, turn),
            PdRequest::RemoveGcBarrier { service } => self.on_remove_gc_barrier(&service, turn),
            PdRequest::GcRound => Ok(PdReply::GcRound(self.gc_round.clone())),
            PdRequest::ReportGcRound(round) => {
                self.gc_round = Some(round);
                Ok(PdReply::Done)
            }
        };
        self.writer.answer(id, result, turn);
    }

    /// The cluster's row.
    ///
    /// # Errors
    /// [`PdError::Unavailable`] before it is written.
    pub(super) fn cluster(&self) -> Result<&ClusterRow, PdError> {
        let why = || "the cluster is not initialised".to_owned();
        self.state.cluster.as_ref().ok_or_else(|| PdError::Unavailable { why: why() })
    }

    fn on_allocate_ids(&mut self, count: u32) -> PdResult {
        self.cluster()?;
        if !(1..=MAX_IDS).contains(&count) {
            return refuse(Code::BadParameter, format!("count must be 1 to {MAX_IDS}"));
        }
        Ok(PdReply::Ids { first: self.take_ids(count), count })
    }

    /// New numbers; whoever is told them waits for their row.
    pub(super) fn take_ids(&mut self, count: u32) -> u64 {
        let (first, row) = self.ids.take(count);
        if let Some(row) = row {
            self.writer.stage(row);
        }
        first
    }

    fn on_cluster(&self, now: Moment) -> PdResult {
        let cluster = self.cluster()?;
        let stores = self.state.stores.values();
        let stores = stores.filter(|store| store.state != StoreState::Removed);
        Ok(PdReply::Cluster(Box::new(ClusterView {
            cluster: cluster.cluster,
            name: cluster.name.clone(),
            pd_leader: self.node,
            bootstrapped: cluster.bootstrapped,
            replicas: cluster.replicas,
            nodes: self.state.nodes.values().cloned().collect(),
            stores: stores.map(|store| self.heard.view(store, now)).collect(),
            regions: self.routes.len() as u64,
        })))
    }

    /// All nodes and the Stores they run.
    #[must_use]
    pub fn directory(&self) -> Vec<(NodeInfo, Vec<StoreId>)> {
        let stores_of = |node: NodeId| {
            let stores = self.state.stores.values();
            let live = stores.filter(|s| s.node == node && s.state != StoreState::Removed);
            live.map(|store| store.id).collect()
        };
        self.state.nodes.values().map(|node| (node.clone(), stores_of(node.id))).collect()
    }

    /// Number of the next effect, for whoever follows.
    #[must_use]
    pub fn next_effect(&self) -> EffectId {
        self.writer.next_id()
    }

    /// The reign ends: nobody who waits gets anything but a refusal.
    pub fn abandon(self, refusal: &PdError, is_unknown: bool, turn: &mut Turn<'_>) {
        self.tso.abandon(refusal, turn);
        self.writer.abandon(refusal, is_unknown, turn);
    }
}
