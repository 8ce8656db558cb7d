//! Member changes and leader transfer.
use super::members::{conf_change, refusal};
use super::{Output, RegionCore};
use troupe_types::request::{AdminCommand, PeerChange, RegionReply};
use troupe_types::{Moment, Peer, PeerRole, RegionError};

impl<W> RegionCore<W> {
    pub(super) fn on_admin(&mut self, command: AdminCommand, waiter: W, out: &mut Vec<Output<W>>) {
        if !self.is_leader() {
            out.push(Output::Reply(waiter, Err(self.not_leader())));
            return;
        }
        let refused = match command {
            AdminCommand::ChangePeers { changes } => match self.change_peers(&changes) {
                None => {
                    self.conf_waiters.push(waiter);
                    return;
                }
                Some(why) => Some(why),
            },
            AdminCommand::TransferLeader { to } => self.transfer_leader(to, out),
        };
        let result = match refused {
            None => Ok(RegionReply::Admin(self.region().clone())),
            Some(why) => Err(RegionError::ChangeRefused { why: why.to_owned() }),
        };
        out.push(Output::Reply(waiter, result));
    }

    fn change_peers(&mut self, changes: &[PeerChange]) -> Option<&'static str> {
        if let Some(why) = refusal(self.region(), changes) {
            return Some(why);
        }
        let demotes_me = changes.iter().any(|change| match change {
            PeerChange::AddLearner(peer) | PeerChange::Remove(peer) => peer.id == self.me.id,
            PeerChange::AddVoter(_) => false,
        });
        if demotes_me {
            return Some("the leader hands leadership over before it leaves");
        }
        if self.node.raft.has_pending_conf() {
            return Some("another change is under way");
        }
        let before = self.node.raft.raft_log.last_index();
        let proposed = self.node.propose_conf_change(Vec::new(), conf_change(changes));
        let is_logged = proposed.is_ok() && self.node.raft.has_pending_conf();
        (!is_logged || self.node.raft.raft_log.last_index() == before)
            .then_some("the leader cannot take it now")
    }

    /// Starts a hand-over. From here on there is no lease in this term: the target campaigns as soon
    /// as the order arrives, however late that is.
    fn transfer_leader(&mut self, to: Peer, out: &mut Vec<Output<W>>) -> Option<&'static str> {
        let member = self.region().peer(to.id);
        if to.id == self.me.id {
            return None;
        }
        if member.is_none_or(|peer| peer.role != PeerRole::Voter) {
            return Some("the target is not a voter");
        }
        self.hand_over(to, out);
        None
    }

    fn hand_over(&mut self, to: Peer, out: &mut Vec<Output<W>>) {
        self.lease.forfeit();
        out.push(Output::Lease(Moment(0)));
        self.node.transfer_leader(to.id.get());
    }

    pub(super) fn on_step_aside(&mut self, out: &mut Vec<Output<W>>) {
        if !self.is_leader() {
            return;
        }
        let voters = self.region().peers.iter();
        let others = voters.filter(|p| p.id != self.me.id && p.role == PeerRole::Voter);
        let matched = |peer: &&Peer| {
            let progress = self.node.raft.prs().get(peer.id.get());
            progress.filter(|p| p.recent_active).map_or(0, |p| p.matched)
        };
        let Some(target) = others.max_by_key(matched).copied() else { return };
        self.hand_over(target, out);
    }
}
