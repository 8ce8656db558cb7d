//! Detection of deadlocks between transactions, over all Stores.
//!
//! The Store that leads the system Region hosts the graph of who waits for whom; schedulers of all
//! Stores tell it. Its leader changes like any other: a new one starts with an empty graph, and hears
//! of the waits that there are within a second, since schedulers tell each of them again.
//!
//! ```text
//!  TxnScheduler ─ Wait(a → b) ─► DetectorClient ─► Store that leads the system Region: DetectorHost
//!               ◄─ Deadlock(cycle), if b waits for … waits for a already
//! ```
//! | file | subject |
//! |---|---|
//! | [`core`] | pure: the graph, cycles, expiry, the last deadlocks |
//! | [`host`] | the graph of one Store, for the term in which it leads |
//! | [`client`] | finds the host |
//!
//! Not an actor: the host answers each question from memory in microseconds, and holds nothing that
//! must survive.
pub mod client;
pub mod core;
pub mod host;

pub use client::{DetectorCaller, DetectorClient};
pub use host::DetectorHost;

#[cfg(test)]
mod tests;
