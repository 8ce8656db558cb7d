//! The network as one simulated node sees it.
use super::gate::Gate;
use super::net::{CallVerdict, Link, Net, millis};
use futures::FutureExt;
use futures::future::BoxFuture;
use protobuf::Message as _;
use raft::eraftpb::{self, MessageType};
use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use troupe_actors::env::Env;
use troupe_actors::node::{LocalPd, RaftInbox, RegionService};
use troupe_actors::snapshot::core::RECEIVED;
use troupe_actors::snapshot::folders::Folder;
use troupe_actors::store::inbox::LocalStores;
use troupe_actors::trace::WireSpan;
use troupe_actors::transport::{OutgoingSnapshot, Transport, TransportError};
use troupe_types::pd::{PdRequest, PdResult};
use troupe_types::raft_message::RaftEnvelope;
use troupe_types::request::{RegionBody, RegionRequest, RegionResult};
use troupe_types::{Moment, NodeId, PeerId, StoreId, Term, TraceTags, codec};

/// What a node that is up takes from the network.
#[derive(Clone)]
pub struct Endpoint {
    /// Environment of its present life.
    pub env: Env,
    /// What holds all its tasks.
    pub gate: Arc<Gate>,
    /// Its Stores.
    pub stores: LocalStores,
    /// Its PD.
    pub pd: Arc<dyn LocalPd>,
}

/// Address of a node, for the directory.
#[must_use]
pub fn address(node: NodeId) -> String {
    format!("node-{node}:1")
}

fn node_at(address: &str) -> Option<NodeId> {
    let number = address.strip_prefix("node-")?.strip_suffix(":1")?;
    number.parse().ok().map(NodeId)
}

/// One life's way into the network.
#[derive(Clone)]
pub struct SimTransport {
    /// Which node.
    pub node: NodeId,
    /// Its environment.
    pub env: Env,
    /// The network.
    pub net: Net,
}

/// Milliseconds until a caller learns that nobody is there.
const REFUSED_MS: (u64, u64) = (1, 20);
/// Milliseconds until a caller learns that the connection broke.
const BROKEN_MS: (u64, u64) = (50, 1_000);

/// How much of an answer an event shows; its checksum covers all.
const ANSWER_CHARS: usize = 120;

fn broken(why: &str) -> TransportError {
    TransportError::Broken { why: why.to_owned() }
}

impl SimTransport {
    async fn wait(&self, (low, high): (u64, u64)) {
        let ms = self.net.between(low, high);
        tokio::time::sleep(millis(ms)).await;
    }

    /// One call: there, `serve`, and back. Runs on when the caller goes away, as the other node would.
    fn call<T, F>(
        &self,
        to: Option<NodeId>,
        what: String,
        patience: Duration,
        serve: impl FnOnce(Endpoint) -> F + Send + 'static,
    ) -> BoxFuture<'static, Result<T, TransportError>>
    where
        T: std::fmt::Debug + Send + 'static,
        F: Future<Output = Result<T, TransportError>> + 'static,
    {
        let Some(to) = to else {
            return std::future::ready(Err(TransportError::UnknownAddress)).boxed();
        };
        let (told, answer) = oneshot::channel();
        let transport = self.clone();
        actix_rt::spawn(async move {
            let result = transport.exchange((transport.node, to), what, serve).await;
            let _ = told.send(result);
        });
        async move {
            tokio::select! {
                biased;
                answer = answer => answer.unwrap_or_else(|_| Err(broken("the caller crashed"))),
                () = tokio::time::sleep(patience) => Err(broken("no answer in time")),
            }
        }
        .boxed()
    }

    async fn exchange<T, F>(
        &self,
        link: Link,
        what: String,
        serve: impl FnOnce(Endpoint) -> F,
    ) -> Result<T, TransportError>
    where
        T: std::fmt::Debug,
        F: Future<Output = Result<T, TransportError>>,
    {
        if !self.net.is_up(link) || !self.env.power.is_on() {
            self.wait(REFUSED_MS).await;
            return Err(TransportError::Unreachable { why: "nobody is there".to_owned() });
        }
        let end = if self.net.carry(link, what.clone(), false).await {
            self.net.end(link.1)
        } else {
            None
        };
        let Some(end) = end else {
            self.wait(BROKEN_MS).await;
            return Err(broken("lost on the way"));
        };
        let (cut, gate) = (end.env.power.until_cut(), end.gate.clone());
        let result = tokio::select! {
            biased;
            () = cut => Err(broken("the other node crashed")),
            result = gate.gated(serve(end)) => result,
        }?;
        let text = format!("{result:?}");
        let crc = crc32c::crc32c(text.as_bytes());
        let start: String = text.chars().take(ANSWER_CHARS).collect();
        let back = format!("answer ({crc:08x}) to {what}: {start}");
        if self.net.carry((link.1, link.0), back, true).await {
            return Ok(result);
        }
        self.wait(BROKEN_MS).await;
        Err(broken("the answer was lost"))
    }

