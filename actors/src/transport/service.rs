//! What the server does with each frame: checks whom it is for, and hands it on.
use super::counters::{add, count};
use super::receive_snapshot;
use super::server::{Phase, ServerParts, reached};
use super::wire::{self, proto};
use crate::trace::{self, Current};
use futures::future::BoxFuture;
use futures::{Stream, StreamExt};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tonic::{Request, Response, Status, Streaming};
use troupe_types::codec;
use troupe_types::error::RegionError;
use troupe_types::pd::{PdError, PdRequest, PdResult};
use troupe_types::request::{RegionRequest, RegionResult};
use troupe_types::{Moment, StoreId};

/// One for the whole server.
#[derive(Clone)]
pub(super) struct NodeService {
    pub(super) parts: Arc<ServerParts>,
    /// Snapshots that may still come in at the same time.
    pub(super) slots: Arc<Semaphore>,
    /// How far the end of the server has come.
    pub(super) phases: watch::Receiver<Phase>,
}

type AnswerStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Answers that are sent in one frame, and bytes after which a frame is closed.
const ANSWERS_A_FRAME: usize = 512;
const ANSWER_FRAME_BYTES: usize = 2 << 20;

#[tonic::async_trait]
impl proto::node_server::Node for NodeService {
    type RegionsStream = AnswerStream<proto::RegionAnswers>;
    type TimestampsStream = AnswerStream<proto::PdAnswer>;

    async fn raft(
        &self,
        request: Request<Streaming<proto::RaftFrame>>,
    ) -> Result<Response<proto::Ack>, Status> {
        let mut frames = request.into_inner().take_until(self.reached(Phase::Draining));
        while let Some(frame) = frames.next().await {
            self.on_raft(frame?);
        }
        Ok(Response::new(proto::Ack {}))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<proto::SnapshotChunk>>,
    ) -> Result<Response<proto::Ack>, Status> {
        let receiving = receive_snapshot::receive(&self.parts, &self.slots, request.into_inner());
        let received = tokio::select! {
            biased;
            received = receiving => received,
            () = self.reached(Phase::Ended) => Err(Status::unavailable("this node stops")),
        };
        let counters = &self.parts.counters;
        match &received {
            Ok(()) => count(&counters.snapshots_received),
            Err(status) => {
                tracing::warn!(why = status.message(), "a snapshot was refused");
                count(&counters.snapshots_refused);
            }
        }
        received.map(|()| Response::new(proto::Ack {}))
    }

    async fn regions(
        &self,
        request: Request<Streaming<proto::RegionCalls>>,
    ) -> Result<Response<Self::RegionsStream>, Status> {
        let (answers, queue) = mpsc::unbounded_channel();
        tokio::spawn(self.clone().take_calls(request.into_inner(), answers));
        let frames = futures::stream::unfold(queue, |mut queue| async move {
            let frame = next_answers(&mut queue).await?;
            Some((Ok(frame), queue))
        });
        Ok(Response::new(Box::pin(frames.take_until(self.reached(Phase::Ended)))))
    }

    async fn pd(
        &self,
        request: Request<proto::PdCall>,
    ) -> Result<Response<proto::PdAnswer>, Status> {
        self.on_pd(request.into_inner()).await.map(Response::new)
    }

    async fn timestamps(
        &self,
        request: Request<Streaming<proto::PdCall>>,
    ) -> Result<Response<Self::TimestampsStream>, Status> {
        let service = self.clone();
        let answers = request.into_inner().then(move |call| {
            let service = service.clone();
            async move { service.on_pd(call?).await }
        });
        Ok(Response::new(Box::pin(answers.take_until(self.reached(Phase::Draining)))))
    }

    async fn trace(
        &self,
        request: Request<proto::TraceCall>,
    ) -> Result<Response<proto::TraceAnswer>, Status> {
        let call = request.into_inner();
        self.check_cluster(call.cluster)?;
        let node = self.parts.identity.node().get();
        let spans = self.parts.env.traces.trace(call.id);
        let spans: Vec<_> = spans.iter().map(|span| span.to_wire(node)).collect();
        Ok(Response::new(proto::TraceAnswer { spans: wire::to_bytes(&spans) }))
    }
}

