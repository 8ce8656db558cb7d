//! Keys of transactional rows in the engine: `ordered(key)`, and behind it an inverted timestamp.
use crate::error::StorageError;
use bytes::Bytes;
use troupe_types::key::{decode_ordered, encode_ordered, encode_ordered_to, ordered_len};
use troupe_types::{Key, KeyRange, Timestamp};

/// Bytes of an inverted timestamp.
const TS_LEN: usize = size_of::<u64>();

/// A key as the engine orders it, without a timestamp: the row of its lock, and what all its
/// versions begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered(Bytes);

impl Ordered {
    /// Encodes a stored key.
    #[must_use]
    pub fn of(key: &Key) -> Self {
        Self(encode_ordered(key))
    }

    /// Takes bytes that are encoded already.
    #[must_use]
    pub fn from_encoded(encoded: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(encoded))
    }

    /// The row of the lock.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The row of the version with this timestamp.
    #[must_use]
    pub fn at(&self, ts: Timestamp) -> Bytes {
        let mut row = Vec::with_capacity(self.0.len() + TS_LEN);
        row.extend_from_slice(&self.0);
        push_ts(&mut row, ts);
        row.into()
    }

    /// The rows of the versions with timestamps of `newest` and below, newest first. Timestamp 0
    /// is none of a version.
    #[must_use]
    pub fn versions(&self, newest: Timestamp) -> KeyRange {
        let len = self.0.len() + TS_LEN;
        let mut both = Vec::with_capacity(2 * len);
        for ts in [newest, Timestamp::ZERO] {
            both.extend_from_slice(&self.0);
            push_ts(&mut both, ts);
        }
        let both = Bytes::from(both);
        KeyRange { start: both.slice(..len), end: both.slice(len..) }
    }

    /// The first place behind all versions.
    #[must_use]
    pub fn behind(&self) -> Bytes {
        let mut row = Vec::with_capacity(self.0.len() + TS_LEN + 1);
        row.extend_from_slice(&self.0);
        row.resize(self.0.len() + TS_LEN, u8::MAX);
        row.push(0);
        row.into()
    }
}

/// The row of a version, encoded in one go.
#[must_use]
pub fn versioned(key: &Key, ts: Timestamp) -> Bytes {
    let mut row = Vec::with_capacity(ordered_len(key.len()) + TS_LEN);
    encode_ordered_to(key, &mut row);
    push_ts(&mut row, ts);
    row.into()
}

fn push_ts(row: &mut Vec<u8>, ts: Timestamp) {
    row.extend_from_slice(&(!ts.get()).to_be_bytes());
}

/// Takes the row of a version apart: encoded key, timestamp.
///
/// # Errors
/// It is too short to be one.
pub fn split(row: &[u8]) -> Result<(&[u8], Timestamp), StorageError> {
    let (ordered, ts) = row.split_last_chunk::<TS_LEN>().ok_or_else(|| not_a_row(row))?;
    Ok((ordered, Timestamp(!u64::from_be_bytes(*ts))))
}

/// The stored key of an encoded one.
///
/// # Errors
/// It does not decode.
pub fn stored_key(ordered: &[u8]) -> Result<Key, StorageError> {
    match decode_ordered(ordered) {
        Some((key, len)) if len == ordered.len() => Ok(key),
        Some(_) | None => Err(not_a_row(ordered)),
    }
}

/// The range of rows that belong to a range of stored keys.
#[must_use]
pub fn rows_of(range: &KeyRange) -> KeyRange {
    let end = if range.end.is_empty() { Bytes::new() } else { encode_ordered(&range.end) };
    KeyRange { start: encode_ordered(&range.start), end }
}

fn not_a_row(row: &[u8]) -> StorageError {
    StorageError::Inconsistent {
        detail: format!("{} is no row of the transactional space", row.escape_ascii()),
    }
}
