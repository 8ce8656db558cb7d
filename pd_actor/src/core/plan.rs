//! Steps of an operator: what each does, when it is done, and which steps a request needs.
use std::collections::BTreeSet;
use troupe_types::pd::{OperatorRequest, RegionReport};
use troupe_types::request::{AdminCommand, PeerChange};
use troupe_types::{Peer, PeerId, PeerRole, Region, StoreId};

/// One step. Each is repeated with every report of the leader until the report shows it done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Add a replica that only receives the log.
    AddLearner(Peer),
    /// Wait until it has caught up.
    CatchUp(Peer),
    /// Let it vote.
    Promote(Peer),
    /// Hand leadership to any other healthy voter.
    LeaveLead(Peer),
    /// Hand leadership to this voter.
    Lead(Peer),
    /// In one joint change: the first votes, the second only receives the log.
    Swap(Peer, Peer),
    /// It votes no more.
    Demote(Peer),
    /// Remove it.
    Remove(Peer),
}

fn role(region: &Region, peer: Peer) -> Option<PeerRole> {
    region.peer(peer.id).map(|peer| peer.role)
}

impl Step {
    /// Does the report show it done?
    #[must_use]
    pub fn is_done(&self, report: &RegionReport) -> bool {
        let region = &report.region;
        match self {
            Self::AddLearner(peer) => role(region, *peer).is_some(),
            Self::CatchUp(peer) => {
                role(region, *peer).is_some()
                    && !report.pending.contains(&peer.id)
                    && !report.down.contains(&peer.id)
            }
            Self::Promote(peer) => {
                role(region, *peer) == Some(PeerRole::Voter) && !region.is_joint()
            }
            Self::LeaveLead(peer) => report.leader.id != peer.id,
            Self::Lead(peer) => report.leader.id == peer.id,
            Self::Swap(new, old) => {
                role(region, *new) == Some(PeerRole::Voter)
                    && role(region, *old) == Some(PeerRole::Learner)
                    && !region.is_joint()
            }
            Self::Demote(peer) => {
                role(region, *peer) == Some(PeerRole::Learner) && !region.is_joint()
            }
            Self::Remove(peer) => role(region, *peer).is_none() && !region.is_joint(),
        }
    }

    /// What the leader shall do now; `None` = wait. A voter that loses its vote gives leadership
    /// away first, if any other healthy voter could take it. `leaders` counts a Store's leaders.
    #[must_use]
    pub fn command(
        &self,
        report: &RegionReport,
        leaders: &dyn Fn(StoreId) -> usize,
    ) -> Option<AdminCommand> {
        if report.region.is_joint() {
            return None;
        }
        let change = |changes: Vec<PeerChange>| Some(AdminCommand::ChangePeers { changes });
        let away = |old: &Peer| {
            let to = (report.leader.id == old.id).then(|| heir(report, *old, leaders)).flatten();
            to.map(|to| AdminCommand::TransferLeader { to })
        };
        match self {
            Self::AddLearner(peer) => change(vec![PeerChange::AddLearner(*peer)]),
            Self::CatchUp(_) => None,
            Self::Promote(peer) => change(vec![PeerChange::AddVoter(voter(*peer))]),
            Self::LeaveLead(peer) => away(peer),
            Self::Lead(peer) => Some(AdminCommand::TransferLeader { to: *peer }),
            Self::Swap(new, old) => away(old).or_else(|| {
                let out = PeerChange::AddLearner(learner(*old));
                change(vec![PeerChange::AddVoter(voter(*new)), out])
            }),
            Self::Demote(peer) => {
                away(peer).or_else(|| change(vec![PeerChange::AddLearner(learner(*peer))]))
            }
            Self::Remove(peer) => change(vec![PeerChange::Remove(learner(*peer))]),
        }
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::AddLearner(p) => format!("add learner {} on store {}", p.id, p.store),
            Self::CatchUp(p) => format!("wait until {} on store {} has caught up", p.id, p.store),
            Self::Promote(p) => format!("make {} on store {} a voter", p.id, p.store),
            Self::LeaveLead(p) => format!("move leadership away from store {}", p.store),
            Self::Lead(p) => format!("move leadership to store {}", p.store),
            Self::Swap(new, old) => format!(
                "make {} on store {} a voter and {} on store {} a learner",
                new.id, new.store, old.id, old.store
            ),
            Self::Demote(p) => format!("make {} on store {} a learner", p.id, p.store),
            Self::Remove(p) => format!("remove {} from store {}", p.id, p.store),
        }
    }
}

fn voter(peer: Peer) -> Peer {
    Peer::voter(peer.id, peer.store)
}

fn learner(peer: Peer) -> Peer {
    Peer::learner(peer.id, peer.store)
}

/// Voters that are neither down nor behind.
fn healthy(report: &RegionReport) -> impl Iterator<Item = Peer> {
    let voters = report.region.peers.iter().copied().filter(|p| p.role == PeerRole::Voter);
    voters.filter(|p| !report.down.contains(&p.id) && !report.pending.contains(&p.id))
}

