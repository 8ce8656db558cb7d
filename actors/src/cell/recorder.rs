//! Flight recorder: the last inputs of an actor, for the report of a crash.
use std::collections::VecDeque;
use std::sync::Mutex;
use troupe_types::{Generation, Moment};

/// One input.
#[derive(Clone, Copy, Debug)]
pub struct Recorded {
    /// When it was handled.
    pub at: Moment,
    /// In which life.
    pub generation: Generation,
    /// Kind of message, `flush` or `wake`.
    pub input: &'static str,
    /// What the message says of itself, see [`super::Message::detail`].
    pub detail: [u64; 2],
}

/// Ring of the last inputs.
pub struct Recorder {
    capacity: usize,
    inputs: Mutex<VecDeque<Recorded>>,
}

impl Recorder {
    /// Keeps `capacity` inputs; 0 keeps none.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, inputs: Mutex::new(VecDeque::new()) }
    }

    /// Adds an input.
    pub fn push(&self, recorded: Recorded) {
        if self.capacity == 0 {
            return;
        }
        if let Ok(mut inputs) = self.inputs.lock() {
            if inputs.len() == self.capacity {
                inputs.pop_front();
            }
            inputs.push_back(recorded);
        }
    }

    /// One line an input, oldest first.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let inputs = self.inputs.lock().map(|all| all.iter().copied().collect::<Vec<_>>());
        let line = |r: Recorded| {
            let [a, b] = r.detail;
            format!("{:>14} ns  life {}  {} {a} {b}", r.at.0, r.generation, r.input)
        };
        inputs.unwrap_or_default().into_iter().map(line).collect()
    }
}
