//! One life of an actor: polls its context and catches a panic. The only catch around an actor.
use crate::cell::{Acts, Cell};
use actix::{ActorContext, Context};
use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// How a life ended.
#[derive(Debug)]
pub enum Exit {
    /// It stopped by itself, or nobody holds its address any more.
    Stopped,
    /// It panicked, with this message.
    Panicked(String),
}

type ContextFuture<A> = actix::dev::ContextFut<Cell<A>, Context<Cell<A>>>;

/// The running life.
pub struct Life<A: Acts, F: FnMut()> {
    future: Option<ContextFuture<A>>,
    fence: F,
}

impl<A: Acts, F: FnMut()> Life<A, F> {
    /// Runs `cell` in `context`; after a panic `fence` is called before anything is dropped.
    pub fn new(context: Context<Cell<A>>, cell: Cell<A>, fence: F) -> Self {
        Self { future: Some(context.into_future(cell)), fence }
    }

    fn crashed(&mut self, payload: &(dyn Any + Send)) -> Exit {
        (self.fence)();
        self.end();
        Exit::Panicked(panic_message(payload))
    }

    fn end(&mut self) {
        let Some(mut future) = self.future.take() else { return };
        // Terminated, so that dropping it neither starts the actor, nor calls its stop hooks, nor
        // runs queued messages on a broken struct.
        future.ctx().terminate();
        if catch_unwind(AssertUnwindSafe(|| drop(future))).is_err() {
            // The state behind a panicking Drop is anyone's guess.
            std::process::abort();
        }
    }
}

impl<A: Acts, F: FnMut()> Drop for Life<A, F> {
    fn drop(&mut self) {
        self.end();
    }
}

/// The text of a panic.
#[must_use]
pub fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without text".to_owned())
}

impl<A: Acts, F: FnMut() + Unpin> Future for Life<A, F> {
    type Output = Exit;

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Exit> {
        let this = self.get_mut();
        let Some(future) = &mut this.future else { return Poll::Ready(Exit::Stopped) };
        match catch_unwind(AssertUnwindSafe(|| Pin::new(future).poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(Exit::Stopped),
            Err(payload) => Poll::Ready(this.crashed(payload.as_ref())),
        }
    }
}
