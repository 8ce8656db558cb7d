//! Disks of a Store: the key-value engine and the Raft log, each behind a trait, each with a real
//! implementation and a memory twin that loses what was not synced when it crashes.
//!
//! | module | subject |
//! |---|---|
//! | [`engine`] | [`engine::KvEngine`]: applied data, one RocksDB a Store |
//! | [`raft_log`] | [`raft_log::RaftLog`]: entries and hard state of all Regions, one raft-engine a Store |
//! | [`apply`] | pure: Raft entry + state → write batch + replies |
//! | [`read`] | pure: read command + snapshot → reply |
//! | [`mvcc`] | rows of the transactional space: locks, commit records, values, readers |
//! | [`gc`] | pure: which transactional versions nobody can read any more |
//! | [`txn`] | pure: transaction command + snapshot → changes + reply |
//! | [`region_state`] | what a Store persists about each replica, and under which keys |
//! | [`failure`] | the panic hook and abort rules for storage failures |
/// Is this fault planted? See `mutants.rs`.
#[cfg(feature = "mutants")]
macro_rules! planted {
    ($mutant:ident) => {
        $crate::mutants::is_planted($crate::mutants::Mutant::$mutant)
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
pub mod engine;
pub mod error;
pub mod failure;
pub mod gc;
#[cfg(feature = "mutants")]
pub mod mutants;
pub mod mvcc;
pub mod raft_log;
pub mod read;
pub mod region_state;
pub mod txn;

pub use error::StorageError;
