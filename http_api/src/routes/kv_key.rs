//! `/v1/kv/keys/{key}`: one key of the transactional space. Each write is a transaction of its own.
use super::operation::{
    Content, Holds, Operation, Param, READ, Reply, Verb, header as head, path, query, schema,
};
use super::{Answer, COMMIT_TS, READ_TS, accepts, decimal, json_with, served_by};
use crate::error::Problem;
use crate::gate::body::{Body, BodyKind};
use crate::gate::call::{Call, header_text};
use crate::json::bytes::{BytesOut, ENCODINGS, Enc, KEY_ENCODINGS};
use crate::json::reply::Decimal;
use crate::json::txn::numbers::digits;
use crate::json::txn::row::{KvRow, KvWritten, RowStyle};
use crate::rows::{key_in_path, not_found, ttl_ms};
use crate::space::Space;
use crate::txn::{idempotency, moment};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use troupe_types::txn::session::{
    Comparison, Condition, OneShot, OneShotOutcome, TxnCompare, TxnOp, TxnOpResult,
};
use troupe_types::{Code, Key, Timestamp};

const PATH: &str = "/v1/kv/keys/{key:.*}";
/// What stands in front of the key.
const BEFORE_KEY: &str = "/v1/kv/keys/";

const KEY: Param = path(
    "key",
    Holds::Text,
    "The key: all that follows, percent-encoded UTF-8 (`/` may stay as it is).",
);
const KENC: Param =
    query("kenc", Holds::Choice(KEY_ENCODINGS), "The key is given in this encoding instead.");
const IF_MATCH: Param =
    head("If-Match", "Change only if the key has this version; `*`: if it has a value.");
/// Of operations that take effect once.
pub(super) const IDEMPOTENCY: Param =
    head("Idempotency-Key", "Takes effect once, however often it is sent within 24 hours.");
/// Codes that every transaction may end with.
pub(super) const TXN_ERRORS: &[Code] = &[
    Code::BadJson,
    Code::BadEncoding,
    Code::BadRange,
    Code::TooLarge,
    Code::NotUtf8,
    Code::WriteConflict,
    Code::Deadlock,
    Code::LockWaitTimeout,
    Code::AlreadyExists,
    Code::AssertionFailed,
    Code::CommitTsExpired,
    Code::TxnRolledBack,
    Code::NotAnInteger,
    Code::IdempotentInProgress,
    Code::IdempotencyMismatch,
    Code::TxnOutcomeUnknown,
    Code::PdUnavailable,
];
const WRITE_ERRORS: &[Code] = &[
    Code::CasMismatch,
    Code::BadEncoding,
    Code::TooLarge,
    Code::WriteConflict,
    Code::LockWaitTimeout,
    Code::IdempotentInProgress,
    Code::IdempotencyMismatch,
    Code::TxnOutcomeUnknown,
    Code::PdUnavailable,
];

/// Operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: PATH,
        name: "kv_key_get",
        tag: "kv",
        summary: "Read a key",
        about: "The newest commit, or with `at` the one of that moment. As JSON, or with `raw` (or \
                `Accept: application/octet-stream`) as bytes. HEAD answers the headers alone. `ETag` \
                is the version.",
        params: &[
            KEY,
            KENC,
            query("at", Holds::Text, "As of when: a timestamp, RFC 3339, or `-5s`."),
            query("raw", Holds::Switch, "Answer the bytes of the value instead of JSON."),
            query("enc", Holds::Choice(ENCODINGS), "How bytes are shown. Default: auto."),
            head("If-None-Match", "Answer 304 if the key has this version."),
        ],
        replies: &[
            Reply { status: 200, about: "The row.", content: Content::Json(schema::<KvRow>) },
            Reply { status: 304, about: "It has the version.", content: Content::Nothing },
        ],
        errors: &[
            Code::KeyNotFound,
            Code::NotUtf8,
            Code::BadEncoding,
            Code::TooLarge,
            Code::LockWaitTimeout,
            Code::SnapshotGone,
        ],
        curl: "curl 'localhost:20180/v1/kv/keys/user/42?enc=json'",
        data: true,
        route: || {
            let reads = actix_web::guard::Any(actix_web::guard::Get()).or(actix_web::guard::Head());
            web::route().guard(reads).to(get)
        },
        ..READ
    },
    Operation {
        verb: Verb::Put,
        path: PATH,
        name: "kv_key_put",
        tag: "kv",
        summary: "Write a key",
        about: "The body is the value, whatever its content type. Without a condition the value \
                before is not looked at, and the reply is 200 whether there was one or not; with \
                `created` it is looked at, and the reply is 201 if there was none.",
        params: &[
            KEY,
            KENC,
            query("ttl", Holds::Text, "The row ends after so long, such as `30s`."),
            query("created", Holds::Switch, "Say by 201 that the key is new. Costs a read."),
            IF_MATCH,
            head("If-None-Match", "`*`: write only if there is no value."),
            IDEMPOTENCY,
        ],
        body: BodyKind::Value,
        takes: Content::Bytes,
        replies: &[
            Reply { status: 200, about: "Written.", content: Content::Json(schema::<KvWritten>) },
            Reply { status: 201, about: "New.", content: Content::Json(schema::<KvWritten>) },
        ],
        errors: WRITE_ERRORS,
        curl: "curl -X PUT localhost:20180/v1/kv/keys/user/42 -d '{\"name\":\"Ada\"}'",
        writes: true,
        data: true,
        route: || web::put().to(put),
    },
    Operation {
        verb: Verb::Delete,
        path: PATH,
        name: "kv_key_delete",
        tag: "kv",
        summary: "Delete a key",
        about: "Deleting a key without a value is no error. `version` is when it was deleted.",
        params: &[KEY, KENC, IF_MATCH, IDEMPOTENCY],
        replies: &[Reply {
            status: 200,
            about: "There is no value now.",
            content: Content::Json(schema::<KvWritten>),
        }],
        errors: WRITE_ERRORS,
        curl: "curl -X DELETE localhost:20180/v1/kv/keys/user/42",
        writes: true,
        data: true,
        route: || web::delete().to(delete),
        ..READ
    },
];

async fn get(request: HttpRequest, call: Call) -> Answer {
    let (key, enc) = (key_in_path(&request, &call, BEFORE_KEY)?, call.enc()?);
    let raw = call.query.switch("raw")? || accepts(&request, "application/octet-stream");
    let known = read_version(request.headers(), "if-none-match")?;
    let options = call.options();
    let at = moment::optional(&call, "at", call.query.get("at"), &options).await?;
    let (row, by) = call.service().txn_get(Space::Txn.key(&key), at, &options).await?;
    let row = row.ok_or_else(|| not_found(&key))?;
    let is_known = known.is_some_and(|known| known.is(row.commit_ts));
    let mut reply = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    reply.insert_header((header::ETAG, quoted(row.commit_ts)));
    served_by(&mut reply, by);
    if let Some(at) = at {
        reply.insert_header((READ_TS.clone(), decimal(at)));
    }
    if is_known {
        return Ok(reply.finish());
    }
    if raw {
        reply.insert_header((header::CONTENT_TYPE, "application/octet-stream"));
        reply.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
        return Ok(reply.body(row.value));
    }
    let style = RowStyle { enc, keys_only: false, now: call.state.parts.env.clock.unix() };
    let read_ts = at.map(|at| Decimal(at.get()));
    json_with(reply, &KvRow { read_ts, ..KvRow::new(row, style) })
}

async fn put(request: HttpRequest, call: Call, body: Body) -> Answer {
    let key = key_in_path(&request, &call, BEFORE_KEY)?;
    let stored = Space::Txn.key(&key);
    let ttl_ms = call.query.get("ttl").map(ttl_ms).transpose()?;
    let look = call.query.switch("created")?;
    let condition = condition(request.headers())?;
    let idempotency = idempotency::of_request(&request, &body.0)?;
    let put = TxnOp::Put { key: stored.clone(), value: body.0, ttl_ms };
    let mut then = vec![put];
    if look {
        then.insert(0, TxnOp::Get { key: stored.clone(), for_update: false });
    }
    let created = condition == Some(Condition::Exists(false));
    let one = OneShot { then, idempotency, ..conditional(stored, condition) };
    let outcome = write(&call, one).await?;
    let created = created || outcome.results.first() == Some(&TxnOpResult::Value(None));
    let mut reply = if created { HttpResponse::Created() } else { HttpResponse::Ok() };
    reply.insert_header((header::ETAG, quoted(outcome.commit_ts)));
    written(reply, key, outcome.commit_ts)
}

