//! What happened in a simulated world: one line an event, all of them in one hash.
//!
//! ```text
//!   12.345 s  node 1 → 2   append to replica 5 of region 3: …
//!   time      who          what
//! ```
use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use tokio::time::Instant;
use troupe_types::NodeId;
use xxhash_rust::xxh3::Xxh3;

/// Lines kept for the report of a failure.
const KEPT: usize = 1_000;

/// Where something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Everywhere or nowhere.
    World,
    /// At a node.
    Node(NodeId),
    /// On the way from the first node to the second.
    Link(NodeId, NodeId),
}

impl From<NodeId> for Place {
    fn from(node: NodeId) -> Self {
        Self::Node(node)
    }
}

impl From<(NodeId, NodeId)> for Place {
    fn from((from, to): (NodeId, NodeId)) -> Self {
        Self::Link(from, to)
    }
}

/// See the module. Two runs of one seed must write the same lines.
pub struct EventLog {
    start: Instant,
    is_printing: bool,
    state: Mutex<State>,
}

struct State {
    hash: Xxh3,
    events: u64,
    last: VecDeque<String>,
}

impl EventLog {
    /// An empty log; with `is_printing` each line is printed as it comes.
    #[must_use]
    pub fn new(start: Instant, is_printing: bool) -> Self {
        let state = State { hash: Xxh3::new(), events: 0, last: VecDeque::new() };
        Self { start, is_printing, state: Mutex::new(state) }
    }

    /// When the world began.
    #[must_use]
    pub fn start(&self) -> Instant {
        self.start
    }

    /// Milliseconds of virtual time since the start.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap()
    }

    /// Adds an event.
    pub fn note(&self, place: impl Into<Place>, what: fmt::Arguments<'_>) {
        use fmt::Write;
        let mut state = self.state.lock().unwrap();
        // The oldest line's memory is used again.
        let mut line = if state.last.len() == KEPT {
            state.last.pop_front().unwrap_or_default()
        } else {
            String::with_capacity(160)
        };
        line.clear();
        let now = self.now_ms();
        let written = write!(line, "{:>5}.{:03} s  ", now / 1000, now % 1000)
            .and_then(|()| match place.into() {
                Place::World => write!(line, "{:<12} ", "everywhere"),
                Place::Node(node) => write!(line, "node {:<7} ", node.get()),
                Place::Link(from, to) => write!(line, "node {from} → {:<3} ", to.get()),
            })
            .and_then(|()| line.write_fmt(what));
        written.expect("a string takes any line");
        if self.is_printing {
            println!("{line}");
        }
        state.hash.update(line.as_bytes());
        state.events += 1;
        state.last.push_back(line);
    }

    /// Hash over all events, and how many they were.
    #[must_use]
    pub fn digest(&self) -> (u64, u64) {
        let state = self.state.lock().unwrap();
        (state.hash.digest(), state.events)
    }

    /// The newest `lines` events, oldest first.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let state = self.state.lock().unwrap();
        let skipped = state.last.len().saturating_sub(lines);
        state.last.iter().skip(skipped).cloned().collect::<Vec<_>>().join("\n")
    }
}
