//! Judges one key of a prewrite: may the transaction lock it?
use super::TxnContext;
use super::account::{Account, Depth, Fate};
use super::draft::{Held, Place, Stop, behind};
use super::prewrite::{Fresh, InTheWay};
use crate::mvcc::{Lock, Version};
use troupe_types::txn::error::ConflictReason;
use troupe_types::txn::{Assertion, LockKind, Mutation, MutationOp, PessimisticAction, TxnError};
use troupe_types::{Key, Timestamp, UnixMillis};

/// What the keys are judged by.
pub(super) struct Judge<'a> {
    pub(super) context: &'a TxnContext<'a>,
    pub(super) start_ts: Timestamp,
    /// 0 for an optimistic transaction.
    pub(super) for_update_ts: Timestamp,
    pub(super) primary: &'a Key,
    /// Of a flush; 0 for a prewrite.
    pub(super) generation: u64,
}

/// What comes of a key.
pub(super) enum Verdict<'a> {
    /// It is to be locked.
    Fresh(Fresh<'a>),
    /// It was only to be checked.
    Checked,
    /// An earlier delivery has locked it.
    Repeated(Box<Lock>),
    /// Somebody else holds it.
    Blocked(InTheWay),
    /// An assertion does not hold; it counts only if nothing else is in the way.
    Failed(TxnError),
    /// The transaction is committed already.
    Committed(Timestamp),
}

