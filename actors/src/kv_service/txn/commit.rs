//! The commit of a transaction.
//!
//! | how | committed at the moment when | timestamp |
//! |---|---|---|
//! | in one phase | the one prewrite is applied | chosen by the Region |
//! | asynchronously | the last of all locks is there | the largest that a Region chose |
//! | in two phases | the primary's commit is applied | from the oracle, after all prewrites |
//!
//! Before that moment everything may be rolled back, and a failure means "not applied". Once the
//! request that brings it about was sent without a definite answer, only two things may follow: the
//! request is repeated, or somebody who decides for good is asked (`settle`). Until that is clear the
//! client hears `TXN_OUTCOME_UNKNOWN`, and the rest is done without it.
//!
//! External consistency. A timestamp that a Region chooses is above every read it served, above the
//! transaction's start, and at or above `min_commit_ts`. A transaction that begins after another one
//! was acknowledged takes a timestamp of the oracle that is at or above the other's commit: that was
//! at most one above timestamps given before. So it sees the other's writes. An interactive
//! transaction may have begun long before its commit is asked for, and others may have been
//! acknowledged meanwhile: it takes a timestamp first and commits above that, so that whoever saw the
//! others first never finds its commit before theirs.
use super::aftermath::Aftermath;
use super::core::plan::{Plan, Protocol};
use super::pessimistic::BEAT_EVERY;
use super::prewrite::Prewritten;
use super::steps::{LOCK_TTL_MS, Transaction};
use super::tell::at_leaders;
use crate::kv_service::api::Inner;
use crate::kv_service::core::Causes;
use crate::kv_service::{CallOptions, ServiceError};
use std::future::Future;
use std::sync::Arc;
use troupe_types::txn::session::CommittedBy;
use troupe_types::txn::{TxnCommand, TxnError};
use troupe_types::{Code, Key, Timestamp};

/// How a commit ended, and what is left to do.
pub(crate) struct Ended {
    pub(crate) outcome: Result<Committed, ServiceError>,
    pub(crate) then: Aftermath,
}

/// A transaction that committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) commit_ts: Timestamp,
    pub(crate) by: CommittedBy,
}

/// Commit timestamps tried, when readers push the transaction or (serializable) reads must be checked
/// again.
const COMMIT_TRIES: u32 = 8;

impl Inner {
    /// Commits `txn`, whose steps are done. `min_commit_ts` is 0 if it began within this request.
    pub(crate) async fn commit(
        self: &Arc<Self>,
        txn: &Transaction,
        min_commit_ts: Timestamp,
        o: &CallOptions,
    ) -> Ended {
        let o = &at_leaders(o);
        let is_locked = |key: &Key| txn.locked.contains(key);
        let mut mutations = txn.buffer.mutations(&is_locked, txn.is_pessimistic());
        let has_writes = txn.buffer.has_writes();
        let by_locks = has_writes && self.reads_fit_one_region(txn, o).await;
        if by_locks {
            let mut guarded = txn.clone();
            let unguarded: Vec<Key> = txn.reads.points().map(|(key, _)| key.clone()).collect();
            unguarded.into_iter().for_each(|key| guarded.buffer.guard(key));
            mutations = guarded.buffer.mutations(&is_locked, txn.is_pessimistic());
        }
        let plan = has_writes.then(|| Plan::new(mutations, txn.primary.clone())).flatten();
        let Some(plan) = plan else {
            let committed = Committed { commit_ts: txn.start_ts, by: CommittedBy::Nothing };
            return Ended { outcome: Ok(committed), then: self.release(txn) };
        };
        let beat = (plan.primary.clone(), txn);
        self.beating(beat, self.commit_plan(txn, &plan, (min_commit_ts, by_locks), o)).await
    }

