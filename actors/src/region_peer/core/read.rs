//! Linearizable reads without a lease: ReadIndex (Raft thesis 6.4).
//!
//! All reads of a batch share one round of heartbeats. Its context is (term, number): made by the
//! leader alone and never used twice, since raft-rs confirms a read by context alone, and a
//! repeated context together with a delayed heartbeat answer would confirm a *later* read by an
//! *earlier* round. For the same reason a replica never forwards its readers' contexts: followers
//! ask the leader for an index by an ordinary request.
use super::{Output, RegionCore};
use raft::ReadState;
use std::collections::{BTreeMap, VecDeque};
use troupe_types::{LogIndex, Moment, RegionError, Term};

struct Round<W> {
    term: Term,
    number: u64,
    sent: Moment,
    waiters: Vec<W>,
}

/// Reads on their way.
pub(super) struct Reads<W> {
    /// Wait for the flush, or for the first commit of a new term.
    unsent: Vec<W>,
    /// Wait for a majority.
    rounds: VecDeque<Round<W>>,
    /// Wait until this replica has applied an index.
    applying: BTreeMap<LogIndex, Vec<W>>,
    last_number: u64,
}

impl<W> Default for Reads<W> {
    fn default() -> Self {
        Self {
            unsent: Vec::new(),
            rounds: VecDeque::new(),
            applying: BTreeMap::new(),
            last_number: 0,
        }
    }
}

/// Bytes of a context: term and number, big endian.
fn context(term: Term, number: u64) -> Vec<u8> {
    [term.get().to_be_bytes(), number.to_be_bytes()].concat()
}

impl<W> RegionCore<W> {
    pub(super) fn on_read_index(&mut self, waiter: W, out: &mut Vec<Output<W>>) {
        let refusal = if self.halted {
            Some(RegionError::RegionHalted { region: self.region().id, store: self.me.store })
        } else if self.is_leader() {
            None
        } else {
            Some(self.not_leader())
        };
        match refusal {
            Some(error) => out.push(Output::Reply(waiter, Err(error))),
            None if planted!(NoopSkipped) && !self.node.raft.commit_to_current_term() => {
                let known = LogIndex(self.node.raft.raft_log.committed);
                self.on_await_applied(known, waiter, out);
            }
            None => self.reads.unsent.push(waiter),
        }
    }

    pub(super) fn on_await_applied(
        &mut self,
        index: LogIndex,
        waiter: W,
        out: &mut Vec<Output<W>>,
    ) {
        if self.halted {
            let error =
                RegionError::RegionHalted { region: self.region().id, store: self.me.store };
            out.push(Output::Reply(waiter, Err(error)));
        } else if self.applied >= index {
            out.push(Output::Permit(waiter, self.applied));
        } else {
            self.reads.applying.entry(index).or_default().push(waiter);
        }
    }

    /// Keeps the lease of a leader without traffic: a round of heartbeats, once half of it is over.
    pub(super) fn renew_idle_lease(&mut self) {
        let is_fresh = self.lease.left(self.now) >= self.options.lease_length() / 2;
        let may_ask = self.node.raft.commit_to_current_term() && !self.lease.is_forfeited();
        if may_ask && !is_fresh && self.reads.rounds.is_empty() {
            self.start_round();
        }
    }

    /// Starts a round for the reads of this batch. A leader whose term has no commit yet does not
    /// know what is committed: its readers wait.
    pub(super) fn submit_reads(&mut self) {
        let may_ask = self.is_leader() && self.node.raft.commit_to_current_term();
        if may_ask && !self.reads.unsent.is_empty() {
            self.start_round();
        }
    }

    fn start_round(&mut self) {
        if !planted!(ReadContextReused) || !self.reads.rounds.is_empty() {
            self.reads.last_number += 1;
        }
        let round = Round {
            term: self.term(),
            number: self.reads.last_number,
            sent: self.now,
            waiters: std::mem::take(&mut self.reads.unsent),
        };
        self.node.read_index(context(round.term, round.number));
        self.reads.rounds.push_back(round);
    }

    pub(super) fn on_read_states(&mut self, states: Vec<ReadState>, out: &mut Vec<Output<W>>) {
        for state in states {
            let is_it = |r: &Round<W>| context(r.term, r.number) == state.request_ctx;
            let Some(at) = self.reads.rounds.iter().position(is_it) else { continue };
            let index = LogIndex(state.index);
            // A round that a majority confirmed also confirms the rounds before it.
            let confirmed: Vec<_> = self.reads.rounds.drain(..=at).collect();
            for round in confirmed {
                assert!(round.term <= self.term(), "a read of a later term");
                self.renew_lease(round.term, round.sent, out);
                self.reads.applying.entry(index).or_default().extend(round.waiters);
            }
        }
        self.permit_reads(out);
    }

    /// Lets those read who waited for what is applied by now.
    pub(super) fn permit_reads(&mut self, out: &mut Vec<Output<W>>) {
        while let Some(first) = self.reads.applying.first_entry() {
            if *first.key() > self.applied {
                return;
            }
            let applied = self.applied;
            out.extend(first.remove().into_iter().map(|w| Output::Permit(w, applied)));
        }
    }

    /// Not the leader any more: whoever waits for a round shall ask the new one.
    pub(super) fn fail_reads(&mut self, out: &mut Vec<Output<W>>) {
        let error = self.not_leader();
        let unsent = std::mem::take(&mut self.reads.unsent);
        let rounds = std::mem::take(&mut self.reads.rounds).into_iter().flat_map(|r| r.waiters);
        let waiters: Vec<W> = unsent.into_iter().chain(rounds).collect();
        out.extend(waiters.into_iter().map(|w| Output::Reply(w, Err(error.clone()))));
    }

    /// Every reader is refused with `error`: this replica serves no more.
    pub(super) fn refuse_reads(&mut self, error: &RegionError, out: &mut Vec<Output<W>>) {
        let unsent = std::mem::take(&mut self.reads.unsent);
        let rounds = std::mem::take(&mut self.reads.rounds).into_iter().flat_map(|r| r.waiters);
        let applying = std::mem::take(&mut self.reads.applying).into_values().flatten();
        let waiters: Vec<W> = unsent.into_iter().chain(rounds).chain(applying).collect();
        out.extend(waiters.into_iter().map(|w| Output::Reply(w, Err(error.clone()))));
    }

    pub(super) fn renew_lease(&mut self, term: Term, sent: Moment, out: &mut Vec<Output<W>>) {
        if !self.is_leader() {
            return;
        }
        if let Some(until) = self.lease.renew(term, sent, self.options.lease_length()) {
            out.push(Output::Lease(until));
        }
    }
}
