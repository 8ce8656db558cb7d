//! What a client draws: all of it from one source of numbers.
use crate::sim::net::millis;
use std::time::Duration;
use troupe_actors::env::{Rng, Rngs};
use troupe_actors::real_env::SeededRngs;
use troupe_types::txn::session::{CommitProtocol, TxnIsolation, TxnMode, TxnSettings};

/// A source of choices.
pub(super) struct Draw(Box<dyn Rng>);

impl Draw {
    pub(super) fn new(rng: Box<dyn Rng>) -> Self {
        Self(rng)
    }

    /// A number below `high`.
    pub(super) fn below(&mut self, high: u64) -> u64 {
        self.0.between(0, high)
    }

    /// A time between so many milliseconds.
    pub(super) fn ms(&mut self, low: u64, high: u64) -> Duration {
        millis(self.0.between(low, high))
    }

    /// True in so many of a hundred cases.
    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(super) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }

    /// `count` different numbers below `high`, in any order.
    pub(super) fn some(&mut self, count: u32, high: u32) -> Vec<u32> {
        let mut rest: Vec<u32> = (0..high).collect();
        let take = |_| rest.swap_remove(usize::try_from(self.below(rest.len() as u64)).unwrap());
        (0..count.min(high)).map(take).collect()
    }

    /// Another source, whose numbers follow from this one's.
    pub(super) fn fork(&mut self) -> Self {
        let seed = self.below(u64::MAX);
        Self::new(SeededRngs::new(seed).rng("fork"))
    }

    /// How a transaction runs.
    pub(super) fn settings(&mut self) -> TxnSettings {
        TxnSettings {
            mode: self.one_of(&[TxnMode::Optimistic, TxnMode::Optimistic, TxnMode::Pessimistic]),
            isolation: match self.percent(25) {
                true => TxnIsolation::Serializable,
                false => TxnIsolation::Snapshot,
            },
            commit: self.one_of(&[
                CommitProtocol::Auto,
                CommitProtocol::Async,
                CommitProtocol::TwoPhase,
            ]),
            lock_wait_ms: self.one_of(&[None, Some(0), Some(200), Some(1_500)]),
        }
    }
}
