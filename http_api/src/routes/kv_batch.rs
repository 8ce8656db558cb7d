//! `/v1/kv/{get,put,delete,import}`: several keys of the transactional space.
use super::kv_key::{IDEMPOTENCY, TXN_ERRORS};
use super::operation::{Content, Holds, Operation, READ, Reply, Verb, query, schema};
use super::{Answer, COMMIT_TS, decimal, json_with, ok, raw_import};
use crate::gate::body::{Body, BodyKind, BodyStream};
use crate::gate::call::Call;
use crate::json::bytes::ENCODINGS;
use crate::json::reply::{Decimal, ImportEnd};
use crate::json::request::{KeysBody, PutBody, RowIn};
use crate::json::strict::from_json;
use crate::json::txn::request::KvGetBody;
use crate::json::txn::row::{KvBatchDeleted, KvBatchWritten, KvItem, KvItems, RowStyle};
use crate::rows::{self, check_bytes, check_count, stored_keys};
use crate::space::Space;
use crate::txn::{idempotency, moment};
use actix_web::{HttpRequest, HttpResponse, web};
use troupe_types::Code;
use troupe_types::txn::session::{OneShot, TxnOp};

/// Operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Post,
        path: "/v1/kv/get",
        name: "kv_batch_get",
        tag: "kv",
        summary: "Read several keys",
        about: "All of one moment, `read_ts`. Answers come in the order asked.",
        params: &[query("enc", Holds::Choice(ENCODINGS), "How bytes are shown. Default: auto.")],
        body: BodyKind::Json,
        takes: Content::Json(schema::<KvGetBody>),
        replies: &[Reply {
            status: 200,
            about: "A row or `missing` for each key.",
            content: Content::Json(schema::<KvItems>),
        }],
        errors: &[
            Code::BadJson,
            Code::BadEncoding,
            Code::TooLarge,
            Code::NotUtf8,
            Code::LockWaitTimeout,
            Code::SnapshotGone,
            Code::PdUnavailable,
        ],
        curl: "curl localhost:20180/v1/kv/get -d '{\"keys\":[\"a\",\"b\"],\"at\":\"-5s\"}'",
        data: true,
        route: || web::post().to(get),
        ..READ
    },
    Operation {
        verb: Verb::Post,
        path: "/v1/kv/put",
        name: "kv_batch_put",
        tag: "kv",
        summary: "Write several keys",
        about: "All or nothing, whichever Regions they lie in.",
        params: &[IDEMPOTENCY],
        body: BodyKind::Json,
        takes: Content::Json(schema::<PutBody>),
        replies: &[Reply {
            status: 200,
            about: "Written.",
            content: Content::Json(schema::<KvBatchWritten>),
        }],
        errors: TXN_ERRORS,
        curl: "curl localhost:20180/v1/kv/put -d \
               '{\"items\":[{\"key\":\"a\",\"value\":\"1\"},{\"key\":\"b\",\"value\":{\"json\":{\"n\":2}},\"ttl\":\"30s\"}]}'",
        writes: true,
        data: true,
        route: || web::post().to(put),
    },
    Operation {
        verb: Verb::Post,
        path: "/v1/kv/delete",
        name: "kv_batch_delete",
        tag: "kv",
        summary: "Delete several keys",
        about: "All or nothing. Keys without a value count as deleted.",
        params: &[IDEMPOTENCY],
        body: BodyKind::Json,
        takes: Content::Json(schema::<KeysBody>),
        replies: &[Reply {
            status: 200,
            about: "Deleted.",
            content: Content::Json(schema::<KvBatchDeleted>),
        }],
        errors: TXN_ERRORS,
        curl: "curl localhost:20180/v1/kv/delete -d '{\"keys\":[\"a\",\"b\"]}'",
        writes: true,
        data: true,
        route: || web::post().to(delete),
    },
    Operation {
        verb: Verb::Post,
        path: "/v1/kv/import",
        name: "kv_import",
        tag: "kv",
        summary: "Import rows",
        about: "As the import of the raw space; it takes exports of both. Rows go in as transactions \
                of 512 or fewer; the whole is not atomic.",
        body: BodyKind::Lines,
        takes: Content::Lines(schema::<RowIn>),
        replies: &[Reply {
            status: 200,
            about: "Lines of progress, and how it ended.",
            content: Content::Lines(schema::<ImportEnd>),
        }],
        errors: &[Code::BadJson, Code::BadEncoding, Code::TooLarge],
        curl: "curl -T rows.ndjson -X POST localhost:20180/v1/kv/import",
        writes: true,
        data: true,
        route: || web::post().to(import),
        ..READ
    },
];

async fn get(call: Call, body: Body) -> Answer {
    let (enc, body) = (call.enc()?, from_json::<KvGetBody>(&body.0)?);
    let keys = stored_keys(&call, Space::Txn, body.keys)?;
    let options = call.options();
    let at = moment::optional(&call, "at", body.at.as_deref(), &options).await?;
    let (rows, read_ts) = call.service().txn_batch_get(keys.clone(), at, &options).await?;
    let style = RowStyle { enc, keys_only: false, now: call.state.parts.env.clock.unix() };
    let items = keys.iter().zip(rows).map(|(key, row)| KvItem::new(key, row, style)).collect();
    ok(&KvItems { items, read_ts: Decimal(read_ts.get()) })
}

async fn put(request: HttpRequest, call: Call, body: Body) -> Answer {
    let idempotency = idempotency::of_request(&request, &body.0)?;
    let items = from_json::<PutBody>(&body.0)?.items;
    check_count(&call, items.len())?;
    let checked = items.into_iter().map(|item| rows::row(&call, Space::Txn, item));
    let checked = checked.collect::<Result<Vec<_>, _>>()?;
    check_bytes(&call, &checked)?;
    let written = checked.len();
    let put =
        |row: rows::CheckedRow| TxnOp::Put { key: row.key, value: row.value, ttl_ms: row.ttl_ms };
    let then = checked.into_iter().map(put).collect();
    let one = OneShot { then, idempotency, ..OneShot::default() };
    let at = call.service().txn_once(one, &call.options()).await?.commit_ts;
    let mut reply = HttpResponse::Ok();
    reply.insert_header((COMMIT_TS.clone(), decimal(at)));
    json_with(reply, &KvBatchWritten { written, commit_ts: Decimal(at.get()) })
}

async fn delete(request: HttpRequest, call: Call, body: Body) -> Answer {
    let idempotency = idempotency::of_request(&request, &body.0)?;
    let keys = stored_keys(&call, Space::Txn, from_json::<KeysBody>(&body.0)?.keys)?;
    let deleted = keys.len();
    let then = keys.into_iter().map(|key| TxnOp::Delete { key }).collect();
    let one = OneShot { then, idempotency, ..OneShot::default() };
    let at = call.service().txn_once(one, &call.options()).await?.commit_ts;
    let mut reply = HttpResponse::Ok();
    reply.insert_header((COMMIT_TS.clone(), decimal(at)));
    json_with(reply, &KvBatchDeleted { deleted, commit_ts: Decimal(at.get()) })
}

async fn import(call: Call, body: BodyStream) -> Answer {
    raw_import::answer(call, Space::Txn, body).await
}
