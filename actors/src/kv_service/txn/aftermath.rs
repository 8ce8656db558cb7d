//! What is left to do when the client has its answer, or has gone away. It is tried for a while; if the
//! node dies, whoever meets the locks does it.
use super::core::fate::Fate;
use super::tell::resolve_keys;
use crate::kv_service::api::Inner;
use crate::kv_service::core::Causes;
use crate::kv_service::{CallOptions, ServiceError};
use std::sync::Arc;
use std::time::Duration;
use troupe_types::txn::{CheckTxnStatus, LockInfo, TxnCommand, TxnError, TxnStatus};
use troupe_types::{Key, Timestamp};

/// Work that is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Aftermath {
    /// None.
    Nothing,
    /// It committed: turn these locks into commit records.
    Commit { keys: Vec<Key>, start_ts: Timestamp, commit_ts: Timestamp },
    /// It did not: take these locks away, and let none come late.
    RollBack { keys: Vec<Key>, start_ts: Timestamp },
    /// The same, where nothing was prewritten.
    Release { keys: Vec<Key>, start_ts: Timestamp, for_update_ts: Timestamp },
    /// The commit of the primary was sent, and nobody knows what became of it.
    Recommit { primary: Key, keys: Vec<Key>, start_ts: Timestamp, commit_ts: Timestamp },
    /// It commits by its prewrites alone, and nobody knows what became of one.
    Settle { primary: Key, keys: Vec<Key>, start_ts: Timestamp },
}

/// How long the end of a transaction is looked for.
const ROUNDS: u32 = 6;

impl Inner {
    /// Does what is left.
    pub(crate) async fn finish(self: &Arc<Self>, work: Aftermath) {
        for round in 0..ROUNDS {
            let o = self.background();
            match self.finish_once(&work, &o).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::debug!(%error, round, "the end of a transaction is still open");
                    self.pause(Duration::from_millis(200), self.background().deadline).await;
                }
            }
        }
    }

    /// Does what is left, in one go.
    pub(crate) async fn finish_once(
        self: &Arc<Self>,
        work: &Aftermath,
        o: &CallOptions,
    ) -> Result<(), ServiceError> {
        match work.clone() {
            Aftermath::Nothing => Ok(()),
            Aftermath::Commit { keys, start_ts, commit_ts } => {
                self.tell_all(&keys, &resolve_keys(start_ts, commit_ts), o, |_, _| Ok(())).await
            }
            Aftermath::RollBack { keys, start_ts } => {
                let make = move |keys| TxnCommand::Rollback { keys, start_ts };
                self.tell_all(&keys, &make, o, |_, _| Ok(())).await
            }
            Aftermath::Release { keys, start_ts, for_update_ts } => {
                let make =
                    move |keys| TxnCommand::PessimisticRollback { keys, start_ts, for_update_ts };
                self.tell_all(&keys, &make, o, |_, _| Ok(())).await
            }
            Aftermath::Recommit { primary, keys, start_ts, commit_ts } => {
                let command =
                    TxnCommand::Commit { keys: vec![primary.clone()], start_ts, commit_ts };
                let told = self.tell_one(&primary, command, o, &mut Causes::default()).await?;
                if let Err(TxnError::SnapshotGone { .. }) = told {
                    // So long ago that collection has ended the transaction.
                    return Ok(());
                }
                let commit_ts = if told.is_ok() { commit_ts } else { Timestamp::ZERO };
                let rest = self.rest_of(keys, start_ts, commit_ts);
                Box::pin(self.finish_once(&rest, o)).await
            }
            Aftermath::Settle { primary, keys, start_ts } => {
                let commit_ts = self.settle(&primary, start_ts, o).await?;
                let rest = self.rest_of(keys, start_ts, commit_ts);
                Box::pin(self.finish_once(&rest, o)).await
            }
        }
    }

    /// The work that is left when it is known that a transaction committed, or (0) did not.
    pub(super) fn rest_of(
        &self,
        keys: Vec<Key>,
        start_ts: Timestamp,
        commit_ts: Timestamp,
    ) -> Aftermath {
        if commit_ts > Timestamp::ZERO {
            Aftermath::Commit { keys, start_ts, commit_ts }
        } else {
            Aftermath::RollBack { keys, start_ts }
        }
    }

    /// Finds out, or decides, how a transaction ends that commits by its prewrites alone, and whose
    /// coordinator is the caller: when it committed, or 0.
    ///
    /// If all keys are locked, others may have found that already and take it for committed; so it
    /// must not be rolled back by its primary as if that alone decided.
    pub(super) async fn settle(
        self: &Arc<Self>,
        primary: &Key,
        start_ts: Timestamp,
        o: &CallOptions,
    ) -> Result<Timestamp, ServiceError> {
        let check = CheckTxnStatus {
            primary: primary.clone(),
            start_ts,
            caller_start_ts: Timestamp::ZERO,
            // Nothing is expired at 0: only what is missing is rolled back.
            current_ts: Timestamp::ZERO,
            rollback_if_not_exist: true,
            force_sync_commit: false,
            resolving_pessimistic_lock: false,
            verify_is_primary: false,
        };
        let status = self.ask_status(&check, o).await?;
        match status.map_err(|error| ServiceError::of_txn(error, &Causes::default()))? {
            TxnStatus::Committed { commit_ts } => Ok(commit_ts),
            TxnStatus::RolledBack { .. } => Ok(Timestamp::ZERO),
            TxnStatus::Alive { lock, .. } => self.settle_lock(*lock, o).await,
        }
    }

    pub(super) async fn settle_lock(
        self: &Arc<Self>,
        lock: LockInfo,
        o: &CallOptions,
    ) -> Result<Timestamp, ServiceError> {
        if lock.use_async_commit {
            let all = (lock.start_ts, &lock.secondaries[..], lock.min_commit_ts);
            if let Some(fate) = self.ask_secondaries(all, o).await? {
                return Ok(match fate {
                    Fate::Committed(commit_ts) => commit_ts,
                    Fate::RolledBack | Fate::LocksVoid | Fate::Pushed | Fate::Alive => {
                        Timestamp::ZERO
                    }
                });
            }
        }
        // An ordinary commit by now, and its commit was never sent.
        let keys = vec![lock.key.clone()];
        let command = TxnCommand::Rollback { keys, start_ts: lock.start_ts };
        match self.tell_one(&lock.key, command, o, &mut Causes::default()).await? {
            Ok(_) => Ok(Timestamp::ZERO),
            Err(TxnError::Committed { commit_ts, .. }) => Ok(commit_ts),
            Err(error) => Err(ServiceError::of_txn(error, &Causes::default())),
        }
    }
}
