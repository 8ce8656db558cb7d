//! Starts a child, watches its life, restarts it, and gives up when it crashes too often.
use super::core::{Decision, Policy, RestartPolicy};
use super::life::{Exit, Life, panic_message};
use crate::cell::{Acts, Cell, Mailbox};
use crate::env::Env;
use crate::registry::{ActorEntry, ActorId, ActorState, RestartRecord};
use actix::{AsyncContext, Context};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use troupe_types::Generation;

/// Why a child could not be built from durable state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot start {name}: {why}")]
pub struct StartFailure {
    /// Which child.
    pub name: String,
    /// Why, for people.
    pub why: String,
    /// The cause lies outside of the child and may pass, such as a full disk.
    pub may_pass: bool,
}

/// How long a cause outside of a child is waited for before it is built again.
const OUTSIDE_PAUSE: Duration = Duration::from_secs(1);

/// How the supervision of a child ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stopped as it should.
    Stopped,
    /// It is out of service until someone takes it back.
    Quarantined {
        /// Message of the last panic, or why it could not start.
        reason: String,
    },
}

/// How to build a child, and what to do around its lives.
pub trait ChildSpec: 'static {
    /// The actor.
    type Actor: Acts;

    /// Its name in the registry.
    fn name(&self) -> String;

    /// How often it may crash.
    fn policy(&self) -> Policy;

    /// Completes when nothing of an earlier life is under way any more: what it handed to others
    /// has become durable, or never will.
    fn settled(&mut self) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(std::future::ready(()))
    }

    /// Builds the next life from durable state.
    ///
    /// # Errors
    /// Durable state makes no sense: the child is quarantined. A cause that may pass is waited for.
    fn build(&mut self, generation: Generation) -> Result<Self::Actor, StartFailure>;

    /// The life is about to run: make it reachable.
    fn install(&mut self, mailbox: &Mailbox<Self::Actor>);

    /// The life crashed: close everything that others still read of it, before it is dropped.
    fn fence(&mut self);

    /// A crash was recorded. May end the process if the fault is not the child's alone.
    fn crashed(&mut self, _panic: &str) {}

    /// Supervision ended.
    fn ended(&mut self, verdict: &Verdict);
}

/// Stops a supervised child.
#[derive(Debug)]
pub struct ChildHandle {
    stop: watch::Sender<bool>,
    /// Its number in the registry.
    pub id: ActorId,
}

impl ChildHandle {
    /// Ends the child: no further message is handled and it is not started again.
    pub fn stop(&self) {
        let _ = self.stop.send(true);
    }
}

/// Starts `spec`'s child under `parent` on the arbiter of the caller.
pub fn supervise<S: ChildSpec>(env: &Env, parent: ActorId, spec: S) -> ChildHandle {
    let kind = S::Actor::KIND;
    let entry = env.registry.register(kind, spec.name(), parent, env.cells.recorder_inputs);
    let (stop, stopped) = watch::channel(false);
    let id = entry.id;
    let env = env.clone();
    let spawner = env.spawner.clone();
    let until_cut = env.power.until_cut();
    spawner.spawn_local(Box::pin(async move {
        tokio::select! {
            biased;
            () = until_cut => {}
            () = lives(env, entry, spec, stopped) => {}
        }
    }));
    ChildHandle { stop, id }
}

async fn lives<S: ChildSpec>(
    env: Env,
    entry: Arc<ActorEntry>,
    mut spec: S,
    mut stopped: watch::Receiver<bool>,
) {
    let mut policy = RestartPolicy::new(spec.policy());
    let mut jitter = env.rngs.rng(&entry.name);
    let verdict = loop {
        entry.set_state(ActorState::Starting);
        let generation = entry.next_generation();
        spec.settled().await;
        let built = catch_unwind(AssertUnwindSafe(|| spec.build(generation)));
        let built = built.unwrap_or_else(|panic| {
            let why = panic_message(panic.as_ref());
            Err(StartFailure { name: entry.name.clone(), why, may_pass: false })
        });
        let actor = match built {
            Ok(actor) => actor,
            Err(failure) if failure.may_pass => {
                entry.set_state(ActorState::BackingOff);
                record(&env, &entry, "wait", &failure.why);
                tokio::select! {
                    biased;
                    () = until_stopped(&mut stopped) => break Verdict::Stopped,
                    () = env.spawner.sleep(OUTSIDE_PAUSE) => continue,
                }
            }
            Err(failure) => {
                record(&env, &entry, "quarantine", &failure.why);
                break Verdict::Quarantined { reason: failure.why };
            }
        };
        let Some(panic) = one_life(&env, &entry, &mut spec, actor, &mut stopped).await else {
            break Verdict::Stopped;
        };
        entry.set_state(ActorState::BackingOff);
        match policy.on_crash(env.now(), jitter.next_u64()) {
            Decision::RestartAfter(wait) => {
                record(&env, &entry, "restart", &panic);
                spec.crashed(&panic);
                tokio::select! {
                    biased;
                    () = until_stopped(&mut stopped) => break Verdict::Stopped,
                    () = env.spawner.sleep(wait) => {}
                }
            }
            Decision::GiveUp => {
                record(&env, &entry, "quarantine", &panic);
                spec.crashed(&panic);
                break Verdict::Quarantined { reason: panic };
            }
        }
    };
    match verdict {
        Verdict::Stopped => {
            entry.set_state(ActorState::Stopped);
            env.registry.remove(entry.id);
        }
        Verdict::Quarantined { .. } => entry.set_state(ActorState::Quarantined),
    }
    spec.ended(&verdict);
}

