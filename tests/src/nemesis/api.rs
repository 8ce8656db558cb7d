//! One operation over HTTP, and what its answer says about its effect.
use super::nodes::{Nodes, Sent};
use crate::workload::{Op, Outcome};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// How fresh a read must be. All three promise linearizability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// By the leader's lease.
    Leader,
    /// A majority is asked.
    Majority,
    /// By any replica that has applied what the leader confirms.
    Follower,
}

impl Freshness {
    fn name(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Majority => "linearizable",
            Self::Follower => "follower",
        }
    }
}

/// What to ask, whom, and for how long.
#[derive(Clone, Debug)]
pub struct Call {
    /// Number of the node, from 0.
    pub node: usize,
    /// The key's bytes.
    pub key: Vec<u8>,
    /// What.
    pub op: Op,
    /// Of a read.
    pub freshness: Freshness,
    /// The deadline that the node is told. The client waits a second longer.
    pub patience: Duration,
}

/// How much longer a client waits than it lets the node try.
const MARGIN: Duration = Duration::from_secs(1);

/// Requests of single operations.
pub struct Api {
    /// Who is asked.
    pub nodes: Nodes,
}

/// Lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Api {
    /// To nodes that listen at `urls`.
    #[must_use]
    pub fn new(urls: Vec<String>) -> Self {
        Self { nodes: Nodes::new(urls) }
    }

    /// Performs one operation.
    pub async fn perform(&self, call: &Call) -> Outcome {
        let request = self.request(call).timeout(call.patience + MARGIN);
        match self.nodes.send(request).await {
            Sent::Answer(status, body) => self.read(call.op, status, &body),
            Sent::NotSent => Outcome::Failed,
            Sent::Broken if call.op == Op::Get => Outcome::Failed,
            Sent::Broken => Outcome::Unknown,
        }
    }

    fn request(&self, call: &Call) -> RequestBuilder {
        let (base, key) = (self.nodes.url(call.node), hex(&call.key));
        let timeout = format!("{}ms", call.patience.as_millis());
        let path = format!("{base}/v1/raw/keys/{key}?kenc=hex&timeout={timeout}");
        match call.op {
            Op::Get => {
                self.nodes.client.get(format!("{path}&raw&consistency={}", call.freshness.name()))
            }
            Op::Put(value) => self.nodes.client.put(path).body(value.to_string()),
            Op::Delete => self.nodes.client.delete(path),
            Op::Cas { expect, new } => {
                let expect = match expect {
                    Some(value) => json!({ "value": value.to_string() }),
                    None => json!({ "absent": true }),
                };
                let body =
                    json!({ "key": { "hex": key }, "expect": expect, "put": new.to_string() });
                let path = format!("{base}/v1/raw/cas?timeout={timeout}");
                self.nodes
                    .client
                    .post(path)
                    .header("Content-Type", "application/json")
                    .body(body.to_string())
            }
        }
    }

    fn read(&self, op: Op, status: StatusCode, body: &str) -> Outcome {
        if !status.is_success() {
            return self.refused(op, status, body);
        }
        match op {
            Op::Get => Outcome::Read(Some(number(body))),
            Op::Put(_) | Op::Delete => Outcome::Done,
            Op::Cas { .. } => {
                let answer: Json = serde_json::from_str(body).expect("a reply is JSON");
                Outcome::Swapped {
                    succeeded: answer["succeeded"].as_bool().expect("a swap says how it went"),
                    previous: answer["previous"].as_str().map(number),
                }
            }
        }
    }

    fn refused(&self, op: Op, status: StatusCode, body: &str) -> Outcome {
        // The server's HTTP layer itself refuses what it takes for a slow client, without a problem
        // document: a node that was paused finds many of those.
        let problem: Json = serde_json::from_str(body).unwrap_or_default();
        let Some(code) = problem["code"].as_str() else {
            self.nodes.note(&format!("status {} without a code", status.as_u16()));
            return if op == Op::Get { Outcome::Failed } else { Outcome::Unknown };
        };
        if op == Op::Get && code == "KEY_NOT_FOUND" {
            return Outcome::Read(None);
        }
        self.nodes.note(code);
        assert!(status != StatusCode::BAD_REQUEST, "the request was good: {body}");
        match (op, problem["outcome"].as_str()) {
            (Op::Get, _) | (_, Some("not_applied")) => Outcome::Failed,
            _ => Outcome::Unknown,
        }
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no value that a client wrote"))
}
