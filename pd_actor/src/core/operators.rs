//! Running operators, one a Region, and the history of those that ended.
//!
//! An operator lives in memory: after a change of PD's leader the Region keeps what was done, and
//! placement looks after a learner that was left behind.
use super::plan::{Step, plan};
use super::serving::{Serving, refuse};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use troupe_types::pd::{
    OperatorRequest, OperatorState, OperatorView, PdError, PdReply, PdResult, RegionReport,
    RegionRoute, StoreState,
};
use troupe_types::request::AdminCommand;
use troupe_types::{Code, Moment, PeerId, PeerRole, Region, RegionId, StoreId, Term};

/// Ended operators that are kept for people.
const HISTORY: usize = 100;

/// Members as operators compare them.
type Members = BTreeMap<PeerId, (StoreId, PeerRole)>;

fn members(region: &Region) -> Members {
    region.peers.iter().map(|peer| (peer.id, (peer.store, peer.role))).collect()
}

#[derive(Clone, Debug)]
struct Operator {
    id: u64,
    region: RegionId,
    request: OperatorRequest,
    steps: Vec<Step>,
    /// Steps that are done.
    done: usize,
    /// Members when the present step began.
    members: Members,
    made: Moment,
    state: OperatorState,
    reason: Option<String>,
}

impl Operator {
    fn advance(&mut self, report: &RegionReport) {
        let now = members(&report.region);
        let before = self.done;
        while self.steps.get(self.done).is_some_and(|step| step.is_done(report)) {
            self.done += 1;
        }
        let others_moved = self.others(&now) != self.others(&self.members);
        let own_moved = now != self.members && self.done == before;
        if !report.region.is_joint() && (others_moved || own_moved) {
            self.state = OperatorState::Cancelled;
            self.reason = Some("the members of the Region changed in another way".to_owned());
        } else if self.done == self.steps.len() {
            self.state = OperatorState::Succeeded;
        } else if self.done > before {
            self.members = now;
        }
    }

    /// The members that the steps do not touch.
    fn others(&self, members: &Members) -> Members {
        let own: Vec<PeerId> = self.steps.iter().flat_map(own_peers).collect();
        members.iter().filter(|(id, _)| !own.contains(id)).map(|(id, m)| (*id, *m)).collect()
    }

    fn view(&self, now: Moment) -> OperatorView {
        let steps = self.steps.iter().enumerate();
        OperatorView {
            id: self.id,
            region: self.region,
            request: self.request.clone(),
            state: self.state,
            steps: steps.map(|(i, step)| (step.text(), i < self.done)).collect(),
            age_ms: u64::try_from(now.since(self.made).as_millis()).unwrap_or(u64::MAX),
            reason: self.reason.clone(),
        }
    }
}

