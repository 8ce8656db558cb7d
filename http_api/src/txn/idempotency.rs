//! `Idempotency-Key`: a request that takes effect once, however often it is sent.
use crate::error::Problem;
use crate::gate::call::header_text;
use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName};
use bytes::BufMut;
use troupe_types::raw_value::value_hash;
use troupe_types::txn::session::Idempotency;

const NAME: &str = "idempotency-key";
const LONGEST: usize = 255;
/// Parameters that change how a request is served or shown, but not what it does.
const WITHOUT_EFFECT: &[&str] = &["timeout", "trace", "consistency", "enc"];
/// Headers that change what a request does.
const WITH_EFFECT: &[&str] = &["if-match", "if-none-match"];

/// The key of a request with this body, if it has one.
///
/// # Errors
/// `BAD_PARAMETER`.
pub fn of_request(request: &HttpRequest, body: &[u8]) -> Result<Option<Idempotency>, Problem> {
    let Some(text) = header_text(request.headers(), NAME)? else { return Ok(None) };
    let text = text.trim();
    let key = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    if !(1..=LONGEST).contains(&key.len()) || key.contains('"') {
        let detail = "an Idempotency-Key has 1 to 255 characters, in quotes or without";
        return Err(Problem::bad_parameter(NAME, detail));
    }
    Ok(Some(Idempotency { key: key.to_owned(), fingerprint: fingerprint(request, body) }))
}

fn fingerprint(request: &HttpRequest, body: &[u8]) -> u64 {
    let mut asked = Vec::with_capacity(body.len() + 128);
    let mut add = |part: &[u8]| {
        asked.put_u64(part.len() as u64);
        asked.put_slice(part);
    };
    add(request.method().as_str().as_bytes());
    add(request.uri().path().as_bytes());
    for parameter in request.query_string().split('&') {
        let name = parameter.split('=').next().unwrap_or_default();
        if !WITHOUT_EFFECT.contains(&name) {
            add(parameter.as_bytes());
        }
    }
    WITH_EFFECT.iter().for_each(|name| add(header_bytes(request.headers(), name)));
    add(body);
    value_hash(&asked)
}

fn header_bytes<'a>(headers: &'a HeaderMap, name: &'static str) -> &'a [u8] {
    headers.get(HeaderName::from_static(name)).map_or(b"", |value| value.as_bytes())
}
