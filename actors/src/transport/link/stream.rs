//! One connection to a remote node: the Raft stream and the Regions stream over it.
use super::actor::LinkEventKind;
use super::calls::Calls;
use super::core::Attempt;
use crate::transport::counters::{NetCounters, count};
use crate::transport::options::TransportOptions;
use crate::transport::runtime::NetRuntime;
use crate::transport::wire::proto::node_client::NodeClient;
use crate::transport::wire::{MAX_MESSAGE_BYTES, proto};
use futures::{Stream, StreamExt};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint};
use troupe_types::codec;
use troupe_types::command::ReadCommand;
use troupe_types::request::{RegionBody, RegionRequest, RegionResult};
use troupe_types::txn::session::SessionRequest;

/// Where to connect, and who takes the answers.
pub(super) struct Plan {
    pub(super) address: String,
    pub(super) options: TransportOptions,
    pub(super) calls: Arc<Calls>,
    pub(super) counters: Arc<NetCounters>,
}

/// Counts the frames that a stream has been handed and has not yet taken.
struct Window {
    limit: usize,
    ahead: AtomicUsize,
    is_room_wanted: AtomicBool,
    on_room: Arc<dyn Fn() + Send + Sync>,
}

impl Window {
    fn room(&self) -> usize {
        self.limit.saturating_sub(self.ahead.load(Ordering::SeqCst))
    }

    fn taken(&self) {
        self.ahead.fetch_sub(1, Ordering::SeqCst);
        if self.is_room_wanted.swap(false, Ordering::SeqCst) {
            (self.on_room)();
        }
    }

    /// Asks for an event when a frame is taken.
    fn tell_room(&self) {
        self.is_room_wanted.store(true, Ordering::SeqCst);
        // All frames may have been taken just before, and then nothing would tell.
        let is_empty = self.ahead.load(Ordering::SeqCst) == 0;
        if is_empty && self.is_room_wanted.swap(false, Ordering::SeqCst) {
            (self.on_room)();
        }
    }
}

/// Frames of one direction, as tonic pulls them.
struct Frames<T> {
    queue: mpsc::UnboundedReceiver<T>,
    window: Arc<Window>,
}

impl<T> Stream for Frames<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let next = self.queue.poll_recv(cx);
        if let Poll::Ready(Some(_)) = &next {
            self.window.taken();
        }
        next
    }
}

struct Lane<T> {
    queue: mpsc::UnboundedSender<T>,
    window: Arc<Window>,
}

impl<T> Lane<T> {
    fn send(&self, frame: T) -> Result<(), T> {
        self.window.ahead.fetch_add(1, Ordering::SeqCst);
        self.queue.send(frame).map_err(|failed| {
            self.window.ahead.fetch_sub(1, Ordering::SeqCst);
            failed.0
        })
    }
}

/// A connection and its streams; dropping it closes them.
pub(super) struct Connection {
    pub(super) attempt: Attempt,
    raft: Lane<proto::RaftFrame>,
    calls: Lane<proto::RegionCalls>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    /// Begins to connect; `events` hears how it goes.
    pub(super) fn open(
        runtime: &NetRuntime,
        plan: Plan,
        attempt: Attempt,
        events: impl Fn(LinkEventKind) + Send + Sync + 'static,
    ) -> Self {
        let events = Arc::new(events);
        let on_room: Arc<dyn Fn() + Send + Sync> = {
            let events = events.clone();
            Arc::new(move || events(LinkEventKind::Room))
        };
        let limit = plan.options.link.frames_ahead;
        let (raft, raft_frames) = lane(limit, &on_room);
        let (calls, call_frames) = lane(limit, &on_room);
        let task = runtime.handle().spawn(async move {
            let why = run(plan, raft_frames, call_frames, events.as_ref()).await;
            events(LinkEventKind::Lost { why });
        });
        Self { attempt, raft, calls, task }
    }

    /// Frames that the Raft and the Regions stream take.
    pub(super) fn room(&self) -> (usize, usize) {
        (self.raft.window.room(), self.calls.window.room())
    }

    /// Asks for an event when the Raft or the Regions stream takes a frame.
    pub(super) fn tell_room(&self, raft: bool, calls: bool) {
        if raft {
            self.raft.window.tell_room();
        }
        if calls {
            self.calls.window.tell_room();
        }
    }

    /// Hands a frame to the Raft stream; `false` if that has ended.
    pub(super) fn send_raft(&self, frame: proto::RaftFrame) -> bool {
        self.raft.send(frame).is_ok()
    }

    /// Hands a frame to the Regions stream; gives it back if that has ended.
    pub(super) fn send_calls(&self, frame: proto::RegionCalls) -> Result<(), proto::RegionCalls> {
        self.calls.send(frame)
    }
}

