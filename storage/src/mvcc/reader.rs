//! Reads of one key: its lock, its commit records, its values.
use super::keys::{Ordered, split};
use super::record::{LastChange, Lock, WriteRecord};
use crate::engine::{Cf, KvSnapshot};
use crate::error::StorageError;
use bytes::Bytes;
use std::ops::ControlFlow;
use troupe_types::txn::WriteKind;
use troupe_types::{KeyRange, Timestamp, UnixMillis};

/// Takes one version of a key: when it was committed, and its record.
type VisitVersion<'a> = dyn FnMut(Timestamp, &[u8]) -> Result<ControlFlow<()>, StorageError> + 'a;
/// Takes one row, key and value.
type VisitRow<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StorageError> + 'a;

/// So many versions are walked over one by one; a new scan that starts behind more of them is
/// cheaper.
pub(crate) const WALK_AT_MOST: u64 = 16;

/// A commit record and when it was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Commit timestamp; of a rollback the start timestamp.
    pub commit_ts: Timestamp,
    /// The record.
    pub record: WriteRecord,
}

impl Version {
    /// Is it a value, and not ended at `clock`?
    #[must_use]
    pub fn is_live(&self, clock: UnixMillis) -> bool {
        self.record.kind == WriteKind::Put && self.record.expires_at.is_none_or(|at| at > clock)
    }
}

impl WriteRecord {
    /// Does it change the key's value?
    #[must_use]
    pub const fn is_change(&self) -> bool {
        match self.kind {
            WriteKind::Put | WriteKind::Delete => true,
            WriteKind::Lock | WriteKind::Rollback => false,
        }
    }
}

/// Reads keys of a snapshot.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    snapshot: &'a dyn KvSnapshot,
}

impl<'a> Reader<'a> {
    /// Of `snapshot`.
    #[must_use]
    pub const fn new(snapshot: &'a dyn KvSnapshot) -> Self {
        Self { snapshot }
    }

    /// The stored lock of a key.
    ///
    /// # Errors
    /// Reading failed, or the row does not decode; so with all reads here.
    pub fn lock(&self, key: &Ordered) -> Result<Option<Lock>, StorageError> {
        let stored = self.snapshot.get(Cf::Lock, key.bytes())?;
        stored.map(|stored| Lock::decode(&stored)).transpose()
    }

    /// Walks the versions of a key from `newest` down.
    pub(crate) fn versions(
        &self,
        key: &Ordered,
        newest: Timestamp,
        visit: &mut VisitVersion<'_>,
    ) -> Result<(), StorageError> {
        self.scan(Cf::Write, &key.versions(newest), false, &mut |row, stored| {
            let (_, commit_ts) = split(row)?;
            visit(commit_ts, stored)
        })
    }

    /// The newest put or delete at or below `newest`.
    pub fn newest_change(
        &self,
        key: &Ordered,
        newest: Timestamp,
    ) -> Result<Option<Version>, StorageError> {
        let mut from = newest;
        loop {
            let mut end = Walk::Nothing;
            self.versions(key, from, &mut |commit_ts, stored| {
                let record = WriteRecord::decode(stored)?;
                end = Walk::after(commit_ts, record);
                Ok(match end {
                    Walk::Nothing => ControlFlow::Continue(()),
                    Walk::Found(_) | Walk::Absent | Walk::Jump(_) => ControlFlow::Break(()),
                })
            })?;
            match end {
                Walk::Found(version) => return Ok(Some(version)),
                Walk::Absent | Walk::Nothing => return Ok(None),
                Walk::Jump(to) => from = to,
            }
        }
    }

    /// The newest change of a key for a record that changes nothing and is committed at
    /// `commit_ts`, on top of all others.
    pub fn last_change(
        &self,
        key: &Ordered,
        commit_ts: Timestamp,
    ) -> Result<LastChange, StorageError> {
        let (mut hint, mut between) = (None, 0);
        self.versions(key, commit_ts, &mut |below, stored| {
            let record = WriteRecord::decode(stored)?;
            between += 1;
            if record.is_change() {
                hint = Some(LastChange { commit_ts: below, distance: between });
            } else if let Some(last) = record.last_change {
                hint = Some(LastChange { distance: last.distance + between, ..last });
            }
            Ok(if hint.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(hint.unwrap_or(LastChange { commit_ts: Timestamp::ZERO, distance: between + 1 }))
    }

    /// The value of a put.
    pub fn value(&self, key: &Ordered, record: &WriteRecord) -> Result<Bytes, StorageError> {
        match &record.short_value {
            Some(value) => Ok(value.clone()),
            None => {
                self.long_value(key, record.start_ts)?.ok_or_else(|| missing(key, record.start_ts))
            }
        }
    }

    /// The value that a lock holds back.
    pub fn locked_value(&self, key: &Ordered, lock: &Lock) -> Result<Bytes, StorageError> {
        match &lock.short_value {
            Some(value) => Ok(value.clone()),
            None => self.long_value(key, lock.start_ts)?.ok_or_else(|| missing(key, lock.start_ts)),
        }
    }

    /// The long value that a transaction left, unless it is gone.
    pub(crate) fn long_value(
        &self,
        key: &Ordered,
        start_ts: Timestamp,
    ) -> Result<Option<Bytes>, StorageError> {
        self.snapshot.get(Cf::Default, &key.at(start_ts))
    }

    /// [`KvSnapshot::scan`] with a visitor that may fail.
    pub(crate) fn scan(
        &self,
        cf: Cf,
        rows: &KeyRange,
        reverse: bool,
        visit: &mut VisitRow<'_>,
    ) -> Result<(), StorageError> {
        let mut failure = None;
        self.snapshot.scan(cf, rows, reverse, &mut |row, stored| {
            visit(row, stored).unwrap_or_else(|error| {
                failure = Some(error);
                ControlFlow::Break(())
            })
        })?;
        failure.map_or(Ok(()), Err)
    }
}

/// Where a search for the newest change of a key stands behind a record.
pub(crate) enum Walk {
    /// Nothing yet; look at the next record.
    Nothing,
    /// This is it.
    Found(Version),
    /// There is none.
    Absent,
    /// It is far below, at this timestamp.
    Jump(Timestamp),
}

impl Walk {
    pub(crate) fn after(commit_ts: Timestamp, record: WriteRecord) -> Self {
        if record.is_change() {
            return Self::Found(Version { commit_ts, record });
        }
        match record.last_change {
            Some(last) if last.commit_ts == Timestamp::ZERO => Self::Absent,
            Some(last) if last.distance > WALK_AT_MOST => Self::Jump(last.commit_ts),
            Some(_) | None => Self::Nothing,
        }
    }
}

fn missing(key: &Ordered, start_ts: Timestamp) -> StorageError {
    let key = key.bytes().escape_ascii();
    StorageError::Inconsistent { detail: format!("{key} has no value of {start_ts}") }
}
