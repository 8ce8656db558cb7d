//! Mailboxes with admission control, and ports: typed places to send to without knowing who is
//! behind.
use super::{Acts, Cell, Delivery, Message, On};
use crate::registry::{ActorEntry, ActorId, ActorState};
use crate::trace;
use actix::Addr;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use troupe_types::{Generation, Moment, TraceTags};

/// What travels with each message.
#[derive(Clone, Debug)]
pub struct Header {
    /// Who sent it.
    pub from: ActorId,
    /// When.
    pub sent: Moment,
    /// When it is no longer worth handling.
    pub deadline: Moment,
    /// Traces that it belongs to.
    pub tags: TraceTags,
}

/// A message in its envelope, as actix sees it.
pub struct Traced<M> {
    pub(super) message: M,
    pub(super) header: Header,
}

impl<M: Message> actix::Message for Traced<M> {
    type Result = ();
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too many messages or bytes wait.
    #[error("the mailbox of {kind} is full ({depth} messages)")]
    Full {
        /// Kind of actor.
        kind: &'static str,
        /// Messages that wait.
        depth: usize,
    },
    /// The actor is not there (it restarts, is in quarantine, or has stopped).
    #[error("the actor {kind} is down")]
    Down {
        /// Kind of actor.
        kind: &'static str,
    },
}

struct Inner<A: Acts> {
    addr: Addr<Cell<A>>,
    entry: Arc<ActorEntry>,
    /// The life behind `addr`; `entry` goes on to the next one.
    generation: Generation,
    env: crate::env::Env,
}

/// Address of one life of an actor. Cheap to clone.
pub struct Mailbox<A: Acts>(Arc<Inner<A>>);

impl<A: Acts> Clone for Mailbox<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Acts> Mailbox<A> {
    pub(crate) fn new(addr: Addr<Cell<A>>, entry: Arc<ActorEntry>, env: crate::env::Env) -> Self {
        let generation = entry.generation();
        Self(Arc::new(Inner { addr, entry, generation, env }))
    }

    /// The registry's entry of the actor.
    #[must_use]
    pub fn entry(&self) -> &Arc<ActorEntry> {
        &self.0.entry
    }

    /// Sends without deadline.
    ///
    /// # Errors
    /// [`Refused`] and the message: full (droppable messages and requests), or down.
    pub fn tell<M: Message>(&self, message: M) -> Result<(), (Refused, M)>
    where
        A: On<M>,
    {
        self.tell_by(message, Moment::NEVER)
    }

    /// Sends a message that is not handled after `deadline`.
    ///
    /// # Errors
    /// As [`Mailbox::tell`].
    pub fn tell_by<M: Message>(&self, message: M, deadline: Moment) -> Result<(), (Refused, M)>
    where
        A: On<M>,
    {
        let Inner { addr, entry, generation, env } = &*self.0;
        let bytes = message.bytes();
        let admitted = check_alive(entry, *generation).and_then(|()| admit::<M>(entry, env, bytes));
        if let Err(refused) = admitted {
            return Err((refused, message));
        }
        let current = trace::current();
        let header = Header {
            from: current.actor,
            sent: env.now(),
            deadline,
            tags: if current.tags.is_empty() { current.tags } else { current.tags.next_hop() },
        };
        entry.depth.fetch_add(1, Ordering::Relaxed);
        entry.bytes.fetch_add(bytes, Ordering::Relaxed);
        addr.do_send(Traced { message, header });
        Ok(())
    }

    /// This mailbox as a place to send `M`.
    #[must_use]
    pub fn port<M: Message>(&self) -> Port<M>
    where
        A: On<M>,
    {
        let mailbox = self.clone();
        Port(Arc::new(move |message, deadline| mailbox.tell_by(message, deadline)))
    }
}

/// Does the life `generation` still run?
fn check_alive(entry: &ActorEntry, generation: Generation) -> Result<(), Refused> {
    let runs = match entry.state() {
        ActorState::Running | ActorState::Starting => entry.generation() == generation,
        ActorState::BackingOff | ActorState::Quarantined | ActorState::Stopped => false,
    };
    if runs {
        return Ok(());
    }
    entry.dropped.fetch_add(1, Ordering::Relaxed);
    Err(Refused::Down { kind: entry.kind })
}

fn admit<M: Message>(
    entry: &ActorEntry,
    env: &crate::env::Env,
    bytes: usize,
) -> Result<(), Refused> {
    let depth = entry.depth.load(Ordering::Relaxed);
    let held = entry.bytes.load(Ordering::Relaxed);
    let full = depth >= env.cells.mailbox_messages || held + bytes > env.cells.mailbox_bytes;
    match M::DELIVERY {
        Delivery::Must => Ok(()),
        Delivery::Droppable if full => {
            entry.dropped.fetch_add(1, Ordering::Relaxed);
            Err(Refused::Full { kind: entry.kind, depth })
        }
        Delivery::Ask if full => {
            entry.refused.fetch_add(1, Ordering::Relaxed);
            Err(Refused::Full { kind: entry.kind, depth })
        }
        Delivery::Droppable | Delivery::Ask => Ok(()),
    }
}

type Deliver<M> = dyn Fn(M, Moment) -> Result<(), (Refused, M)> + Send + Sync;

/// A place to send `M`: a mailbox, a router that looks the mailbox up, or a test's probe.
pub struct Port<M>(Arc<Deliver<M>>);

impl<M> Clone for Port<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M> fmt::Debug for Port<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Port")
    }
}

impl<M: Message> Port<M> {
    /// A port that hands each message to `deliver`.
    pub fn from_fn(
        deliver: impl Fn(M, Moment) -> Result<(), (Refused, M)> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(deliver))
    }

    /// Sends without deadline.
    ///
    /// # Errors
    /// As [`Mailbox::tell`].
    pub fn tell(&self, message: M) -> Result<(), (Refused, M)> {
        (self.0)(message, Moment::NEVER)
    }

    /// Sends a message that is not handled after `deadline`.
    ///
    /// # Errors
    /// As [`Mailbox::tell`].
    pub fn tell_by(&self, message: M, deadline: Moment) -> Result<(), (Refused, M)> {
        (self.0)(message, deadline)
    }

    /// Sends what may be lost: a refusal was counted by the mailbox, and the sender repeats itself.
    pub fn cast(&self, message: M) {
        let _ = self.tell(message);
    }
}
