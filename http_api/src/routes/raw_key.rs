//! `/v1/raw/keys/{key}`: one key. The body is the value, whatever its content type.
use super::operation::{
    Content, Holds, Operation, Param, READ, Reply, Verb, header as head, path, query, schema,
};
use super::{Answer, accepts, json_with, served_by};
use crate::error::Problem;
use crate::gate::body::{Body, BodyKind};
use crate::gate::call::{Call, header_text};
use crate::json::bytes::{BytesOut, ENCODINGS, Enc, KEY_ENCODINGS};
use crate::json::reply::{Hex64, KeyWritten, RowOut};
use crate::rows::{expiry, key_in_path, not_found, ttl_ms};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use troupe_actors::kv_service::ServedBy;
use troupe_types::command::{RawChange, RawExpectation, RawRow};
use troupe_types::key::raw_key;
use troupe_types::raw_value::value_hash;
use troupe_types::{Code, Key};

const PATH: &str = "/v1/raw/keys/{key:.*}";
/// What stands in front of the key.
const BEFORE_KEY: &str = "/v1/raw/keys/";

const KEY: Param = path(
    "key",
    Holds::Text,
    "The key: all that follows, percent-encoded UTF-8 (`/` may stay as it is).",
);
const KENC: Param =
    query("kenc", Holds::Choice(KEY_ENCODINGS), "The key is given in this encoding instead.");
const IF_MATCH: Param =
    head("If-Match", "Change only if the value has this etag; `*`: if there is one.");

/// Operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: PATH,
        name: "raw_key_get",
        tag: "raw",
        summary: "Read a key",
        about: "As JSON, or with `raw` (or `Accept: application/octet-stream`) as bytes. HEAD \
                answers the headers alone.",
        params: &[
            KEY,
            KENC,
            query("raw", Holds::Switch, "Answer the bytes of the value instead of JSON."),
            query("enc", Holds::Choice(ENCODINGS), "How bytes are shown. Default: auto."),
            head("If-None-Match", "Answer 304 if the value has this etag."),
        ],
        replies: &[
            Reply { status: 200, about: "The row.", content: Content::Json(schema::<RowOut>) },
            Reply { status: 304, about: "It has the etag.", content: Content::Nothing },
        ],
        errors: &[Code::KeyNotFound, Code::NotUtf8, Code::BadEncoding, Code::TooLarge],
        curl: "curl localhost:20180/v1/raw/keys/greeting",
        data: true,
        route: || web::route().guard(reads()).to(get),
        ..READ
    },
    Operation {
        verb: Verb::Put,
        path: PATH,
        name: "raw_key_put",
        tag: "raw",
        summary: "Write a key",
        about: "The body is the value, whatever its content type. Without a condition the value \
                before is not looked at.",
        params: &[
            KEY,
            KENC,
            query("ttl", Holds::Text, "The row ends after so long, such as `30s`."),
            IF_MATCH,
            head("If-None-Match", "`*`: write only if there is no value."),
        ],
        body: BodyKind::Value,
        takes: Content::Bytes,
        replies: &[
            Reply { status: 200, about: "Written.", content: Content::Json(schema::<KeyWritten>) },
            Reply { status: 201, about: "New.", content: Content::Json(schema::<KeyWritten>) },
        ],
        errors: &[Code::CasMismatch, Code::BadEncoding, Code::TooLarge],
        curl: "curl -X PUT localhost:20180/v1/raw/keys/greeting -d 'hello, world'",
        writes: true,
        data: true,
        route: || web::put().to(put),
    },
    Operation {
        verb: Verb::Delete,
        path: PATH,
        name: "raw_key_delete",
        tag: "raw",
        summary: "Delete a key",
        about: "Deleting a key without a value is no error.",
        params: &[KEY, KENC, IF_MATCH],
        replies: &[Reply {
            status: 200,
            about: "There is no value now.",
            content: Content::Json(schema::<KeyWritten>),
        }],
        errors: &[Code::CasMismatch, Code::BadEncoding, Code::TooLarge],
        curl: "curl -X DELETE localhost:20180/v1/raw/keys/greeting",
        writes: true,
        data: true,
        route: || web::delete().to(delete),
        ..READ
    },
];

fn reads() -> impl actix_web::guard::Guard {
    actix_web::guard::Any(actix_web::guard::Get()).or(actix_web::guard::Head())
}

async fn get(request: HttpRequest, call: Call) -> Answer {
    let (key, enc) = (key_in_path(&request, &call, BEFORE_KEY)?, call.enc()?);
    let raw = call.query.switch("raw")? || accepts(&request, "application/octet-stream");
    let known = read_etag(request.headers(), "if-none-match")?;
    let (row, by) = call.service().raw_get(raw_key(0, &key), &call.options()).await?;
    let row = row.ok_or_else(|| not_found(&key))?;
    show(row, by, &Shown { call: &call, enc, raw, known })
}

/// How a row is shown.
struct Shown<'a> {
    call: &'a Call,
    enc: Enc,
    raw: bool,
    known: Option<Etag>,
}

