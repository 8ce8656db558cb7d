//! What a request says of itself: parameters, deadline, consistency, trace.
//!
//! Each `Kv-…` header has a twin in the query, for browsers; the query counts more.
use crate::error::Problem;
use crate::gate::Passport;
use crate::json::bytes::{ENCODINGS, Enc, KEY_ENCODINGS, KeyEnc};
use crate::json::strict::{Query, not_one_of, unknown};
use crate::routes::{Operation, Place, ResourceOps};
use crate::state::HttpState;
use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;
use troupe_actors::kv_service::{CallOptions, KvService};
use troupe_config::units::duration;
use troupe_types::request::Consistency;
use troupe_types::{Code, Key, Moment, TraceTags};

/// Names of [`Consistency`].
pub const CONSISTENCIES: &[&str] = &["leader", "linearizable", "follower"];
/// Headers of ours that requests may have.
const HEADERS: &[&str] = &["kv-consistency", "kv-timeout", "kv-trace"];
/// Parameters that every operation takes.
const COMMON: &[&str] = &["timeout", "trace"];
/// The parameter that operations on data take besides.
const CONSISTENCY: &str = "consistency";

/// The state that all handlers share.
pub(crate) fn state_of(request: &HttpRequest) -> web::Data<HttpState> {
    let state = request.app_data::<web::Data<HttpState>>().cloned();
    state.expect("invariant: the app has its state")
}

/// What the gate noted.
pub(crate) fn passport_of(request: &HttpRequest) -> Rc<Passport> {
    let passport = request.extensions().get::<Rc<Passport>>().cloned();
    passport.expect("invariant: the gate is around every handler")
}

/// A request that its handler may work on.
pub struct Call {
    /// Shared state.
    pub state: web::Data<HttpState>,
    /// What the gate noted.
    pub passport: Rc<Passport>,
    /// Parameters.
    pub query: Query,
    timeout: Duration,
    consistency: Consistency,
}

impl Call {
    fn read(request: &HttpRequest) -> Result<Self, Problem> {
        let (state, passport) = (state_of(request), passport_of(request));
        let placed = request.app_data::<ResourceOps>().and_then(|ops| ops.find(request.method()));
        let placed = placed.ok_or_else(|| Problem::internal("a handler without an operation"))?;
        let query = read_query(request.query_string(), placed.operation)?;
        check_headers(request.headers())?;
        let given = Given { query: &query, headers: request.headers() };
        let timeout = given.timeout(&state)?;
        let consistency = given.consistency()?;
        passport.trace.set(given.trace(&state, passport.id)?);
        passport.admitted.set(state.parts.env.now());
        Ok(Self { state, passport, query, timeout, consistency })
    }

    /// The service layer.
    #[must_use]
    pub fn service(&self) -> &KvService {
        &self.state.parts.service
    }

    /// When the request is given up, counted from now: what its body took does not count.
    #[must_use]
    pub fn deadline(&self) -> Moment {
        self.state.parts.env.now().after(self.timeout)
    }

    /// Options for the service layer.
    #[must_use]
    pub fn options(&self) -> CallOptions {
        let tags = self.passport.trace.get().map_or(TraceTags::NONE, TraceTags::start);
        CallOptions { deadline: self.deadline(), consistency: self.consistency, tags }
    }

    /// How the reply shows bytes.
    ///
    /// # Errors
    /// `BAD_PARAMETER`.
    pub fn enc(&self) -> Result<Enc, Problem> {
        Ok(self.query.choice("enc", ENCODINGS, Enc::from_name)?.unwrap_or_default())
    }

    /// How keys stand in the URL.
    ///
    /// # Errors
    /// `BAD_PARAMETER`.
    pub fn key_enc(&self) -> Result<KeyEnc, Problem> {
        Ok(self.query.choice("kenc", KEY_ENCODINGS, KeyEnc::from_name)?.unwrap_or_default())
    }

    /// A parameter that is a key.
    ///
    /// # Errors
    /// `BAD_ENCODING`, `TOO_LARGE`.
    pub fn query_key(&self, name: &str) -> Result<Option<Key>, Problem> {
        let Some(text) = self.query.get(name) else { return Ok(None) };
        let key = self.key_enc()?.decode(Cow::Borrowed(text))?;
        self.check_key_size(&key)?;
        Ok(Some(key))
    }

    /// A user key that something is stored under.
    ///
    /// # Errors
    /// `BAD_PARAMETER` if it is empty, `TOO_LARGE`.
    pub fn check_key(&self, key: &Key) -> Result<(), Problem> {
        if key.is_empty() {
            return Err(Problem::bad_parameter("key", "a key has at least one byte"));
        }
        self.check_key_size(key)
    }

    /// A user key or a bound of a range.
    ///
    /// # Errors
    /// `TOO_LARGE`.
    pub fn check_key_size(&self, key: &Key) -> Result<(), Problem> {
        let (limit, actual) = (self.state.parts.config.limits.key.bytes(), key.len() as u64);
        if actual > limit { Err(Problem::too_large("key_bytes", limit, actual)) } else { Ok(()) }
    }
}

