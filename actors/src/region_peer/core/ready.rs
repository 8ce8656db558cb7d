//! Turns what raft-rs has decided into outputs, in the only legal order:
//!
//! 1. A leader's messages go out at once: followers may write while the leader does (Raft thesis
//!    10.2.1). raft-rs hands a follower's answers out apart, and they wait for step 3.
//! 2. Entries, votes and terms are persisted.
//! 3. When that is durable: the answers that depend on it, and further commits.
//! 4. Committed entries are applied. raft-rs 0.7 commits for application only what this replica has
//!    persisted itself.
use super::{ApplyOutcome, CommittedEntry, Delegate, Input, Output, RegionCore, lease::Lease};
use raft::StateRole;
use raft::eraftpb::{Entry, Message, MessageType};
use std::time::Duration;
use troupe_storage::raft_log::RegionLogWrite;
use troupe_types::error::UnknownReason;
use troupe_types::{LogIndex, Moment, PeerId, RegionError};

/// A Ready whose write is not durable yet.
pub(super) struct Unpersisted {
    number: u64,
    needs_sync: bool,
    messages: Vec<Message>,
    /// When it was handed out.
    since: Moment,
}

impl<W> RegionCore<W> {
    pub(super) fn on_flush(&mut self, out: &mut Vec<Output<W>>) {
        self.submit_proposals(out);
        self.submit_reads();
        self.work_off(out);
        // A first commit of the term in this very batch frees the readers that waited for it.
        self.submit_reads();
        self.work_off(out);
        self.ask_for_snapshot(out);
        self.drop_refused_snapshots(out);
        self.publish(out);
        self.report(out);
        let durable = LogIndex(self.node.raft.raft_log.persisted).min(self.applied);
        self.node.mut_store().evict(durable);
    }

    fn work_off(&mut self, out: &mut Vec<Output<W>>) {
        self.on_role(out);
        while self.node.has_ready() {
            self.on_ready(out);
            self.on_role(out);
        }
    }

    fn on_ready(&mut self, out: &mut Vec<Output<W>>) {
        let mut ready = self.node.ready();
        let number = ready.number();
        let has_snapshot = !ready.snapshot().is_empty();
        self.send(ready.take_messages(), out);
        let mut answers = ready.take_persisted_messages();
        if planted!(SendBeforePersist) {
            self.send(std::mem::take(&mut answers), out);
        }
        if let Some(hard_state) = ready.hs() {
            self.node.mut_store().set_hard_state(hard_state.clone());
        }
        let mut write = RegionLogWrite::default();
        if has_snapshot {
            let metadata = ready.snapshot().get_metadata().clone();
            write.reset_to = self.accept_snapshot(&metadata, out);
        }
        let needs_sync = has_snapshot || ready.must_sync() || !ready.entries().is_empty();
        write.entries = ready.take_entries();
        self.node.mut_store().append(&write.entries);
        let reads = ready.take_read_states();
        let committed = ready.take_committed_entries();
        self.node.advance_append_async(ready);
        let since = self.now;
        self.persist(Unpersisted { number, needs_sync, messages: answers, since }, write, out);
        self.apply(committed, out);
        self.on_read_states(reads, out);
    }

    fn persist(
        &mut self,
        unpersisted: Unpersisted,
        mut write: RegionLogWrite,
        out: &mut Vec<Output<W>>,
    ) {
        let number = unpersisted.number;
        if !unpersisted.needs_sync && self.unpersisted.is_empty() {
            // A new commit index alone is not worth a sync: it is found again after a crash.
            self.send(unpersisted.messages, out);
            self.node.on_persist_ready(number);
            return;
        }
        if unpersisted.needs_sync {
            write.hard_state = Some(self.node.store().hard_state().clone());
            let persist = Output::Persist { number, write };
            match &mut self.snapshots.installing {
                Some(held) => held.push(persist),
                None => out.push(persist),
            }
        }
        self.unpersisted.push_back(unpersisted);
    }