fn own_peers(step: &Step) -> Vec<PeerId> {
    match step {
        Step::AddLearner(peer)
        | Step::CatchUp(peer)
        | Step::Promote(peer)
        | Step::LeaveLead(peer)
        | Step::Lead(peer)
        | Step::Demote(peer)
        | Step::Remove(peer) => vec![peer.id],
        Step::Swap(new, old) => vec![new.id, old.id],
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Operators {
    timeout: Duration,
    running: BTreeMap<RegionId, Operator>,
    ended: VecDeque<Operator>,
}

impl Operators {
    /// None so far; each may take `timeout`.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, running: BTreeMap::new(), ended: VecDeque::new() }
    }

    /// Does an operator run for `region`?
    #[must_use]
    pub fn is_busy(&self, region: RegionId) -> bool {
        self.running.contains_key(&region)
    }

    /// Operators that run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Does an operator bring a replica to `store`?
    #[must_use]
    pub fn moves_to(&self, store: StoreId) -> bool {
        self.arriving(store) > 0
    }

    /// Replicas that operators bring to `store`.
    #[must_use]
    pub fn arriving(&self, store: StoreId) -> usize {
        let comes = |operator: &&Operator| match operator.request {
            OperatorRequest::AddPeer { store: to } | OperatorRequest::MovePeer { to, .. } => {
                to == store
            }
            OperatorRequest::RemovePeer { .. } | OperatorRequest::TransferLeader { .. } => false,
        };
        self.running.values().filter(comes).count()
    }

    /// The leader of a Region reported: steps that it shows are done.
    pub fn on_report(&mut self, report: &RegionReport) {
        if let Some(operator) = self.running.get_mut(&report.region.id) {
            operator.advance(report);
        }
        self.retire();
    }

    /// What the reporting leader shall do next.
    #[must_use]
    pub fn command(
        &self,
        report: &RegionReport,
        leaders: &dyn Fn(StoreId) -> usize,
    ) -> Option<AdminCommand> {
        let operator = self.running.get(&report.region.id)?;
        operator.steps.get(operator.done)?.command(report, leaders)
    }

    /// Gives operators up that take too long.
    pub fn tick(&mut self, now: Moment) {
        for operator in self.running.values_mut() {
            if now.since(operator.made) > self.timeout {
                operator.state = OperatorState::TimedOut;
                let step = operator.steps.get(operator.done).map_or_else(String::new, Step::text);
                operator.reason = Some(format!("it took too long to {step}"));
            }
        }
        self.retire();
    }

    /// Moves operators that ended to the history.
    fn retire(&mut self) {
        let has_ended = |operator: &Operator| operator.state != OperatorState::Running;
        let ended: Vec<RegionId> =
            self.running.iter().filter(|(_, o)| has_ended(o)).map(|(id, _)| *id).collect();
        for id in ended {
            if self.ended.len() == HISTORY {
                self.ended.pop_front();
            }
            self.ended.extend(self.running.remove(&id));
        }
    }

    fn add(&mut self, operator: Operator, now: Moment) -> OperatorView {
        let view = operator.view(now);
        self.running.insert(operator.region, operator);
        view
    }

    /// Running and ended operators, newest first.
    #[must_use]
    pub fn views(&self, now: Moment) -> Vec<OperatorView> {
        let all = self.running.values().chain(&self.ended);
        let mut views: Vec<OperatorView> = all.map(|operator| operator.view(now)).collect();
        views.sort_by_key(|view| std::cmp::Reverse(view.id));
        views
    }
}

/// A route as a report, if it has a leader.
fn as_report(route: &RegionRoute) -> Option<RegionReport> {
    Some(RegionReport {
        region: route.region.clone(),
        leader: route.leader?,
        term: Term(0),
        down: route.down.clone(),
        pending: route.pending.clone(),
        approximate_bytes: route.approximate_bytes,
    })
}

impl Serving {
    /// Somebody asks for a change of one Region.
    pub(super) fn on_add_operator(
        &mut self,
        region: RegionId,
        request: OperatorRequest,
        now: Moment,
    ) -> PdResult {
        let Some(route) = self.routes.get(region) else {
            return refuse(Code::RegionNotFound, format!("there is no region {region}"));
        };
        let Some(report) = as_report(route) else {
            let detail = format!("region {region} has no known leader yet");
            return refuse(Code::OperatorConflict, detail);
        };
        match request {
            OperatorRequest::AddPeer { store } => self.check_target(&report.region, store, None)?,
            OperatorRequest::MovePeer { from, to } => {
                self.check_target(&report.region, to, Some(from))?;
            }
            OperatorRequest::RemovePeer { .. } | OperatorRequest::TransferLeader { .. } => {}
        }
        self.make_operator(&report, request, now).map(PdReply::Operator)
    }

    /// May a replica of `region` come to `to` (and leave `from`)?
    fn check_target(
        &self,
        region: &Region,
        to: StoreId,
        from: Option<StoreId>,
    ) -> Result<(), PdError> {
        let target = self.live_store(to)?;
        if target.state != StoreState::Up {
            let detail = format!("store {to} is being drained");
            return refuse(Code::OperatorConflict, detail);
        }
        let stays = region.peers.iter().filter(|p| Some(p.store) != from && p.store != to);
        let nodes = stays.filter_map(|peer| self.state.stores.get(&peer.store));
        if let Some(other) = nodes.into_iter().find(|store| store.node == target.node) {
            let detail = format!("store {} of the same node has a replica already", other.id);
            return refuse(Code::OperatorConflict, detail);
        }
        Ok(())
    }

    /// Plans and begins an operator for the Region as reported.
    ///
    /// # Errors
    /// `OPERATOR_CONFLICT` with the reason.
    pub(super) fn make_operator(
        &mut self,
        report: &RegionReport,
        request: OperatorRequest,
        now: Moment,
    ) -> Result<OperatorView, PdError> {
        let region = report.region.id;
        if self.operators.is_busy(region) {
            let detail = format!("region {region} is just being changed by another operator");
            return refuse(Code::OperatorConflict, detail);
        }
        let ids = self.take_ids(2);
        let steps = match plan(&request, report, PeerId(ids + 1)) {
            Ok(steps) => steps,
            Err(error) => return refuse(Code::OperatorConflict, error.to_string()),
        };
        let operator = Operator {
            id: ids,
            region,
            request,
            steps,
            done: 0,
            members: members(&report.region),
            made: now,
            state: OperatorState::Running,
            reason: None,
        };
        Ok(self.operators.add(operator, now))
    }
}
