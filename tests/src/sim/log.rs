//! What happened in a simulated world: one line an event, all of them in one hash.
use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use tokio::time::Instant;
use xxhash_rust::xxh3::Xxh3;

/// Lines kept for the report of a failure.
const KEPT: usize = 1_000;

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

    /// Milliseconds of virtual time since the start.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap()
    }

    /// Adds an event.
    pub fn note(&self, what: fmt::Arguments<'_>) {
        let line = format!("{:>8} ms  {what}", self.now_ms());
        if self.is_printing {
            println!("{line}");
        }
        let mut state = self.state.lock().unwrap();
        state.hash.update(line.as_bytes());
        state.events += 1;
        if state.last.len() == KEPT {
            state.last.pop_front();
        }
        state.last.push_back(line);
    }

    /// Hash over all events, and how many they were.
    #[must_use]
    pub fn digest(&self) -> (u64, u64) {
        let state = self.state.lock().unwrap();
        (state.hash.digest(), state.events)
    }

    /// The newest events, oldest first.
    #[must_use]
    pub fn tail(&self) -> String {
        self.state.lock().unwrap().last.iter().cloned().collect::<Vec<_>>().join("\n")
    }
}
