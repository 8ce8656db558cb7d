//! What a serializable transaction read of others' commits, and whether it is still so at its commit.
use std::collections::BTreeMap;
use troupe_types::txn::TxnRow;
use troupe_types::{Key, KeyRange, Timestamp};

/// Rows of one range, as keys and versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeRead {
    /// What was looked at.
    pub range: KeyRange,
    /// In key order.
    pub rows: Vec<(Key, Timestamp)>,
}

/// Everything read.
#[derive(Clone, Debug, Default)]
pub struct ReadSet {
    points: BTreeMap<Key, Timestamp>,
    ranges: Vec<RangeRead>,
}

/// The version of a key: its commit timestamp, or 0 without a value.
#[must_use]
pub fn version(row: Option<&TxnRow>) -> Timestamp {
    row.map_or(Timestamp::ZERO, |row| row.commit_ts)
}

/// `rows`, in either order, as keys and versions in key order.
#[must_use]
pub fn versions(rows: &[TxnRow], reverse: bool) -> Vec<(Key, Timestamp)> {
    let one = |row: &TxnRow| (row.key.clone(), row.commit_ts);
    if reverse { rows.iter().rev().map(one).collect() } else { rows.iter().map(one).collect() }
}

impl ReadSet {
    /// A key was read.
    pub fn note_point(&mut self, key: Key, version: Timestamp) {
        let known = self.points.insert(key, version);
        assert!(
            known.is_none_or(|known| known == version),
            "one snapshot has one version of a key"
        );
    }

    /// All of a range was read.
    pub fn note_range(&mut self, read: RangeRead) {
        self.ranges.push(read);
    }

    /// Keys read, with their versions.
    pub fn points(&self) -> impl Iterator<Item = (&Key, Timestamp)> {
        self.points.iter().map(|(key, version)| (key, *version))
    }

    /// Ranges read.
    #[must_use]
    pub fn ranges(&self) -> &[RangeRead] {
        &self.ranges
    }

    /// A key that differs between what was read and what is there now.
    #[must_use]
    pub fn difference(read: &[(Key, Timestamp)], now: &[(Key, Timestamp)]) -> Option<Key> {
        let first = read.iter().zip(now).find(|(a, b)| a != b).map(|(a, b)| a.min(b).0.clone());
        let longer = if read.len() > now.len() { read } else { now };
        first.or_else(|| longer.get(read.len().min(now.len())).map(|(key, _)| key.clone()))
    }
}
