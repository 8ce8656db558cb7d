//! Locks in the way: what became of their transactions, and their removal.
//!
//! The primary decides. Whoever meets a lock asks the primary's Region, with a timestamp of the oracle
//! as the time; an expired transaction is rolled back by that question itself, so that it cannot commit
//! later. An asynchronous commit whose coordinator is dead is committed if all its keys are locked:
//! asking a Region for them leaves a rollback where one is missing, so all who ask, and whenever, come
//! to the same end.
//!
//! A committed lock inside a read's snapshot is removed before the read goes on, rather than read
//! through, so that the row comes with its commit timestamp.
use super::core::fate::{
    Fate, ForReader, Judged, Secondaries, for_reader, is_expired, judge, removal, secondaries_of,
};
use super::tell::{at_leaders, expect_done, resolve_keys};
use crate::kv_service::api::Inner;
use crate::kv_service::core::Causes;
use crate::kv_service::{CallOptions, ServiceError};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use troupe_types::txn::{
    CheckTxnStatus, LockInfo, LockKind, ReadView, TxnCommand, TxnError, TxnReply, TxnStatus,
};
use troupe_types::{Code, Timestamp, UnixMillis};

/// Transactions of more keys have all their locks of a Region removed at once.
const FEW_KEYS: u64 = 16;
/// How long work that nobody waits for may take.
pub(super) const BACKGROUND: Duration = Duration::from_secs(20);

/// How a read looks at locks, and what it learned of them so far.
#[derive(Clone, Debug)]
pub(super) struct Look {
    view: ReadView,
    waits: u32,
}

impl Look {
    /// As of when.
    pub(super) fn ts(&self) -> Timestamp {
        self.view.ts
    }

    /// For a command.
    pub(super) fn view(&self) -> ReadView {
        self.view.clone()
    }

    /// Passes by the locks of the transaction that began at `start_ts`.
    pub(super) fn bypassing(mut self, start_ts: Timestamp) -> Self {
        self.view.bypass.push(start_ts);
        self
    }

    fn bypass(&mut self, start_ts: Timestamp) {
        if !self.view.bypass.contains(&start_ts) {
            self.view.bypass.push(start_ts);
        }
    }
}

/// Growing waits: 1, 2, 4 … 64 milliseconds.
pub(super) fn growing(waits: u32) -> Duration {
    Duration::from_millis(1 << waits.min(6))
}

fn locked(lock: &LockInfo) -> ServiceError {
    ServiceError::of_txn(TxnError::Locked(Box::new(lock.clone())), &Causes::default())
}

/// If the deadline came while `lock` was in the way, that is what the client has to know.
pub(super) fn or_locked(error: ServiceError, lock: &LockInfo) -> ServiceError {
    if error.code == Code::DeadlineExceeded { locked(lock) } else { error }
}

impl Inner {
    /// A look at `ts` that knows of no lock yet.
    pub(super) fn look(&self, ts: Timestamp) -> Look {
        let mut view = ReadView::at(ts);
        if ts == Timestamp::MAX {
            view.now = UnixMillis(self.parts.env.clock.unix().get());
        }
        Look { view, waits: 0 }
    }

    pub(super) fn decided(&self) -> MutexGuard<'_, super::core::decided::Decided> {
        self.txn.decided.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes way for a read that met `locks`: after that it can be tried again.
    pub(super) async fn pass(
        self: &Arc<Self>,
        locks: &[LockInfo],
        look: &mut Look,
        o: &CallOptions,
    ) -> Result<(), ServiceError> {
        let mut waits_for = None;
        for lock in locks {
            let fate = self.fate_of(lock, look.ts(), o).await.map_err(|e| or_locked(e, lock))?;
            match for_reader(fate, look.ts()) {
                ForReader::Bypass => {
                    look.bypass(lock.start_ts);
                    self.remove_later(lock, fate);
                }
                ForReader::Remove => self.remove(lock, fate, o).await?,
                ForReader::Wait => {
                    self.remove_later(lock, fate);
                    waits_for = Some(lock);
                }
            }
        }
        let Some(lock) = waits_for else { return Ok(()) };
        self.pause(growing(look.waits), o.deadline).await;
        look.waits += 1;
        if self.parts.env.now() >= o.deadline {
            return Err(locked(lock));
        }
        Ok(())
    }

