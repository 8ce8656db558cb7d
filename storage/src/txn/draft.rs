//! What a command has decided so far.
use super::{Executed, TxnContext};
use crate::error::StorageError;
use crate::mvcc::keys::Ordered;
use crate::mvcc::{Lock, Reader, WriteRecord};
use bytes::Bytes;
use troupe_types::command::{TxnCf, TxnChange};
use troupe_types::txn::{LockKind, TxnError, TxnReply, WriteKind};
use troupe_types::{Key, Timestamp};

/// Why a command ends early.
#[derive(Debug)]
pub(super) enum Stop {
    /// It is refused and changes nothing.
    Refused(TxnError),
    /// Storage failed.
    Failed(StorageError),
}

impl From<TxnError> for Stop {
    fn from(error: TxnError) -> Self {
        Self::Refused(error)
    }
}

impl From<StorageError> for Stop {
    fn from(error: StorageError) -> Self {
        Self::Failed(error)
    }
}

/// A reply, or why there is none.
pub(super) type Decision = Result<TxnReply, Stop>;

/// The lock of a key as a command finds it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) lock: Lock,
    /// It is held in memory, and not stored.
    pub(super) in_memory: bool,
}

impl Held {
    /// Is it this transaction's?
    pub(super) fn is_of(&self, start_ts: Timestamp) -> bool {
        self.lock.start_ts == start_ts
    }

    pub(super) fn is_pessimistic(&self) -> bool {
        self.lock.kind == LockKind::Pessimistic
    }
}

/// A key that a command works on, in both forms.
pub(super) struct Place<'a> {
    pub(super) key: &'a Key,
    pub(super) ordered: Ordered,
}

impl<'a> Place<'a> {
    pub(super) fn of(key: &'a Key) -> Self {
        Self { key, ordered: Ordered::of(key) }
    }
}

impl<'a> TxnContext<'a> {
    pub(super) const fn reader(&self) -> Reader<'a> {
        Reader::new(self.snapshot)
    }

    /// The lock of a key; memory first.
    pub(super) fn lock(&self, place: &Place<'_>) -> Result<Option<Held>, StorageError> {
        if let Some(lock) = self.memory.get(place.key) {
            return Ok(Some(Held { lock: lock.clone(), in_memory: true }));
        }
        let stored = self.reader().lock(&place.ordered)?;
        Ok(stored.map(|lock| Held { lock, in_memory: false }))
    }
}

/// Changes so far.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) out: Executed,
}

impl Draft {
    fn change(&mut self, cf: TxnCf, key: Bytes, value: Option<Bytes>) {
        self.out.changes.push(TxnChange { cf, key, value, if_present: false });
    }

    /// Stores a lock, in place of `replaced`.
    pub(super) fn store_lock(&mut self, place: &Place<'_>, lock: &Lock, replaced: Option<&Held>) {
        self.change(TxnCf::Lock, place.ordered.bytes().clone(), Some(lock.encode()));
        if replaced.is_some_and(|held| held.in_memory) {
            self.out.forgotten.push(place.key.clone());
        }
    }

    /// Leaves a changed lock where it was.
    pub(super) fn update_lock(&mut self, place: &Place<'_>, changed: Held) {
        if changed.in_memory {
            self.out.remembered.push((place.key.clone(), changed.lock));
        } else {
            self.store_lock(place, &changed.lock, None);
        }
    }

    /// Ends a lock.
    pub(super) fn end_lock(&mut self, place: &Place<'_>, held: &Held) {
        if held.in_memory {
            self.out.forgotten.push(place.key.clone());
        } else {
            self.change(TxnCf::Lock, place.ordered.bytes().clone(), None);
        }
        self.out.released.push(place.key.clone());
    }

    pub(super) fn put_record(&mut self, place: &Place<'_>, ts: Timestamp, record: &WriteRecord) {
        self.change(TxnCf::Write, place.ordered.at(ts), Some(record.encode()));
    }

    /// Changes a record that is there. Another replica may have collected it: there it stays away.
    pub(super) fn mark_record(&mut self, place: &Place<'_>, ts: Timestamp, record: &WriteRecord) {
        let (key, value) = (place.ordered.at(ts), Some(record.encode()));
        self.out.changes.push(TxnChange { cf: TxnCf::Write, key, value, if_present: true });
    }

    pub(super) fn remove_record(&mut self, place: &Place<'_>, ts: Timestamp) {
        self.change(TxnCf::Write, place.ordered.at(ts), None);
    }

    pub(super) fn put_value(&mut self, place: &Place<'_>, ts: Timestamp, value: &Bytes) {
        self.change(TxnCf::Default, place.ordered.at(ts), Some(value.clone()));
    }

    /// Removes the long value that a lock holds back, if there is one.
    pub(super) fn remove_value(&mut self, place: &Place<'_>, lock: &Lock) {
        if has_long_value(lock) {
            self.change(TxnCf::Default, place.ordered.at(lock.start_ts), None);
        }
    }
}

/// Does the value that this lock holds back stand in a row of its own?
pub(super) fn has_long_value(lock: &Lock) -> bool {
    lock.kind == LockKind::Put && lock.short_value.is_none()
}

/// The record of a commit of this kind. A pessimistic lock holds nothing back.
pub(super) const fn commit_kind(kind: LockKind) -> WriteKind {
    match kind {
        LockKind::Put => WriteKind::Put,
        LockKind::Delete => WriteKind::Delete,
        LockKind::Lock | LockKind::Pessimistic => WriteKind::Lock,
    }
}

/// Is the transaction of `lock` past its time?
pub(super) const fn has_expired(lock: &Lock, current_ts: Timestamp) -> bool {
    troupe_types::txn::has_expired(lock.start_ts, lock.ttl_ms, current_ts)
}

/// The timestamp behind `ts`; none lies behind the last.
pub(super) const fn behind(ts: Timestamp) -> Timestamp {
    Timestamp(ts.get().saturating_add(1))
}
