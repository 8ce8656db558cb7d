//! The real network: [`Transport`] over gRPC.
use super::channels::Channels;
use super::link::actor::{Forward, LinkParts, LinkSpec, PeerLink, SendRaft};
use super::link::calls::Calls;
use super::port::{OutgoingSnapshot, Transport, TransportError};
use super::send_snapshot::{self, SnapshotSender};
use super::slot::MailboxSlot;
use super::stream_pd::TimestampStreams;
use super::wire::{self, proto};
use crate::registry::ActorId;
use crate::supervision::{ChildHandle, supervise};
use crate::trace;
use dashmap::DashMap;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use troupe_types::codec;
use troupe_types::pd::{PdRequest, PdResult};
use troupe_types::raft_message::RaftEnvelope;
use troupe_types::request::{RegionRequest, RegionResult};
use troupe_types::{Moment, NodeId, StoreId, TraceTags};

/// What is known of a link from outside.
#[derive(Clone)]
struct LinkHandle {
    calls: Arc<Calls>,
    slot: MailboxSlot<PeerLink>,
}

/// See the module. Made by [`GrpcTransport::start`].
pub struct GrpcTransport {
    parts: LinkParts,
    links: DashMap<NodeId, LinkHandle>,
    /// To the task on the arbiter that starts links.
    opener: mpsc::UnboundedSender<LinkSpec>,
    channels: Arc<Channels>,
    timestamps: TimestampStreams,
    snapshots: SnapshotSender,
}

impl GrpcTransport {
    /// Starts the transport. Call it on an arbiter: the links (one actor a remote node, made when
    /// first needed, children of `parent`) live there.
    #[must_use]
    pub fn start(parts: LinkParts, parent: ActorId) -> Arc<Self> {
        let (opener, mut wanted) = mpsc::unbounded_channel::<LinkSpec>();
        let env = parts.env.clone();
        parts.env.spawner.spawn_local(Box::pin(async move {
            let mut links: Vec<ChildHandle> = Vec::new();
            while let Some(spec) = wanted.recv().await {
                links.push(supervise(&env, parent, spec));
            }
            links.iter().for_each(ChildHandle::stop);
        }));
        let channels = Arc::new(Channels::new(parts.options));
        Arc::new(Self {
            timestamps: TimestampStreams::new(&parts, channels.clone()),
            snapshots: SnapshotSender::new(&parts, channels.clone()),
            channels,
            links: DashMap::new(),
            opener,
            parts,
        })
    }

    /// Figures, also of the server if it was given the same.
    #[must_use]
    pub fn counters(&self) -> &Arc<super::NetCounters> {
        &self.parts.counters
    }

    fn link_to(&self, store: StoreId) -> Option<LinkHandle> {
        let node = *self.parts.directory.load().stores.get(&store)?;
        if let Some(link) = self.links.get(&node) {
            return Some(link.clone());
        }
        let entry = self.links.entry(node).or_insert_with(|| {
            let link = LinkHandle { calls: Arc::default(), slot: MailboxSlot::empty() };
            let spec = LinkSpec {
                node,
                parts: self.parts.clone(),
                calls: link.calls.clone(),
                slot: link.slot.clone(),
            };
            // Fails only when the arbiter has ended, and the node with it.
            let _ = self.opener.send(spec);
            link
        });
        Some(entry.clone())
    }

    fn left(&self, deadline: Moment) -> Duration {
        deadline.since(self.parts.env.now())
    }

    /// Runs `work` on the network's runtime, until `deadline` at most.
    fn run<T: Send + 'static>(
        &self,
        deadline: Moment,
        work: impl Future<Output = Result<T, TransportError>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, TransportError>> {
        let left = self.left(deadline);
        let task = self.parts.runtime.handle().spawn(async move {
            tokio::time::timeout(left, work).await.unwrap_or_else(|_| {
                Err(TransportError::Broken { why: "no answer by the deadline".to_owned() })
            })
        });
        async move {
            task.await.unwrap_or_else(|failed| {
                Err(TransportError::Broken { why: format!("the network's task ended: {failed}") })
            })
        }
        .boxed()
    }
}

