//! Multi-version rows of the transactional space.
//!
//! ```text
//! column family   key in the engine                        value
//! lock            ordered(key)                             Lock
//! write           ordered(key) | !commit_ts (8 bytes BE)   WriteRecord, newest first
//! default         ordered(key) | !start_ts  (8 bytes BE)   values too long for lock and record
//! ```
//! `ordered` is [`troupe_types::key::encode_ordered`]. Timestamps are inverted, so that a scan meets
//! the newest version first.
//!
//! | file | subject |
//! |---|---|
//! | [`record`] | [`Lock`] and [`WriteRecord`], and their bytes |
pub mod record;

pub use record::{Lock, WriteRecord};
