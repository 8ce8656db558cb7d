//! The thin actor around [`super::core::SchedulerCore`]. Messages: `messages.rs`. Guide: `mod.rs`.
//! Execution: `execute.rs`.
use super::core::{Input, Output, SchedulerCore, SchedulerOptions, Task};
use super::execute::{Execute, Executor, Job};
use super::flights::Flights;
use super::messages::{
    CommandExecuted, DeadlockFound, LeadChanged, LockWaitsQuery, RememberedLocksQuery, Report,
    SubmitTxn, Waiter,
};
use super::{ConcurrencyManager, SchedulerHandle};
use crate::cell::{Acts, Cx, Mailbox, Message, On, Port, Refused};
use crate::deadlock::DetectorCaller;
use crate::env::{Env, Worker};
use crate::node::PdCaller;
use crate::registry::ActorId;
use crate::router::Router;
use crate::store::TxnSafePoint;
use crate::supervision::{ChildSpec, Policy, StartFailure, Verdict, supervise};
use crate::trace;
use crate::transport::slot::MailboxSlot;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use troupe_storage::engine::KvEngine;
use troupe_types::pd::{PdReply, PdRequest};
use troupe_types::txn::deadlock::{DetectReply, DetectRequest, LockWait};
use troupe_types::{Generation, Moment, RegionId, StoreId, Term};

const WAKE: u64 = 1;
const DOUBTS: u64 = 2;
/// Time between two looks at commands in doubt.
pub(super) const DOUBT_STEP: Duration = Duration::from_millis(50);
/// Time that PD gets to answer.
const PD_PATIENCE: Duration = Duration::from_secs(2);
/// Time that the detector of deadlocks gets to answer; it is told again anyway.
const DETECT_PATIENCE: Duration = Duration::from_secs(1);
/// Commands that one job of the worker executes at most.
const JOB_COMMANDS: usize = 16;

/// What a scheduler is made of.
#[derive(Clone)]
pub struct SchedulerParts {
    /// Environment.
    pub env: Env,
    /// The Store.
    pub store: StoreId,
    /// Where its replicas are.
    pub router: Arc<Router>,
    /// Applied data.
    pub engine: Arc<dyn KvEngine>,
    /// PD.
    pub pd: Arc<dyn PdCaller>,
    /// The detector of deadlocks, wherever it is.
    pub detector: Arc<dyn DetectorCaller>,
    /// What readers and commits tell each other.
    pub concurrency: Arc<ConcurrencyManager>,
    /// The disk is full.
    pub disk_full: Arc<AtomicBool>,
    /// Which versions the Store serves.
    pub safe_point: TxnSafePoint,
    /// Runs a pure command.
    pub execute: Execute,
    /// Executes commands.
    pub worker: Arc<dyn Worker>,
    /// Threads of `worker`.
    pub threads: usize,
    /// Limits and times.
    pub options: SchedulerOptions,
    /// How often it may crash before the process ends.
    pub policy: Policy,
}

/// Starts the scheduler of a Store under `parent`, on the arbiter of the caller.
#[must_use]
pub fn start(parts: SchedulerParts, parent: ActorId) -> SchedulerHandle {
    let slot = MailboxSlot::empty();
    let flights = Arc::new(Flights::default());
    let handle = SchedulerHandle {
        submit: port(&slot),
        lead_changed: port(&slot),
        lock_waits: port(&slot),
        remembered: port(&slot),
        executed: port(&slot),
        flights: flights.clone(),
    };
    let env = parts.env.clone();
    let executor = Arc::new(Executor {
        store: parts.store,
        env: env.clone(),
        router: parts.router.clone(),
        engine: parts.engine.clone(),
        concurrency: parts.concurrency.clone(),
        flights,
        disk_full: parts.disk_full.clone(),
        safe_point: parts.safe_point.clone(),
        execute: parts.execute,
        executed: handle.executed.clone(),
    });
    // It runs as long as its Store: nobody stops it alone.
    let _ = supervise(&env, parent, Spec { parts, executor, slot });
    handle
}

fn port<M: Message>(slot: &MailboxSlot<TxnScheduler>) -> Port<M>
where
    TxnScheduler: On<M>,
{
    let slot = slot.clone();
    Port::from_fn(move |message, deadline| match slot.get() {
        Some(mailbox) => mailbox.tell_by(message, deadline),
        None => Err((Refused::Down { kind: TxnScheduler::KIND }, message)),
    })
}

/// See `mod.rs`.
pub struct TxnScheduler {
    core: SchedulerCore<Waiter>,
    parts: SchedulerParts,
    executor: Arc<Executor>,
    slot: MailboxSlot<Self>,
    out: Vec<Output<Waiter>>,
    /// To be executed, of this batch.
    jobs: Vec<Job>,
    /// The earliest wake-up that was asked for.
    wake_at: Option<Moment>,
    looks_at_doubts: bool,
}

