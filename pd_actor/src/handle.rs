//! PD as the rest of its node calls it.
use crate::actor::{PdActor, PdCall, PdParts};
use crate::oracle::{MAX_TIMESTAMPS, TsoOracle};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use troupe_actors::cell::{Mailbox, ReplyTo};
use troupe_actors::env::Env;
use troupe_actors::node::LocalPd;
use troupe_actors::registry::ActorId;
use troupe_actors::supervision::{
    ChildHandle, ChildSpec, Policy, StartFailure, Verdict, supervise,
};
use troupe_types::pd::{PdError, PdReply, PdRequest, PdResult};
use troupe_types::{Generation, Moment};

struct Shared {
    env: Env,
    oracle: Arc<TsoOracle>,
    mailbox: RwLock<Option<Mailbox<PdActor>>>,
}

impl Shared {
    fn mailbox(&self) -> Option<Mailbox<PdActor>> {
        self.mailbox.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_mailbox(&self, mailbox: Option<Mailbox<PdActor>>) {
        *self.mailbox.write().unwrap_or_else(PoisonError::into_inner) = mailbox;
    }
}

/// PD of this node. Cheap to clone; finds the actor again after a restart.
#[derive(Clone)]
pub struct PdHandle {
    shared: Arc<Shared>,
    child: Arc<ChildHandle>,
}

/// Starts PD under `parent` on the arbiter of the caller.
#[must_use]
pub fn start(parts: PdParts, parent: ActorId) -> PdHandle {
    let env = parts.env.clone();
    let oracle = Arc::new(TsoOracle::default());
    let shared = Arc::new(Shared { env: env.clone(), oracle, mailbox: RwLock::new(None) });
    let spec = PdSpec { parts, shared: shared.clone() };
    let child = Arc::new(supervise(&env, parent, spec));
    PdHandle { shared, child }
}

struct PdSpec {
    parts: PdParts,
    shared: Arc<Shared>,
}

impl ChildSpec for PdSpec {
    type Actor = PdActor;

    fn name(&self) -> String {
        "pd".to_owned()
    }

    /// Restarted without limit: all that it holds is rebuilt from rows and reports.
    fn policy(&self) -> Policy {
        let (restarts, window) = (u32::MAX, Duration::from_secs(60));
        Policy { restarts, window, backoff_max: Duration::from_secs(10), ..Policy::default() }
    }

    fn build(&mut self, _generation: Generation) -> Result<PdActor, StartFailure> {
        Ok(PdActor::new(self.parts.clone(), self.shared.oracle.clone()))
    }

    fn install(&mut self, mailbox: &Mailbox<PdActor>) {
        self.shared.set_mailbox(Some(mailbox.clone()));
    }

    fn fence(&mut self) {
        self.shared.oracle.revoke();
        self.shared.set_mailbox(None);
    }

    fn ended(&mut self, _verdict: &Verdict) {
        self.shared.set_mailbox(None);
    }
}

fn unavailable<T>(why: impl Into<String>) -> Result<T, PdError> {
    Err(PdError::Unavailable { why: why.into() })
}

impl PdHandle {
    /// Ends PD on this node.
    pub fn stop(&self) {
        self.child.stop();
    }

    /// Timestamps without a message, while this node surely leads and the window reaches.
    fn take_timestamps(&self, count: u32) -> Option<PdResult> {
        if !(1..=MAX_TIMESTAMPS).contains(&count) {
            return None;
        }
        let env = &self.shared.env;
        let last = self.shared.oracle.take(count, env.clock.unix(), || env.now()).ok()?;
        Some(Ok(PdReply::Timestamps { last, count }))
    }
}

impl LocalPd for PdHandle {
    fn call(&self, request: PdRequest, deadline: Moment) -> BoxFuture<'static, PdResult> {
        if let PdRequest::Timestamps { count } = request
            && let Some(taken) = self.take_timestamps(count)
        {
            return futures::future::ready(taken).boxed();
        }
        let (reply, answer) = ReplyTo::channel();
        let Some(mailbox) = self.shared.mailbox() else {
            return futures::future::ready(unavailable("it is not running here")).boxed();
        };
        if let Err((refused, _)) = mailbox.tell_by(PdCall { request, reply }, deadline) {
            return futures::future::ready(unavailable(refused.to_string())).boxed();
        }
        let env = self.shared.env.clone();
        async move {
            let timeout = env.spawner.sleep(deadline.since(env.now()));
            tokio::select! {
                biased;
                answer = answer => answer.unwrap_or_else(|_| unavailable("it crashed")),
                () = timeout => unavailable("it did not answer in time"),
            }
        }
        .boxed()
    }
}
