//! What a transaction wrote so far, by key; what it sees of that itself; and what becomes of it at the
//! commit.
use bytes::Bytes;
use std::collections::BTreeMap;
use troupe_types::txn::{Assertion, Mutation, MutationOp, PessimisticAction, TxnRow};
use troupe_types::{Key, KeyRange, Timestamp, UnixMillis};

/// The state that a transaction leaves a key in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// With this value.
    Value {
        /// User value.
        value: Bytes,
        /// When it ends, if ever.
        expires_at: Option<UnixMillis>,
    },
    /// Without one.
    Deleted,
}

impl Written {
    /// As the transaction itself reads it; its commit timestamp is not known yet.
    #[must_use]
    pub fn row(&self, key: &Key) -> Option<TxnRow> {
        match self {
            Self::Value { value, expires_at } => Some(TxnRow {
                key: key.clone(),
                value: value.clone(),
                commit_ts: Timestamp::ZERO,
                expires_at: *expires_at,
            }),
            Self::Deleted => None,
        }
    }
}

/// One key that the transaction touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Slot {
    written: Option<Written>,
    /// An insert came first: the key must have no value when it is prewritten.
    must_be_absent: bool,
}

/// The key has a value already, by the transaction's own doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupied;

/// Writes of one transaction, and keys that nobody else may change before its commit.
#[derive(Clone, Debug, Default)]
pub struct WriteBuffer {
    slots: BTreeMap<Key, Slot>,
    bytes: usize,
    /// What was there at the savepoint, of slots that were touched since.
    savepoint: Option<Savepoint>,
}

#[derive(Clone, Debug)]
struct Savepoint {
    slots: BTreeMap<Key, Option<Slot>>,
    bytes: usize,
}

/// What a slot takes beside key and value.
const OVERHEAD: usize = 64;

impl WriteBuffer {
    /// Bytes of keys and values, with a little for each.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keys written or guarded.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Is nothing written or guarded?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Is anything written? Guards alone need no commit.
    #[must_use]
    pub fn has_writes(&self) -> bool {
        self.slots.values().any(|slot| slot.written.is_some())
    }

    /// Is `key` written or guarded: will its prewrite check it?
    #[must_use]
    pub fn holds(&self, key: &Key) -> bool {
        self.slots.contains_key(key)
    }

    /// What the transaction left at `key`; `None` if it did not write it.
    #[must_use]
    pub fn written(&self, key: &Key) -> Option<&Written> {
        self.slots.get(key)?.written.as_ref()
    }

    /// Leaves `written` at `key`.
    pub fn write(&mut self, key: Key, written: Written) {
        let size = |written: &Written| match written {
            Written::Value { value, .. } => value.len(),
            Written::Deleted => 0,
        };
        let slot = self.slot(key);
        let before = slot.written.as_ref().map_or(0, size);
        let after = size(&written);
        slot.written = Some(written);
        self.bytes = self.bytes + after - before;
    }

    /// Leaves a value at `key`, which must have none.
    ///
    /// # Errors
    /// [`Occupied`] if the transaction itself stored one. What others stored shows at the prewrite.
    pub fn insert(
        &mut self,
        key: Key,
        value: Bytes,
        expires_at: Option<UnixMillis>,
    ) -> Result<(), Occupied> {
        match self.written(&key) {
            Some(Written::Value { .. }) => return Err(Occupied),
            // Absent by the transaction's own doing.
            Some(Written::Deleted) => {}
            None => self.slot(key.clone()).must_be_absent = true,
        }
        self.write(key, Written::Value { value, expires_at });
        Ok(())
    }

    /// From here on changes can be undone. An earlier savepoint is forgotten.
    pub fn set_savepoint(&mut self) {
        self.savepoint = Some(Savepoint { slots: BTreeMap::new(), bytes: self.bytes });
    }

    /// Undoes all changes since the savepoint.
    pub fn undo(&mut self) {
        let Some(savepoint) = self.savepoint.take() else { return };
        for (key, before) in savepoint.slots {
            match before {
                Some(slot) => drop(self.slots.insert(key, slot)),
                None => drop(self.slots.remove(&key)),
            }
        }
        self.bytes = savepoint.bytes;
    }

    /// Nobody else shall change `key` before the commit.
    pub fn guard(&mut self, key: Key) {
        self.slot(key);
    }

    fn slot(&mut self, key: Key) -> &mut Slot {
        if let Some(savepoint) = &mut self.savepoint {
            let before = || self.slots.get(&key).cloned();
            savepoint.slots.entry(key.clone()).or_insert_with(before);
        }
        let bytes = &mut self.bytes;
        self.slots.entry(key).or_insert_with_key(|key| {
            *bytes += key.len() + OVERHEAD;
            Slot::default()
        })
    }

    /// `rows` (all that others committed in `range`, in scan order) as the transaction sees them.
    #[must_use]
    pub fn overlay(&self, rows: Vec<TxnRow>, range: &KeyRange, reverse: bool) -> Vec<TxnRow> {
        let mut seen: BTreeMap<Key, TxnRow> =
            rows.into_iter().map(|row| (row.key.clone(), row)).collect();
        let own =
            self.slots.range(range.start.clone()..).take_while(|(key, _)| range.contains(key));
        for (key, slot) in own {
            match slot.written.as_ref().map(|written| written.row(key)) {
                Some(Some(row)) => drop(seen.insert(key.clone(), row)),
                Some(None) => drop(seen.remove(key)),
                None => {}
            }
        }
        let mut rows: Vec<TxnRow> = seen.into_values().collect();
        if reverse {
            rows.reverse();
        }
        rows
    }

    /// The mutations of the commit, in key order. A pessimistic transaction holds locks on all its
    /// keys (`is_locked`), and has checked inserts when it took them.
    #[must_use]
    pub fn mutations(&self, is_locked: &dyn Fn(&Key) -> bool, pessimistic: bool) -> Vec<Mutation> {
        let one = |(key, slot): (&Key, &Slot)| {
            let locked = is_locked(key);
            let must_be_absent = slot.must_be_absent && !locked;
            let op = match slot.written.clone() {
                Some(Written::Value { value, expires_at }) if must_be_absent => {
                    MutationOp::Insert { value, expires_at }
                }
                Some(Written::Value { value, expires_at }) => MutationOp::Put { value, expires_at },
                Some(Written::Deleted) if must_be_absent => MutationOp::CheckNotExists,
                Some(Written::Deleted) if slot.must_be_absent => MutationOp::Lock,
                Some(Written::Deleted) => MutationOp::Delete,
                None => MutationOp::Lock,
            };
            let pessimistic = match (locked, pessimistic) {
                (true, _) => PessimisticAction::Check,
                (false, true) => PessimisticAction::CheckConflict,
                (false, false) => PessimisticAction::Skip,
            };
            Mutation { key: key.clone(), op, assertion: Assertion::None, pessimistic }
        };
        self.slots.iter().map(one).collect()
    }
}
