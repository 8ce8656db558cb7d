//! Garbage collection of transactional versions: which rows nobody can read any more. Pure.
//!
//! Everything is seen from a safe point `S`. Reads and changes below it are refused everywhere before
//! it moves, and no lock of a transaction that began below it is left. So what remains asks
//!
//! | question | rows that answer it |
//! |---|---|
//! | what did a key hold at a time ≥ S? | records above S, and the newest put or delete at or below it |
//! | did anybody commit after a transaction began (≥ S)? | records above S |
//! | was a transaction that began at s ≥ S rolled back? | its record at s, of its own or standing for it |
//! | what became of a transaction that began below S? | none: its locks are gone, nobody asks |
//!
//! and everything else is garbage:
//!
//! ```text
//!   commit_ts    S ──┬── kept, whatever it is ──────────────────────────────────────────── newest
//!   put or delete    │ newest at or below S: kept; but a delete, or a put that has expired at S,
//!                    │ goes together with all that it hides
//!   put or delete    │ older ones: hidden at every time ≥ S
//!   lock, rollback   │ below S: change nothing, and protect only against what is refused
//! oldest             ┴
//! ```
//! A row at exactly S is never garbage by itself: a transaction may begin there, and a rollback may
//! have left its mark on it.
//!
//! Two ways to use this:
//!
//! * [`WriteFilter`] sees *some* records of a key, as a compaction meets them, newest first. A record
//!   is hidden if another one that lives is newer and not above S, and that can be seen from a part.
//!   It drops only what stands for itself. A delete must not go before what it hides, and a long
//!   value must go together with its record: such keys it reports.
//! * [`garbage`] sees all rows of a key in one view, and answers changes that take effect together.
//!
//! So there is no moment, in no snapshot and after no crash, at which a record that can be read lacks
//! its value. A hint of a lock or rollback record ([`crate::mvcc::record::LastChange`]) may point to a
//! delete that is gone, or a put that had expired: whoever follows it finds nothing, and nothing is
//! the answer.
use crate::engine::{Cf, KvSnapshot, Modify};
use crate::error::StorageError;
use crate::mvcc::WriteRecord;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use troupe_types::key::{TXN_PREFIX, prefix_end};
use troupe_types::txn::WriteKind;
use troupe_types::{KeyRange, Timestamp};

/// Bytes of the timestamp behind a key.
const TS_BYTES: usize = size_of::<u64>();
/// Bytes of a group of an encoded key, with its marker.
const GROUP: usize = 9;

/// A row of the write column family: the encoded key and the commit timestamp. `None` if it is none
/// of the transactional space.
fn split(row: &[u8]) -> Option<(&[u8], Timestamp)> {
    let (key, ts) = row.split_at_checked(row.len().checked_sub(TS_BYTES)?)?;
    let inverted = u64::from_be_bytes(ts.try_into().ok()?);
    let is_encoded = key.first() == Some(&TXN_PREFIX)
        && key.len() % GROUP == 0
        && key.chunks_exact(GROUP).rev().enumerate().all(|(i, group)| {
            let is_last = group[GROUP - 1] != u8::MAX;
            is_last == (i == 0)
        });
    is_encoded.then_some((key, Timestamp(!inverted)))
}

/// A row of `key` (encoded) with `ts` behind it.
fn join(key: &[u8], ts: Timestamp) -> Bytes {
    [key, &(!ts.get()).to_be_bytes()].concat().into()
}

/// What a record means for collection at a safe point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Above the safe point.
    Young,
    /// Lock or rollback.
    NoChange,
    /// A put that is alive at the safe point.
    Value,
    /// A delete, or a put that has expired by the safe point.
    End,
}

fn part(record: &WriteRecord, commit_ts: Timestamp, safe_point: Timestamp) -> Part {
    if commit_ts > safe_point {
        return Part::Young;
    }
    match record.kind {
        WriteKind::Lock | WriteKind::Rollback => Part::NoChange,
        WriteKind::Delete => Part::End,
        WriteKind::Put => {
            let end = record.expires_at.map(|end| end.get());
            if end.is_some_and(|end| end <= safe_point.physical_ms()) {
                Part::End
            } else {
                Part::Value
            }
        }
    }
}

/// Does the record have its value in the default column family?
fn has_long_value(record: &WriteRecord) -> bool {
    record.kind == WriteKind::Put && record.short_value.is_none()
}

/// What becomes of a row in a compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Keep,
    /// It goes.
    Drop,
    /// It stays until [`garbage`] has looked at its whole key.
    Clean,
}

/// What the filter knows of the key that it is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// No put or delete at or below the safe point.
    Nothing,
    /// One: the rest is hidden.
    Newest,
    /// A record that does not decode: the rest of the key stays.
    Unreadable,
}

/// Decides on the rows of the write column family that a compaction meets, in key order.
#[derive(Clone, Debug)]
pub struct WriteFilter {
    safe_point: Timestamp,
    key: Vec<u8>,
    seen: Seen,
    young: u64,
}

impl WriteFilter {
    /// Collects behind `safe_point`; at 0 nothing.
    #[must_use]
    pub fn new(safe_point: Timestamp) -> Self {
        Self { safe_point, key: Vec::new(), seen: Seen::Nothing, young: 0 }
    }

    /// Records met that may be garbage behind a later safe point, without a further write: those above
    /// this one, and values that end.
    #[must_use]
    pub fn young(&self) -> u64 {
        self.young
    }

