//! The core of one replica, whose disk, apply thread and fellow replicas are played by the test.
use raft::eraftpb::{Entry, HardState, Message, MessageType};
use std::sync::Arc;
use std::time::Duration;
use troupe_actors::region_peer::core::storage::DurableState;
use troupe_actors::region_peer::core::{CoreOptions, Input, Output, RegionCore};
use troupe_storage::raft_log::memory::MemoryRaftLog;
use troupe_storage::raft_log::{LogBatch, RaftLog, RegionLogWrite};
use troupe_types::command::EntryPayload;
use troupe_types::{
    KeyRange, Moment, Peer, PeerId, RAFT_INIT_INDEX, RAFT_INIT_TERM, Region, RegionEpoch, RegionId,
    StoreId, WriteCommand, codec,
};

pub const REGION: RegionId = RegionId(7);
pub const TICK: Duration = Duration::from_millis(100);

fn options() -> CoreOptions {
    CoreOptions {
        tick: TICK,
        heartbeat_ticks: 2,
        election_ticks: 10,
        lease: Duration::from_millis(800),
        max_entry_bytes: 1 << 20,
        max_message_bytes: 1 << 20,
        max_inflight_messages: 64,
        max_uncommitted_bytes: 1 << 20,
        batch_commands: 1,
        batch_bytes: 1 << 20,
        proposals: 100,
        log_keep_entries: 100,
        log_cache_bytes: 1 << 20,
        down_after: Duration::from_secs(30),
        report_every: Duration::from_secs(60),
    }
}

/// The replica of Store `store`.
pub fn voter(store: u64) -> Peer {
    Peer::voter(PeerId(100 + store), StoreId(store))
}

pub fn region(voters: u64) -> Region {
    Region {
        id: REGION,
        range: KeyRange::raw_space(),
        epoch: RegionEpoch::INITIAL,
        peers: (1..=voters).map(voter).collect(),
    }
}

pub fn entry(index: u64, term: u64, command: WriteCommand) -> Entry {
    let epoch = RegionEpoch::INITIAL;
    let payload = EntryPayload::Writes { epoch, commands: vec![command] };
    Entry { index, term, data: codec::encode(&payload).into(), ..Entry::default() }
}

/// A message of the replica on Store `from`, which leads, to that on Store 1.
pub fn message(kind: MessageType, from: u64, term: u64) -> Message {
    let mut message = Message::default();
    message.set_msg_type(kind);
    (message.from, message.to) = (voter(from).id.get(), voter(1).id.get());
    message.term = term;
    message
}

/// The replica of Store 1, and what its disk holds.
pub struct One {
    pub core: RegionCore<u64>,
    pub log: Arc<MemoryRaftLog>,
    pub now: Moment,
}

impl One {
    /// It has applied the first entry of a Region of `voters`.
    pub fn of(voters: u64) -> Self {
        let now = Moment(0).after(Duration::from_secs(3600));
        let log = Arc::new(MemoryRaftLog::new());
        let (applied, applied_term) = (RAFT_INIT_INDEX, RAFT_INIT_TERM);
        let hard_state =
            HardState { term: applied_term.get(), commit: applied.get(), ..HardState::default() };
        let write = RegionLogWrite {
            hard_state: Some(hard_state.clone()),
            reset_to: Some((applied, applied_term)),
            ..RegionLogWrite::default()
        };
        log.append(LogBatch { regions: vec![(REGION, write)] }).unwrap();
        let state = DurableState {
            region: region(voters),
            hard_state,
            truncated: (applied, applied_term),
            last_index: applied,
            applied,
            applied_term,
        };
        let core = RegionCore::new(options(), voter(1), &state, log.clone(), (now, 1)).unwrap();
        Self { core, log, now }
    }

    /// One input without the end of the batch. Nothing may come of it yet but answers.
    pub fn step(&mut self, input: Input<u64>) -> Vec<Output<u64>> {
        let mut out = Vec::new();
        self.core.step(self.now, input, &mut out);
        out
    }

    pub fn receive(&mut self, message: Message, from: u64) -> Vec<Output<u64>> {
        let epoch = RegionEpoch::INITIAL;
        self.step(Input::Raft { from: voter(from), epoch, message })
    }

    pub fn flush(&mut self) -> Vec<Output<u64>> {
        self.step(Input::Flush)
    }

    /// Inputs that arrive in one batch.
    pub fn batch(&mut self, inputs: Vec<Input<u64>>) -> Vec<Output<u64>> {
        let mut out: Vec<_> = inputs.into_iter().flat_map(|input| self.step(input)).collect();
        out.extend(self.flush());
        out
    }

    pub fn ticks(&mut self, count: u32) -> Vec<Output<u64>> {
        let mut out = Vec::new();
        for _ in 0..count {
            self.now = self.now.after(TICK);
            out.extend(self.batch(vec![Input::Tick]));
        }
        out
    }

    /// Does what `out` asks of the log, and answers what comes of that.
    pub fn persist(&mut self, out: Vec<Output<u64>>) -> Vec<Output<u64>> {
        let mut then = Vec::new();
        for output in out {
            if let Output::Persist { number, write } = output {
                self.log.append(LogBatch { regions: vec![(REGION, write)] }).unwrap();
                then.extend(self.batch(vec![Input::Persisted { number }]));
            }
        }
        then
    }
}

/// Indexes of the entries that shall be applied.
pub fn applies(out: &[Output<u64>]) -> Vec<u64> {
    let entries = out.iter().filter_map(|output| match output {
        Output::Apply(entries) => Some(entries.iter().map(|one| one.entry.index)),
        _ => None,
    });
    entries.flatten().collect()
}

/// Entries that shall be persisted, and whether the log starts anew with them.
pub fn persists(out: &[Output<u64>]) -> Vec<(bool, Vec<u64>)> {
    let writes = out.iter().filter_map(|output| match output {
        Output::Persist { write, .. } => {
            let indexes = write.entries.iter().map(|entry| entry.index).collect();
            Some((write.reset_to.is_some(), indexes))
        }
        _ => None,
    });
    writes.collect()
}

/// Messages that shall be sent, of one kind.
pub fn sends(out: &[Output<u64>], kind: MessageType) -> Vec<Message> {
    let messages = out.iter().filter_map(|output| match output {
        Output::Send(messages) => Some(messages.iter().map(|(_, message)| message.clone())),
        _ => None,
    });
    messages.flatten().filter(|message| message.get_msg_type() == kind).collect()
}