    /// A copy of a call: whoever sent it does not know of it.
    fn repeat(&self, request: &RegionRequest, (wait, patience): (Duration, Duration)) {
        let Some(to) = self.net.home(request.store) else { return };
        let (transport, request) = (self.clone(), request.clone());
        let what = format!("copy of {}", request_line(&request));
        actix_rt::spawn(async move {
            tokio::time::sleep(wait).await;
            let serve = move |end: Endpoint| async move {
                let deadline = end.env.now().after(patience);
                Ok(end.stores.serve(request, deadline).await)
            };
            let _ = transport.exchange((transport.node, to), what, serve).await;
        });
    }

    fn patience(&self, deadline: Moment) -> Duration {
        deadline.since(self.env.now())
    }
}

impl Transport for SimTransport {
    fn send_raft(&self, to: StoreId, messages: Vec<RaftEnvelope>, tags: TraceTags) {
        let Some(home) = self.net.home(to) else { return };
        if !self.env.power.is_on() {
            return;
        }
        for envelope in messages {
            self.net.send_raft((self.node, home), to, envelope, tags.clone());
        }
    }

    fn send_snapshot(
        &self,
        to: StoreId,
        snapshot: OutgoingSnapshot,
    ) -> BoxFuture<'static, Result<(), TransportError>> {
        let manifest = &snapshot.manifest;
        let what = format!("snapshot of region {} at {}", manifest.region.id, manifest.index);
        self.call(self.net.home(to), what, Duration::from_secs(60), move |end| async move {
            receive(&end, to, &snapshot)
        })
    }

    fn call_region(
        &self,
        request: RegionRequest,
        deadline: Moment,
    ) -> BoxFuture<'static, Result<RegionResult, TransportError>> {
        let patience = self.patience(deadline);
        let what = request_line(&request);
        if matches!(request.body, RegionBody::Txn(_))
            && let Some(wait) = self.net.echo()
        {
            self.repeat(&request, (wait, patience));
        }
        match self.net.judge_call(&request) {
            CallVerdict::Deliver => {}
            CallVerdict::Repeat(waits) => {
                for ms in waits {
                    self.repeat(&request, (millis(ms), patience));
                }
            }
            CallVerdict::LoseAnswer => {
                self.repeat(&request, (Duration::ZERO, patience));
                let transport = self.clone();
                return async move {
                    transport.wait(BROKEN_MS).await;
                    Err(broken("the answer was lost"))
                }
                .boxed();
            }
        }
        self.call(self.net.home(request.store), what, patience, move |end| async move {
            let deadline = end.env.now().after(patience);
            Ok(end.stores.serve(request, deadline).await)
        })
    }

    fn call_pd(
        &self,
        address: &str,
        request: PdRequest,
        deadline: Moment,
    ) -> BoxFuture<'static, Result<PdResult, TransportError>> {
        let patience = self.patience(deadline);
        let crc = crc32c::crc32c(&codec::encode(&request));
        let what = format!("ask PD: {} ({crc:08x})", pd_name(&request));
        self.call(node_at(address), what, patience, move |end| async move {
            let deadline = end.env.now().after(patience);
            Ok(end.pd.call(request, deadline).await)
        })
    }

    fn fetch_trace(
        &self,
        node: NodeId,
        id: u64,
        deadline: Moment,
    ) -> BoxFuture<'static, Result<Vec<WireSpan>, TransportError>> {
        let patience = self.patience(deadline);
        self.call(Some(node), format!("spans of trace {id}"), patience, move |end| async move {
            let spans = end.env.traces.trace(id);
            Ok(spans.iter().map(|span| span.to_wire(node.get())).collect())
        })
    }
}

/// Copies the files into the receiver's folder, then tells its replica.
fn receive(end: &Endpoint, to: StoreId, snapshot: &OutgoingSnapshot) -> Result<(), TransportError> {
    let refused = |why: &str| TransportError::Refused { why: why.to_owned() };
    let parent = end.stores.snapshot_folder(to).ok_or_else(|| refused("no such store"))?;
    let folder = copy(&parent, snapshot).map_err(|error| refused(&error.to_string()))?;
    let OutgoingSnapshot { envelope, manifest, .. } = snapshot.clone();
    end.stores.deliver_snapshot(to, OutgoingSnapshot { envelope, manifest, folder });
    Ok(())
}

