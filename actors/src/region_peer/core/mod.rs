//! The decisions of one replica of one Region: a pure state machine around raft-rs.
//!
//! ```text
//!  Input                     this core                         Output
//!  Tick ─────────────┐   ┌──────────────────┐   ┌──► Send      (leader: before its own sync)
//!  Raft message ─────┤   │ propose  read    │   ├──► Persist   ──► Persisted(number) comes back
//!  Propose, Read… ───┼──►│ members  lease   │──►├──► Apply     ──► Applied(outcome) comes back
//!  Persisted, Applied┤   │ snapshots        │   ├──► InstallSnapshot, GenerateSnapshot, SendSnapshot
//!  Flush ────────────┘   │ ready ◄─ RawNode │   └──► Reply, Publish, Report, Compact, Destroy
//!                        └──────────────────┘
//! ```
//! Only `Flush` (end of a mailbox batch) turns what raft-rs has decided into outputs; the legal order
//! of these stands in `ready.rs`. `W` is who waits for an answer: opaque here.
//!
//! | file | subject |
//! |---|---|
//! | `io.rs` | [`Input`] and [`Output`] |
//! | `propose.rs` | batching of writes into entries, the book of proposals |
//! | `read.rs` | ReadIndex with contexts of our own, waits for an applied index |
//! | `ready.rs` | raft-rs's Ready into outputs |
//! | `admin.rs` | member changes and leader transfer |
//! | `snapshots.rs` | asking for, sending, receiving, installing snapshots |
//! | `report.rs` | what PD and people are told |
//! | `lease.rs`, `members.rs`, `storage.rs` | pure helpers |
//!
//! Left out: hibernation, splits and merges.
mod io;
pub mod lease;
pub mod members;
pub mod storage;

mod admin;
mod propose;
mod read;
mod ready;
mod report;
mod snapshots;

pub use io::{AppliedConfChange, ApplyOutcome, CommittedEntry, Delegate, Input, Output};

use lease::Lease;
use propose::Proposals;
use raft::eraftpb::{Message, MessageType};
use raft::{RawNode, StateRole};
use read::Reads;
use snapshots::Snapshots;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use storage::{DurableState, PeerStorage};
use troupe_storage::raft_log::RaftLog;
use troupe_types::{
    LogIndex, Moment, Peer, PeerId, PeerRole, RAFT_INIT_TERM, Region, RegionEpoch, RegionError,
    StoreId, Term,
};

/// Limits and times of a replica.
#[derive(Clone, Copy, Debug)]
pub struct CoreOptions {
    /// Time between two ticks.
    pub tick: Duration,
    /// Ticks between two heartbeats.
    pub heartbeat_ticks: u64,
    /// Ticks without a leader before an election, at least; at most twice as many.
    pub election_ticks: u64,
    /// Length of the lease; cut to nine tenths of the shortest election time-out less one tick.
    pub lease: Duration,
    /// Largest Raft entry.
    pub max_entry_bytes: u64,
    /// Largest append message.
    pub max_message_bytes: u64,
    /// Append messages in flight to one replica.
    pub max_inflight_messages: usize,
    /// Bytes proposed and not yet committed.
    pub max_uncommitted_bytes: u64,
    /// Commands that may share an entry.
    pub batch_commands: usize,
    /// Bytes of commands that may share an entry.
    pub batch_bytes: usize,
    /// Writes in flight.
    pub proposals: usize,
    /// Entries kept behind the applied index for slow replicas.
    pub log_keep_entries: u64,
    /// Bytes of entries kept in memory.
    pub log_cache_bytes: u64,
    /// Silence after which a replica is reported as down.
    pub down_after: Duration,
    /// Time between two reports to PD without news.
    pub report_every: Duration,
}

impl CoreOptions {
    /// Length of the lease as used. Invariant: shorter than the time that any replica which
    /// acknowledged the leader refuses to vote: its election clock may be almost one tick ahead.
    #[must_use]
    pub fn lease_length(&self) -> Duration {
        let ticks = u32::try_from(self.election_ticks.saturating_sub(1)).unwrap_or(u32::MAX);
        self.lease.min(self.tick * ticks * 9 / 10)
    }

    fn election_timeout(&self) -> Duration {
        self.tick * u32::try_from(self.election_ticks).unwrap_or(u32::MAX)
    }
}