impl TxnScheduler {
    fn step(&mut self, input: Input<Waiter>, cx: &mut Cx<'_, Self>) {
        let mut out = std::mem::take(&mut self.out);
        self.core.step(cx.now(), input, &mut out);
        for output in out.drain(..) {
            self.perform(output, cx);
        }
        self.out = out;
        self.plan_wake(cx);
    }

    fn perform(&mut self, output: Output<Waiter>, cx: &mut Cx<'_, Self>) {
        match output {
            Output::Run { id, task, memory } => {
                let flight = self.executor.flights.begin();
                self.jobs.push(Job { id, task, memory, flight });
            }
            Output::Answer(waiter, answer) => waiter.reply.send(answer),
            Output::Detect { waiter, request } => self.detect(waiter, request, cx),
            Output::AskTimestamp => self.ask_timestamp(cx),
            Output::CheckLeads(regions) => {
                let mut lost = regions;
                lost.retain(|region| !self.leads(*region));
                for region in lost {
                    let delegate = self.parts.router.get(region).and_then(|p| p.view.delegate());
                    let leader = delegate.and_then(|delegate| delegate.leader);
                    self.step(Input::LeadLost { region, leader }, cx);
                }
            }
        }
    }

    fn plan_wake(&mut self, cx: &mut Cx<'_, Self>) {
        let Some(next) = self.core.next_wake() else { return };
        if self.wake_at.is_none_or(|at| next < at) {
            self.wake_at = Some(next);
            // A moment later rather than a moment too early.
            cx.wake_after(next.since(cx.now()) + Duration::from_millis(1), WAKE);
        }
    }

    fn leads(&self, region: RegionId) -> bool {
        let delegate = self.parts.router.get(region).and_then(|peer| peer.view.delegate());
        delegate.is_some_and(|delegate| delegate.may_serve)
    }

    fn detect(&self, waiter: Option<u64>, request: DetectRequest, cx: &mut Cx<'_, Self>) {
        let env = cx.env();
        let asked = self.parts.detector.detect(request.clone(), env.now().after(DETECT_PATIENCE));
        let found = port::<DeadlockFound>(&self.slot);
        env.spawner.spawn_local(Box::pin(async move {
            let answer = asked.await;
            let (Some(id), DetectRequest::Wait(edge)) = (waiter, request) else { return };
            if let Some(DetectReply::Deadlock(cycle)) = answer {
                found.cast(DeadlockFound { id, edge, cycle });
            }
        }));
    }

    fn ask_timestamp(&self, cx: &mut Cx<'_, Self>) {
        let deadline = cx.now().after(PD_PATIENCE);
        let asked = self.parts.pd.call(PdRequest::Timestamps { count: 1 }, deadline);
        cx.spawn(asked, |scheduler, answer, cx| {
            let is_raised = match answer {
                Ok(PdReply::Timestamps { last, .. }) => {
                    scheduler.parts.concurrency.raise(last);
                    true
                }
                Ok(other) => {
                    tracing::error!(?other, "PD answers a question for a timestamp in another way");
                    false
                }
                Err(error) => {
                    tracing::debug!(%error, "PD gave no timestamp");
                    false
                }
            };
            scheduler.step(Input::TimestampAnswered { is_raised }, cx);
        });
    }

    fn look_at_doubts(&mut self, cx: &mut Cx<'_, Self>) {
        self.looks_at_doubts = false;
        let router = self.parts.router.clone();
        let over = self
            .executor
            .flights
            .settle_doubts(&self.parts.concurrency, |region, term| is_over(&router, region, term));
        for id in over {
            self.step(Input::NoEffect(id), cx);
        }
        if self.executor.flights.has_doubts() {
            self.looks_at_doubts = true;
            cx.wake_after(DOUBT_STEP, DOUBTS);
        }
    }

    fn waits(&self, now: Moment) -> Vec<LockWait> {
        let store = self.parts.store;
        let wait = |waiting: &super::core::waits::Waiting<Waiter>| LockWait {
            store,
            edge: waiting.edge(),
            waited_ms: u64::try_from(now.since(waiting.since).as_millis()).unwrap_or(u64::MAX),
        };
        self.core.waits().iter().map(|(_, waiting)| wait(waiting)).collect()
    }
}

/// Is it over with `term` of `region` here: does the replica serve nothing in it any more, and never
/// will again?
fn is_over(router: &Router, region: RegionId, term: Term) -> bool {
    let delegate = router.get(region).and_then(|peer| peer.view.delegate());
    delegate.is_none_or(|delegate| delegate.term > term || !delegate.may_serve)
}

impl Acts for TxnScheduler {
    const KIND: &'static str = "txn_scheduler";

    /// A life may begin after replicas have begun to lead.
    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        for (region, handle) in self.parts.router.list() {
            let delegate = handle.view.delegate();
            if let Some(delegate) = delegate.filter(|delegate| delegate.may_serve) {
                self.step(Input::Led { region, term: delegate.term }, cx);
            }
        }
    }

    fn flush(&mut self, _cx: &mut Cx<'_, Self>) {
        let mut jobs = std::mem::take(&mut self.jobs);
        let share = jobs.len().div_ceil(self.parts.threads.max(1)).clamp(1, JOB_COMMANDS);
        while !jobs.is_empty() {
            let rest = jobs.split_off(share.min(jobs.len()));
            let executor = self.executor.clone();
            self.parts.worker.run(Box::new(move || executor.run(jobs)));
            jobs = rest;
        }
    }

    fn wake(&mut self, token: u64, cx: &mut Cx<'_, Self>) {
        if token == DOUBTS {
            self.look_at_doubts(cx);
            return;
        }
        self.wake_at = None;
        self.step(Input::Wake, cx);
    }
}

