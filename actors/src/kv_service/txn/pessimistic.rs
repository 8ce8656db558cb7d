//! Locks of a pessimistic transaction, before its prewrite; and the heartbeats that keep them.
use super::resolve::or_locked;
use super::session::is_session_key;
use super::steps::{LOCK_TTL_MS, Transaction};
use super::tell::{Told, at_leaders};
use crate::kv_service::api::Inner;
use crate::kv_service::core::Causes;
use crate::kv_service::{CallOptions, ServiceError};
use std::sync::Arc;
use std::time::Duration;
use troupe_types::txn::error::ConflictReason;
use troupe_types::txn::{PessimisticLock, TxnCommand, TxnError, TxnReply};
use troupe_types::{Key, Moment, Timestamp};

/// Longest wait of one lock request: between two of them, dead holders are looked for, and the locks
/// held so far are kept alive.
const WAIT_AT_ONCE_MS: u64 = 1_000;
/// Time between two heartbeats.
pub(crate) const BEAT_EVERY: Duration = Duration::from_millis(LOCK_TTL_MS / 3);

fn is_not_found(error: &ServiceError) -> bool {
    matches!(error.txn.as_deref(), Some(TxnError::TxnNotFound { .. }))
}

/// How long a Region may have a request wait: it is to say who is in the way before the deadline, not to
/// be cut off by it.
fn most_at_once(deadline: Moment, now: Moment) -> u64 {
    let left = u64::try_from(deadline.since(now).as_millis()).unwrap_or(u64::MAX);
    (left - left / 8).min(WAIT_AT_ONCE_MS)
}

impl Inner {
    /// Locks `keys`, and with the first of them the primary, one Region after the other in key order,
    /// so that transactions that lock in one go do not wait for each other.
    pub(crate) async fn lock(
        self: &Arc<Self>,
        txn: &mut Transaction,
        mut keys: Vec<Key>,
        wait_ms: u64,
        o: &CallOptions,
    ) -> Result<(), ServiceError> {
        keys.sort();
        keys.dedup();
        keys.retain(|key| !txn.locked.contains(key));
        let Some(first) = keys.first().cloned() else { return Ok(()) };
        let o = &at_leaders(o);
        if !txn.locked.is_empty() || txn.began != self.parts.env.now() {
            txn.for_update_ts = self.timestamp(o).await?;
        }
        let primary = txn.primary.get_or_insert(first).clone();
        if !txn.locked.contains(&primary) && !keys.contains(&primary) {
            keys.push(primary.clone());
        }
        // The others' locks point at the primary's: it comes first.
        keys.sort_by_key(|key| *key != primary);
        let patience = self.parts.env.now().after(Duration::from_millis(wait_ms));
        let mut causes = Causes::default();
        let mut groups = self.group_keys(&keys, (0..keys.len()).collect(), o, &mut causes).await?;
        groups.make_contiguous().sort_by_key(|group| group[0]);
        while let Some(group) = groups.pop_front() {
            let part: Vec<Key> = group.iter().map(|i| keys[*i].clone()).collect();
            if !self.lock_part(txn, &part, patience, o).await? {
                let again = self.group_keys(&keys, group, o, &mut causes).await?;
                again.into_iter().rev().for_each(|group| groups.push_front(group));
            }
        }
        Ok(())
    }

