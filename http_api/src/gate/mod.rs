//! The gate: the one middleware around all handlers.
//!
//! In order: request id → Host and Origin → admission → handler (panics caught) → problem rendered
//! → headers and metrics. One middleware, since each costs a boxed future a request.
//!
//! | file | subject |
//! |---|---|
//! | [`host`] | which hosts and origins are ours |
//! | [`admission`] | requests and bytes in flight |
//! | [`body`] | reading bodies within limits of size and time |
//! | [`call`] | what a request says of itself: parameters, deadline, consistency, trace |
pub mod admission;
pub mod body;
pub mod call;
pub mod host;

use crate::error::{Problem, problem_of_status, status_of};
use crate::json::reply::Hex64;
use crate::routes::{Placed, ResourceOps};
use crate::state::HttpState;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpResponse, ResponseError, web};
use admission::Ticket;
use bytes::Bytes;
use futures::FutureExt;
use std::cell::Cell;
use std::fmt;
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use troupe_actors::trace::Span;
use troupe_types::Moment;

/// Number of the request, in every reply.
static REQUEST_ID: HeaderName = HeaderName::from_static("kv-request-id");
/// Where the trace is, in the reply to a traced request.
static TRACE_URL: HeaderName = HeaderName::from_static("kv-trace-url");
/// Where the time went.
static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// What the gate knows of a request; handlers find it in the request's extensions.
pub struct Passport {
    /// Number of the request.
    pub id: u64,
    /// When its head had arrived.
    pub started: Moment,
    /// When its handler began, set by [`call::Call`].
    pub admitted: Cell<Moment>,
    /// The trace that it belongs to, set by [`call::Call`].
    pub trace: Cell<Option<u64>>,
    /// What it holds of the admission's budget; probes hold nothing.
    pub ticket: Option<Arc<Ticket>>,
}

/// The middleware.
///
/// # Errors
/// [`Crashed`] if the handler panicked, which actix renders as its problem.
pub async fn gate<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let state = request.app_data::<web::Data<HttpState>>().cloned();
    let state = state.expect("invariant: the app has its state");
    let (id, started) = (state.next_request(), state.parts.env.now());
    let passport = match pass(&request, &state, id, started) {
        Ok(passport) => Rc::new(passport),
        Err(problem) => {
            let mut reply = problem.response(&Hex64(id).to_string(), false);
            set_hex(reply.headers_mut(), &REQUEST_ID, id);
            state.metrics.refused(reply.status());
            return Ok(request.into_response(reply));
        }
    };
    request.extensions_mut().insert(passport.clone());
    let outcome = AssertUnwindSafe(next.call(request)).catch_unwind().await;
    let Ok(response) = outcome else {
        state.metrics.refused(StatusCode::INTERNAL_SERVER_ERROR);
        return Err(Crashed { id }.into());
    };
    let mut response = render_problem(response?, id);
    finish(&state, &passport, &mut response);
    Ok(response)
}

/// Everything that is refused before a handler is looked for.
fn pass(
    request: &ServiceRequest,
    state: &HttpState,
    id: u64,
    started: Moment,
) -> Result<Passport, Problem> {
    state.hosts.check(request.head())?;
    let ticket = match is_probe(request.path()) {
        true => None,
        false => Some(Arc::new(Ticket::new(&state.admission)?)),
    };
    Ok(Passport { id, started, admitted: Cell::new(started), trace: Cell::new(None), ticket })
}

/// An operator must be able to look at a node that is full.
fn is_probe(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz" | "/metrics")
}

/// Gives the reply of a failed request its final form, with the request id.
fn render_problem<B: MessageBody + 'static>(
    response: ServiceResponse<B>,
    id: u64,
) -> ServiceResponse<BoxBody> {
    let Some(error) = response.response().error() else { return response.map_into_boxed_body() };
    let problem = error.as_error::<Problem>().cloned();
    let problem = problem.unwrap_or_else(|| {
        problem_of_status(error.as_response_error().status_code(), error.to_string())
    });
    let writes = operation_of(&response).is_some_and(|placed| placed.operation.writes);
    let allow = response.headers().get(actix_web::http::header::ALLOW).cloned();
    let mut reply = problem.response(&Hex64(id).to_string(), writes);
    if let Some(allow) = allow {
        reply.headers_mut().insert(actix_web::http::header::ALLOW, allow);
    }
    response.into_response(reply)
}

fn operation_of<B>(response: &ServiceResponse<B>) -> Option<Placed> {
    let request = response.request();
    request.app_data::<ResourceOps>()?.find(request.method())
}

/// Headers, metrics and the trace's root.
fn finish(state: &HttpState, passport: &Passport, response: &mut ServiceResponse<BoxBody>) {
    let now = state.parts.env.now();
    let placed = operation_of(response);
    let total = now.since(passport.started);
    let status = response.status();
    match placed {
        Some(placed) => state.metrics.served(placed.index, status, total),
        None => state.metrics.refused(status),
    }
    let admit = passport.admitted.get().since(passport.started);
    let headers = response.headers_mut();
    set_hex(headers, &REQUEST_ID, passport.id);
    if let Ok(timing) = HeaderValue::from_maybe_shared(server_timing(admit, total)) {
        headers.insert(SERVER_TIMING.clone(), timing);
    }
    if let Some(trace) = passport.trace.get() {
        if let Ok(url) = HeaderValue::try_from(format!("/v1/traces/{trace:016x}")) {
            headers.insert(TRACE_URL.clone(), url);
        }
        state.parts.env.traces.push(Span {
            trace,
            seq: 0,
            from: "client".to_owned(),
            to: format!("gateway-{}", state.parts.node.id),
            message: placed.map_or("request", |placed| placed.operation.name),
            sent: passport.started,
            handled_at: state.parts.env.clock.unix(),
            wait_us: micros(admit),
            work_us: micros(total.saturating_sub(admit)),
        });
    }
}

/// Whole microseconds, written as milliseconds: without floating point, whose digits cost more than
/// all other headers together.
fn server_timing(admit: std::time::Duration, total: std::time::Duration) -> Bytes {
    let mut text = Vec::with_capacity(64);
    let serve = total.saturating_sub(admit);
    for (name, part) in [("admit", admit), (", serve", serve), (", total", total)] {
        let us = micros(part);
        // Writing into memory does not fail.
        let _ = write!(text, "{name};dur={}.{:03}", us / 1000, us % 1000);
    }
    text.into()
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn set_hex(headers: &mut HeaderMap, name: &HeaderName, number: u64) {
    let mut digits = [0; 16];
    let written = hex::encode_to_slice(number.to_be_bytes(), &mut digits);
    written.expect("invariant: 8 bytes have 16 digits");
    if let Ok(value) = HeaderValue::from_bytes(&digits) {
        headers.insert(name.clone(), value);
    }
}

/// A handler that panicked. The request is gone with it, so actix makes the reply from this.
#[derive(Debug)]
pub struct Crashed {
    id: u64,
}

impl Crashed {
    fn problem() -> Problem {
        Problem::internal("a handler of the HTTP gateway panicked; the log has its message")
    }
}

impl fmt::Display for Crashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the handler of request {:016x} panicked", self.id)
    }
}

impl ResponseError for Crashed {
    fn status_code(&self) -> StatusCode {
        status_of(troupe_types::Code::Internal)
    }

    fn error_response(&self) -> HttpResponse {
        let mut reply = Self::problem().response(&Hex64(self.id).to_string(), true);
        set_hex(reply.headers_mut(), &REQUEST_ID, self.id);
        reply
    }
}