fn copy(parent: &Path, snapshot: &OutgoingSnapshot) -> std::io::Result<PathBuf> {
    let manifest = &snapshot.manifest;
    let folder = Folder::create(parent, RECEIVED, manifest.region.id, manifest.index)?;
    for number in 0..manifest.files.len() {
        let name = number.to_string();
        std::fs::copy(snapshot.folder.join(&name), folder.path().join(&name))?;
    }
    Ok(folder.keep())
}

pub(super) fn parse(envelope: &RaftEnvelope) -> eraftpb::Message {
    let mut message = eraftpb::Message::default();
    let parsed = message.merge_from_bytes(&envelope.message);
    assert!(parsed.is_ok(), "a Raft message on the way is whole");
    message
}

/// The term that the sender leads in, if this message says that it does.
pub(super) fn leads_in(envelope: &RaftEnvelope) -> Option<Term> {
    let message = parse(envelope);
    let is_leaders = matches!(
        message.get_msg_type(),
        MessageType::MsgAppend | MessageType::MsgHeartbeat | MessageType::MsgSnapshot
    );
    (is_leaders && !envelope.is_tombstone).then_some(Term(message.term))
}

/// The term and the candidate that the sender has given its vote to, if this message says so.
pub(super) fn vote_in(envelope: &RaftEnvelope) -> Option<(Term, PeerId)> {
    let message = parse(envelope);
    let candidate = match message.get_msg_type() {
        MessageType::MsgRequestVote => envelope.from.id,
        MessageType::MsgRequestVoteResponse if !message.reject => envelope.to.id,
        _ => return None,
    };
    (!envelope.is_tombstone).then_some((Term(message.term), candidate))
}

/// A Raft message in words.
pub(super) struct RaftLine<'a>(pub &'a RaftEnvelope);

impl fmt::Display for RaftLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (envelope, message) = (self.0, parse(self.0));
        let (from, to) = (envelope.from.id, envelope.to.id);
        write!(f, "region {}: replica {from} to {to}, ", envelope.region)?;
        if envelope.is_tombstone {
            return f.write_str("\"you were removed\"");
        }
        let verdict = if message.reject { " no" } else { " yes" };
        match message.get_msg_type() {
            MessageType::MsgAppend => {
                let (count, index, term) = (message.entries.len(), message.index, message.log_term);
                write!(f, "append {count} behind {index} of term {term}")?;
                write!(f, ", committed {}", message.commit)?;
            }
            MessageType::MsgAppendResponse if message.reject => {
                let (index, hint) = (message.index, message.reject_hint);
                write!(f, "appended? no, not behind {index}, I have {hint}")?;
            }
            MessageType::MsgAppendResponse => write!(f, "appended up to {}", message.index)?,
            MessageType::MsgHeartbeat => write!(f, "heartbeat, committed {}", message.commit)?,
            MessageType::MsgHeartbeatResponse => f.write_str("heartbeat heard")?,
            MessageType::MsgRequestVote => write!(f, "vote for me, I have {}", message.index)?,
            MessageType::MsgRequestPreVote => {
                write!(f, "would you vote for me? I have {}", message.index)?;
            }
            MessageType::MsgRequestVoteResponse => write!(f, "vote:{verdict}")?,
            MessageType::MsgRequestPreVoteResponse => write!(f, "would vote:{verdict}")?,
            MessageType::MsgTimeoutNow => f.write_str("stand for election now")?,
            other => write!(f, "{other:?}")?,
        }
        write!(f, " (term {}, {:08x})", message.term, crc32c::crc32c(&envelope.message))
    }
}

fn request_line(request: &RegionRequest) -> String {
    let kind = match &request.body {
        RegionBody::Read { .. } => "read",
        RegionBody::Write(_) => "write",
        RegionBody::Admin(_) => "admin",
        RegionBody::Status => "status",
        RegionBody::ReadIndex => "read-index",
        RegionBody::ReadAt { .. } => "read-at",
        RegionBody::Release => "release",
        RegionBody::Txn(command) => command.name(),
        RegionBody::SnapshotReadIndex { .. } => "snapshot-read-index",
        RegionBody::Detect(_) => "detect",
        RegionBody::Session(_) => "session",
        RegionBody::LastLocks { .. } => "last-locks",
        RegionBody::LockWaits => "lock-waits",
    };
    let crc = crc32c::crc32c(&codec::encode(request));
    let (region, store) = (request.target.region, request.store);
    format!("{kind} region {region} at store {store} ({crc:08x})")
}

fn pd_name(request: &PdRequest) -> String {
    let text = format!("{request:?}");
    text.split([' ', '{', '(']).next().unwrap_or_default().to_owned()
}
