//! Replicas of one Region whose disks, apply threads and network are moved by hand.
use crate::region_peer::core::members::after_entry;
use crate::region_peer::core::storage::DurableState;
use crate::region_peer::core::{
    AppliedConfChange, ApplyOutcome, CommittedEntry, CoreOptions, Delegate, Input, Output,
    RegionCore,
};
use protobuf::Message as _;
use raft::eraftpb::{ConfChangeV2, EntryType, HardState, Message, MessageType};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use troupe_storage::raft_log::memory::MemoryRaftLog;
use troupe_storage::raft_log::{LogBatch, RaftLog, RegionLogWrite};
use troupe_types::command::{EntryPayload, RawChange};
use troupe_types::pd::RegionReport;
use troupe_types::raft_message::SnapshotManifest;
use troupe_types::request::{AdminCommand, PeerChange, PeerStatus, RegionReply, RegionResult};
use troupe_types::{
    KeyRange, LogIndex, Moment, Peer, PeerId, RAFT_INIT_INDEX, RAFT_INIT_TERM, Region, RegionEpoch,
    RegionId, StoreId, Term, WriteCommand, WriteReply, codec,
};

pub(super) const REGION: RegionId = RegionId(7);
pub(super) const TICK: Duration = Duration::from_millis(100);
/// Nine tenths of nine ticks.
pub(super) const LEASE: Duration = Duration::from_millis(810);

pub(super) fn options() -> CoreOptions {
    CoreOptions {
        tick: TICK,
        heartbeat_ticks: 2,
        election_ticks: 10,
        lease: Duration::from_secs(9),
        max_entry_bytes: 1000,
        max_message_bytes: 4096,
        max_inflight_messages: 64,
        max_uncommitted_bytes: 1 << 20,
        batch_commands: 4,
        batch_bytes: 2000,
        proposals: 12,
        log_keep_entries: 10,
        log_cache_bytes: 1 << 20,
        down_after: Duration::from_secs(5),
        report_every: Duration::from_secs(60),
    }
}

/// The replica of Store `store`.
pub(super) fn voter(store: u64) -> Peer {
    Peer::voter(PeerId(100 + store), StoreId(store))
}

pub(super) fn learner(store: u64) -> Peer {
    Peer::learner(PeerId(100 + store), StoreId(store))
}

pub(super) fn region_of(peers: Vec<Peer>) -> Region {
    let range = KeyRange::new(&b"a"[..], &b"n"[..]);
    Region { id: REGION, range, epoch: RegionEpoch::INITIAL, peers }
}

pub(super) fn put(key: &str, value: &str) -> WriteCommand {
    let value = value.to_owned().into();
    let change = RawChange::Put { value, expires_at: None };
    WriteCommand::RawWrite { changes: vec![(key.to_owned().into(), change)] }
}

/// What is on its way between two replicas.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub from: Peer,
    pub to: Peer,
    pub epoch: RegionEpoch,
    pub message: Message,
    pub snapshot: Option<(SnapshotManifest, PathBuf)>,
}

impl Packet {
    pub(super) fn is(&self, kind: MessageType) -> bool {
        self.message.get_msg_type() == kind
    }

    pub(super) fn input(self) -> Input<u64> {
        let Self { from, epoch, message, .. } = self;
        match self.snapshot {
            Some((manifest, folder)) => Input::SnapshotReceived { from, message, manifest, folder },
            None => Input::Raft { from, epoch, message },
        }
    }
}

/// What an apply thread has to do.
pub(super) enum Work {
    Entries(Vec<CommittedEntry<u64>>),
    Install(SnapshotManifest),
}

/// One replica and its disks.
pub(super) struct Node {
    pub me: Peer,
    pub core: RegionCore<u64>,
    pub log: Arc<MemoryRaftLog>,
    /// Shape, index and term that the engine holds.
    pub region: Region,
    pub applied: (LogIndex, Term),
    /// What the log thread and the apply thread have to do.
    pub persists: VecDeque<(u64, RegionLogWrite)>,
    pub applies: VecDeque<Work>,
    pub hold_disk: bool,
    pub hold_apply: bool,
    pub hold_snapshots: bool,
    /// A snapshot is asked for and not made yet.
    pub wants_snapshot: bool,
    /// Applied commands, in order.
    pub commands: Vec<WriteCommand>,
    pub replies: BTreeMap<u64, RegionResult>,
    pub permits: BTreeMap<u64, LogIndex>,
    pub status: Option<PeerStatus>,
    pub delegate: Option<Delegate>,
    pub lease: Moment,
    pub reports: Vec<RegionReport>,
    pub tombstones: Vec<Peer>,
    pub discarded: Vec<PathBuf>,
    pub compacted: Option<LogIndex>,
    pub is_destroyed: bool,
    /// Kinds of outputs since the test last cleared them.
    pub kinds: Vec<&'static str>,
}

