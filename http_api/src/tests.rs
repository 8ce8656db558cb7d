//! The whole gateway over a service layer whose Stores and PD live in memory.
mod client;
mod cluster;
mod fake;
mod kv;
mod malformed;
mod node;
mod raw;
mod streams;
mod txn;
mod txn_codes;
mod txn_world;
mod txns;
