//! Directed control of Raft messages on their way: a test looks at each one as it is sent and says what
//! becomes of it. Without filters the network does as its weather says.
//!
//! ```text
//!  sender ─► filters, in order ─► the first verdict that is not `Deliver` counts ─► weather ─► receiver
//!                                  Drop · Hold(handle) · Duplicate · Delay(ms)
//! ```
use super::net::Link;
use raft::eraftpb::{Message, MessageType};
use std::fmt;
use std::sync::{Arc, Mutex};
use troupe_types::raft_message::RaftEnvelope;
use troupe_types::{NodeId, Peer, RegionId, StoreId, Term, TraceTags};

/// A Raft message as a filter sees it.
#[derive(Debug)]
pub struct Seen<'a> {
    /// From which node to which.
    pub link: Link,
    /// Of which Region.
    pub region: RegionId,
    /// Sender.
    pub from: Peer,
    /// Receiver.
    pub to: Peer,
    /// The message.
    pub message: &'a Message,
}

impl Seen<'_> {
    /// Is it of this kind?
    #[must_use]
    pub fn is(&self, kind: MessageType) -> bool {
        self.message.get_msg_type() == kind
    }

    /// Its term.
    #[must_use]
    pub fn term(&self) -> Term {
        Term(self.message.term)
    }
}

/// What becomes of a message.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Nothing special; the next filter is asked.
    Deliver,
    /// It is lost.
    Drop,
    /// It waits until the handle lets it go.
    Hold(Held),
    /// It comes twice.
    Duplicate,
    /// It comes so many milliseconds late, and later ones overtake it.
    Delay(u64),
}

/// A message that is held, with all that the network needs to send it later.
#[derive(Clone, Debug)]
pub(super) struct Parked {
    pub(super) link: Link,
    pub(super) store: StoreId,
    pub(super) envelope: RaftEnvelope,
    pub(super) tags: TraceTags,
}

/// Messages that a filter holds back. Cheap to clone; see `Net::let_go`.
#[derive(Clone, Default)]
pub struct Held(Arc<Mutex<Vec<Parked>>>);

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({})", self.len())
    }
}

impl Held {
    /// How many are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Is none held?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies of them, with the ways that they take.
    #[must_use]
    pub fn copies(&self) -> Vec<(Link, RaftEnvelope)> {
        self.all().into_iter().map(|parked| (parked.link, parked.envelope)).collect()
    }

    /// Forgets them: they are lost.
    pub fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    pub(super) fn park(&self, parked: Parked) {
        self.0.lock().unwrap().push(parked);
    }

    pub(super) fn all(&self) -> Vec<Parked> {
        self.0.lock().unwrap().clone()
    }
}

type Judge = Box<dyn FnMut(&Seen<'_>) -> Verdict + Send>;

/// Handle of a filter, to take it away again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterId(u64);

/// The filters of a network, in the order in which they were added.
#[derive(Default)]
pub(super) struct Filters {
    list: Vec<(FilterId, Judge)>,
    next: u64,
}

impl Filters {
    pub(super) fn add(&mut self, judge: Judge) -> FilterId {
        self.next += 1;
        let id = FilterId(self.next);
        self.list.push((id, judge));
        id
    }

    pub(super) fn remove(&mut self, id: FilterId) {
        self.list.retain(|(other, _)| *other != id);
    }

    /// The first verdict that is not `Deliver`.
    pub(super) fn judge(&mut self, link: Link, envelope: &RaftEnvelope) -> Verdict {
        if self.list.is_empty() || envelope.is_tombstone {
            return Verdict::Deliver;
        }
        let message = super::transport::parse(envelope);
        let RaftEnvelope { region, from, to, .. } = *envelope;
        let seen = Seen { link, region, from, to, message: &message };
        let verdicts = self.list.iter_mut().map(|(_, judge)| judge(&seen));
        verdicts
            .into_iter()
            .find(|verdict| !matches!(verdict, Verdict::Deliver))
            .unwrap_or(Verdict::Deliver)
    }
}

/// Loses what nodes send to `node` and what it sends; calls go through.
pub fn isolates(node: NodeId) -> impl FnMut(&Seen<'_>) -> Verdict + Send + 'static {
    move |seen| match seen.link.0 == node || seen.link.1 == node {
        true => Verdict::Drop,
        false => Verdict::Deliver,
    }
}
