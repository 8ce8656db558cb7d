//! Problems: what a client is told when something went wrong (RFC 9457, `application/problem+json`).
//!
//! The one place that knows which HTTP status a [`Code`] has. Handlers answer `Err(Problem)`; the
//! gate adds the request id and renders it.
use crate::json::txn::refusal;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use retry::{How, how, tikv_code, usual_pause_ms};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use troupe_actors::kv_service::ServiceError;
use troupe_types::{Class, Code};

pub mod retry;

/// A figure or name that belongs to a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Fact {
    /// Text.
    Text(String),
    /// A count or size.
    Number(u64),
    /// Several texts.
    List(Vec<String>),
    /// Anything else.
    Json(serde_json::Value),
}

impl From<&str> for Fact {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Fact {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Fact {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<usize> for Fact {
    fn from(number: usize) -> Self {
        Self::Number(number as u64)
    }
}

impl From<Vec<String>> for Fact {
    fn from(list: Vec<String>) -> Self {
        Self::List(list)
    }
}

/// What went wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Stable code.
    pub code: Code,
    /// For people: what exactly is wrong here.
    pub detail: Cow<'static, str>,
    /// Names and figures, in the order shown.
    pub context: Vec<(&'static str, Fact)>,
    /// When to try again, if the server knows better than the default.
    pub retry_after_ms: Option<u64>,
}

impl Problem {
    /// Without further facts.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), context: Vec::new(), retry_after_ms: None }
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, name: &'static str, fact: impl Into<Fact>) -> Self {
        self.context.push((name, fact.into()));
        self
    }

    /// A part of the request is too large: which, the limit and the actual size.
    #[must_use]
    pub fn too_large(what: &'static str, limit: u64, actual: u64) -> Self {
        Self::new(Code::TooLarge, format!("{what}: {actual} are more than the limit of {limit}"))
            .with("what", what)
            .with("limit", limit)
            .with("actual", actual)
    }

    /// A parameter whose value is not allowed.
    pub fn bad_parameter(name: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::BadParameter, detail).with("parameter", name)
    }

    /// A bug: an answer that does not fit its question.
    #[must_use]
    pub fn internal(detail: &'static str) -> Self {
        tracing::error!(detail, "internal error in the HTTP gateway");
        Self::new(Code::Internal, detail)
    }

    /// The body of the reply.
    #[must_use]
    pub fn render(&self, request_id: &str, writes: bool) -> Rendered<'_> {
        Rendered { problem: self, request_id: request_id.to_owned(), writes }
    }

    /// The whole reply.
    #[must_use]
    pub fn response(&self, request_id: &str, writes: bool) -> HttpResponse {
        let mut reply = HttpResponse::build(status_of(self.code));
        reply.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        reply.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
        if let Some(seconds) = self.retry_after_seconds() {
            reply.insert_header((header::RETRY_AFTER, HeaderValue::from(seconds)));
        }
        let body = serde_json::to_vec(&self.render(request_id, writes));
        reply.body(body.expect("invariant: a problem is plain data"))
    }

    fn retry_after_seconds(&self) -> Option<u64> {
        let asked = self.retry_after_ms.map(|ms| ms.div_ceil(1000).max(1));
        asked.or_else(|| (status_of(self.code) == StatusCode::SERVICE_UNAVAILABLE).then_some(1))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        status_of(self.code)
    }

    fn error_response(&self) -> HttpResponse {
        self.response("", false)
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        let mut problem = match &error.txn {
            Some(txn) => {
                Self { context: refusal::facts(txn), ..Self::new(error.code, refusal::detail(txn)) }
            }
            None => Self::new(error.code, error.detail),
        };
        problem.retry_after_ms = error.retry_after_ms;
        if let Some(region) = error.region {
            problem = problem.with("region", region.get());
        }
        if !error.causes.is_empty() {
            problem = problem.with("causes", error.causes);
        }
        problem
    }
}

/// A problem as its JSON stands in a reply.
pub struct Rendered<'a> {
    problem: &'a Problem,
    request_id: String,
    writes: bool,
}

