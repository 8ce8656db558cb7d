//! A request to the JSON API, before it is sent or printed.
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;
use troupe_config::units::duration::to_text;

/// What may stand in a part of a URL as it is.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b':');

/// A request to the JSON API.
#[derive(Clone, Debug)]
pub struct ApiRequest {
    /// HTTP method.
    pub method: Method,
    /// Path from `/` on, percent-encoded.
    pub path: String,
    /// Query parameters, not encoded.
    pub query: Vec<(String, String)>,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Body,
}

/// The body of a request.
#[derive(Clone, Debug)]
pub enum Body {
    /// None.
    Empty,
    /// These bytes.
    Bytes(Vec<u8>),
    /// A JSON document.
    Json(Value),
    /// What a file holds, streamed.
    File(PathBuf),
    /// What comes on stdin, streamed.
    Stdin,
}

impl ApiRequest {
    /// A request without query, headers and body.
    #[must_use]
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        let path = path.into();
        Self { method, path, query: Vec::new(), headers: Vec::new(), body: Body::Empty }
    }

    /// A GET.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// A POST of a JSON document.
    #[must_use]
    pub fn post(path: impl Into<String>, body: Value) -> Self {
        Self { body: Body::Json(body), ..Self::new(Method::POST, path) }
    }

    /// The same with a query parameter.
    #[must_use]
    pub fn with_query(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    /// The same with a query parameter, if there is a value for it.
    #[must_use]
    pub fn with_optional<T: ToString>(self, name: &str, value: Option<T>) -> Self {
        match value {
            Some(value) => self.with_query(name, value),
            None => self,
        }
    }

    /// The same with a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The same with a time limit for the server.
    #[must_use]
    pub fn with_timeout(self, timeout: Option<Duration>) -> Self {
        match timeout {
            Some(timeout) => self.with_header("Kv-Timeout", to_text(timeout)),
            None => self,
        }
    }

    /// The same with a body.
    #[must_use]
    pub fn with_body(self, body: Body) -> Self {
        Self { body, ..self }
    }

    /// The whole URL; `base` is the address of a node.
    #[must_use]
    pub fn url(&self, base: &str) -> String {
        let base = base.trim_end_matches('/');
        let scheme = if base.contains("://") { "" } else { "http://" };
        let mut url = format!("{scheme}{base}{}", self.path);
        for (i, (name, value)) in self.query.iter().enumerate() {
            url.push(if i == 0 { '?' } else { '&' });
            url.push_str(&path_segment(name));
            url.push('=');
            url.push_str(&path_segment(value));
        }
        url
    }

    /// Can this change anything?
    #[must_use]
    pub fn is_write(&self) -> bool {
        const READS: [&str; 5] =
            ["/v1/raw/get", "/v1/raw/scan", "/v1/raw/checksum", "/v1/kv/get", "/v1/kv/scan"];
        let reads = self.method == Method::GET || self.method == Method::HEAD;
        !reads && !READS.contains(&self.path.as_str())
    }
}

/// Text as one part of a path, or as a query value.
#[must_use]
pub fn path_segment(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}
