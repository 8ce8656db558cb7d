//! Phase one: the mutations of a commit, Region by Region, at the same time.
use super::core::plan::{self, Plan, Protocol};
use super::resolve::{growing, or_locked};
use super::steps::Transaction;
use super::tell::{Told, at_leaders};
use crate::kv_service::api::Inner;
use crate::kv_service::core::Causes;
use crate::kv_service::{CallOptions, ServiceError};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use troupe_types::txn::{LockInfo, Mutation, Prewrite, TxnCommand, TxnError, TxnReply};
use troupe_types::{Code, Key, Timestamp};

/// How often a leader may say that it has no largest read timestamp yet, before the commit goes on
/// in two phases.
const UNSYNCED_REFUSALS: u32 = 6;

/// How phase one ended.
#[derive(Debug)]
pub(super) enum Prewritten {
    /// Committed in one phase.
    OnePhase(Timestamp),
    /// All locks are there, and it commits asynchronously at this timestamp.
    Async(Timestamp),
    /// All locks are there.
    Locked,
    /// It failed.
    Failed {
        error: ServiceError,
        /// Some key was refused for good, and no request for it is on its way any more: nobody can
        /// find all locks there, ever.
        is_certain: bool,
        /// Keys that may be locked.
        may_be_locked: Vec<Key>,
    },
}

/// One command's part of the mutations.
struct Batch {
    mutations: Vec<Mutation>,
    /// An earlier attempt may still arrive.
    is_unsure: bool,
}

enum BatchEnd {
    Done {
        min_commit_ts: Timestamp,
        one_pc: Timestamp,
    },
    Moved,
    /// New leaders do not know what was read before them.
    Unsynced,
    Failed(ServiceError),
}

/// What all batches share.
struct Phase<'a> {
    txn: &'a Transaction,
    plan: &'a Plan,
    min_commit_ts: Timestamp,
    may_retry: bool,
}

impl Inner {
    /// Prewrites everything. `may_retry`: the transaction will be tried again if it gives way.
    pub(super) async fn prewrite(
        self: &Arc<Self>,
        txn: &Transaction,
        plan: &Plan,
        (mut protocol, min_commit_ts): (Protocol, Timestamp),
        o: &CallOptions,
    ) -> Prewritten {
        let o = &at_leaders(o);
        let phase = Phase { txn, plan, min_commit_ts, may_retry: true };
        let mut batches = match self.batches(plan.mutations.clone(), false, o).await {
            Ok(batches) => batches,
            Err(error) => {
                return Prewritten::Failed { error, is_certain: true, may_be_locked: Vec::new() };
            }
        };
        protocol.one_phase &= batches.len() == 1;
        let is_alone = batches.len() == 1;
        let mut latest = Timestamp::ZERO;
        let mut running = FuturesUnordered::new();
        loop {
            while let Some(batch) = batches.pop_front() {
                running.push(self.prewrite_batch(&phase, batch, (protocol, is_alone), o));
            }
            let Some((batch, end)) = running.next().await else { break };
            match end {
                BatchEnd::Done { one_pc, .. } if one_pc > Timestamp::ZERO => {
                    return Prewritten::OnePhase(one_pc);
                }
                BatchEnd::Done { min_commit_ts, .. } => {
                    protocol.one_phase = false;
                    if min_commit_ts == Timestamp::ZERO {
                        protocol.asynchronous = false;
                    }
                    latest = latest.max(min_commit_ts);
                }
                BatchEnd::Unsynced => {
                    protocol = Protocol::TWO_PHASE;
                    batches.push_back(batch);
                }
                BatchEnd::Moved if batch.is_unsure && protocol.one_phase => {
                    // It may be committed already; cut up, it must not be tried again.
                    let error = Self::error(Code::TxnRolledBack, "its Region moved meanwhile");
                    return Self::gave_up(plan, error, false, is_alone);
                }
                BatchEnd::Moved => {
                    let is_unsure = batch.is_unsure;
                    match self.batches(batch.mutations, is_unsure, o).await {
                        Ok(cut) => {
                            protocol.one_phase &= cut.len() == 1;
                            batches.extend(cut);
                        }
                        Err(error) => return Self::gave_up(plan, error, !is_unsure, false),
                    }
                }
                BatchEnd::Failed(error) => {
                    let is_certain = !batch.is_unsure;
                    return Self::gave_up(plan, error, is_certain, is_alone && is_certain);
                }
            }
        }
        if protocol.asynchronous { Prewritten::Async(latest) } else { Prewritten::Locked }
    }

    fn gave_up(plan: &Plan, error: ServiceError, is_certain: bool, is_clean: bool) -> Prewritten {
        let may_be_locked = if is_clean { Vec::new() } else { plan.locked_keys() };
        Prewritten::Failed { error, is_certain, may_be_locked }
    }

    /// `mutations` by Region, in commands of bounded size.
    async fn batches(
        &self,
        mutations: Vec<Mutation>,
        is_unsure: bool,
        o: &CallOptions,
    ) -> Result<VecDeque<Batch>, ServiceError> {
        let keys: Vec<Key> = mutations.iter().map(|mutation| mutation.key.clone()).collect();
        let all = (0..keys.len()).collect();
        let groups = self.group_keys(&keys, all, o, &mut Causes::default()).await?;
        let parts = groups
            .into_iter()
            .flat_map(|group| plan::cut(group.into_iter().map(|i| mutations[i].clone()).collect()));
        Ok(parts.map(|mutations| Batch { mutations, is_unsure }).collect())
    }

