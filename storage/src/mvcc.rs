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
//! Invariant: commit records of a key are only ever added on top. A lock commits above the start
//! timestamp of its transaction, its `for_update_ts` and its `min_commit_ts`, and at least one of them
//! is no less than each commit that was there when it was taken. Only rollbacks come in below.
//!
//! | file | subject |
//! |---|---|
//! | [`record`] | [`Lock`] and [`WriteRecord`], and their bytes |
//! | [`keys`] | keys in the engine |
//! | [`reader`] | lock, records and values of one key |
//! | [`view`] | what a read at a timestamp makes of a lock; point reads |
//! | `walk` | the newest change of each key of a range |
//! | [`scan`] | pages of rows |
//! | [`locks`], [`history`], [`expired`] | what cleaners and people look for |
pub mod expired;
pub mod history;
pub mod keys;
pub mod locks;
pub mod reader;
pub mod record;
pub mod scan;
pub mod view;
mod walk;

pub use reader::{Reader, Version};
pub use record::{LastChange, Lock, WriteRecord};
