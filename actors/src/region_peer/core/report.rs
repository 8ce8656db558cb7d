//! What PD and people are told.
use super::{Output, RegionCore};
use raft::ProgressState;
use troupe_types::pd::RegionReport;
use troupe_types::request::PeerStatus;
use troupe_types::{LogIndex, PeerId};

/// A replica that lacks more entries than this is reported as behind.
const BEHIND_ENTRIES: u64 = 512;

impl<W> RegionCore<W> {
    pub(super) fn status(&self) -> PeerStatus {
        let log = &self.node.raft.raft_log;
        let matched = if self.is_leader() { self.matched() } else { Vec::new() };
        PeerStatus {
            region: self.region().clone(),
            peer: self.region().peer(self.me.id).unwrap_or(self.me),
            leader: self.leader(),
            term: self.term(),
            first_index: self.node.store().truncated().0.next(),
            last_index: LogIndex(log.last_index()),
            committed: LogIndex(log.committed),
            applied: self.applied,
            matched,
            lease_valid: self.is_leader() && self.lease.is_valid(self.now),
        }
    }

    fn matched(&self) -> Vec<(troupe_types::Peer, LogIndex)> {
        let progress = |id: PeerId| self.node.raft.prs().get(id.get());
        let peers = self.region().peers.iter();
        peers.filter_map(|p| Some((*p, LogIndex(progress(p.id)?.matched)))).collect()
    }

    /// Tells PD if there is news or it is time.
    pub(super) fn report(&mut self, out: &mut Vec<Output<W>>) {
        if !self.is_leader() || self.region().peers.is_empty() {
            return;
        }
        let (down, pending) = (self.down(), self.pending());
        let is_due = self.report_due
            || self.now.since(self.last_report) >= self.options.report_every
            || (self.reported_trouble != (down.clone(), pending.clone()));
        if !is_due {
            return;
        }
        self.report_due = false;
        self.last_report = self.now;
        self.reported_trouble = (down.clone(), pending.clone());
        out.push(Output::Report(RegionReport {
            region: self.region().clone(),
            // It may have been a learner when it was made.
            leader: self.region().peer(self.me.id).unwrap_or(self.me),
            term: self.term(),
            down,
            pending,
            approximate_bytes: 0,
        }));
    }

    /// The last report was not taken: it is due at once.
    pub fn report_again(&mut self) {
        self.report_due = true;
    }

    fn down(&self) -> Vec<PeerId> {
        let silent = |id: PeerId| {
            let heard = self.heard.get(&id).copied().unwrap_or(self.started);
            self.now.since(heard.max(self.led_since)) >= self.options.down_after
        };
        let others = self.region().peers.iter().filter(|p| p.id != self.me.id);
        others.map(|p| p.id).filter(|id| silent(*id)).collect()
    }

    fn pending(&self) -> Vec<PeerId> {
        let committed = self.node.raft.raft_log.committed;
        let behind = |id: PeerId| {
            self.node.raft.prs().get(id.get()).is_none_or(|progress| {
                progress.state == ProgressState::Snapshot
                    || progress.matched + BEHIND_ENTRIES < committed
                    || progress.matched < self.node.store().truncated().0.get()
            })
        };
        self.region().peers.iter().map(|p| p.id).filter(|id| behind(*id)).collect()
    }
}