    async fn prewrite_batch(
        self: &Arc<Self>,
        phase: &Phase<'_>,
        mut batch: Batch,
        (protocol, is_alone): (Protocol, bool),
        o: &CallOptions,
    ) -> (Batch, BatchEnd) {
        let quick = protocol != Protocol::TWO_PHASE && !batch.is_unsure;
        let mut causes =
            if quick { Causes::with_sync_patience(UNSYNCED_REFUSALS) } else { Causes::default() };
        let began = self.parts.env.now();
        let (mut waits, mut in_the_way) = (0, None);
        loop {
            let command = self.prewrite_command(phase, &batch.mutations, protocol);
            let anchor = batch.mutations[0].key.clone();
            let told = self.tell(&anchor, command, o, &mut causes).await;
            batch.is_unsure |= causes.may_have_arrived();
            let blocked = match told {
                Ok(Told::Answer(Ok(TxnReply::Prewritten { min_commit_ts, one_pc_commit_ts }))) => {
                    return (batch, BatchEnd::Done { min_commit_ts, one_pc: one_pc_commit_ts });
                }
                Ok(Told::Answer(Ok(TxnReply::Blocked(locks)))) => locks,
                Ok(Told::Answer(Err(TxnError::Locked(lock)))) => vec![*lock],
                Ok(Told::Answer(Ok(other))) => {
                    return (batch, BatchEnd::Failed(ServiceError::unexpected(&other)));
                }
                Ok(Told::Answer(Err(error))) => {
                    return (batch, BatchEnd::Failed(ServiceError::of_txn(error, &causes)));
                }
                Ok(Told::Moved) => return (batch, BatchEnd::Moved),
                Err(_) if causes.is_tired_of_unsynced() && !batch.is_unsure => {
                    return (batch, BatchEnd::Unsynced);
                }
                // Only what was not cut short may be sent differently.
                Err(_) if causes.is_tired_of_unsynced() => {
                    causes = Causes::default();
                    continue;
                }
                Err(error) => {
                    let error = match &in_the_way {
                        Some(lock) => or_locked(error, lock),
                        None => error,
                    };
                    return (batch, BatchEnd::Failed(error));
                }
            };
            in_the_way = blocked.first().cloned();
            match self.wait_for(phase, &blocked, (began, is_alone), o).await {
                Ok(false) => {}
                Ok(true) => self.pause(growing(waits), o.deadline).await,
                Err(error) => return (batch, BatchEnd::Failed(error)),
            }
            waits += 1;
        }
    }

    /// Makes way through `locks`; `true` if some must be waited for.
    async fn wait_for(
        self: &Arc<Self>,
        phase: &Phase<'_>,
        locks: &[LockInfo],
        (began, is_alone): (troupe_types::Moment, bool),
        o: &CallOptions,
    ) -> Result<bool, ServiceError> {
        let txn = phase.txn;
        let cleared = self.clear(locks, o).await;
        let cleared = cleared.map_err(|error| match locks.first() {
            Some(lock) => or_locked(error, lock),
            None => error,
        });
        let Some(alive) = cleared? else { return Ok(false) };
        let holds_locks = phase.may_retry && (!is_alone || !txn.may_be_locked.is_empty());
        let patience_ms =
            plan::patience_ms(txn.start_ts, alive.start_ts, txn.lock_wait_ms(), holds_locks);
        let waited = self.parts.env.now().since(began);
        if waited >= Duration::from_millis(patience_ms) || self.parts.env.now() >= o.deadline {
            let error = TxnError::Locked(Box::new(alive.clone()));
            return Err(ServiceError::of_txn(error, &Causes::default()));
        }
        Ok(true)
    }

    fn prewrite_command(
        &self,
        phase: &Phase<'_>,
        mutations: &[Mutation],
        protocol: Protocol,
    ) -> TxnCommand {
        let Phase { txn, plan, min_commit_ts, .. } = phase;
        let has_primary = mutations.iter().any(|mutation| mutation.key == plan.primary);
        let secondaries = || if has_primary { plan.secondaries() } else { Vec::new() };
        let is_pessimistic = txn.is_pessimistic();
        TxnCommand::Prewrite(Prewrite {
            mutations: mutations.to_vec(),
            primary: plan.primary.clone(),
            start_ts: txn.start_ts,
            lock_ttl_ms: txn.ttl_from(self.parts.env.now(), plan.ttl_ms()),
            txn_size: plan.mutations.len() as u64,
            for_update_ts: if is_pessimistic { txn.for_update_ts } else { Timestamp::ZERO },
            for_update_ts_checks: Vec::new(),
            min_commit_ts: *min_commit_ts,
            max_commit_ts: Timestamp::ZERO,
            async_commit: protocol.asynchronous.then(secondaries),
            try_one_pc: protocol.one_phase,
        })
    }
}
