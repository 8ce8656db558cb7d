//! Keys, values and batches as requests give them, checked against the limits.
use crate::error::Problem;
use crate::gate::call::{Call, read_duration};
use crate::json::bytes::{BytesIn, BytesOut, Enc, percent_decode};
use crate::json::request::RowIn;
use crate::space::Space;
use actix_web::HttpRequest;
use bytes::Bytes;
use std::time::Duration;
use troupe_types::{Code, Key, UnixMillis};

/// Longest life of a row that ends: 100 years.
const TTL_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A row that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedRow {
    /// Stored key.
    pub key: Key,
    /// Value.
    pub value: Bytes,
    /// It ends so long from now; at least 1.
    pub ttl_ms: Option<u64>,
}

/// Checks a row of `space`.
///
/// # Errors
/// `BAD_ENCODING`, `BAD_PARAMETER`, `TOO_LARGE`.
pub fn row(call: &Call, space: Space, row: RowIn) -> Result<CheckedRow, Problem> {
    Ok(CheckedRow {
        ttl_ms: row.ttl.as_deref().map(ttl_ms).transpose()?,
        key: stored_key(call, space, row.key)?,
        value: value(call, row.value)?,
    })
}

/// The stored key of a key in a body.
///
/// # Errors
/// `BAD_ENCODING`, `BAD_PARAMETER`, `TOO_LARGE`.
pub fn stored_key(call: &Call, space: Space, key: BytesIn) -> Result<Key, Problem> {
    let key = key.key()?;
    call.check_key(&key)?;
    Ok(space.key(&key))
}

/// The stored keys of a batch.
///
/// # Errors
/// As [`stored_key`] and [`check_count`].
pub fn stored_keys(call: &Call, space: Space, keys: Vec<BytesIn>) -> Result<Vec<Key>, Problem> {
    check_count(call, keys.len())?;
    keys.into_iter().map(|key| stored_key(call, space, key)).collect()
}

/// The user key at the end of a path that begins with `before`.
///
/// # Errors
/// `BAD_ENCODING`, `BAD_PARAMETER`, `TOO_LARGE`.
pub fn key_in_path(request: &HttpRequest, call: &Call, before: &str) -> Result<Key, Problem> {
    let path = request.uri().path().strip_prefix(before);
    let path =
        path.ok_or_else(|| Problem::new(Code::NotFound, "write the path without escapes"))?;
    let key = call.key_enc()?.decode(percent_decode(path.as_bytes())?)?;
    call.check_key(&key)?;
    Ok(key)
}

/// The problem of a user key without value.
#[must_use]
pub fn not_found(key: &Key) -> Problem {
    let shown = serde_json::to_string(&BytesOut::key(key.clone(), Enc::Auto)).unwrap_or_default();
    Problem::new(Code::KeyNotFound, format!("{shown} has no value"))
}

/// A value in a body.
///
/// # Errors
/// `BAD_ENCODING`, `TOO_LARGE`.
pub fn value(call: &Call, value: BytesIn) -> Result<Bytes, Problem> {
    let value = value.value()?;
    let (limit, actual) = (call.state.parts.config.limits.value.bytes(), value.len() as u64);
    if actual > limit { Err(Problem::too_large("value_bytes", limit, actual)) } else { Ok(value) }
}

/// How long a row lives, in milliseconds, at least 1.
///
/// # Errors
/// `BAD_PARAMETER`.
pub fn ttl_ms(text: &str) -> Result<u64, Problem> {
    let ttl = read_duration("ttl", text)?;
    if ttl > TTL_MAX {
        return Err(Problem::bad_parameter("ttl", "a row lives for 100 years at most"));
    }
    Ok(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1))
}

/// When a row that lives for so long from now ends.
#[must_use]
pub fn expiry(call: &Call, ttl_ms: u64) -> UnixMillis {
    UnixMillis(call.state.parts.env.clock.unix().get().saturating_add(ttl_ms))
}

/// A batch has so many keys?
///
/// # Errors
/// `BAD_PARAMETER` if it has none, `TOO_LARGE`.
pub fn check_count(call: &Call, count: usize) -> Result<(), Problem> {
    let limit = call.state.parts.config.limits.batch_keys;
    match count {
        0 => Err(Problem::new(Code::BadParameter, "a batch has at least one key")),
        count if count > limit => Err(Problem::too_large("batch_keys", limit as u64, count as u64)),
        _ => Ok(()),
    }
}

/// Do these rows fit into a batch?
///
/// # Errors
/// `TOO_LARGE`.
pub fn check_bytes(call: &Call, rows: &[CheckedRow]) -> Result<(), Problem> {
    let bytes = rows.iter().map(|row| row.key.len() + row.value.len()).sum::<usize>() as u64;
    let limit = call.state.parts.config.limits.batch_bytes.bytes();
    if bytes > limit { Err(Problem::too_large("batch_bytes", limit, bytes)) } else { Ok(()) }
}
