//! The cell: the one shell around every actor.
//!
//! An actor's own type implements [`Acts`] (what it is) and [`On`] for each message it takes. The
//! [`Cell`] around it is the only thing that actix sees, and so the single place for
//!
//! | file | what every actor gets |
//! |---|---|
//! | [`mailbox`] | depth and bytes with admission control, delivery classes, ports |
//! | [`shell`] | handling with traces, deadlines, recording, end-of-batch flush, the yield rule |
//! | [`recorder`] | the last inputs, for the report of a crash |
//!
//! ```text
//! sender ─ Mailbox::tell ─ admission ─► actix mailbox ─► Cell::handle ─► On::on ─┐
//!                                                            ▲                   │ first of a batch
//!                                                            └── Acts::flush ◄───┘ (behind all queued)
//! ```
//! Rules of delivery stand in `docs/SEMANTICS.md`. A panic in a cell ends that cell alone; see
//! [`crate::supervision`].
pub mod mailbox;
pub mod recorder;
pub mod shell;

pub use mailbox::{Mailbox, Port, Refused};
pub use shell::{Cell, Cx};

use tokio::sync::oneshot;

/// How a message is delivered when the receiver is busy or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Always queued. What may be in flight is bounded by the credits of the requests behind it.
    Must,
    /// Dropped and counted when the mailbox is full: the sender sends again by itself.
    Droppable,
    /// A request: refused when the mailbox is full, and dropped unseen once its deadline passed.
    Ask,
}

/// A message between actors.
pub trait Message: Send + 'static {
    /// Name in traces, metrics and recordings.
    const NAME: &'static str;
    /// How it is delivered.
    const DELIVERY: Delivery;

    /// Bytes it holds, for the mailbox's limit.
    fn bytes(&self) -> usize {
        0
    }

    /// Two numbers for the flight recorder, such as an index and a term.
    fn detail(&self) -> [u64; 2] {
        [0, 0]
    }

    /// Called instead of the handler when the deadline passed in the mailbox.
    fn expire(self)
    where
        Self: Sized,
    {
    }
}

/// What an actor is.
pub trait Acts: Sized + Unpin + 'static {
    /// Kind, in the registry and the metrics.
    const KIND: &'static str;

    /// Called once, before the first message.
    fn started(&mut self, _cx: &mut Cx<'_, Self>) {}

    /// Called once behind each batch of messages: send on what the batch produced.
    fn flush(&mut self, _cx: &mut Cx<'_, Self>) {}

    /// Called when a time asked for with [`Cx::wake_after`] has come.
    fn wake(&mut self, _token: u64, _cx: &mut Cx<'_, Self>) {}
}

/// An actor that takes `M`.
pub trait On<M: Message>: Acts {
    /// Translate, step the core, perform its outputs.
    fn on(&mut self, message: M, cx: &mut Cx<'_, Self>);
}

/// Where the answer to a request goes. Dropping it tells the asker that the actor is gone.
pub struct ReplyTo<T>(Sink<T>);

enum Sink<T> {
    Channel(oneshot::Sender<T>),
    Call(Call<T>),
}

/// Called once: with the answer, or with `None` when the slot is dropped.
struct Call<T>(Option<Box<dyn FnOnce(Option<T>) + Send>>);

impl<T> Drop for Call<T> {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call(None);
        }
    }
}

impl<T> std::fmt::Debug for ReplyTo<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReplyTo")
    }
}

impl<T> ReplyTo<T> {
    /// A reply slot and the end that waits for it.
    #[must_use]
    pub fn channel() -> (Self, oneshot::Receiver<T>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Sink::Channel(sender)), receiver)
    }

    /// A reply slot that calls `then` where the answer is given, with `None` if the slot is dropped.
    /// `then` must neither block nor panic: it runs on the thread of whoever answers.
    #[must_use]
    pub fn calling(then: impl FnOnce(Option<T>) + Send + 'static) -> Self {
        Self(Sink::Call(Call(Some(Box::new(then)))))
    }

    /// Answers. An asker that went away is no error.
    pub fn send(self, answer: T) {
        match self.0 {
            Sink::Channel(sender) => {
                let _ = sender.send(answer);
            }
            Sink::Call(mut call) => {
                if let Some(then) = call.0.take() {
                    then(Some(answer));
                }
            }
        }
    }

    /// Has the asker gone away?
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        match &self.0 {
            Sink::Channel(sender) => sender.is_closed(),
            Sink::Call(_) => false,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
