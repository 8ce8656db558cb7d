//! The actor around [`super::core`]: frames to streams, events from them. Guide: `mod.rs`.
use super::calls::Calls;
use super::core::{Attempt, Input, LinkCore, Output, QueuedCall};
use super::stream::{self, Connection, Plan};
use crate::cell::{Acts, Cx, Delivery, Mailbox, Message, On};
use crate::env::{Env, Rng};
use crate::node::{RaftInbox, SharedDirectory};
use crate::supervision::{ChildSpec, Policy, StartFailure, Verdict};
use crate::transport::counters::{NetCounters, add, count};
use crate::transport::options::TransportOptions;
use crate::transport::runtime::{Identity, NetRuntime};
use crate::transport::slot::MailboxSlot;
use crate::transport::wire::{self, proto};
use std::sync::Arc;
use troupe_types::raft_message::RaftEnvelope;
use troupe_types::request::RegionRequest;
use troupe_types::{Generation, Moment, NodeId, StoreId, TraceTags};

/// `GrpcTransport` → link. Droppable: Raft sends again.
pub struct SendRaft {
    /// For which Store.
    pub to: StoreId,
    /// In order.
    pub messages: Vec<RaftEnvelope>,
    /// Traces of all of them.
    pub tags: TraceTags,
}

impl Message for SendRaft {
    const NAME: &'static str = "SendRaft";
    const DELIVERY: Delivery = Delivery::Droppable;

    fn bytes(&self) -> usize {
        self.messages.iter().map(|envelope| envelope.message.len()).sum()
    }

    fn detail(&self) -> [u64; 2] {
        [self.to.get(), self.messages.len() as u64]
    }
}

/// `GrpcTransport` → link. Ask: the answer goes through the in-flight table.
pub struct Forward {
    /// Number in the in-flight table.
    pub id: u64,
    /// When the asker gives up.
    pub deadline: Moment,
    /// What is asked.
    pub request: RegionRequest,
}

impl Message for Forward {
    const NAME: &'static str = "Forward";
    const DELIVERY: Delivery = Delivery::Ask;

    fn bytes(&self) -> usize {
        stream::request_bytes(&self.request)
    }

    fn detail(&self) -> [u64; 2] {
        [self.request.target.region.get(), self.id]
    }
}

/// Streams of a link → their link. Must; those of an older connection are ignored.
pub struct LinkEvent {
    /// Which connection.
    pub attempt: Attempt,
    /// What happened.
    pub kind: LinkEventKind,
}

/// What happened to a connection.
#[derive(Debug)]
pub enum LinkEventKind {
    /// It stands.
    Connected,
    /// It could not be made, or broke.
    Lost {
        /// Why.
        why: String,
    },
    /// A stream took a frame that the core waited for.
    Room,
}

impl Message for LinkEvent {
    const NAME: &'static str = "LinkEvent";
    const DELIVERY: Delivery = Delivery::Must;

    fn detail(&self) -> [u64; 2] {
        [self.attempt, 0]
    }
}

/// What links share.
#[derive(Clone)]
pub struct LinkParts {
    /// The environment.
    pub env: Env,
    /// Runs the streams.
    pub runtime: NetRuntime,
    /// Who we are.
    pub identity: Identity,
    /// Where the remote node is.
    pub directory: SharedDirectory,
    /// Takes reports of unreachable Stores.
    pub inbox: Arc<dyn RaftInbox>,
    /// Limits.
    pub options: TransportOptions,
    /// Figures.
    pub counters: Arc<NetCounters>,
}

/// The actor.
pub struct PeerLink {
    core: LinkCore,
    node: NodeId,
    parts: LinkParts,
    calls: Arc<Calls>,
    jitter: Box<dyn Rng>,
    connection: Option<Connection>,
}

impl PeerLink {
    fn step(&mut self, input: Input, cx: &mut Cx<'_, Self>) {
        let mut outputs = Vec::new();
        self.core.step(cx.now(), input, &mut outputs);
        for output in outputs {
            self.perform(output, cx);
        }
    }

    /// The only place with effects.
    fn perform(&mut self, output: Output, cx: &mut Cx<'_, Self>) {
        match output {
            Output::Connect(attempt) => self.connect(attempt, cx),
            Output::SendRaft { to, messages, tags } => self.send_raft(to, messages, &tags),
            Output::SendCalls(calls) => self.send_calls(calls, cx.now()),
            Output::FailCall { id, why } => self.calls.fail_unsent(id, why),
            Output::ForgetConnection(attempt) => {
                self.connection = None;
                count(&self.parts.counters.connections_lost);
                self.calls.break_sent(attempt, "the connection was lost");
            }
            Output::Dropped { messages } => {
                add(&self.parts.counters.raft_messages_dropped, messages);
            }
            Output::ReportUnreachable(store) => self.parts.inbox.report_unreachable(store),
            Output::WakeAfter(wait, attempt) => cx.wake_after(wait, attempt),
            Output::TellRoom { raft, calls } => {
                if let Some(connection) = &self.connection {
                    connection.tell_room(raft, calls);
                }
            }
        }
    }

