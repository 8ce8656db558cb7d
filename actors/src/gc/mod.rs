//! The collector of old versions of the transactional space: moves the safe points of a cluster.
//!
//! Place: node → gc, one on each node. Restarted after a crash, without limit: a round that was cut
//! short is begun anew, and safe points are PD's.
//!
//! Each node has a collector, and the one beside PD's leader works: it asks *its own* PD alone, which
//! refuses unless it leads. So at most one works, and it ends when the lead is lost, by the first step
//! that needs PD. Two at once would do no harm either: safe points never go back, and each waits by
//! itself for the safe point that it moved.
//!
//! ```text
//! every interval, beside PD's leader:
//!
//!   now − life time, or the lowest barrier ─► AdvanceTxnSafePoint(S) ─► durable in PD
//!   wait until no Store trusts an older answer of PD           (store/safe_point.rs)
//!   each Region: end the transactions that began below S       (RegionBody::LastLocks)
//!   AdvanceGcSafePoint(S) ─► Stores hear of it and collect     (store/collector.rs)
//!   delete values that have ended, by transactions, some of the space each round
//! ```
//! A failure ends the round; the next one begins with a later S.
//!
//! Transactions that began below S can take no lock any more, so those that have not committed are
//! rolled back: a transaction must end within the life time of versions.
//!
//! Takes no messages: timers, and answers to what it asked. It tells PD beside it how it is getting on,
//! and `/v1/gc` shows that.
//!
//! | file | subject |
//! |---|---|
//! | [`core`] | pure: the steps of a round |
//! | [`actor`] | the shell |
//!
//! | to change | look at |
//! |---|---|
//! | what is garbage | `storage/src/gc.rs` |
//! | what a Store refuses below the safe point | `store/safe_point.rs` |
//! | when a Store collects | `store/collector.rs` |
//! | how locks are ended, values removed | `kv_service/txn/collect.rs` |
//! | barriers | `pd_actor/src/core/gc.rs` |
pub mod actor;
pub mod core;

pub use actor::{GcActor, GcHandle, GcParts, start};
pub use core::GcOptions;

/// Records that one step of the walk for ended values looks through at most.
pub const SWEEP_ROWS: u32 = crate::kv_service::txn::ROWS_AT_ONCE;

#[cfg(test)]
mod tests;
