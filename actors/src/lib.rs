//! The actors of Troupe and the shell around them.
//!
//! | module | subject |
//! |---|---|
//! | [`cell`] | the shell around every actor: mailbox, traces, deadlines, flush, yield |
//! | [`supervision`] | fence, drop, restart from disk, quarantine |
//! | [`env`], [`real_env`] | clock, randomness, workers: traits, and those of a real node |
//! | [`registry`], [`trace`] | every actor of a node; who sent what to whom |
//! | [`node`] | what the parts of a node share |
//! | [`transport`] | node-to-node network |
//! | [`snapshot`] | Region snapshots: made, sent, received, cleaned up |
//! | [`txn_scheduler`] | commands of transactions at the leaders of a Store |
//! | [`txn_session`] | interactive transactions, each an actor |
//! | [`deadlock`] | who waits for whom, over all Stores |
//! | [`pd_client`] | finds PD's leader |
//! | [`kv_service`] | one function a command, used by every gateway |
/// Is this fault planted? See `storage/src/mutants.rs`.
#[cfg(feature = "mutants")]
macro_rules! planted {
    ($mutant:ident) => {
        troupe_storage::mutants::is_planted(troupe_storage::mutants::Mutant::$mutant)
    };
}
/// No fault is ever planted: a constant.
#[cfg(not(feature = "mutants"))]
macro_rules! planted {
    ($mutant:ident) => {
        false
    };
}

pub mod apply;
pub mod cell;
pub mod deadlock;
pub mod env;
pub mod gc;
pub mod kv_service;
pub mod log_writer;
pub mod node;
pub mod pd_client;
pub mod real_env;
pub mod region_peer;
pub mod registry;
pub mod router;
pub mod snapshot;
pub mod store;
pub mod supervision;
pub mod trace;
pub mod transport;
pub mod txn_scheduler;
pub mod txn_session;
