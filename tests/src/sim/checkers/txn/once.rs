//! One idempotency key has one outcome, however often and wherever it is sent.
use crate::workload::txn::Fate;
use std::collections::BTreeMap;
use troupe_types::Timestamp;

/// One sending of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Idempotency key.
    pub key: String,
    /// What came back.
    pub fate: Fate,
    /// When it committed, if it did.
    pub commit_ts: Option<Timestamp>,
    /// Were its conditions fulfilled?
    pub succeeded: bool,
    /// It was said to have been done before.
    pub repeated: bool,
}

/// Attempts in the order in which they were made.
#[must_use]
pub fn check(attempts: &[Attempt]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut done: BTreeMap<&str, &Attempt> = BTreeMap::new();
    let mut tried: BTreeMap<&str, u64> = BTreeMap::new();
    for attempt in attempts {
        let key = attempt.key.as_str();
        let earlier = tried.entry(key).or_default();
        match (attempt.fate, done.get(key)) {
            (Fate::Committed, Some(first)) => {
                let is_same =
                    first.commit_ts == attempt.commit_ts && first.succeeded == attempt.succeeded;
                if !is_same || !attempt.repeated {
                    wrong.push(format!("two outcomes under one key: {first:?}, {attempt:?}"));
                }
            }
            (Fate::Committed, None) => {
                if attempt.repeated && *earlier == 0 {
                    wrong.push(format!("it was done before it was asked for: {attempt:?}"));
                }
                done.insert(key, attempt);
            }
            (Fate::Failed | Fate::Unknown, _) => {}
        }
        *earlier += 1;
    }
    wrong
}

#[cfg(test)]
mod tests;
