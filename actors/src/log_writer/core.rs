//! Which writes share a sync, and who is told when it is done. Pure.
use std::collections::BTreeMap;
use troupe_storage::raft_log::{LogBatch, RegionLogWrite};
use troupe_types::{Generation, LogIndex, RegionId, TraceTags};

/// One write of one Region.
#[derive(Debug)]
pub struct Append {
    /// Which Region.
    pub region: RegionId,
    /// Which life of its peer.
    pub generation: Generation,
    /// Number of the write in that life.
    pub number: u64,
    /// What.
    pub write: RegionLogWrite,
    /// Traces that wait for it.
    pub tags: TraceTags,
}

/// What happens to the log writer. `F` is who waits for a fence.
#[derive(Debug)]
pub enum Input<F> {
    /// Write this.
    Append(Append),
    /// Forget entries of a Region up to an index.
    Compact(RegionId, LogIndex),
    /// Forget all of a Region, also what is queued of it.
    Forget(RegionId),
    /// Say when nothing of a Region is queued or under way any more.
    Fence(RegionId, F),
    /// The batch under way is durable.
    Done,
    /// The disk is full; nothing of the batch under way was written.
    DiskFull(LogBatch),
    /// Try the batch again that found the disk full.
    Retry,
    /// End of a mailbox batch.
    Flush,
}

/// What the log writer wants done.
#[derive(Debug, PartialEq)]
pub enum Output<F> {
    /// Make all of it durable with one sync, then say `Done` or `DiskFull`.
    Write(Work),
    /// Tell a Region's peer that its writes up to a number are durable.
    Persisted {
        /// Which Region.
        region: RegionId,
        /// Which life.
        generation: Generation,
        /// Up to which write.
        number: u64,
        /// Traces that waited.
        tags: TraceTags,
    },
    /// The fence holds.
    Fenced(F),
    /// Say `Retry` in a moment.
    RetryLater,
}

/// One round of the log thread, in this order.
#[derive(Debug, Default, PartialEq)]
pub struct Work {
    /// Synced.
    pub batch: LogBatch,
    /// Lazy.
    pub compact: Vec<(RegionId, LogIndex)>,
    /// Lazy.
    pub forget: Vec<RegionId>,
}

#[derive(Clone, Debug)]
struct Ack {
    generation: Generation,
    number: u64,
    tags: TraceTags,
}

/// See the module.
#[derive(Debug)]
pub struct LogWriterCore<F> {
    queued: Vec<Append>,
    compact: BTreeMap<RegionId, LogIndex>,
    forget: Vec<RegionId>,
    /// Acknowledgements of the round under way; `None` = idle.
    under_way: Option<BTreeMap<RegionId, Ack>>,
    stalled: Option<LogBatch>,
    fences: Vec<(RegionId, F)>,
}

impl<F> Default for LogWriterCore<F> {
    fn default() -> Self {
        Self {
            queued: Vec::new(),
            compact: BTreeMap::new(),
            forget: Vec::new(),
            under_way: None,
            stalled: None,
            fences: Vec::new(),
        }
    }
}

impl<F> LogWriterCore<F> {
    /// Takes `input`.
    pub fn step(&mut self, input: Input<F>, out: &mut Vec<Output<F>>) {
        match input {
            Input::Append(append) => self.queued.push(append),
            Input::Compact(region, through) => {
                let furthest = self.compact.entry(region).or_default();
                *furthest = through.max(*furthest);
            }
            Input::Forget(region) => {
                // What its last replica had queued is lost with it: lazy work comes first in a round.
                self.queued.retain(|append| append.region != region);
                self.compact.remove(&region);
                self.forget.push(region);
            }
            Input::Fence(region, waiter) => self.fences.push((region, waiter)),
            Input::Done => self.on_done(out),
            Input::DiskFull(batch) => {
                assert!(self.under_way.is_some(), "a full disk without a batch under way");
                self.stalled = Some(batch);
                out.push(Output::RetryLater);
            }
            Input::Retry => {
                if let Some(batch) = self.stalled.take() {
                    out.push(Output::Write(Work { batch, ..Work::default() }));
                }
            }
            Input::Flush => self.start(out),
        }
        self.check_fences(out);
    }

    fn on_done(&mut self, out: &mut Vec<Output<F>>) {
        let acks = self.under_way.take().expect("invariant: a round ends once");
        if !planted!(AckBeforeSync) {
            Self::acknowledge(acks, out);
        }
    }

    fn acknowledge(acks: BTreeMap<RegionId, Ack>, out: &mut Vec<Output<F>>) {
        for (region, ack) in acks {
            let Ack { generation, number, tags } = ack;
            out.push(Output::Persisted { region, generation, number, tags });
        }
    }

    fn start(&mut self, out: &mut Vec<Output<F>>) {
        let is_idle = self.queued.is_empty() && self.compact.is_empty() && self.forget.is_empty();
        if self.under_way.is_some() || is_idle {
            return;
        }
        let mut acks: BTreeMap<RegionId, Ack> = BTreeMap::new();
        let mut writes: BTreeMap<RegionId, RegionLogWrite> = BTreeMap::new();
        for append in std::mem::take(&mut self.queued) {
            let Append { region, generation, number, write, mut tags } = append;
            if let Some(earlier) = acks.get(&region) {
                tags.merge(&earlier.tags);
            }
            acks.insert(region, Ack { generation, number, tags });
            merge(writes.entry(region).or_default(), write);
        }
        if planted!(AckBeforeSync) {
            Self::acknowledge(acks.clone(), out);
        }
        self.under_way = Some(acks);
        out.push(Output::Write(Work {
            batch: LogBatch { regions: writes.into_iter().collect() },
            compact: std::mem::take(&mut self.compact).into_iter().collect(),
            forget: std::mem::take(&mut self.forget),
        }));
    }

    fn check_fences(&mut self, out: &mut Vec<Output<F>>) {
        let mut waiting = Vec::new();
        for (region, waiter) in std::mem::take(&mut self.fences) {
            let is_busy = self.queued.iter().any(|append| append.region == region)
                || self.under_way.as_ref().is_some_and(|acks| acks.contains_key(&region));
            if is_busy {
                waiting.push((region, waiter));
            } else {
                out.push(Output::Fenced(waiter));
            }
        }
        self.fences = waiting;
    }
}

/// Adds `later` to `earlier`, as if both had been written one after the other.
fn merge(earlier: &mut RegionLogWrite, later: RegionLogWrite) {
    if later.reset_to.is_some() {
        let hard_state = later.hard_state.or_else(|| earlier.hard_state.take());
        *earlier = RegionLogWrite { hard_state, ..later };
        return;
    }
    if let Some(first) = later.entries.first().map(|entry| entry.index) {
        earlier.entries.retain(|entry| entry.index < first);
        earlier.entries.extend(later.entries);
    }
    if later.hard_state.is_some() {
        earlier.hard_state = later.hard_state;
    }
}
