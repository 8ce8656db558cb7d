//! Executes commands on the worker: looks at the Region's leader, takes a snapshot, runs the pure
//! command, and hands what came of it to the replica as a proposal, or back to the scheduler.
//!
//! Why the snapshot is right. It is taken after the command had its latches, at a replica that had
//! been seen to lead in term *T* and to have applied an entry of *T*. So it holds everything that was
//! committed in earlier terms, and everything that commands on the same keys did in *T*, since these
//! kept the latches until it was applied. The proposal is valid in *T* only: no other leader's entry
//! comes in between. A command that changes nothing proposes nothing, so its answer must be
//! confirmed otherwise: by the lease around the snapshot, or by a ReadIndex in *T* behind it.
use super::concurrency::ConcurrencyManager;
use super::core::max_ts::may_choose_commit_ts;
use super::core::waiting::{locked, patience};
use super::core::{CommandId, Effects, MemoryView, Task};
use super::flights::{Doubt, Flight, Flights};
use super::messages::{CommandExecuted, Report, Waiter};
use crate::cell::{Port, Refused, ReplyTo};
use crate::env::Env;
use crate::region_peer::{ProposeWrite, ReadIndexQuery};
use crate::router::{PeerHandle, Router};
use crate::store::{SafePointRefusal, TxnSafePoint};
use crate::supervision::life::panic_message;
use crate::trace;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use troupe_storage::engine::{KvEngine, KvSnapshot};
use troupe_storage::error::StorageError;
use troupe_storage::failure;
use troupe_storage::txn::{Executed, TxnContext};
use troupe_types::error::{BusyReason, NotReadyReason, UnknownReason};
use troupe_types::request::{RegionReply, RegionResult};
use troupe_types::txn::{
    LockInfo, LockKind, Mutation, MutationOp, Prewrite, TxnCommand, TxnError, TxnReply,
};
use troupe_types::{Key, RegionError, StoreId, Term, Timestamp, WriteCommand};

