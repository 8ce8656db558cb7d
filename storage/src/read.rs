//! Reading: snapshot and command in, reply out. Pure; whether the command's keys lie inside the
//! Region, and whether the snapshot is fresh enough, is the caller's to check.
//!
//! A call works through a bounded number of rows. What it left is answered as `rest`; a page may
//! be empty and still have a rest, when all it found had expired.
use crate::engine::{Cf, KvSnapshot};
use crate::error::StorageError;
use crate::mvcc;
use bytes::Bytes;
use std::ops::ControlFlow;
use troupe_types::command::{RawChecksum, RawRow};
use troupe_types::key::{PREFIX_LEN, successor};
use troupe_types::raw_value::RawValue;
use troupe_types::{Key, KeyRange, ReadCommand, ReadReply, UnixMillis};

/// A scan that has skipped so many expired rows stops, lest it run for ever.
pub const MAX_EXPIRED_ROWS_SKIPPED: u32 = 4096;

/// Longest trailer of a stored raw value: expiry and flags (see [`troupe_types::raw_value`]).
const MAX_TRAILER_BYTES: usize = 9;

/// Answers `command` as of `snapshot`. Values that have ended at `now` are not there.
///
/// # Errors
/// Reading failed, or a stored value does not decode.
pub fn read(
    snapshot: &dyn KvSnapshot,
    command: &ReadCommand,
    now: UnixMillis,
) -> Result<ReadReply, StorageError> {
    match command {
        ReadCommand::RawGet { keys } => {
            let rows = keys.iter().map(|key| raw_get(snapshot, key, now));
            Ok(ReadReply::Values(rows.collect::<Result<_, _>>()?))
        }
        ReadCommand::RawScan { range, limit, max_bytes, reverse, keys_only } => {
            let page = RawPage {
                now,
                max_rows: usize::try_from(*limit).unwrap_or(usize::MAX).max(1),
                max_bytes: *max_bytes,
                keys_only: *keys_only,
                rows: Vec::new(),
                bytes: 0,
                expired: 0,
            };
            let (page, rest) = walk(snapshot, range, *reverse, page)?;
            Ok(ReadReply::Rows { rows: page.rows, rest })
        }
        ReadCommand::RawChecksum { range, limit } => {
            let page = ChecksumPage { now, left: (*limit).max(1), sum: RawChecksum::default() };
            let (page, rest) = walk(snapshot, range, false, page)?;
            Ok(ReadReply::Checksum { sum: page.sum, rest })
        }
        ReadCommand::SystemScan { range } => {
            let (rows, rest) = walk(snapshot, range, false, SystemPage(Vec::new()))?;
            Ok(ReadReply::Rows { rows: rows.0, rest })
        }
        ReadCommand::TxnGet { keys, view } => {
            Ok(ReadReply::TxnValues(mvcc::view::get(snapshot, keys, view)?))
        }
        ReadCommand::TxnScan { range, view, limit, max_bytes, reverse, keys_only } => {
            let (limit, max_bytes) = (*limit, *max_bytes);
            let (reverse, keys_only) = (*reverse, *keys_only);
            let scan = mvcc::scan::Scan { range, view, limit, max_bytes, reverse, keys_only };
            mvcc::scan::scan(snapshot, &scan)
        }
        ReadCommand::TxnBufferGet { keys, start_ts } => {
            Ok(ReadReply::TxnValues(mvcc::view::buffer_get(snapshot, keys, *start_ts)?))
        }
        ReadCommand::ScanLocks { range, max_ts, limit } => {
            mvcc::locks::scan_locks(snapshot, range, *max_ts, *limit)
        }
        ReadCommand::MvccByKey { key } => {
            Ok(ReadReply::Mvcc(mvcc::history::by_key(snapshot, key)?))
        }
        ReadCommand::MvccByStart { range, start_ts } => {
            Ok(ReadReply::Mvcc(mvcc::history::by_start(snapshot, range, *start_ts)?))
        }
        ReadCommand::ScanExpired { range, now, limit, max_rows } => {
            mvcc::expired::scan_expired(snapshot, range, *now, (*limit, *max_rows))
        }
    }
}

