//! Real processes under load while they are killed, paused, cut off and robbed of their disks.
//!
//! ```text
//!   clients ──HTTP──► node 1 ┐            ┌── SIGKILL, SIGSTOP, SIGCONT
//!   (load)            node 2 ├─ process ◄─┤
//!      │              node 3 ┘            └── preloaded library: syncs and writes that fail or wait
//!      │                 └── gRPC ──► proxy of each node: a flow for each pair and direction
//!      ▼
//!   windows of the history ──► verdict: linearizable, nothing acknowledged lost, replicas equal
//! ```
//! | file | subject |
//! |---|---|
//! | [`cluster`] | the processes and their files |
//! | [`disk`] | faults of a node's disk, by a preloaded C library (`faulty_disk.c`) |
//! | [`links`] | the network between nodes, by a proxy |
//! | [`api`] | one operation over HTTP, and what its answer means |
//! | [`load`] | clients, windows of the history |
//! | [`txn_api`], [`txns`] | clients that run transactions, and what they saw |
//! | [`event`] | what may happen, drawn from the seed |
//! | [`inject`] | making it happen, and healing it |
//! | [`recovery`] | waiting until every Region serves again |
//! | [`lost`] | acknowledged writes that are gone |
//! | [`verdict`] | the claims about a window, and about the Stores at the end |
//! | [`run`] | a run from founding to verdict |
//! | [`report`] | what people and programs read about it |
//! | [`options`] | the command line of the program `nemesis` |
#![allow(clippy::unwrap_used, reason = "this code runs in tests only: it may panic")]
pub mod api;
pub mod cluster;
pub mod disk;
pub mod event;
pub mod inject;
pub mod links;
pub mod load;
pub mod lost;
pub mod nodes;
pub mod options;
pub mod recovery;
pub mod report;
pub mod run;
pub mod txn_api;
pub mod txns;
pub mod verdict;
