//! Whole transactions in one request, tried again with a new snapshot when they meet conflicts.
use super::aftermath::Aftermath;
use super::commit::{Ended, unknown};
use super::core::eval;
use super::idempotency::{record_key, store_record};
use super::resolve::growing;
use super::steps::Transaction;
use crate::kv_service::api::Inner;
use crate::kv_service::{CallOptions, ServiceError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use troupe_types::txn::session::{
    CommittedBy, OneShot, OneShotOutcome, TxnMode, TxnOp, TxnOpResult,
};
use troupe_types::{Code, Key, Moment, Timestamp};

/// One try: its answer, and what is left to do.
struct Tried {
    answer: Result<OneShotOutcome, ServiceError>,
    then: Aftermath,
}

impl Inner {
    /// Runs `request` beside the caller: what was begun is ended even if the client goes away.
    pub(super) async fn run_once(
        self: &Arc<Self>,
        request: OneShot,
        o: &CallOptions,
    ) -> Result<OneShotOutcome, ServiceError> {
        check_keys(&request)?;
        let (tell, answer) = oneshot::channel();
        let (inner, o) = (self.clone(), o.clone());
        self.spawn(async move { inner.drive_once(request, &o, tell).await });
        answer.await.unwrap_or_else(|_| {
            let error = Self::error(Code::Internal, "the coordinator is gone");
            Err(unknown(error))
        })
    }

    async fn drive_once(
        self: &Arc<Self>,
        request: OneShot,
        o: &CallOptions,
        tell: oneshot::Sender<Result<OneShotOutcome, ServiceError>>,
    ) {
        let began = self.parts.env.now();
        let mut conflict = None;
        for attempt in 1_u32.. {
            let Tried { answer, then } = self.try_once(&request, attempt, o).await;
            let answer = or_conflict(answer, conflict.take());
            let again =
                answer.as_ref().is_err_and(|error| self.may_try_again(error, &request, began));
            if !again || self.parts.env.now() >= o.deadline {
                // An asker that went away is no error.
                let _ = tell.send(answer);
                self.finish(then).await;
                return;
            }
            conflict = answer.err();
            // Its own locks would be in its way.
            if let Err(error) = self.finish_once(&then, o).await {
                tracing::debug!(%error, "locks of an attempt stay for a while");
            }
            self.pause(growing(attempt), o.deadline).await;
        }
    }

    /// Is it a conflict that a new snapshot may avoid?
    fn may_try_again(&self, error: &ServiceError, request: &OneShot, began: Moment) -> bool {
        match error.code {
            Code::WriteConflict | Code::TxnRolledBack | Code::CommitTsExpired | Code::Deadlock => {
                true
            }
            // It gave way to an older transaction: that is no reason to wait for less long.
            Code::LockWaitTimeout => {
                let wait = Duration::from_millis(request.settings.lock_wait_ms.unwrap_or(1_000));
                self.parts.env.now().since(began) < wait
            }
            _ => false,
        }
    }

    async fn try_once(self: &Arc<Self>, request: &OneShot, attempt: u32, o: &CallOptions) -> Tried {
        let began = self.parts.env.now();
        let start_ts = match self.timestamp(o).await {
            Ok(start_ts) => start_ts,
            Err(error) => return Tried { answer: Err(error), then: Aftermath::Nothing },
        };
        let mut txn = Transaction::new(request.settings, start_ts, began);
        let ran = self.run_request(&mut txn, request, attempt, o).await;
        match ran {
            Err(error) => Tried { answer: Err(error), then: self.release(&txn) },
            Ok(mut outcome) if outcome.repeated => {
                outcome.attempts = attempt;
                Tried { answer: Ok(outcome), then: self.release(&txn) }
            }
            Ok(outcome) => {
                let Ended { outcome: end, then } = self.commit(&txn, Timestamp::ZERO, o).await;
                let answer = end.map(|committed| OneShotOutcome {
                    commit_ts: committed.commit_ts,
                    committed_by: committed.by,
                    ..outcome
                });
                Tried { answer: self.in_progress(answer, request), then }
            }
        }
    }

    /// A lock on the record itself is that of the same request, sent before.
    fn in_progress(
        &self,
        answer: Result<OneShotOutcome, ServiceError>,
        request: &OneShot,
    ) -> Result<OneShotOutcome, ServiceError> {
        use troupe_types::txn::TxnError;
        let Some(idempotency) = &request.idempotency else { return answer };
        answer.map_err(|error| match error.txn.as_deref() {
            Some(TxnError::Locked(lock)) if lock.key == record_key(idempotency) => {
                let detail = "a request with the same Idempotency-Key is still running".to_owned();
                ServiceError { code: Code::IdempotentInProgress, detail, ..error }
            }
            // Stored between our read and our prewrite: the next try finds it.
            Some(TxnError::AlreadyExists { key, .. }) if *key == record_key(idempotency) => {
                ServiceError { code: Code::WriteConflict, ..error }
            }
            _ => error,
        })
    }

    /// Conditions and steps; everything but the commit.
    async fn run_request(
        self: &Arc<Self>,
        txn: &mut Transaction,
        request: &OneShot,
        attempt: u32,
        o: &CallOptions,
    ) -> Result<OneShotOutcome, ServiceError> {
        if let Some(idempotency) = &request.idempotency {
            let key = record_key(idempotency);
            txn.primary = Some(key.clone());
            if txn.is_pessimistic() {
                let locked = self.lock(txn, vec![key], 0, o).await;
                locked.map_err(|error| match error.code {
                    Code::LockWaitTimeout => {
                        let detail =
                            "a request with the same Idempotency-Key is still running".to_owned();
                        ServiceError { code: Code::IdempotentInProgress, detail, ..error }
                    }
                    _ => error,
                })?;
            }
            if let Some((record, commit_ts)) =
                self.earlier(idempotency, txn.for_update_ts, o).await?
            {
                return Ok(OneShotOutcome {
                    succeeded: record.succeeded,
                    commit_ts,
                    attempts: attempt,
                    results: record.results,
                    repeated: true,
                    committed_by: CommittedBy::Nothing,
                });
            }
        }
        let (succeeded, results) = self.run_branches(txn, request, o).await?;
        if let Some(idempotency) = &request.idempotency {
            store_record(txn, idempotency, succeeded, &results)?;
        }
        Ok(OneShotOutcome {
            succeeded,
            commit_ts: txn.start_ts,
            attempts: attempt,
            results,
            repeated: false,
            committed_by: CommittedBy::Nothing,
        })
    }

    async fn run_branches(
        self: &Arc<Self>,
        txn: &mut Transaction,
        request: &OneShot,
        o: &CallOptions,
    ) -> Result<(bool, Vec<TxnOpResult>), ServiceError> {
        let conditions: Vec<Key> = request.conditions.iter().map(|c| c.key.clone()).collect();
        let is_optimistic = request.settings.mode == TxnMode::Optimistic;
        // One round of reads for all that may be needed; locks only for what is.
        let both: Vec<TxnOp> = if is_optimistic {
            request.then.iter().chain(&request.otherwise).cloned().collect()
        } else {
            Vec::new()
        };
        let mut known = self.prepare(txn, &both, &conditions, o).await?;
        let mut succeeded = true;
        for compare in &request.conditions {
            let row = txn.row(&compare.key, &known);
            txn.buffer.guard(compare.key.clone());
            succeeded &= eval::holds(&compare.condition, row.as_ref())
                .map_err(|error| Self::error(Code::NotAnInteger, error.to_string()))?;
        }
        let ops = if succeeded { &request.then } else { &request.otherwise };
        if !is_optimistic {
            known.extend(self.prepare(txn, ops, &[], o).await?);
        }
        Ok((succeeded, self.run_steps(txn, ops, &known, o).await?))
    }
}

/// A try that the deadline cut off had no effect: what it was tried again for is what the client has to
/// know.
fn or_conflict(
    answer: Result<OneShotOutcome, ServiceError>,
    conflict: Option<ServiceError>,
) -> Result<OneShotOutcome, ServiceError> {
    match (answer, conflict) {
        (Err(error), Some(conflict)) if error.code == Code::DeadlineExceeded => Err(conflict),
        (answer, _) => answer,
    }
}

/// Keys of a transaction lie in the transactional space.
fn check_keys(request: &OneShot) -> Result<(), ServiceError> {
    let ops = request.then.iter().chain(&request.otherwise);
    let is_fine = request.conditions.iter().all(|c| is_txn_key(&c.key)) && ops.clone().all(op_fits);
    if is_fine {
        return Ok(());
    }
    Err(Inner::error(Code::BadParameter, "a key lies outside of the transactional space"))
}

fn is_txn_key(key: &Key) -> bool {
    troupe_types::KeyRange::txn_space().contains(key)
}

/// Do all keys of a step lie in the transactional space?
pub(crate) fn op_fits(op: &TxnOp) -> bool {
    match op {
        TxnOp::Get { key, .. }
        | TxnOp::Put { key, .. }
        | TxnOp::Insert { key, .. }
        | TxnOp::Delete { key }
        | TxnOp::Add { key, .. } => is_txn_key(key),
        TxnOp::Scan { range, .. } => troupe_types::KeyRange::txn_space().covers(range),
        TxnOp::Lock { keys, .. } => keys.iter().all(is_txn_key),
    }
}
