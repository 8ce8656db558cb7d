//! Faults planted on purpose, to see that the simulator finds them. Only in builds with the feature
//! `mutants`, which none but the suite `tests/tests/mutants.rs` asks for.
//!
//! A place that can be faulty asks `planted!(Name)`; without the feature that is the constant `false`.
//! At most one mutant is planted at a time, and only in the thread that planted it.
use std::cell::Cell;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A replica that took itself for the leader once serves reads whether its lease lasts or not.
    LeaseUnchecked,
    /// The log writer says that a write is durable when it hands it to its thread.
    AckBeforeSync,
    /// Answers and votes are sent before what they promise is durable.
    SendBeforePersist,
    /// A ReadIndex round has the context of the one before, once that one is over.
    ReadContextReused,
    /// A leader serves reads before an entry of its own term is committed and applied.
    NoopSkipped,
    /// Commands that were routed by an older shape of their Region are applied.
    EpochUnchecked,
    /// A replica that restarts has forgotten whom it voted for.
    VoteForgotten,
    /// A replica that crashed starts again while LogWriter and Apply still work for its former life,
    /// and takes their news for its own.
    FenceForgotten,
    /// A new leader lets commit timestamps be chosen before it knows what was read under the former one.
    MaxTsNotSynced,
    /// A prewrite that comes after the rollback of its transaction locks the key all the same.
    RollbackUnprotected,
    /// A transaction commits at the timestamp that it asks for, though a reader was promised that it
    /// commits later.
    CommitBelowMin,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::LeaseUnchecked,
        Self::AckBeforeSync,
        Self::SendBeforePersist,
        Self::ReadContextReused,
        Self::NoopSkipped,
        Self::EpochUnchecked,
        Self::VoteForgotten,
        Self::FenceForgotten,
        Self::MaxTsNotSynced,
        Self::RollbackUnprotected,
        Self::CommitBelowMin,
    ];
}

thread_local! {
    static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
}

/// From here on this thread has that fault, or none.
pub fn plant(mutant: Option<Mutant>) {
    PLANTED.set(mutant);
}

/// Is it planted in this thread?
#[must_use]
pub fn is_planted(mutant: Mutant) -> bool {
    PLANTED.get() == Some(mutant)
}
