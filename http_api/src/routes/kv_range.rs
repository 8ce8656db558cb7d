//! `/v1/kv/delete-range` and `/v1/kv/history/{key}`.
use super::operation::{Content, Holds, Operation, READ, Reply, Verb, path, query, schema};
use super::raw_range::{checked_range, confirmed};
use super::{Answer, ok};
use crate::error::Problem;
use crate::gate::body::{Body, BodyKind};
use crate::gate::call::Call;
use crate::json::bytes::{ENCODINGS, KEY_ENCODINGS};
use crate::json::request::DeleteRangeBody;
use crate::json::strict::from_json;
use crate::json::txn::locks::HistoryOut;
use crate::json::txn::row::KvRangeDeleted;
use crate::range::{Bounds, BoundsIn};
use crate::rows::{key_in_path, not_found};
use crate::space::Space;
use actix_web::{HttpRequest, web};
use troupe_actors::kv_service::ScanOptions;
use troupe_types::{Code, KeyRange};

/// What stands in front of the key.
const BEFORE_KEY: &str = "/v1/kv/history/";
/// Rows counted at a time.
const PAGE_ROWS: u32 = 10_000;

/// Operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Post,
        path: "/v1/kv/delete-range",
        name: "kv_delete_range",
        tag: "kv",
        summary: "Delete a range",
        about: "Needs `prefix`, or both `start` and `end`; for the whole transactional space \
                `\"all\":true` and the cluster's name as `confirm`. With `dry_run` rows are only \
                counted. Goes in transactions of bounded size; the whole is not atomic.",
        body: BodyKind::Json,
        takes: Content::Json(schema::<DeleteRangeBody>),
        replies: &[Reply {
            status: 200,
            about: "Deleted, or counted.",
            content: Content::Json(schema::<KvRangeDeleted>),
        }],
        errors: &[
            Code::BadJson,
            Code::BadRange,
            Code::BadEncoding,
            Code::TooLarge,
            Code::ConfirmationNeeded,
            Code::WriteConflict,
            Code::LockWaitTimeout,
            Code::TxnOutcomeUnknown,
            Code::PdUnavailable,
        ],
        curl: "curl localhost:20180/v1/kv/delete-range -d '{\"prefix\":\"user/\",\"dry_run\":true}'",
        writes: true,
        data: true,
        route: || web::post().to(delete_range),
        ..READ
    },
    Operation {
        path: "/v1/kv/history/{key:.*}",
        name: "kv_history",
        tag: "kv",
        summary: "Versions and lock of a key",
        about: "All that is stored about it: commit records, newest first, as far as they were not \
                collected, and its lock.",
        params: &[
            path("key", Holds::Text, "The key, as in `/v1/kv/keys/{key}`."),
            query(
                "kenc",
                Holds::Choice(KEY_ENCODINGS),
                "The key is given in this encoding instead.",
            ),
            query("enc", Holds::Choice(ENCODINGS), "How bytes are shown. Default: auto."),
        ],
        replies: &[Reply {
            status: 200,
            about: "What is stored.",
            content: Content::Json(schema::<HistoryOut>),
        }],
        errors: &[Code::KeyNotFound, Code::NotUtf8, Code::BadEncoding, Code::TooLarge],
        curl: "curl localhost:20180/v1/kv/history/user/42",
        data: true,
        route: || web::get().to(history),
        ..READ
    },
];

async fn delete_range(call: Call, body: Body) -> Answer {
    let body = from_json::<DeleteRangeBody>(&body.0)?;
    let (all, confirm, dry_run) = (body.all, body.confirm, body.dry_run);
    let bounds = BoundsIn { prefix: body.prefix, start: body.start, end: body.end };
    let bounds = Bounds::from_body(bounds)?;
    let range = checked_range(&call, Space::Txn, (&bounds, all))?;
    if dry_run {
        return ok(&KvRangeDeleted { rows: count(&call, range).await? });
    }
    if all {
        confirmed(&call, Space::Txn, confirm).await?;
    }
    ok(&KvRangeDeleted { rows: call.service().txn_delete_range(range, &call.options()).await? })
}

/// Rows of one moment.
async fn count(call: &Call, mut range: KeyRange) -> Result<u64, Problem> {
    let scan = ScanOptions {
        limit: PAGE_ROWS,
        max_bytes: call.state.parts.config.limits.scan_bytes.bytes(),
        reverse: false,
        keys_only: true,
    };
    let (options, mut at, mut rows) = (call.options(), None, 0);
    loop {
        let page = call.service().txn_scan(range, scan, at, &options).await?;
        rows += page.rows.len() as u64;
        at = Some(page.read_ts);
        match page.rest {
            Some(rest) => range = rest,
            None => return Ok(rows),
        }
    }
}

async fn history(request: HttpRequest, call: Call) -> Answer {
    let (key, enc) = (key_in_path(&request, &call, BEFORE_KEY)?, call.enc()?);
    let stored = Space::Txn.key(&key);
    let history = call.service().txn_history(stored, &call.options()).await?;
    let history = history.ok_or_else(|| not_found(&key))?;
    ok(&HistoryOut::new(&history, enc, call.state.parts.env.clock.unix()))
}
