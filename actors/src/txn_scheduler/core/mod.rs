//! The decisions of a Store's scheduler of transactional commands: a pure state machine.
//!
//! ```text
//!  Submit ──► latches ──► Run ──► (worker, proposal) ──► Done ──► next in the latches, who waited
//!                          ▲                        ├──► NoEffect  for a released lock
//!                          │                        └──► Blocked ──► lock-wait queue ─┐
//!                          └──────────── released, or the one before did not take it ◄┘
//! ```
//! | file | subject |
//! |---|---|
//! | `mod.rs` | commands on their way, room, deadlines |
//! | `io.rs` | [`Input`] and [`Output`] |
//! | `latches.rs` | who runs after whom |
//! | `waits.rs`, `waiting.rs` | who waits for which lock; waking, giving up, deadlocks |
//! | `memory_locks.rs` | pessimistic locks that are not replicated |
//! | `max_ts.rs` | in which term a commit timestamp may be chosen here |
//!
//! `W` is who waits for the answer: opaque here. It travels with the command to whoever executes it.
mod io;
pub mod latches;
pub mod max_ts;
pub mod memory_locks;
pub mod waiting;
pub mod waits;

pub use io::{CommandId, Effects, Input, MemoryView, Output, Task};

use latches::{Latches, Slots};
use max_ts::MaxTsBook;
use memory_locks::MemoryLocks;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use troupe_types::error::BusyReason;
use troupe_types::{Key, Moment, RegionError, RegionId};
use waits::WaitQueues;

/// Limits and times of a scheduler.
#[derive(Clone, Copy, Debug)]
pub struct SchedulerOptions {
    /// Commands that may be on their way or wait for locks.
    pub commands: usize,
    /// Bytes of all these.
    pub bytes: usize,
    /// Slots of the latches, a power of two.
    pub latch_slots: usize,
    /// Bytes of pessimistic locks in memory in one Region.
    pub region_lock_bytes: usize,
    /// Bytes of pessimistic locks in memory in all Regions.
    pub store_lock_bytes: usize,
    /// How often a wait is told to the detector of deadlocks again. It forgets what it does not hear
    /// of for some times as long.
    pub retell: Duration,
}

impl Default for SchedulerOptions {
    fn default() -> Self {
        Self {
            commands: 16_384,
            bytes: 100 << 20,
            latch_slots: 1 << 15,
            region_lock_bytes: 512 << 10,
            store_lock_bytes: 100 << 20,
            retell: Duration::from_secs(1),
        }
    }
}

/// Where a command stands in the latches.
#[derive(Debug)]
enum Stage<W> {
    /// Others are before it.
    Queued(Task<W>),
    /// It was answered in the queue; it goes when it comes to the front.
    Answered,
    /// It executes, or its proposal is on its way.
    Running,
}

#[derive(Debug)]
struct Entry<W> {
    slots: Slots,
    /// Slots in which others are before it.
    behind: usize,
    bytes: usize,
    stage: Stage<W>,
    /// It waited for a lock on this key, and its turn has come.
    woken_on: Option<Key>,
}

/// See the module.
#[derive(Debug)]
pub struct SchedulerCore<W> {
    options: SchedulerOptions,
    now: Moment,
    last_id: CommandId,
    entries: BTreeMap<CommandId, Entry<W>>,
    latches: Latches,
    /// Commands at the front of all their slots, not looked at yet.
    ready: VecDeque<CommandId>,
    /// When queued commands are no longer worth running.
    deadlines: BTreeSet<(Moment, CommandId)>,
    waits: WaitQueues<W>,
    retell_at: Option<Moment>,
    memory: MemoryLocks,
    max_ts: MaxTsBook,
    /// Bytes of commands in `entries` and `waits`.
    bytes: usize,
}

impl<W> SchedulerCore<W> {
    /// Nothing is under way. Ids of commands begin behind `first_id`.
    #[must_use]
    pub fn new(options: SchedulerOptions, first_id: CommandId) -> Self {
        Self {
            options,
            now: Moment(0),
            last_id: first_id,
            entries: BTreeMap::new(),
            latches: Latches::new(options.latch_slots),
            ready: VecDeque::new(),
            deadlines: BTreeSet::new(),
            waits: WaitQueues::default(),
            retell_at: None,
            memory: MemoryLocks::new(options.region_lock_bytes, options.store_lock_bytes),
            max_ts: MaxTsBook::default(),
            bytes: 0,
        }
    }

    /// Takes `input` at `now`.
    pub fn step(&mut self, now: Moment, input: Input<W>, out: &mut Vec<Output<W>>) {
        assert!(now >= self.now, "the monotonic clock went back");
        self.now = now;
        match input {
            Input::Submit(task) => self.on_submit(task, out),
            Input::Done(id, effects) => self.on_done(id, *effects, out),
            Input::NoEffect(id) => self.on_no_effect(id, out),
            Input::Blocked(id, task, lock) => self.on_blocked(id, task, lock, out),
            Input::WaitJudged { id, edge, cycle } => self.on_judged(id, &edge, cycle, out),
            Input::Led { region, term } => {
                self.max_ts.on_led(region, term);
                self.memory.enter_term(region, term);
            }
            Input::LeadLost { region, leader } => self.on_lead_lost(region, leader, out),
            Input::TimestampAnswered { is_raised } => self.max_ts.on_answer(now, is_raised),
            Input::Wake => self.on_wake(out),
        }
        self.start_ready(out);
        if self.max_ts.begin(now) {
            out.push(Output::AskTimestamp);
        }
    }

