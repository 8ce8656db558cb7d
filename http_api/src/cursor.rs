//! Cursors: where a listing goes on. Opaque to clients, readable by every node of the cluster.
//!
//! ```text
//! b64url( version 1 | flags 1 | length of start 4 | read at 8 | start | end | question 8 | mac 8 )
//! ```
//! `read at` is the timestamp that all pages of a scan of the transactional space are read at (0: none),
//! `start` and `end` are what is left of the range (stored keys), `question` a hash of what was
//! asked first, so that a cursor is not used with other parameters. The `mac` finds changes by
//! accident or play; it is no protection of secrets, and needs none: a cursor only names keys that
//! its holder could ask for anyway.
use crate::error::Problem;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Buf, BufMut, Bytes};
use troupe_types::raw_value::value_hash;
use troupe_types::{ClusterId, Code, KeyRange, Timestamp};

const VERSION: u8 = 2;
const HASH_LEN: usize = 8;
const HEAD_LEN: usize = 14;

/// What a listing was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The whole range.
    pub range: KeyRange,
    /// What else decides the rows, a bit each: see [`flags`].
    pub flags: u8,
}

/// Bits of [`Question::flags`].
pub mod flags {
    /// From the end to the start.
    pub const REVERSE: u8 = 1;
    /// Without values.
    pub const KEYS_ONLY: u8 = 2;
    /// A listing of Regions.
    pub const REGIONS: u8 = 4;
    /// A listing of locks.
    pub const LOCKS: u8 = 8;
}

impl Question {
    fn hash(&self) -> u64 {
        let mut bytes = Vec::with_capacity(self.range.start.len() + self.range.end.len() + 9);
        bytes.put_u8(self.flags);
        bytes.put_u64(self.range.start.len() as u64);
        bytes.put_slice(&self.range.start);
        bytes.put_slice(&self.range.end);
        value_hash(&bytes)
    }
}

/// Where a listing goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What is left of the range.
    pub rest: KeyRange,
    /// The timestamp that its pages are read at; 0 where each page has a moment of its own.
    pub read_ts: Timestamp,
}

impl Place {
    /// In a listing whose pages have moments of their own.
    #[must_use]
    pub fn new(rest: KeyRange) -> Self {
        Self { rest, read_ts: Timestamp::ZERO }
    }
}

/// The cursor that goes on at `place`.
#[must_use]
pub fn encode(cluster: ClusterId, question: &Question, place: &Place) -> String {
    let Place { rest, read_ts } = place;
    let mut bytes = Vec::new();
    bytes.put_u8(VERSION);
    bytes.put_u8(question.flags);
    bytes.put_u32(u32::try_from(rest.start.len()).expect("invariant: keys are short"));
    bytes.put_u64(read_ts.get());
    bytes.put_slice(&rest.start);
    bytes.put_slice(&rest.end);
    bytes.put_u64(question.hash());
    let mac = mac(cluster, &bytes);
    bytes.put_u64(mac);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn mac(cluster: ClusterId, bytes: &[u8]) -> u64 {
    let mut keyed = Vec::with_capacity(bytes.len() + HASH_LEN);
    keyed.put_u64(cluster.get());
    keyed.put_slice(bytes);
    value_hash(&keyed)
}

/// The place that [`encode`] wrote.
///
/// # Errors
/// `BAD_CURSOR`: changed, of another cluster, or made for another question.
pub fn decode(cluster: ClusterId, question: &Question, text: &str) -> Result<Place, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad("it is not one of this server"))?;
    if bytes.len() < HEAD_LEN + 2 * HASH_LEN {
        return Err(bad("it is too short"));
    }
    let (body, mut sum) = bytes.split_at(bytes.len() - HASH_LEN);
    if mac(cluster, body) != sum.get_u64() {
        return Err(bad("it was changed, or made by another cluster"));
    }
    let (body, mut asked) = body.split_at(body.len() - HASH_LEN);
    let (mut head, keys) = body.split_at(HEAD_LEN);
    let (version, flags, start_len) = (head.get_u8(), head.get_u8(), head.get_u32() as usize);
    let read_ts = Timestamp(head.get_u64());
    if version != VERSION || start_len > keys.len() {
        return Err(bad("it was made by another version"));
    }
    if flags != question.flags || asked.get_u64() != question.hash() {
        return Err(bad("it belongs to a request with other parameters"));
    }
    let (start, end) = keys.split_at(start_len);
    let rest = KeyRange::new(Bytes::copy_from_slice(start), Bytes::copy_from_slice(end));
    Ok(Place { rest, read_ts })
}

fn bad(why: &str) -> Problem {
    Problem::new(Code::BadCursor, format!("the cursor cannot be used: {why}"))
}

#[cfg(test)]
mod tests;