    /// Locks keys of one Region. `false`: they are no longer in one.
    async fn lock_part(
        self: &Arc<Self>,
        txn: &mut Transaction,
        part: &[Key],
        patience: Moment,
        o: &CallOptions,
    ) -> Result<bool, ServiceError> {
        // From here on some may be locked, whatever the answer.
        txn.may_be_locked.extend(part.iter().cloned());
        let (mut causes, mut in_the_way) = (Causes::default(), None);
        loop {
            self.keep_alive(txn, o).await?;
            let now = self.parts.env.now();
            let left = u64::try_from(patience.since(now).as_millis()).unwrap_or(u64::MAX);
            let wait_ms = left.min(most_at_once(o.deadline, now));
            let command = self.lock_command(txn, part, wait_ms);
            let told = self.tell(&part[0], command, o, &mut causes).await;
            let told = told.map_err(|error| match &in_the_way {
                Some(lock) => or_locked(error, lock),
                None => error,
            });
            let error = match told? {
                Told::Answer(Ok(TxnReply::Locked(_))) => {
                    txn.locked.extend(part.iter().cloned());
                    if txn.primary.as_ref().is_some_and(|primary| part.contains(primary)) {
                        txn.beaten = now;
                    }
                    return Ok(true);
                }
                Told::Answer(Ok(other)) => return Err(ServiceError::unexpected(&other)),
                Told::Answer(Err(error)) => error,
                Told::Moved => return Ok(false),
            };
            match error {
                TxnError::WriteConflict { reason: ConflictReason::PessimisticRetry, .. } => {
                    txn.for_update_ts = self.timestamp(o).await?;
                }
                TxnError::Locked(lock) => {
                    let cleared = self.clear(std::slice::from_ref(&lock), o).await;
                    let alive = cleared.map_err(|error| or_locked(error, &lock))?.is_some();
                    if alive && self.parts.env.now() >= patience.min(o.deadline) {
                        return Err(ServiceError::of_txn(TxnError::Locked(lock), &causes));
                    }
                    // A Region that does not let us wait there has us wait here.
                    self.pause(Duration::from_millis(2), o.deadline.min(patience)).await;
                    in_the_way = Some(*lock);
                }
                other => return Err(ServiceError::of_txn(other, &causes)),
            }
        }
    }

    fn lock_command(&self, txn: &Transaction, part: &[Key], wait_ms: u64) -> TxnCommand {
        TxnCommand::PessimisticLock(PessimisticLock {
            keys: part.iter().map(|key| (key.clone(), false)).collect(),
            primary: txn.primary.clone().expect("invariant: settled before the first lock"),
            start_ts: txn.start_ts,
            for_update_ts: txn.for_update_ts,
            lock_ttl_ms: txn.ttl_from(self.parts.env.now(), LOCK_TTL_MS),
            wait_ms: (wait_ms > 0).then_some(wait_ms),
            return_values: false,
            check_existence: false,
            lock_only_if_exists: false,
            allow_conflict: false,
            min_commit_ts: txn.for_update_ts.next(),
        })
    }

    /// Sends a heartbeat if the locks of `txn` need one by now.
    ///
    /// # Errors
    /// [`ServiceError`]; if the transaction was rolled back by others, with what its Region said.
    pub(crate) async fn keep_alive(
        &self,
        txn: &mut Transaction,
        o: &CallOptions,
    ) -> Result<(), ServiceError> {
        let now = self.parts.env.now();
        let primary = txn.primary.clone().filter(|primary| txn.locked.contains(primary));
        let Some(primary) = primary.filter(|_| now.since(txn.beaten) >= BEAT_EVERY) else {
            return Ok(());
        };
        let ttl_ms = txn.ttl_from(now, LOCK_TTL_MS);
        let beaten = self.beat(primary.clone(), txn.start_ts, ttl_ms, o).await;
        match beaten {
            Err(error) if is_not_found(&error) && is_session_key(&primary) => {
                self.lock_again(txn, primary, o).await?;
            }
            other => other?,
        }
        txn.beaten = now;
        Ok(())
    }

    /// Takes the lock of a session's record anew, which the leader alone held and lost. Nobody else
    /// writes there, so nothing can have happened meanwhile but that others rolled the transaction
    /// back; of any other key that would be wrong.
    async fn lock_again(
        &self,
        txn: &Transaction,
        primary: Key,
        o: &CallOptions,
    ) -> Result<(), ServiceError> {
        let command = self.lock_command(txn, std::slice::from_ref(&primary), 0);
        match self.tell_one(&primary, command, o, &mut Causes::default()).await? {
            Ok(_) => Ok(()),
            Err(error) => Err(ServiceError::of_txn(error, &Causes::default())),
        }
    }

    /// Keeps a transaction alive, once.
    pub(crate) async fn beat(
        &self,
        primary: Key,
        start_ts: Timestamp,
        ttl_ms: u64,
        o: &CallOptions,
    ) -> Result<(), ServiceError> {
        let command = TxnCommand::HeartBeat { primary: primary.clone(), start_ts, ttl_ms };
        match self.tell_one(&primary, command, o, &mut Causes::default()).await? {
            Ok(_) => Ok(()),
            Err(error) => Err(ServiceError::of_txn(error, &Causes::default())),
        }
    }
}
