//! Transactions whose end is known, so that each of their locks need not ask again.
use std::collections::BTreeMap;
use troupe_types::Timestamp;

/// Transactions remembered.
const KEPT: usize = 4096;

/// How a transaction ended, by its start timestamp. Such an end never changes.
#[derive(Debug, Default)]
pub struct Decided(BTreeMap<Timestamp, Timestamp>);

impl Decided {
    /// The transaction that began at `start_ts` committed at `commit_ts`, or (0) was rolled back.
    /// Beyond a bound the oldest transaction is forgotten.
    pub fn note(&mut self, start_ts: Timestamp, commit_ts: Timestamp) {
        let known = self.0.insert(start_ts, commit_ts);
        assert!(known.is_none_or(|known| known == commit_ts), "a transaction ends in one way only");
        if self.0.len() > KEPT {
            self.0.pop_first();
        }
    }

    /// When it committed (0 = it was rolled back), if that is known.
    #[must_use]
    pub fn get(&self, start_ts: Timestamp) -> Option<Timestamp> {
        self.0.get(&start_ts).copied()
    }
}