/// Runs a pure command; `troupe_storage::txn::execute`, except in tests.
pub type Execute = fn(&TxnCommand, &TxnContext<'_>) -> Result<Executed, StorageError>;

/// What executing needs. All of it lives as long as the Store.
pub struct Executor {
    /// The Store.
    pub store: StoreId,
    /// Environment.
    pub env: Env,
    /// Where the Store's replicas are.
    pub router: Arc<Router>,
    /// Applied data.
    pub engine: Arc<dyn KvEngine>,
    /// What readers and commits tell each other.
    pub concurrency: Arc<ConcurrencyManager>,
    /// What is under way.
    pub flights: Arc<Flights>,
    /// The disk is full.
    pub disk_full: Arc<AtomicBool>,
    /// Nothing below it is served.
    pub safe_point: TxnSafePoint,
    /// Runs a command.
    pub execute: Execute,
    /// The scheduler.
    pub executed: Port<CommandExecuted>,
}

/// A command to execute.
pub struct Job {
    /// Which.
    pub id: CommandId,
    /// The command.
    pub task: Task<Waiter>,
    /// What it may know of memory.
    pub memory: MemoryView,
    /// It is under way.
    pub flight: Flight,
}

/// Published locks of one command, withdrawn when this is dropped.
struct Publication {
    concurrency: Arc<ConcurrencyManager>,
    keys: Vec<Key>,
}

impl Publication {
    /// They stay: somebody else withdraws them.
    fn keep(mut self) -> Vec<Key> {
        std::mem::take(&mut self.keys)
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        if !self.keys.is_empty() {
            self.concurrency.withdraw(&self.keys);
        }
    }
}

/// Where a command executes.
struct Place {
    handle: PeerHandle,
    term: Term,
    snapshot: Arc<dyn KvSnapshot>,
    /// Answers from the snapshot are linearizable.
    is_confirmed: bool,
}

/// A command was executed.
struct Attempt {
    place: Place,
    executed: Executed,
    publication: Publication,
}

/// Why a command was not executed.
enum Refusal {
    Region(RegionError),
    Txn(TxnError),
    NotSynced(Term),
}

impl From<RegionError> for Refusal {
    fn from(error: RegionError) -> Self {
        Self::Region(error)
    }
}

impl Executor {
    /// Executes `jobs`, one after the other.
    pub fn run(self: &Arc<Self>, jobs: Vec<Job>) {
        for job in jobs {
            let current = job.task.waiter.current.clone();
            trace::with(current, || self.run_one(job));
        }
    }

    fn run_one(self: &Arc<Self>, job: Job) {
        let region = job.task.target.region;
        let _scope = failure::RegionScope::enter(region);
        let attempt = catch_unwind(AssertUnwindSafe(|| self.attempt(&job)));
        match attempt {
            Ok(Ok(attempt)) => self.conclude(job, attempt),
            Ok(Err(Refusal::Region(error))) => {
                self.end(job.id, job.task.waiter, Report::NoEffect, Err(error));
            }
            Ok(Err(Refusal::Txn(error))) => {
                let answer = Ok(RegionReply::Txn(Box::new(Err(error))));
                self.end(job.id, job.task.waiter, Report::NoEffect, answer);
            }
            Ok(Err(Refusal::NotSynced(term))) => {
                let error = RegionError::MaxTimestampNotSynced { region };
                self.end(job.id, job.task.waiter, Report::NotSynced { region, term }, Err(error));
            }
            Err(panic) => {
                // Nothing was proposed: the command alone fails. Its keys stay out of the log.
                let name = job.task.command.name();
                let panic = failure::redact(&panic_message(panic.as_ref()));
                tracing::error!(%region, command = name, %panic, "a command panicked");
                let error = RegionError::Malformed { what: format!("{name} panicked") };
                self.end(job.id, job.task.waiter, Report::NoEffect, Err(error));
            }
        }
    }

    /// Tells the scheduler first: what the asker sends next comes behind that.
    fn end(&self, id: CommandId, waiter: Waiter, report: Report, answer: RegionResult) {
        self.executed.cast(CommandExecuted { id, report });
        waiter.reply.send(answer);
    }

    fn attempt(&self, job: &Job) -> Result<Attempt, Refusal> {
        let Task { command, target, .. } = &job.task;
        let handle = self.router.get(target.region);
        let handle = handle
            .ok_or(RegionError::RegionNotFound { region: target.region, store: self.store })?;
        let term = self.leading_term(&handle, &job.task)?;
        if chooses_commit_ts(command) && !may_choose_commit_ts(job.memory.synced, term) {
            return Err(Refusal::NotSynced(term));
        }
        self.concurrency.raise(reads_without_lock(command));
        let publication = self.publish_provisional(command);
        // Behind the publication: see `concurrency.rs`.
        let max_ts = self.concurrency.max_ts();
        let place = self.snapshot(handle, term);
        let nothing = BTreeMap::new();
        let memory = if job.memory.term == term { &job.memory.locks } else { &nothing };
        let context = TxnContext {
            snapshot: &*place.snapshot,
            memory,
            max_ts,
            may_remember: job.memory.may_remember,
            gc_safe_point: self.safe_point.gc(),
        };
        let mut executed = match (self.execute)(command, &context) {
            Ok(executed) => executed,
            Err(error) if error.is_deterministic() => {
                let error = RegionError::Malformed { what: error.to_string() };
                return Err(Refusal::Region(error));
            }
            Err(error) => failure::fatal(&error),
        };
        // Behind the look at the engine: what it did not find may have been collected meanwhile.
        self.check_safe_point(job)?;
        self.check_absence(command, &executed)?;
        let locks = std::mem::take(&mut executed.published);
        let publication = self.publish_final(publication, locks);
        Ok(Attempt { place, executed, publication })
    }

    /// The term in which the replica leads and may serve, if the command fits it.
    fn leading_term(&self, handle: &PeerHandle, task: &Task<Waiter>) -> Result<Term, RegionError> {
        let region = task.target.region;
        let not_ready = |why| RegionError::NotReady { region, why };
        let delegate = handle.view.delegate().ok_or(not_ready(NotReadyReason::Restarting))?;
        if delegate.halted {
            return Err(RegionError::RegionHalted { region, store: self.store });
        }
        if delegate.leader.is_none_or(|leader| leader.id != handle.peer.id) {
            return Err(RegionError::NotLeader { region, leader: delegate.leader });
        }
        if !delegate.may_serve {
            return Err(not_ready(NotReadyReason::NewTerm));
        }
        if delegate.region.epoch.version != task.target.epoch.version {
            return Err(RegionError::EpochNotMatch { current: Box::new(delegate.region.clone()) });
        }
        if !task.command.is_inside(&delegate.region.range) {
            return Err(RegionError::KeyNotInRegion { region });
        }
        Ok(delegate.term)
    }

    /// That a commit finds nothing of its transaction says nothing once its record may be collected.
    fn check_absence(&self, command: &TxnCommand, executed: &Executed) -> Result<(), Refusal> {
        let safe_point = self.safe_point.get();
        match (command, &executed.result) {
            (TxnCommand::Commit { start_ts, .. }, Some(Err(TxnError::LockNotFound { .. })))
                if *start_ts < safe_point =>
            {
                Err(Refusal::Txn(TxnError::SnapshotGone { ts: *start_ts, safe_point }))
            }
            _ => Ok(()),
        }
    }

    fn check_safe_point(&self, job: &Job) -> Result<(), Refusal> {
        let Some(begins) = begins(&job.task.command) else { return Ok(()) };
        let region = job.task.target.region;
        self.safe_point.admit(begins, self.env.now()).map_err(|refusal| match refusal {
            SafePointRefusal::Gone(error) => Refusal::Txn(error),
            SafePointRefusal::Unknown => {
                let why = NotReadyReason::SafePointUnknown;
                Refusal::Region(RegionError::NotReady { region, why })
            }
        })
    }

    fn publish_provisional(&self, command: &TxnCommand) -> Publication {
        let mut keys = Vec::new();
        if let TxnCommand::Prewrite(prewrite) = command
            && chooses_commit_ts(command)
        {
            keys = prewrite.mutations.iter().map(|mutation| mutation.key.clone()).collect();
            self.concurrency.publish(provisional(prewrite));
        }
        Publication { concurrency: self.concurrency.clone(), keys }
    }

    fn publish_final(&self, publication: Publication, locks: Vec<LockInfo>) -> Publication {
        let provisional = publication.keep();
        let keys = locks.iter().map(|lock| lock.key.clone()).collect();
        if !provisional.is_empty() || !locks.is_empty() {
            self.concurrency.replace(&provisional, locks);
        }
        Publication { concurrency: self.concurrency.clone(), keys }
    }

    fn snapshot(&self, handle: PeerHandle, term: Term) -> Place {
        let by_lease = handle.view.lease_snapshot(&*self.engine, &*self.env.clock);
        let is_same_term = handle.view.delegate().is_some_and(|delegate| delegate.term == term);
        let is_confirmed = by_lease.is_some() && is_same_term;
        let snapshot = by_lease.unwrap_or_else(|| self.engine.snapshot());
        Place { handle, term, snapshot, is_confirmed }
    }

    fn conclude(self: &Arc<Self>, job: Job, attempt: Attempt) {
        let Job { id, mut task, flight, .. } = job;
        let Attempt { place, mut executed, publication } = attempt;
        let result = match (executed.result.take(), executed.waits_for.take()) {
            (Some(result), _) => result,
            (None, Some(lock)) if patience(&task.command).is_some() => {
                drop(publication);
                self.executed.cast(CommandExecuted { id, report: Report::Blocked(task, lock) });
                return;
            }
            (None, Some(lock)) => {
                return self.end(id, task.waiter, Report::NoEffect, locked(lock));
            }
            (None, None) => unreachable!("a command ends or waits"),
        };
        let effects = effects_of(&task, place.term, &result, &mut executed);
        let answer = Ok(RegionReply::Txn(Box::new(result)));
        task.wait_until = None;
        let landing = Landing {
            executor: self.clone(),
            id,
            waiter: task.waiter,
            effects,
            publication,
            _flight: flight,
        };
        if executed.changes.is_empty() {
            landing.without_changes(place, answer, task.deadline);
            return;
        }
        if self.disk_full.load(Ordering::Relaxed) {
            landing.without_effect(RegionError::DiskFull { store: self.store });
            return;
        }
        let command = WriteCommand::Txn { changes: executed.changes };
        let (epoch, term) = (task.target.epoch, Some(place.term));
        let reply = ReplyTo::calling(move |fate| landing.on_fate(fate, answer));
        let told = place
            .handle
            .mailbox
            .tell_by(ProposeWrite { epoch, term, command, reply }, task.deadline);
        if let Err((refused, message)) = told {
            message.reply.send(Err(self.refused(refused, task.target.region)));
        }
    }

    fn refused(&self, refused: Refused, region: troupe_types::RegionId) -> RegionError {
        match refused {
            Refused::Full { .. } => {
                RegionError::ServerIsBusy { what: BusyReason::Mailbox, backoff_ms: 10 }
            }
            Refused::Down { .. } => {
                RegionError::NotReady { region, why: NotReadyReason::Restarting }
            }
        }
    }
}

/// A command on its last way: to its answer, and back to the scheduler.
struct Landing {
    executor: Arc<Executor>,
    id: CommandId,
    waiter: Waiter,
    effects: Box<Effects>,
    publication: Publication,
    _flight: Flight,
}

impl Landing {
    /// What is in the engine needs no published lock any more.
    fn with_effect(self, answer: RegionResult) {
        drop(self.publication);
        self.executor.end(self.id, self.waiter, Report::Done(self.effects), answer);
    }

    fn without_effect(self, error: RegionError) {
        drop(self.publication);
        self.executor.end(self.id, self.waiter, Report::NoEffect, Err(error));
    }

    fn on_fate(self, fate: Option<RegionResult>, answer: RegionResult) {
        match fate {
            Some(Ok(_)) => self.with_effect(answer),
            Some(Err(RegionError::OutcomeUnknown { why })) => self.in_doubt(why),
            Some(Err(error)) => self.without_effect(error),
            None => self.in_doubt(UnknownReason::ActorCrashed),
        }
    }

    fn in_doubt(self, why: UnknownReason) {
        let Effects { region, term, .. } = *self.effects;
        let published = self.publication.keep();
        self.executor.flights.doubt(Doubt { id: self.id, region, term, published });
        let answer = Err(RegionError::OutcomeUnknown { why });
        self.executor.end(self.id, self.waiter, Report::InDoubt, answer);
    }

    fn without_changes(self, place: Place, answer: RegionResult, deadline: troupe_types::Moment) {
        let Place { handle, term, snapshot, is_confirmed } = place;
        drop(snapshot);
        if is_confirmed {
            self.with_effect(answer);
            return;
        }
        let region = self.effects.region;
        let executor = self.executor.clone();
        let view = handle.view.clone();
        let reply = ReplyTo::calling(move |permit| match permit {
            Some(Ok(_)) => {
                let delegate = view.delegate();
                if delegate.is_some_and(|d| d.may_serve && d.term == term) {
                    self.with_effect(answer);
                } else {
                    self.without_effect(RegionError::StaleCommand);
                }
            }
            Some(Err(error)) => self.without_effect(error),
            None => {
                let why = NotReadyReason::Restarting;
                self.without_effect(RegionError::NotReady { region, why });
            }
        });
        if let Err((refused, message)) = handle.mailbox.tell_by(ReadIndexQuery { reply }, deadline)
        {
            message.reply.send(Err(executor.refused(refused, region)));
        }
    }
}

/// Does `command` take a commit timestamp from this Store's memory?
#[must_use]
pub fn chooses_commit_ts(command: &TxnCommand) -> bool {
    matches!(command, TxnCommand::Prewrite(p) if p.async_commit.is_some() || p.try_one_pc)
}

/// The timestamp of the snapshot that a command looks for newer commits from, if it takes new locks:
/// all of these must still be there.
fn begins(command: &TxnCommand) -> Option<Timestamp> {
    match command {
        TxnCommand::Prewrite(Prewrite { start_ts, .. }) | TxnCommand::Flush { start_ts, .. } => {
            Some(*start_ts)
        }
        TxnCommand::PessimisticLock(lock) => Some(lock.start_ts),
        TxnCommand::Commit { .. }
        | TxnCommand::Rollback { .. }
        | TxnCommand::Cleanup { .. }
        | TxnCommand::PessimisticRollback { .. }
        | TxnCommand::HeartBeat { .. }
        | TxnCommand::CheckTxnStatus(_)
        | TxnCommand::CheckSecondaryLocks { .. }
        | TxnCommand::ResolveKeys { .. }
        | TxnCommand::ResolveLocks { .. } => None,
    }
}

/// The timestamp of a look that leaves no lock: that a key has no value must stay true up to then, so
/// no later commit may land below. 0 = there is none.
fn reads_without_lock(command: &TxnCommand) -> Timestamp {
    let checks = |mutations: &[Mutation]| {
        mutations.iter().any(|mutation| mutation.op == MutationOp::CheckNotExists)
    };
    let (looks, ts) = match command {
        TxnCommand::Prewrite(Prewrite { mutations, start_ts, for_update_ts, .. }) => {
            (checks(mutations), *start_ts.max(for_update_ts))
        }
        TxnCommand::Flush { mutations, start_ts, .. } => (checks(mutations), *start_ts),
        TxnCommand::PessimisticLock(lock) => (lock.lock_only_if_exists, lock.for_update_ts),
        TxnCommand::Commit { .. }
        | TxnCommand::Rollback { .. }
        | TxnCommand::Cleanup { .. }
        | TxnCommand::PessimisticRollback { .. }
        | TxnCommand::HeartBeat { .. }
        | TxnCommand::CheckTxnStatus(_)
        | TxnCommand::CheckSecondaryLocks { .. }
        | TxnCommand::ResolveKeys { .. }
        | TxnCommand::ResolveLocks { .. } => (false, Timestamp::ZERO),
    };
    if looks { ts } else { Timestamp::ZERO }
}

/// Locks that block every reader at or above the start timestamp, until more is known.
fn provisional(prewrite: &Prewrite) -> Vec<LockInfo> {
    let kind = |op: &MutationOp| match op {
        MutationOp::Put { .. } | MutationOp::Insert { .. } => LockKind::Put,
        MutationOp::Delete => LockKind::Delete,
        MutationOp::Lock | MutationOp::CheckNotExists => LockKind::Lock,
    };
    let changing = prewrite.mutations.iter().filter(|m| m.op != MutationOp::CheckNotExists);
    let lock = |mutation: &Mutation| LockInfo {
        key: mutation.key.clone(),
        primary: prewrite.primary.clone(),
        start_ts: prewrite.start_ts,
        kind: kind(&mutation.op),
        ttl_ms: prewrite.lock_ttl_ms,
        txn_size: prewrite.txn_size,
        for_update_ts: prewrite.for_update_ts,
        min_commit_ts: Timestamp::ZERO,
        use_async_commit: prewrite.async_commit.is_some(),
        secondaries: Vec::new(),
    };
    changing.map(lock).collect()
}

fn effects_of(
    task: &Task<Waiter>,
    term: Term,
    result: &Result<TxnReply, TxnError>,
    executed: &mut Executed,
) -> Box<Effects> {
    Box::new(Effects {
        region: task.target.region,
        term,
        start_ts: task.command.start_ts().unwrap_or_default(),
        remembered: std::mem::take(&mut executed.remembered),
        forgotten: std::mem::take(&mut executed.forgotten),
        released: std::mem::take(&mut executed.released),
        locked: locked_keys(&task.command, result),
    })
}

/// Keys that a pessimistic lock command has locked.
fn locked_keys(command: &TxnCommand, result: &Result<TxnReply, TxnError>) -> Vec<Key> {
    let (TxnCommand::PessimisticLock(lock), Ok(TxnReply::Locked(keys))) = (command, result) else {
        return Vec::new();
    };
    let both = lock.keys.iter().zip(keys);
    both.filter(|(_, got)| !got.skipped).map(|((key, _), _)| key.clone()).collect()
}
