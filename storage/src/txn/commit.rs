//! Commit: the locks of a transaction turn into commit records.
use super::TxnContext;
use super::account::{Account, Depth, Fate};
use super::draft::{Decision, Draft, Held, Place, Stop, behind, commit_kind};
use crate::error::StorageError;
use crate::mvcc::{LastChange, Lock, WriteRecord};
use troupe_types::txn::{TxnError, TxnReply, WriteKind};
use troupe_types::{Key, Timestamp};

/// [`troupe_types::TxnCommand::Commit`].
pub(super) fn commit(
    keys: &[Key],
    (start_ts, commit_ts): (Timestamp, Timestamp),
    context: &TxnContext<'_>,
    draft: &mut Draft,
) -> Decision {
    for key in keys {
        let place = Place::of(key);
        match context.lock(&place)? {
            Some(held) if held.is_of(start_ts) && !held.is_pessimistic() => {
                commit_lock(&place, held, commit_ts, (context, &mut *draft))?;
            }
            held => {
                let account =
                    Account::of(context.reader(), &place.ordered, start_ts, Depth::Start)?;
                let Fate::Committed(_) = account.fate else {
                    let key = key.clone();
                    return Err(TxnError::LockNotFound { start_ts, commit_ts, key }.into());
                };
                // A pessimistic lock that was taken again by a late request is left over.
                if let Some(stale) = held.filter(|held| held.is_of(start_ts)) {
                    draft.end_lock(&place, &stale);
                }
            }
        }
    }
    Ok(TxnReply::Done)
}

/// Turns a lock that holds something back into a commit record.
pub(super) fn commit_lock(
    place: &Place<'_>,
    held: Held,
    commit_ts: Timestamp,
    (context, draft): (&TxnContext<'_>, &mut Draft),
) -> Result<(), Stop> {
    let lock = &held.lock;
    let min_commit_ts = least_commit_ts(lock);
    if commit_ts < min_commit_ts && !planted!(CommitBelowMin) {
        let (start_ts, attempted, key) = (lock.start_ts, commit_ts, place.key.clone());
        return Err(TxnError::CommitTsExpired { start_ts, attempted, key, min_commit_ts }.into());
    }
    let record = commit_record(place, lock, commit_ts, context)?;
    draft.put_record(place, commit_ts, &record);
    draft.end_lock(place, &held);
    Ok(())
}

/// The least timestamp at which a lock may commit.
pub(super) fn least_commit_ts(lock: &Lock) -> Timestamp {
    lock.min_commit_ts.max(behind(lock.start_ts)).max(behind(lock.for_update_ts))
}

/// The record of `lock`, committed at `commit_ts`.
pub(super) fn commit_record(
    place: &Place<'_>,
    lock: &Lock,
    commit_ts: Timestamp,
    context: &TxnContext<'_>,
) -> Result<WriteRecord, StorageError> {
    let kind = commit_kind(lock.kind);
    let last_change: Option<LastChange> = match kind {
        WriteKind::Lock => Some(context.reader().last_change(&place.ordered, commit_ts)?),
        WriteKind::Put | WriteKind::Delete | WriteKind::Rollback => None,
    };
    Ok(WriteRecord {
        kind,
        start_ts: lock.start_ts,
        short_value: lock.short_value.clone(),
        expires_at: lock.expires_at,
        protects_rollback: lock.rollbacks.contains(&commit_ts),
        last_change,
    })
}
