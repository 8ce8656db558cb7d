//! `/v1/raw/{get,put,delete,cas}`: several keys, or one under a condition.
use super::operation::{Content, Holds, Operation, READ, Reply, Verb, query, schema};
use super::raw_key::refuse_idempotency_key;
use super::{Answer, json, json_with, ok, served_by};
use crate::error::Problem;
use crate::gate::body::{Body, BodyKind};
use crate::gate::call::Call;
use crate::json::bytes::{BytesIn, BytesOut, ENCODINGS};
use crate::json::reply::{
    DeletedOut, FailedKey, ItemOut, ItemsOut, RowOut, SwappedOut, WrittenOut, user_part,
};
use crate::json::request::{CasBody, Expect, KeysBody, PutBody};
use crate::json::strict::from_json;
use crate::rows::{
    CheckedRow, check_bytes, check_count, expiry, row, stored_key, stored_keys, ttl_ms, value,
};
use crate::space::Space;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use troupe_actors::kv_service::{ServiceError, WriteOutcome};
use troupe_types::command::{RawChange, RawExpectation};
use troupe_types::{Class, Code, Key};

const ENC: super::operation::Param =
    query("enc", Holds::Choice(ENCODINGS), "How bytes are shown. Default: auto.");

/// Operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Post,
        path: "/v1/raw/get",
        name: "raw_batch_get",
        tag: "raw",
        summary: "Read several keys",
        about: "Answers come in the order asked. Keys of different Regions may be read at \
                different moments.",
        params: &[ENC],
        body: BodyKind::Json,
        takes: Content::Json(schema::<KeysBody>),
        replies: &[Reply {
            status: 200,
            about: "A row or `missing` for each key.",
            content: Content::Json(schema::<ItemsOut>),
        }],
        errors: &[Code::BadJson, Code::BadEncoding, Code::TooLarge, Code::NotUtf8],
        curl: "curl localhost:20180/v1/raw/get -d '{\"keys\":[\"a\",{\"hex\":\"00ff\"}]}'",
        data: true,
        route: || web::post().to(get),
        ..READ
    },
    Operation {
        verb: Verb::Post,
        path: "/v1/raw/put",
        name: "raw_batch_put",
        tag: "raw",
        summary: "Write several keys",
        about: "Atomic for the keys of one Region only. If some Regions failed the reply is 207 \
                and names the keys; if all did it is a problem.",
        body: BodyKind::Json,
        takes: Content::Json(schema::<PutBody>),
        replies: &[
            Reply { status: 200, about: "Written.", content: Content::Json(schema::<WrittenOut>) },
            Reply { status: 207, about: "In part.", content: Content::Json(schema::<WrittenOut>) },
        ],
        errors: &[Code::BadJson, Code::BadEncoding, Code::TooLarge],
        curl: "curl localhost:20180/v1/raw/put -d \
               '{\"items\":[{\"key\":\"a\",\"value\":\"1\"},{\"key\":\"b\",\"value\":{\"json\":{\"n\":2}},\"ttl\":\"30s\"}]}'",
        writes: true,
        data: true,
        route: || web::post().to(put),
        ..READ
    },
    Operation {
        verb: Verb::Post,
        path: "/v1/raw/delete",
        name: "raw_batch_delete",
        tag: "raw",
        summary: "Delete several keys",
        about: "As the batch put. Keys without a value count as deleted.",
        body: BodyKind::Json,
        takes: Content::Json(schema::<KeysBody>),
        replies: &[
            Reply { status: 200, about: "Deleted.", content: Content::Json(schema::<DeletedOut>) },
            Reply { status: 207, about: "In part.", content: Content::Json(schema::<DeletedOut>) },
        ],
        errors: &[Code::BadJson, Code::BadEncoding, Code::TooLarge],
        curl: "curl localhost:20180/v1/raw/delete -d '{\"keys\":[\"a\",\"b\"]}'",
        writes: true,
        data: true,
        route: || web::post().to(delete),
        ..READ
    },
    Operation {
        verb: Verb::Post,
        path: "/v1/raw/cas",
        name: "raw_cas",
        tag: "raw",
        summary: "Compare and swap",
        about: "Changes a key only if its value is as expected. A value that is not is no error: \
                `succeeded` is false then.",
        params: &[ENC],
        body: BodyKind::Json,
        takes: Content::Json(schema::<CasBody>),
        replies: &[Reply {
            status: 200,
            about: "Whether it was changed, and the value before.",
            content: Content::Json(schema::<SwappedOut>),
        }],
        errors: &[
            Code::BadJson,
            Code::BadEncoding,
            Code::TooLarge,
            Code::NotUtf8,
            Code::IdempotencyUnsupported,
        ],
        curl: "curl localhost:20180/v1/raw/cas -d \
               '{\"key\":\"lock\",\"expect\":{\"absent\":true},\"put\":\"me\",\"ttl\":\"30s\"}'",
        writes: true,
        data: true,
        route: || web::post().to(cas),
    },
];

