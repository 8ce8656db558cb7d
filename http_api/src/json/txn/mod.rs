//! JSON of the transactional space.
//!
//! | file | subject |
//! |---|---|
//! | [`numbers`] | 64-bit numbers, and values that are bare or compared |
//! | [`when`] | moments: timestamps, RFC 3339, so long ago |
//! | [`id`] | ids of interactive transactions |
//! | [`request`] | bodies of requests |
//! | [`row`] | rows and writes in replies |
//! | [`outcome`] | outcomes of transactions in replies |
//! | [`locks`] | locks, waits, history and safe points in replies |
//! | [`refusal`] | what a problem says of a refused transaction |
pub mod id;
pub mod locks;
pub mod numbers;
pub mod outcome;
pub mod refusal;
pub mod request;
pub mod row;
pub mod when;
