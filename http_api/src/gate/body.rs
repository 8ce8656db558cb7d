//! Reading bodies within limits of size and time.
//!
//! A client may take `limits.body-base`, and beyond that must send `limits.body-min-rate` bytes a
//! second. Only the time spent waiting for the client counts: while a streamed body is not read
//! because the cluster is slow, that is not the client's fault.
use crate::error::Problem;
use crate::gate::Passport;
use crate::gate::admission::Ticket;
use crate::gate::call::{passport_of, state_of};
use crate::routes::ResourceOps;
use crate::state::HttpState;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use troupe_types::{Code, Moment};

/// A body whose arrival is watched.
pub struct PacedBody {
    payload: Payload,
    state: web::Data<HttpState>,
    waited: Duration,
    /// When the next part was first asked for.
    waiting_since: Option<Moment>,
    received: u64,
}

impl PacedBody {
    /// Watches `payload`.
    #[must_use]
    pub fn new(payload: Payload, state: web::Data<HttpState>) -> Self {
        Self { payload, state, waited: Duration::ZERO, waiting_since: None, received: 0 }
    }

    /// The next part; `None` at the end. May be dropped and asked again: nothing is lost, and the
    /// time counts.
    ///
    /// # Errors
    /// `REQUEST_TIMEOUT`, `BAD_PARAMETER` if the body breaks off or its framing is wrong.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let limits = &self.state.parts.config.limits;
        let rate = limits.body_min_rate.bytes().max(1);
        let by_size = Duration::from_secs_f64(self.received as f64 / rate as f64);
        let now = self.state.parts.env.now();
        let since = *self.waiting_since.get_or_insert(now);
        let left = (limits.body_base + by_size).saturating_sub(self.waited + now.since(since));
        let part = tokio::time::timeout(left, self.payload.next()).await;
        self.waited += self.state.parts.env.now().since(since);
        self.waiting_since = None;
        match part {
            Err(_) => Err(self.too_slow()),
            Ok(None) => Ok(None),
            Ok(Some(Ok(part))) => {
                self.received += part.len() as u64;
                Ok(Some(part))
            }
            Ok(Some(Err(error))) => Err(broken(&error)),
        }
    }

    fn too_slow(&self) -> Problem {
        let limits = &self.state.parts.config.limits;
        let rate = limits.body_min_rate;
        let detail = format!("after {} bytes the body went slower than {rate}/s", self.received);
        Problem::new(Code::RequestTimeout, detail)
            .with("received", self.received)
            .with("min_rate", rate.bytes())
    }

    /// All of it.
    ///
    /// # Errors
    /// As [`PacedBody::next`]; `TOO_LARGE`; `SERVER_BUSY`.
    async fn read(mut self, limit: &Limit, ticket: Option<Arc<Ticket>>) -> Result<Bytes, Problem> {
        let claim = |bytes: u64| ticket.as_ref().map_or(Ok(()), |ticket| ticket.add_bytes(bytes));
        if let Some(length) = limit.announced {
            limit.check(length)?;
            claim(length)?;
        }
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        if limit.announced == Some(first.len() as u64) {
            return Ok(first);
        }
        let mut whole = BytesMut::with_capacity(usize::try_from(limit.size_hint()).unwrap_or(0));
        let mut part = Some(first);
        while let Some(bytes) = part {
            limit.check(whole.len() as u64 + bytes.len() as u64)?;
            if limit.announced.is_none() {
                claim(bytes.len() as u64)?;
            }
            whole.extend_from_slice(&bytes);
            part = self.next().await?;
        }
        Ok(whole.freeze())
    }
}

fn broken(error: &PayloadError) -> Problem {
    Problem::new(Code::BadParameter, format!("the body cannot be read: {error}"))
}

/// How large a body may be, and how large it says it is.
struct Limit {
    what: &'static str,
    max: u64,
    announced: Option<u64>,
}

impl Limit {
    fn check(&self, length: u64) -> Result<(), Problem> {
        if length > self.max {
            Err(Problem::too_large(self.what, self.max, length))
        } else {
            Ok(())
        }
    }

    /// What is worth allocating at once: an announcement is not yet a byte.
    fn size_hint(&self) -> u64 {
        const AT_ONCE: u64 = 1 << 20;
        self.announced.unwrap_or(0).min(self.max).min(AT_ONCE)
    }
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// None is read.
    None,
    /// JSON.
    Json,
    /// A value, as it is.
    Value,
    /// A stream of lines, read by the handler itself.
    Lines,
}

/// The whole body, read within the limits of the operation.
pub struct Body(pub Bytes);

impl FromRequest for Body {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (state, passport) = (state_of(request), passport_of(request));
        let limit = limit_of(request, &state);
        let body = PacedBody::new(payload.take(), state);
        Box::pin(async move { body.read(&limit, ticket_of(&passport)).await.map(Self) })
    }
}

fn ticket_of(passport: &Rc<Passport>) -> Option<Arc<Ticket>> {
    passport.ticket.clone()
}

fn limit_of(request: &HttpRequest, state: &HttpState) -> Limit {
    let placed = request.app_data::<ResourceOps>().and_then(|ops| ops.find(request.method()));
    let limits = &state.parts.config.limits;
    let (what, max) = match placed.map(|placed| placed.operation.body) {
        Some(BodyKind::Value) => ("value_bytes", limits.value.bytes()),
        Some(BodyKind::None | BodyKind::Json | BodyKind::Lines) | None => {
            ("body_bytes", limits.body.bytes())
        }
    };
    let length = request.headers().get(header::CONTENT_LENGTH);
    let announced = length.and_then(|length| length.to_str().ok()?.parse().ok());
    Limit { what, max, announced }
}

/// The body as a stream, for operations that take lines.
pub struct BodyStream(pub PacedBody);

impl FromRequest for BodyStream {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = PacedBody::new(payload.take(), state_of(request));
        std::future::ready(Ok(Self(body)))
    }
}