/// See the module.
pub struct RegionCore<W> {
    options: CoreOptions,
    me: Peer,
    node: RawNode<PeerStorage>,
    rng: SplitMix,
    now: Moment,
    started: Moment,
    /// Never voted nor appended: free to vote at once.
    is_newborn: bool,
    /// Election time-out in ticks, and the term and role that it was drawn for.
    election_ticks: usize,
    last_timeout_key: (u64, StateRole),
    lease: Lease,
    applied: LogIndex,
    applied_term: Term,
    halted: bool,
    destroyed: bool,
    proposals: Proposals<W>,
    reads: Reads<W>,
    snapshots: Snapshots<W>,
    /// Readies whose writes are not durable: number, needs a sync, messages that wait for it.
    unpersisted: VecDeque<ready::Unpersisted>,
    persisted_number: u64,
    conf_waiters: Vec<W>,
    /// Peers that are not in the shape but talk to this replica.
    strangers: BTreeMap<PeerId, Peer>,
    heard: BTreeMap<PeerId, Moment>,
    published: Option<Delegate>,
    last_report: Moment,
    report_due: bool,
    /// Replicas down and behind, as last reported.
    reported_trouble: (Vec<PeerId>, Vec<PeerId>),
    led_since: Moment,
    role: StateRole,
}

/// Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (2014), the finaliser.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl<W> RegionCore<W> {
    /// A replica that starts from `state` at `now`. All its random choices follow from `seed`.
    ///
    /// # Errors
    /// raft-rs finds the state inconsistent.
    pub fn new(
        options: CoreOptions,
        me: Peer,
        state: &DurableState,
        log: Arc<dyn RaftLog>,
        (now, seed): (Moment, u64),
    ) -> Result<Self, raft::Error> {
        let election = usize::try_from(options.election_ticks).unwrap_or(usize::MAX);
        let config = raft::Config {
            id: me.id.get(),
            election_tick: election,
            heartbeat_tick: usize::try_from(options.heartbeat_ticks).unwrap_or(1),
            min_election_tick: election,
            max_election_tick: election * 2,
            applied: state.applied.get(),
            max_size_per_msg: options.max_message_bytes,
            max_inflight_msgs: options.max_inflight_messages,
            check_quorum: true,
            pre_vote: true,
            // raft-rs 0.7 would also put entries that are sent again behind a waiting append without
            // entries, however far on that one is: the follower then acknowledges an entry that it
            // does not have, and the leader commits it.
            batch_append: false,
            skip_bcast_commit: true,
            max_uncommitted_size: options.max_uncommitted_bytes,
            max_committed_size_per_ready: options.max_message_bytes * 4,
            ..raft::Config::default()
        };
        let is_newborn =
            state.hard_state.vote == 0 && state.hard_state.term <= RAFT_INIT_TERM.get();
        let storage = PeerStorage::new(log, state, options.log_cache_bytes);
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let mut core = Self {
            options,
            me,
            node: RawNode::new(&config, storage, &logger)?,
            rng: SplitMix(seed),
            now,
            started: now,
            is_newborn,
            election_ticks: election,
            last_timeout_key: (u64::MAX, StateRole::Follower),
            lease: Lease::default(),
            applied: state.applied,
            applied_term: state.applied_term,
            halted: false,
            destroyed: false,
            proposals: Proposals::default(),
            reads: Reads::default(),
            snapshots: Snapshots::default(),
            unpersisted: VecDeque::new(),
            persisted_number: 0,
            conf_waiters: Vec::new(),
            strangers: BTreeMap::new(),
            heard: BTreeMap::new(),
            published: None,
            last_report: Moment(0),
            report_due: false,
            reported_trouble: (Vec::new(), Vec::new()),
            led_since: now,
            role: StateRole::Follower,
        };
        core.spread_elections();
        Ok(core)
    }

    /// Takes `input` at `now`.
    pub fn step(&mut self, now: Moment, input: Input<W>, out: &mut Vec<Output<W>>) {
        assert!(now >= self.now, "the monotonic clock went back");
        self.now = now;
        if self.destroyed {
            return self.refuse(input, out);
        }
        match input {
            Input::Tick => self.on_tick(out),
            Input::Raft { from, epoch, message } => self.on_message(from, epoch, message, out),
            Input::SnapshotReceived { from, message, manifest, folder } => {
                self.on_snapshot_received(from, message, (manifest, folder), out);
            }
            Input::Propose { epoch, term, command, waiter } => {
                self.on_propose((epoch, term), command, waiter, out);
            }
            Input::ReadIndex { waiter } => self.on_read_index(waiter, out),
            Input::AwaitApplied { index, waiter } => self.on_await_applied(index, waiter, out),
            Input::Admin { command, waiter } => self.on_admin(command, waiter, out),
            Input::Status { waiter } => out.push(Output::Describe(waiter, Box::new(self.status()))),
            Input::Persisted { number } => self.on_persisted(number, out),
            Input::Applied(outcome) => self.on_applied(outcome, out),
            Input::SnapshotGenerated(made) => self.on_snapshot_generated(made, out),
            Input::SnapshotInstalled { index, term } => {
                self.on_snapshot_installed(index, term, out)
            }
            Input::SnapshotSent { to, ok } => self.on_snapshot_sent(to, ok),
            Input::Unreachable { store } => self.on_unreachable(store),
            Input::CutLog { durable } => self.on_cut_log(durable, out),
            Input::StepAside => self.on_step_aside(out),
            Input::Expelled { epoch } => self.on_expelled(epoch, out),
            Input::Flush => self.on_flush(out),
        }
        self.spread_elections();
    }

    /// It could not apply an entry in an earlier life: it serves nothing until that is mended.
    pub fn start_halted(&mut self) {
        self.halted = true;
    }

    /// Kick an election at once: a Region of which this is the only voter need not wait.
    pub fn campaign_if_alone(&mut self) {
        let alone = self.region().peers.len() == 1 && self.region().peer(self.me.id).is_some();
        if alone {
            // It can only fail while a campaign is already under way.
            let _ = self.node.campaign();
        }
    }

    /// This replica led in `term` until it crashed a moment ago. It stands for election again at once,
    /// as after a leader transfer, so that its Region need not wait for the others to miss it.
    ///
    /// They vote although they heard a leader just now: that leader was this one, and its lease ended
    /// with it. A leader of a later term is not disturbed: its voters have left `term` behind, and
    /// refuse. That is why this is right for the term behind `term` only, and only once.
    pub fn resume_lead(&mut self, term: Term) {
        let vote = self.node.raft.vote;
        if self.term() != term || vote != self.me.id.get() {
            return;
        }
        let mut order = Message::default();
        order.set_msg_type(MessageType::MsgTimeoutNow);
        order.from = self.me.id.get();
        order.to = order.from;
        order.term = term.get();
        // Refused if it may not lead any more: then the others elect someone.
        let _ = self.node.step(order);
        self.spread_elections();
    }

    /// The election time-out is drawn from this core's own seed: raft-rs's own would come from the
    /// process's random source. Set again each time, as raft-rs may have drawn one since.
    fn spread_elections(&mut self) {
        let key = (self.node.raft.term, self.node.raft.state);
        if key != self.last_timeout_key {
            self.last_timeout_key = key;
            let ticks = self.options.election_ticks + self.rng.next() % self.options.election_ticks;
            self.election_ticks = usize::try_from(ticks).unwrap_or(usize::MAX);
        }
        self.node.raft.set_randomized_election_timeout(self.election_ticks);
    }

    fn on_tick(&mut self, out: &mut Vec<Output<W>>) {
        self.node.tick();
        if !self.is_leader() {
            self.doubt_leader();
            return;
        }
        if self.now.since(self.last_report) >= self.options.report_every {
            self.report_due = true;
        }
        let transfer_failed = self.lease.is_forfeited() && self.node.raft.lead_transferee.is_none();
        // A term whose lease was forfeited gives none any more (see `lease.rs`): a new term gives a new
        // one.
        if transfer_failed && !self.halted {
            self.node.raft.become_follower(self.node.raft.term, raft::INVALID_ID);
            return;
        }
        // A leader whose disk is stuck applies nothing, and so answers no write, while its heartbeats
        // would keep others from leading for as long as that lasts (etcd#15247).
        let must_leave = self.is_no_voter() || self.is_stalled_alone();
        if must_leave && !self.lease.is_forfeited() {
            self.on_step_aside(out);
            return;
        }
        self.renew_idle_lease();
    }

    /// A leader may win its election while the entry that makes it a learner is on its way. raft-rs lets
    /// it lead on; nobody could remove it then, as a leader is not removed.
    fn is_no_voter(&self) -> bool {
        self.region().peer(self.me.id).is_some_and(|peer| peer.role == PeerRole::Learner)
    }

    /// A learner never stands for election, so raft-rs lets it believe in its last leader for ever. One
    /// that was removed while it heard nothing must miss its leader, else nobody destroys it.
    fn doubt_leader(&mut self) {
        let leader = self.node.raft.leader_id;
        if leader == raft::INVALID_ID || self.node.raft.promotable() {
            return;
        }
        let heard = self.heard.get(&PeerId(leader)).copied().unwrap_or(self.started);
        if self.now.since(heard) >= self.options.election_timeout() * 2 {
            self.node.raft.become_follower(self.node.raft.term, raft::INVALID_ID);
        }
    }

    fn on_message(
        &mut self,
        from: Peer,
        epoch: RegionEpoch,
        message: Message,
        out: &mut Vec<Output<W>>,
    ) {
        self.heard.insert(from.id, self.now);
        if self.region().peer(from.id).is_none() {
            let is_older = epoch.conf_ver < self.region().epoch.conf_ver;
            if is_older && !self.region().peers.is_empty() && is_campaign(&message) {
                out.push(Output::Tombstone(from));
                return;
            }
            self.strangers.insert(from.id, from);
        }
        if is_vote_request(&message) && !self.may_vote() {
            return;
        }
        // Reads are confirmed by contexts of the leader alone: see `read.rs`. A snapshot comes with
        // its files, by another input.
        if matches!(
            message.get_msg_type(),
            MessageType::MsgReadIndex | MessageType::MsgPropose | MessageType::MsgSnapshot
        ) {
            return;
        }
        // A message that raft-rs refuses (unknown sender, older term) needs no answer.
        let _ = self.node.step(message);
    }

    /// A replica that has just started does not know whom it acknowledged in its last life; see
    /// `lease.rs`.
    fn may_vote(&self) -> bool {
        self.is_newborn || self.now.since(self.started) >= self.options.election_timeout()
    }

    fn on_unreachable(&mut self, store: StoreId) {
        if let Some(peer) = self.region().peer_on(store) {
            self.node.report_unreachable(peer.id.get());
        }
    }

    fn on_expelled(&mut self, epoch: RegionEpoch, out: &mut Vec<Output<W>>) {
        let is_news = epoch.conf_ver > self.region().epoch.conf_ver;
        // A snapshot on its way into the engine must not outlive the replica.
        if is_news && !self.is_leader() && self.snapshots.installing.is_none() {
            self.destroy(out);
        }
    }

    fn on_cut_log(&mut self, durable: LogIndex, out: &mut Vec<Output<W>>) {
        let durable = durable.min(self.applied);
        let slowest = if self.is_leader() {
            let matched = self.node.raft.prs().iter().map(|(_, progress)| progress.matched).min();
            LogIndex(matched.unwrap_or(durable.get()))
        } else {
            // Only the leader knows what others lack, and this replica may lead next.
            LogIndex(0)
        };
        let kept = LogIndex(durable.get().saturating_sub(self.options.log_keep_entries));
        let through = durable.min(slowest.max(kept));
        let (truncated, _) = self.node.store().truncated();
        if through > truncated && self.node.mut_store().compact(through).is_ok() {
            out.push(Output::Compact(through));
        }
    }

    fn is_leader(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    fn region(&self) -> &Region {
        self.node.store().region()
    }

    fn term(&self) -> Term {
        Term(self.node.raft.term)
    }

    fn leader(&self) -> Option<Peer> {
        let id = PeerId(self.node.raft.leader_id);
        self.region().peer(id).or_else(|| self.strangers.get(&id).copied())
    }

    fn not_leader(&self) -> RegionError {
        let leader = self.leader().filter(|peer| peer.id != self.me.id);
        RegionError::NotLeader { region: self.region().id, leader }
    }
}

fn is_vote_request(message: &Message) -> bool {
    matches!(message.get_msg_type(), MessageType::MsgRequestVote | MessageType::MsgRequestPreVote)
}

fn is_campaign(message: &Message) -> bool {
    is_vote_request(message) || message.get_msg_type() == MessageType::MsgTimeoutNow
}
