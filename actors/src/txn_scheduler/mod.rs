//! TxnScheduler: executes the commands of transactions at the Regions that a Store leads.
//!
//! Place: store → txn-scheduler, one for each Store. Restarted after a crash: what was under way is of
//! unknown outcome then, and the next life begins when all of it has landed (see `flights.rs`). More
//! than three crashes in ten minutes end the process.
//!
//! ```text
//!  gateway ─ SubmitTxn ─► TxnScheduler ─ job ─► worker: snapshot, pure command
//!                          ▲   latches            │
//!                          │                      ├─ ProposeWrite, in this term only ─► RegionPeer
//!                          ├─ CommandExecuted ────┤                                        │
//!                          │                      └─ ReadIndex, if nothing changes and     │
//!                          │                         there is no lease                     ▼
//!  gateway ◄── answer ─────┴──────────────── CommandExecuted ◄───────────── Apply: it is in the engine
//! ```
//! A command costs one message in, one job, one proposal and one message back; the answer goes to the
//! gateway straight from where its fate becomes known.
//!
//! | file | subject |
//! |---|---|
//! | [`core`] | pure: latches, lock waits, locks in memory, room, deadlines |
//! | [`concurrency`] | what readers and committing transactions tell each other |
//! | [`execute`] | one command on the worker, and its landing |
//! | [`flights`] | what is under way, and outcomes that are unknown |
//! | `messages.rs`, `actor.rs` | messages, and the thin actor |
//!
//! Pessimistic locks may be held in memory only. They are lost when the leader or the term changes,
//! also before a voluntary transfer, and with a crash of this actor. A lost lock costs a transaction a
//! conflict at most: its prewrite makes the lock anew if nobody has committed since.
//!
//! Left out: locks in memory are not handed over to the next leader.
//!
//! | to change | look at |
//! |---|---|
//! | which commands run together | `core/latches.rs` |
//! | who is woken when a lock is released | `core/waiting.rs`, `Executed::released` of the commands |
//! | when a commit timestamp may be chosen | `core/max_ts.rs`, `concurrency.rs` |
//! | what a region error means for latches | `execute.rs::Landing`, `flights.rs` |
mod actor;
pub mod concurrency;
pub mod core;
pub mod execute;
pub mod flights;
mod messages;

pub use actor::{SchedulerParts, TxnScheduler, start};
pub use concurrency::ConcurrencyManager;
pub use core::SchedulerOptions;
pub use messages::{
    CommandExecuted, DeadlockFound, LeadChanged, LockWaitsQuery, RememberedLocksQuery, Report,
    SubmitTxn, Waiter,
};

use crate::cell::Port;
use crate::env::Env;
use std::sync::Arc;
use troupe_types::RegionId;

/// Where to send the scheduler's messages. Stays valid over restarts.
#[derive(Clone, Debug)]
pub struct SchedulerHandle {
    /// Executes a command.
    pub submit: Port<SubmitTxn>,
    /// Hears of leaders.
    pub lead_changed: Port<LeadChanged>,
    /// Lists who waits.
    pub lock_waits: Port<LockWaitsQuery>,
    /// Lists locks that are not replicated.
    pub remembered: Port<RememberedLocksQuery>,
    /// Takes reports of executions.
    executed: Port<CommandExecuted>,
    flights: Arc<flights::Flights>,
}

impl SchedulerHandle {
    /// Completes when everything of `region` that was executing or proposed when this was called has
    /// taken effect here, or can take effect in no term in which this Store leads.
    pub async fn until_landed(&self, region: RegionId, env: &Env) {
        self.flights.until_earlier_landed().await;
        let doubtful = self.flights.doubts_of(region);
        while self.flights.doubts_of(region).iter().any(|id| doubtful.contains(id)) {
            env.spawner.sleep(actor::DOUBT_STEP).await;
        }
    }
}

#[cfg(test)]
mod tests;
