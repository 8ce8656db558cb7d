//! What must be true of every run.
//!
//! | file | claim |
//! |---|---|
//! | [`linear`] | operations on one key look as if each took effect at one point in time |
//! | [`state`] | replicas that applied the same entries hold the same data |
//! | [`logs`] | Raft logs match; what is committed stays, on a majority of disks |
//! | [`order`] | timestamps grow with real time; one leader a term, one vote a term, one lease at a time |
//! | [`txn`] | transactions: isolation, order, money, one outcome |
pub mod linear;
pub mod logs;
pub mod order;
pub mod state;
pub mod txn;
