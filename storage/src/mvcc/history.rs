//! All that is stored about a key, for people who look into it.
use super::keys::{Ordered, rows_of, split, stored_key};
use super::reader::{Reader, Version};
use super::record::{Lock, WriteRecord};
use crate::engine::{Cf, KvSnapshot};
use crate::error::StorageError;
use std::ops::ControlFlow;
use troupe_types::txn::{MvccHistory, MvccVersion, WriteKind};
use troupe_types::{Key, KeyRange, Timestamp};

/// The lock and every version of a key; `None` if there is nothing.
///
/// # Errors
/// Reading failed, or a row does not decode.
pub fn by_key(
    snapshot: &dyn KvSnapshot,
    key: &Key,
) -> Result<Option<Box<MvccHistory>>, StorageError> {
    let reader = Reader::new(snapshot);
    let ordered = Ordered::of(key);
    let lock = reader.lock(&ordered)?.map(|lock| lock.info(key.clone()));
    let mut versions = Vec::new();
    reader.versions(&ordered, Timestamp::MAX, &mut |commit_ts, stored| {
        let record = WriteRecord::decode(stored)?;
        versions.push(version(reader, &ordered, Version { commit_ts, record })?);
        Ok(ControlFlow::Continue(()))
    })?;
    let found = lock.is_some() || !versions.is_empty();
    Ok(found.then(|| Box::new(MvccHistory { key: key.clone(), lock, versions })))
}

fn version(
    reader: Reader<'_>,
    key: &Ordered,
    Version { commit_ts, record }: Version,
) -> Result<MvccVersion, StorageError> {
    let value = match (record.kind, record.short_value) {
        (WriteKind::Put, Some(value)) => Some(value),
        (WriteKind::Put, None) => reader.long_value(key, record.start_ts)?,
        (WriteKind::Delete | WriteKind::Lock | WriteKind::Rollback, _) => None,
    };
    Ok(MvccVersion {
        kind: record.kind,
        start_ts: record.start_ts,
        commit_ts,
        value,
        expires_at: record.expires_at,
        protects_rollback: record.protects_rollback,
    })
}

/// The first key of the range that a transaction locked, committed or rolled back. Looks at every
/// row up to it.
///
/// # Errors
/// Reading failed, or a row does not decode.
pub fn by_start(
    snapshot: &dyn KvSnapshot,
    range: &KeyRange,
    start_ts: Timestamp,
) -> Result<Option<Box<MvccHistory>>, StorageError> {
    if range.is_empty() {
        return Ok(None);
    }
    let reader = Reader::new(snapshot);
    let mut rows = rows_of(range);
    let mut first = None;
    reader.scan(Cf::Lock, &rows, false, &mut |row, stored| {
        let own = Lock::decode(stored)?.start_ts == start_ts;
        Ok(if own { found(row, &mut first) } else { ControlFlow::Continue(()) })
    })?;
    if let Some(locked) = &first {
        rows.end = Ordered::from_encoded(locked).bytes().clone();
    }
    reader.scan(Cf::Write, &rows, false, &mut |row, stored| {
        let own = WriteRecord::decode(stored)?.start_ts == start_ts;
        Ok(if own { found(split(row)?.0, &mut first) } else { ControlFlow::Continue(()) })
    })?;
    first.map_or(Ok(None), |first| by_key(snapshot, &stored_key(&first)?))
}

fn found(key: &[u8], first: &mut Option<Vec<u8>>) -> ControlFlow<()> {
    *first = Some(key.to_vec());
    ControlFlow::Break(())
}
