//! Transactions over any number of Regions: the coordinator.
//!
//! ```text
//! gateway ─► calls ─┬─► reads ─────────────► resolve ─► status of a lock's primary, removal
//!                   └─► once ─► steps ─► commit ─► prewrites ─► commit of the primary ─► the rest
//!                          ▲      ▲         └─► what is left to do (aftermath), without the client
//!               one-shot ──┘      └── interactive transactions (`crate::txn_session`)
//! ```
//! | file | subject |
//! |---|---|
//! | [`api`] | what gateways pass in and get |
//! | `calls` | what gateways call |
//! | [`core`] | pure: buffer, conditions, plan of a commit, fate of a lock |
//! | `tell` | one command to one Region, or to all Regions of many keys |
//! | `oracle` | timestamps |
//! | `reads` | reads of a snapshot |
//! | `resolve` | locks in the way |
//! | `locks` | locks, versions and waits as operators see them |
//! | `collect` | what garbage collection asks for |
//! | `steps` | the steps of a transaction, and its state between them |
//! | `pessimistic` | locks before the prewrite |
//! | `commit`, `prewrite` | the commit protocols |
//! | `serializable` | validation of reads |
//! | `aftermath` | what is left to do when the client has its answer |
//! | `once` | whole transactions, tried again |
//! | `idempotency` | transactions that commit once only |
//! | `delete_range` | many rows in many transactions |
//! | `session` | what the actor of an interactive transaction has done for it |
//! | `owner` | requests to that actor, and what holds when it does not answer |
mod aftermath;
pub mod api;
mod calls;
mod collect;
mod commit;
pub mod core;
mod delete_range;
mod idempotency;
mod locks;
mod once;
mod oracle;
mod owner;
mod pessimistic;
mod prewrite;
mod reads;
mod resolve;
mod serializable;
mod session;
mod steps;
mod tell;

pub(crate) use collect::ROWS_AT_ONCE;
pub use collect::Walked;

use self::core::decided::Decided;
pub(crate) use commit::{Committed, Ended};
pub(crate) use pessimistic::BEAT_EVERY;
pub(crate) use session::session_key;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
pub(crate) use steps::Transaction;

/// What all transactions of a node share.
#[derive(Default)]
pub(super) struct Shared {
    decided: Mutex<Decided>,
    /// The largest timestamp that the oracle gave here.
    newest: AtomicU64,
}
