//! Are the secondaries of an asynchronous commit locked?
use super::TxnContext;
use super::account::{Account, Depth, Fate};
use super::draft::{Decision, Draft, Held, Place};
use super::rollback::leave_protected;
use troupe_types::txn::TxnReply;
use troupe_types::{Key, Timestamp};

/// [`troupe_types::TxnCommand::CheckSecondaryLocks`]. Ends at the first key that decides.
pub(super) fn check(
    keys: &[Key],
    start_ts: Timestamp,
    context: &TxnContext<'_>,
    draft: &mut Draft,
) -> Decision {
    let mut locks = Vec::with_capacity(keys.len());
    for key in keys {
        let place = Place::of(key);
        let held = context.lock(&place)?;
        if let Some(Held { lock, .. }) =
            held.as_ref().filter(|held| held.is_of(start_ts) && !held.is_pessimistic())
        {
            locks.push(lock.info(key.clone()));
            continue;
        }
        let account = Account::of(context.reader(), &place.ordered, start_ts, Depth::Below)?;
        let commit_ts = match account.fate {
            Fate::Committed(commit_ts) => commit_ts,
            Fate::Open | Fate::RolledBack => {
                leave_protected(&place, held, (start_ts, account), (context, &mut *draft));
                Timestamp::ZERO
            }
        };
        return Ok(TxnReply::Secondaries { locks: Vec::new(), commit_ts });
    }
    Ok(TxnReply::Secondaries { locks, commit_ts: Timestamp::ZERO })
}
