//! Store-to-store transport: gRPC streams, batched over Regions.
pub mod port;
pub use port::{OutgoingSnapshot, Transport, TransportError};
