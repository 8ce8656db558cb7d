//! The shell around one interactive transaction.
use super::core::{CommitEnd, Figures, Input, Output, SessionCore, Ticket};
use super::{SessionCall, SessionOver};
use crate::cell::{Acts, Cx, Mailbox, On, Port, ReplyTo};
use crate::kv_service::txn::{Committed, Ended, Transaction};
use crate::kv_service::{KvService, ServiceError};
use crate::supervision::{ChildSpec, Policy, StartFailure, Verdict};
use crate::trace;
use crate::transport::slot::MailboxSlot;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::oneshot;
use troupe_types::txn::session::{
    Idempotency, SessionError, SessionReply, SessionRequest, SessionResult, SessionState, TxnId,
    TxnOp, TxnOpResult,
};
use troupe_types::{Class, Code, Generation, Moment, Timestamp};

/// How long the actor of a transaction that is over takes what was already on its way to it.
const LINGER: Duration = Duration::from_secs(5);
/// Longest wait for the answer to a heartbeat.
const BEAT_PATIENCE: Duration = Duration::from_secs(3);
/// Wake-up that ends the actor.
const LEAVE: u64 = 1;

/// A request that is not answered yet.
struct Pending {
    deadline: Moment,
    reply: ReplyTo<SessionResult>,
    ops: Vec<TxnOp>,
    idempotency: Option<Idempotency>,
}

/// The actor of one interactive transaction.
pub struct TxnActor {
    core: SessionCore,
    id: TxnId,
    service: KvService,
    over: Port<SessionOver>,
    /// `None` while something that runs has it.
    txn: Option<Transaction>,
    pending: BTreeMap<Ticket, Pending>,
    next: Ticket,
    /// Cuts short the steps that run, when it is dropped.
    cut: Option<oneshot::Sender<()>>,
}

impl TxnActor {
    fn step(&mut self, input: Input<'_>, cx: &mut Cx<'_, Self>) {
        let mut outputs = Vec::new();
        self.core.step(cx.now(), input, &mut outputs);
        for output in outputs {
            self.perform(output, cx);
        }
    }

    /// The only place with effects.
    fn perform(&mut self, output: Output, cx: &mut Cx<'_, Self>) {
        match output {
            Output::RunSteps(ticket) => self.run_steps(ticket, cx),
            Output::CutShort => self.cut = None,
            Output::RunCommit(ticket) => self.run_commit(ticket, cx),
            Output::RollBack => {
                if let Some(txn) = self.txn.take() {
                    self.service.end_session(self.service.all_locks(&txn));
                }
            }
            Output::Beat => self.beat(cx),
            Output::Answer(ticket, answer) => {
                if let Some(pending) = self.pending.remove(&ticket) {
                    pending.reply.send(answer);
                }
            }
            Output::WakeAt(at) => cx.wake_after(at.since(cx.now()), 0),
            Output::Over(ended) => {
                if let Some(why) = &ended.why {
                    let (id, reason) = (self.id, &why.detail);
                    tracing::info!(start_ts = %id.start_ts, code = why.code.as_str(), reason, "an interactive transaction was rolled back");
                }
                self.over.cast(SessionOver { id: self.id, ended: Some(ended) });
                cx.wake_after(LINGER, LEAVE);
            }
        }
    }

    fn run_steps(&mut self, ticket: Ticket, cx: &mut Cx<'_, Self>) {
        let Some((mut txn, pending)) = self.txn.take().zip(self.pending.get_mut(&ticket)) else {
            return;
        };
        let ops = std::mem::take(&mut pending.ops);
        let (cut, is_cut) = oneshot::channel::<()>();
        self.cut = Some(cut);
        let service = self.service.clone();
        let o = service.session_options(pending.deadline, trace::current().tags);
        let work = async move {
            let ran = tokio::select! {
                biased;
                ran = service.session_ops(&mut txn, &ops, &o) => ran.map_err(told),
                _ = is_cut => {
                    let detail = "the transaction was rolled back meanwhile".to_owned();
                    Err(SessionError { code: Code::TxnRolledBack, detail, txn: None })
                }
            };
            (txn, ran)
        };
        cx.spawn(work, |actor, (txn, ran), cx| actor.steps_done(txn, ran, cx));
    }

    fn steps_done(
        &mut self,
        txn: Transaction,
        ran: Result<Vec<TxnOpResult>, SessionError>,
        cx: &mut Cx<'_, Self>,
    ) {
        self.cut = None;
        let figures = figures_of(&txn);
        self.txn = Some(txn);
        self.step(Input::StepsDone(ran, figures), cx);
    }

    /// Commits beside this actor: once begun, a commit is brought to its end even if this crashes.
    fn run_commit(&mut self, ticket: Ticket, cx: &mut Cx<'_, Self>) {
        let Some((mut txn, pending)) = self.txn.take().zip(self.pending.get_mut(&ticket)) else {
            return;
        };
        let (service, id) = (self.service.clone(), self.id);
        let o = service.session_options(pending.deadline, trace::current().tags);
        let idempotency = pending.idempotency.take();
        let (first, at_first) = oneshot::channel();
        let (last, at_last) = oneshot::channel();
        let owner = service.clone();
        owner.run_beside(async move {
            let Ended { outcome, then } =
                service.session_commit(&mut txn, &id, idempotency.as_ref(), &o).await;
            let is_known = !matches!(&outcome, Err(error) if error.code == Code::TxnOutcomeUnknown);
            // An actor that has crashed hears nothing of it.
            let _ = first.send(end_of(outcome));
            if is_known {
                service.end_session(service.stray_locks(&txn));
                service.end_session(then);
                return;
            }
            let commit_ts = service.settle_session(&id, then).await;
            service.end_session(service.stray_locks(&txn));
            let _ = last.send(commit_ts);
        });
        cx.spawn(at_first, move |actor, end, cx| {
            let end = end.unwrap_or_else(|_| CommitEnd::Unknown(gone()));
            let is_unknown = matches!(end, CommitEnd::Unknown(_));
            actor.step(Input::CommitDone(end), cx);
            if is_unknown {
                cx.spawn(at_last, |actor, commit_ts, cx| actor.settled(commit_ts.ok(), cx));
            }
        });
    }

