//! Locks of a range.
use super::keys::{rows_of, stored_key};
use super::reader::Reader;
use super::record::Lock;
use super::scan::MAX_SKIPPED;
use super::walk::rest;
use crate::engine::{Cf, KvSnapshot};
use crate::error::StorageError;
use std::ops::ControlFlow;
use troupe_types::{KeyRange, ReadReply, Timestamp};

/// Stored locks of transactions that began at or below `max_ts`, at most `limit` of them.
///
/// # Errors
/// Reading failed, or a row does not decode.
pub fn scan_locks(
    snapshot: &dyn KvSnapshot,
    range: &KeyRange,
    max_ts: Timestamp,
    limit: u32,
) -> Result<ReadReply, StorageError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
    let (mut locks, mut left, mut passed) = (Vec::new(), None, 0);
    let rows = if range.is_empty() { KeyRange::new("z", "a") } else { rows_of(range) };
    Reader::new(snapshot).scan(Cf::Lock, &rows, false, &mut |row, stored| {
        if locks.len() >= limit || passed >= MAX_SKIPPED {
            left = Some(rest(range, false, &stored_key(row)?));
            return Ok(ControlFlow::Break(()));
        }
        let lock = Lock::decode(stored)?;
        if lock.start_ts <= max_ts {
            locks.push(lock.info(stored_key(row)?));
        } else {
            passed += 1;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(ReadReply::Locks { locks, rest: left })
}
