//! Transactions over any number of Regions: the coordinator.
//!
//! | file | subject |
//! |---|---|
//! | [`api`] | what gateways pass in and get |
//! | `calls` | what gateways call |
pub mod api;
mod calls;
mod pending;
