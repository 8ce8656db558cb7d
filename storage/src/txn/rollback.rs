//! Rollback: the lock and the value of a transaction go, and a record stays that keeps a late
//! prewrite out.
use super::TxnContext;
use super::account::{Account, Depth, Fate};
use super::commit::least_commit_ts;
use super::draft::{Decision, Draft, Held, Place, Stop, has_expired};
use crate::mvcc::{Version, WriteRecord};
use troupe_types::txn::{TxnError, TxnReply, WriteKind};
use troupe_types::{Key, Timestamp};

/// [`troupe_types::TxnCommand::Rollback`].
pub(super) fn rollback(
    keys: &[Key],
    start_ts: Timestamp,
    context: &TxnContext<'_>,
    draft: &mut Draft,
) -> Decision {
    for key in keys {
        let place = Place::of(key);
        let held = context.lock(&place)?;
        roll_back(&place, held, start_ts, (context, &mut *draft))?;
    }
    Ok(TxnReply::Done)
}

/// [`troupe_types::TxnCommand::Cleanup`].
pub(super) fn cleanup(
    key: &Key,
    (start_ts, current_ts): (Timestamp, Timestamp),
    context: &TxnContext<'_>,
    draft: &mut Draft,
) -> Decision {
    let place = Place::of(key);
    let held = context.lock(&place)?;
    let own = held.as_ref().filter(|held| held.is_of(start_ts));
    if let Some(Held { lock, .. }) = own
        && current_ts != Timestamp::ZERO
        && !has_expired(lock, current_ts)
    {
        return Err(TxnError::Locked(Box::new(lock.info(key.clone()))).into());
    }
    roll_back(&place, held, start_ts, (context, draft))?;
    Ok(TxnReply::Done)
}

/// Rolls a key back, whoever holds it.
pub(super) fn roll_back(
    place: &Place<'_>,
    held: Option<Held>,
    start_ts: Timestamp,
    (context, draft): (&TxnContext<'_>, &mut Draft),
) -> Result<(), Stop> {
    let account = Account::of(context.reader(), &place.ordered, start_ts, Depth::Below)?;
    if let Fate::Committed(commit_ts) = account.fate {
        return Err(TxnError::Committed { start_ts, commit_ts, key: place.key.clone() }.into());
    }
    // Only a pessimistic lock of a secondary needs no record that lasts: a prewrite that expects
    // the lock is refused without it, or leaves a lock that its primary resolves.
    let lasts = held.as_ref().is_none_or(|held| {
        !held.is_of(start_ts) || !held.is_pessimistic() || held.lock.primary == *place.key
    });
    end(place, held, (start_ts, lasts, account), (context.gc_safe_point, draft));
    Ok(())
}

/// Rolls a key back that the transaction has not prewritten, with a record that lasts.
pub(super) fn leave_protected(
    place: &Place<'_>,
    held: Option<Held>,
    (start_ts, account): (Timestamp, Account),
    (context, draft): (&TxnContext<'_>, &mut Draft),
) {
    end(place, held, (start_ts, true, account), (context.gc_safe_point, draft));
}

/// Of a transaction from before `settled` nothing can come any more, so nothing needs to keep it out.
/// A record at its timestamp would take the place of one that is collected here, and not yet elsewhere.
fn end(
    place: &Place<'_>,
    held: Option<Held>,
    (start_ts, lasts, account): (Timestamp, bool, Account),
    (settled, draft): (Timestamp, &mut Draft),
) {
    match held {
        Some(held) if held.is_of(start_ts) => {
            draft.remove_value(place, &held.lock);
            draft.end_lock(place, &held);
        }
        Some(other) => mark_on(place, other, start_ts, draft),
        None => {}
    }
    if account.fate == Fate::Open && start_ts >= settled {
        leave_rollback(place, (start_ts, lasts), account, draft);
    }
}

/// Leaves the record of a rollback, or marks the commit record that stands in its place.
fn leave_rollback(
    place: &Place<'_>,
    (start_ts, protected): (Timestamp, bool),
    account: Account,
    draft: &mut Draft,
) {
    if let Some(committed) = account.at_start {
        let marked = WriteRecord { protects_rollback: true, ..committed };
        draft.mark_record(place, start_ts, &marked);
        return;
    }
    draft.put_record(place, start_ts, &rollback_record(start_ts, protected));
    if let Some(Version { commit_ts, record }) = account.below
        && record.kind == WriteKind::Rollback
        && !record.protects_rollback
    {
        draft.remove_record(place, commit_ts);
    }
}

fn rollback_record(start_ts: Timestamp, protected: bool) -> WriteRecord {
    WriteRecord {
        kind: WriteKind::Rollback,
        start_ts,
        short_value: None,
        expires_at: None,
        protects_rollback: protected,
        last_change: None,
    }
}

/// Notes the rollback on another's lock, if that may commit at exactly this timestamp.
fn mark_on(place: &Place<'_>, mut other: Held, start_ts: Timestamp, draft: &mut Draft) {
    let may_meet = start_ts >= least_commit_ts(&other.lock);
    if may_meet && !other.lock.rollbacks.contains(&start_ts) {
        other.lock.rollbacks.push(start_ts);
        draft.update_lock(place, other);
    }
}
