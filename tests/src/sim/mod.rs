//! A whole cluster in one thread on paused time: the real cells and cores, with the memory twins of
//! the disks, over a network and disks that misbehave. One seed decides everything.
//!
//! ```text
//!              ┌────────────────────────── World: one seed ──────────────────────────┐
//!  clients ───►│ node 1: KvService, PD, Store ─ memory engine, memory Raft log       │
//!  (workload)  │ node 2: …            │ ▲                                            │
//!  faults  ───►│ node 3: …            ▼ │  SimTransport                              │
//!              │                  Net: one queue in virtual time                     │
//!              └─ EventLog: a line an event, one hash ─ checkers at the end ─────────┘
//! ```
//! | file | subject |
//! |---|---|
//! | [`plan`] | sizes and limits, from the seed |
//! | [`clock`] | a node's clocks: pace, standstill, steps of the wall clock |
//! | [`disk`] | a node's disk: memory twins, and what goes wrong within a write |
//! | [`gate`] | one life of a node: held, or ended from within |
//! | [`env`] | a node's environment: seeded numbers, jobs in virtual time |
//! | [`net`], [`transport`] | the network, and how a node sees it |
//! | [`filters`], [`holds`] | directed control for single tests: messages, disk threads |
//! | [`node`] | one node: started, crashed, started again on the same disks |
//! | [`world`] | the cluster: founding, looking at it, comparing replicas |
//! | [`clients`], [`txn`] | the workload against it: single keys, transactions |
//! | [`faults`] | what can go wrong, drawn from the seed |
//! | [`rage`] | lets it happen, keeps the ledger, puts it right again |
//! | [`planted`] | panics in the actors of one node, on demand |
//! | [`run`] | one seed from start to verdict |
//! | [`older_shape`] | entries of a shape that their Region has no more |
//! | [`campaign`], [`summary`] | many seeds in child processes, and what they came to |
//! | [`checkers`] | what must be true |
//! | [`log`] | what happened, and its hash |
#![allow(clippy::unwrap_used, reason = "this code runs in tests only: it may panic")]
pub mod campaign;
pub mod checkers;
pub mod clients;
pub mod clock;
pub mod disk;
pub mod env;
pub mod faults;
pub mod filters;
pub mod gate;
pub mod holds;
pub mod log;
pub mod net;
pub mod node;
pub mod older_shape;
pub mod plan;
pub mod planted;
pub mod rage;
pub mod run;
pub mod summary;
pub mod transport;
pub mod txn;
pub mod world;
