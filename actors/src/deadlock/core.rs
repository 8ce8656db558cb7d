//! The graph of who waits for whom. Pure.
//!
//! An edge is looked at when it is added: if the holder already waits, over any number of others, for
//! the waiter, the new edge would close a cycle. It is refused then, so that the graph never has one,
//! and the transaction that asked last is the victim.
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use troupe_types::txn::deadlock::{DeadlockRecord, DetectReply, DetectRequest, WaitEdge};
use troupe_types::{Key, Moment, Timestamp, UnixMillis};

/// Deadlocks that are remembered.
pub const RECENT: usize = 64;

/// Limits of a detector.
#[derive(Clone, Copy, Debug)]
pub struct DetectorOptions {
    /// An edge that was not told again for so long is forgotten.
    pub forget_after: Duration,
    /// Edges held; more are not noted, and their deadlocks end by the time-outs of waits.
    pub max_edges: usize,
    /// Transactions looked at for one question.
    pub max_steps: usize,
}

impl Default for DetectorOptions {
    fn default() -> Self {
        Self { forget_after: Duration::from_secs(5), max_edges: 100_000, max_steps: 10_000 }
    }
}

type Holders = BTreeMap<(Timestamp, Key), Moment>;

/// See the module.
#[derive(Debug, Default)]
pub struct Detector {
    options: DetectorOptions,
    /// By waiter: for whom it waits, on which key, and when that was last told.
    waits: BTreeMap<Timestamp, Holders>,
    edges: usize,
    recent: VecDeque<DeadlockRecord>,
    last_sweep: Moment,
}

impl Detector {
    /// Nobody waits.
    #[must_use]
    pub fn new(options: DetectorOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Answers `request` at `now`; `at` is the wall clock for the record.
    pub fn step(&mut self, now: Moment, at: UnixMillis, request: DetectRequest) -> DetectReply {
        self.sweep(now);
        match request {
            DetectRequest::Wait(edge) => match self.wait(now, &edge) {
                Some(cycle) => {
                    self.record(DeadlockRecord { at, victim: edge.waiter, cycle: cycle.clone() });
                    DetectReply::Deadlock(cycle)
                }
                None => DetectReply::Done,
            },
            DetectRequest::Woken(edge) => {
                self.remove(&edge);
                DetectReply::Done
            }
            DetectRequest::Ended(txn) => {
                self.end(txn);
                DetectReply::Done
            }
            DetectRequest::List => {
                let recent = self.recent.iter().cloned().collect();
                DetectReply::Waits { edges: self.edges(now), recent }
            }
        }
    }

    /// Notes an edge, or answers the cycle that it would close.
    fn wait(&mut self, now: Moment, edge: &WaitEdge) -> Option<Vec<WaitEdge>> {
        if edge.waiter == edge.holder {
            return None;
        }
        let place = (edge.holder, edge.key.clone());
        if let Some(told) = self.waits.get_mut(&edge.waiter).and_then(|h| h.get_mut(&place)) {
            *told = now;
        }
        if let Some(mut path) = self.path(now, edge.holder, edge.waiter) {
            self.remove(edge);
            path.insert(0, edge.clone());
            return Some(path);
        }
        let is_known = self.waits.get(&edge.waiter).is_some_and(|h| h.contains_key(&place));
        if !is_known && self.edges < self.options.max_edges {
            self.waits.entry(edge.waiter).or_default().insert(place, now);
            self.edges += 1;
        }
        None
    }

    /// The shortest chain of waits from `from` to `to`.
    fn path(&self, now: Moment, from: Timestamp, to: Timestamp) -> Option<Vec<WaitEdge>> {
        let mut reached: BTreeMap<Timestamp, WaitEdge> = BTreeMap::new();
        let mut seen = BTreeSet::from([from]);
        let mut next = VecDeque::from([from]);
        while let Some(waiter) = next.pop_front().filter(|_| seen.len() <= self.options.max_steps) {
            for ((holder, key), told) in self.waits.get(&waiter).into_iter().flatten() {
                if !self.is_fresh(now, *told) || !seen.insert(*holder) {
                    continue;
                }
                reached.insert(*holder, WaitEdge { waiter, holder: *holder, key: key.clone() });
                if *holder == to {
                    return Some(walk_back(&reached, from, to));
                }
                next.push_back(*holder);
            }
        }
        None
    }

    fn is_fresh(&self, now: Moment, told: Moment) -> bool {
        now.since(told) < self.options.forget_after
    }

    fn remove(&mut self, edge: &WaitEdge) {
        let Some(holders) = self.waits.get_mut(&edge.waiter) else { return };
        if holders.remove(&(edge.holder, edge.key.clone())).is_some() {
            self.edges -= 1;
        }
        if holders.is_empty() {
            self.waits.remove(&edge.waiter);
        }
    }

    fn end(&mut self, txn: Timestamp) {
        self.waits.remove(&txn);
        for holders in self.waits.values_mut() {
            holders.retain(|(holder, _), _| *holder != txn);
        }
        self.recount();
    }

    /// Forgets what was not told again, now and then.
    fn sweep(&mut self, now: Moment) {
        if now.since(self.last_sweep) < self.options.forget_after {
            return;
        }
        self.last_sweep = now;
        let keep = self.options.forget_after;
        for holders in self.waits.values_mut() {
            holders.retain(|_, told| now.since(*told) < keep);
        }
        self.recount();
    }

    fn recount(&mut self) {
        self.waits.retain(|_, holders| !holders.is_empty());
        self.edges = self.waits.values().map(BTreeMap::len).sum();
    }

    fn record(&mut self, record: DeadlockRecord) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(record);
    }

    fn edges(&self, now: Moment) -> Vec<WaitEdge> {
        let mut edges = Vec::with_capacity(self.edges);
        for (waiter, holders) in &self.waits {
            let fresh = holders.iter().filter(|(_, told)| self.is_fresh(now, **told));
            edges.extend(fresh.map(|((holder, key), _)| WaitEdge {
                waiter: *waiter,
                holder: *holder,
                key: key.clone(),
            }));
        }
        edges
    }
}

/// The chain from `from` to `to`, where `reached` holds for each the edge that led to it.
fn walk_back(
    reached: &BTreeMap<Timestamp, WaitEdge>,
    from: Timestamp,
    to: Timestamp,
) -> Vec<WaitEdge> {
    let mut chain = VecDeque::new();
    let mut at = to;
    while let Some(edge) = reached.get(&at).filter(|_| at != from) {
        chain.push_front(edge.clone());
        at = edge.waiter;
    }
    chain.into()
}
