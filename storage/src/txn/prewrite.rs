//! Prewrite: phase one of a commit, or all of it.
//!
//! First every key is judged and nothing changed; then the way to commit is chosen for all of them:
//! at once, asynchronously, or in two phases if neither can be.
use super::TxnContext;
use super::commit::commit_record;
use super::draft::{Decision, Draft, Held, Place, behind, has_long_value};
use super::judge::{Judge, Verdict};
use crate::error::StorageError;
use crate::mvcc::Lock;
use crate::mvcc::record::SHORT_VALUE_BYTES;
use bytes::Bytes;
use troupe_types::txn::{LockInfo, LockKind, Mutation, MutationOp, Prewrite, TxnReply};
use troupe_types::{Timestamp, UnixMillis};

/// A key that will be locked or committed.
pub(super) struct Fresh<'a> {
    pub(super) place: Place<'a>,
    pub(super) mutation: &'a Mutation,
    /// The transaction's earlier lock, which is replaced.
    pub(super) held: Option<Held>,
    /// The key has a commit that a lock's own timestamps do not cover: commit behind it.
    pub(super) floor: Timestamp,
    /// See [`Lock::rollbacks`].
    pub(super) rollbacks: Vec<Timestamp>,
}

/// How the keys of a prewrite commit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// At this timestamp, at once.
    OnePhase(Timestamp),
    /// Asynchronously, at this timestamp or behind it.
    Async(Timestamp),
    TwoPhase,
}

/// [`troupe_types::TxnCommand::Prewrite`].
pub(super) fn prewrite(
    request: &Prewrite,
    context: &TxnContext<'_>,
    draft: &mut Draft,
) -> Decision {
    let judge = Judge {
        context,
        start_ts: request.start_ts,
        for_update_ts: request.for_update_ts,
        primary: &request.primary,
        generation: 0,
    };
    let (mut fresh, mut repeated, mut blocked) = (Vec::new(), Repeated::default(), Vec::new());
    let mut failed_assertion = None;
    for (i, mutation) in request.mutations.iter().enumerate() {
        let expected = expected_for_update_ts(request, i);
        match judge.key(mutation, expected)? {
            Verdict::Fresh(key) => fresh.push(key),
            Verdict::Checked => {}
            Verdict::Repeated(lock) => repeated.add(&lock),
            Verdict::Blocked(lock) => blocked.push(*lock),
            Verdict::Failed(error) => failed_assertion = failed_assertion.or(Some(error)),
            Verdict::Committed(commit_ts) => return Ok(committed(request, commit_ts)),
        }
    }
    if !blocked.is_empty() {
        return Ok(TxnReply::Blocked(blocked));
    }
    if let Some(error) = failed_assertion {
        return Err(error.into());
    }
    let way = choose(request, context, &fresh, &repeated);
    for key in fresh {
        write(request, key, way, (context, &mut *draft))?;
    }
    Ok(answer(way, &repeated))
}

/// The `for_update_ts` that the pessimistic lock of the mutation at place `i` must have.
fn expected_for_update_ts(request: &Prewrite, i: usize) -> Option<Timestamp> {
    let checks = &request.for_update_ts_checks;
    checks.iter().find(|(at, _)| *at as usize == i).map(|(_, ts)| *ts)
}

/// Answer of a prewrite that comes again after the commit.
fn committed(request: &Prewrite, commit_ts: Timestamp) -> TxnReply {
    let (min_commit_ts, one_pc_commit_ts) = if request.try_one_pc {
        (Timestamp::ZERO, commit_ts)
    } else if request.async_commit.is_some() {
        (commit_ts, Timestamp::ZERO)
    } else {
        (Timestamp::ZERO, Timestamp::ZERO)
    };
    TxnReply::Prewritten { min_commit_ts, one_pc_commit_ts }
}

/// Keys that an earlier delivery of the request has locked.
#[derive(Default)]
struct Repeated {
    any: bool,
    /// One of them commits in two phases.
    in_two_phases: bool,
    min_commit_ts: Timestamp,
}

impl Repeated {
    fn add(&mut self, lock: &Lock) {
        self.any = true;
        self.in_two_phases |= !lock.use_async_commit;
        self.min_commit_ts = self.min_commit_ts.max(lock.min_commit_ts);
    }
}

