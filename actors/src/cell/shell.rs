//! The actix actor around an actor: handles messages with traces, deadlines and recording, flushes
//! behind each batch, and yields so that a hot actor cannot starve its arbiter.
use super::mailbox::{Header, Traced};
use super::recorder::Recorded;
use super::{Acts, Mailbox, Message, On};
use crate::env::Env;
use crate::registry::{ActorEntry, ActorId};
use crate::trace::{self, Current, Span};
use actix::{Actor, AsyncContext, Context, Handler};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use troupe_types::{Generation, Moment, TraceTags};

/// Most messages between two flushes: bounds the latency that a full mailbox adds to a batch.
const MAX_BATCH: u32 = 512;

/// What the shell knows besides the actor itself.
struct Frame {
    env: Env,
    entry: Arc<ActorEntry>,
    generation: Generation,
    /// A flush is on its way.
    is_dirty: bool,
    /// Messages since the last flush.
    batch: u32,
    /// Messages since the arbiter last served others.
    streak: u32,
    /// Tags of all messages since the last flush.
    batch_tags: TraceTags,
}

/// The one actix actor.
pub struct Cell<A: Acts> {
    actor: A,
    frame: Frame,
}

/// What an actor may do while it handles a message.
pub struct Cx<'a, A: Acts> {
    ctx: &'a mut Context<Cell<A>>,
    frame: &'a mut Frame,
}

impl<A: Acts> Cell<A> {
    pub(crate) fn new(actor: A, env: Env, entry: Arc<ActorEntry>, generation: Generation) -> Self {
        let frame = Frame {
            env,
            entry,
            generation,
            is_dirty: false,
            batch: 0,
            streak: 0,
            batch_tags: TraceTags::NONE,
        };
        Self { actor, frame }
    }

    fn enter(
        &mut self,
        tags: TraceTags,
        ctx: &mut Context<Self>,
        act: impl FnOnce(&mut A, &mut Cx<'_, A>),
    ) {
        let current = Current { actor: self.frame.entry.id, tags };
        let mut cx = Cx { ctx, frame: &mut self.frame };
        let actor = &mut self.actor;
        trace::with(current, || act(actor, &mut cx));
    }

    fn record(&self, at: Moment, input: &'static str, detail: [u64; 2]) {
        let generation = self.frame.generation;
        self.frame.entry.recorder.push(Recorded { at, generation, input, detail });
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        self.frame.is_dirty = false;
        self.frame.batch = 0;
        let tags = std::mem::take(&mut self.frame.batch_tags);
        self.record(self.frame.env.now(), "flush", [0, 0]);
        self.enter(tags, ctx, |actor, cx| actor.flush(cx));
    }

    /// After any input: plan the flush, and let others have the arbiter now and then.
    fn after_input(&mut self, ctx: &mut Context<Self>) {
        self.frame.batch += 1;
        self.frame.streak += 1;
        if self.frame.batch >= MAX_BATCH {
            self.flush(ctx);
        } else if !self.frame.is_dirty {
            self.frame.is_dirty = true;
            ctx.notify(FlushBatch);
        }
        if self.frame.streak >= self.frame.env.cells.yield_after_messages {
            self.frame.streak = 0;
            ctx.wait(actix::fut::wrap_future(tokio::task::yield_now()));
        }
    }

    fn span(&self, name: &'static str, header: &Header, began: Moment, ended: Moment) {
        let entry = &self.frame.entry;
        let env = &self.frame.env;
        let from = if header.from == ActorId(0) {
            "gateway".to_owned()
        } else {
            env.registry.get(header.from).map_or_else(|| "gone".to_owned(), |e| e.name.clone())
        };
        for tag in header.tags.tags() {
            env.traces.push(Span {
                trace: tag.id,
                seq: 0,
                from: from.clone(),
                to: entry.name.clone(),
                message: name,
                sent: header.sent,
                handled_at: env.clock.unix(),
                wait_us: micros(began.since(header.sent)),
                work_us: micros(ended.since(began)),
            });
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl<A: Acts> Actor for Cell<A> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.enter(TraceTags::NONE, ctx, |actor, cx| actor.started(cx));
        self.after_input(ctx);
    }
}

impl<A: On<M>, M: Message> Handler<Traced<M>> for Cell<A> {
    type Result = ();

    fn handle(&mut self, traced: Traced<M>, ctx: &mut Self::Context) {
        let Traced { message, header } = traced;
        let entry = self.frame.entry.clone();
        entry.depth.fetch_sub(1, Ordering::Relaxed);
        entry.bytes.fetch_sub(message.bytes(), Ordering::Relaxed);
        let began = self.frame.env.now();
        if header.deadline <= began {
            message.expire();
            self.after_input(ctx);
            return;
        }
        self.record(began, M::NAME, message.detail());
        entry.set_last_message(M::NAME);
        if !header.tags.is_empty() {
            self.frame.batch_tags.merge(&header.tags);
        }
        self.enter(header.tags.clone(), ctx, |actor, cx| actor.on(message, cx));
        let ended = self.frame.env.now();
        entry.handled.fetch_add(1, Ordering::Relaxed);
        entry.max_wait_us.fetch_max(micros(began.since(header.sent)), Ordering::Relaxed);
        entry.busy_us.fetch_add(micros(ended.since(began)), Ordering::Relaxed);
        if !header.tags.is_empty() {
            self.span(M::NAME, &header, began, ended);
        }
        self.after_input(ctx);
    }
}

/// Cell → itself, behind all that was queued.
struct FlushBatch;

impl actix::Message for FlushBatch {
    type Result = ();
}

impl<A: Acts> Handler<FlushBatch> for Cell<A> {
    type Result = ();

    fn handle(&mut self, _: FlushBatch, ctx: &mut Self::Context) {
        if self.frame.is_dirty {
            self.flush(ctx);
        }
    }
}

impl<A: Acts> Cx<'_, A> {
    /// The environment.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.frame.env
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.frame.env.now()
    }

