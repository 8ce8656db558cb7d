//! All interactive transactions of a node: begins them, and passes requests on to them.
use super::actor::{Spec, TxnActor, told};
use super::core::SessionCore;
use super::ended::EndedLog;
use super::{SessionCall, SessionOver};
use crate::cell::{Acts, Cx, Mailbox, On, Refused, ReplyTo};
use crate::env::Rng;
use crate::kv_service::txn::{Transaction, session_key};
use crate::kv_service::{KvService, ServiceError};
use crate::node::SessionService;
use crate::registry::ActorId;
use crate::supervision::{ChildHandle, ChildSpec, StartFailure, Verdict, supervise};
use crate::trace;
use crate::transport::slot::MailboxSlot;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use troupe_types::error::{BusyReason, NotReadyReason, UnknownReason};
use troupe_types::txn::session::{
    SessionError, SessionReply, SessionRequest, SessionResult, SessionState, TxnId, TxnSettings,
};
use troupe_types::{Code, Generation, Moment, RegionError, SYSTEM_REGION, StoreId, UnixMillis};

/// Transactions that are over and still answered from memory.
const REMEMBERED: usize = 4096;

/// Limits of the interactive transactions of a node.
#[derive(Clone, Copy, Debug)]
pub struct SessionOptions {
    /// Most open transactions.
    pub open: usize,
    /// Most bytes of the writes of each.
    pub bytes: usize,
}

/// What the interactive transactions of a node need.
#[derive(Clone)]
pub struct SessionsParts {
    /// Runs their steps.
    pub service: KvService,
    /// A Store of this node: names the node in their ids.
    pub store: StoreId,
    /// Limits.
    pub options: SessionOptions,
}

/// Serves the interactive transactions of this node.
pub struct Sessions {
    slot: MailboxSlot<TxnSessions>,
    env: crate::env::Env,
    _child: ChildHandle,
}

/// Starts the actor of a node's interactive transactions under `parent`, on the arbiter of the caller.
#[must_use]
pub fn start(parts: SessionsParts, parent: ActorId) -> Arc<Sessions> {
    let slot = MailboxSlot::empty();
    let env = parts.service.env().clone();
    let child = supervise(&env, parent, SessionsSpec { parts, slot: slot.clone() });
    Arc::new(Sessions { slot, env, _child: child })
}

impl SessionService for Sessions {
    fn serve(
        &self,
        request: SessionRequest,
        deadline: Moment,
    ) -> BoxFuture<'static, Result<SessionResult, RegionError>> {
        let (slot, env) = (self.slot.clone(), self.env.clone());
        let current = trace::current();
        async move {
            let region = SYSTEM_REGION;
            let starting = RegionError::NotReady { region, why: NotReadyReason::Restarting };
            let Some(mailbox) = slot.wait(&env).await else { return Err(starting) };
            let (reply, answer) = ReplyTo::channel();
            let call = SessionCall { request, deadline, reply };
            let told = trace::with(current, || mailbox.tell_by(call, deadline));
            match told {
                Ok(()) => {}
                Err((Refused::Full { .. }, _)) => {
                    let what = BusyReason::Mailbox;
                    return Err(RegionError::ServerIsBusy { what, backoff_ms: 10 });
                }
                Err((Refused::Down { .. }, _)) => return Err(starting),
            }
            tokio::select! {
                biased;
                answer = answer => answer.map_err(|_| RegionError::OutcomeUnknown {
                    why: UnknownReason::ActorCrashed,
                }),
                () = env.spawner.sleep(deadline.since(env.now()) + GRACE) => {
                    Err(RegionError::OutcomeUnknown { why: UnknownReason::Deadline })
                }
            }
        }
        .boxed()
    }
}

/// Time beyond the deadline that a transaction gets to say what became of a request.
const GRACE: Duration = Duration::from_millis(100);

/// An open transaction.
struct Open {
    slot: MailboxSlot<TxnActor>,
    handle: ChildHandle,
}

/// The actor of all interactive transactions of a node.
pub struct TxnSessions {
    parts: SessionsParts,
    /// This life began then: what began later and is not known here never was.
    since: UnixMillis,
    nonces: Box<dyn Rng>,
    open: BTreeMap<TxnId, Open>,
    /// Transactions that ask for their timestamp.
    beginning: usize,
    ended: EndedLog,
}

impl TxnSessions {
    fn begin(
        &mut self,
        (settings, idle): (TxnSettings, Duration),
        (reply, deadline): (ReplyTo<SessionResult>, Moment),
        cx: &mut Cx<'_, Self>,
    ) {
        let most = self.parts.options.open;
        if self.open.len() + self.beginning >= most {
            let detail = format!("{most} transactions are open on this node (limits.txn-open)");
            reply.send(Err(SessionError { code: Code::ServerBusy, detail, txn: None }));
            return;
        }
        self.beginning += 1;
        let service = self.parts.service.clone();
        let o = service.session_options(deadline, trace::current().tags);
        let work = async move { service.begin(settings, &o).await };
        cx.spawn(work, move |actor, begun, cx| actor.begun(begun, idle, reply, cx));
    }