fn raw_get(
    snapshot: &dyn KvSnapshot,
    key: &Key,
    now: UnixMillis,
) -> Result<Option<RawRow>, StorageError> {
    let Some(stored) = snapshot.get(Cf::Default, key)? else {
        return Ok(None);
    };
    let found = RawValue::decode(&stored)?;
    let row = RawRow { key: key.clone(), value: found.value, expires_at: found.expires_at };
    Ok(row.expires_at.is_none_or(|at| at > now).then_some(row))
}

/// What a scan makes of the rows it meets.
trait Page {
    /// Takes a row. [`ControlFlow::Break`] if it does not fit any more; it is then met again by the
    /// call that gets the rest.
    fn take(&mut self, key: &[u8], stored: &[u8]) -> Result<ControlFlow<()>, StorageError>;
}

/// Fills `page`, and says what is left of `range`.
fn walk<P: Page>(
    snapshot: &dyn KvSnapshot,
    range: &KeyRange,
    reverse: bool,
    mut page: P,
) -> Result<(P, Option<KeyRange>), StorageError> {
    let (mut rest, mut failure) = (None, None);
    snapshot.scan(Cf::Default, range, reverse, &mut |key, stored| {
        match page.take(key, stored) {
            Ok(ControlFlow::Continue(())) => return ControlFlow::Continue(()),
            Ok(ControlFlow::Break(())) if reverse => {
                rest = Some(KeyRange::new(range.start.clone(), successor(key)));
            }
            Ok(ControlFlow::Break(())) => {
                rest = Some(KeyRange::new(Bytes::copy_from_slice(key), range.end.clone()));
            }
            Err(error) => failure = Some(error),
        }
        ControlFlow::Break(())
    })?;
    match failure {
        Some(error) => Err(error),
        None => Ok((page, rest)),
    }
}

struct RawPage {
    now: UnixMillis,
    max_rows: usize,
    max_bytes: u64,
    keys_only: bool,
    rows: Vec<RawRow>,
    bytes: u64,
    expired: u32,
}

impl Page for RawPage {
    fn take(&mut self, key: &[u8], stored: &[u8]) -> Result<ControlFlow<()>, StorageError> {
        if self.rows.len() >= self.max_rows || self.expired >= MAX_EXPIRED_ROWS_SKIPPED {
            return Ok(ControlFlow::Break(()));
        }
        let (value, expires_at) = split(stored)?;
        if expires_at.is_some_and(|at| at <= self.now) {
            self.expired += 1;
            return Ok(ControlFlow::Continue(()));
        }
        let value = if self.keys_only { &[] } else { value };
        let bytes = self.bytes + (key.len() + value.len()) as u64;
        if bytes > self.max_bytes && !self.rows.is_empty() {
            return Ok(ControlFlow::Break(()));
        }
        self.bytes = bytes;
        self.rows.push(RawRow {
            key: Bytes::copy_from_slice(key),
            value: Bytes::copy_from_slice(value),
            expires_at,
        });
        Ok(ControlFlow::Continue(()))
    }
}

struct ChecksumPage {
    now: UnixMillis,
    left: u32,
    sum: RawChecksum,
}

impl Page for ChecksumPage {
    fn take(&mut self, key: &[u8], stored: &[u8]) -> Result<ControlFlow<()>, StorageError> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(ControlFlow::Break(()));
        };
        self.left = left;
        let (value, expires_at) = split(stored)?;
        if expires_at.is_none_or(|at| at > self.now) {
            self.sum.add(key.get(PREFIX_LEN..).unwrap_or_default(), value);
        }
        Ok(ControlFlow::Continue(()))
    }
}

struct SystemPage(Vec<RawRow>);

impl Page for SystemPage {
    fn take(&mut self, key: &[u8], stored: &[u8]) -> Result<ControlFlow<()>, StorageError> {
        let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(stored));
        self.0.push(RawRow { key, value, expires_at: None });
        Ok(ControlFlow::Continue(()))
    }
}

/// User value and expiry of a stored raw value, without a copy of the value.
fn split(stored: &[u8]) -> Result<(&[u8], Option<UnixMillis>), StorageError> {
    let tail = &stored[stored.len().saturating_sub(MAX_TRAILER_BYTES)..];
    let decoded = RawValue::decode(&Bytes::copy_from_slice(tail))?;
    let trailer = tail.len() - decoded.value.len();
    Ok((&stored[..stored.len() - trailer], decoded.expires_at))
}

#[cfg(test)]
mod tests;
