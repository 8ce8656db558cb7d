//! The search for an order that explains all operations of one key.
//!
//! Depth first: of the operations that have begun and whose turn may come before any other has to
//! end, one takes effect, and so on; when an operation ends that could not, the last choice is taken
//! back. What was tried is remembered by a hash over the set of operations done, which changes by one
//! exclusive-or a step (Zobrist, "A new hashing method", 1970), beside the value that is there.
use super::{Step, UNSEEN, Verdict};
use crate::workload::{Op, Outcome, Value};
use std::collections::{BTreeMap, HashMap};

/// Lines of a report.
const LINES: usize = 40;

/// An operation took effect.
struct Choice {
    op: usize,
    /// What was there before.
    state: Option<Value>,
    /// It changed nothing, so that nothing is lost by it: no need to try without.
    is_forced: bool,
}

/// The point at which the longest explanation ended.
#[derive(Clone, Copy)]
struct Stuck {
    depth: usize,
    event: usize,
    state: Option<Value>,
}

/// Beginnings and ends in time, as a list from which operations can be taken out and put back.
pub(super) struct Search {
    steps: Vec<Step>,
    /// Event `2i` is the beginning of operation `i`, `2i + 1` its end. The list's head is behind all.
    next: Vec<usize>,
    before: Vec<usize>,
    head: usize,
    /// What is there.
    state: Option<Value>,
    /// For each value, operations not done that saw it.
    unseen: BTreeMap<Value, u32>,
    /// Deletes of unknown outcome, in the order in which they were asked for.
    deletes: Vec<usize>,
    deletes_done: usize,
    /// Operations not done that must be.
    left: usize,
    hash: u128,
    /// Configurations tried, and with how few of `deletes`: more would not help.
    tried: HashMap<(u128, Option<Value>), usize>,
    choices: Vec<Choice>,
}

impl Search {
    pub(super) fn new(steps: Vec<Step>) -> Self {
        let head = steps.len() * 2;
        let mut events = Vec::with_capacity(head);
        for (i, step) in steps.iter().enumerate() {
            events.push((step.record.invoked, 2 * i));
            events.push((step.end, 2 * i + 1));
        }
        // What returns and what begins at one point in time overlap.
        events.sort_unstable_by_key(|(at, event)| (*at, event % 2, *event));
        let (mut next, mut before) = (vec![head; head + 1], vec![head; head + 1]);
        let mut last = head;
        for (_, event) in &events {
            next[last] = *event;
            before[*event] = last;
            last = *event;
        }
        next[last] = head;
        before[head] = last;
        let mut unseen: BTreeMap<Value, u32> = BTreeMap::new();
        for value in steps.iter().filter_map(Step::saw) {
            *unseen.entry(value).or_default() += 1;
        }
        let begins = events.iter().filter(|(_, event)| event % 2 == 0).map(|(_, event)| event / 2);
        let deletes: Vec<usize> = begins.filter(|op| steps[*op].is_optional()).collect();
        Self {
            left: steps.len() - deletes.len(),
            steps,
            next,
            before,
            head,
            state: None,
            unseen,
            deletes,
            deletes_done: 0,
            hash: 0,
            tried: HashMap::new(),
            choices: Vec::new(),
        }
    }

    pub(super) fn run(mut self, limit: u64) -> Verdict {
        let mut event = self.next[self.head];
        let mut stuck = Stuck { depth: 0, event, state: None };
        for _ in 0..limit {
            if self.left == 0 {
                return Verdict::Linearizable;
            }
            if event != self.head && event.is_multiple_of(2) {
                event =
                    if self.choose(event / 2) { self.next[self.head] } else { self.next[event] };
                continue;
            }
            // An operation ended that could not take effect before: take the last choice back.
            if self.choices.len() >= stuck.depth {
                stuck = Stuck { depth: self.choices.len(), event, state: self.state };
            }
            match self.take_back() {
                Some(op) => event = self.next[2 * op],
                None => return Verdict::Violation(self.report(stuck)),
            }
        }
        Verdict::Undecided
    }

