//! Random operations of one client.
use super::history::{Op, Outcome, Value};
use std::collections::BTreeMap;
use troupe_actors::env::Rng;

/// Makes operations whose values no other client writes.
pub struct Generator {
    client: u32,
    keys: u32,
    rng: Box<dyn Rng>,
    written: u64,
    /// What the client last saw at each key: what its swaps expect.
    seen: BTreeMap<u32, Option<Value>>,
}

impl Generator {
    /// Of client number `client` on keys `0..keys`.
    #[must_use]
    pub fn new(client: u32, keys: u32, rng: Box<dyn Rng>) -> Self {
        Self { client, keys, rng, written: 0, seen: BTreeMap::new() }
    }

    fn value(&mut self) -> Value {
        self.written += 1;
        u64::from(self.client + 1) * 1_000_000 + self.written
    }

    /// The next operation, and its key.
    pub fn draw(&mut self) -> (u32, Op) {
        let key = u32::try_from(self.rng.between(0, u64::from(self.keys))).unwrap();
        let op = match self.rng.between(0, 100) {
            0..40 => Op::Get,
            40..75 => Op::Put(self.value()),
            75..80 => Op::Delete,
            80.. => {
                let expect = self.seen.get(&key).copied().flatten();
                Op::Cas { expect, new: self.value() }
            }
        };
        (key, op)
    }

    /// Learns what came of an operation.
    pub fn learn(&mut self, key: u32, op: Op, outcome: Outcome) {
        let seen = match (op, outcome) {
            (_, Outcome::Failed | Outcome::Unknown) => return,
            (Op::Cas { new, .. }, Outcome::Swapped { succeeded: true, .. }) => Some(new),
            (_, Outcome::Swapped { previous, .. }) => previous,
            (_, Outcome::Read(value)) => value,
            (Op::Put(value), Outcome::Done) => Some(value),
            (Op::Get | Op::Delete | Op::Cas { .. }, Outcome::Done) => None,
        };
        self.seen.insert(key, seen);
    }

    /// A number in `[low, high)`, for pauses and the choice of a node.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        self.rng.between(low, high)
    }
}
