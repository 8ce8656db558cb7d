//! Timestamps agree with each other, with what was read, and with real time.
use crate::workload::txn::{Fate, ListStep, ListTxn};
use std::collections::BTreeMap;
use troupe_types::Timestamp;

/// What a transaction of any kind says about its timestamps. Points in time as in a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// Who, for people.
    pub who: String,
    /// When it was asked for.
    pub invoked: u64,
    /// When the answer came.
    pub returned: u64,
    /// The snapshot of its reads, if it was the newest that there was.
    pub read_ts: Option<Timestamp>,
    /// When it committed, if it wrote.
    pub commit_ts: Option<Timestamp>,
}

/// Commits lie behind the transaction's snapshot; what is asked for after another's end commits behind
/// it, and sees it (external consistency).
#[must_use]
pub fn check_times(all: &[Stamped]) -> Vec<String> {
    let mut wrong = Vec::new();
    for one in all {
        if let (Some(read), Some(commit)) = (one.read_ts, one.commit_ts)
            && commit <= read
        {
            wrong.push(format!("a commit that is not behind its begin: {one:?}"));
        }
    }
    let mut by_return: Vec<&Stamped> = all.iter().collect();
    by_return.sort_by_key(|one| one.returned);
    let mut by_invoke: Vec<&Stamped> = all.iter().collect();
    by_invoke.sort_by_key(|one| one.invoked);
    let newest = |one: &Stamped| one.commit_ts.max(one.read_ts);
    let mut ended = by_return.into_iter().peekable();
    let mut largest: Option<&Stamped> = None;
    for later in by_invoke {
        while let Some(earlier) = ended.next_if(|one| one.returned < later.invoked) {
            if largest.is_none_or(|largest| newest(largest) < newest(earlier)) {
                largest = Some(earlier);
            }
        }
        let Some(earlier) = largest else { continue };
        let is_before_read = later.read_ts.is_some_and(|read| Some(read) < newest(earlier));
        let is_before_commit = later.commit_ts.is_some_and(|at| Some(at) <= newest(earlier));
        if is_before_read || is_before_commit {
            wrong.push(format!("external consistency: {earlier:?} had ended before {later:?}"));
        }
    }
    wrong
}

/// Versions of a list were committed in the order in which they lie in it, and a snapshot holds those
/// that were committed up to its timestamp, and no other. Says only what is known: commits whose
/// timestamps no client learned are passed over.
#[must_use]
pub fn check_snapshots(history: &[ListTxn]) -> Vec<String> {
    let mut committed: BTreeMap<(u32, u64), Timestamp> = BTreeMap::new();
    let mut longest: BTreeMap<u32, &[u64]> = BTreeMap::new();
    for txn in history.iter().filter(|txn| txn.fate == Fate::Committed) {
        for (key, value) in txn.appends() {
            committed.extend(txn.commit_ts.map(|at| ((key, value), at)));
        }
        for (key, list) in txn.reads() {
            let known = longest.entry(key).or_default();
            *known = if list.len() > known.len() { list } else { known };
        }
    }
    let mut wrong = Vec::new();
    for (key, list) in &longest {
        let known: Vec<(u64, Timestamp)> = list
            .iter()
            .filter_map(|value| Some((*value, *committed.get(&(*key, *value))?)))
            .collect();
        for pair in known.windows(2).filter(|pair| pair[0].1 >= pair[1].1) {
            wrong.push(format!("versions of key {key} out of order: {pair:?}"));
        }
    }
    for txn in history.iter().filter(|txn| txn.fate == Fate::Committed) {
        let Some(read_ts) = txn.read_ts else { continue };
        for (key, list) in first_reads(txn) {
            let at = |value: &u64| committed.get(&(key, *value)).copied();
            let all = longest.get(&key).copied().unwrap_or_default();
            let rest = all.get(list.len()..).unwrap_or_default();
            let is_early = |value: &&u64| at(value).is_some_and(|at| at > read_ts);
            let is_missed = |value: &&u64| at(value).is_some_and(|at| at <= read_ts);
            if let Some(value) = list.iter().find(is_early) {
                wrong.push(format!("key {key} shows {value}, committed after the snapshot: {txn}"));
            }
            if let Some(value) = rest.iter().find(is_missed) {
                wrong.push(format!("key {key} misses {value}, committed in the snapshot: {txn}"));
            }
        }
    }
    wrong
}

/// Reads before the transaction appended to that key itself.
fn first_reads(txn: &ListTxn) -> Vec<(u32, &[u64])> {
    let mut own = Vec::new();
    let mut reads = Vec::new();
    for step in &txn.steps {
        match step {
            ListStep::Append(key, _) => own.push(*key),
            ListStep::Read(key, list) if !own.contains(key) => reads.push((*key, list.as_slice())),
            ListStep::Read(..) => {}
        }
    }
    reads
}

#[cfg(test)]
mod tests;
