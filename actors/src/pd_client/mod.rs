//! Finds PD's leader and asks it, from any node.
//!
//! ```text
//! caller ─► PdClient ─┬─ remembered leader, else LocalPd ──┐ NotLeader{leader} ─► that address
//!                     └─ nodes of the directory, bootstrap ◄┘ no answer ─► the next one, after a wait
//! ```
//! | file | subject |
//! |---|---|
//! | [`core`] | pure: whom to ask next, how long to wait, when to give up |
//! | [`client`] | the loop around it |
//! | [`merge`] | concurrent timestamp requests become one |
pub mod client;
pub mod core;
pub mod merge;

pub use client::{PdClient, PdClientParts};

#[cfg(test)]
mod tests;
