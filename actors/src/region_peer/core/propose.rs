//! Writes: checked, batched into few Raft entries, and remembered until their fate is known.
//!
//! A proposal's fate is known when an entry is committed at its index: the same term means it was
//! applied, another term means it never will be ([`RegionError::StaleCommand`]). Losing leadership
//! alone decides nothing, so the book is kept.
use super::{Output, RegionCore};
use raft::eraftpb::Entry;
use std::collections::VecDeque;
use troupe_types::command::EntryPayload;
use troupe_types::error::{BusyReason, NotReadyReason, UnknownReason};
use troupe_types::{LogIndex, Moment, RegionEpoch, RegionError, Term, WriteCommand, codec};

/// An entry of this replica that is not committed yet.
struct Proposal<W> {
    term: Term,
    index: LogIndex,
    sent: Moment,
    waiters: Vec<W>,
}

/// A write that waits for the flush.
struct Pending<W> {
    command: WriteCommand,
    /// Only in this term, if given.
    term: Option<Term>,
    waiter: W,
}

/// Writes that wait for the flush, and entries that wait for their fate.
pub(super) struct Proposals<W> {
    pending: Vec<Pending<W>>,
    book: VecDeque<Proposal<W>>,
    /// Waiters in `pending` and `book`.
    in_flight: usize,
}

impl<W> Default for Proposals<W> {
    fn default() -> Self {
        Self { pending: Vec::new(), book: VecDeque::new(), in_flight: 0 }
    }
}

/// A committed entry's place in the book.
pub(super) struct Fate<W> {
    /// When it was handed to raft-rs; `None` if it is not this replica's.
    pub sent: Option<Moment>,
    /// Who waits for it.
    pub waiters: Vec<W>,
    /// Who waited for entries that lost their place.
    pub overtaken: Vec<W>,
}

impl<W> Proposals<W> {
    pub(super) fn on_committed(&mut self, entry: &Entry) -> Fate<W> {
        let mut fate = Fate { sent: None, waiters: Vec::new(), overtaken: Vec::new() };
        while self.book.front().is_some_and(|first| first.index.get() <= entry.index) {
            let Some(first) = self.book.pop_front() else { break };
            self.in_flight -= first.waiters.len();
            if first.index.get() == entry.index && first.term.get() == entry.term {
                fate.sent = Some(first.sent);
                fate.waiters = first.waiters;
            } else {
                fate.overtaken.extend(first.waiters);
            }
        }
        fate
    }

    /// A snapshot replaced the log up to `through`: who waited for what lay there?
    pub(super) fn on_snapshot(&mut self, through: LogIndex) -> Vec<W> {
        let mut lost = Vec::new();
        while self.book.front().is_some_and(|first| first.index <= through) {
            if let Some(first) = self.book.pop_front() {
                self.in_flight -= first.waiters.len();
                lost.extend(first.waiters);
            }
        }
        lost
    }

    pub(super) fn take_all(&mut self) -> Vec<W> {
        self.in_flight = 0;
        let pending = std::mem::take(&mut self.pending).into_iter().map(|one| one.waiter);
        let booked = std::mem::take(&mut self.book).into_iter().flat_map(|one| one.waiters);
        pending.chain(booked).collect()
    }
}

impl<W> RegionCore<W> {
    pub(super) fn on_propose(
        &mut self,
        (epoch, term): (RegionEpoch, Option<Term>),
        command: WriteCommand,
        waiter: W,
        out: &mut Vec<Output<W>>,
    ) {
        if let Some(error) = self.propose_refusal(epoch, &command) {
            out.push(Output::Reply(waiter, Err(error)));
            return;
        }
        self.proposals.in_flight += 1;
        self.proposals.pending.push(Pending { command, term, waiter });
    }

    fn propose_refusal(&self, epoch: RegionEpoch, command: &WriteCommand) -> Option<RegionError> {
        let region = self.region();
        let bytes = command.approximate_bytes() as u64;
        if self.halted {
            return Some(RegionError::RegionHalted { region: region.id, store: self.me.store });
        }
        if !self.is_leader() {
            return Some(self.not_leader());
        }
        if epoch.version != region.epoch.version {
            return Some(RegionError::EpochNotMatch { current: Box::new(region.clone()) });
        }
        if !command.is_inside(&region.range) {
            return Some(RegionError::KeyNotInRegion { region: region.id });
        }
        if bytes > self.options.max_entry_bytes {
            let limit = self.options.max_entry_bytes;
            return Some(RegionError::EntryTooLarge { actual: bytes, limit });
        }
        if self.node.raft.lead_transferee.is_some() {
            let why = NotReadyReason::TransferringLeader;
            return Some(RegionError::NotReady { region: region.id, why });
        }
        (self.proposals.in_flight >= self.options.proposals).then_some(busy())
    }

    /// Turns what arrived since the last flush into entries.
    pub(super) fn submit_proposals(&mut self, out: &mut Vec<Output<W>>) {
        let term = self.term();
        let (pending, stale): (Vec<_>, Vec<_>) = std::mem::take(&mut self.proposals.pending)
            .into_iter()
            .partition(|one| one.term.is_none_or(|only| only == term));
        self.proposals.in_flight -= stale.len();
        let refuse = |one: Pending<W>| Output::Reply(one.waiter, Err(RegionError::StaleCommand));
        out.extend(stale.into_iter().map(refuse));
        let mut pending = pending.into_iter().peekable();
        while pending.peek().is_some() {
            let mut commands = Vec::new();
            let mut waiters = Vec::new();
            let mut bytes = 0;
            while let Some(next) = pending.peek() {
                let size = next.command.approximate_bytes();
                let is_full = commands.len() >= self.options.batch_commands
                    || bytes + size > self.options.batch_bytes;
                if is_full && !commands.is_empty() {
                    break;
                }
                let Some(Pending { command, waiter, .. }) = pending.next() else { break };
                bytes += size;
                commands.push(command);
                waiters.push(waiter);
            }
            self.submit_entry(commands, waiters, out);
        }
    }

    fn submit_entry(
        &mut self,
        commands: Vec<WriteCommand>,
        waiters: Vec<W>,
        out: &mut Vec<Output<W>>,
    ) {
        let payload = EntryPayload::Writes { epoch: self.region().epoch, commands };
        let before = self.node.raft.raft_log.last_index();
        let proposed = self.node.propose(Vec::new(), codec::encode(&payload));
        let index = self.node.raft.raft_log.last_index();
        if proposed.is_ok() && index == before + 1 {
            let proposal =
                Proposal { term: self.term(), index: LogIndex(index), sent: self.now, waiters };
            self.proposals.book.push_back(proposal);
            return;
        }
        assert!(index == before, "a refused proposal leaves no entry");
        self.proposals.in_flight -= waiters.len();
        let error = if self.is_leader() { busy() } else { self.not_leader() };
        out.extend(waiters.into_iter().map(|w| Output::Reply(w, Err(error.clone()))));
    }

    pub(super) fn fail_all_proposals(&mut self, why: UnknownReason, out: &mut Vec<Output<W>>) {
        let error = RegionError::OutcomeUnknown { why };
        let waiters = self.proposals.take_all();
        out.extend(waiters.into_iter().map(|w| Output::Reply(w, Err(error.clone()))));
    }
}

fn busy() -> RegionError {
    RegionError::ServerIsBusy { what: BusyReason::Proposals, backoff_ms: 5 }
}