    /// When it wants to be woken, at the latest.
    #[must_use]
    pub fn next_wake(&self) -> Option<Moment> {
        let deadline = self.deadlines.first().map(|(at, _)| *at);
        let all = [deadline, self.waits.next_end(), self.retell_at, self.max_ts.retry_at()];
        all.into_iter().flatten().min()
    }

    /// Commands on their way.
    #[must_use]
    pub fn running(&self) -> usize {
        self.entries.len()
    }

    /// Pessimistic locks that are not replicated.
    #[must_use]
    pub fn remembered(&self) -> &MemoryLocks {
        &self.memory
    }

    /// Those who wait for locks.
    #[must_use]
    pub fn waits(&self) -> &WaitQueues<W> {
        &self.waits
    }

    fn on_submit(&mut self, task: Task<W>, out: &mut Vec<Output<W>>) {
        let bytes = task.command.approximate_bytes();
        let held = self.entries.len() + self.waits.len();
        // One command always fits, however large it is.
        let is_full = held >= self.options.commands || self.bytes + bytes > self.options.bytes;
        if is_full && held > 0 {
            let what = BusyReason::TxnScheduler;
            let busy = RegionError::ServerIsBusy { what, backoff_ms: 10 };
            out.push(Output::Answer(task.waiter, Err(busy)));
            return;
        }
        self.last_id += 1;
        self.bytes += bytes;
        self.enqueue(self.last_id, task, None);
    }

    fn enqueue(&mut self, id: CommandId, task: Task<W>, woken_on: Option<Key>) {
        let slots = self.latches.slots_of(task.command.keys());
        let behind = self.latches.enter(id, &slots);
        let bytes = task.command.approximate_bytes();
        if behind == 0 {
            self.ready.push_back(id);
        } else {
            self.deadlines.insert((task.deadline, id));
        }
        let entry = Entry { slots, behind, bytes, stage: Stage::Queued(task), woken_on };
        self.entries.insert(id, entry);
    }

    fn start_ready(&mut self, out: &mut Vec<Output<W>>) {
        while let Some(id) = self.ready.pop_front() {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            match std::mem::replace(&mut entry.stage, Stage::Running) {
                Stage::Queued(task) => {
                    self.deadlines.remove(&(task.deadline, id));
                    if task.deadline <= self.now {
                        out.push(Output::Answer(task.waiter, Err(RegionError::DeadlineExceeded)));
                        self.on_no_effect(id, out);
                    } else {
                        let memory = self.memory_view(&task);
                        out.push(Output::Run { id, task, memory });
                    }
                }
                Stage::Answered => self.on_no_effect(id, out),
                Stage::Running => unreachable!("a command runs once"),
            }
        }
    }

    fn memory_view(&self, task: &Task<W>) -> MemoryView {
        let region = task.target.region;
        let (term, locks) = self.memory.view(region, task.command.keys());
        let may_remember = self.memory.has_room(region);
        MemoryView { term, locks, may_remember, synced: self.max_ts.synced(region) }
    }

    /// `id` is over: those behind it move up.
    fn leave(&mut self, id: CommandId) -> Entry<W> {
        let entry = self.entries.remove(&id).expect("invariant: a command ends once");
        assert!(entry.behind == 0, "a command that others are before cannot end");
        let (entries, ready) = (&mut self.entries, &mut self.ready);
        self.latches.leave(id, &entry.slots, |next| {
            let next_entry = entries.get_mut(&next).expect("invariant: who queues has an entry");
            next_entry.behind -= 1;
            if next_entry.behind == 0 {
                ready.push_back(next);
            }
        });
        entry
    }

    fn on_done(&mut self, id: CommandId, effects: Effects, out: &mut Vec<Output<W>>) {
        let Effects { region, term, start_ts, remembered, forgotten, released, locked } = effects;
        self.memory.remember(region, term, remembered);
        self.memory.forget(region, term, &forgotten);
        let entry = self.leave(id);
        self.bytes -= entry.bytes;
        if self.waits.is_empty() {
            return;
        }
        for key in &locked {
            self.pass_on_hold(key, start_ts, out);
        }
        for key in &released {
            self.wake_oldest(key, out);
        }
        let is_free = |key: &Key| !locked.contains(key) && !released.contains(key);
        if let Some(key) = entry.woken_on.filter(is_free) {
            self.wake_oldest(&key, out);
        }
    }

    /// `id` ended and changed nothing. A lock that it was woken for is still free.
    fn on_no_effect(&mut self, id: CommandId, out: &mut Vec<Output<W>>) {
        let entry = self.leave(id);
        self.bytes -= entry.bytes;
        if let Some(key) = entry.woken_on {
            self.wake_oldest(&key, out);
        }
    }

    fn on_wake(&mut self, out: &mut Vec<Output<W>>) {
        while let Some((at, id)) = self.deadlines.first().copied().filter(|(at, _)| *at <= self.now)
        {
            self.deadlines.remove(&(at, id));
            let entry = self.entries.get_mut(&id).expect("invariant: who queues has an entry");
            if let Stage::Queued(task) = std::mem::replace(&mut entry.stage, Stage::Answered) {
                out.push(Output::Answer(task.waiter, Err(RegionError::DeadlineExceeded)));
            }
        }
        self.end_overdue_waits(out);
        self.retell_waits(out);
    }

    fn on_lead_lost(
        &mut self,
        region: RegionId,
        leader: Option<troupe_types::Peer>,
        out: &mut Vec<Output<W>>,
    ) {
        self.memory.drop_region(region);
        for id in self.waits.in_region(region) {
            let error = RegionError::NotLeader { region, leader };
            self.end_wait(id, |_| Err(error), out);
        }
    }
}