impl On<SubmitTxn> for TxnScheduler {
    fn on(&mut self, message: SubmitTxn, cx: &mut Cx<'_, Self>) {
        let SubmitTxn { command, target, deadline, reply } = message;
        if reply.is_abandoned() {
            return;
        }
        let waiter = Waiter { reply, current: trace::current() };
        self.step(Input::Submit(Task { command, target, deadline, wait_until: None, waiter }), cx);
    }
}

impl On<CommandExecuted> for TxnScheduler {
    fn on(&mut self, message: CommandExecuted, cx: &mut Cx<'_, Self>) {
        let CommandExecuted { id, report } = message;
        match report {
            Report::Done(effects) => self.step(Input::Done(id, effects), cx),
            Report::NoEffect => self.step(Input::NoEffect(id), cx),
            Report::NotSynced { region, term } => {
                self.step(Input::NoEffect(id), cx);
                self.step(Input::Led { region, term }, cx);
            }
            Report::Blocked(task, lock) => self.step(Input::Blocked(id, task, lock), cx),
            Report::InDoubt if self.looks_at_doubts => {}
            Report::InDoubt => self.look_at_doubts(cx),
        }
    }
}

impl On<LeadChanged> for TxnScheduler {
    fn on(&mut self, message: LeadChanged, cx: &mut Cx<'_, Self>) {
        let LeadChanged { region, term, leader } = message;
        let input = match term {
            Some(term) => Input::Led { region, term },
            None => Input::LeadLost { region, leader },
        };
        self.step(input, cx);
    }
}

impl On<DeadlockFound> for TxnScheduler {
    fn on(&mut self, message: DeadlockFound, cx: &mut Cx<'_, Self>) {
        let DeadlockFound { id, edge, cycle } = message;
        self.step(Input::WaitJudged { id, edge, cycle }, cx);
    }
}

impl On<RememberedLocksQuery> for TxnScheduler {
    fn on(&mut self, message: RememberedLocksQuery, _: &mut Cx<'_, Self>) {
        let RememberedLocksQuery { region, range, max_ts, limit, reply } = message;
        reply.send(self.core.remembered().in_range(region, &range, (max_ts, limit)));
    }
}

impl On<LockWaitsQuery> for TxnScheduler {
    fn on(&mut self, message: LockWaitsQuery, cx: &mut Cx<'_, Self>) {
        message.reply.send(self.waits(cx.now()));
    }
}

struct Spec {
    parts: SchedulerParts,
    executor: Arc<Executor>,
    slot: MailboxSlot<TxnScheduler>,
}

impl ChildSpec for Spec {
    type Actor = TxnScheduler;

    fn name(&self) -> String {
        format!("store-{}/txn-scheduler", self.parts.store)
    }

    fn policy(&self) -> Policy {
        self.parts.policy
    }

    /// A new life has no latches of what the former one has under way: it begins when nothing is, and
    /// nothing is in doubt. Bounded by the fate of proposals, as each latch is.
    fn settled(&mut self) -> Pin<Box<dyn Future<Output = ()>>> {
        let (executor, env) = (self.executor.clone(), self.parts.env.clone());
        Box::pin(async move {
            let Executor { flights, router, concurrency, .. } = &*executor;
            flights.until_landed().await;
            while flights.has_doubts() {
                flights.settle_doubts(concurrency, |region, term| is_over(router, region, term));
                env.spawner.sleep(DOUBT_STEP).await;
            }
        })
    }

    fn build(&mut self, generation: Generation) -> Result<TxnScheduler, StartFailure> {
        // Late news of a former life names ids that this one never has.
        let first_id = generation.get() << 40;
        Ok(TxnScheduler {
            core: SchedulerCore::new(self.parts.options, first_id),
            parts: self.parts.clone(),
            executor: self.executor.clone(),
            slot: self.slot.clone(),
            out: Vec::new(),
            jobs: Vec::new(),
            wake_at: None,
            looks_at_doubts: false,
        })
    }

    fn install(&mut self, mailbox: &Mailbox<TxnScheduler>) {
        self.slot.install(mailbox);
    }

    fn fence(&mut self) {
        self.slot.clear();
    }

    fn ended(&mut self, verdict: &Verdict) {
        self.slot.clear();
        // Without it the Store serves no transaction, and its Regions would be led by others.
        if let Verdict::Quarantined { reason } = verdict {
            let store = self.parts.store;
            troupe_storage::failure::end_process(&format!(
                "the transaction scheduler of store {store} crashes again and again: {reason}"
            ));
        }
    }
}