impl Serialize for Rendered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Problem { code, detail, context, retry_after_ms } = self.problem;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &format_args!("/docs/errors/{}", code.as_str()))?;
        map.serialize_entry("title", code.title())?;
        map.serialize_entry("status", &status_of(*code).as_u16())?;
        map.serialize_entry("code", code.as_str())?;
        if let Some(tikv) = tikv_code(*code) {
            map.serialize_entry("tikv_code", tikv)?;
        }
        map.serialize_entry("detail", detail)?;
        let how = how(*code);
        map.serialize_entry("retryable", &(how != How::None))?;
        if how != How::None {
            let after_ms = retry_after_ms.unwrap_or_else(|| usual_pause_ms(*code));
            map.serialize_entry("retry", &Retry { how, after_ms })?;
        }
        map.serialize_entry("outcome", outcome(*code, self.writes))?;
        map.serialize_entry("context", &Facts(context))?;
        map.serialize_entry("request_id", &self.request_id)?;
        map.end()
    }
}

/// How to go on, and when.
#[derive(Serialize)]
struct Retry {
    how: How,
    after_ms: u64,
}

struct Facts<'a>(&'a [(&'static str, Fact)]);

impl Serialize for Facts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, fact)| (name, fact)))
    }
}

/// May the same request succeed later without being changed?
#[must_use]
pub fn is_retryable(code: Code) -> bool {
    how(code) == How::SameRequest
}

/// What became of the request: `not_applied`, `unknown`, or `none` if it would change nothing.
#[must_use]
pub fn outcome(code: Code, writes: bool) -> &'static str {
    match (writes, code.class()) {
        (false, _) => "none",
        (true, Class::Retry | Class::Conflict | Class::BadInput) => "not_applied",
        (true, Class::Unknown | Class::Fatal) => "unknown",
    }
}

/// The HTTP status of a code. Nowhere else is one chosen for an error.
#[must_use]
pub fn status_of(code: Code) -> StatusCode {
    match code {
        Code::BadJson
        | Code::UnknownField
        | Code::BadEncoding
        | Code::BadRange
        | Code::BadCursor
        | Code::BadConsistency
        | Code::BadParameter
        | Code::IdempotencyUnsupported => StatusCode::BAD_REQUEST,
        Code::BadHost => StatusCode::MISDIRECTED_REQUEST,
        Code::ConfirmationNeeded => StatusCode::FORBIDDEN,
        Code::KeyNotFound
        | Code::RegionNotFound
        | Code::StoreNotFound
        | Code::NotFound
        | Code::TxnNotFound => StatusCode::NOT_FOUND,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::SnapshotGone | Code::TxnExpired => StatusCode::GONE,
        Code::OperatorConflict
        | Code::StoreNotEmpty
        | Code::WriteConflict
        | Code::Deadlock
        | Code::LockWaitTimeout
        | Code::AlreadyExists
        | Code::AssertionFailed
        | Code::CommitTsExpired
        | Code::TxnRolledBack
        | Code::IdempotentInProgress => StatusCode::CONFLICT,
        Code::CasMismatch => StatusCode::PRECONDITION_FAILED,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::NotUtf8 | Code::NotAnInteger | Code::IdempotencyMismatch => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Code::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        Code::ServerBusy
        | Code::RegionUnavailable
        | Code::NoQuorum
        | Code::DiskFull
        | Code::PdUnavailable
        | Code::NotReady
        | Code::DataNotReady => StatusCode::SERVICE_UNAVAILABLE,
        Code::Internal | Code::ActorCrashed | Code::Corruption => StatusCode::INTERNAL_SERVER_ERROR,
        Code::NotSupported => StatusCode::NOT_IMPLEMENTED,
        Code::DeadlineExceeded | Code::OutcomeUnknown | Code::TxnOutcomeUnknown => {
            StatusCode::GATEWAY_TIMEOUT
        }
    }
}

/// The problem of an error that actix itself made (a path that does not decode, a broken payload).
#[must_use]
pub fn problem_of_status(status: StatusCode, detail: String) -> Problem {
    let code = match status {
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => Code::TooLarge,
        StatusCode::REQUEST_TIMEOUT => Code::RequestTimeout,
        _ if status.is_client_error() => Code::BadParameter,
        _ => Code::Internal,
    };
    Problem::new(code, detail)
}

#[cfg(test)]
mod tests;
