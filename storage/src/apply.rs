//! Applying commands: state and command in, changes and reply out. Pure, total and deterministic:
//! every replica computes the same from the same entry.
//!
//! ```text
//!   snapshot of the engine ─┐ (taken on the first read only)
//!   earlier commands ───────┤
//!                           ▼
//!   command ──────────▶ ApplyBatch ──▶ reply
//!                           └────────▶ one WriteBatch for all, with the caller's own rows
//! ```
//! Whether the command's epoch and keys fit the Region is the caller's to check.
//!
//! Blind writes, the bulk of all commands, read nothing and keep no index of what they wrote. The
//! first command that reads absorbs the changes in front of it into an overlay.
use crate::engine::{Cf, KvSnapshot, Modify, WriteBatch};
use crate::error::StorageError;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use troupe_types::command::{RawChange, RawExpectation, TxnCf, TxnChange};
use troupe_types::raw_value::{RawValue, value_hash};
use troupe_types::{Key, KeyRange, UnixMillis, WriteCommand, WriteReply};

/// Gives the state in front of the batch. Called once at most.
pub type Base<'a> = &'a dyn Fn() -> Arc<dyn KvSnapshot>;

/// Commands that are applied together. A later one sees what the earlier ones did.
pub struct ApplyBatch<'a> {
    base: Base<'a>,
    snapshot: Option<Arc<dyn KvSnapshot>>,
    changes: Vec<Modify>,
    overlay: Overlay,
}

/// What the first `absorbed` changes made of the default column family.
#[derive(Default)]
struct Overlay {
    absorbed: usize,
    /// Content of keys; `None` = removed.
    rows: BTreeMap<Key, Option<Bytes>>,
    /// Ranges whose keys are gone unless they stand in `rows`.
    deleted: Vec<KeyRange>,
}

impl<'a> ApplyBatch<'a> {
    /// An empty batch on the state that `base` gives.
    #[must_use]
    pub fn new(base: Base<'a>) -> Self {
        Self { base, snapshot: None, changes: Vec::new(), overlay: Overlay::default() }
    }

    /// Applies `command`. It takes effect whole or not at all.
    ///
    /// # Errors
    /// Nothing of the command took effect. If the error is
    /// [deterministic](StorageError::is_deterministic) it is the command's result on every replica;
    /// otherwise reading failed here alone, which is fatal for the Store.
    pub fn apply(&mut self, command: &WriteCommand) -> Result<WriteReply, StorageError> {
        match command {
            WriteCommand::RawWrite { changes } => {
                self.changes.extend(changes.iter().map(|(key, change)| modify(key, change)));
                Ok(WriteReply::Done)
            }
            WriteCommand::RawCompareAndSwap { key, expect, change, now } => {
                self.compare_and_swap((key, expect), change, *now)
            }
            WriteCommand::RawDeleteRange { range } => {
                if !range.is_empty() {
                    self.changes.push(Modify::DeleteRange(Cf::Default, range.clone()));
                }
                Ok(WriteReply::Done)
            }
            WriteCommand::System { expect, rows } => self.system(expect, rows),
            WriteCommand::Txn { changes } => {
                self.changes.extend(changes.iter().map(txn_modify));
                Ok(WriteReply::Done)
            }
        }
    }

    /// Sets a row of the caller's own, in the same batch.
    pub fn put_raw_cf(&mut self, cf: Cf, key: Bytes, value: Bytes) {
        self.changes.push(Modify::Put(cf, key, value));
    }

    /// Removes a row of the caller's own, in the same batch.
    pub fn delete_raw_cf(&mut self, cf: Cf, key: Bytes) {
        self.changes.push(Modify::Delete(cf, key));
    }

    /// Changes so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Is there nothing to write?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What is to be written.
    #[must_use]
    pub fn finish(self) -> WriteBatch {
        WriteBatch { changes: self.changes }
    }