    /// This life.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.frame.generation
    }

    /// Number of this actor.
    #[must_use]
    pub fn id(&self) -> ActorId {
        self.frame.entry.id
    }

    /// Address of this life. Hold it weakly: an actor that holds its own mailbox never ends by
    /// itself, so give it away only to what ends with it.
    #[must_use]
    pub fn mailbox(&self) -> Mailbox<A> {
        Mailbox::new(self.ctx.address(), self.frame.entry.clone(), self.frame.env.clone())
    }

    /// Calls [`Acts::wake`] with `token` after `delay`. A crash or stop cancels it.
    pub fn wake_after(&mut self, delay: Duration, token: u64) {
        use actix::ActorFutureExt;
        let sleep = self.frame.env.spawner.sleep(delay);
        let timer = actix::fut::wrap_future::<_, Cell<A>>(sleep);
        self.ctx.spawn(timer.map(move |(), cell: &mut Cell<A>, ctx| {
            cell.record(cell.frame.env.now(), "wake", [token, 0]);
            cell.enter(TraceTags::NONE, ctx, |actor, cx| actor.wake(token, cx));
            cell.after_input(ctx);
        }));
    }

    /// Runs `future` beside this actor and hands its result to `then` as a new input. A crash or
    /// stop of the actor drops the result, not the future.
    pub fn spawn<T: 'static>(
        &mut self,
        future: impl Future<Output = T> + 'static,
        then: impl FnOnce(&mut A, T, &mut Cx<'_, A>) + 'static,
    ) {
        use actix::ActorFutureExt;
        let tags = trace::current().tags;
        let future = actix::fut::wrap_future::<_, Cell<A>>(future);
        self.ctx.spawn(future.map(move |result, cell: &mut Cell<A>, ctx| {
            cell.enter(tags, ctx, |actor, cx| then(actor, result, cx));
            cell.after_input(ctx);
        }));
    }

    /// Ends this actor after the present message.
    pub fn stop(&mut self) {
        use actix::ActorContext;
        self.ctx.stop();
    }
}