impl Transport for GrpcTransport {
    fn send_raft(&self, to: StoreId, messages: Vec<RaftEnvelope>, tags: TraceTags) {
        let counters = &self.parts.counters;
        let mailbox = self.link_to(to).and_then(|link| link.slot.get());
        let Some(mailbox) = mailbox else {
            super::counters::add(&counters.raft_messages_dropped, messages.len());
            return;
        };
        let sent = trace::with_tags(tags.clone(), || mailbox.tell(SendRaft { to, messages, tags }));
        if let Err((_, lost)) = sent {
            super::counters::add(&counters.raft_messages_dropped, lost.messages.len());
        }
    }

    fn send_snapshot(
        &self,
        to: StoreId,
        snapshot: OutgoingSnapshot,
    ) -> BoxFuture<'static, Result<(), TransportError>> {
        let directory = self.parts.directory.load();
        let Some(node) = directory.node_of(to) else {
            return std::future::ready(Err(TransportError::UnknownAddress)).boxed();
        };
        let work = self.snapshots.send(node.grpc_address.clone(), to, snapshot);
        self.run(self.parts.env.now().after(send_snapshot::LONGEST), work)
    }

    fn call_region(
        &self,
        request: RegionRequest,
        deadline: Moment,
    ) -> BoxFuture<'static, Result<RegionResult, TransportError>> {
        let Some(link) = self.link_to(request.store) else {
            return std::future::ready(Err(TransportError::UnknownAddress)).boxed();
        };
        let env = self.parts.env.clone();
        let tags = request.traces.clone();
        async move {
            let unreachable = |why: &str| TransportError::Unreachable { why: why.to_owned() };
            let Some(mailbox) = link.slot.wait(&env).await else {
                return Err(unreachable("the link to the node is down"));
            };
            let mut pending = link.calls.open();
            let forward = Forward { id: pending.id, deadline, request };
            let tell = || mailbox.tell_by(forward, deadline).map_err(|(refused, _)| refused);
            if let Err(refused) = trace::with_tags(tags, tell) {
                return Err(unreachable(&refused.to_string()));
            }
            drop(mailbox);
            let time_is_up = env.spawner.sleep(deadline.since(env.now()));
            tokio::select! {
                biased;
                answer = &mut pending.answer => {
                    answer.unwrap_or_else(|_| Err(unreachable("the link to the node ended")))
                }
                () = time_is_up => Err(pending.give_up("no answer by the deadline")),
            }
        }
        .boxed()
    }

    fn call_pd(
        &self,
        address: &str,
        request: PdRequest,
        deadline: Moment,
    ) -> BoxFuture<'static, Result<PdResult, TransportError>> {
        let call = proto::PdCall {
            cluster: self.parts.identity.cluster().get(),
            timeout_us: wire::micros(self.left(deadline)),
            request: wire::to_bytes(&request),
        };
        if matches!(request, PdRequest::Timestamps { .. }) {
            return self.run(deadline, self.timestamps.call(address.to_owned(), call));
        }
        let (channels, address) = (self.channels.clone(), address.to_owned());
        self.run(deadline, async move {
            let mut client = channels.client(&address).await?;
            match client.pd(call).await {
                Ok(answer) => decode_answer(&answer.into_inner().answer),
                Err(status) => Err(channels.failed(&address, &status)),
            }
        })
    }

    fn fetch_trace(
        &self,
        node: NodeId,
        id: u64,
        deadline: Moment,
    ) -> BoxFuture<'static, Result<Vec<trace::WireSpan>, TransportError>> {
        let directory = self.parts.directory.load();
        let Some(info) = directory.nodes.get(&node) else {
            return std::future::ready(Err(TransportError::UnknownAddress)).boxed();
        };
        let (channels, address) = (self.channels.clone(), info.grpc_address.clone());
        let cluster = self.parts.identity.cluster().get();
        self.run(deadline, async move {
            let mut client = channels.client(&address).await?;
            match client.trace(proto::TraceCall { cluster, id }).await {
                Ok(answer) => decode_answer(&answer.into_inner().spans),
                Err(status) => Err(channels.failed(&address, &status)),
            }
        })
    }
}

/// Decodes an answer; one that does not decode was sent, so its request counts as done.
pub(super) fn decode_answer<T: serde::de::DeserializeOwned>(
    bytes: &[u8],
) -> Result<T, TransportError> {
    codec::decode(bytes)
        .map_err(|error| TransportError::Broken { why: format!("unreadable answer: {error}") })
}
