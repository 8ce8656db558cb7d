//! Store: one data directory with its engine, its Raft log and its replicas.
//!
//! Place: node → store. Essential: a crash ends the process. It creates, destroys and supervises the
//! replicas, ticks them, cuts their logs, reports to PD and does what PD answers.
//!
//! ```text
//! node
//!  └─ store-1 ─┬─ log_writer, apply, snapshot      essential: their crash ends the process
//!              └─ region-1 … region-n              restarted alone, from disk
//! ```
//! | file | subject |
//! |---|---|
//! | [`core`] | pure: which chores are due, what to do with a message for an unknown replica |
//! | [`recovery`] | what a replica starts from; mends what a crash left half done |
//! | `messages.rs`, `actor.rs` | messages, and the thin actor |
//! | `chores.rs` | disk work of the Store, on its worker |
//! | [`start`] | opens a Store and starts its actors |
//! | [`collector`] | when it collects garbage |
//! | [`safe_point`] | which versions the Store still serves |
//! | [`serve`] | serves region-scoped requests on this Store |
//! | [`inbox`] | hands what the network brings to the replicas |
mod actor;
mod chores;
pub mod collector;
pub mod core;
pub mod inbox;
mod messages;
pub mod recovery;
pub mod safe_point;
pub mod serve;
pub mod start;

pub use actor::Store;
pub use chores::discard_snapshot;
pub use messages::{
    PeerDestroyed, PeerEnded, RegionReported, ReleaseReplica, SnapshotArrived, StopStore,
    UnroutedRaft,
};
pub use safe_point::{SafePointRefusal, TxnSafePoint};
pub use start::{
    Found, GarbageFigures, StoreDisks, StoreHandle, StoreOptions, StoreParts, StoreSetup,
    find_replicas, found_system_region, start,
};

#[cfg(test)]
mod tests;
