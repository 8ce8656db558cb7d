//! Apply: committed entries of all Regions of one Store into its engine.
//!
//! ```text
//! RegionPeer ─ ApplyCommitted, InstallSnapshot ─► Apply ─ all that waits ─► apply thread
//!     ▲                                                     one WriteBatch with the applied indexes
//!     │                                                          │ replies straight to the askers
//!     └── EntriesApplied, SnapshotInstalled ◄── Apply ◄─ RoundDone
//! ```
//! Decisions are split in two: [`core`] says what is applied together, [`executor`] does it. Applying
//! one entry is pure (`troupe_storage::apply`); a panic in it is deterministic and would hit every
//! replica, so it halts the Region (see [`executor`]) and nothing else.
//!
//! Supervised by its Store as essential.
//!
//! | message | from → to | delivery |
//! |---|---|---|
//! | [`ApplyCommitted`], [`InstallSnapshot`], [`DestroyData`] | RegionPeer → Apply | Must |
//! | [`AdoptRegion`] | a RegionPeer that starts → Apply | Must |
//! | [`FenceApply`] | supervisor of a RegionPeer → Apply | Must |
//! | `RoundDone` | apply thread → Apply | Must |
mod actor;
pub mod core;
pub mod executor;

pub use actor::{AdoptRegion, Apply, ApplyCommitted, DestroyData, FenceApply, InstallSnapshot};

#[cfg(test)]
mod tests;