/// What an earlier delivery chose stays: it may have been answered.
fn choose(
    request: &Prewrite,
    context: &TxnContext<'_>,
    fresh: &[Fresh<'_>],
    repeated: &Repeated,
) -> Way {
    let one_phase = request.try_one_pc && !repeated.any;
    let is_async = request.async_commit.is_some() && !repeated.in_two_phases;
    if !one_phase && !is_async {
        return Way::TwoPhase;
    }
    if fresh.is_empty() && repeated.any {
        return Way::Async(repeated.min_commit_ts);
    }
    let least = [request.min_commit_ts, behind(context.max_ts), behind(request.start_ts)];
    let floors = fresh.iter().map(|key| key.least(request.for_update_ts));
    let ts = least.into_iter().chain(floors).max().unwrap_or_default();
    if request.max_commit_ts != Timestamp::ZERO && ts > request.max_commit_ts {
        Way::TwoPhase
    } else if one_phase {
        Way::OnePhase(ts)
    } else {
        Way::Async(ts)
    }
}

impl Fresh<'_> {
    /// Behind what is known of the key and of the lock that is replaced.
    fn least(&self, for_update_ts: Timestamp) -> Timestamp {
        let held = self.held.as_ref().map_or(Timestamp::ZERO, |held| held.lock.min_commit_ts);
        behind(self.for_update_ts(for_update_ts)).max(self.floor).max(held)
    }

    /// Of the transaction, or the later one of the lock that is replaced.
    fn for_update_ts(&self, of_txn: Timestamp) -> Timestamp {
        self.held.as_ref().map_or(of_txn, |held| of_txn.max(held.lock.for_update_ts))
    }
}

fn write(
    request: &Prewrite,
    key: Fresh<'_>,
    way: Way,
    (context, draft): (&TxnContext<'_>, &mut Draft),
) -> Result<(), StorageError> {
    let mut lock = key.lock(request);
    match way {
        Way::OnePhase(ts) | Way::Async(ts) => lock.min_commit_ts = ts,
        Way::TwoPhase => {}
    }
    if let Way::Async(_) = way {
        lock.use_async_commit = true;
        if *key.place.key == request.primary {
            lock.secondaries = request.async_commit.clone().unwrap_or_default();
        }
    }
    if way != Way::TwoPhase && matches!(lock.kind, LockKind::Put | LockKind::Delete) {
        draft.out.published.push(lock.info(key.place.key.clone()));
    }
    key.leave_value(&lock, draft);
    if let Way::OnePhase(ts) = way {
        let record = commit_record(&key.place, &lock, ts, context)?;
        draft.put_record(&key.place, ts, &record);
        if let Some(held) = &key.held {
            draft.end_lock(&key.place, held);
        }
    } else {
        draft.store_lock(&key.place, &lock, key.held.as_ref());
    }
    Ok(())
}

fn answer(way: Way, repeated: &Repeated) -> TxnReply {
    let (min_commit_ts, one_pc_commit_ts) = match way {
        Way::OnePhase(ts) => (Timestamp::ZERO, ts),
        Way::Async(ts) if repeated.any => (ts.max(repeated.min_commit_ts), Timestamp::ZERO),
        Way::Async(ts) => (ts, Timestamp::ZERO),
        Way::TwoPhase => (Timestamp::ZERO, Timestamp::ZERO),
    };
    TxnReply::Prewritten { min_commit_ts, one_pc_commit_ts }
}

impl Fresh<'_> {
    /// Its lock, for a commit in two phases.
    fn lock(&self, request: &Prewrite) -> Lock {
        let held = self.held.as_ref().map(|held| &held.lock);
        let (kind, value, expires_at) = content(&self.mutation.op);
        Lock {
            kind,
            primary: request.primary.clone(),
            start_ts: request.start_ts,
            ttl_ms: held.map_or(0, |held| held.ttl_ms).max(request.lock_ttl_ms),
            short_value: value.filter(|value| value.len() <= SHORT_VALUE_BYTES).cloned(),
            expires_at,
            for_update_ts: self.for_update_ts(request.for_update_ts),
            txn_size: request.txn_size,
            min_commit_ts: held
                .map_or(Timestamp::ZERO, |held| held.min_commit_ts)
                .max(request.min_commit_ts)
                .max(self.floor),
            use_async_commit: false,
            secondaries: Vec::new(),
            rollbacks: self.rollbacks.clone(),
            generation: 0,
            locked_with_conflict: false,
        }
    }

    /// Stores the value if it is too long for the lock, and removes what an earlier lock left.
    pub(super) fn leave_value(&self, lock: &Lock, draft: &mut Draft) {
        let (_, value, _) = content(&self.mutation.op);
        match value {
            Some(value) if has_long_value(lock) => {
                draft.put_value(&self.place, lock.start_ts, value);
            }
            Some(_) | None => {
                if let Some(held) = &self.held {
                    draft.remove_value(&self.place, &held.lock);
                }
            }
        }
    }
}

/// Kind of lock, value and its end.
pub(super) fn content(op: &MutationOp) -> (LockKind, Option<&Bytes>, Option<UnixMillis>) {
    match op {
        MutationOp::Put { value, expires_at } | MutationOp::Insert { value, expires_at } => {
            (LockKind::Put, Some(value), *expires_at)
        }
        MutationOp::Delete => (LockKind::Delete, None, None),
        MutationOp::Lock | MutationOp::CheckNotExists => (LockKind::Lock, None, None),
    }
}

/// A lock that is in the way.
pub(super) type InTheWay = Box<LockInfo>;
