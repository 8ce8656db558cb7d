//! Operators that PD makes by itself, decided with each report of a Region, first rule first:
//!
//! 1. a replica on a Store that leaves moves to another Store, or goes if its Region has more voters
//!    than it shall have; leadership leaves such a Store at once;
//! 2. a replica that was down for long moves to another Store, or is removed where none is free
//!    (so that rule 3 builds it anew on its own Store, if that one lives);
//! 3. a Region with too few voters gets one more: the system Region on the node with the smallest
//!    id, a data Region on the Store with the fewest replicas;
//! 4. a learner that nobody looks after for long is removed: its operator was lost.
use super::Turn;
use super::plan::heir;
use super::serving::Serving;
use std::collections::{BTreeMap, BTreeSet};
use troupe_types::ids::SYSTEM_REGION;
use troupe_types::pd::{OperatorRequest, RegionReport, StoreInfo, StoreState};
use troupe_types::{Moment, NodeId, Peer, PeerId, PeerRole, RegionId, StoreId};

/// What placement remembers between reports.
#[derive(Clone, Debug, Default)]
pub struct Placement {
    /// Since when a replica is reported down.
    down: BTreeMap<(RegionId, PeerId), Moment>,
    /// Since when a learner has no operator.
    idle_learners: BTreeMap<(RegionId, PeerId), Moment>,
}

impl Placement {
    fn note(&mut self, report: &RegionReport, has_operator: bool, now: Moment) {
        let region = report.region.id;
        let learners = report.region.peers.iter().filter(|p| p.role == PeerRole::Learner);
        let learners = learners.filter(|_| !has_operator).map(|peer| peer.id).collect();
        remember(&mut self.down, region, report.down.iter().copied().collect(), now);
        remember(&mut self.idle_learners, region, learners, now);
    }
}

/// Keeps since when each peer of `region` is in `present`.
fn remember(
    since: &mut BTreeMap<(RegionId, PeerId), Moment>,
    region: RegionId,
    present: BTreeSet<PeerId>,
    now: Moment,
) {
    let all = (region, PeerId(0))..=(region, PeerId(u64::MAX));
    let known: Vec<PeerId> = since.range(all).map(|((_, peer), _)| *peer).collect();
    for peer in known.into_iter().filter(|peer| !present.contains(peer)) {
        since.remove(&(region, peer));
    }
    for peer in present {
        since.entry((region, peer)).or_insert(now);
    }
}

impl Serving {
    /// Looks at a Region that has just reported.
    pub(super) fn place(&mut self, report: &RegionReport, turn: &mut Turn<'_>) {
        let region = report.region.id;
        let has_operator = self.operators.is_busy(region);
        self.placement.note(report, has_operator, turn.now);
        if has_operator || report.region.is_joint() || self.state.cluster.is_none() {
            return;
        }
        let Some((request, why)) = self.wanted(report, turn.now) else { return };
        let is_free = self.operators.running() < self.options.operators_at_once;
        let is_quick = matches!(request, OperatorRequest::TransferLeader { .. });
        if !is_free && !is_quick && region != SYSTEM_REGION {
            return;
        }
        match self.make_operator(report, request, turn.now) {
            Ok(made) => turn.note(format!("operator {} for region {region}: {why}", made.id)),
            Err(error) => turn.note(format!("no operator for region {region} ({why}): {error}")),
        }
    }

    fn wanted(&self, report: &RegionReport, now: Moment) -> Option<(OperatorRequest, String)> {
        self.leave_draining(report, now)
            .or_else(|| self.replace_down(report, now))
            .or_else(|| self.add_missing(report, now))
            .or_else(|| self.remove_idle_learner(report, now))
    }

    fn leave_draining(
        &self,
        report: &RegionReport,
        now: Moment,
    ) -> Option<(OperatorRequest, String)> {
        let is_leaving = |peer: &Peer| {
            let store = self.state.stores.get(&peer.store);
            store.is_some_and(|store| store.state != StoreState::Up)
        };
        let leader = Some(report.leader).filter(is_leaving);
        let may_move = self.operators.running() < self.options.operators_at_once
            || report.region.id == SYSTEM_REGION;
        let mut peers = report.region.peers.iter().copied();
        let peer = leader.or_else(|| peers.find(is_leaving))?;
        let why = format!("store {} leaves", peer.store);
        if peer.role == PeerRole::Learner {
            return Some((OperatorRequest::RemovePeer { store: peer.store }, why));
        }
        let (voters, wanted) = self.voters(report)?;
        if voters > wanted && may_move {
            return Some((OperatorRequest::RemovePeer { store: peer.store }, why));
        }
        let target = self.target(report, Some(peer.store), now).filter(|_| may_move);
        if let Some(to) = target {
            return Some((OperatorRequest::MovePeer { from: peer.store, to }, why));
        }
        leader?;
        let leaders = |store: StoreId| self.routes.leaders_on(store);
        let to = heir(report, peer, &leaders).filter(|to| !is_leaving(to))?;
        Some((OperatorRequest::TransferLeader { store: to.store }, why))
    }

