//! The link to one remote node: everything that is sent to it goes through this actor.
//!
//! ```text
//! Transport::send_raft ──SendRaft──►┐                     ┌► Raft stream ────►
//! Transport::call_region ─Forward──►│ PeerLink (core) ──frames──► Regions stream ─► remote node
//!         ▲                         └─────▲───────────────┘        │
//!         └───────── Calls (in-flight table) ◄───── answers ◄──────┘
//! ```
//! The core decides what waits, what is dropped, what makes a frame, and when to connect again. The
//! streams run on the network's runtime. A stream takes few frames ahead, so what arrives while it is
//! busy makes the next frame larger: the load itself is the batching window.
//!
//! | message | from | class |
//! |---|---|---|
//! | [`actor::SendRaft`] | `GrpcTransport` | Droppable |
//! | [`actor::Forward`] | `GrpcTransport` | Ask |
//! | [`actor::LinkEvent`] | the link's own streams | Must |
//!
//! A request that was never handed to a stream fails as `Unreachable`; one that was, as `Broken`:
//! a write behind it may have happened.
pub mod actor;
pub mod calls;
pub mod core;
pub(super) mod stream;

#[cfg(test)]
mod tests;
