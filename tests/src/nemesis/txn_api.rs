//! Requests of the transactional space over HTTP, and what their answers say about their effect.
use super::nodes::{Nodes, Sent};
use crate::workload::txn::Fate;
use reqwest::RequestBuilder;
use serde_json::Value as Json;
use std::time::Duration;
use troupe_types::Timestamp;

/// How much longer a client waits than it lets the node try.
const MARGIN: Duration = Duration::from_secs(1);

/// What came of a request.
#[derive(Clone, Debug)]
pub enum Heard {
    /// Done.
    Answer(Json),
    /// Not done, now or later.
    Refused,
    /// Done, or not, or still on its way.
    Unknown,
}

impl Heard {
    /// The same as a fate.
    #[must_use]
    pub fn fate(&self) -> Fate {
        match self {
            Self::Answer(_) => Fate::Committed,
            Self::Refused => Fate::Failed,
            Self::Unknown => Fate::Unknown,
        }
    }
}

/// Requests of the transactional space.
pub struct TxnApi {
    /// Who is asked.
    pub nodes: Nodes,
}

impl TxnApi {
    /// To nodes that listen at `urls`.
    #[must_use]
    pub fn new(urls: Vec<String>) -> Self {
        Self { nodes: Nodes::new(urls) }
    }

    /// Posts `body` to a path of `node`, under an idempotency key if there is one.
    pub async fn post(
        &self,
        node: usize,
        path: &str,
        (body, key): (&Json, Option<&str>),
        patience: Duration,
    ) -> Heard {
        let between = if path.contains('?') { '&' } else { '?' };
        let base = self.nodes.url(node);
        let url = format!("{base}{path}{between}timeout={}ms", patience.as_millis());
        let mut request = self
            .nodes
            .client
            .post(url)
            .header("Content-Type", "application/json")
            .body(body.to_string())
            .timeout(patience + MARGIN);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", format!("\"{key}\""));
        }
        self.heard(request).await
    }

    /// Gets a path of `node`.
    pub async fn get(&self, node: usize, path: &str) -> Heard {
        let request = self.nodes.client.get(format!("{}{path}", self.nodes.url(node)));
        self.heard(request.timeout(Duration::from_secs(10))).await
    }

    async fn heard(&self, request: RequestBuilder) -> Heard {
        let (status, body) = match self.nodes.send(request).await {
            Sent::Answer(status, body) => (status, body),
            Sent::NotSent => return Heard::Refused,
            Sent::Broken => return Heard::Unknown,
        };
        let json: Json = serde_json::from_str(&body).unwrap_or_default();
        if status.is_success() {
            return Heard::Answer(json);
        }
        assert!(status.as_u16() != 400, "the request was good: {body}");
        self.nodes.note(json["code"].as_str().unwrap_or("a status without a code"));
        match json["outcome"].as_str() {
            Some("not_applied") => Heard::Refused,
            _ => Heard::Unknown,
        }
    }
}

/// A timestamp in a reply.
#[must_use]
pub fn timestamp(field: &Json) -> Option<Timestamp> {
    field.as_str()?.parse().ok().map(Timestamp)
}