async fn delete(request: HttpRequest, call: Call) -> Answer {
    let key = key_in_path(&request, &call, BEFORE_KEY)?;
    let stored = Space::Txn.key(&key);
    let idempotency = idempotency::of_request(&request, b"")?;
    let then = vec![TxnOp::Delete { key: stored.clone() }];
    let one = OneShot { then, idempotency, ..conditional(stored, condition(request.headers())?) };
    let outcome = write(&call, one).await?;
    written(HttpResponse::Ok(), key, outcome.commit_ts)
}

fn written(mut reply: actix_web::HttpResponseBuilder, key: Key, at: Timestamp) -> Answer {
    reply.insert_header((COMMIT_TS.clone(), decimal(at)));
    let body = KvWritten { key: BytesOut::key(key, Enc::Auto), version: Decimal(at.get()) };
    json_with(reply, &body)
}

/// A transaction under a condition, which reads what is there if it does not hold.
fn conditional(key: Key, condition: Option<Condition>) -> OneShot {
    let Some(condition) = condition else { return OneShot::default() };
    let otherwise = vec![TxnOp::Get { key: key.clone(), for_update: false }];
    OneShot { conditions: vec![TxnCompare { key, condition }], otherwise, ..OneShot::default() }
}

async fn write(call: &Call, one: OneShot) -> Result<OneShotOutcome, Problem> {
    let outcome = call.service().txn_once(one, &call.options()).await?;
    if outcome.succeeded {
        return Ok(outcome);
    }
    let current = match outcome.results.first() {
        Some(TxnOpResult::Value(Some(row))) => row.commit_ts.to_string(),
        Some(TxnOpResult::Value(None) | TxnOpResult::Done | TxnOpResult::Rows { .. }) | None => {
            "none".to_owned()
        }
    };
    let detail = "the key has not the version that the condition names; read it and decide again";
    Err(Problem::new(Code::CasMismatch, detail).with("current", current))
}

fn quoted(version: Timestamp) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).expect("invariant: decimal digits")
}

/// What a condition names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Any,
    Version(Timestamp),
}

impl Named {
    fn is(self, version: Timestamp) -> bool {
        self == Self::Any || self == Self::Version(version)
    }
}

/// One version, with or without its quotes.
fn read_version(headers: &HeaderMap, name: &'static str) -> Result<Option<Named>, Problem> {
    let Some(text) = header_text(headers, name)? else { return Ok(None) };
    let bare = text.trim();
    if bare == "*" {
        return Ok(Some(Named::Any));
    }
    let bare = bare.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(bare);
    let version = digits(bare).filter(|version| *version > 0);
    version.map(|version| Some(Named::Version(Timestamp(version)))).ok_or_else(|| {
        let detail = format!("`{name}` is * or one version, a decimal number in quotes");
        Problem::bad_parameter(name, detail)
    })
}

fn condition(headers: &HeaderMap) -> Result<Option<Condition>, Problem> {
    let matches = read_version(headers, "if-match")?;
    let differs = read_version(headers, "if-none-match")?;
    match (matches, differs) {
        (None, None) => Ok(None),
        (Some(Named::Any), None) => Ok(Some(Condition::Exists(true))),
        (Some(Named::Version(at)), None) => Ok(Some(Condition::Version(Comparison::Eq, at))),
        (None, Some(Named::Any)) => Ok(Some(Condition::Exists(false))),
        (None, Some(Named::Version(at))) => Ok(Some(Condition::Version(Comparison::Ne, at))),
        (Some(_), Some(_)) => {
            let detail = "give one condition: If-Match or If-None-Match";
            Err(Problem::bad_parameter("if-match", detail))
        }
    }
}
