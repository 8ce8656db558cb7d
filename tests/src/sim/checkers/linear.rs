//! Linearizability of operations on single keys.
//!
//! Wing and Gong, "Testing and Verifying Concurrent Objects" (1993), with Lowe's memory of visited
//! configurations ("Testing for linearizability", 2017). A key is checked by itself (Herlihy and Wing:
//! linearizability is local).
//!
//! An operation of unknown outcome may take effect at any time after it was asked for, or never. Three
//! things keep the search small, most of them because values are unique:
//! * A write of unknown outcome whose value nobody saw is left out: it can always be put at the end.
//!   One whose value was seen took effect, and before whoever saw it returned.
//! * A value is gone for good once it is overwritten: nothing overwrites it before all have seen it
//!   who say that they did (`search.rs`).
//! * Values that nobody saw are all alike, and so are deletes of unknown outcome: of those that may
//!   happen, the first asked for does.
//!
//! Measured in the profile of the tests, 10,000 operations of 8 clients on one key: 6 ms; with 2 % of
//! unknown outcome and a stale read, 9 to 21 ms.
mod search;

use crate::workload::{Op, Outcome, Record, Value};
use search::Search;
use std::collections::{BTreeMap, BTreeSet};

/// Most steps of the search for one key.
const LIMIT: u64 = 20_000_000;

/// Stands for every value that nobody saw.
const UNSEEN: Value = Value::MAX;

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
///
/// # Panics
/// Two writes of one key write the same value.
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
///
/// # Panics
/// As [`check`].
#[must_use]
pub fn check_key(records: &[Record]) -> Verdict {
    check_key_within(records, LIMIT)
}

fn check_key_within(records: &[Record], limit: u64) -> Verdict {
    assert_unique(records);
    Search::new(relevant(records)).run(limit)
}

fn assert_unique(records: &[Record]) {
    let mut written = BTreeSet::from([UNSEEN]);
    let perhaps_wrote = |record: &&Record| match record.outcome {
        Outcome::Failed | Outcome::Swapped { succeeded: false, .. } => false,
        Outcome::Read(_) | Outcome::Done | Outcome::Swapped { .. } | Outcome::Unknown => true,
    };
    for value in records.iter().filter(perhaps_wrote).filter_map(|record| written_by(record.op)) {
        assert!(written.insert(value), "two operations write the value {value}");
    }
}

fn written_by(op: Op) -> Option<Value> {
    match op {
        Op::Put(value) | Op::Cas { new: value, .. } => Some(value),
        Op::Get | Op::Delete => None,
    }
}

/// An operation that says something.
#[derive(Clone, Copy, Debug)]
struct Step {
    record: Record,
    /// It took effect before this point in time, if at all.
    end: u64,
    /// What a write leaves.
    writes: Value,
}

impl Step {
    /// The value that was there when it took effect.
    fn saw(&self) -> Option<Value> {
        match (self.record.op, self.record.outcome) {
            (_, Outcome::Read(value) | Outcome::Swapped { previous: value, .. }) => value,
            (Op::Cas { expect, .. }, Outcome::Unknown) => expect,
            (_, Outcome::Done | Outcome::Failed | Outcome::Unknown) => None,
        }
    }

    /// It may also have had no effect at all.
    fn is_optional(&self) -> bool {
        self.record.outcome == Outcome::Unknown && self.record.op == Op::Delete
    }
}

/// Operations without those that had no effect, that read and never came back, and that wrote with
/// unknown outcome what nobody saw.
fn relevant(records: &[Record]) -> Vec<Step> {
    let seen = seen(records);
    let step = |record: &Record| {
        let returned = match record.outcome {
            Outcome::Unknown => u64::MAX,
            Outcome::Read(_) | Outcome::Done | Outcome::Swapped { .. } | Outcome::Failed => {
                record.returned.unwrap_or(u64::MAX)
            }
        };
        let by = written_by(record.op).and_then(|value| seen.get(&value)).copied();
        let end = match (record.op, record.outcome) {
            (_, Outcome::Failed) | (Op::Get, Outcome::Unknown) => return None,
            (Op::Put(_) | Op::Cas { .. }, Outcome::Unknown) => by?,
            (Op::Delete, Outcome::Unknown)
            | (_, Outcome::Read(_) | Outcome::Done | Outcome::Swapped { .. }) => returned,
        };
        let writes = written_by(record.op).filter(|value| seen.contains_key(value));
        Some(Step { record: *record, end, writes: writes.unwrap_or(UNSEEN) })
    };
    records.iter().filter_map(step).collect()
}

/// Each value that was surely there, and a point in time before which it was.
fn seen(records: &[Record]) -> BTreeMap<Value, u64> {
    let mut seen = BTreeMap::new();
    let mut expected = BTreeMap::new();
    for record in records {
        match (record.op, record.outcome) {
            (_, Outcome::Read(Some(value)) | Outcome::Swapped { previous: Some(value), .. }) => {
                lower(&mut seen, value, record.returned.unwrap_or(u64::MAX));
            }
            (Op::Cas { expect: Some(value), new }, Outcome::Unknown) => {
                expected.insert(new, value);
            }
            (Op::Get | Op::Put(_) | Op::Delete | Op::Cas { .. }, _) => {}
        }
    }
    // A swap whose new value was seen found the value that it expected, even if nobody said so.
    let mut news: Vec<(Value, u64)> = seen.iter().map(|(value, by)| (*value, *by)).collect();
    while let Some((new, by)) = news.pop() {
        if let Some(value) = expected.get(&new)
            && lower(&mut seen, *value, by)
        {
            news.push((*value, by));
        }
    }
    seen
}

/// Is it news that `value` was there before `by`?
fn lower(seen: &mut BTreeMap<Value, u64>, value: Value, by: u64) -> bool {
    let is_news = seen.get(&value).is_none_or(|known| by < *known);
    if is_news {
        seen.insert(value, by);
    }
    is_news
}

#[cfg(test)]
mod tests;