    /// Runs `work` beside heartbeats for the primary of a transaction.
    pub(crate) async fn beating<T>(
        self: &Arc<Self>,
        (primary, txn): (Key, &Transaction),
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = self.parts.env.spawner.sleep(BEAT_EVERY) => {}
            }
            let (inner, primary, start_ts) = (self.clone(), primary.clone(), txn.start_ts);
            let ttl_ms = txn.ttl_from(self.parts.env.now(), LOCK_TTL_MS);
            self.spawn(async move {
                let o = inner.background();
                if let Err(error) = inner.beat(primary, start_ts, ttl_ms, &o).await {
                    tracing::debug!(%error, %start_ts, "a heartbeat was refused");
                }
            });
        }
    }

    /// Can locks on what a serializable transaction read stand in for validation?
    async fn reads_fit_one_region(&self, txn: &Transaction, o: &CallOptions) -> bool {
        if !txn.is_serializable() || !txn.reads.ranges().is_empty() {
            return false;
        }
        // A lock taken after the read says nothing of what happened in between.
        if txn.reads.points().any(|(key, _)| txn.locked.contains(key)) {
            return false;
        }
        let mut keys: Vec<Key> = txn.reads.points().map(|(key, _)| key.clone()).collect();
        keys.extend(txn.buffer.mutations(&|_| false, false).into_iter().map(|m| m.key));
        let all = (0..keys.len()).collect();
        let groups = self.group_keys(&keys, all, o, &mut Causes::default()).await;
        groups.is_ok_and(|groups| groups.len() <= 1)
    }

    async fn commit_plan(
        self: &Arc<Self>,
        txn: &Transaction,
        plan: &Plan,
        (min_commit_ts, by_locks): (Timestamp, bool),
        o: &CallOptions,
    ) -> Ended {
        let protocol = if txn.is_serializable() && !by_locks {
            Protocol::TWO_PHASE
        } else {
            // Whether one command holds everything shows when it is cut.
            plan.protocol(txn.settings.commit, 1)
        };
        let least = min_commit_ts.max(txn.start_ts).max(txn.for_update_ts).next();
        let prewritten = self.prewrite(txn, plan, (protocol, least), o).await;
        let start_ts = txn.start_ts;
        let keys = plan.locked_keys();
        match prewritten {
            Prewritten::OnePhase(commit_ts) => {
                self.decided().note(start_ts, commit_ts);
                let by = CommittedBy::OnePhase;
                Ended { outcome: Ok(Committed { commit_ts, by }), then: Aftermath::Nothing }
            }
            Prewritten::Async(commit_ts) => {
                self.decided().note(start_ts, commit_ts);
                let then = Aftermath::Commit { keys, start_ts, commit_ts };
                Ended { outcome: Ok(Committed { commit_ts, by: CommittedBy::Async }), then }
            }
            Prewritten::Locked => self.commit_primary(txn, plan, by_locks, o).await,
            Prewritten::Failed { error, is_certain, may_be_locked } => {
                if !is_certain && protocol != Protocol::TWO_PHASE {
                    return self.settle_now(plan, start_ts, error, o).await;
                }
                let mut keys = may_be_locked;
                keys.extend(txn.may_be_locked.iter().cloned());
                keys.sort();
                keys.dedup();
                let then = if keys.is_empty() {
                    Aftermath::Nothing
                } else {
                    Aftermath::RollBack { keys, start_ts }
                };
                Ended { outcome: Err(error), then }
            }
        }
    }

    /// A prewrite that may commit everything was not answered: finds out.
    async fn settle_now(
        self: &Arc<Self>,
        plan: &Plan,
        start_ts: Timestamp,
        error: ServiceError,
        o: &CallOptions,
    ) -> Ended {
        let keys = plan.locked_keys();
        let primary = plan.primary.clone();
        match self.settle(&primary, start_ts, o).await {
            Ok(Timestamp::ZERO) => {
                Ended { outcome: Err(error), then: Aftermath::RollBack { keys, start_ts } }
            }
            Ok(commit_ts) => {
                let then = Aftermath::Commit { keys, start_ts, commit_ts };
                Ended { outcome: Ok(Committed { commit_ts, by: CommittedBy::Async }), then }
            }
            Err(_) => {
                let then = Aftermath::Settle { primary, keys, start_ts };
                Ended { outcome: Err(unknown(error)), then }
            }
        }
    }

    /// Phase two: a timestamp, and the primary.
    async fn commit_primary(
        self: &Arc<Self>,
        txn: &Transaction,
        plan: &Plan,
        by_locks: bool,
        o: &CallOptions,
    ) -> Ended {
        let start_ts = txn.start_ts;
        let keys = plan.locked_keys();
        let failed = |error| {
            let then = Aftermath::RollBack { keys: keys.clone(), start_ts };
            Ended { outcome: Err(error), then }
        };
        let mut last = None;
        for _ in 0..COMMIT_TRIES {
            let commit_ts = match self.timestamp(o).await {
                Ok(commit_ts) => commit_ts,
                Err(error) => return failed(error),
            };
            if txn.is_serializable()
                && !by_locks
                && let Err(error) = self.validate(txn, commit_ts, o).await
            {
                return failed(error);
            }
            let primary = plan.primary.clone();
            let command = TxnCommand::Commit { keys: vec![primary.clone()], start_ts, commit_ts };
            let mut causes = Causes::default();
            match self.tell_one(&primary, command, o, &mut causes).await {
                Ok(Ok(_)) => {
                    self.decided().note(start_ts, commit_ts);
                    let then = Aftermath::Commit { keys, start_ts, commit_ts };
                    let by = CommittedBy::TwoPhase;
                    return Ended { outcome: Ok(Committed { commit_ts, by }), then };
                }
                Ok(Err(error @ TxnError::CommitTsExpired { .. })) => {
                    last = Some(ServiceError::of_txn(error, &causes));
                }
                // Sent before, so long ago that nobody knows any more what became of it.
                Ok(Err(error @ TxnError::SnapshotGone { .. })) if causes.may_have_arrived() => {
                    let error = unknown(ServiceError::of_txn(error, &causes));
                    return Ended { outcome: Err(error), then: Aftermath::Nothing };
                }
                Ok(Err(error)) => return failed(ServiceError::of_txn(error, &causes)),
                Err(error) if causes.may_have_arrived() => {
                    let then = Aftermath::Recommit { primary, keys, start_ts, commit_ts };
                    return Ended { outcome: Err(unknown(error)), then };
                }
                Err(error) => return failed(error),
            }
        }
        let never = || Self::error(Code::CommitTsExpired, "readers pushed it too often");
        failed(last.unwrap_or_else(never))
    }

    /// What is left to do for a transaction that prewrote nothing.
    pub(crate) fn release(&self, txn: &Transaction) -> Aftermath {
        self.release_if(txn, |_| true)
    }

    /// The same, of some keys.
    pub(crate) fn release_if(&self, txn: &Transaction, wanted: impl Fn(&Key) -> bool) -> Aftermath {
        let keys: Vec<Key> = txn.may_be_locked.iter().filter(|key| wanted(key)).cloned().collect();
        if keys.is_empty() {
            return Aftermath::Nothing;
        }
        let (start_ts, for_update_ts) = (txn.start_ts, txn.for_update_ts);
        Aftermath::Release { keys, start_ts, for_update_ts }
    }
}

/// The error of a transaction that may have committed.
pub(crate) fn unknown(error: ServiceError) -> ServiceError {
    let detail = format!("it may have committed; last: {}", error.detail);
    ServiceError { code: Code::TxnOutcomeUnknown, detail, retry_after_ms: None, ..error }
}