impl Node {
    fn new(me: Peer, region: Region, now: Moment) -> Self {
        let log = Arc::new(MemoryRaftLog::new());
        let is_member = !region.peers.is_empty();
        let (index, term) =
            if is_member { (RAFT_INIT_INDEX, RAFT_INIT_TERM) } else { (LogIndex(0), Term(0)) };
        if is_member {
            let hard_state =
                HardState { term: term.get(), commit: index.get(), ..HardState::default() };
            let write = RegionLogWrite {
                hard_state: Some(hard_state),
                reset_to: Some((index, term)),
                ..RegionLogWrite::default()
            };
            log.append(LogBatch { regions: vec![(REGION, write)] }).unwrap();
        }
        let core = build(me, &region, (index, term), &log, now);
        Self {
            me,
            core,
            log,
            region,
            applied: (index, term),
            persists: VecDeque::new(),
            applies: VecDeque::new(),
            hold_disk: false,
            hold_apply: false,
            hold_snapshots: false,
            wants_snapshot: false,
            commands: Vec::new(),
            replies: BTreeMap::new(),
            permits: BTreeMap::new(),
            status: None,
            delegate: None,
            lease: Moment(0),
            reports: Vec::new(),
            tombstones: Vec::new(),
            discarded: Vec::new(),
            compacted: None,
            is_destroyed: false,
            kinds: Vec::new(),
        }
    }

    pub(super) fn leads(&self) -> bool {
        self.delegate.as_ref().is_some_and(|d| d.leader.map(|peer| peer.id) == Some(self.me.id))
    }

    /// Does the entries of `work` as Apply would.
    fn apply(&mut self, entries: Vec<CommittedEntry<u64>>) -> ApplyOutcome {
        let mut conf_changes = Vec::new();
        for CommittedEntry { entry, waiters } in entries {
            assert_eq!(entry.index, self.applied.0.get() + 1, "applied without a gap");
            self.applied = (LogIndex(entry.index), Term(entry.term));
            if entry.get_entry_type() == EntryType::EntryNormal {
                if !entry.data.is_empty() {
                    let EntryPayload::Writes { commands, .. } = codec::decode(&entry.data).unwrap();
                    assert!(waiters.is_empty() || waiters.len() == commands.len());
                    self.commands.extend(commands);
                }
                let done = || Ok(RegionReply::Write(WriteReply::Done));
                self.replies.extend(waiters.into_iter().map(|waiter| (waiter, done())));
                continue;
            }
            let mut change = ConfChangeV2::default();
            change.merge_from_bytes(&entry.data).unwrap();
            let changes: Vec<PeerChange> = match change.context.is_empty() {
                true => Vec::new(),
                false => codec::decode(&change.context).unwrap(),
            };
            self.region = after_entry(&self.region, &changes);
            conf_changes.push(AppliedConfChange { change, region: self.region.clone() });
        }
        let (applied, applied_term) = self.applied;
        ApplyOutcome { applied, applied_term, conf_changes, halted: false }
    }

    fn perform(&mut self, output: Output<u64>, wire: &mut VecDeque<Packet>) {
        let (from, epoch) = (self.me, self.region.epoch);
        self.kinds.push(kind(&output));
        match output {
            Output::Persist { number, write } => self.persists.push_back((number, write)),
            Output::Send(messages) => {
                wire.extend(messages.into_iter().map(|(to, message)| Packet {
                    from,
                    to,
                    epoch,
                    message,
                    snapshot: None,
                }))
            }
            Output::Apply(entries) => self.applies.push_back(Work::Entries(entries)),
            Output::InstallSnapshot { manifest, .. } => {
                self.applies.push_back(Work::Install(manifest));
            }
            Output::GenerateSnapshot => self.wants_snapshot = true,
            Output::SendSnapshot { to, message, manifest, folder } => {
                let snapshot = Some((manifest, folder));
                wire.push_back(Packet { from, to, epoch, message, snapshot });
            }
            Output::DiscardSnapshot(folder) => self.discarded.push(folder),
            Output::Reply(waiter, result) => {
                let earlier = self.replies.insert(waiter, result);
                assert!(earlier.is_none(), "waiter {waiter} is answered twice");
            }
            Output::Permit(waiter, index) => {
                let earlier = self.permits.insert(waiter, index);
                assert!(earlier.is_none(), "reader {waiter} is let in twice");
            }
            Output::Describe(_, status) => self.status = Some(*status),
            Output::Publish(delegate) => self.delegate = Some(delegate),
            Output::Lease(until) => self.lease = until,
            Output::Compact(through) => {
                self.log.compact(REGION, through).unwrap();
                self.compacted = Some(through);
            }
            Output::Report(report) => self.reports.push(report),
            Output::Tombstone(to) => self.tombstones.push(to),
            Output::Destroy => self.is_destroyed = true,
            Output::Role { .. } => {}
        }
    }
}

