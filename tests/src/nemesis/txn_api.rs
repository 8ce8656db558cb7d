//! Requests of the transactional space over HTTP, and what their answers say about their effect.
use crate::workload::txn::Fate;
use reqwest::Client;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Mutex;
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

/// HTTP clients of a cluster.
pub struct TxnApi {
    urls: Vec<String>,
    client: Client,
    codes: Mutex<BTreeMap<String, u64>>,
}

impl TxnApi {
    /// Of nodes that listen at `urls`.
    #[must_use]
    pub fn new(urls: Vec<String>) -> Self {
        let client = Client::builder().connect_timeout(Duration::from_secs(1)).build().unwrap();
        Self { urls, client, codes: Mutex::default() }
    }

    /// How many nodes there are.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.urls.len()
    }

    /// Error codes seen so far, and failures of connections by kind.
    #[must_use]
    pub fn codes(&self) -> BTreeMap<String, u64> {
        self.codes.lock().unwrap().clone()
    }

    fn note(&self, code: &str) {
        *self.codes.lock().unwrap().entry(code.to_owned()).or_default() += 1;
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
        let url = format!("{}{path}{between}timeout={}ms", self.urls[node], patience.as_millis());
        let mut request = self
            .client
            .post(url)
            .header("Content-Type", "application/json")
            .body(body.to_string())
            .timeout(patience + MARGIN);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", format!("\"{key}\""));
        }
        self.heard(request.send().await).await
    }

    /// Gets a path of `node`.
    pub async fn get(&self, node: usize, path: &str) -> Heard {
        let request = self.client.get(format!("{}{path}", self.urls[node]));
        self.heard(request.timeout(Duration::from_secs(10)).send().await).await
    }

    async fn heard(&self, sent: reqwest::Result<reqwest::Response>) -> Heard {
        let broken = |error: reqwest::Error| {
            self.note(if error.is_timeout() { "no answer in time" } else { "connection broken" });
            Heard::Unknown
        };
        let answer = match sent {
            Ok(answer) => answer,
            // No connection came about, so nothing was sent.
            Err(error) if error.is_connect() => {
                self.note("not connected");
                return Heard::Refused;
            }
            Err(error) => return broken(error),
        };
        let status = answer.status();
        let body = match answer.text().await {
            Ok(body) => body,
            Err(error) => return broken(error),
        };
        let json: Json = serde_json::from_str(&body).unwrap_or_default();
        if status.is_success() {
            return Heard::Answer(json);
        }
        assert!(status.as_u16() != 400, "the request was good: {body}");
        self.note(json["code"].as_str().unwrap_or("a status without a code"));
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