    /// Makes way for a write that met `locks`. A lock of a transaction that is alive is answered: it
    /// must be waited for.
    pub(super) async fn clear<'a>(
        self: &Arc<Self>,
        locks: &'a [LockInfo],
        o: &CallOptions,
    ) -> Result<Option<&'a LockInfo>, ServiceError> {
        let mut alive = None;
        for lock in locks {
            // A writer pushes nobody: it does not read past the lock.
            let fate = self.fate_of(lock, Timestamp::ZERO, o).await?;
            if removal(lock, fate).is_some() {
                self.remove(lock, fate, o).await?;
            } else {
                alive = Some(lock);
            }
        }
        Ok(alive)
    }

    /// What became of the transaction of `lock`; asked by a read at `caller`, or (0) by a write.
    pub(super) async fn fate_of(
        self: &Arc<Self>,
        lock: &LockInfo,
        caller: Timestamp,
        o: &CallOptions,
    ) -> Result<Fate, ServiceError> {
        if let Some(commit_ts) = self.decided().get(lock.start_ts) {
            return Ok(decided_fate(commit_ts));
        }
        let now = self.timestamp(&at_leaders(o)).await?;
        self.fate_at(lock, caller, now, o).await
    }

    /// The same at the time `now`. At [`Timestamp::MAX`] every lock has expired, and the transaction
    /// is ended.
    pub(super) async fn fate_at(
        self: &Arc<Self>,
        lock: &LockInfo,
        caller: Timestamp,
        now: Timestamp,
        o: &CallOptions,
    ) -> Result<Fate, ServiceError> {
        let o = &at_leaders(o);
        let mut check = CheckTxnStatus {
            primary: lock.primary.clone(),
            start_ts: lock.start_ts,
            caller_start_ts: caller,
            current_ts: now,
            rollback_if_not_exist: false,
            force_sync_commit: false,
            resolving_pessimistic_lock: lock.kind == LockKind::Pessimistic,
            verify_is_primary: true,
        };
        loop {
            let judged = match self.ask_status(&check, o).await? {
                Ok(status) => judge(&status, now),
                Err(TxnError::TxnNotFound { .. }) if is_expired(lock, now) => {
                    if check.rollback_if_not_exist {
                        // Even that left nothing to find: it will not decide for us.
                        return Ok(Fate::LocksVoid);
                    }
                    check.rollback_if_not_exist = true;
                    continue;
                }
                // Its primary may still be on its way.
                Err(TxnError::TxnNotFound { .. }) => return Ok(Fate::Alive),
                // A pessimistic lock from a time when the transaction had another primary.
                Err(TxnError::PrimaryMismatch(_)) if lock.kind == LockKind::Pessimistic => {
                    return Ok(Fate::LocksVoid);
                }
                Err(other) => return Err(ServiceError::of_txn(other, &Causes::default())),
            };
            match judged {
                Judged::Fate(fate) => {
                    self.note_fate(lock.start_ts, fate);
                    return Ok(fate);
                }
                Judged::AskSecondaries { keys, min_commit_ts } => {
                    let all = (lock.start_ts, &keys[..], min_commit_ts);
                    match self.ask_secondaries(all, o).await? {
                        Some(fate) => {
                            self.note_fate(lock.start_ts, fate);
                            self.finish_async(lock, keys, fate);
                            return Ok(fate);
                        }
                        None => check.force_sync_commit = true,
                    }
                }
            }
        }
    }

    pub(super) fn note_fate(&self, start_ts: Timestamp, fate: Fate) {
        match fate {
            Fate::Committed(commit_ts) => self.decided().note(start_ts, commit_ts),
            Fate::RolledBack => self.decided().note(start_ts, Timestamp::ZERO),
            // Not the end yet.
            Fate::LocksVoid | Fate::Pushed | Fate::Alive => {}
        }
    }

    /// Asks the primary's Region for the status of its transaction.
    pub(super) async fn ask_status(
        &self,
        check: &CheckTxnStatus,
        o: &CallOptions,
    ) -> Result<Result<TxnStatus, TxnError>, ServiceError> {
        let command = TxnCommand::CheckTxnStatus(check.clone());
        match self.tell_one(&check.primary, command, o, &mut Causes::default()).await? {
            Ok(TxnReply::Status(status)) => Ok(Ok(status)),
            Ok(other) => Err(ServiceError::unexpected(&other)),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Are all secondaries of an asynchronous commit locked? `None`: it became an ordinary commit.
    pub(super) async fn ask_secondaries(
        &self,
        (start_ts, keys, min_commit_ts): (Timestamp, &[troupe_types::Key], Timestamp),
        o: &CallOptions,
    ) -> Result<Option<Fate>, ServiceError> {
        let make = move |keys| TxnCommand::CheckSecondaryLocks { keys, start_ts };
        let mut all = Secondaries::none(min_commit_ts);
        self.tell_all(keys, &make, o, |part, answer| {
            let reply = answer.map_err(|e| ServiceError::of_txn(e, &Causes::default()))?;
            let Some((locks, commit_ts)) = secondaries_of(&reply) else {
                return Err(ServiceError::unexpected(&reply));
            };
            all = all.clone().and(part.len(), locks, commit_ts);
            Ok(())
        })
        .await?;
        Ok(match all {
            Secondaries::Locked(commit_ts) => Some(Fate::Committed(commit_ts)),
            Secondaries::Decided(commit_ts) => Some(decided_fate(commit_ts)),
            Secondaries::Ordinary => None,
        })
    }

    /// Removes all locks of an asynchronous commit that was found to be over.
    fn finish_async(self: &Arc<Self>, lock: &LockInfo, keys: Vec<troupe_types::Key>, fate: Fate) {
        let commit_ts = match fate {
            Fate::Committed(commit_ts) => commit_ts,
            Fate::RolledBack => Timestamp::ZERO,
            Fate::LocksVoid | Fate::Pushed | Fate::Alive => return,
        };
        let mut all = keys;
        all.push(lock.primary.clone());
        let (inner, start_ts) = (self.clone(), lock.start_ts);
        self.spawn(async move {
            let o = inner.background();
            let make = resolve_keys(start_ts, commit_ts);
            if let Err(error) = inner.tell_all(&all, &make, &o, |_, _| Ok(())).await {
                tracing::debug!(%error, %start_ts, "locks of a finished transaction stay");
            }
        });
    }

    /// Takes `lock` away, now that the fate of its transaction is known.
    pub(super) async fn remove(
        &self,
        lock: &LockInfo,
        fate: Fate,
        o: &CallOptions,
    ) -> Result<(), ServiceError> {
        let Some(command) = removal(lock, fate) else { return Ok(()) };
        let mut causes = Causes::default();
        let command = match command {
            TxnCommand::ResolveKeys { start_ts, commit_ts, .. } if lock.txn_size >= FEW_KEYS => {
                // Others of its locks are likely to lie here too.
                let route = self.route_or_wait(&lock.key, o, &mut causes).await?;
                let range = route.region.range.clone();
                TxnCommand::ResolveLocks { range, txns: vec![(start_ts, commit_ts)] }
            }
            command => command,
        };
        match self.tell(&lock.key, command, o, &mut causes).await? {
            super::tell::Told::Answer(answer) => match answer {
                Ok(reply) => expect_done(reply),
                Err(error) => Err(ServiceError::of_txn(error, &causes)),
            },
            // The reader looks again, and finds the lock again if it is still there.
            super::tell::Told::Moved => Ok(()),
        }
    }

    fn remove_later(self: &Arc<Self>, lock: &LockInfo, fate: Fate) {
        if removal(lock, fate).is_none() {
            return;
        }
        let (inner, lock) = (self.clone(), lock.clone());
        self.spawn(async move {
            if let Err(error) = inner.remove(&lock, fate, &inner.background()).await {
                tracing::debug!(%error, "a lock of a finished transaction stays");
            }
        });
    }

    /// Options of work that nobody waits for.
    pub(super) fn background(&self) -> CallOptions {
        CallOptions {
            deadline: self.parts.env.now().after(BACKGROUND),
            consistency: troupe_types::request::Consistency::Leader,
            tags: troupe_types::TraceTags::NONE,
        }
    }

    /// An error of the coordinator itself.
    pub(super) fn error(code: Code, detail: impl Into<String>) -> ServiceError {
        ServiceError::new(code, detail, &Causes::default())
    }
}

fn decided_fate(commit_ts: Timestamp) -> Fate {
    if commit_ts == Timestamp::ZERO { Fate::RolledBack } else { Fate::Committed(commit_ts) }
}
