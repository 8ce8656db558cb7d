//! Who waits for whom, and how the one who knows all waits is asked: the leader of the system Region.
use crate::ids::{StoreId, Timestamp};
use crate::key::Key;
use serde::{Deserialize, Serialize};

/// A transaction that waits for another one's lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitEdge {
    /// Who waits.
    pub waiter: Timestamp,
    /// For whom.
    pub holder: Timestamp,
    /// On which key.
    pub key: Key,
}

/// Told to the detector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DetectRequest {
    /// A transaction begins to wait. Answered [`DetectReply::Deadlock`] if that closes a cycle (it
    /// is not recorded then), else [`DetectReply::Done`].
    Wait(WaitEdge),
    /// It waits no more for this one.
    Woken(WaitEdge),
    /// The transaction has ended: nobody waits for it, and it for nobody.
    Ended(Timestamp),
    /// All waits, and recent deadlocks. Answered [`DetectReply::Waits`].
    List,
}

/// What the detector answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DetectReply {
    /// Noted.
    Done,
    /// The wait would close this cycle: from the waiter over all that it waits for back to it.
    Deadlock(Vec<WaitEdge>),
    /// Everything known.
    Waits {
        /// Now.
        edges: Vec<WaitEdge>,
        /// The latest, newest last; a bounded number.
        recent: Vec<DeadlockRecord>,
    },
}

/// A deadlock that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadlockRecord {
    /// Wall clock of the detector, in milliseconds since 1970.
    pub at: crate::UnixMillis,
    /// The transaction that was refused.
    pub victim: Timestamp,
    /// The cycle.
    pub cycle: Vec<WaitEdge>,
}

/// A command that waits at a Store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockWait {
    /// Where.
    pub store: StoreId,
    /// Who waits for whom.
    pub edge: WaitEdge,
    /// For how long already.
    pub waited_ms: u64,
}