async fn get(call: Call, body: Body) -> Answer {
    let enc = call.enc()?;
    let keys = stored_keys(&call, Space::Raw, from_json::<KeysBody>(&body.0)?.keys)?;
    let rows = call.service().raw_batch_get(keys.clone(), &call.options()).await?;
    let now = call.state.parts.env.clock.unix();
    let item = |(key, row): (&Key, _)| match row {
        Some(row) => ItemOut::Found(RowOut::new(row, enc, false, now)),
        None => ItemOut::Missing { key: BytesOut::key(user_part(key), enc), missing: true },
    };
    ok(&ItemsOut { items: keys.iter().zip(rows).map(item).collect() })
}

async fn put(call: Call, body: Body) -> Answer {
    let items = from_json::<PutBody>(&body.0)?.items;
    check_count(&call, items.len())?;
    let checked = items.into_iter().map(|item| row(&call, Space::Raw, item));
    let checked = checked.collect::<Result<Vec<_>, _>>()?;
    check_bytes(&call, &checked)?;
    let changes = checked.into_iter().map(|row| put_change(&call, row)).collect();
    let outcome = call.service().raw_write(changes, &call.options()).await;
    batch_reply(outcome, |written, failed| json(status(&failed), &WrittenOut { written, failed }))
}

async fn delete(call: Call, body: Body) -> Answer {
    let keys = stored_keys(&call, Space::Raw, from_json::<KeysBody>(&body.0)?.keys)?;
    let changes = keys.into_iter().map(|key| (key, RawChange::Delete)).collect();
    let outcome = call.service().raw_write(changes, &call.options()).await;
    batch_reply(outcome, |deleted, failed| json(status(&failed), &DeletedOut { deleted, failed }))
}

fn status(failed: &[FailedKey]) -> StatusCode {
    if failed.is_empty() { StatusCode::OK } else { StatusCode::MULTI_STATUS }
}

/// Nothing was written: a problem. Otherwise what was, and what was not.
fn batch_reply(outcome: WriteOutcome, show: impl FnOnce(u64, Vec<FailedKey>) -> Answer) -> Answer {
    if outcome.written == 0 && !outcome.failed.is_empty() {
        return Err(worst(outcome.failed).into());
    }
    show(outcome.written, outcome.failed.into_iter().map(FailedKey::new).collect())
}

/// The error that promises least: if one outcome is unknown, the whole is.
pub(crate) fn worst(mut failed: Vec<(Key, ServiceError)>) -> ServiceError {
    let unknown = failed.iter().position(|(_, error)| error.code.class() == Class::Unknown);
    failed.swap_remove(unknown.unwrap_or(0)).1
}

async fn cas(request: HttpRequest, call: Call, body: Body) -> Answer {
    refuse_idempotency_key(request.headers())?;
    let (enc, body) = (call.enc()?, from_json::<CasBody>(&body.0)?);
    let (expect, change) =
        (expectation(&call, body.expect)?, cas_change(&call, &body.ttl, (body.put, body.delete))?);
    let key = stored_key(&call, Space::Raw, body.key)?;
    let (succeeded, previous, by) =
        call.service().raw_cas(key, expect, change, &call.options()).await?;
    let previous = previous.map(|value| BytesOut::value(value, enc));
    let mut reply = HttpResponse::Ok();
    served_by(&mut reply, by);
    json_with(reply, &SwappedOut { succeeded, previous })
}

fn expectation(call: &Call, expect: Expect) -> Result<RawExpectation, Problem> {
    match (expect.absent, expect.present, expect.value) {
        (true, false, None) => Ok(RawExpectation::Absent),
        (false, true, None) => Ok(RawExpectation::Present),
        (false, false, Some(expected)) => Ok(RawExpectation::Equals(value(call, expected)?)),
        _ => {
            let detail = "`expect` is one of {\"absent\":true}, {\"present\":true}, {\"value\":…}";
            Err(Problem::bad_parameter("expect", detail))
        }
    }
}

fn cas_change(
    call: &Call,
    ttl: &Option<String>,
    (put, delete): (Option<BytesIn>, bool),
) -> Result<RawChange, Problem> {
    match (put, delete, ttl) {
        (Some(new), false, ttl) => {
            let ttl = ttl.as_deref().map(ttl_ms).transpose()?;
            let expires_at = ttl.map(|ttl| expiry(call, ttl));
            Ok(RawChange::Put { value: value(call, new)?, expires_at })
        }
        (None, true, None) => Ok(RawChange::Delete),
        (None, true, Some(_)) => Err(Problem::bad_parameter("ttl", "`ttl` goes with `put`")),
        (Some(_), true, _) | (None, false, _) => {
            let detail = "give either `put` with the new value or `delete`: true";
            Err(Problem::bad_parameter("put", detail))
        }
    }
}

fn put_change(call: &Call, row: CheckedRow) -> (Key, RawChange) {
    let expires_at = row.ttl_ms.map(|ttl| expiry(call, ttl));
    (row.key, RawChange::Put { value: row.value, expires_at })
}
