//! Keys and key ranges.
//!
//! Every stored data key starts with one byte that names its space, so that spaces never mix and a
//! Region boundary is a plain byte string (API V2 of TiKV):
//!
//! ```text
//! 's' ......................  system rows of PD (the system Region: ["s", "t"))
//! 'r' keyspace[3] user-key    raw space
//! 'x' keyspace[3] user-key    transactional space
//! ```
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A stored data key, with its mode prefix. Longest user key: see `config` (8 KiB by default).
pub type Key = Bytes;

/// First byte of PD's rows.
pub const SYSTEM_PREFIX: u8 = b's';
/// First byte of a raw key.
pub const RAW_PREFIX: u8 = b'r';
/// First byte of a transactional key.
pub const TXN_PREFIX: u8 = b'x';
/// Bytes in front of the user key: mode and keyspace.
pub const PREFIX_LEN: usize = 4;

/// Half-open range `[start, end)` of stored keys. An empty `end` means "to the end of all keys".
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyRange {
    /// First key inside.
    pub start: Key,
    /// First key behind; empty = unbounded.
    pub end: Key,
}

impl KeyRange {
    /// `[start, end)`; an empty `end` is unbounded.
    #[must_use]
    pub fn new(start: impl Into<Key>, end: impl Into<Key>) -> Self {
        Self { start: start.into(), end: end.into() }
    }

    /// The rows of PD.
    #[must_use]
    pub fn system() -> Self {
        Self::new(&b"s"[..], &b"t"[..])
    }

    /// Everything that is not in [`KeyRange::system`] and may belong to a data Region: the raw
    /// prefix `r` sorts below `s`, the transactional prefix `x` above, so data lies on both sides.
    #[must_use]
    pub fn raw_space() -> Self {
        Self::new(raw_key(0, b""), &b"s"[..])
    }

    /// All keys of the transactional space.
    #[must_use]
    pub fn txn_space() -> Self {
        Self::new(txn_key(0, b""), prefix_end(&[TXN_PREFIX]))
    }

    /// The range that the rows of this range take in the engine: transactional rows are stored under
    /// [memcomparable](encode_ordered) keys, all others under their own. A range that holds data
    /// lies within one space.
    #[must_use]
    pub fn data_range(&self) -> Self {
        if self.start.first() != Some(&TXN_PREFIX) {
            return self.clone();
        }
        let end = if self.end.is_empty() { Key::new() } else { encode_ordered(&self.end) };
        Self { start: encode_ordered(&self.start), end }
    }

    /// All keys with `prefix`.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        Self { start: Bytes::copy_from_slice(prefix), end: prefix_end(prefix) }
    }

    /// Is `key` inside?
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.start.as_ref() && (self.end.is_empty() || key < self.end.as_ref())
    }

    /// Is all of `other` inside?
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let end_inside = self.end.is_empty() || (!other.end.is_empty() && other.end <= self.end);
        other.start >= self.start && end_inside
    }

    /// Does no key lie inside?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.end.is_empty() && self.start >= self.end
    }

    /// The part that lies in both, if any.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        let start = self.start.clone().max(other.start.clone());
        let end = match (self.end.is_empty(), other.end.is_empty()) {
            (true, _) => other.end.clone(),
            (_, true) => self.end.clone(),
            _ => self.end.clone().min(other.end.clone()),
        };
        let both = Self { start, end };
        (!both.is_empty()).then_some(both)
    }
}

impl fmt::Debug for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:?}, {:?})", self.start, self.end)
    }
}

/// The smallest key that is greater than every key with `prefix`; empty if there is none.
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Key {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end.into();
        }
    }
    Bytes::new()
}

/// The smallest key that is greater than `key`.
#[must_use]
pub fn successor(key: &[u8]) -> Key {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}

/// The stored key of a raw user key. `keyspace` must be below 2^24.
#[must_use]
pub fn raw_key(keyspace: u32, user_key: &[u8]) -> Key {
    space_key(RAW_PREFIX, keyspace, user_key)
}

/// The stored key of a transactional user key. `keyspace` must be below 2^24.
#[must_use]
pub fn txn_key(keyspace: u32, user_key: &[u8]) -> Key {
    space_key(TXN_PREFIX, keyspace, user_key)
}

/// The range of one keyspace of the transactional space, limited to user keys `[start, end)`. An
/// empty user `end` means the end of the keyspace.
#[must_use]
pub fn txn_range(keyspace: u32, start: &[u8], end: &[u8]) -> KeyRange {
    let stored_end =
        if end.is_empty() { prefix_end(&txn_key(keyspace, b"")) } else { txn_key(keyspace, end) };
    KeyRange::new(txn_key(keyspace, start), stored_end)
}

