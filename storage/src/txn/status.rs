//! What became of a transaction, by its primary; and the heartbeat that keeps it alive.
use super::TxnContext;
use super::account::{Account, Depth, Fate};
use super::draft::{Decision, Draft, Held, Place, behind, has_expired};
use super::rollback::roll_back;
use troupe_types::txn::command::StatusAction;
use troupe_types::txn::{CheckTxnStatus, TxnError, TxnReply, TxnStatus};
use troupe_types::{Key, Timestamp};

/// [`troupe_types::TxnCommand::CheckTxnStatus`].
pub(super) fn check_txn_status(
    check: &CheckTxnStatus,
    context: &TxnContext<'_>,
    draft: &mut Draft,
) -> Decision {
    let place = Place::of(&check.primary);
    let status = match context.lock(&place)? {
        Some(held) if held.is_of(check.start_ts) => {
            if check.verify_is_primary && held.lock.primary != check.primary {
                let info = held.lock.info(check.primary.clone());
                return Err(TxnError::PrimaryMismatch(Box::new(info)).into());
            }
            locked(check, (&place, held), context, draft)?
        }
        other => missing(check, (&place, other), context, draft)?,
    };
    Ok(TxnReply::Status(status))
}

/// The primary is locked.
fn locked(
    check: &CheckTxnStatus,
    (place, held): (&Place<'_>, Held),
    context: &TxnContext<'_>,
    draft: &mut Draft,
) -> Result<TxnStatus, super::draft::Stop> {
    let alive = |held: &Held, action| TxnStatus::Alive {
        lock: Box::new(held.lock.info(place.key.clone())),
        action,
    };
    // Its locks decide, however old they are: they may all be there.
    if held.lock.use_async_commit && !check.force_sync_commit {
        return Ok(alive(&held, StatusAction::None));
    }
    if has_expired(&held.lock, check.current_ts) {
        let action = if held.is_pessimistic() && check.resolving_pessimistic_lock {
            draft.end_lock(place, &held);
            StatusAction::ExpiredPessimisticRolledBack
        } else {
            roll_back(place, Some(held), check.start_ts, (context, draft))?;
            StatusAction::ExpiredRolledBack
        };
        return Ok(TxnStatus::RolledBack { action });
    }
    if held.lock.use_async_commit || check.caller_start_ts == Timestamp::ZERO {
        return Ok(alive(&held, StatusAction::None));
    }
    let status = push(check, held.clone());
    if status.lock.min_commit_ts != held.lock.min_commit_ts {
        draft.update_lock(place, status.clone());
    }
    Ok(alive(&status, StatusAction::MinCommitTsPushed))
}

/// The lock, so that it commits behind the caller. One who reads the newest reads past it as it is:
/// it is not committed now.
fn push(check: &CheckTxnStatus, mut held: Held) -> Held {
    let (caller, min_commit_ts) = (check.caller_start_ts, held.lock.min_commit_ts);
    if caller != Timestamp::MAX && caller >= min_commit_ts {
        held.lock.min_commit_ts = behind(caller).max(check.current_ts);
    }
    held
}

/// The primary is not locked by the transaction.
fn missing(
    check: &CheckTxnStatus,
    (place, other): (&Place<'_>, Option<Held>),
    context: &TxnContext<'_>,
    draft: &mut Draft,
) -> Result<TxnStatus, super::draft::Stop> {
    let start_ts = check.start_ts;
    let account = Account::of(context.reader(), &place.ordered, start_ts, Depth::Start)?;
    let action = match account.fate {
        Fate::Committed(commit_ts) => return Ok(TxnStatus::Committed { commit_ts }),
        Fate::RolledBack => StatusAction::None,
        Fate::Open if !check.rollback_if_not_exist => {
            return Err(TxnError::TxnNotFound { start_ts, primary: place.key.clone() }.into());
        }
        Fate::Open if check.resolving_pessimistic_lock => StatusAction::MissingDoNothing,
        Fate::Open => {
            roll_back(place, other, start_ts, (context, draft))?;
            StatusAction::MissingRolledBack
        }
    };
    Ok(TxnStatus::RolledBack { action })
}

/// [`troupe_types::TxnCommand::HeartBeat`].
pub(super) fn heart_beat(
    primary: &Key,
    (start_ts, ttl_ms): (Timestamp, u64),
    context: &TxnContext<'_>,
    draft: &mut Draft,
) -> Decision {
    let place = Place::of(primary);
    let Some(mut held) = context.lock(&place)?.filter(|held| held.is_of(start_ts)) else {
        return Err(TxnError::TxnNotFound { start_ts, primary: primary.clone() }.into());
    };
    if held.lock.ttl_ms < ttl_ms {
        held.lock.ttl_ms = ttl_ms;
        draft.update_lock(&place, held.clone());
    }
    Ok(TxnReply::Alive { ttl_ms: held.lock.ttl_ms })
}
