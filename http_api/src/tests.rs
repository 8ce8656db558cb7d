//! The whole gateway over a service layer whose Stores and PD live in memory.
mod cluster;
mod fake;
mod malformed;
mod node;
mod raw;
mod streams;
