//! Flush: a part of a transaction that is larger than memory, locked ahead of its commit.
use super::TxnContext;
use super::draft::{Decision, Draft, behind};
use super::judge::{Judge, Verdict};
use super::prewrite::{Fresh, content};
use crate::mvcc::Lock;
use crate::mvcc::record::SHORT_VALUE_BYTES;
use troupe_types::txn::{Mutation, TxnReply};
use troupe_types::{Key, Timestamp};

/// A part of a transaction.
pub(super) struct Part<'a> {
    pub(super) mutations: &'a [Mutation],
    pub(super) primary: &'a Key,
    pub(super) start_ts: Timestamp,
    pub(super) lock_ttl_ms: u64,
    pub(super) generation: u64,
}

/// [`troupe_types::TxnCommand::Flush`].
pub(super) fn flush(part: &Part<'_>, context: &TxnContext<'_>, draft: &mut Draft) -> Decision {
    let judge = Judge {
        context,
        start_ts: part.start_ts,
        for_update_ts: Timestamp::ZERO,
        primary: part.primary,
        generation: part.generation,
    };
    let (mut fresh, mut blocked, mut failed_assertion) = (Vec::new(), Vec::new(), None);
    let done =
        TxnReply::Prewritten { min_commit_ts: Timestamp::ZERO, one_pc_commit_ts: Timestamp::ZERO };
    for mutation in part.mutations {
        match judge.key(mutation, None)? {
            Verdict::Fresh(key) => fresh.push(key),
            Verdict::Checked | Verdict::Repeated(_) => {}
            Verdict::Blocked(lock) => blocked.push(*lock),
            Verdict::Failed(error) => failed_assertion = failed_assertion.or(Some(error)),
            Verdict::Committed(_) => return Ok(done),
        }
    }
    if !blocked.is_empty() {
        return Ok(TxnReply::Blocked(blocked));
    }
    if let Some(error) = failed_assertion {
        return Err(error.into());
    }
    for key in fresh {
        let lock = lock_of(part, &key);
        key.leave_value(&lock, draft);
        draft.store_lock(&key.place, &lock, key.held.as_ref());
    }
    Ok(done)
}

fn lock_of(part: &Part<'_>, key: &Fresh<'_>) -> Lock {
    let held = key.held.as_ref().map(|held| &held.lock);
    let (kind, value, expires_at) = content(&key.mutation.op);
    let held_min = held.map_or(Timestamp::ZERO, |held| held.min_commit_ts);
    Lock {
        kind,
        primary: part.primary.clone(),
        start_ts: part.start_ts,
        ttl_ms: held.map_or(0, |held| held.ttl_ms).max(part.lock_ttl_ms),
        short_value: value.filter(|value| value.len() <= SHORT_VALUE_BYTES).cloned(),
        expires_at,
        for_update_ts: held.map_or(Timestamp::ZERO, |held| held.for_update_ts),
        // Nobody knows yet: more than any limit by which small transactions are told.
        txn_size: u64::MAX,
        min_commit_ts: held_min.max(behind(part.start_ts)).max(key.floor),
        use_async_commit: false,
        secondaries: Vec::new(),
        rollbacks: key.rollbacks.clone(),
        generation: part.generation,
        locked_with_conflict: false,
    }
}
