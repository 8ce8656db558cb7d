//! LogWriter: group commit of Raft entries for all Regions of one Store.
//!
//! ```text
//! RegionPeer ─ AppendEntries ─► LogWriter ─ one batch ─► log thread (one sync) ─ BatchDone ─► LogWriter
//!     ▲                                                                                          │
//!     └───────────────────────────── EntriesPersisted ◄──────────────────────────────────────────┘
//! ```
//! While a sync is under way, what arrives becomes the next batch: the sync itself is the batching
//! window, there is no added wait. Supervised by its Store as essential: a crash ends the process.
//!
//! | message | from → to | delivery |
//! |---|---|---|
//! | [`AppendEntries`] | RegionPeer → LogWriter | Must |
//! | [`CompactLog`], [`ForgetLog`] | RegionPeer, Store → LogWriter | Must |
//! | [`FenceLog`] | supervisor of a RegionPeer → LogWriter | Must |
//! | `BatchDone` | log thread → LogWriter | Must |
mod actor;
pub mod core;

pub use actor::{AppendEntries, CompactLog, FenceLog, ForgetLog, LogWriter};

#[cfg(test)]
mod tests;
