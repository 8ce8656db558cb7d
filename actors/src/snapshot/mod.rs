//! Region snapshots of one Store: made, sent, received, cleaned up.
//!
//! ```text
//! RegionPeer ──GenerateSnapshot──► Snapshot actor ──job──► worker: engine.export → snap/gen-…/0, 1, …
//!            ──SendSnapshot──────►      │  ▲ ticks
//!                                       └──► Transport::send_snapshot ═══► remote node
//! remote node ═══► transport::receive_snapshot → snap/recv-…/0, 1, … ─► RaftInbox::deliver_snapshot
//! ```
//! | message | from | class |
//! |---|---|---|
//! | [`GenerateSnapshot`] | a Region peer whose follower lags behind its log | Ask |
//! | [`SendSnapshot`] | the same, once Raft has made its message | Ask |
//!
//! Shape, index, term and data of a snapshot come from *one* view of the engine, so they agree
//! whatever is applied meanwhile. Folders: `gen-<region>-<index>-<n>` live until the last send that
//! uses them is over; `recv-…` until their replica has taken them in. What a crash leaves behind is
//! removed by [`folders::clean_at_start`], what is forgotten at run time by age.
//!
//! | file | subject |
//! |---|---|
//! | [`core`] | pure: slots, queue, age of folders |
//! | [`limiter`] | pure: bytes a second |
//! | [`actor`] | messages, and the shell |
//! | [`generate`] | the blocking part: rows and files from one view of the engine |
//! | [`folders`] | names, clean-up |
pub mod actor;
pub mod core;
pub mod folders;
pub mod generate;
pub mod limiter;

pub use actor::{
    GenerateSnapshot, GeneratedSnapshot, SendSnapshot, SnapshotParts, SnapshotPorts, start,
};
pub use core::SnapshotOptions;

#[cfg(test)]
mod tests;
