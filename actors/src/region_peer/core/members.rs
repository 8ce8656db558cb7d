//! Member changes as pure functions over a Region's shape.
//!
//! One change alone goes the simple way; several go through a joint configuration, which the leader
//! leaves by itself once it is applied (Raft thesis 4.3; etcd `confchange`). A voter is removed in two
//! steps (made a learner, then removed), so that no joint configuration removes a replica that must
//! still vote in its old half.
use raft::eraftpb::{
    ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState,
};
use troupe_types::request::PeerChange;
use troupe_types::{Peer, PeerRole, Region, codec};

/// raft-rs's view of a Region's members.
#[must_use]
pub fn conf_state(region: &Region) -> ConfState {
    let mut state = ConfState::default();
    let joint = region.is_joint();
    for peer in &region.peers {
        let id = peer.id.get();
        match peer.role {
            PeerRole::Voter => {
                state.voters.push(id);
                if joint {
                    state.voters_outgoing.push(id);
                }
            }
            PeerRole::Learner => state.learners.push(id),
            PeerRole::IncomingVoter => state.voters.push(id),
            PeerRole::DemotingVoter => {
                state.voters_outgoing.push(id);
                state.learners_next.push(id);
            }
        }
    }
    state.auto_leave = joint;
    state
}

/// Why a member change is refused; `None` if it is allowed.
#[must_use]
pub fn refusal(region: &Region, changes: &[PeerChange]) -> Option<&'static str> {
    if changes.is_empty() {
        return Some("it changes nothing");
    }
    if region.is_joint() {
        return Some("another change is under way");
    }
    let mut seen = Vec::new();
    for change in changes {
        let peer = peer_of(change);
        if seen.contains(&peer.id) {
            return Some("it names a replica twice");
        }
        seen.push(peer.id);
        let on_store = region.peer_on(peer.store);
        if on_store.is_some_and(|other| other.id != peer.id) {
            return Some("the store already holds another replica of the Region");
        }
        if let (PeerChange::Remove(_), Some(known)) = (change, region.peer(peer.id)) {
            if known.role == PeerRole::Voter {
                return Some("a voter is made a learner before it is removed");
            }
        } else if matches!(change, PeerChange::Remove(_)) {
            return Some("the replica is not a member");
        }
    }
    let after = apply(region, changes);
    if !after.peers.iter().any(|p| matches!(p.role, PeerRole::Voter | PeerRole::IncomingVoter)) {
        return Some("it would leave no voter");
    }
    None
}

fn peer_of(change: &PeerChange) -> Peer {
    match change {
        PeerChange::AddVoter(peer) | PeerChange::AddLearner(peer) | PeerChange::Remove(peer) => {
            *peer
        }
    }
}

/// The Raft entry for `changes`; what apply needs travels in its context.
#[must_use]
pub fn conf_change(changes: &[PeerChange]) -> ConfChangeV2 {
    let mut change = ConfChangeV2::default();
    change.set_transition(ConfChangeTransition::Auto);
    for one in changes {
        let mut single = ConfChangeSingle::default();
        single.set_change_type(match one {
            PeerChange::AddVoter(_) => ConfChangeType::AddNode,
            PeerChange::AddLearner(_) => ConfChangeType::AddLearnerNode,
            PeerChange::Remove(_) => ConfChangeType::RemoveNode,
        });
        single.node_id = peer_of(one).id.get();
        change.mut_changes().push(single);
    }
    change.context = codec::encode(&changes.to_vec()).into();
    change
}

/// The shape behind a member change entry: `changes` as decoded from its context, empty for the
/// entry that leaves a joint configuration.
#[must_use]
pub fn after_entry(region: &Region, changes: &[PeerChange]) -> Region {
    let mut after = if changes.is_empty() { leave_joint(region) } else { apply(region, changes) };
    after.epoch.conf_ver += 1;
    after
}

fn apply(region: &Region, changes: &[PeerChange]) -> Region {
    let joint = changes.len() > 1;
    let mut after = region.clone();
    for change in changes {
        let mut peer = peer_of(change);
        let before = region.peer(peer.id).map(|known| known.role);
        after.peers.retain(|other| other.id != peer.id);
        peer.role = match (change, before) {
            (PeerChange::Remove(_), _) => continue,
            (PeerChange::AddVoter(_), Some(PeerRole::Voter)) => PeerRole::Voter,
            (PeerChange::AddVoter(_), _) if joint => PeerRole::IncomingVoter,
            (PeerChange::AddVoter(_), _) => PeerRole::Voter,
            (PeerChange::AddLearner(_), Some(PeerRole::Voter)) if joint => PeerRole::DemotingVoter,
            (PeerChange::AddLearner(_), _) => PeerRole::Learner,
        };
        after.peers.push(peer);
    }
    after.peers.sort_by_key(|peer| peer.id);
    after
}

fn leave_joint(region: &Region) -> Region {
    let mut after = region.clone();
    for peer in &mut after.peers {
        peer.role = match peer.role {
            PeerRole::IncomingVoter | PeerRole::Voter => PeerRole::Voter,
            PeerRole::DemotingVoter | PeerRole::Learner => PeerRole::Learner,
        };
    }
    after
}