impl NodeService {
    fn reached(&self, phase: Phase) -> BoxFuture<'static, ()> {
        Box::pin(reached(self.phases.clone(), phase))
    }

    fn check_cluster(&self, cluster: u64) -> Result<(), Status> {
        if self.parts.identity.is_ours(cluster) {
            return Ok(());
        }
        count(&self.parts.counters.wrong_cluster);
        Err(Status::failed_precondition("this node belongs to another cluster, or to none yet"))
    }

    fn deadline(&self, timeout_us: u64) -> Moment {
        let left = Duration::from_micros(timeout_us).min(self.parts.options.longest_call);
        self.parts.env.now().after(left)
    }

    fn on_raft(&self, frame: proto::RaftFrame) {
        let ServerParts { counters, identity, regions, inbox, .. } = &*self.parts;
        count(&counters.raft_frames_received);
        add(&counters.raft_messages_received, frame.items.len());
        let to = StoreId(frame.to_store);
        if !identity.is_ours(frame.cluster) {
            return add(&counters.wrong_cluster, frame.items.len().max(1));
        }
        if !regions.has_store(to) {
            return add(&counters.wrong_store, frame.items.len().max(1));
        }
        let cluster = identity.cluster();
        let mut messages = Vec::with_capacity(frame.items.len());
        for item in frame.items {
            match wire::unpack(item) {
                Ok(envelope) if envelope.cluster != cluster => count(&counters.wrong_cluster),
                Ok(envelope) if envelope.to.store != to => count(&counters.wrong_store),
                Ok(envelope) => messages.push(envelope),
                Err(_) => count(&counters.malformed),
            }
        }
        if !messages.is_empty() {
            inbox.deliver(to, messages, wire::tags_from_wire(&frame.tags));
        }
    }

    /// Serves the requests of one stream, several at a time.
    async fn take_calls(
        self,
        frames: Streaming<proto::RegionCalls>,
        answers: mpsc::UnboundedSender<proto::RegionAnswer>,
    ) {
        let in_flight = Arc::new(Semaphore::new(self.parts.options.calls_in_flight));
        let mut frames = frames.take_until(self.reached(Phase::Draining));
        while let Some(Ok(frame)) = frames.next().await {
            add(&self.parts.counters.calls_received, frame.calls.len());
            let is_ours = self.parts.identity.is_ours(frame.cluster);
            if !is_ours {
                count(&self.parts.counters.wrong_cluster);
            }
            for call in frame.calls {
                let Ok(permit) = in_flight.clone().acquire_owned().await else { return };
                let served = self.begin(is_ours, &call);
                let answers = answers.clone();
                tokio::spawn(async move {
                    let _permit = permit;
                    let answer = wire::to_bytes(&served.await);
                    // The stream is gone: the asker was told so by its own side.
                    let _ = answers.send(proto::RegionAnswer { id: call.id, answer });
                });
            }
        }
    }

    /// Checks a request and hands it on; the answer is in the future.
    fn begin(&self, is_ours: bool, call: &proto::RegionCall) -> BoxFuture<'static, RegionResult> {
        let refuse = |error| -> BoxFuture<'static, RegionResult> {
            Box::pin(std::future::ready(Err(error)))
        };
        if !is_ours {
            return refuse(RegionError::WrongRecipient);
        }
        let request: RegionRequest = match codec::decode(&call.request) {
            Ok(request) => request,
            Err(error) => {
                count(&self.parts.counters.malformed);
                return refuse(RegionError::Malformed { what: format!("a request: {error}") });
            }
        };
        if !self.parts.regions.has_store(request.store) {
            count(&self.parts.counters.wrong_store);
            return refuse(RegionError::WrongRecipient);
        }
        let deadline = self.deadline(call.timeout_us);
        let current = Current { tags: request.traces.next_hop(), ..Current::default() };
        trace::with(current, || self.parts.regions.serve(request, deadline))
    }

    async fn on_pd(&self, call: proto::PdCall) -> Result<proto::PdAnswer, Status> {
        let request: PdRequest = codec::decode(&call.request).map_err(|error| {
            count(&self.parts.counters.malformed);
            Status::invalid_argument(format!("the request does not decode: {error}"))
        })?;
        let is_joining = call.cluster == 0 && matches!(request, PdRequest::Join { .. });
        if !is_joining {
            self.check_cluster(call.cluster)?;
        } else if self.parts.identity.cluster().get() == 0 {
            // Two fresh nodes that know only each other: the one asked cannot let anyone in.
            let why = "this node has not joined a cluster itself".to_owned();
            let answer: PdResult = Err(PdError::Unavailable { why });
            return Ok(proto::PdAnswer { answer: wire::to_bytes(&answer) });
        }
        let answer = self.parts.pd.call(request, self.deadline(call.timeout_us)).await;
        Ok(proto::PdAnswer { answer: wire::to_bytes(&answer) })
    }
}

/// Waits for one answer, and takes with it what else is ready.
async fn next_answers(
    queue: &mut mpsc::UnboundedReceiver<proto::RegionAnswer>,
) -> Option<proto::RegionAnswers> {
    let first = queue.recv().await?;
    let mut bytes = first.answer.len();
    let mut answers = vec![first];
    while answers.len() < ANSWERS_A_FRAME && bytes < ANSWER_FRAME_BYTES {
        let Ok(next) = queue.try_recv() else { break };
        bytes += next.answer.len();
        answers.push(next);
    }
    Some(proto::RegionAnswers { answers })
}
