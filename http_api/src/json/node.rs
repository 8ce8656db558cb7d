//! Bodies of replies about this node: actors, traces, limits, health.
use crate::json::reply::Hex64;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use troupe_actors::registry::{ActorEntry, RestartRecord};
use troupe_actors::trace::WireSpan;
use utoipa::ToSchema;

/// An actor.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActorOut {
    /// Number on this node.
    pub id: u64,
    /// Kind, such as `region_peer`.
    pub kind: &'static str,
    /// Name, such as `store-1/region-7`.
    pub name: String,
    /// Number of its supervisor; 0: none.
    pub parent: u64,
    /// `starting`, `running`, `backing_off`, `quarantined` or `stopped`.
    pub state: &'static str,
    /// Grows with each life.
    pub generation: u64,
    /// Messages that wait.
    pub depth: usize,
    /// Bytes that wait.
    pub bytes: usize,
    /// Times it was started again after a crash.
    pub restarts: u64,
    /// Messages handled.
    pub handled: u64,
    /// Messages dropped.
    pub dropped: u64,
    /// Requests refused as busy.
    pub refused: u64,
    /// Kind of the last message.
    pub last_message: &'static str,
    /// Longest wait of a message, in microseconds.
    pub max_wait_us: u64,
    /// Time spent in handlers, in microseconds.
    pub busy_us: u64,
}

impl From<&ActorEntry> for ActorOut {
    fn from(entry: &ActorEntry) -> Self {
        Self {
            id: entry.id.0,
            kind: entry.kind,
            name: entry.name.clone(),
            parent: entry.parent.0,
            state: entry.state().as_str(),
            generation: entry.generation().get(),
            depth: entry.depth.load(Ordering::Relaxed),
            bytes: entry.bytes.load(Ordering::Relaxed),
            restarts: entry.restarts(),
            handled: entry.handled.load(Ordering::Relaxed),
            dropped: entry.dropped.load(Ordering::Relaxed),
            refused: entry.refused.load(Ordering::Relaxed),
            last_message: entry.last_message(),
            max_wait_us: entry.max_wait_us.load(Ordering::Relaxed),
            busy_us: entry.busy_us.load(Ordering::Relaxed),
        }
    }
}

/// Actors of this node.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActorsOut {
    /// Id of the node.
    pub node: u64,
    /// Those that fit the question, at most `limit`.
    pub items: Vec<ActorOut>,
    /// How many fit.
    pub total: usize,
}

/// An actor and its last inputs.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActorDetail {
    /// The actor.
    #[serde(flatten)]
    pub actor: ActorOut,
    /// Its last inputs, oldest first.
    pub recording: Vec<String>,
}

/// A crash of an actor.
#[derive(Debug, Serialize, ToSchema)]
pub struct RestartOut {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Number of the actor.
    pub actor: u64,
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The life that ended.
    pub generation: u64,
    /// What was done: `restart`, `quarantine` or `escalate`.
    pub verdict: &'static str,
    /// Message of the panic.
    pub panic: String,
}

impl From<&RestartRecord> for RestartOut {
    fn from(record: &RestartRecord) -> Self {
        Self {
            at_ms: record.at.get(),
            actor: record.actor.0,
            kind: record.kind,
            name: record.name.clone(),
            generation: record.generation.get(),
            verdict: record.verdict,
            panic: record.panic.clone(),
        }
    }
}

/// Recent crashes of actors on this node.
#[derive(Debug, Serialize, ToSchema)]
pub struct RestartsOut {
    /// Newest last.
    pub items: Vec<RestartOut>,
}

/// A trace of which this node keeps spans.
#[derive(Debug, Serialize, ToSchema)]
pub struct TraceSummary {
    /// Id.
    #[schema(value_type = String)]
    pub id: Hex64,
    /// When its first span was handled, in milliseconds since 1970.
    pub started_ms: u64,
    /// Spans kept here.
    pub spans: usize,
    /// From the first to the last span kept here, in microseconds.
    pub duration_us: u64,
    /// Its first message.
    pub root: String,
}

/// Recent traces.
#[derive(Debug, Serialize, ToSchema)]
pub struct TracesOut {
    /// Newest first.
    pub items: Vec<TraceSummary>,
}

/// One message of a trace.
#[derive(Debug, Serialize, ToSchema)]
pub struct SpanOut {
    /// Order on its node.
    pub seq: u64,
    /// Who sent it.
    pub from: String,
    /// Who handled it.
    pub to: String,
    /// What.
    pub message: String,
    /// When it was sent, in microseconds since the trace's first message (clocks of nodes differ).
    pub sent_us: u64,
    /// Microseconds in the mailbox.
    pub wait_us: u64,
    /// Microseconds in the handler.
    pub work_us: u64,
    /// Id of the node that handled it.
    pub node: u64,
}

