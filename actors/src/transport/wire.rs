//! Between our types and the frames of `proto/node.proto`.
use bytes::Bytes;
use std::time::Duration;
use troupe_types::codec::{self, CodecError};
use troupe_types::raft_message::RaftEnvelope;
use troupe_types::{ClusterId, StoreId, TraceTags};

/// Generated from `proto/node.proto`.
#[allow(missing_docs, clippy::all, reason = "generated code")]
pub mod proto {
    tonic::include_proto!("troupe.node.v1");
}

/// Largest gRPC message that a node takes or sends.
pub const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// Packs an envelope: its head in our encoding, its Raft message raw.
#[must_use]
pub fn pack(mut envelope: RaftEnvelope) -> proto::RaftItem {
    let message = std::mem::take(&mut envelope.message);
    proto::RaftItem { head: codec::encode(&envelope).into(), message }
}

/// Unpacks what [`pack`] made; the Raft message stays a slice of the receive buffer.
///
/// # Errors
/// The head does not decode.
pub fn unpack(item: proto::RaftItem) -> Result<RaftEnvelope, CodecError> {
    let mut envelope: RaftEnvelope = codec::decode(&item.head)?;
    envelope.message = item.message;
    Ok(envelope)
}

/// A frame of Raft messages for one Store.
#[must_use]
pub fn raft_frame(
    cluster: ClusterId,
    to: StoreId,
    messages: Vec<RaftEnvelope>,
    tags: &TraceTags,
) -> proto::RaftFrame {
    proto::RaftFrame {
        cluster: cluster.get(),
        to_store: to.get(),
        items: messages.into_iter().map(pack).collect(),
        tags: tags_to_wire(tags),
    }
}

/// Tags as they travel.
#[must_use]
pub fn tags_to_wire(tags: &TraceTags) -> Bytes {
    if tags.is_empty() { Bytes::new() } else { to_bytes(tags) }
}

/// Tags as they came; malformed ones are left out, since a trace is never worth an error.
#[must_use]
pub fn tags_from_wire(tags: &Bytes) -> TraceTags {
    if tags.is_empty() { TraceTags::NONE } else { codec::decode(tags).unwrap_or_default() }
}

/// Any value of ours as bytes of a frame.
#[must_use]
pub fn to_bytes<T: serde::Serialize>(value: &T) -> Bytes {
    codec::encode(value).into()
}

/// Microseconds for the wire.
#[must_use]
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