    fn begun(
        &mut self,
        begun: Result<Transaction, ServiceError>,
        idle: Duration,
        reply: ReplyTo<SessionResult>,
        cx: &mut Cx<'_, Self>,
    ) {
        self.beginning -= 1;
        let mut txn = match begun {
            Ok(txn) => txn,
            Err(error) => return reply.send(Err(told(error))),
        };
        let store = self.parts.store;
        let id = TxnId { store, start_ts: txn.start_ts, nonce: self.nonces.next_u64() };
        txn.primary = Some(session_key(&id));
        txn.buffer_bytes = self.parts.options.bytes;
        let clocks = (cx.now(), cx.env().clock.unix());
        let core = SessionCore::new((id, txn.settings), idle, clocks);
        let state = core.state(cx.now());
        let slot = MailboxSlot::empty();
        let spec = Spec {
            core: Some(core),
            txn: Some(txn),
            id,
            service: self.parts.service.clone(),
            over: cx.mailbox().port(),
            slot: slot.clone(),
            begun: Some((reply, state)),
        };
        let handle = supervise(cx.env(), cx.id(), spec);
        self.open.insert(id, Open { slot, handle });
    }

    fn pass_on(&self, id: TxnId, call: SessionCall, cx: &mut Cx<'_, Self>) {
        if let Some(ended) = self.ended.get(&id) {
            return call.reply.send(ended.answer(&call.request));
        }
        let deadline = call.deadline;
        let Some(open) = self.open.get(&id) else { return self.ask_record(id, call, cx) };
        let refused = match open.slot.get() {
            Some(mailbox) => mailbox.tell_by(call, deadline),
            None => Err((Refused::Down { kind: TxnActor::KIND }, call)),
        };
        let Err((refused, call)) = refused else { return };
        match refused {
            Refused::Full { .. } => {
                let detail = refused.to_string();
                call.reply.send(Err(SessionError { code: Code::ServerBusy, detail, txn: None }));
            }
            // It has crashed, and this actor will hear so.
            Refused::Down { .. } => self.ask_record(id, call, cx),
        }
    }

    /// Not known here: it is long over, or was lost with an earlier life of the node or its actor.
    fn ask_record(&self, id: TxnId, call: SessionCall, cx: &mut Cx<'_, Self>) {
        let SessionCall { request, deadline, reply } = call;
        let (service, since) = (self.parts.service.clone(), self.since);
        let o = service.session_options(deadline, trace::current().tags);
        let work = async move {
            let answer = service.without_owner(&id, &request, Some(since), &o).await;
            reply.send(answer.map_err(told));
        };
        cx.spawn(work, |_, (), _| {});
    }

    /// Asks all open transactions how they stand, and answers once all have answered.
    fn list(&self, deadline: Moment, reply: ReplyTo<SessionResult>, cx: &mut Cx<'_, Self>) {
        let asked: Vec<_> = self
            .open
            .iter()
            .filter_map(|(id, open)| {
                let (reply, answer) = ReplyTo::channel();
                let request = SessionRequest::Status { id: *id };
                let call = SessionCall { request, deadline, reply };
                open.slot.get()?.tell_by(call, deadline).ok()?;
                Some(answer)
            })
            .collect();
        let work = async move {
            let answers = futures::future::join_all(asked).await;
            let states: Vec<SessionState> = answers
                .into_iter()
                .filter_map(|answer| match answer {
                    Ok(Ok(SessionReply::State(state))) => Some(state),
                    _ => None,
                })
                .collect();
            reply.send(Ok(SessionReply::Open(states)));
        };
        cx.spawn(work, |_, (), _| {});
    }
}

impl Acts for TxnSessions {
    const KIND: &'static str = "txn_sessions";
}

impl On<SessionCall> for TxnSessions {
    fn on(&mut self, message: SessionCall, cx: &mut Cx<'_, Self>) {
        match (message.request.id(), &message.request) {
            (Some(id), _) => self.pass_on(id, message, cx),
            (None, SessionRequest::Begin { settings, idle_ms }) => {
                let how = (*settings, Duration::from_millis(*idle_ms));
                self.begin(how, (message.reply, message.deadline), cx);
            }
            (None, _) => self.list(message.deadline, message.reply, cx),
        }
    }
}

impl On<SessionOver> for TxnSessions {
    fn on(&mut self, message: SessionOver, _: &mut Cx<'_, Self>) {
        let SessionOver { id, ended } = message;
        let Some(open) = self.open.remove(&id) else { return };
        if let Some(ended) = ended {
            self.ended.push(*ended);
        }
        drop(open.handle);
    }
}

struct SessionsSpec {
    parts: SessionsParts,
    slot: MailboxSlot<TxnSessions>,
}

impl ChildSpec for SessionsSpec {
    type Actor = TxnSessions;

    fn name(&self) -> String {
        TxnSessions::KIND.to_owned()
    }

    fn policy(&self) -> crate::supervision::Policy {
        crate::supervision::Policy::default()
    }

    fn build(&mut self, _: Generation) -> Result<TxnSessions, StartFailure> {
        let env = self.parts.service.env();
        Ok(TxnSessions {
            since: env.clock.unix(),
            nonces: env.rngs.rng(TxnSessions::KIND),
            parts: self.parts.clone(),
            open: BTreeMap::new(),
            beginning: 0,
            ended: EndedLog::new(REMEMBERED),
        })
    }

    fn install(&mut self, mailbox: &Mailbox<TxnSessions>) {
        self.slot.install(mailbox);
    }

    fn fence(&mut self) {
        self.slot.clear();
    }

    fn ended(&mut self, _: &Verdict) {}
}