/// Bytes of a group of [`encode_ordered`].
const GROUP: usize = 8;

/// Encodes a key so that what is put behind it (a timestamp) never changes the order of keys: groups
/// of eight bytes, each followed by a byte `0xff - zeros`, the last group padded with that many zeros.
///
/// ```text
/// "a"         61 00 00 00 00 00 00 00 f8
/// "12345678"  31 32 33 34 35 36 37 38 ff  00 00 00 00 00 00 00 00 f7
/// ```
#[must_use]
pub fn encode_ordered(key: &[u8]) -> Key {
    let mut encoded = Vec::with_capacity(ordered_len(key.len()) + size_of::<u64>());
    encode_ordered_to(key, &mut encoded);
    encoded.into()
}

/// Appends [`encode_ordered`] of `key`.
pub fn encode_ordered_to(key: &[u8], encoded: &mut Vec<u8>) {
    let mut groups = key.chunks_exact(GROUP);
    for group in &mut groups {
        encoded.extend_from_slice(group);
        encoded.push(u8::MAX);
    }
    let last = groups.remainder();
    encoded.extend_from_slice(last);
    encoded.resize(encoded.len() + GROUP - last.len(), 0);
    encoded.push(u8::MAX - (GROUP - last.len()) as u8);
}

/// Length of [`encode_ordered`] of a key of `len` bytes.
#[must_use]
pub const fn ordered_len(len: usize) -> usize {
    (len / GROUP + 1) * (GROUP + 1)
}

/// Reads a key that [`encode_ordered`] wrote at the front of `bytes`, and says how many bytes it took.
/// `None` if there is none.
#[must_use]
pub fn decode_ordered(bytes: &[u8]) -> Option<(Key, usize)> {
    let mut key = Vec::with_capacity(bytes.len());
    for (i, group) in bytes.chunks_exact(GROUP + 1).enumerate() {
        let zeros = usize::from(u8::MAX - group[GROUP]);
        let kept = GROUP.checked_sub(zeros)?;
        if group[kept..GROUP].iter().any(|byte| *byte != 0) {
            return None;
        }
        key.extend_from_slice(&group[..kept]);
        if zeros > 0 {
            return Some((key.into(), (i + 1) * (GROUP + 1)));
        }
    }
    None
}

fn space_key(mode: u8, keyspace: u32, user_key: &[u8]) -> Key {
    assert!(keyspace < 1 << 24, "a keyspace id has 24 bits");
    let mut key = Vec::with_capacity(PREFIX_LEN + user_key.len());
    key.push(mode);
    key.extend_from_slice(&keyspace.to_be_bytes()[1..]);
    key.extend_from_slice(user_key);
    key.into()
}

/// The range of one keyspace of the raw space, limited to user keys `[start, end)`. An empty user
/// `end` means the end of the keyspace.
#[must_use]
pub fn raw_range(keyspace: u32, start: &[u8], end: &[u8]) -> KeyRange {
    let stored_end =
        if end.is_empty() { prefix_end(&raw_key(keyspace, b"")) } else { raw_key(keyspace, end) };
    KeyRange::new(raw_key(keyspace, start), stored_end)
}

/// The user's part of a stored key. `None` if the key is shorter than a prefix.
#[must_use]
pub fn user_key(key: &Key) -> Option<Key> {
    (key.len() >= PREFIX_LEN).then(|| key.slice(PREFIX_LEN..))
}

/// Cuts the raw space of keyspace 0 into `count` ranges (≥ 1) that spread keys evenly by their
/// first two bytes. The first range starts at the raw space, the last ends where it ends.
///
/// UTF-8 text rarely uses bytes above 0xF4, so a deployment that knows its keys passes split keys
/// of its own.
#[must_use]
pub fn even_raw_ranges(count: u32) -> Vec<KeyRange> {
    assert!(count >= 1, "at least one range");
    let bound = |i: u32| {
        let cut = (u64::from(i) << 16) / u64::from(count);
        let cut = u16::try_from(cut).expect("invariant: i < count");
        raw_key(0, &cut.to_be_bytes())
    };
    let space = KeyRange::raw_space();
    (0..count)
        .map(|i| {
            let start = if i == 0 { space.start.clone() } else { bound(i) };
            let end = if i + 1 == count { space.end.clone() } else { bound(i + 1) };
            KeyRange::new(start, end)
        })
        .collect()
}

#[cfg(test)]
mod tests;