    fn compare_and_swap(
        &mut self,
        (key, expect): (&Key, &RawExpectation),
        change: &RawChange,
        now: UnixMillis,
    ) -> Result<WriteReply, StorageError> {
        let previous = match self.read(key)? {
            Some(stored) => {
                let found = RawValue::decode(&stored)?;
                (!found.is_expired(now)).then_some(found.value)
            }
            None => None,
        };
        let succeeded = holds(expect, previous.as_ref());
        if succeeded {
            self.changes.push(modify(key, change));
        }
        Ok(WriteReply::Swapped { succeeded, previous })
    }

    fn system(
        &mut self,
        expect: &[(Key, Option<Bytes>)],
        rows: &[(Key, Option<Bytes>)],
    ) -> Result<WriteReply, StorageError> {
        for (key, expected) in expect {
            if self.read(key)? != *expected {
                return Ok(WriteReply::Rejected);
            }
        }
        self.changes.extend(rows.iter().map(|(key, row)| match row {
            Some(value) => Modify::Put(Cf::Default, key.clone(), value.clone()),
            None => Modify::Delete(Cf::Default, key.clone()),
        }));
        Ok(WriteReply::Done)
    }

    /// The stored value of `key` behind all changes so far.
    fn read(&mut self, key: &Key) -> Result<Option<Bytes>, StorageError> {
        self.overlay.absorb(&self.changes);
        if let Some(row) = self.overlay.rows.get(key) {
            return Ok(row.clone());
        }
        if self.overlay.deleted.iter().any(|range| range.contains(key)) {
            return Ok(None);
        }
        self.snapshot.get_or_insert_with(self.base).get(Cf::Default, key)
    }
}

impl Overlay {
    fn absorb(&mut self, changes: &[Modify]) {
        for change in &changes[self.absorbed..] {
            match change {
                Modify::Put(Cf::Default, key, value) => {
                    self.rows.insert(key.clone(), Some(value.clone()));
                }
                Modify::Delete(Cf::Default, key) => {
                    self.rows.insert(key.clone(), None);
                }
                Modify::DeleteRange(Cf::Default, range) => {
                    self.rows.retain(|key, _| !range.contains(key));
                    self.deleted.push(range.clone());
                }
                Modify::Put(..)
                | Modify::Delete(..)
                | Modify::DeleteRange(..)
                | Modify::ReplaceRecord(..) => {}
            }
        }
        self.absorbed = changes.len();
    }
}

fn modify(key: &Key, change: &RawChange) -> Modify {
    match change {
        RawChange::Put { value, expires_at } => {
            let stored = RawValue { value: value.clone(), expires_at: *expires_at }.encode();
            Modify::Put(Cf::Default, key.clone(), stored)
        }
        RawChange::Delete => Modify::Delete(Cf::Default, key.clone()),
    }
}

/// A change of a transaction, as engines write it.
#[must_use]
pub fn txn_modify(change: &TxnChange) -> Modify {
    let cf = match change.cf {
        TxnCf::Default => Cf::Default,
        TxnCf::Lock => Cf::Lock,
        TxnCf::Write => Cf::Write,
    };
    match &change.value {
        Some(value) if change.if_present && cf == Cf::Write => {
            Modify::ReplaceRecord(change.key.clone(), value.clone())
        }
        Some(value) => Modify::Put(cf, change.key.clone(), value.clone()),
        None => Modify::Delete(cf, change.key.clone()),
    }
}

fn holds(expect: &RawExpectation, found: Option<&Bytes>) -> bool {
    match expect {
        RawExpectation::Absent => found.is_none(),
        RawExpectation::Present => found.is_some(),
        RawExpectation::Equals(value) => found == Some(value),
        RawExpectation::Hash(hash) => found.is_some_and(|value| value_hash(value) == *hash),
        RawExpectation::NotHash(hash) => found.is_none_or(|value| value_hash(value) != *hash),
    }
}

#[cfg(test)]
mod tests;
