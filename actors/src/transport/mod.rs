//! Node-to-node transport: gRPC streams, batched over Regions.
//!
//! ```text
//!             this node                                     remote node
//!  Transport ── GrpcTransport ─┬─ PeerLink actor ═ Raft, Regions ═► NodeService ─► RaftInbox
//!    (port)                    │    (one a node)                        │         ─► RegionService
//!                              └─ Channels ═══ Pd, Timestamps, ════════►│         ─► LocalPd
//!                                              Trace, Snapshot          └─ receive_snapshot
//! ```
//! | file | subject |
//! |---|---|
//! | [`port`] | the trait that the rest of a node sees |
//! | [`grpc`] | the trait over gRPC |
//! | [`link`] | actor and pure core of the link to one remote node |
//! | `channels`, `stream_pd`, `send_snapshot` | what does not travel on a link |
//! | [`server`], `service`, `receive_snapshot` | the other side |
//! | [`runtime`] | threads of the network, identity of the node |
//! | [`wire`] | frames of `proto/node.proto` |
//! | [`options`], [`counters`] | limits, figures |
//!
//! Every frame names the sender's cluster, and whatever names a Store is checked against the Stores
//! of the receiver: what does not match is dropped or refused, and counted.
mod channels;
pub mod counters;
pub mod grpc;
pub mod link;
pub mod options;
pub mod port;
mod receive_snapshot;
pub mod runtime;
mod send_snapshot;
pub mod server;
mod service;
pub(crate) mod slot;
mod stream_pd;
pub mod wire;

pub use counters::NetCounters;
pub use grpc::GrpcTransport;
pub use link::actor::LinkParts;
pub use options::{LinkOptions, ServerOptions, TransportOptions};
pub use port::{OutgoingSnapshot, Transport, TransportError};
pub use runtime::{Identity, NetRuntime};
pub use server::{ServerHandle, ServerParts, serve};

#[cfg(test)]
mod tests;