    pub(super) fn on_persisted(&mut self, number: u64, out: &mut Vec<Output<W>>) {
        assert!(number > self.persisted_number, "a write became durable twice");
        self.persisted_number = number;
        let mut last = None;
        while let Some(first) = self.unpersisted.front() {
            if first.number > number && first.needs_sync {
                break;
            }
            if let Some(first) = self.unpersisted.pop_front() {
                last = Some(first.number);
                self.send(first.messages, out);
            }
        }
        if let Some(last) = last {
            self.node.on_persist_ready(last);
            self.note_applied();
        }
    }

    /// Does this leader's own disk hold up what the others have long made durable? That is so when its
    /// oldest write has been under way for an election time-out and a majority without it has committed
    /// more than it holds itself. Where all disks are stuck, or it is needed for the majority, nobody
    /// could do better.
    pub(super) fn is_stalled_alone(&self) -> bool {
        let oldest = self.unpersisted.front();
        let waits = oldest.map_or(Duration::ZERO, |first| self.now.since(first.since));
        let log = &self.node.raft.raft_log;
        waits >= self.options.election_timeout() && log.committed > log.persisted
    }

    /// Tells raft-rs what is applied. It takes no index that is not persisted: a snapshot is
    /// applied first and persisted then.
    pub(super) fn note_applied(&mut self) {
        let log = &self.node.raft.raft_log;
        let applied = self.applied.get();
        if applied > log.applied && applied <= log.persisted.min(log.committed) {
            self.node.advance_apply_to(applied);
        }
    }

    /// Sends messages; snapshots go their own way.
    fn send(&mut self, messages: Vec<Message>, out: &mut Vec<Output<W>>) {
        let mut outgoing = Vec::with_capacity(messages.len());
        for message in messages {
            let id = PeerId(message.to);
            let known = self.region().peer(id).or_else(|| self.strangers.get(&id).copied());
            let Some(to) = known else { continue };
            if message.get_msg_type() == MessageType::MsgSnapshot {
                self.send_snapshot(to, message, out);
            } else {
                outgoing.push((to, message));
            }
        }
        if !outgoing.is_empty() {
            out.push(Output::Send(outgoing));
        }
    }

    fn apply(&mut self, entries: Vec<Entry>, out: &mut Vec<Output<W>>) {
        let mut committed = Vec::with_capacity(entries.len());
        for entry in entries {
            let fate = self.proposals.on_committed(&entry);
            let overtaken = fate.overtaken.into_iter();
            out.extend(overtaken.map(|w| Output::Reply(w, Err(RegionError::StaleCommand))));
            if let Some(sent) = fate.sent {
                self.renew_lease(troupe_types::Term(entry.term), sent, out);
            }
            committed.push(CommittedEntry { entry, waiters: fate.waiters });
        }
        if !committed.is_empty() {
            out.push(Output::Apply(committed));
        }
    }

    pub(super) fn on_applied(&mut self, outcome: ApplyOutcome, out: &mut Vec<Output<W>>) {
        assert!(outcome.applied >= self.applied, "the applied index went back");
        // A snapshot that was accepted meanwhile holds these changes already, and later ones.
        let is_overtaken = self.snapshots.installing.is_some();
        for applied in outcome.conf_changes.into_iter().filter(|_| !is_overtaken) {
            let state = self.node.apply_conf_change(&applied.change);
            assert!(state.is_ok(), "a committed member change that raft-rs refuses: {state:?}");
            self.node.mut_store().set_region(applied.region);
            self.report_due = true;
        }
        self.applied = outcome.applied;
        self.applied_term = outcome.applied_term;
        self.note_applied();
        self.permit_reads(out);
        if outcome.halted {
            self.halt(out);
        }
        if !self.region().is_joint() && !self.node.raft.has_pending_conf() {
            let region = self.region().clone();
            for waiter in std::mem::take(&mut self.conf_waiters) {
                let reply = troupe_types::request::RegionReply::Admin(region.clone());
                out.push(Output::Reply(waiter, Ok(reply)));
            }
        }
        if self.region().peer(self.me.id).is_none() && !self.region().peers.is_empty() {
            self.destroy(out);
        }
    }

