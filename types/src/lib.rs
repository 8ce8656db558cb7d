//! The vocabulary of Troupe: ids, keys, Regions, commands, requests, replies and errors.
//!
//! This crate is pure: no clock, thread, socket, file or random source. Every other crate depends
//! on it and it depends on none of them.
//!
//! | file | subject |
//! |---|---|
//! | [`ids`] | newtypes for every id and quantity |
//! | [`moment`] | points on a monotonic clock |
//! | [`key`] | keys, key ranges and the mode prefixes of the spaces |
//! | [`region`] | Region descriptor, peers, epoch and its comparison rules |
//! | [`command`] | what a Raft entry carries, and what a read asks for |
//! | [`raw_value`] | how a raw value and its expiry are stored |
//! | [`request`] | region-scoped requests and replies, edge-neutral |
//! | [`txn`] | transactions: commands, locks, rows, safe points, interactive transactions |
//! | [`error`] | error classes, stable codes, region errors |
//! | [`pd`] | what nodes say to the Placement Driver and what it answers |
//! | [`raft_message`] | what stores send each other |
//! | [`trace`] | which traces a message belongs to |
//! | [`codec`] | the versioned byte format of everything stored or sent |
pub mod codec;
pub mod command;
pub mod error;
pub mod ids;
pub mod key;
pub mod moment;
pub mod pd;
pub mod raft_message;
pub mod raw_value;
pub mod region;
pub mod request;
pub mod trace;
pub mod txn;

pub use command::{ReadCommand, ReadReply, WriteCommand, WriteReply};
pub use error::{Class, Code, RegionError};
pub use ids::{
    ClusterId, Generation, LogIndex, NodeId, PeerId, RAFT_INIT_INDEX, RAFT_INIT_TERM, RegionId,
    SYSTEM_REGION, StoreId, Term, Timestamp, UnixMillis,
};
pub use key::{Key, KeyRange};
pub use moment::Moment;
pub use region::{Peer, PeerRole, Region, RegionEpoch};
pub use trace::TraceTags;
