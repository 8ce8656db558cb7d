//! What the actor of an interactive transaction has done for it: steps, the end, and heartbeats.
//!
//! A transaction that changes something also stores a record, under a key made of its id, as its
//! primary. So the id alone tells where its fate is decided, to everybody, even when its owner is gone
//! or its answer was lost; and a commit that is repeated commits once.
use super::aftermath::Aftermath;
use super::commit::Ended;
use super::core::fate::Fate;
use super::idempotency::{KEYSPACE, put_record, record_key, store_record};
use super::once::op_fits;
use super::steps::Transaction;
use crate::kv_service::api::Inner;
use crate::kv_service::{CallOptions, KvService, ServiceError};
use bytes::Bytes;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use troupe_types::key::txn_key;
use troupe_types::txn::session::{Idempotency, TxnId, TxnOp, TxnOpResult, TxnSettings};
use troupe_types::txn::{CheckTxnStatus, LockInfo, LockKind, TxnCommand, TxnError, TxnStatus};
use troupe_types::{Code, Key, Moment, Timestamp, TraceTags};

const SESSION: &str = "session/";

/// Where the record of an interactive transaction lies.
pub(crate) fn session_key(id: &TxnId) -> Key {
    let TxnId { store, start_ts, nonce } = id;
    txn_key(KEYSPACE, format!("{SESSION}{store}-{start_ts}-{nonce:016x}").as_bytes())
}

/// Is it the key of such a record?
pub(super) fn is_session_key(key: &Key) -> bool {
    key.starts_with(&txn_key(KEYSPACE, SESSION.as_bytes()))
}

/// What the record of a transaction says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// It committed.
    Committed(Timestamp),
    /// It was rolled back, for good.
    RolledBack,
    /// It holds locks, and has not asked for its commit.
    Open,
    /// Its commit is under way.
    Committing,
    /// There is no record: it has written nothing yet, or never will.
    Nothing,
}

impl KvService {
    /// A transaction that begins now.
    ///
    /// # Errors
    /// [`ServiceError`] with `PD_UNAVAILABLE`.
    pub(crate) async fn begin(
        &self,
        settings: TxnSettings,
        o: &CallOptions,
    ) -> Result<Transaction, ServiceError> {
        let began = self.env().now();
        let start_ts = self.timestamp(o).await?;
        Ok(Transaction::new(settings, start_ts, began))
    }

    /// Runs `ops`. After an error nothing of them is left but locks.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub(crate) async fn session_ops(
        &self,
        txn: &mut Transaction,
        ops: &[TxnOp],
        o: &CallOptions,
    ) -> Result<Vec<TxnOpResult>, ServiceError> {
        if !ops.iter().all(op_fits) {
            let detail = "a key lies outside of the transactional space";
            return Err(Inner::error(Code::BadParameter, detail));
        }
        txn.buffer.set_savepoint();
        let inner = &self.0;
        let ran = async {
            inner.keep_alive(txn, o).await?;
            let known = inner.prepare(txn, ops, &[], o).await?;
            inner.run_steps(txn, ops, &known, o).await
        };
        let ran = ran.await;
        if ran.is_err() {
            txn.buffer.undo();
        }
        ran.map_err(|error| match error.code {
            // A lock that may be there is no change: it goes with the transaction.
            Code::OutcomeUnknown => ServiceError { code: Code::DeadlineExceeded, ..error },
            _ => error,
        })
    }

    /// Commits `txn`, whose id is `id`. What is left to do is done with [`KvService::end_session`].
    pub(crate) async fn session_commit(
        &self,
        txn: &mut Transaction,
        id: &TxnId,
        idempotency: Option<&Idempotency>,
        o: &CallOptions,
    ) -> Ended {
        let inner = &self.0;
        let min_commit_ts = match inner.ready_to_commit(txn, id, idempotency, o).await {
            Ok(min_commit_ts) => min_commit_ts,
            Err(error) => return Ended { outcome: Err(error), then: inner.release(txn) },
        };
        let ended = inner.commit(txn, min_commit_ts, o).await;
        let taken = idempotency.map(record_key);
        let outcome = ended.outcome.map_err(|error| match error.txn.as_deref() {
            Some(TxnError::AlreadyExists { key, .. }) if Some(key) == taken.as_ref() => {
                let detail = "a transaction with this Idempotency-Key committed meanwhile".into();
                ServiceError { code: Code::WriteConflict, detail, ..error }
            }
            _ => error,
        });
        Ended { outcome, ..ended }
    }

    /// Releases what `txn` may have locked without using it.
    pub(crate) fn stray_locks(&self, txn: &Transaction) -> Aftermath {
        self.0.release_if(txn, |key| !txn.buffer.holds(key))
    }

    /// All locks of a transaction that is given up.
    pub(crate) fn all_locks(&self, txn: &Transaction) -> Aftermath {
        self.0.release(txn)
    }

    /// Does what is left of a transaction, beside the caller.
    pub(crate) fn end_session(&self, then: Aftermath) {
        if then == Aftermath::Nothing {
            return;
        }
        let inner = self.0.clone();
        self.0.spawn(async move { inner.finish(then).await });
    }

    /// Runs `work` beside the caller, who may go away.
    pub(crate) fn run_beside(&self, work: impl Future<Output = ()> + 'static) {
        self.0.spawn(work);
    }

    /// Finds out how a transaction ended whose commit was not answered, however long that takes.
    /// Answers when it committed, or 0.
    pub(crate) async fn settle_session(&self, id: &TxnId, then: Aftermath) -> Timestamp {
        const PAUSE: Duration = Duration::from_millis(500);
        loop {
            let o = self.0.background();
            let done = self.0.finish_once(&then, &o).await;
            let recorded = match done {
                Ok(()) => self.recorded(id, true, &o).await,
                Err(error) => Err(error),
            };
            match recorded {
                Ok(Recorded::Committed(commit_ts)) => return commit_ts,
                Ok(Recorded::RolledBack) => return Timestamp::ZERO,
                Ok(Recorded::Open | Recorded::Committing | Recorded::Nothing) => {}
                Err(error) => tracing::debug!(%error, "the end of a transaction is still open"),
            }
            self.0.pause(PAUSE, Moment::NEVER).await;
        }
    }

    /// Keeps the locks of `txn` alive.
    ///
    /// # Errors
    /// [`ServiceError`]; if others rolled it back, with what its Region said.
    pub(crate) async fn session_beat(
        &self,
        txn: &mut Transaction,
        o: &CallOptions,
    ) -> Result<(), ServiceError> {
        self.0.keep_alive(txn, o).await
    }

    /// How the transaction `id` stands by its record. With `end_it` it is over after that: whatever
    /// of it is not committed never will be.
    ///
    /// # Errors
    /// [`ServiceError`]: the Region of the record does not answer.
    pub(crate) async fn recorded(
        &self,
        id: &TxnId,
        end_it: bool,
        o: &CallOptions,
    ) -> Result<Recorded, ServiceError> {
        let inner = &self.0;
        let now = inner.timestamp(o).await?;
        let check = CheckTxnStatus {
            primary: session_key(id),
            start_ts: id.start_ts,
            caller_start_ts: Timestamp::ZERO,
            current_ts: now,
            rollback_if_not_exist: end_it,
            force_sync_commit: false,
            resolving_pessimistic_lock: false,
            verify_is_primary: false,
        };
        match inner.ask_status(&check, o).await? {
            Ok(TxnStatus::Committed { commit_ts }) => Ok(Recorded::Committed(commit_ts)),
            Ok(TxnStatus::RolledBack { .. }) => Ok(Recorded::RolledBack),
            Ok(TxnStatus::Alive { lock, .. }) if end_it => inner.end_alive(*lock, o).await,
            Ok(TxnStatus::Alive { lock, .. }) => inner.look_alive(&lock, o).await,
            Err(TxnError::TxnNotFound { .. }) => Ok(Recorded::Nothing),
            Err(error) => Err(ServiceError::of_txn(error, &Default::default())),
        }
    }

    /// Options of a session's own work, until `deadline`.
    pub(crate) fn session_options(&self, deadline: Moment, tags: TraceTags) -> CallOptions {
        CallOptions { deadline, tags, ..self.0.background() }
    }
}