fn kind(output: &Output<u64>) -> &'static str {
    match output {
        Output::Persist { .. } => "persist",
        Output::Send(_) => "send",
        Output::Apply(_) => "apply",
        Output::InstallSnapshot { .. } => "install",
        Output::GenerateSnapshot => "generate",
        Output::SendSnapshot { .. } => "send-snapshot",
        Output::DiscardSnapshot(_) => "discard",
        Output::Reply(..) => "reply",
        Output::Permit(..) => "permit",
        Output::Describe(..) => "describe",
        Output::Publish(_) => "publish",
        Output::Lease(_) => "lease",
        Output::Compact(_) => "compact",
        Output::Report(_) => "report",
        Output::Tombstone(_) => "tombstone",
        Output::Destroy => "destroy",
        Output::Role { .. } => "role",
    }
}

fn build(
    me: Peer,
    region: &Region,
    (applied, applied_term): (LogIndex, Term),
    log: &Arc<MemoryRaftLog>,
    now: Moment,
) -> RegionCore<u64> {
    let found = log.state(REGION).unwrap().unwrap_or_default();
    let mut hard_state = found.hard_state;
    hard_state.commit = hard_state.commit.max(applied.get());
    let state = DurableState {
        region: region.clone(),
        hard_state,
        truncated: found.truncated,
        last_index: found.last_index,
        applied,
        applied_term,
    };
    RegionCore::new(options(), me, &state, log.clone(), (now, me.id.get())).unwrap()
}

/// See the module.
pub(super) struct Cluster {
    pub now: Moment,
    pub nodes: BTreeMap<u64, Node>,
    pub wire: VecDeque<Packet>,
    /// Packets that the network loses.
    pub loses: Box<dyn Fn(&Packet) -> bool>,
    /// Packets that arrived, for tests that send them again.
    pub arrived: Vec<Packet>,
    /// Snapshots stay in `held` instead of arriving.
    pub holds_snapshots: bool,
    pub held: Vec<Packet>,
    next_waiter: u64,
}

impl Cluster {
    /// Voters on the Stores 1 to `count`; nobody leads.
    pub(super) fn of(count: u64) -> Self {
        let now = Moment(0).after(Duration::from_secs(3600));
        let region = region_of((1..=count).map(voter).collect());
        let node = |store| (store, Node::new(voter(store), region.clone(), now));
        Self {
            now,
            nodes: (1..=count).map(node).collect(),
            wire: VecDeque::new(),
            loses: Box::new(|_| false),
            arrived: Vec::new(),
            holds_snapshots: false,
            held: Vec::new(),
            next_waiter: 0,
        }
    }

    /// Three voters, led by the one on Store 1.
    pub(super) fn led() -> Self {
        let mut cluster = Self::of(3);
        cluster.elect(1);
        cluster
    }

    pub(super) fn node(&mut self, store: u64) -> &mut Node {
        self.nodes.get_mut(&store).unwrap()
    }

    /// Adds a replica that knows only its id.
    pub(super) fn create(&mut self, me: Peer) {
        let nobody = Region { range: KeyRange::default(), ..region_of(Vec::new()) };
        let nobody = Region { epoch: RegionEpoch::default(), ..nobody };
        self.nodes.insert(me.store.get(), Node::new(me, nobody, self.now));
    }

    /// One input without the end of the batch.
    pub(super) fn step(&mut self, store: u64, input: Input<u64>) {
        let mut out = Vec::new();
        let node = self.nodes.get_mut(&store).unwrap();
        node.core.step(self.now, input, &mut out);
        for output in out {
            node.perform(output, &mut self.wire);
        }
    }

    /// One input and the end of the batch.
    pub(super) fn give(&mut self, store: u64, input: Input<u64>) {
        self.step(store, input);
        self.step(store, Input::Flush);
    }

    fn step_disk(&mut self, store: u64) -> bool {
        let node = self.node(store);
        if node.hold_disk {
            return false;
        }
        let Some((number, write)) = node.persists.pop_front() else { return false };
        node.log.append(LogBatch { regions: vec![(REGION, write)] }).unwrap();
        self.give(store, Input::Persisted { number });
        true
    }

    fn step_apply(&mut self, store: u64) -> bool {
        let node = self.node(store);
        if node.hold_apply {
            return false;
        }
        let input = match node.applies.pop_front() {
            None => return false,
            Some(Work::Entries(entries)) => Input::Applied(node.apply(entries)),
            Some(Work::Install(manifest)) => {
                node.applied = (manifest.index, manifest.term);
                node.region = manifest.region;
                Input::SnapshotInstalled { index: manifest.index, term: manifest.term }
            }
        };
        self.give(store, input);
        true
    }