    fn connect(&mut self, attempt: Attempt, cx: &mut Cx<'_, Self>) {
        let mailbox = cx.mailbox();
        let events = move |kind| {
            // Refused only when the link has ended, and with it whoever cares.
            let _ = mailbox.tell(LinkEvent { attempt, kind });
        };
        let directory = self.parts.directory.load();
        let Some(info) = directory.nodes.get(&self.node) else {
            return events(LinkEventKind::Lost { why: "no address is known".to_owned() });
        };
        let plan = Plan {
            address: info.grpc_address.clone(),
            options: self.parts.options,
            calls: self.calls.clone(),
            counters: self.parts.counters.clone(),
        };
        self.connection = Some(Connection::open(&self.parts.runtime, plan, attempt, events));
    }

    fn send_raft(&mut self, to: StoreId, messages: Vec<RaftEnvelope>, tags: &TraceTags) {
        let count_sent = messages.len();
        let cluster = self.parts.identity.cluster();
        let frame = wire::raft_frame(cluster, to, messages, &tags.next_hop());
        let was_taken = self.connection.as_ref().is_some_and(|c| c.send_raft(frame));
        let counters = &self.parts.counters;
        if was_taken {
            add(&counters.raft_messages_sent, count_sent);
            count(&counters.raft_frames_sent);
        } else {
            add(&counters.raft_messages_dropped, count_sent);
        }
    }

    fn send_calls(&mut self, calls: Vec<QueuedCall>, now: Moment) {
        let Some(connection) = &self.connection else {
            for call in calls {
                self.calls.fail_unsent(call.id, "the connection was lost");
            }
            return;
        };
        let attempt = connection.attempt;
        let mut frame = Vec::with_capacity(calls.len());
        let wanted = calls.into_iter().filter(|call| self.calls.mark_sent(call.id, attempt));
        for call in wanted {
            frame.push(proto::RegionCall {
                id: call.id,
                timeout_us: wire::micros(call.deadline.since(now)),
                request: wire::to_bytes(&call.request),
            });
        }
        if frame.is_empty() {
            return;
        }
        add(&self.parts.counters.calls_sent, frame.len());
        count(&self.parts.counters.call_frames_sent);
        let frame = proto::RegionCalls {
            cluster: self.parts.identity.cluster().get(),
            from_node: self.parts.identity.node().get(),
            calls: frame,
        };
        if let Err(frame) = connection.send_calls(frame) {
            // The stream was gone before it could take any of it.
            for call in frame.calls {
                self.calls.fail_unsent(call.id, "the connection was lost");
            }
        }
    }

    fn flush_now(&mut self, cx: &mut Cx<'_, Self>) {
        let room = self.connection.as_ref().map_or((0, 0), Connection::room);
        self.step(Input::Flush { raft_room: room.0, call_room: room.1 }, cx);
    }
}

impl Acts for PeerLink {
    const KIND: &'static str = "peer_link";

    fn flush(&mut self, cx: &mut Cx<'_, Self>) {
        self.flush_now(cx);
    }

    fn wake(&mut self, token: u64, cx: &mut Cx<'_, Self>) {
        self.step(Input::Woken(token), cx);
    }
}

impl On<SendRaft> for PeerLink {
    fn on(&mut self, message: SendRaft, cx: &mut Cx<'_, Self>) {
        let SendRaft { to, messages, tags } = message;
        self.step(Input::Raft { to, messages, tags }, cx);
    }
}

impl On<Forward> for PeerLink {
    fn on(&mut self, message: Forward, cx: &mut Cx<'_, Self>) {
        let bytes = message.bytes();
        let Forward { id, deadline, request } = message;
        self.step(Input::Call(QueuedCall { id, deadline, bytes, request }), cx);
    }
}

impl On<LinkEvent> for PeerLink {
    fn on(&mut self, message: LinkEvent, cx: &mut Cx<'_, Self>) {
        let LinkEvent { attempt, kind } = message;
        match kind {
            LinkEventKind::Connected => {
                count(&self.parts.counters.connections_made);
                tracing::info!(node = %self.node, "connected");
                self.step(Input::Connected(attempt), cx);
            }
            LinkEventKind::Lost { why } => {
                tracing::info!(node = %self.node, why, "no connection");
                let jitter = self.jitter.next_u64();
                self.step(Input::Lost { attempt, jitter }, cx);
            }
            // The flush behind this message does the work.
            LinkEventKind::Room => {}
        }
    }
}

/// A link under supervision: after a crash a new one starts without any state.
pub(crate) struct LinkSpec {
    pub(crate) node: NodeId,
    pub(crate) parts: LinkParts,
    pub(crate) calls: Arc<Calls>,
    pub(crate) slot: MailboxSlot<PeerLink>,
}

impl ChildSpec for LinkSpec {
    type Actor = PeerLink;

    fn name(&self) -> String {
        format!("link-{}", self.node)
    }

    fn policy(&self) -> Policy {
        // It holds nothing that a restart could lose, and the node is deaf without it.
        Policy { restarts: u32::MAX - 1, ..Policy::default() }
    }

    fn build(&mut self, _generation: Generation) -> Result<PeerLink, StartFailure> {
        Ok(PeerLink {
            core: LinkCore::new(self.parts.options.link),
            node: self.node,
            parts: self.parts.clone(),
            calls: self.calls.clone(),
            jitter: self.parts.env.rngs.rng(&self.name()),
            connection: None,
        })
    }

    fn install(&mut self, mailbox: &Mailbox<PeerLink>) {
        self.slot.install(mailbox);
    }

    fn fence(&mut self) {
        self.slot.clear();
        self.calls.break_all("the link to the node crashed");
    }

    fn ended(&mut self, _verdict: &Verdict) {
        self.slot.clear();
    }
}
