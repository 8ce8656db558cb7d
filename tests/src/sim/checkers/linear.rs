//! Linearizability of operations on single keys.
//!
//! Wing and Gong, "Testing and Verifying Concurrent Objects" (1993), with Lowe's memory of visited
//! configurations ("Testing for linearizability", 2017). A key is checked by itself (Herlihy and Wing:
//! linearizability is local).
//!
//! An operation of unknown outcome may take effect at any time after it was asked for, or never. Never
//! is the same as "after everything else", so it simply has no end. Writes of unknown outcome whose
//! value nobody saw are left out: they can always be put at the end.
use crate::workload::{Op, Outcome, Record};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Most configurations looked at for one key.
const LIMIT: u64 = 3_000_000;

/// What the check of one key came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order that explains everything.
    Linearizable,
    /// There is none. The operations around the first one that nothing explains.
    Violation(String),
    /// Too many possibilities. Never counts as passed.
    Undecided,
}

/// Checks each key; answers the first one that is not found linearizable.
#[must_use]
pub fn check(records: &[Record]) -> Option<(u32, Verdict)> {
    let mut keys: BTreeMap<u32, Vec<Record>> = BTreeMap::new();
    for record in records {
        keys.entry(record.key).or_default().push(*record);
    }
    let verdicts = keys.into_iter().map(|(key, records)| (key, check_key(&records)));
    verdicts.into_iter().find(|(_, verdict)| *verdict != Verdict::Linearizable)
}

/// Checks the operations of one key.
#[must_use]
pub fn check_key(records: &[Record]) -> Verdict {
    let relevant = relevant(records);
    Search::new(&relevant).run()
}

/// Operations that say something: without effect-free ones, reads that never came back, and writes
/// of unknown outcome that nobody saw.
fn relevant(records: &[Record]) -> Vec<Record> {
    let mut seen = BTreeSet::new();
    for record in records {
        match record.outcome {
            Outcome::Read(Some(value)) | Outcome::Swapped { previous: Some(value), .. } => {
                seen.insert(value);
            }
            Outcome::Read(None)
            | Outcome::Swapped { previous: None, .. }
            | Outcome::Done
            | Outcome::Failed
            | Outcome::Unknown => {}
        }
    }
    let is_relevant = |record: &&Record| match (record.outcome, record.op) {
        (Outcome::Failed, _) | (Outcome::Unknown, Op::Get) => false,
        (Outcome::Unknown, Op::Put(value) | Op::Cas { new: value, .. }) => seen.contains(&value),
        (Outcome::Unknown, Op::Delete)
        | (Outcome::Read(_) | Outcome::Done | Outcome::Swapped { .. }, _) => true,
    };
    records.iter().filter(is_relevant).copied().collect()
}

/// The register: what is there after `record` took effect, if it can take effect now.
fn apply(state: Option<u64>, record: &Record) -> Option<Option<u64>> {
    match (record.op, record.outcome) {
        (Op::Get, Outcome::Read(value)) => (value == state).then_some(state),
        (Op::Put(value), _) => Some(Some(value)),
        (Op::Delete, _) => Some(None),
        (Op::Cas { expect, new }, Outcome::Swapped { succeeded, previous }) => {
            let is_true = previous == state && succeeded == (state == expect);
            is_true.then_some(if succeeded { Some(new) } else { state })
        }
        (Op::Cas { expect, new }, _) => Some(if state == expect { Some(new) } else { state }),
        (Op::Get, _) => Some(state),
    }
}

/// Beginnings and ends in time, as a list from which operations can be taken out and put back.
struct Search<'a> {
    records: &'a [Record],
    /// Event `2i` is the beginning of operation `i`, `2i + 1` its end. The list's head is behind all.
    next: Vec<usize>,
    before: Vec<usize>,
    head: usize,
}

impl<'a> Search<'a> {
    fn new(records: &'a [Record]) -> Self {
        let head = records.len() * 2;
        let mut events: Vec<(u64, usize)> = Vec::with_capacity(head);
        for (i, record) in records.iter().enumerate() {
            let end = match record.outcome {
                Outcome::Unknown => u64::MAX,
                Outcome::Read(_) | Outcome::Done | Outcome::Swapped { .. } | Outcome::Failed => {
                    record.returned.unwrap_or(u64::MAX)
                }
            };
            events.push((record.invoked, 2 * i));
            events.push((end, 2 * i + 1));
        }
        events.sort_unstable();
        let (mut next, mut before) = (vec![head; head + 1], vec![head; head + 1]);
        let mut last = head;
        for (_, event) in events {
            next[last] = event;
            before[event] = last;
            last = event;
        }
        next[last] = head;
        before[head] = last;
        Self { records, next, before, head }
    }

    fn unlink(&mut self, event: usize) {
        let (before, next) = (self.before[event], self.next[event]);
        self.next[before] = next;
        self.before[next] = before;
    }

    fn relink(&mut self, event: usize) {
        let (before, next) = (self.before[event], self.next[event]);
        self.next[before] = event;
        self.before[next] = event;
    }

    fn run(mut self) -> Verdict {
        let mut state: Option<u64> = None;
        let mut done = vec![0_u64; self.records.len().div_ceil(64)];
        let mut visited: HashSet<(Vec<u64>, Option<u64>)> = HashSet::new();
        let mut taken: Vec<(usize, Option<u64>)> = Vec::new();
        let (mut deepest, mut stuck_at) = (0, self.next[self.head]);
        let mut event = self.next[self.head];
        let mut steps = 0_u64;
        while self.next[self.head] != self.head {
            steps += 1;
            if steps > LIMIT {
                return Verdict::Undecided;
            }
            let (op, is_end) = (event / 2, event % 2 == 1);
            if !is_end && event != self.head {
                if let Some(after) = apply(state, &self.records[op]) {
                    done[op / 64] |= 1 << (op % 64);
                    if visited.insert((done.clone(), after)) {
                        taken.push((op, state));
                        state = after;
                        self.unlink(2 * op);
                        self.unlink(2 * op + 1);
                        event = self.next[self.head];
                        continue;
                    }
                    done[op / 64] &= !(1 << (op % 64));
                }
                event = self.next[event];
                continue;
            }
            // An operation ended that could not take effect before: take the last choice back.
            if taken.len() >= deepest {
                (deepest, stuck_at) = (taken.len(), event);
            }
            let Some((op, earlier)) = taken.pop() else {
                return Verdict::Violation(self.report(stuck_at));
            };
            state = earlier;
            done[op / 64] &= !(1 << (op % 64));
            self.relink(2 * op + 1);
            self.relink(2 * op);
            event = self.next[2 * op];
        }
        Verdict::Linearizable
    }

    /// The operations that were under way when nothing went on.
    fn report(&self, stuck_at: usize) -> String {
        let Some(stuck) = self.records.get(stuck_at / 2) else { return "no event".to_owned() };
        let end = stuck.returned.unwrap_or(u64::MAX);
        let from = stuck.invoked.saturating_sub(60);
        let near = self.records.iter().filter(|r| {
            r.invoked <= end && (r.returned.is_none_or(|at| at >= from) || r.invoked >= from)
        });
        let lines: Vec<_> = near.map(ToString::to_string).collect();
        format!("nothing explains\n  {stuck}\namong\n  {}", lines.join("\n  "))
    }
}

#[cfg(test)]
mod tests;