    fn halt(&mut self, out: &mut Vec<Output<W>>) {
        self.halted = true;
        self.lease.forfeit();
        out.push(Output::Lease(Moment(0)));
        let error = RegionError::RegionHalted { region: self.region().id, store: self.me.store };
        self.refuse_reads(&error, out);
        self.fail_all_proposals(UnknownReason::ActorCrashed, out);
    }

    pub(super) fn destroy(&mut self, out: &mut Vec<Output<W>>) {
        self.destroyed = true;
        out.push(Output::Lease(Moment(0)));
        self.refuse_reads(&self.not_leader(), out);
        self.fail_all_proposals(UnknownReason::PeerRemoved, out);
        for waiter in std::mem::take(&mut self.conf_waiters) {
            let reply = troupe_types::request::RegionReply::Admin(self.region().clone());
            out.push(Output::Reply(waiter, Ok(reply)));
        }
        out.push(Output::Destroy);
    }

    /// What comes behind the end has no effect, and whoever waits for it may ask elsewhere.
    pub(super) fn refuse(&self, input: Input<W>, out: &mut Vec<Output<W>>) {
        let waiter = match input {
            Input::Propose { waiter, .. }
            | Input::ReadIndex { waiter }
            | Input::AwaitApplied { waiter, .. }
            | Input::Admin { waiter, .. }
            | Input::Status { waiter } => waiter,
            Input::Tick
            | Input::Raft { .. }
            | Input::SnapshotReceived { .. }
            | Input::Persisted { .. }
            | Input::Applied(_)
            | Input::SnapshotGenerated(_)
            | Input::SnapshotInstalled { .. }
            | Input::SnapshotSent { .. }
            | Input::Unreachable { .. }
            | Input::CutLog { .. }
            | Input::StepAside
            | Input::Expelled { .. }
            | Input::Flush => return,
        };
        let error = RegionError::RegionNotFound { region: self.region().id, store: self.me.store };
        out.push(Output::Reply(waiter, Err(error)));
    }

    /// What a change of role brings with it.
    fn on_role(&mut self, out: &mut Vec<Output<W>>) {
        let role = self.node.raft.state;
        if role == self.role {
            return;
        }
        let was_leader = self.role == StateRole::Leader;
        self.role = role;
        if was_leader {
            self.lease = Lease::default();
            out.push(Output::Lease(Moment(0)));
            self.fail_reads(out);
            let error = RegionError::OutcomeUnknown { why: UnknownReason::LeaderChanged };
            let waiters = std::mem::take(&mut self.conf_waiters);
            out.extend(waiters.into_iter().map(|w| Output::Reply(w, Err(error.clone()))));
        }
        if role == StateRole::Leader {
            self.lease = Lease::of_term(self.term());
            self.led_since = self.now;
            self.report_due = true;
        }
        let name = match role {
            StateRole::Leader => "leader",
            StateRole::Follower => "follower",
            StateRole::Candidate => "candidate",
            StateRole::PreCandidate => "pre-candidate",
        };
        out.push(Output::Role { role: name, term: self.term() });
    }

    fn publish(&mut self, out: &mut Vec<Output<W>>) {
        let has_applied = self.applied_term == self.term() || planted!(NoopSkipped);
        let is_settled = has_applied && !self.halted;
        let delegate = Delegate {
            region: self.region().clone(),
            term: self.term(),
            leader: self.leader(),
            may_serve: self.is_leader() && is_settled,
            halted: self.halted,
        };
        if self.published.as_ref() != Some(&delegate) {
            self.published = Some(delegate.clone());
            out.push(Output::Publish(delegate));
        }
    }
}
