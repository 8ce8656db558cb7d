//! The service layer: one async function a command, the same for every gateway.
//!
//! ```text
//! gateway ─► KvService ─► route of the key (cache, else PD) ─► its leader ─┬─ this node: RegionService
//!               ▲                                                          └─ another: Transport
//!               └── reaction to the error: other leader, other shape, wait, or give up ◄┘
//! ```
//! A request is tried until its deadline, but never again once it *may* have taken effect: a write
//! whose outcome is not known is answered `OUTCOME_UNKNOWN`. All other errors of a write promise that
//! it had no effect.
//!
//! | file | subject |
//! |---|---|
//! | `api` | what gateways pass in and get |
//! | [`core`] | pure: region cache, reactions to errors, which code a request ends with |
//! | `routes` | fills the cache from PD |
//! | `ask` | one request to one Region, until its deadline |
//! | `reads`, `writes`, `ranges` | the commands, over as many Regions as they touch |
//! | `admin` | status of a replica, PD, traces |
mod admin;
mod api;
mod ask;
pub mod core;
mod ranges;
mod reads;
mod routes;
pub mod txn;
mod writes;

pub use api::{
    CallOptions, KvService, ScanOptions, ScanPage, ServedBy, ServiceError, ServiceParts, StoppedBy,
    WriteOutcome,
};

#[cfg(test)]
mod tests;