/// Who shall lead instead of `old`: the healthy voter whose Store leads least.
pub(super) fn heir(
    report: &RegionReport,
    old: Peer,
    leaders: &dyn Fn(StoreId) -> usize,
) -> Option<Peer> {
    let others = healthy(report).filter(|peer| peer.id != old.id);
    others.min_by_key(|peer| (leaders(peer.store), peer.store))
}

/// Why a request cannot be planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The configuration is just changing.
    #[error("the members of the Region are just changing")]
    Joint,
    /// Nothing to remove or move there.
    #[error("the Region has no replica on store {0}")]
    NoReplica(StoreId),
    /// Two replicas must not share a Store.
    #[error("the Region already has a replica on store {0}")]
    HasReplica(StoreId),
    /// Only a healthy voter can lead.
    #[error("the replica on store {0} does not vote, is down or is behind")]
    NotHealthy(StoreId),
    /// What was left could not lose one more.
    #[error("{healthy} healthy voters would remain; {needed} are needed to survive a failure")]
    BelowQuorum {
        /// Voters that would remain and are healthy.
        healthy: usize,
        /// How many are needed.
        needed: usize,
    },
}

/// Plans steps. `new_peer` is the id of the replica that a step may add.
///
/// # Errors
/// [`PlanError`].
pub fn plan(
    request: &OperatorRequest,
    report: &RegionReport,
    new_peer: PeerId,
) -> Result<Vec<Step>, PlanError> {
    let region = &report.region;
    if region.is_joint() {
        return Err(PlanError::Joint);
    }
    match request {
        OperatorRequest::AddPeer { store } => {
            let (mut steps, new) = arrive(region, *store, new_peer)?;
            steps.push(Step::Promote(new));
            Ok(steps)
        }
        OperatorRequest::RemovePeer { store } => {
            let old = region.peer_on(*store).ok_or(PlanError::NoReplica(*store))?;
            if old.role == PeerRole::Learner {
                return Ok(vec![Step::Remove(old)]);
            }
            check_quorum(report, old)?;
            Ok(vec![Step::LeaveLead(old), Step::Demote(old), Step::Remove(old)])
        }
        OperatorRequest::MovePeer { from, to } => plan_move(report, *from, (*to, new_peer)),
        OperatorRequest::TransferLeader { store } => {
            let peer = region.peer_on(*store).ok_or(PlanError::NoReplica(*store))?;
            let is_healthy = healthy(report).any(|other| other.id == peer.id);
            let done = Ok(vec![Step::Lead(peer)]);
            if is_healthy { done } else { Err(PlanError::NotHealthy(*store)) }
        }
    }
}

/// A replica comes to `store`: a new one, or a learner that an earlier operator left there.
fn arrive(
    region: &Region,
    store: StoreId,
    new_peer: PeerId,
) -> Result<(Vec<Step>, Peer), PlanError> {
    match region.peer_on(store) {
        Some(left) if left.role == PeerRole::Learner => Ok((vec![Step::CatchUp(left)], left)),
        Some(_) => Err(PlanError::HasReplica(store)),
        None => {
            let new = Peer::learner(new_peer, store);
            Ok((vec![Step::AddLearner(new), Step::CatchUp(new)], new))
        }
    }
}

fn plan_move(
    report: &RegionReport,
    from: StoreId,
    (to, new_peer): (StoreId, PeerId),
) -> Result<Vec<Step>, PlanError> {
    let old = report.region.peer_on(from).ok_or(PlanError::NoReplica(from))?;
    let (mut steps, new) = arrive(&report.region, to, new_peer)?;
    let voters = report.region.peers.iter().filter(|peer| peer.role == PeerRole::Voter).count();
    match (old.role, voters) {
        (PeerRole::Learner, _) => {}
        // The only voter leads and has no heir yet: the new one votes first.
        (_, 1) => {
            steps.extend([Step::Promote(new), Step::LeaveLead(old), Step::Demote(old)]);
        }
        _ => steps.extend([Step::LeaveLead(old), Step::Swap(new, old)]),
    }
    steps.push(Step::Remove(old));
    Ok(steps)
}

/// Without `old`, the healthy voters must be able to lose one more; if `old` is itself not healthy,
/// they must at least be a quorum.
fn check_quorum(report: &RegionReport, old: Peer) -> Result<(), PlanError> {
    let voters = report.region.peers.iter().filter(|peer| peer.role == PeerRole::Voter).count();
    let quorum = (voters - 1) / 2 + 1;
    let ids: BTreeSet<PeerId> = healthy(report).map(|peer| peer.id).collect();
    let needed = if ids.contains(&old.id) { quorum + 1 } else { quorum };
    let healthy = ids.iter().filter(|id| **id != old.id).count();
    if healthy < needed { Err(PlanError::BelowQuorum { healthy, needed }) } else { Ok(()) }
}
