//! What the server says went wrong.
use serde::Deserialize;
use serde_json::{Map, Value};
use std::fmt;
use troupe_http_api::error_pages::remedy;
use troupe_types::Code;

/// Its transaction is over; the same work may succeed in another.
const NEW: &str = "new_transaction";

/// A body of type `application/problem+json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Problem {
    /// HTTP status.
    #[serde(default)]
    pub status: u16,
    /// Stable code, such as `KEY_NOT_FOUND`.
    pub code: String,
    /// What the code means, for people.
    #[serde(default)]
    pub title: String,
    /// What happened this time.
    #[serde(default)]
    pub detail: Option<String>,
    /// May the same request be tried again?
    #[serde(default)]
    pub retryable: bool,
    /// How it may be tried again.
    #[serde(default)]
    pub retry: Map<String, Value>,
    /// Names and numbers that belong to it.
    #[serde(default)]
    pub context: Map<String, Value>,
    /// Finds the request in the server's logs.
    #[serde(default)]
    pub request_id: Option<String>,
}

impl Problem {
    /// A problem out of a reply that should hold one.
    #[must_use]
    pub fn from_reply(status: u16, body: &[u8]) -> Self {
        match serde_json::from_slice::<Self>(body) {
            Ok(problem) => Self { status, ..problem },
            Err(_) => Self {
                status,
                code: format!("HTTP_{status}"),
                title: "The server answered with an error that is not of this API".to_owned(),
                detail: Some(String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned())
                    .filter(|text| !text.is_empty()),
                retryable: false,
                retry: Map::new(),
                context: Map::new(),
                request_id: None,
            },
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.title, self.code)?;
        if let Some(detail) = self.detail.as_ref().filter(|detail| **detail != self.title) {
            write!(f, ": {detail}")?;
        }
        for (name, value) in &self.context {
            write!(f, "\n  {name}: {value}")?;
        }
        if self.retryable {
            let how = self.retry.get("how").and_then(Value::as_str);
            let how = if how == Some(NEW) { " in a new transaction" } else { "" };
            write!(f, "\n  may be tried again{how}")?;
        }
        if let Some(code) = Code::ALL.into_iter().find(|known| known.as_str() == self.code) {
            write!(f, "\n  what to do: {}", remedy(code))?;
        }
        match &self.request_id {
            Some(id) => write!(f, "\n  request: {id}"),
            None => Ok(()),
        }
    }
}