    fn step_snapshot(&mut self, store: u64) -> bool {
        let node = self.node(store);
        if node.hold_snapshots || !std::mem::take(&mut node.wants_snapshot) {
            return false;
        }
        let (index, term) = node.applied;
        let manifest = SnapshotManifest { region: node.region.clone(), index, term, files: vec![] };
        let folder = PathBuf::from(format!("snapshot-{store}-{index}"));
        self.give(store, Input::SnapshotGenerated(Some((manifest, folder))));
        true
    }

    fn step_wire(&mut self) -> bool {
        let Some(packet) = self.wire.pop_front() else { return false };
        if self.holds_snapshots && packet.snapshot.is_some() {
            self.held.push(packet);
            return true;
        }
        let to = packet.to.store.get();
        let is_known = self.nodes.get(&to).is_some_and(|node| node.me.id == packet.to.id);
        let is_lost = !is_known || (self.loses)(&packet);
        if packet.snapshot.is_some() {
            let told = Input::SnapshotSent { to: packet.to.id, ok: !is_lost };
            self.give(packet.from.store.get(), told);
        }
        if !is_lost {
            self.arrived.push(packet.clone());
            self.give(to, packet.input());
        }
        true
    }

    /// Until nothing moves any more.
    pub(super) fn settle(&mut self) {
        let stores: Vec<u64> = self.nodes.keys().copied().collect();
        for _ in 0..10_000 {
            let mut moved = self.step_wire();
            for store in &stores {
                moved |= self.step_disk(*store);
                moved |= self.step_apply(*store);
                moved |= self.step_snapshot(*store);
            }
            if !moved {
                return;
            }
        }
        panic!("the cluster does not come to rest");
    }

    /// Time passes for `stores` alone.
    pub(super) fn tick(&mut self, stores: &[u64], ticks: u32) {
        for _ in 0..ticks {
            self.now = self.now.after(TICK);
            for store in stores {
                self.give(*store, Input::Tick);
            }
            self.settle();
        }
    }

    /// Lets time pass for `store` alone until it leads and serves.
    pub(super) fn elect(&mut self, store: u64) {
        for _ in 0..60 {
            self.tick(&[store], 1);
            if self.node(store).delegate.as_ref().is_some_and(|d| d.may_serve) {
                return;
            }
        }
        panic!("store {store} is not elected");
    }

    /// Loses all packets from and to `store`.
    pub(super) fn isolate(&mut self, store: u64) {
        self.loses = Box::new(move |p| p.from.store.get() == store || p.to.store.get() == store);
    }

    pub(super) fn heal(&mut self) {
        self.loses = Box::new(|_| false);
    }

    pub(super) fn waiter(&mut self) -> u64 {
        self.next_waiter += 1;
        self.next_waiter
    }

    /// Proposes without the end of the batch.
    pub(super) fn propose(&mut self, store: u64, command: WriteCommand) -> u64 {
        let waiter = self.waiter();
        let epoch = self.node(store).region.epoch;
        self.step(store, Input::Propose { epoch, term: None, command, waiter });
        waiter
    }

    /// Proposes, and lets everything happen.
    pub(super) fn write(&mut self, store: u64, command: WriteCommand) -> u64 {
        let waiter = self.propose(store, command);
        self.step(store, Input::Flush);
        self.settle();
        waiter
    }

    pub(super) fn read(&mut self, store: u64) -> u64 {
        let waiter = self.waiter();
        self.step(store, Input::ReadIndex { waiter });
        waiter
    }

    pub(super) fn admin(&mut self, store: u64, command: AdminCommand) -> u64 {
        let waiter = self.waiter();
        self.give(store, Input::Admin { command, waiter });
        self.settle();
        waiter
    }

    pub(super) fn change(&mut self, store: u64, changes: Vec<PeerChange>) -> u64 {
        self.admin(store, AdminCommand::ChangePeers { changes })
    }

    pub(super) fn reply(&mut self, store: u64, waiter: u64) -> Option<RegionResult> {
        self.node(store).replies.get(&waiter).cloned()
    }

    pub(super) fn status(&mut self, store: u64) -> PeerStatus {
        self.give(store, Input::Status { waiter: 0 });
        self.node(store).status.clone().unwrap()
    }

    /// Builds the replica anew from its disks; what was under way is lost.
    pub(super) fn restart(&mut self, store: u64) {
        let now = self.now;
        let node = self.node(store);
        let region = node.region.clone();
        node.core = build(node.me, &region, node.applied, &node.log, now);
        node.persists.clear();
        node.applies.clear();
        node.delegate = None;
        node.lease = Moment(0);
    }
}