impl Inner {
    /// Adds the records to `txn`, and answers the least timestamp of its commit.
    async fn ready_to_commit(
        self: &Arc<Self>,
        txn: &mut Transaction,
        id: &TxnId,
        idempotency: Option<&Idempotency>,
        o: &CallOptions,
    ) -> Result<Timestamp, ServiceError> {
        if !txn.buffer.has_writes() {
            return Ok(Timestamp::ZERO);
        }
        self.keep_alive(txn, o).await?;
        let now = self.timestamp(o).await?;
        put_record(txn, session_key(id), Bytes::new());
        if let Some(idempotency) = idempotency {
            if self.earlier(idempotency, now, o).await?.is_some() {
                let detail = "the Idempotency-Key was used for another transaction";
                return Err(Self::error(Code::IdempotencyMismatch, detail));
            }
            store_record(txn, idempotency, true, &[])?;
        }
        Ok(now)
    }

    async fn end_alive(
        self: &Arc<Self>,
        lock: LockInfo,
        o: &CallOptions,
    ) -> Result<Recorded, ServiceError> {
        if lock.kind == LockKind::Pessimistic {
            let keys = vec![lock.key.clone()];
            let command = TxnCommand::Rollback { keys, start_ts: lock.start_ts };
            return match self.tell_one(&lock.key, command, o, &mut Default::default()).await? {
                Ok(_) => Ok(Recorded::RolledBack),
                Err(TxnError::Committed { commit_ts, .. }) => Ok(Recorded::Committed(commit_ts)),
                Err(error) => Err(ServiceError::of_txn(error, &Default::default())),
            };
        }
        Ok(match self.settle_lock(lock, o).await? {
            Timestamp::ZERO => Recorded::RolledBack,
            commit_ts => Recorded::Committed(commit_ts),
        })
    }

    async fn look_alive(
        self: &Arc<Self>,
        lock: &LockInfo,
        o: &CallOptions,
    ) -> Result<Recorded, ServiceError> {
        Ok(match self.fate_of(lock, Timestamp::ZERO, o).await? {
            Fate::Committed(commit_ts) => Recorded::Committed(commit_ts),
            Fate::RolledBack | Fate::LocksVoid => Recorded::RolledBack,
            Fate::Pushed | Fate::Alive if lock.kind == LockKind::Pessimistic => Recorded::Open,
            Fate::Pushed | Fate::Alive => Recorded::Committing,
        })
    }
}