    fn replace_down(
        &self,
        report: &RegionReport,
        now: Moment,
    ) -> Option<(OperatorRequest, String)> {
        let region = report.region.id;
        let is_overdue = |peer: &&Peer| {
            let since = self.placement.down.get(&(region, peer.id));
            since.is_some_and(|at| now.since(*at) > self.options.replace_down_after)
        };
        let peer = report.region.peers.iter().find(is_overdue)?;
        let from = peer.store;
        let why = format!("replica {} on store {from} is down", peer.id);
        let is_learner = peer.role == PeerRole::Learner;
        if let Some(to) = self.target(report, Some(from), now).filter(|_| !is_learner) {
            return Some((OperatorRequest::MovePeer { from, to }, why));
        }
        let lives = self.heard.is_alive(from, now, self.options.silent_after);
        (lives || is_learner).then_some((OperatorRequest::RemovePeer { store: from }, why))
    }

    fn add_missing(&self, report: &RegionReport, now: Moment) -> Option<(OperatorRequest, String)> {
        let (voters, wanted) = self.voters(report)?;
        if voters >= wanted {
            return None;
        }
        let store = self.target(report, None, now)?;
        Some((OperatorRequest::AddPeer { store }, format!("{voters} of {wanted} voters")))
    }

    /// How many voters a Region has, and how many it shall have.
    fn voters(&self, report: &RegionReport) -> Option<(usize, usize)> {
        let cluster = self.state.cluster.as_ref()?;
        let is_system = report.region.id == SYSTEM_REGION;
        let wanted = if is_system { cluster.pd_replicas } else { cluster.replicas };
        let voters = report.region.peers.iter().filter(|p| p.role == PeerRole::Voter).count();
        Some((voters, wanted as usize))
    }

    fn remove_idle_learner(
        &self,
        report: &RegionReport,
        now: Moment,
    ) -> Option<(OperatorRequest, String)> {
        let region = report.region.id;
        let is_overdue = |peer: &&Peer| {
            let since = self.placement.idle_learners.get(&(region, peer.id));
            since.is_some_and(|at| now.since(*at) > self.options.learner_grace)
        };
        let peer = report.region.peers.iter().find(is_overdue)?;
        let why = format!("learner {} has no operator", peer.id);
        Some((OperatorRequest::RemovePeer { store: peer.store }, why))
    }

    /// The best Store for one more replica, if `from` loses its own: one where a learner was left
    /// behind, else (system Region) the smallest node, else the one with the fewest replicas.
    fn target(&self, report: &RegionReport, from: Option<StoreId>, now: Moment) -> Option<StoreId> {
        let region = &report.region;
        let stays = region.peers.iter().filter(|p| Some(p.store) != from);
        let nodes: BTreeMap<NodeId, PeerRole> = stays
            .filter_map(|p| self.state.stores.get(&p.store).map(|store| (store.node, p.role)))
            .collect();
        let is_free = |store: &&StoreInfo| match region.peer_on(store.id) {
            Some(peer) => peer.role == PeerRole::Learner && Some(store.id) != from,
            None => !nodes.contains_key(&store.node),
        };
        let takes = |store: &&StoreInfo| {
            store.state == StoreState::Up
                && Some(store.id) != from
                && self.heard.is_alive(store.id, now, self.options.silent_after)
        };
        let load = |store: &StoreInfo| {
            let fresh = region.peer_on(store.id).is_none();
            let node = if region.id == SYSTEM_REGION { store.node } else { NodeId(0) };
            let held = self.routes.replicas_on(store.id) + self.operators.arriving(store.id);
            (fresh, node, held, store.id)
        };
        let stores = self.state.stores.values().filter(takes).filter(is_free);
        stores.min_by_key(|store| load(store)).map(|store| store.id)
    }
}
