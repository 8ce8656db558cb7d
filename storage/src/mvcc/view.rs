//! What a read at a timestamp makes of a lock, and point reads.
use super::keys::Ordered;
use super::reader::Reader;
use super::record::Lock;
use crate::engine::KvSnapshot;
use crate::error::StorageError;
use bytes::Bytes;
use troupe_types::txn::{LockKind, ReadIsolation, ReadView, TxnRow, TxnValue};
use troupe_types::{Key, Timestamp, UnixMillis};

/// How a lock stands to a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It does not matter.
    Free,
    /// It must be resolved first.
    Blocked,
    /// What it holds back counts as committed.
    Committed,
}

/// How `lock` stands to a read with `view`. A read of the newest is blocked by each lock that may
/// change the value: whatever it is promised not to commit below, it may be committed by now.
#[must_use]
pub fn sight(lock: &Lock, view: &ReadView) -> Sight {
    let changes = match lock.kind {
        LockKind::Put | LockKind::Delete => true,
        LockKind::Lock | LockKind::Pessimistic => false,
    };
    let looked_at = match view.isolation {
        ReadIsolation::Snapshot => changes && lock.start_ts <= view.ts,
        ReadIsolation::ReadCommitted => false,
    };
    if !looked_at || view.bypass.contains(&lock.start_ts) {
        Sight::Free
    } else if view.access.contains(&lock.start_ts) {
        Sight::Committed
    } else if view.ts != Timestamp::MAX && lock.min_commit_ts > view.ts {
        Sight::Free
    } else {
        Sight::Blocked
    }
}

/// Has a value that ends at `expires_at` ended at `clock`?
pub(crate) fn has_ended(expires_at: Option<UnixMillis>, clock: UnixMillis) -> bool {
    expires_at.is_some_and(|at| at <= clock)
}

/// Values of keys, in the order asked.
///
/// # Errors
/// Reading failed, or a row does not decode.
pub fn get(
    snapshot: &dyn KvSnapshot,
    keys: &[Key],
    view: &ReadView,
) -> Result<Vec<TxnValue>, StorageError> {
    let reader = Reader::new(snapshot);
    keys.iter().map(|key| get_one(reader, key, view)).collect()
}

fn get_one(reader: Reader<'_>, key: &Key, view: &ReadView) -> Result<TxnValue, StorageError> {
    let ordered = Ordered::of(key);
    let lock = match view.isolation {
        ReadIsolation::Snapshot => reader.lock(&ordered)?,
        ReadIsolation::ReadCommitted => None,
    };
    if let Some(lock) = lock {
        match sight(&lock, view) {
            Sight::Free => {}
            Sight::Blocked => return Ok(TxnValue::Locked(Box::new(lock.info(key.clone())))),
            Sight::Committed => {
                let row = locked_row(reader, (key, &ordered), &lock, false)?;
                let clock = view.expiry_clock();
                return Ok(TxnValue::Row(row.filter(|row| !has_ended(row.expires_at, clock))));
            }
        }
    }
    let version = reader.newest_change(&ordered, view.ts)?;
    let Some(version) = version.filter(|version| version.is_live(view.expiry_clock())) else {
        return Ok(TxnValue::Row(None));
    };
    Ok(TxnValue::Row(Some(TxnRow {
        key: key.clone(),
        value: reader.value(&ordered, &version.record)?,
        commit_ts: version.commit_ts,
        expires_at: version.record.expires_at,
    })))
}

/// The row that a lock holds back, as if it were committed at the earliest; `None` if it removes
/// the key.
pub(crate) fn locked_row(
    reader: Reader<'_>,
    (key, ordered): (&Key, &Ordered),
    lock: &Lock,
    keys_only: bool,
) -> Result<Option<TxnRow>, StorageError> {
    if lock.kind != LockKind::Put {
        return Ok(None);
    }
    let value = if keys_only { Bytes::new() } else { reader.locked_value(ordered, lock)? };
    Ok(Some(TxnRow {
        key: key.clone(),
        value,
        commit_ts: lock.min_commit_ts.max(lock.start_ts.next()),
        expires_at: lock.expires_at,
    }))
}

/// What a transaction has flushed and not committed, in the order asked. A key that it removes or
/// only locks is answered with that lock, a key that it did not flush without a row.
///
/// # Errors
/// Reading failed, or a row does not decode.
pub fn buffer_get(
    snapshot: &dyn KvSnapshot,
    keys: &[Key],
    start_ts: Timestamp,
) -> Result<Vec<TxnValue>, StorageError> {
    let reader = Reader::new(snapshot);
    keys.iter().map(|key| buffered(reader, key, start_ts)).collect()
}

fn buffered(reader: Reader<'_>, key: &Key, ts: Timestamp) -> Result<TxnValue, StorageError> {
    let ordered = Ordered::of(key);
    let own = |lock: &Lock| lock.start_ts == ts && lock.kind != LockKind::Pessimistic;
    let Some(lock) = reader.lock(&ordered)?.filter(own) else {
        return Ok(TxnValue::Row(None));
    };
    Ok(match locked_row(reader, (key, &ordered), &lock, false)? {
        Some(row) => TxnValue::Row(Some(TxnRow { commit_ts: Timestamp::ZERO, ..row })),
        None => TxnValue::Locked(Box::new(lock.info(key.clone()))),
    })
}
