//! `/v1/kv/scan`: rows of a range of the transactional space, all of one moment; by pages or as a stream.
use super::operation::{Content, Holds, Operation, Param, READ, Reply, Verb, query, schema};
use super::raw_scan::NDJSON;
use super::{Answer, READ_TS, accepts, decimal, json_with};
use crate::export;
use crate::gate::body::{Body, BodyKind};
use crate::gate::call::Call;
use crate::json::bytes::{ENCODINGS, Enc, KEY_ENCODINGS};
use crate::json::reply::Decimal;
use crate::json::strict::{from_json, in_range, not_one_of};
use crate::json::txn::request::KvScanBody;
use crate::json::txn::row::{KvPage, KvRow, RowStyle};
use crate::json::txn::when::When;
use crate::range::{Bounds, BoundsIn};
use crate::scan::{Asked, Row, Scan};
use crate::space::Space;
use actix_web::{HttpRequest, HttpResponse, web};
use troupe_types::Code;

const ABOUT: &str = "Keys are sorted by their bytes. All pages are of the moment of the first one, \
     `read_ts`, which the cursor keeps; once it lies below the safe point (`GET /v1/gc`) the reply is \
     410. With `Accept: application/x-ndjson` all rows of the range come as one stream, a row a line, \
     as an import takes them; the last line is `{\"done\":true,\"rows\":…,\"checksum\":…,\
     \"read_ts\":…}`, or `{\"error\":{…}}` if it broke off.";

const ERRORS: &[Code] = &[
    Code::BadJson,
    Code::BadRange,
    Code::BadCursor,
    Code::BadEncoding,
    Code::TooLarge,
    Code::NotUtf8,
    Code::LockWaitTimeout,
    Code::SnapshotGone,
    Code::PdUnavailable,
];

const REPLIES: &[Reply] = &[Reply {
    status: 200,
    about: "A page; or lines, if these are accepted.",
    content: Content::Json(schema::<KvPage>),
}];

const PARAMS: &[Param] = &[
    query("prefix", Holds::Text, "All keys that begin like this."),
    query("start", Holds::Text, "First key of the range."),
    query("end", Holds::Text, "First key behind the range."),
    query("kenc", Holds::Choice(KEY_ENCODINGS), "Encoding of these keys, if not text."),
    query("limit", Holds::Number, "Rows at most."),
    query("reverse", Holds::Switch, "From the end to the start."),
    query("keys_only", Holds::Switch, "Leave values out."),
    query("at", Holds::Text, "As of when: a timestamp, RFC 3339, or `-5s`. Default: now."),
    query("cursor", Holds::Text, "`next_cursor` of the page before, with the same parameters."),
    query("enc", Holds::Choice(ENCODINGS), "How bytes are shown. Default: auto."),
];

/// Operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/v1/kv/scan",
        name: "kv_scan_get",
        tag: "kv",
        summary: "Read a range",
        about: ABOUT,
        params: PARAMS,
        replies: REPLIES,
        errors: ERRORS,
        curl: "curl 'localhost:20180/v1/kv/scan?prefix=user/&limit=2'",
        data: true,
        route: || web::get().to(by_query),
        ..READ
    },
    Operation {
        verb: Verb::Post,
        path: "/v1/kv/scan",
        name: "kv_scan_post",
        tag: "kv",
        summary: "Read a range",
        about: ABOUT,
        body: BodyKind::Json,
        takes: Content::Json(schema::<KvScanBody>),
        replies: REPLIES,
        errors: ERRORS,
        curl: "curl localhost:20180/v1/kv/scan -d '{\"prefix\":\"user/\",\"at\":\"-5s\"}'",
        data: true,
        route: || web::post().to(by_body),
        ..READ
    },
];

async fn by_query(request: HttpRequest, call: Call) -> Answer {
    let asked = Asked {
        reverse: call.query.switch("reverse")?,
        keys_only: call.query.switch("keys_only")?,
        cursor: call.query.get("cursor").map(str::to_owned),
        limit: call.query.number("limit", 1, u64::MAX)?,
        enc: call.enc()?,
        at: call.query.get("at").map(|text| When::parse("at", text)).transpose()?,
    };
    let bounds = Bounds::from_query(&call)?;
    let scan = Scan::new(&call, Space::Txn, &bounds, asked).await?;
    answer(&request, call, scan).await
}

async fn by_body(request: HttpRequest, call: Call, body: Body) -> Answer {
    let body = from_json::<KvScanBody>(&body.0)?;
    let named = |name: &str| Enc::from_name(name).ok_or_else(|| not_one_of("enc", name, ENCODINGS));
    let asked = Asked {
        reverse: body.reverse,
        keys_only: body.keys_only,
        cursor: body.cursor,
        limit: body.limit.map(|n| in_range("limit", Some(n), 1, u64::MAX)).transpose()?,
        enc: body.enc.as_deref().map(named).transpose()?.unwrap_or_default(),
        at: body.at.as_deref().map(|text| When::parse("at", text)).transpose()?,
    };
    let bounds = BoundsIn { prefix: body.prefix, start: body.start, end: body.end };
    let bounds = Bounds::from_body(bounds)?;
    let scan = Scan::new(&call, Space::Txn, &bounds, asked).await?;
    answer(&request, call, scan).await
}

async fn answer(request: &HttpRequest, call: Call, scan: Scan) -> Answer {
    if accepts(request, NDJSON) {
        return export::answer(call, scan).await;
    }
    let page = scan.first_page(&call).await?;
    let now = call.state.parts.env.clock.unix();
    let style = RowStyle { enc: scan.enc, keys_only: scan.keys_only(), now };
    let mut reply = HttpResponse::Ok();
    reply.insert_header((READ_TS.clone(), decimal(page.read_ts)));
    let shown = KvPage {
        next_cursor: page.next.map(|place| scan.cursor(&call, &place)),
        items: page.rows.into_iter().map(|row: Row| KvRow::new(row.txn(), style)).collect(),
        read_ts: Decimal(page.read_ts.get()),
        stopped_by: page.stopped_by,
    };
    json_with(reply, &shown)
}
