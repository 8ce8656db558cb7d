//! Transactions out of what requests say.
//!
//! | file | subject |
//! |---|---|
//! | [`steps`] | steps and conditions, checked against the limits |
//! | [`settings`] | how a transaction runs |
//! | [`moment`] | the timestamp of a moment |
//! | [`idempotency`] | `Idempotency-Key` |
pub mod idempotency;
pub mod moment;
pub mod settings;
pub mod steps;
