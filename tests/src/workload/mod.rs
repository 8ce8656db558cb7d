//! What clients do to a cluster, and what they saw: plain data, so that the same workload runs
//! against a simulated cluster and against real processes.
//!
//! | file | subject |
//! |---|---|
//! | [`history`] | operations with their outcomes, in real-time order |
//! | [`generator`] | random operations with unique values |
//! | [`txn`] | transactions on lists, and what their clients saw |
#![allow(clippy::unwrap_used, reason = "this code runs in tests only: it may panic")]
pub mod generator;
pub mod history;
pub mod txn;

pub use generator::Generator;
pub use history::{History, Op, OpId, Outcome, Record, Value};
