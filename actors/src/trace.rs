//! Message traces: who sent what to whom, how long it waited, how long it took.
//!
//! A trace is a number that rides on messages ([`TraceTags`]). While a cell handles a message, the
//! message's tags are the thread's *current* tags, and what the handler sends inherits them with one
//! hop less. Work without tags costs one look at an empty list.
use crate::registry::ActorId;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use troupe_types::{Moment, TraceTags, UnixMillis};

/// One handled message of a trace.
#[derive(Clone, Debug)]
pub struct Span {
    /// Which trace.
    pub trace: u64,
    /// Order in which spans ended on this node.
    pub seq: u64,
    /// Who sent it, such as `gateway` or `store-1/region-7`.
    pub from: String,
    /// Who handled it.
    pub to: String,
    /// What.
    pub message: &'static str,
    /// When it was sent, on this node's monotonic clock.
    pub sent: Moment,
    /// Wall clock when it was handled, to line nodes up.
    pub handled_at: UnixMillis,
    /// Microseconds in the mailbox.
    pub wait_us: u64,
    /// Microseconds in the handler.
    pub work_us: u64,
}

/// A span as nodes tell it each other: times are wall-clock microseconds of the sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireSpan {
    /// Order on its node.
    pub seq: u64,
    /// Node that handled it.
    pub node: u64,
    /// Who sent it.
    pub from: String,
    /// Who handled it.
    pub to: String,
    /// What.
    pub message: String,
    /// When it was handled, in milliseconds since 1970.
    pub handled_ms: u64,
    /// Microseconds in the mailbox.
    pub wait_us: u64,
    /// Microseconds in the handler.
    pub work_us: u64,
}

impl Span {
    /// This span for another node.
    #[must_use]
    pub fn to_wire(&self, node: u64) -> WireSpan {
        WireSpan {
            seq: self.seq,
            node,
            from: self.from.clone(),
            to: self.to.clone(),
            message: self.message.to_owned(),
            handled_ms: self.handled_at.get(),
            wait_us: self.wait_us,
            work_us: self.work_us,
        }
    }
}

/// The newest spans of a node. Bounded: old ones make room.
pub struct TraceRing {
    capacity: usize,
    seq: AtomicU64,
    spans: Mutex<VecDeque<Span>>,
}

impl TraceRing {
    /// Keeps `capacity` spans.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, seq: AtomicU64::new(0), spans: Mutex::new(VecDeque::new()) }
    }

    /// Adds a span; its `seq` is set here.
    pub fn push(&self, mut span: Span) {
        span.seq = self.seq.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut spans) = self.spans.lock() {
            if spans.len() >= self.capacity {
                spans.pop_front();
            }
            spans.push_back(span);
        }
    }

    /// Spans of one trace, in order.
    #[must_use]
    pub fn trace(&self, id: u64) -> Vec<Span> {
        self.select(|span| span.trace == id)
    }

    /// All spans that are kept, in order.
    #[must_use]
    pub fn all(&self) -> Vec<Span> {
        self.select(|_| true)
    }

    fn select(&self, wanted: impl Fn(&Span) -> bool) -> Vec<Span> {
        let spans = self.spans.lock();
        spans.map(|all| all.iter().filter(|s| wanted(s)).cloned().collect()).unwrap_or_default()
    }
}

/// Who acts on this thread now, and for which traces.
#[derive(Clone, Debug, Default)]
pub struct Current {
    /// The actor; 0 = outside.
    pub actor: ActorId,
    /// Tags of what it handles.
    pub tags: TraceTags,
}

thread_local! {
    static CURRENT: RefCell<Current> = RefCell::new(Current::default());
}

/// What acts on this thread now.
#[must_use]
pub fn current() -> Current {
    CURRENT.with(|current| current.borrow().clone())
}

/// Runs `act` as `current`; what it sends carries these tags.
pub fn with<T>(current: Current, act: impl FnOnce() -> T) -> T {
    /// Puts the outer one back, also when `act` panics.
    struct Restore(Option<Current>);
    impl Drop for Restore {
        fn drop(&mut self) {
            if let Some(outer) = self.0.take() {
                CURRENT.with(|current| *current.borrow_mut() = outer);
            }
        }
    }
    let outer = CURRENT.with(|slot| slot.replace(current));
    let _restore = Restore(Some(outer));
    act()
}

/// Runs `act` outside of all actors, for these traces.
pub fn with_tags<T>(tags: TraceTags, act: impl FnOnce() -> T) -> T {
    let actor = CURRENT.with(|current| current.borrow().actor);
    with(Current { actor, tags }, act)
}

/// Polls `future` for these traces, wherever it is polled.
pub async fn scoped<F: Future>(tags: TraceTags, future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    if tags.is_empty() {
        return future.await;
    }
    std::future::poll_fn(|cx| with_tags(tags.clone(), || future.as_mut().poll(cx))).await
}

#[cfg(test)]
mod tests;