    /// Decides on the next row. Total: what it does not understand stays.
    pub fn row(&mut self, row: &[u8], value: &[u8]) -> Verdict {
        let Some((key, commit_ts)) = split(row) else { return Verdict::Keep };
        if commit_ts > self.safe_point {
            self.young += 1;
            return Verdict::Keep;
        }
        if key != self.key {
            self.key.clear();
            self.key.extend_from_slice(key);
            self.seen = Seen::Nothing;
        }
        if self.seen == Seen::Unreadable {
            return Verdict::Keep;
        }
        let Ok(record) = WriteRecord::decode(value) else {
            self.seen = Seen::Unreadable;
            return Verdict::Keep;
        };
        self.decide(&record, commit_ts)
    }

    fn decide(&mut self, record: &WriteRecord, commit_ts: Timestamp) -> Verdict {
        let is_hidden = self.seen == Seen::Newest;
        let is_below = commit_ts < self.safe_point;
        match part(record, commit_ts, self.safe_point) {
            Part::Young => Verdict::Keep,
            Part::NoChange if is_below => Verdict::Drop,
            Part::NoChange => Verdict::Keep,
            Part::Value | Part::End if is_hidden && has_long_value(record) => Verdict::Clean,
            Part::Value | Part::End if is_hidden => Verdict::Drop,
            Part::Value => {
                self.young += u64::from(record.expires_at.is_some());
                self.seen = Seen::Newest;
                Verdict::Keep
            }
            Part::End => {
                self.seen = Seen::Newest;
                if is_below { Verdict::Clean } else { Verdict::Keep }
            }
        }
    }
}

/// The rows of one key in the write column family, newest first: when, and what is stored.
type Records = Vec<(Timestamp, Bytes)>;

/// Garbage among all records of one key at or below `safe_point`, newest first; oldest first, so that
/// the changes may be cut anywhere into batches. A record that does not decode keeps its whole key.
fn garbage_of_key(key: &[u8], records: &Records, safe_point: Timestamp) -> Vec<Vec<Modify>> {
    let mut garbage = Vec::new();
    let mut is_hidden = false;
    for (commit_ts, value) in records {
        let Ok(record) = WriteRecord::decode(value) else { return Vec::new() };
        let is_below = *commit_ts < safe_point;
        let goes = match part(&record, *commit_ts, safe_point) {
            Part::Young => false,
            Part::NoChange => is_below,
            Part::Value => std::mem::replace(&mut is_hidden, true),
            Part::End => std::mem::replace(&mut is_hidden, true) || is_below,
        };
        if goes {
            let mut together = vec![Modify::Delete(Cf::Write, join(key, *commit_ts))];
            if has_long_value(&record) {
                together.push(Modify::Delete(Cf::Default, join(key, record.start_ts)));
            }
            garbage.push(together);
        }
    }
    garbage.reverse();
    garbage
}

/// All garbage behind `safe_point` among the rows of `range` (of the engine) in `snapshot`. Changes in
/// one element must take effect together; elements in order.
///
/// `range` must not cut a key's rows apart.
///
/// # Errors
/// As [`KvSnapshot::scan`].
pub fn garbage(
    snapshot: &dyn KvSnapshot,
    range: &KeyRange,
    safe_point: Timestamp,
) -> Result<Vec<Vec<Modify>>, StorageError> {
    let mut found = Vec::new();
    let mut at: (Vec<u8>, Records) = (Vec::new(), Vec::new());
    snapshot.scan(Cf::Write, range, false, &mut |row, value| {
        if let Some((key, commit_ts)) = split(row) {
            if at.0 != key {
                found.extend(garbage_of_key(&at.0, &at.1, safe_point));
                at = (key.to_vec(), Vec::new());
            }
            if commit_ts <= safe_point {
                at.1.push((commit_ts, Bytes::copy_from_slice(value)));
            }
        }
        ControlFlow::Continue(())
    })?;
    found.extend(garbage_of_key(&at.0, &at.1, safe_point));
    Ok(found)
}

/// The rows of one key (encoded) at or below `safe_point`.
#[must_use]
pub fn rows_of_key(key: &[u8], safe_point: Timestamp) -> KeyRange {
    KeyRange::new(join(key, safe_point), prefix_end(key))
}

/// The encoded key of a row that the filter wants to be [cleaned](Verdict::Clean).
#[must_use]
pub fn key_of_row(row: &[u8]) -> Option<&[u8]> {
    split(row).map(|(key, _)| key)
}

/// A row: where, and what.
pub type Row = (Cf, Bytes, Bytes);

/// The rows of `range` (of the engine) in `snapshot` that reads and changes at or above `safe_point`
/// can see. Replicas collect at their own pace; of the same history they agree in these rows, if
/// none of them has collected beyond `safe_point`.
///
/// # Errors
/// As [`KvSnapshot::scan`].
pub fn visible_rows(
    snapshot: &dyn KvSnapshot,
    range: &KeyRange,
    safe_point: Timestamp,
) -> Result<Vec<Row>, StorageError> {
    let mut hidden = BTreeSet::new();
    for change in garbage(snapshot, range, safe_point)?.into_iter().flatten() {
        if let Modify::Delete(cf, key) = change {
            hidden.insert((cf, key));
        }
    }
    let mut rows = Vec::new();
    for cf in Cf::DATA {
        snapshot.scan(cf, range, false, &mut |key, value| {
            let key = Bytes::copy_from_slice(key);
            if !hidden.contains(&(cf, key.clone())) {
                rows.push((cf, key, Bytes::copy_from_slice(value)));
            }
            ControlFlow::Continue(())
        })?;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests;
