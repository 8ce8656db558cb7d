//! What the link to one remote node decides: out-box limits, frames, reconnecting, reports. Pure.
use crate::transport::options::LinkOptions;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use troupe_types::raft_message::RaftEnvelope;
use troupe_types::request::RegionRequest;
use troupe_types::{Moment, StoreId, TraceTags};

/// A connection attempt and what came of it. Events of older ones are ignored.
pub type Attempt = u64;

/// A request on its way to the remote node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedCall {
    /// Number in the in-flight table.
    pub id: u64,
    /// When the asker gives up.
    pub deadline: Moment,
    /// Rough size.
    pub bytes: usize,
    /// What is asked.
    pub request: RegionRequest,
}

/// What happens to a link.
#[derive(Debug)]
pub enum Input {
    /// Raft messages for a Store of the node.
    Raft {
        /// Which Store.
        to: StoreId,
        /// In order.
        messages: Vec<RaftEnvelope>,
        /// Their traces.
        tags: TraceTags,
    },
    /// A request for a Store of the node.
    Call(QueuedCall),
    /// The batch of messages is over, or a stream took a frame.
    Flush {
        /// Frames that the Raft stream takes.
        raft_room: usize,
        /// Frames that the Regions stream takes.
        call_room: usize,
    },
    /// The connection stands.
    Connected(Attempt),
    /// The connection could not be made, or broke.
    Lost {
        /// Which.
        attempt: Attempt,
        /// A random number that spreads the waits.
        jitter: u64,
    },
    /// The wait after a lost connection is over.
    Woken(Attempt),
}

/// What the link shall do.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Connect; answer with [`Input::Connected`] or [`Input::Lost`].
    Connect(Attempt),
    /// Hand a frame to the Raft stream.
    SendRaft {
        /// For which Store.
        to: StoreId,
        /// In order.
        messages: Vec<RaftEnvelope>,
        /// Traces of all of them.
        tags: TraceTags,
    },
    /// Hand a frame to the Regions stream.
    SendCalls(Vec<QueuedCall>),
    /// Nothing of it was sent.
    FailCall {
        /// Which.
        id: u64,
        /// Why.
        why: &'static str,
    },
    /// All that was handed to this connection is lost.
    ForgetConnection(Attempt),
    /// Raft messages were dropped.
    Dropped {
        /// How many.
        messages: usize,
    },
    /// Tell our replicas that messages to this Store do not get through.
    ReportUnreachable(StoreId),
    /// Give [`Input::Woken`] after this time.
    WakeAfter(Duration, Attempt),
    /// Frames wait for room: give [`Input::Flush`] when a stream has taken one.
    TellRoom {
        /// For the Raft stream.
        raft: bool,
        /// For the Regions stream.
        calls: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No connection, none wanted.
    Idle,
    /// Being made: what comes meanwhile waits.
    Connecting,
    /// Stands since then.
    Up(Moment),
    /// Lost: what comes is refused until the wait is over.
    BackingOff,
}

#[derive(Debug, Default)]
struct StoreBox {
    messages: VecDeque<RaftEnvelope>,
    tags: TraceTags,
    reported: Option<Moment>,
}

/// The pure part of a link.
#[derive(Debug)]
pub struct LinkCore {
    options: LinkOptions,
    state: State,
    attempt: Attempt,
    failures: u32,
    stores: BTreeMap<StoreId, StoreBox>,
    /// Invariant: messages and bytes of all `stores`.
    held: (usize, usize),
    calls: VecDeque<QueuedCall>,
    /// Something was asked since the last loss: connect again without waiting to be asked.
    is_wanted: bool,
}

/// A connection that stood so long was a good one: the next wait is short again.
const GOOD_CONNECTION: Duration = Duration::from_secs(5);
/// What an envelope weighs beside its message.
const ENVELOPE_BYTES: usize = 96;

fn weight(envelope: &RaftEnvelope) -> usize {
    envelope.message.len() + ENVELOPE_BYTES
}

impl LinkCore {
    /// Without connection.
    #[must_use]
    pub fn new(options: LinkOptions) -> Self {
        Self {
            options,
            state: State::Idle,
            attempt: 0,
            failures: 0,
            stores: BTreeMap::new(),
            held: (0, 0),
            calls: VecDeque::new(),
            is_wanted: false,
        }
    }

