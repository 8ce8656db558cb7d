//! HTTP clients of a cluster, and what went wrong with their requests.
use reqwest::{Client, RequestBuilder, StatusCode};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// How a request ended.
pub enum Sent {
    /// No connection came about, so nothing was sent.
    NotSent,
    /// The connection broke, or no answer came in time.
    Broken,
    /// Answered.
    Answer(StatusCode, String),
}

/// The nodes of a cluster.
pub struct Nodes {
    urls: Vec<String>,
    /// Makes requests.
    pub client: Client,
    codes: Mutex<BTreeMap<String, u64>>,
}

impl Nodes {
    /// They listen at `urls`.
    #[must_use]
    pub fn new(urls: Vec<String>) -> Self {
        let client = Client::builder().connect_timeout(Duration::from_secs(1)).build().unwrap();
        Self { urls, client, codes: Mutex::default() }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.urls.len()
    }

    /// Where a node listens.
    #[must_use]
    pub fn url(&self, node: usize) -> &str {
        &self.urls[node]
    }

    /// Error codes seen so far, and failures of connections by kind.
    #[must_use]
    pub fn codes(&self) -> BTreeMap<String, u64> {
        self.codes.lock().unwrap().clone()
    }

    /// One more of `code` was seen.
    pub fn note(&self, code: &str) {
        *self.codes.lock().unwrap().entry(code.to_owned()).or_default() += 1;
    }

    /// Sends a request, and notes it if its connection fails.
    pub async fn send(&self, request: RequestBuilder) -> Sent {
        let broken = |error: reqwest::Error| {
            self.note(if error.is_timeout() { "no answer in time" } else { "connection broken" });
            Sent::Broken
        };
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() => {
                self.note("not connected");
                return Sent::NotSent;
            }
            Err(error) => return broken(error),
        };
        let status = answer.status();
        match answer.text().await {
            Ok(body) => Sent::Answer(status, body),
            Err(error) => broken(error),
        }
    }
}