impl<'a> Judge<'a> {
    pub(super) fn key(
        &self,
        mutation: &'a Mutation,
        expected: Option<Timestamp>,
    ) -> Result<Verdict<'a>, Stop> {
        let place = Place::of(&mutation.key);
        let checks =
            mutation.pessimistic == PessimisticAction::Check && self.for_update_ts.get() > 0;
        let held = self.context.lock(&place)?;
        match held {
            Some(held) if !held.is_of(self.start_ts) => {
                // Nobody else can have had it while the transaction held it.
                if checks {
                    return Err(self.lost(&place));
                }
                Ok(Verdict::Blocked(Box::new(held.lock.info(mutation.key.clone()))))
            }
            Some(held) if held.is_pessimistic() => {
                if expected.is_some_and(|ts| checks && ts != held.lock.for_update_ts) {
                    return Err(self.lost(&place));
                }
                self.unlocked(mutation, (place, Some(held)), checks)
            }
            Some(held) => self.own(mutation, (place, held)),
            None => self.unlocked(mutation, (place, None), false),
        }
    }

    /// The transaction has prewritten the key.
    fn own(
        &self,
        mutation: &'a Mutation,
        (place, held): (Place<'a>, Held),
    ) -> Result<Verdict<'a>, Stop> {
        if self.generation < held.lock.generation && self.generation > 0 {
            let (start_ts, generation) = (self.start_ts, self.generation);
            return Err(TxnError::GenerationPassed { start_ts, generation }.into());
        }
        if self.generation <= held.lock.generation {
            return Ok(Verdict::Repeated(Box::new(held.lock)));
        }
        let is_insert = match mutation.op {
            MutationOp::Insert { .. } => true,
            MutationOp::Put { .. }
            | MutationOp::Delete
            | MutationOp::Lock
            | MutationOp::CheckNotExists => false,
        };
        let is_check = mutation.op == MutationOp::CheckNotExists;
        match held.lock.kind {
            LockKind::Put if is_insert || is_check => Err(self.exists(&place, self.start_ts)),
            LockKind::Put | LockKind::Delete if is_check => Ok(Verdict::Checked),
            LockKind::Put | LockKind::Delete => Ok(fresh(mutation, (place, Some(held)), None)),
            LockKind::Lock | LockKind::Pessimistic => {
                self.unlocked(mutation, (place, Some(held)), true)
            }
        }
    }

    /// Nobody else holds the key; `is_safe`: nobody can have committed since the transaction read it.
    fn unlocked(
        &self,
        mutation: &'a Mutation,
        (place, held): (Place<'a>, Option<Held>),
        is_safe: bool,
    ) -> Result<Verdict<'a>, Stop> {
        let needs_value = needs_value(mutation);
        if is_safe && !needs_value {
            return Ok(fresh(mutation, (place, held), None));
        }
        let depth = if needs_value { Depth::Below } else { Depth::Start };
        let reader = self.context.reader();
        let mut account = Account::of(reader, &place.ordered, self.start_ts, depth)?;
        if !is_safe {
            if let Fate::Committed(commit_ts) = account.fate {
                return Ok(Verdict::Committed(commit_ts));
            }
            self.conflict(mutation, &place, &account)?;
        }
        let behind_all = account.newest.map(|(_, commit_ts)| behind(commit_ts));
        let rollbacks = std::mem::take(&mut account.rollbacks);
        if needs_value {
            let newest = account.newest_change(reader, &place.ordered)?;
            let newest = newest.filter(|version| version.is_live(self.clock()));
            if let Some(verdict) = self.value(mutation, &place, newest)? {
                return Ok(verdict);
            }
        }
        Ok(fresh(mutation, (place, held), Some((behind_all, rollbacks))))
    }

    /// Refuses if the transaction was rolled back or somebody committed since it read the key.
    fn conflict(
        &self,
        mutation: &Mutation,
        place: &Place<'_>,
        account: &Account,
    ) -> Result<(), Stop> {
        let found = |(conflict_start_ts, conflict_commit_ts), reason| {
            Stop::Refused(TxnError::WriteConflict {
                start_ts: self.start_ts,
                conflict_start_ts,
                conflict_commit_ts,
                key: place.key.clone(),
                primary: self.primary.clone(),
                reason,
            })
        };
        if account.fate == Fate::RolledBack && !planted!(RollbackUnprotected) {
            return Err(found((self.start_ts, self.start_ts), ConflictReason::SelfRolledBack));
        }
        let is_pessimistic = self.for_update_ts.get() > 0;
        match (mutation.pessimistic, account.newest) {
            (PessimisticAction::Skip, _) if is_pessimistic => Ok(()),
            // What it was locked against may be gone; only an untouched key can be locked anew.
            (PessimisticAction::Check, newest) if is_pessimistic => {
                let touched = newest.is_some() || account.at_start.is_some();
                if touched { Err(self.lost(place)) } else { Ok(()) }
            }
            (_, None) => Ok(()),
            (_, Some(newest)) if is_pessimistic => {
                Err(found(newest, ConflictReason::LazyUniquenessCheck))
            }
            (_, Some(newest)) => Err(found(newest, ConflictReason::Optimistic)),
        }
    }

    /// What the value that is there means for the mutation, if anything.
    fn value(
        &self,
        mutation: &Mutation,
        place: &Place<'_>,
        newest: Option<Version>,
    ) -> Result<Option<Verdict<'a>>, Stop> {
        let existing_start_ts = newest.as_ref().map(|version| version.record.start_ts);
        let must_be_absent = match mutation.op {
            MutationOp::Insert { .. } | MutationOp::CheckNotExists => true,
            MutationOp::Put { .. } | MutationOp::Delete | MutationOp::Lock => false,
        };
        if let (true, Some(start_ts)) = (must_be_absent, existing_start_ts) {
            return Err(self.exists(place, start_ts));
        }
        let exists = newest.is_some();
        let holds = match mutation.assertion {
            Assertion::None => true,
            Assertion::Exist => exists,
            Assertion::NotExist => !exists,
        };
        if !holds {
            return Ok(Some(Verdict::Failed(TxnError::AssertionFailed {
                start_ts: self.start_ts,
                key: place.key.clone(),
                exists,
                existing_start_ts: existing_start_ts.unwrap_or_default(),
                existing_commit_ts: newest.map_or(Timestamp::ZERO, |version| version.commit_ts),
            })));
        }
        Ok((mutation.op == MutationOp::CheckNotExists).then_some(Verdict::Checked))
    }

    /// The clock by which values end: that of what the transaction last read.
    fn clock(&self) -> UnixMillis {
        UnixMillis(self.start_ts.max(self.for_update_ts).physical_ms())
    }

    fn lost(&self, place: &Place<'_>) -> Stop {
        let (start_ts, key) = (self.start_ts, place.key.clone());
        TxnError::PessimisticLockNotFound { start_ts, key }.into()
    }

    fn exists(&self, place: &Place<'_>, existing_start_ts: Timestamp) -> Stop {
        TxnError::AlreadyExists { key: place.key.clone(), existing_start_ts }.into()
    }
}

fn needs_value(mutation: &Mutation) -> bool {
    let by_op = match mutation.op {
        MutationOp::Insert { .. } | MutationOp::CheckNotExists => true,
        MutationOp::Put { .. } | MutationOp::Delete | MutationOp::Lock => false,
    };
    by_op || mutation.assertion != Assertion::None
}

/// A key to lock. `known`: what its records say, if they were read.
fn fresh<'a>(
    mutation: &'a Mutation,
    (place, held): (Place<'a>, Option<Held>),
    known: Option<(Option<Timestamp>, Vec<Timestamp>)>,
) -> Verdict<'a> {
    let (floor, mut rollbacks) = known.unwrap_or_default();
    if let Some(held) = &held {
        let noted = &held.lock.rollbacks;
        rollbacks
            .extend(noted.iter().filter(|ts| !rollbacks.contains(ts)).copied().collect::<Vec<_>>());
    }
    let floor = floor.unwrap_or_default();
    Verdict::Fresh(Fresh { place, mutation, held, floor, rollbacks })
}
