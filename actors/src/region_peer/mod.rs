//! RegionPeer: one replica of one Region.
//!
//! Place: node → store → region_peer. Its Store builds it from disk, supervises it and restarts it; it
//! shares its fate with nothing else of the Store. The Raft group's work is decided in [`core`]; this
//! actor translates messages into inputs and outputs into messages.
//!
//! ```text
//!  gateway ─ ProposeWrite, ReadIndexQuery, AdminRequest ─►┐              ┌─► LogWriter (AppendEntries)
//!  transport ─ RaftReceived, SnapshotReceived ───────────►│  RegionPeer  ├─► Apply (ApplyCommitted, InstallSnapshot)
//!  store ─ PeerTick, LogMayBeCut, StepAside ─────────────►│              ├─► transport (messages, snapshots)
//!  LogWriter, Apply ─ EntriesPersisted, EntriesApplied ──►┘              └─► store (reports, its own end)
//! ```
//! States are raft-rs's (follower, pre-candidate, candidate, leader) plus *halted* (an entry cannot be
//! applied) and *destroyed* (removed from the group).
//!
//! | change this | and look at |
//! |---|---|
//! | order of outputs in a Ready | `core/ready.rs`, the list at its top |
//! | who may vote or read by lease | `core/lease.rs`, `../router.rs` |
//! | a message to Apply or LogWriter | their fences in `spec.rs`: a restart waits for both |
mod actor;
pub mod core;
mod messages;
mod spec;

pub use actor::{PeerParts, RegionPeer, Waiter};
pub use messages::{
    AdminRequest, AppliedQuery, EntriesApplied, EntriesPersisted, Expelled, LogMayBeCut, PeerTick,
    ProposeWrite, RaftReceived, ReadIndexQuery, SnapshotInstalled, SnapshotReceived, StatusQuery,
    StepAside, StoreUnreachable,
};
pub use spec::PeerSpec;

#[cfg(test)]
mod tests;
