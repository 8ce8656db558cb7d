//! Pessimistic locks: taken before the prewrite, dropped without a trace.
use super::TxnContext;
use super::account::{Account, Depth, Fate};
use super::draft::{Decision, Draft, Held, Place, Stop};
use crate::mvcc::{Lock, Version};
use troupe_types::txn::command::LockedKey;
use troupe_types::txn::error::ConflictReason;
use troupe_types::txn::{LockInfo, LockKind, PessimisticLock, TxnError, TxnReply};
use troupe_types::{Key, Timestamp, UnixMillis};

/// Locked, or to be tried again when a lock has gone.
pub(super) enum Outcome {
    Locked(Vec<LockedKey>),
    Wait(Box<LockInfo>),
}

/// [`troupe_types::TxnCommand::PessimisticLock`].
pub(super) fn lock(
    request: &PessimisticLock,
    context: &TxnContext<'_>,
    draft: &mut Draft,
) -> Result<Outcome, Stop> {
    if request.lock_only_if_exists && !request.return_values {
        return Err(TxnError::LockIfExistsNeedsValues { start_ts: request.start_ts }.into());
    }
    let mut locked = Vec::with_capacity(request.keys.len());
    for (key, must_be_absent) in &request.keys {
        let place = Place::of(key);
        let held = context.lock(&place)?;
        if let Some(other) = held.as_ref().filter(|held| !held.is_of(request.start_ts)) {
            let info = Box::new(other.lock.info(key.clone()));
            return match request.wait_ms {
                Some(_) => Ok(Outcome::Wait(info)),
                None => Err(TxnError::Locked(info).into()),
            };
        }
        locked.push(lock_key(request, (&place, held, *must_be_absent), context, draft)?);
    }
    Ok(Outcome::Locked(locked))
}

/// The key is not locked by others.
fn lock_key(
    request: &PessimisticLock,
    (place, held, must_be_absent): (&Place<'_>, Option<Held>, bool),
    context: &TxnContext<'_>,
    draft: &mut Draft,
) -> Result<LockedKey, Stop> {
    let (start_ts, key) = (request.start_ts, place.key);
    if held.as_ref().is_some_and(|held| !held.is_pessimistic()) {
        // A late delivery: the prewrite has taken the place of the lock.
        return Err(TxnError::PessimisticLockNotFound { start_ts, key: key.clone() }.into());
    }
    let wants_value = request.return_values || request.check_existence || must_be_absent;
    let depth = if wants_value { Depth::Below } else { Depth::Start };
    let mut account = Account::of(context.reader(), &place.ordered, start_ts, depth)?;
    match account.fate {
        Fate::Open => {}
        Fate::RolledBack => return Err(TxnError::RolledBack { start_ts, key: key.clone() }.into()),
        Fate::Committed(commit_ts) => {
            return Err(TxnError::Committed { start_ts, commit_ts, key: key.clone() }.into());
        }
    }
    let conflict_ts = conflict(request, key, &account)?;
    let rollbacks = std::mem::take(&mut account.rollbacks);
    let mut locked = LockedKey { conflict_ts, ..LockedKey::default() };
    if wants_value {
        let version = account.newest_change(context.reader(), &place.ordered)?;
        let clock = UnixMillis(request.for_update_ts.max(start_ts).physical_ms());
        let version = version.filter(|version| version.is_live(clock));
        read(request, (place, must_be_absent), version, (context, &mut locked))?;
    }
    locked.skipped = request.lock_only_if_exists && !locked.exists;
    if !locked.skipped {
        take(request, (place, held), (conflict_ts, rollbacks), (context, draft));
    }
    Ok(locked)
}

/// The commit that the transaction does not see but locks in spite of; 0 if there is none.
fn conflict(
    request: &PessimisticLock,
    key: &Key,
    account: &Account,
) -> Result<Timestamp, TxnError> {
    match account.newest {
        Some((conflict_start_ts, commit_ts)) if commit_ts > request.for_update_ts => {
            if request.allow_conflict {
                return Ok(commit_ts);
            }
            Err(TxnError::WriteConflict {
                start_ts: request.start_ts,
                conflict_start_ts,
                conflict_commit_ts: commit_ts,
                key: key.clone(),
                primary: request.primary.clone(),
                reason: ConflictReason::PessimisticRetry,
            })
        }
        Some(_) | None => Ok(Timestamp::ZERO),
    }
}

/// Notes what the key holds, and refuses if it must hold nothing.
fn read(
    request: &PessimisticLock,
    (place, must_be_absent): (&Place<'_>, bool),
    version: Option<Version>,
    (context, locked): (&TxnContext<'_>, &mut LockedKey),
) -> Result<(), Stop> {
    let Some(Version { record, .. }) = version else {
        return Ok(());
    };
    if must_be_absent {
        let (key, existing_start_ts) = (place.key.clone(), record.start_ts);
        return Err(TxnError::AlreadyExists { key, existing_start_ts }.into());
    }
    locked.exists = request.return_values || request.check_existence;
    if request.return_values {
        locked.value = Some(context.reader().value(&place.ordered, &record)?);
    }
    Ok(())
}

/// Takes the lock, or brings it up to date.
fn take(
    request: &PessimisticLock,
    (place, held): (&Place<'_>, Option<Held>),
    (conflict_ts, rollbacks): (Timestamp, Vec<Timestamp>),
    (context, draft): (&TxnContext<'_>, &mut Draft),
) {
    let asked = Lock {
        kind: LockKind::Pessimistic,
        primary: request.primary.clone(),
        start_ts: request.start_ts,
        ttl_ms: request.lock_ttl_ms,
        short_value: None,
        expires_at: None,
        for_update_ts: request.for_update_ts.max(conflict_ts),
        txn_size: 0,
        min_commit_ts: request.min_commit_ts,
        use_async_commit: false,
        secondaries: Vec::new(),
        rollbacks,
        generation: 0,
        locked_with_conflict: conflict_ts != Timestamp::ZERO,
    };
    let Some(held) = held else {
        if context.may_remember {
            draft.out.remembered.push((place.key.clone(), asked));
        } else {
            draft.store_lock(place, &asked, None);
        }
        return;
    };
    let lock = renewed(&held.lock, asked);
    if held.in_memory && !context.may_remember {
        draft.store_lock(place, &lock, Some(&held));
    } else if lock != held.lock {
        draft.update_lock(place, Held { lock, ..held });
    }
}

/// A lock that is asked for again. A late delivery changes nothing that a newer one has set.
fn renewed(held: &Lock, asked: Lock) -> Lock {
    let newer = asked.for_update_ts > held.for_update_ts;
    let mut lock = held.clone();
    lock.ttl_ms = held.ttl_ms.max(asked.ttl_ms);
    lock.min_commit_ts = held.min_commit_ts.max(asked.min_commit_ts);
    if newer {
        lock.for_update_ts = asked.for_update_ts;
        lock.primary = asked.primary;
        lock.locked_with_conflict = asked.locked_with_conflict;
    }
    lock
}

/// [`troupe_types::TxnCommand::PessimisticRollback`].
pub(super) fn rollback(
    keys: &[Key],
    (start_ts, for_update_ts): (Timestamp, Timestamp),
    context: &TxnContext<'_>,
    draft: &mut Draft,
) -> Decision {
    for key in keys {
        let place = Place::of(key);
        let own = |held: &Held| {
            held.is_of(start_ts)
                && held.is_pessimistic()
                && held.lock.for_update_ts <= for_update_ts
        };
        if let Some(held) = context.lock(&place)?.filter(own) {
            draft.end_lock(&place, &held);
        }
    }
    Ok(TxnReply::Done)
}