    fn settled(&mut self, commit_ts: Option<Timestamp>, cx: &mut Cx<'_, Self>) {
        let Some(commit_ts) = commit_ts else { return };
        let end = if commit_ts > Timestamp::ZERO {
            CommitEnd::Committed { commit_ts, by: Default::default() }
        } else {
            let detail = "its commit was not answered, and did not come about".to_owned();
            CommitEnd::RolledBack(SessionError { code: Code::TxnRolledBack, detail, txn: None })
        };
        self.step(Input::CommitDone(end), cx);
    }

    fn beat(&mut self, cx: &mut Cx<'_, Self>) {
        let Some(mut txn) = self.txn.take() else { return };
        let service = self.service.clone();
        let deadline = cx.now().after(BEAT_PATIENCE);
        let o = service.session_options(deadline, troupe_types::TraceTags::NONE);
        let work = async move {
            let beaten = service.session_beat(&mut txn, &o).await;
            // A Region that does not answer says nothing of the transaction.
            let is_lost = beaten.is_err_and(|error| error.txn.is_some());
            (txn, !is_lost)
        };
        cx.spawn(work, |actor, (txn, is_alive), cx| {
            actor.txn = Some(txn);
            actor.step(Input::Beaten(is_alive), cx);
        });
    }
}

fn figures_of(txn: &Transaction) -> Figures {
    Figures { keys: txn.buffer.len() as u64, holds_locks: !txn.locked.is_empty() }
}

fn end_of(outcome: Result<Committed, ServiceError>) -> CommitEnd {
    match outcome {
        Ok(Committed { commit_ts, by }) => CommitEnd::Committed { commit_ts, by },
        Err(error) if error.code == Code::TxnOutcomeUnknown => CommitEnd::Unknown(told(error)),
        // Whoever sent the commit again would hear the same again: the transaction is over.
        Err(error) if error.code.class() == Class::Retry => {
            let detail = format!("it was rolled back: {}", error.detail);
            let code = Code::TxnRolledBack;
            CommitEnd::RolledBack(SessionError { code, detail, txn: error.txn })
        }
        Err(error) => CommitEnd::RolledBack(told(error)),
    }
}

fn gone() -> SessionError {
    let detail = "the coordinator is gone; it may have committed".to_owned();
    SessionError { code: Code::TxnOutcomeUnknown, detail, txn: None }
}

/// The error as it travels to the gateway.
pub(super) fn told(error: ServiceError) -> SessionError {
    SessionError { code: error.code, detail: error.detail, txn: error.txn }
}

impl Acts for TxnActor {
    const KIND: &'static str = "txn";

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.step(Input::Woken, cx);
    }

    fn wake(&mut self, token: u64, cx: &mut Cx<'_, Self>) {
        if token == LEAVE {
            cx.stop();
        } else {
            self.step(Input::Woken, cx);
        }
    }
}

impl On<SessionCall> for TxnActor {
    fn on(&mut self, message: SessionCall, cx: &mut Cx<'_, Self>) {
        let SessionCall { mut request, deadline, reply } = message;
        self.next += 1;
        let ticket = self.next;
        let ops = match &mut request {
            SessionRequest::Ops { ops, .. } => std::mem::take(ops),
            _ => Vec::new(),
        };
        let idempotency = match &request {
            SessionRequest::Commit { idempotency, .. } => idempotency.clone(),
            _ => None,
        };
        self.pending.insert(ticket, Pending { deadline, reply, ops, idempotency });
        self.step(Input::Call(ticket, &request), cx);
    }
}

/// A transaction that has just begun, and whoever waits to hear so.
pub(super) struct Spec {
    pub(super) core: Option<SessionCore>,
    pub(super) txn: Option<Transaction>,
    pub(super) id: TxnId,
    pub(super) service: KvService,
    pub(super) over: Port<SessionOver>,
    pub(super) slot: MailboxSlot<TxnActor>,
    pub(super) begun: Option<(ReplyTo<SessionResult>, SessionState)>,
}

impl ChildSpec for Spec {
    type Actor = TxnActor;

    fn name(&self) -> String {
        format!("txn-{}", self.id.start_ts)
    }

    /// Nothing of it is on disk.
    fn policy(&self) -> Policy {
        Policy { restarts: 0, ..Policy::default() }
    }

    fn build(&mut self, _: Generation) -> Result<TxnActor, StartFailure> {
        let Some((core, txn)) = self.core.take().zip(self.txn.take()) else {
            let why = "a transaction is not built twice".to_owned();
            return Err(StartFailure { name: self.name(), why, may_pass: false });
        };
        Ok(TxnActor {
            core,
            id: self.id,
            service: self.service.clone(),
            over: self.over.clone(),
            txn: Some(txn),
            pending: BTreeMap::new(),
            next: 0,
            cut: None,
        })
    }

    fn install(&mut self, mailbox: &Mailbox<TxnActor>) {
        self.slot.install(mailbox);
        if let Some((reply, state)) = self.begun.take() {
            reply.send(Ok(SessionReply::State(state)));
        }
    }

    fn fence(&mut self) {
        self.slot.clear();
    }

    fn ended(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Stopped => {}
            Verdict::Quarantined { .. } => {
                self.over.cast(SessionOver { id: self.id, ended: None });
            }
        }
    }
}