fn lane<T>(limit: usize, on_room: &Arc<dyn Fn() + Send + Sync>) -> (Lane<T>, Frames<T>) {
    let (sender, queue) = mpsc::unbounded_channel();
    let window = Arc::new(Window {
        limit,
        ahead: AtomicUsize::new(0),
        is_room_wanted: AtomicBool::new(false),
        on_room: on_room.clone(),
    });
    (Lane { queue: sender, window: window.clone() }, Frames { queue, window })
}

/// Runs the connection to its end and says why it ended.
async fn run(
    plan: Plan,
    raft: Frames<proto::RaftFrame>,
    calls: Frames<proto::RegionCalls>,
    events: &(dyn Fn(LinkEventKind) + Send + Sync),
) -> String {
    let channel = match connect(&plan.address, &plan.options).await {
        Ok(channel) => channel,
        Err(error) => return error,
    };
    let mut client = client(channel);
    let mut raft_client = client.clone();
    let answers = match client.regions(calls).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return describe(&status),
    };
    events(LinkEventKind::Connected);
    let raft = async move {
        match raft_client.raft(raft).await {
            Ok(_) => "the other side ended the raft stream".to_owned(),
            Err(status) => describe(&status),
        }
    };
    tokio::select! {
        why = raft => why,
        why = take_answers(answers, &plan) => why,
    }
}

async fn take_answers(mut answers: tonic::Streaming<proto::RegionAnswers>, plan: &Plan) -> String {
    loop {
        match answers.next().await {
            Some(Ok(frame)) => {
                for answer in frame.answers {
                    match codec::decode::<RegionResult>(&answer.answer) {
                        Ok(result) => plan.calls.complete(answer.id, result),
                        Err(error) => {
                            count(&plan.counters.malformed);
                            plan.calls.break_one(answer.id, &format!("unreadable answer: {error}"));
                        }
                    }
                }
            }
            Some(Err(status)) => return describe(&status),
            None => return "the other side ended the stream of answers".to_owned(),
        }
    }
}

/// A client with our limits.
pub(in crate::transport) fn client(channel: Channel) -> NodeClient<Channel> {
    NodeClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

/// Connects to `address` (`host:port`).
pub(in crate::transport) async fn connect(
    address: &str,
    options: &TransportOptions,
) -> Result<Channel, String> {
    let uri = format!("http://{address}");
    let endpoint =
        Endpoint::from_shared(uri).map_err(|e| format!("{address} is no address: {e}"))?;
    let endpoint = endpoint
        .connect_timeout(options.connect_timeout)
        .tcp_nodelay(true)
        .initial_stream_window_size(options.window_bytes)
        .initial_connection_window_size(options.window_bytes.saturating_mul(2))
        .http2_keep_alive_interval(options.keepalive)
        .keep_alive_timeout(options.keepalive)
        .keep_alive_while_idle(true);
    endpoint.connect().await.map_err(|e| format!("cannot connect to {address}: {}", chain(&e)))
}

/// An error with all its causes: the first alone says only "transport error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// A gRPC status in a few words.
pub(in crate::transport) fn describe(status: &tonic::Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

/// Rough bytes of a request.
pub(in crate::transport) fn request_bytes(request: &RegionRequest) -> usize {
    const BASE: usize = 96;
    let body = match &request.body {
        RegionBody::Write(command) => command.approximate_bytes(),
        RegionBody::Read { command, .. } | RegionBody::ReadAt { command, .. } => match command {
            ReadCommand::RawGet { keys }
            | ReadCommand::TxnGet { keys, .. }
            | ReadCommand::TxnBufferGet { keys, .. } => keys.iter().map(|key| key.len() + 8).sum(),
            ReadCommand::RawScan { range, .. }
            | ReadCommand::RawChecksum { range, .. }
            | ReadCommand::SystemScan { range }
            | ReadCommand::TxnScan { range, .. }
            | ReadCommand::ScanLocks { range, .. }
            | ReadCommand::MvccByStart { range, .. }
            | ReadCommand::ScanExpired { range, .. } => range.start.len() + range.end.len(),
            ReadCommand::MvccByKey { key } => key.len(),
        },
        RegionBody::Txn(command) => command.approximate_bytes(),
        RegionBody::Session(request) => session_bytes(request),
        RegionBody::LastLocks { range, .. } => range.start.len() + range.end.len(),
        RegionBody::Admin(_)
        | RegionBody::Status
        | RegionBody::ReadIndex
        | RegionBody::Release
        | RegionBody::SnapshotReadIndex { .. }
        | RegionBody::Detect(_)
        | RegionBody::LockWaits => 0,
    };
    BASE + body
}

fn session_bytes(request: &SessionRequest) -> usize {
    const OP: usize = 32;
    match request {
        SessionRequest::Ops { ops, .. } => ops.iter().map(|op| op.approximate_bytes() + OP).sum(),
        SessionRequest::Begin { .. }
        | SessionRequest::Commit { .. }
        | SessionRequest::Rollback { .. }
        | SessionRequest::KeepAlive { .. }
        | SessionRequest::Status { .. }
        | SessionRequest::List => OP,
    }
}
