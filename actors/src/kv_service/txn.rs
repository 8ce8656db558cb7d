//! Transactions over any number of Regions: the coordinator.
//!
//! | file | subject |
//! |---|---|
//! | [`api`] | what gateways pass in and get |
pub mod api;