fn show(row: RawRow, by: ServedBy, shown: &Shown<'_>) -> Answer {
    let hash = value_hash(&row.value);
    let is_known = shown.known.is_some_and(|known| known == Etag::Any || known == Etag::Hash(hash));
    let mut reply = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    reply.insert_header((header::ETAG, quoted(hash)));
    served_by(&mut reply, by);
    if is_known {
        return Ok(reply.finish());
    }
    if shown.raw {
        reply.insert_header((header::CONTENT_TYPE, "application/octet-stream"));
        reply.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
        return Ok(reply.body(row.value));
    }
    let now = shown.call.state.parts.env.clock.unix();
    json_with(reply, &RowOut::new(row, shown.enc, false, now))
}

async fn put(request: HttpRequest, call: Call, body: Body) -> Answer {
    let key = key_in_path(&request, &call, BEFORE_KEY)?;
    let expires_at = call.query.get("ttl").map(ttl_ms).transpose()?;
    let expires_at = expires_at.map(|ttl| expiry(&call, ttl));
    let expect = condition(request.headers())?;
    let created = expect == Some(RawExpectation::Absent);
    let etag = value_hash(&body.0);
    let change = RawChange::Put { value: body.0, expires_at };
    let by = write(&request, &call, (key.clone(), change), expect).await?;
    let mut reply = if created { HttpResponse::Created() } else { HttpResponse::Ok() };
    reply.insert_header((header::ETAG, quoted(etag)));
    written(reply, by, &KeyWritten { key: BytesOut::key(key, Enc::Auto), etag: Some(Hex64(etag)) })
}

async fn delete(request: HttpRequest, call: Call) -> Answer {
    let key = key_in_path(&request, &call, BEFORE_KEY)?;
    let expect = condition(request.headers())?;
    let by = write(&request, &call, (key.clone(), RawChange::Delete), expect).await?;
    let key = BytesOut::key(key, Enc::Auto);
    written(HttpResponse::Ok(), by, &KeyWritten { key, etag: None })
}

fn written(
    mut reply: actix_web::HttpResponseBuilder,
    by: Option<ServedBy>,
    body: &KeyWritten,
) -> Answer {
    if let Some(by) = by {
        served_by(&mut reply, by);
    }
    json_with(reply, body)
}

async fn write(
    request: &HttpRequest,
    call: &Call,
    (key, change): (Key, RawChange),
    expect: Option<RawExpectation>,
) -> Result<Option<ServedBy>, Problem> {
    let (key, options) = (raw_key(0, &key), call.options());
    let Some(expect) = expect else {
        let outcome = call.service().raw_write(vec![(key, change)], &options).await;
        return match outcome.failed.into_iter().next() {
            Some((_, error)) => Err(error.into()),
            None => Ok(outcome.served_by),
        };
    };
    refuse_idempotency_key(request.headers())?;
    let swapped = call.service().raw_cas(key, expect, change, &options).await?;
    let (succeeded, previous, by) = swapped;
    if succeeded { Ok(Some(by)) } else { Err(mismatch(previous.as_deref())) }
}

fn mismatch(previous: Option<&[u8]>) -> Problem {
    let current = previous.map_or("none".to_owned(), |value| format!("{:016x}", value_hash(value)));
    let detail = "the value is not the one that the condition names; read it and decide again";
    Problem::new(Code::CasMismatch, detail).with("current", current)
}

/// A compare-and-swap that is sent twice may fail the second time because the first succeeded; a
/// client that sends a key expects us to know.
///
/// # Errors
/// `IDEMPOTENCY_UNSUPPORTED`.
pub fn refuse_idempotency_key(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key("idempotency-key") {
        let detail = "a compare-and-swap of the raw space keeps no record of requests; leave \
                      Idempotency-Key out and read the key if an outcome is unknown";
        return Err(Problem::new(Code::IdempotencyUnsupported, detail));
    }
    Ok(())
}

fn quoted(hash: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{hash:016x}\"")).expect("invariant: hexadecimal digits")
}

/// What a condition names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Etag {
    Any,
    Hash(u64),
}

/// One etag, with or without its quotes.
fn read_etag(headers: &HeaderMap, name: &'static str) -> Result<Option<Etag>, Problem> {
    let Some(text) = header_text(headers, name)? else { return Ok(None) };
    if text.trim() == "*" {
        return Ok(Some(Etag::Any));
    }
    let bare = text.trim();
    let bare = bare.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(bare);
    let digits = bare.len() == 16 && bare.bytes().all(|c| c.is_ascii_hexdigit());
    let hash = digits.then(|| u64::from_str_radix(bare, 16).ok()).flatten();
    hash.map(|hash| Some(Etag::Hash(hash))).ok_or_else(|| {
        let detail = format!("`{name}` is * or one etag of 16 hexadecimal digits in quotes");
        Problem::bad_parameter(name, detail)
    })
}

fn condition(headers: &HeaderMap) -> Result<Option<RawExpectation>, Problem> {
    let matches = read_etag(headers, "if-match")?;
    let differs = read_etag(headers, "if-none-match")?;
    match (matches, differs) {
        (None, None) => Ok(None),
        (Some(Etag::Any), None) => Ok(Some(RawExpectation::Present)),
        (Some(Etag::Hash(hash)), None) => Ok(Some(RawExpectation::Hash(hash))),
        (None, Some(Etag::Any)) => Ok(Some(RawExpectation::Absent)),
        (None, Some(Etag::Hash(hash))) => Ok(Some(RawExpectation::NotHash(hash))),
        (Some(_), Some(_)) => {
            let detail = "give one condition: If-Match or If-None-Match";
            Err(Problem::bad_parameter("if-match", detail))
        }
    }
}