    /// What is there after `op` took effect, if it can now.
    fn after(&self, op: usize) -> Option<Option<Value>> {
        let (state, Step { record, writes, .. }) = (self.state, self.steps[op]);
        match (record.op, record.outcome) {
            (Op::Get, Outcome::Read(value)) => (value == state).then_some(state),
            (Op::Put(_), _) => Some(Some(writes)),
            (Op::Delete, _) => Some(None),
            (Op::Cas { expect, .. }, Outcome::Swapped { succeeded, previous }) => {
                let is_true = previous == state && succeeded == (state == expect);
                is_true.then_some(if succeeded { Some(writes) } else { state })
            }
            // Its value was seen, so that it succeeded.
            (Op::Cas { expect, .. }, _) => (state == expect).then_some(Some(writes)),
            (Op::Get, _) => None,
        }
    }

    /// Lets `op` take effect, if it can and that was not tried before.
    fn choose(&mut self, op: usize) -> bool {
        let Some(after) = self.after(op) else { return false };
        let (state, step) = (self.state, self.steps[op]);
        let is_forced = after == state && step.record.op != Op::Delete;
        if let Some(value) = state.filter(|_| after != state) {
            let others = self.unseen.get(&value).copied().unwrap_or(0);
            // It would be gone before all have seen it.
            if others > u32::from(step.saw() == Some(value)) {
                return false;
            }
        }
        if step.is_optional() {
            let is_first = self.deletes.get(self.deletes_done) == Some(&op);
            if !is_first || state.is_none() {
                return false;
            }
        }
        let deletes = self.deletes_done + usize::from(step.is_optional());
        let hash = if step.is_optional() { self.hash } else { self.hash ^ token(op) };
        if !is_forced && !self.is_new((hash, after), deletes) {
            return false;
        }
        (self.state, self.hash, self.deletes_done) = (after, hash, deletes);
        self.left -= usize::from(!step.is_optional());
        if let Some(others) = step.saw().and_then(|value| self.unseen.get_mut(&value)) {
            *others -= 1;
        }
        self.unlink(2 * op);
        self.unlink(2 * op + 1);
        self.choices.push(Choice { op, state, is_forced });
        true
    }

    fn is_new(&mut self, configuration: (u128, Option<Value>), deletes: usize) -> bool {
        let fewest = self.tried.entry(configuration).or_insert(usize::MAX);
        let is_new = deletes < *fewest;
        *fewest = deletes.min(*fewest);
        is_new
    }

    /// Takes choices back, up to the last that was one. Answers its operation.
    fn take_back(&mut self) -> Option<usize> {
        loop {
            let Choice { op, state, is_forced } = self.choices.pop()?;
            let step = self.steps[op];
            self.state = state;
            if step.is_optional() {
                self.deletes_done -= 1;
            } else {
                self.hash ^= token(op);
                self.left += 1;
            }
            if let Some(others) = step.saw().and_then(|value| self.unseen.get_mut(&value)) {
                *others += 1;
            }
            self.relink(2 * op + 1);
            self.relink(2 * op);
            if !is_forced {
                return Some(op);
            }
        }
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

    /// What was under way when nothing went on, and all who wrote or saw the value that was there.
    fn report(&self, stuck: Stuck) -> String {
        let Some(step) = self.steps.get(stuck.event / 2) else { return "no event".to_owned() };
        let there = stuck.state;
        let concerns = |other: &&Step| {
            let is_under_way = other.record.invoked <= step.end && other.end >= step.record.invoked;
            let saw = there.is_some() && other.saw() == there;
            is_under_way || saw || super::written_by(other.record.op) == there.or(step.saw())
        };
        let lines: Vec<_> =
            self.steps.iter().filter(concerns).map(|other| other.record.to_string()).collect();
        let more = lines.len().saturating_sub(LINES);
        let there = match there {
            None => "nothing".to_owned(),
            Some(UNSEEN) => "what nobody saw".to_owned(),
            Some(value) => value.to_string(),
        };
        format!(
            "with {there} there, nothing explains\n  {}\namong\n  {}\n  ({more} more)",
            step.record,
            lines[..lines.len() - more].join("\n  ")
        )
    }
}

/// A number of its own for each operation.
fn token(op: usize) -> u128 {
    let half = |salt: u64| {
        // Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (2014).
        let mut z =
            (op as u64).wrapping_mul(2).wrapping_add(salt).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    u128::from(half(1)) << 64 | u128::from(half(2))
}