/// A trace.
#[derive(Debug, Serialize, ToSchema)]
pub struct TraceOut {
    /// Id.
    #[schema(value_type = String)]
    pub id: Hex64,
    /// In order of sending.
    pub spans: Vec<SpanOut>,
}

impl TraceOut {
    /// From the spans of all nodes.
    #[must_use]
    pub fn new(id: u64, spans: &[WireSpan]) -> Self {
        let start = spans.iter().map(sent_at_us).min().unwrap_or_default();
        let mut spans: Vec<SpanOut> = spans
            .iter()
            .map(|span| SpanOut {
                seq: span.seq,
                from: span.from.clone(),
                to: span.to.clone(),
                message: span.message.clone(),
                sent_us: sent_at_us(span) - start,
                wait_us: span.wait_us,
                work_us: span.work_us,
                node: span.node,
            })
            .collect();
        spans.sort_by_key(|span| (span.sent_us, span.node, span.seq));
        Self { id: Hex64(id), spans }
    }

    /// A sequence diagram in Mermaid's language.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        let mut text = String::from("sequenceDiagram\n");
        for span in &self.spans {
            let (from, to) = (mermaid_name(&span.from), mermaid_name(&span.to));
            let (message, wait, work) = (&span.message, span.wait_us, span.work_us);
            text.push_str(&format!("    {from}->>{to}: {message} (wait {wait} us, {work} us)\n"));
        }
        text
    }
}

/// Mermaid takes letters, digits and underscores as a participant's name.
fn mermaid_name(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect()
}

fn sent_at_us(span: &WireSpan) -> u64 {
    (span.handled_ms * 1000).saturating_sub(span.wait_us)
}

/// What a request may ask for. Sizes are of decoded bytes.
#[derive(Debug, Serialize, ToSchema)]
pub struct LimitsOut {
    /// Bytes of a key.
    pub key_bytes: u64,
    /// Bytes of a value.
    pub value_bytes: u64,
    /// Keys or rows of a batch.
    pub batch_keys: usize,
    /// Bytes of a batch.
    pub batch_bytes: u64,
    /// Rows of a page, if the request does not say.
    pub scan_rows_default: usize,
    /// Rows of a page at most.
    pub scan_rows_max: usize,
    /// Bytes of a page.
    pub scan_bytes: u64,
    /// Conditions and steps of a transaction in one request.
    pub txn_ops: usize,
    /// Bytes of these.
    pub txn_bytes: u64,
    /// Bytes that an interactive transaction may write.
    pub txn_session_bytes: u64,
    /// Milliseconds that an interactive transaction may be idle, if its begin does not say.
    pub txn_idle_ms: u64,
    /// Milliseconds of this that a begin may ask for.
    pub txn_idle_max_ms: u64,
    /// Interactive transactions that a node holds open at the same time.
    pub txn_open: usize,
    /// Bytes of a body that is not streamed.
    pub body_bytes: u64,
    /// Bytes of a line of an import.
    pub import_line_bytes: u64,
    /// Milliseconds until a request is given up, if it does not say.
    pub deadline_default_ms: u64,
    /// Milliseconds that a request may ask for.
    pub deadline_max_ms: u64,
    /// Milliseconds that a body may take to arrive, besides its size over `body_min_rate`.
    pub body_base_ms: u64,
    /// Bytes a second that a client must send.
    pub body_min_rate: u64,
    /// Requests that the node works on at the same time.
    pub in_flight_requests: usize,
    /// Bytes of these requests.
    pub in_flight_bytes: u64,
}

/// The build.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionOut {
    /// Name of the program.
    pub name: &'static str,
    /// Its version.
    pub version: String,
    /// Version of this API.
    pub api: &'static str,
}

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct LiveOut {
    /// Always true.
    pub live: bool,
}

/// The node takes requests.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadyOut {
    /// Always true; otherwise the reply is a problem.
    pub ready: bool,
    /// Name and state of each check, with `verbose`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, String>,
}

/// Where to go from here.
#[derive(Debug, Serialize, ToSchema)]
pub struct RootOut {
    /// Name of the program.
    pub name: &'static str,
    /// Its version.
    pub version: String,
    /// Links by name.
    pub links: BTreeMap<&'static str, &'static str>,
}