impl FromRequest for Call {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(Self::read(request))
    }
}

fn read_query(text: &str, operation: &Operation) -> Result<Query, Problem> {
    if text.is_empty() {
        return Ok(Query::default());
    }
    let own = operation.params.iter().filter(|param| param.place == Place::Query);
    let mut known: Vec<&str> = own.map(|param| param.name).collect();
    known.extend(COMMON);
    if operation.data {
        known.push(CONSISTENCY);
    }
    Query::parse(text, &known)
}

/// A mistyped header would be ignored silently, and with it what it asked for.
fn check_headers(headers: &HeaderMap) -> Result<(), Problem> {
    let ours = headers.keys().map(HeaderName::as_str).filter(|name| name.starts_with("kv-"));
    for name in ours {
        if !HEADERS.contains(&name) {
            return Err(unknown("header", name, HEADERS));
        }
    }
    Ok(())
}

/// What was given, by parameter or header.
struct Given<'a> {
    query: &'a Query,
    headers: &'a HeaderMap,
}

impl<'a> Given<'a> {
    fn get(&self, parameter: &str, header: &str) -> Result<Option<&'a str>, Problem> {
        if let Some(text) = self.query.get(parameter) {
            return Ok(Some(text));
        }
        header_text(self.headers, header)
    }

    fn timeout(&self, state: &HttpState) -> Result<Duration, Problem> {
        let limits = &state.parts.config.limits;
        let Some(text) = self.get("timeout", "kv-timeout")? else {
            return Ok(limits.deadline_default);
        };
        let timeout = read_duration("timeout", text)?;
        if timeout > limits.deadline_max {
            let max = duration::to_text(limits.deadline_max);
            let detail = format!("a timeout is at most {max}");
            return Err(Problem::bad_parameter("timeout", detail).with("max", max));
        }
        Ok(timeout)
    }

    fn consistency(&self) -> Result<Consistency, Problem> {
        let Some(text) = self.get(CONSISTENCY, "kv-consistency")? else {
            return Ok(Consistency::default());
        };
        match text {
            "leader" => Ok(Consistency::Leader),
            "linearizable" => Ok(Consistency::Linearizable),
            "follower" => Ok(Consistency::Follower),
            other => {
                let problem = not_one_of(CONSISTENCY, other, CONSISTENCIES);
                Err(Problem { code: Code::BadConsistency, ..problem })
            }
        }
    }

    fn trace(&self, state: &HttpState, id: u64) -> Result<Option<u64>, Problem> {
        match self.get("trace", "kv-trace")? {
            Some("" | "1" | "true") => return Ok(Some(id)),
            Some("0" | "false") => return Ok(None),
            Some(text) => {
                let detail = "a trace is asked for with 1, or with an id of 16 hexadecimal digits";
                let given = trace_id(text);
                return given.map(Some).ok_or_else(|| Problem::bad_parameter("trace", detail));
            }
            None => {}
        }
        let parent = header_text(self.headers, "traceparent")?.and_then(sampled_parent);
        Ok(parent.or_else(|| state.is_sampled(id).then_some(id)))
    }
}

/// An id of 16 hexadecimal digits, not 0.
#[must_use]
pub fn trace_id(text: &str) -> Option<u64> {
    let digits = text.len() == 16 && text.bytes().all(|c| c.is_ascii_hexdigit());
    digits.then(|| u64::from_str_radix(text, 16).ok())?.filter(|id| *id != 0)
}

/// The lower 64 bits of the trace id of a W3C `traceparent` whose sender samples it. One that is
/// malformed is ignored, as the recommendation says.
fn sampled_parent(text: &str) -> Option<u64> {
    let mut parts = text.split('-');
    let (version, trace, _span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    let known = version.len() == 2 && version != "ff" && trace.len() == 32 && trace.is_ascii();
    if known && sampled { trace_id(&trace[16..]) } else { None }
}

/// A header as text.
///
/// # Errors
/// `BAD_PARAMETER` if it is not visible ASCII, or given twice.
pub fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let mut all = headers.get_all(name);
    let Some(value) = all.next() else { return Ok(None) };
    let bad = |why: &str| Problem::bad_parameter(name, format!("the header `{name}` {why}"));
    if all.next().is_some() {
        return Err(bad("is given twice"));
    }
    value.to_str().map(Some).map_err(|_| bad("is not visible ASCII"))
}

/// A duration above 0, such as `250ms`.
///
/// # Errors
/// `BAD_PARAMETER`.
pub fn read_duration(name: &str, text: &str) -> Result<Duration, Problem> {
    let read = duration::from_text(text);
    let read = read.map_err(|why| Problem::bad_parameter(name, why))?;
    if read.is_zero() {
        return Err(Problem::bad_parameter(name, format!("`{name}` is longer than 0")));
    }
    Ok(read)
}
