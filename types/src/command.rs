//! What a Raft entry carries, what a read asks for, and what they answer.
//!
//! Commands are edge-neutral: the JSON gateway and (later) TiKV's protocol build the same ones.
//! Keys are stored keys (see [`crate::key`]). Applying a command is total and deterministic: each
//! replica gets the same reply from the same state, so the wall clock travels in the command.
use crate::ids::{Timestamp, UnixMillis};
use crate::key::{Key, KeyRange};
use crate::region::RegionEpoch;
use crate::txn::{LockInfo, MvccHistory, ReadView, TxnRow, TxnValue};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Payload of a normal Raft entry. An empty entry (a new leader's no-op) has no payload at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryPayload {
    /// Writes that were proposed together; each succeeds or fails for itself.
    Writes {
        /// Epoch the proposer saw. Apply refuses all of them if `version` has changed since.
        epoch: RegionEpoch,
        /// In order.
        commands: Vec<WriteCommand>,
    },
}

/// New content of one raw key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RawChange {
    /// Store `value`.
    Put {
        /// User value.
        value: Bytes,
        /// When it ends, if ever.
        expires_at: Option<UnixMillis>,
    },
    /// Remove the key.
    Delete,
}

/// What a compare-and-swap expects to find. An expired value counts as absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RawExpectation {
    /// No value.
    Absent,
    /// Any value.
    Present,
    /// Exactly this value.
    Equals(Bytes),
    /// A value with this [`crate::raw_value::value_hash`].
    Hash(u64),
    /// A value with any other hash, or none (`If-None-Match: "etag"`).
    NotHash(u64),
}

/// One replicated write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteCommand {
    /// Blind writes, applied together or not at all.
    RawWrite {
        /// Keys and their new content; a key named twice gets the last.
        changes: Vec<(Key, RawChange)>,
    },
    /// Changes one key if it is as expected.
    RawCompareAndSwap {
        /// Which key.
        key: Key,
        /// What must be there.
        expect: RawExpectation,
        /// What to make of it.
        change: RawChange,
        /// Clock of the proposer, by which expiry is judged.
        now: UnixMillis,
    },
    /// Removes every key of the range.
    RawDeleteRange {
        /// Must lie inside the Region.
        range: KeyRange,
    },
    /// Changes rows of PD if all of `expect` hold (`None` = absent).
    System {
        /// Rows that must be as given.
        expect: Vec<(Key, Option<Bytes>)>,
        /// Rows to set, or with `None` to remove.
        rows: Vec<(Key, Option<Bytes>)>,
    },
    /// Rows of the transactional space, as a transaction command decided. Valid only in the term in
    /// which it was decided: the leader refuses it in any other.
    Txn {
        /// In order; together or not at all.
        changes: Vec<TxnChange>,
    },
}

/// A column family of transactional rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TxnCf {
    /// Values that are too long for a lock or a commit record.
    Default,
    /// Locks.
    Lock,
    /// Commit records.
    Write,
}

/// One row of the transactional space to set or, without a value, to remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxnChange {
    /// Where.
    pub cf: TxnCf,
    /// Key in the engine: [encoded](crate::key::encode_ordered), with a timestamp behind it except in
    /// [`TxnCf::Lock`].
    pub key: Key,
    /// What; `None` removes.
    pub value: Option<Bytes>,
    /// Only if the row is there: for a mark on a commit record, which a replica that is behind may have
    /// collected already. Setting it would bring the record back. [`TxnCf::Write`] only.
    pub if_present: bool,
}

impl WriteCommand {
    /// Rough size in a Raft entry, for limits and batching.
    #[must_use]
    pub fn approximate_bytes(&self) -> usize {
        const OVERHEAD: usize = 16;
        let change = |change: &RawChange| match change {
            RawChange::Put { value, .. } => value.len() + OVERHEAD,
            RawChange::Delete => OVERHEAD,
        };
        let row = |(key, value): &(Key, Option<Bytes>)| {
            key.len() + value.as_ref().map_or(0, Bytes::len) + OVERHEAD
        };
        match self {
            Self::RawWrite { changes } => {
                changes.iter().map(|(key, c)| key.len() + change(c)).sum::<usize>() + OVERHEAD
            }
            Self::RawCompareAndSwap { key, expect, change: c, .. } => {
                let expected = match expect {
                    RawExpectation::Equals(value) => value.len(),
                    RawExpectation::Absent
                    | RawExpectation::Present
                    | RawExpectation::Hash(_)
                    | RawExpectation::NotHash(_) => 0,
                };
                key.len() + expected + change(c) + OVERHEAD
            }
            Self::RawDeleteRange { range } => range.start.len() + range.end.len() + OVERHEAD,
            Self::System { expect, rows } => {
                expect.iter().chain(rows).map(row).sum::<usize>() + OVERHEAD
            }
            Self::Txn { changes } => {
                let one = |c: &TxnChange| c.key.len() + c.value.as_ref().map_or(0, Bytes::len);
                changes.iter().map(|change| one(change) + OVERHEAD).sum::<usize>() + OVERHEAD
            }
        }
    }

