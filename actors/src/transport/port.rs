//! What the rest of a node knows of the network: one trait, so that the simulator brings its own.
use futures::future::BoxFuture;
use std::path::PathBuf;
use troupe_types::moment::Moment;
use troupe_types::pd::{PdRequest, PdResult};
use troupe_types::raft_message::{RaftEnvelope, SnapshotManifest};
use troupe_types::request::{RegionRequest, RegionResult};
use troupe_types::{NodeId, StoreId, TraceTags};

/// A snapshot on its way: Raft's message and the folder with the files of its manifest.
#[derive(Clone, Debug)]
pub struct OutgoingSnapshot {
    /// Carries the `MsgSnapshot`; its snapshot data is the encoded manifest.
    pub envelope: RaftEnvelope,
    /// What the files hold.
    pub manifest: SnapshotManifest,
    /// Where the files lie, named `0`, `1`, … in the manifest's order.
    pub folder: PathBuf,
}

/// A call or snapshot that did not get through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No address is known for the node or Store.
    #[error("no address is known for it")]
    UnknownAddress,
    /// Nothing was sent: no connection.
    #[error("no connection: {why}")]
    Unreachable {
        /// Why.
        why: String,
    },
    /// It was sent, and no answer came.
    #[error("the connection broke after the request was sent: {why}")]
    Broken {
        /// Why.
        why: String,
    },
    /// The receiver refused.
    #[error("the receiver refused: {why}")]
    Refused {
        /// Why.
        why: String,
    },
}

/// The network as a node sees it. All calls answer by `deadline` at the latest.
pub trait Transport: Send + Sync + 'static {
    /// Sends Raft messages to the Store `to`; order is kept, loss is allowed. Never waits: a full
    /// out-box drops and counts. Loss is told to the peers by `Unreachable` reports.
    fn send_raft(&self, to: StoreId, messages: Vec<RaftEnvelope>, tags: TraceTags);

    /// Sends a snapshot; completes when the receiver has all files and has passed the Raft message
    /// on to its replica.
    fn send_snapshot(
        &self,
        to: StoreId,
        snapshot: OutgoingSnapshot,
    ) -> BoxFuture<'static, Result<(), TransportError>>;

    /// Asks the node of Store `request.store` (not this node).
    ///
    /// A reply that never came is `OutcomeUnknown` for writes: the error tells whether it was sent.
    fn call_region(
        &self,
        request: RegionRequest,
        deadline: Moment,
    ) -> BoxFuture<'static, Result<RegionResult, TransportError>>;

    /// Asks the PD of another node by its gRPC address.
    fn call_pd(
        &self,
        address: &str,
        request: PdRequest,
        deadline: Moment,
    ) -> BoxFuture<'static, Result<PdResult, TransportError>>;

    /// The spans of trace `id` that `node` keeps.
    fn fetch_trace(
        &self,
        node: NodeId,
        id: u64,
        deadline: Moment,
    ) -> BoxFuture<'static, Result<Vec<crate::trace::WireSpan>, TransportError>>;
}
