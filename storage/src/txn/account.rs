//! What the commit records of a key say about a transaction: one pass from the newest down to where
//! the transaction began.
use crate::error::StorageError;
use crate::mvcc::keys::Ordered;
use crate::mvcc::{Reader, Version, WriteRecord};
use std::ops::ControlFlow;
use troupe_types::Timestamp;
use troupe_types::txn::WriteKind;

/// What became of the transaction on this key, by the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fate {
    /// No record of it.
    #[default]
    Open,
    /// Committed then.
    Committed(Timestamp),
    /// Rolled back.
    RolledBack,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Of the transaction.
    pub(super) fate: Fate,
    /// The newest commit of another transaction behind the start: start and commit timestamp.
    pub(super) newest: Option<(Timestamp, Timestamp)>,
    /// Other transactions that began later and are rolled back here. If this one commits at such a
    /// timestamp, its record takes the place of that rollback.
    pub(super) rollbacks: Vec<Timestamp>,
    /// Another transaction committed at exactly the start timestamp.
    pub(super) at_start: Option<WriteRecord>,
    /// The newest put or delete, if there is one at or behind the start.
    pub(super) change: Option<Version>,
    /// The newest record before the start, if asked for.
    pub(super) below: Option<Version>,
}

/// How far to look.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Down to the start.
    Start,
    /// Down to the first record before it.
    Below,
}

impl Account {
    pub(super) fn of(
        reader: Reader<'_>,
        key: &Ordered,
        start_ts: Timestamp,
        depth: Depth,
    ) -> Result<Self, StorageError> {
        let mut account = Self::default();
        reader.versions(key, Timestamp::MAX, &mut |commit_ts, stored| {
            if commit_ts >= start_ts {
                account.add(start_ts, Version { commit_ts, record: WriteRecord::decode(stored)? });
                return Ok(ControlFlow::Continue(()));
            }
            if depth == Depth::Below {
                let record = WriteRecord::decode(stored)?;
                account.below = Some(Version { commit_ts, record });
            }
            Ok(ControlFlow::Break(()))
        })?;
        Ok(account)
    }

    /// Takes a record at or behind the start.
    fn add(&mut self, start_ts: Timestamp, version: Version) {
        let Version { commit_ts, record } = &version;
        let own = record.start_ts == start_ts;
        if record.kind == WriteKind::Rollback {
            if own {
                self.fate = Fate::RolledBack;
            } else {
                self.rollbacks.push(*commit_ts);
            }
            return;
        }
        if own {
            self.fate = Fate::Committed(*commit_ts);
        } else if *commit_ts == start_ts {
            if record.protects_rollback {
                self.fate = Fate::RolledBack;
            }
            self.at_start = Some(record.clone());
        } else if self.newest.is_none() {
            self.newest = Some((record.start_ts, *commit_ts));
        }
        if record.is_change() && self.change.is_none() {
            self.change = Some(version);
        }
    }

    /// The newest put or delete of the key. Asks for [`Depth::Below`].
    pub(super) fn newest_change(
        self,
        reader: Reader<'_>,
        key: &Ordered,
    ) -> Result<Option<Version>, StorageError> {
        match (self.change, self.below) {
            (Some(change), _) => Ok(Some(change)),
            (None, None) => Ok(None),
            (None, Some(below)) if below.record.is_change() => Ok(Some(below)),
            (None, Some(below)) => reader.newest_change(key, below.commit_ts),
        }
    }
}
