//! Pages of rows: one pass over the commit records fills a page, one over the locks of the stretch
//! that it covers cuts it at the first lock in the way.
use super::keys::{Ordered, rows_of, stored_key};
use super::reader::{Reader, Version};
use super::record::Lock;
use super::view::{Sight, has_ended, locked_row, sight};
use super::walk::{Route, Sink, rest, walk};
use crate::engine::{Cf, KvSnapshot};
use crate::error::StorageError;
use bytes::Bytes;
use std::ops::ControlFlow;
use troupe_types::txn::{LockInfo, ReadIsolation, ReadView, TxnRow, WriteKind};
use troupe_types::{Key, KeyRange, ReadReply, UnixMillis};

/// A page that has met so many removed or expired keys ends, lest it take for ever. So does one that
/// has met so many records, or so many locks that are not in the way.
pub const MAX_SKIPPED: u64 = 4096;

/// Which page.
pub struct Scan<'a> {
    /// Stored keys.
    pub range: &'a KeyRange,
    /// As of when.
    pub view: &'a ReadView,
    /// At most so many rows.
    pub limit: u32,
    /// Stop after so many bytes of keys and values; the first row is always returned.
    pub max_bytes: u64,
    /// From the end of the range.
    pub reverse: bool,
    /// Leave values out.
    pub keys_only: bool,
}

/// Reads a page.
///
/// # Errors
/// Reading failed, or a row does not decode.
pub fn scan(snapshot: &dyn KvSnapshot, scan: &Scan<'_>) -> Result<ReadReply, StorageError> {
    let reader = Reader::new(snapshot);
    let max_rows = usize::try_from(scan.limit).unwrap_or(usize::MAX).max(1);
    let mut filling = Filling {
        reader,
        scan,
        clock: scan.view.expiry_clock(),
        max_rows,
        rows: Vec::new(),
        bytes: 0,
        skipped: 0,
    };
    let route = Route {
        range: scan.range,
        newest: scan.view.ts,
        reverse: scan.reverse,
        max_rows: MAX_SKIPPED.saturating_add(max_rows as u64),
    };
    let left = walk(reader, &route, &mut filling)?;
    let mut page = Page { rows: filling.rows, rest: left, lock: None };
    if scan.view.isolation == ReadIsolation::Snapshot {
        look_at_locks(reader, scan, &mut page)?;
    }
    if let Some(first_out) = page.rows.get(max_rows) {
        page.rest = Some(rest(scan.range, scan.reverse, &first_out.key));
        page.lock = None;
        page.rows.truncate(max_rows);
    }
    Ok(ReadReply::TxnRows { rows: page.rows, rest: page.rest, lock: page.lock })
}

struct Page {
    rows: Vec<TxnRow>,
    rest: Option<KeyRange>,
    lock: Option<Box<LockInfo>>,
}

struct Filling<'a> {
    reader: Reader<'a>,
    scan: &'a Scan<'a>,
    clock: UnixMillis,
    max_rows: usize,
    rows: Vec<TxnRow>,
    bytes: u64,
    skipped: u64,
}

impl Sink for Filling<'_> {
    fn take(&mut self, key: &[u8], newest: Version) -> Result<ControlFlow<()>, StorageError> {
        if self.rows.len() >= self.max_rows || self.skipped >= MAX_SKIPPED {
            return Ok(ControlFlow::Break(()));
        }
        let Version { commit_ts, record } = newest;
        if record.kind != WriteKind::Put || has_ended(record.expires_at, self.clock) {
            self.skipped += 1;
            return Ok(ControlFlow::Continue(()));
        }
        let value = match record.short_value {
            _ if self.scan.keys_only => Bytes::new(),
            Some(value) => value,
            None => self.reader.value(&Ordered::from_encoded(key), &record)?,
        };
        let stored = stored_key(key)?;
        let bytes = self.bytes + (stored.len() + value.len()) as u64;
        if bytes > self.scan.max_bytes && !self.rows.is_empty() {
            return Ok(ControlFlow::Break(()));
        }
        self.bytes = bytes;
        self.rows.push(TxnRow { key: stored, value, commit_ts, expires_at: record.expires_at });
        Ok(ControlFlow::Continue(()))
    }
}

/// Cuts the page at the first lock in the way, and puts in what counts as committed.
fn look_at_locks(reader: Reader<'_>, scan: &Scan<'_>, page: &mut Page) -> Result<(), StorageError> {
    let mut passed = 0;
    let mut end: Option<(Key, Option<Lock>)> = None;
    let stretch = covered(scan, page.rest.as_ref());
    reader.scan(Cf::Lock, &rows_of(&stretch), scan.reverse, &mut |row, stored| {
        let lock = Lock::decode(stored)?;
        let sight = sight(&lock, scan.view);
        passed += 1;
        if sight == Sight::Free && passed <= MAX_SKIPPED {
            return Ok(ControlFlow::Continue(()));
        }
        let key = stored_key(row)?;
        match sight {
            _ if passed > MAX_SKIPPED => end = Some((key, None)),
            Sight::Blocked => end = Some((key, Some(lock))),
            Sight::Committed => {
                let ordered = Ordered::from_encoded(row);
                let row = locked_row(reader, (&key, &ordered), &lock, scan.keys_only)?;
                put_in(scan, &mut page.rows, &key, row);
                return Ok(ControlFlow::Continue(()));
            }
            Sight::Free => {}
        }
        Ok(ControlFlow::Break(()))
    })?;
    if let Some((key, lock)) = end {
        let cut = page.rows.partition_point(|row| is_before(scan, &row.key, &key));
        page.rows.truncate(cut);
        page.rest = Some(rest(scan.range, scan.reverse, &key));
        page.lock = lock.map(|lock| Box::new(lock.info(key)));
    }
    Ok(())
}

/// The part of the range that the page covers, when `left` is left.
fn covered(scan: &Scan<'_>, left: Option<&KeyRange>) -> KeyRange {
    match left {
        None => scan.range.clone(),
        Some(left) if scan.reverse => KeyRange::new(left.end.clone(), scan.range.end.clone()),
        Some(left) => KeyRange::new(scan.range.start.clone(), left.start.clone()),
    }
}

fn is_before(scan: &Scan<'_>, a: &Key, b: &Key) -> bool {
    if scan.reverse { a > b } else { a < b }
}

/// Sets the row of `key`, or takes it out.
fn put_in(scan: &Scan<'_>, rows: &mut Vec<TxnRow>, key: &Key, row: Option<TxnRow>) {
    let at = rows.partition_point(|row| is_before(scan, &row.key, key));
    if rows.get(at).is_some_and(|row| row.key == *key) {
        rows.remove(at);
    }
    let clock = scan.view.expiry_clock();
    if let Some(row) = row.filter(|row| !has_ended(row.expires_at, clock)) {
        rows.insert(at, row);
    }
}