/// Runs one life; answers the panic's message, or `None` if it stopped.
async fn one_life<S: ChildSpec>(
    env: &Env,
    entry: &Arc<ActorEntry>,
    spec: &mut S,
    actor: S::Actor,
    stopped: &mut watch::Receiver<bool>,
) -> Option<String> {
    let context = Context::<Cell<S::Actor>>::new();
    let mailbox = Mailbox::new(context.address(), entry.clone(), env.clone());
    let cell = Cell::new(actor, env.clone(), entry.clone(), entry.generation());
    entry.set_state(ActorState::Running);
    spec.install(&mailbox);
    drop(mailbox);
    let fenced = entry.clone();
    let life = Life::new(context, cell, || {
        fenced.set_state(ActorState::BackingOff);
        spec.fence();
    });
    let exit = tokio::select! {
        biased;
        () = until_stopped(stopped) => Exit::Stopped,
        exit = life => exit,
    };
    match exit {
        Exit::Stopped => {
            spec.fence();
            None
        }
        Exit::Panicked(panic) => Some(panic),
    }
}

async fn until_stopped(stopped: &mut watch::Receiver<bool>) {
    // An error means that the handle is gone, and with it whoever could stop the child.
    if stopped.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn record(env: &Env, entry: &ActorEntry, verdict: &'static str, panic: &str) {
    // A panic's text may quote a key.
    let panic = troupe_storage::failure::redact(panic);
    let panic = panic.as_str();
    tracing::error!(
        actor = %entry.name, kind = entry.kind, generation = %entry.generation(), verdict,
        panic, "an actor crashed"
    );
    for line in entry.recorder.lines() {
        tracing::info!(actor = %entry.name, input = %line, "flight recorder");
    }
    env.registry.record_restart(RestartRecord {
        at: env.clock.unix(),
        actor: entry.id,
        kind: entry.kind,
        name: entry.name.clone(),
        generation: entry.generation(),
        verdict,
        panic: panic.to_owned(),
    });
}

/// Starts an actor that its Store or node cannot live without: its crash ends the process, whose
/// own supervisor starts it again from disk.
pub fn start_essential<A: Acts>(
    env: &Env,
    parent: ActorId,
    name: String,
    build: impl FnOnce(&Mailbox<A>) -> A,
) -> Mailbox<A> {
    let entry = env.registry.register(A::KIND, name, parent, env.cells.recorder_inputs);
    start_essential_as(env, entry, build)
}

/// [`start_essential`] for an actor that was registered first, because its children are started
/// before it.
pub fn start_essential_as<A: Acts>(
    env: &Env,
    entry: Arc<ActorEntry>,
    build: impl FnOnce(&Mailbox<A>) -> A,
) -> Mailbox<A> {
    let generation = entry.next_generation();
    let context = Context::<Cell<A>>::new();
    let mailbox = Mailbox::new(context.address(), entry.clone(), env.clone());
    let cell = Cell::new(build(&mailbox), env.clone(), entry.clone(), generation);
    entry.set_state(ActorState::Running);
    let life = Life::new(context, cell, || {});
    let env = env.clone();
    let spawner = env.spawner.clone();
    spawner.spawn_local(Box::pin(async move {
        let exit = tokio::select! {
            biased;
            () = env.power.until_cut() => Exit::Stopped,
            exit = life => exit,
        };
        match exit {
            Exit::Stopped => entry.set_state(ActorState::Stopped),
            Exit::Panicked(panic) => {
                record(&env, &entry, "escalate", &panic);
                troupe_storage::failure::end_process(&format!("{} crashed: {panic}", entry.name));
            }
        }
    }));
    mailbox
}
