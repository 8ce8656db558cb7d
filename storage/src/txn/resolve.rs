//! Resolving locks whose transaction's fate is known.
use super::TxnContext;
use super::commit::commit_lock;
use super::draft::{Decision, Draft, Place};
use super::rollback::roll_back;
use troupe_types::txn::TxnReply;
use troupe_types::{Key, Timestamp};

/// [`troupe_types::TxnCommand::ResolveKeys`]. Keys without a lock of the transaction are left as
/// they are. A pessimistic lock holds nothing back: with a commit it is only dropped.
pub(super) fn resolve_keys(
    keys: &[Key],
    (start_ts, commit_ts): (Timestamp, Timestamp),
    context: &TxnContext<'_>,
    draft: &mut Draft,
) -> Decision {
    for key in keys {
        let place = Place::of(key);
        let Some(held) = context.lock(&place)?.filter(|held| held.is_of(start_ts)) else {
            continue;
        };
        if commit_ts == Timestamp::ZERO {
            roll_back(&place, Some(held), start_ts, (context, &mut *draft))?;
        } else if held.is_pessimistic() {
            draft.end_lock(&place, &held);
        } else {
            commit_lock(&place, held, commit_ts, (context, &mut *draft))?;
        }
    }
    Ok(TxnReply::Done)
}