    /// Takes `input` at `now`.
    pub fn step(&mut self, now: Moment, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Raft { to, messages, tags } => self.on_raft(now, to, messages, &tags, out),
            Input::Call(call) => self.on_call(call, out),
            Input::Flush { raft_room, call_room } => self.on_flush(raft_room, call_room, out),
            Input::Connected(attempt) => {
                if attempt == self.attempt && self.state == State::Connecting {
                    self.state = State::Up(now);
                }
            }
            Input::Lost { attempt, jitter } => self.on_lost(now, attempt, jitter, out),
            Input::Woken(attempt) => {
                if attempt == self.attempt && self.state == State::BackingOff {
                    self.state = State::Idle;
                    if std::mem::take(&mut self.is_wanted) {
                        self.connect(out);
                    }
                }
            }
        }
    }

    fn connect(&mut self, out: &mut Vec<Output>) {
        assert_eq!(self.state, State::Idle, "one connection at a time");
        self.state = State::Connecting;
        self.attempt += 1;
        out.push(Output::Connect(self.attempt));
    }

    /// Is there, or will there be, a connection for what was just asked?
    fn may_wait(&mut self, out: &mut Vec<Output>) -> bool {
        self.is_wanted = true;
        match self.state {
            State::Idle => {
                self.connect(out);
                true
            }
            State::Connecting | State::Up(_) => true,
            State::BackingOff => false,
        }
    }

    fn on_raft(
        &mut self,
        now: Moment,
        to: StoreId,
        messages: Vec<RaftEnvelope>,
        tags: &TraceTags,
        out: &mut Vec<Output>,
    ) {
        let may_wait = self.may_wait(out);
        let mut dropped = 0;
        let options = self.options;
        let store = self.stores.entry(to).or_default();
        for message in messages {
            let bytes = weight(&message);
            // One message may exceed the bytes alone, or it could never be sent.
            let has_room = self.held.0 < options.outbox_messages
                && (self.held.1 == 0 || self.held.1 + bytes <= options.outbox_bytes);
            if may_wait && has_room {
                self.held = (self.held.0 + 1, self.held.1 + bytes);
                store.messages.push_back(message);
            } else {
                dropped += 1;
            }
        }
        store.tags.merge(tags);
        if dropped > 0 {
            out.push(Output::Dropped { messages: dropped });
            self.report(now, to, out);
        }
    }

    /// Reports `to`, unless it was reported a moment ago.
    fn report(&mut self, now: Moment, to: StoreId, out: &mut Vec<Output>) {
        let store = self.stores.entry(to).or_default();
        let is_due =
            store.reported.is_none_or(|at| now.since(at) >= self.options.unreachable_every);
        if is_due {
            store.reported = Some(now);
            out.push(Output::ReportUnreachable(to));
        }
    }

    fn on_call(&mut self, call: QueuedCall, out: &mut Vec<Output>) {
        if !self.may_wait(out) {
            out.push(Output::FailCall { id: call.id, why: "no connection; waiting to try again" });
        } else if self.calls.len() >= self.options.waiting_calls {
            out.push(Output::FailCall { id: call.id, why: "too many requests wait" });
        } else {
            self.calls.push_back(call);
        }
    }

    fn on_flush(&mut self, mut raft_room: usize, mut call_room: usize, out: &mut Vec<Output>) {
        if !matches!(self.state, State::Up(_)) {
            return;
        }
        let waiting: Vec<StoreId> = self.stores.keys().copied().collect();
        for to in waiting {
            while raft_room > 0
                && let Some(frame) = self.take_raft_frame(to)
            {
                out.push(frame);
                raft_room -= 1;
            }
        }
        while call_room > 0 && !self.calls.is_empty() {
            out.push(Output::SendCalls(self.take_calls()));
            call_room -= 1;
        }
        let (raft, calls) = (self.held.0 > 0, !self.calls.is_empty());
        if raft || calls {
            out.push(Output::TellRoom { raft, calls });
        }
    }

    fn take_raft_frame(&mut self, to: StoreId) -> Option<Output> {
        let store = self.stores.get_mut(&to)?;
        let (mut messages, mut bytes) = (Vec::new(), 0);
        while let Some(next) = store.messages.front() {
            let more = weight(next);
            let is_full = messages.len() >= self.options.frame_items
                || (bytes > 0 && bytes + more > self.options.frame_bytes);
            if is_full {
                break;
            }
            bytes += more;
            messages.extend(store.messages.pop_front());
        }
        self.held = (self.held.0 - messages.len(), self.held.1 - bytes);
        let tags = if store.messages.is_empty() {
            std::mem::take(&mut store.tags)
        } else {
            store.tags.clone()
        };
        (!messages.is_empty()).then_some(Output::SendRaft { to, messages, tags })
    }

    fn take_calls(&mut self) -> Vec<QueuedCall> {
        let (mut frame, mut bytes) = (Vec::new(), 0);
        while let Some(next) = self.calls.front() {
            let more = next.bytes;
            let is_full = frame.len() >= self.options.frame_items
                || (!frame.is_empty() && bytes + more > self.options.frame_bytes);
            if is_full {
                break;
            }
            bytes += more;
            frame.extend(self.calls.pop_front());
        }
        frame
    }

    fn on_lost(&mut self, now: Moment, attempt: Attempt, jitter: u64, out: &mut Vec<Output>) {
        if attempt != self.attempt {
            return;
        }
        match self.state {
            State::Up(since) if now.since(since) >= GOOD_CONNECTION => self.failures = 0,
            State::Up(_) | State::Connecting => {}
            State::Idle | State::BackingOff => return,
        }
        self.failures += 1;
        self.state = State::BackingOff;
        self.is_wanted = false;
        out.push(Output::ForgetConnection(attempt));
        for call in self.calls.drain(..) {
            out.push(Output::FailCall { id: call.id, why: "the connection was lost" });
        }
        // Old Raft messages are worth nothing after a loss: Raft sends what is needed again.
        if self.held.0 > 0 {
            out.push(Output::Dropped { messages: self.held.0 });
        }
        self.held = (0, 0);
        let known: Vec<StoreId> = self.stores.keys().copied().collect();
        for to in known {
            if let Some(store) = self.stores.get_mut(&to) {
                store.messages.clear();
                store.tags = TraceTags::NONE;
            }
            self.report(now, to, out);
        }
        out.push(Output::WakeAfter(self.wait(jitter), attempt));
    }

    /// Doubles with each failure up to the limit, spread by up to a quarter.
    fn wait(&self, jitter: u64) -> Duration {
        let doubled = self.options.backoff_min.saturating_mul(1 << (self.failures - 1).min(16));
        let wait = doubled.min(self.options.backoff_max);
        let spread = u64::try_from(wait.as_nanos() / 4).unwrap_or(u64::MAX).max(1);
        wait + Duration::from_nanos(jitter % spread)
    }
}