    /// Does every key lie inside `range`?
    #[must_use]
    pub fn is_inside(&self, range: &KeyRange) -> bool {
        match self {
            Self::RawWrite { changes } => changes.iter().all(|(key, _)| range.contains(key)),
            Self::RawCompareAndSwap { key, .. } => range.contains(key),
            Self::RawDeleteRange { range: part } => range.covers(part),
            Self::System { expect, rows } => {
                expect.iter().chain(rows).all(|(key, _)| range.contains(key))
            }
            Self::Txn { changes } => {
                let range = range.data_range();
                changes.iter().all(|change| range.contains(&change.key))
            }
        }
    }
}

/// What a write command answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteReply {
    /// Applied.
    Done,
    /// Answer of [`WriteCommand::RawCompareAndSwap`].
    Swapped {
        /// Was the key as expected (and thus changed)?
        succeeded: bool,
        /// What was there before, expired values as `None`.
        previous: Option<Bytes>,
    },
    /// An expectation of [`WriteCommand::System`] did not hold; nothing was changed.
    Rejected,
}

/// One read on a snapshot of one Region. Expired raw values are never returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadCommand {
    /// Values of raw keys, in the order asked.
    RawGet {
        /// At least one.
        keys: Vec<Key>,
    },
    /// A page of raw rows.
    RawScan {
        /// Must lie inside the Region.
        range: KeyRange,
        /// At most so many rows (≥ 1).
        limit: u32,
        /// Stop after so many bytes of keys and values; the first row is always returned.
        max_bytes: u64,
        /// From the end of the range to its start.
        reverse: bool,
        /// Leave values out.
        keys_only: bool,
    },
    /// Count, bytes and order-independent checksum of raw rows.
    RawChecksum {
        /// Must lie inside the Region.
        range: KeyRange,
        /// At most so many rows looked at in one go.
        limit: u32,
    },
    /// Rows of PD.
    SystemScan {
        /// Must lie inside the system Region.
        range: KeyRange,
    },
    /// Transactional values, in the order asked.
    TxnGet {
        /// At least one.
        keys: Vec<Key>,
        /// As of when.
        view: ReadView,
    },
    /// A page of transactional rows. A lock in the way ends the page.
    TxnScan {
        /// Must lie inside the Region.
        range: KeyRange,
        /// As of when.
        view: ReadView,
        /// At most so many rows (≥ 1).
        limit: u32,
        /// Stop after so many bytes of keys and values; the first row is always returned.
        max_bytes: u64,
        /// From the end of the range to its start.
        reverse: bool,
        /// Leave values out.
        keys_only: bool,
    },
    /// What a transaction larger than memory has flushed and not committed.
    TxnBufferGet {
        /// At least one.
        keys: Vec<Key>,
        /// Which transaction.
        start_ts: Timestamp,
    },
    /// Locks of transactions that began at or below a timestamp.
    ScanLocks {
        /// Must lie inside the Region.
        range: KeyRange,
        /// Up to this one.
        max_ts: Timestamp,
        /// At most so many (≥ 1).
        limit: u32,
    },
    /// All that is stored about a key.
    MvccByKey {
        /// Which key.
        key: Key,
    },
    /// The first key of the range that a transaction touched, and all that is stored about it.
    MvccByStart {
        /// Must lie inside the Region.
        range: KeyRange,
        /// Which transaction.
        start_ts: Timestamp,
    },
    /// Keys whose newest value has ended, for the one who removes them.
    ScanExpired {
        /// Must lie inside the Region.
        range: KeyRange,
        /// Values that ended by then.
        now: UnixMillis,
        /// At most so many (≥ 1).
        limit: u32,
        /// At most so many rows looked at.
        max_rows: u32,
    },
}

