//! What must be true of every run.
//!
//! | file | claim |
//! |---|---|
//! | [`linear`] | operations on one key look as if each took effect at one point in time |
//! | [`state`] | replicas that applied the same entries hold the same data |
//! | [`order`] | timestamps grow with real time; one leader a term, one lease at a time |
pub mod linear;
pub mod order;
pub mod state;