impl ReadCommand {
    /// Does everything asked for lie inside `range`?
    #[must_use]
    pub fn is_inside(&self, range: &KeyRange) -> bool {
        match self {
            Self::RawGet { keys } | Self::TxnGet { keys, .. } | Self::TxnBufferGet { keys, .. } => {
                keys.iter().all(|key| range.contains(key))
            }
            Self::MvccByKey { key } => range.contains(key),
            Self::RawScan { range: part, .. }
            | Self::RawChecksum { range: part, .. }
            | Self::SystemScan { range: part }
            | Self::TxnScan { range: part, .. }
            | Self::ScanLocks { range: part, .. }
            | Self::MvccByStart { range: part, .. }
            | Self::ScanExpired { range: part, .. } => range.covers(part),
        }
    }

    /// The view of a snapshot read in the transactional space.
    #[must_use]
    pub fn view(&self) -> Option<&ReadView> {
        match self {
            Self::TxnGet { view, .. } | Self::TxnScan { view, .. } => Some(view),
            Self::RawGet { .. }
            | Self::RawScan { .. }
            | Self::RawChecksum { .. }
            | Self::SystemScan { .. }
            | Self::TxnBufferGet { .. }
            | Self::ScanLocks { .. }
            | Self::MvccByKey { .. }
            | Self::MvccByStart { .. }
            | Self::ScanExpired { .. } => None,
        }
    }
}

/// A raw value as read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawRow {
    /// Stored key.
    pub key: Key,
    /// User value; empty for `keys_only`.
    pub value: Bytes,
    /// When it ends, if ever.
    pub expires_at: Option<UnixMillis>,
}

/// Sum over raw rows. Order does not matter, so sums over parts add up with [`RawChecksum::merge`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawChecksum {
    /// XOR over rows of XXH3-64 of (user key length as 4 bytes little endian, user key, user value).
    pub xor: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes of user keys and user values.
    pub bytes: u64,
}

impl RawChecksum {
    /// Adds one row.
    pub fn add(&mut self, user_key: &[u8], value: &[u8]) {
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        let key_len = u32::try_from(user_key.len()).unwrap_or(u32::MAX);
        hash.update(&key_len.to_le_bytes());
        hash.update(user_key);
        hash.update(value);
        self.xor ^= hash.digest();
        self.rows += 1;
        self.bytes += (user_key.len() + value.len()) as u64;
    }

    /// Adds another part.
    pub fn merge(&mut self, other: &Self) {
        self.xor ^= other.xor;
        self.rows += other.rows;
        self.bytes += other.bytes;
    }
}

/// What a read command answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadReply {
    /// Answer of [`ReadCommand::RawGet`], one for each key.
    Values(Vec<Option<RawRow>>),
    /// Answer of [`ReadCommand::RawScan`] and [`ReadCommand::SystemScan`].
    Rows {
        /// In scan order.
        rows: Vec<RawRow>,
        /// What is left to scan; `None` at the end.
        rest: Option<KeyRange>,
    },
    /// Answer of [`ReadCommand::RawChecksum`].
    Checksum {
        /// Over the rows looked at.
        sum: RawChecksum,
        /// What is left to look at; `None` at the end.
        rest: Option<KeyRange>,
    },
    /// Answer of [`ReadCommand::TxnGet`] and [`ReadCommand::TxnBufferGet`], one for each key.
    TxnValues(Vec<TxnValue>),
    /// Answer of [`ReadCommand::TxnScan`].
    TxnRows {
        /// In scan order.
        rows: Vec<TxnRow>,
        /// What is left to scan; `None` at the end.
        rest: Option<KeyRange>,
        /// The page ended at this lock, which must be resolved before `rest` is read.
        lock: Option<Box<LockInfo>>,
    },
    /// Answer of [`ReadCommand::ScanLocks`].
    Locks {
        /// In key order.
        locks: Vec<LockInfo>,
        /// What is left to look at; `None` at the end.
        rest: Option<KeyRange>,
    },
    /// Answer of [`ReadCommand::MvccByKey`] and [`ReadCommand::MvccByStart`].
    Mvcc(Option<Box<MvccHistory>>),
    /// Answer of [`ReadCommand::ScanExpired`].
    Expired {
        /// Keys, and the commit of the value that has ended.
        keys: Vec<(Key, Timestamp)>,
        /// What is left to look at; `None` at the end.
        rest: Option<KeyRange>,
    },
}
