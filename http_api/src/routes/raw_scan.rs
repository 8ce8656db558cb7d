//! `/v1/raw/scan`: rows of a range, by pages or, with `Accept: application/x-ndjson`, as one
//! stream (the export).
use super::operation::{Content, Holds, Operation, Param, READ, Reply, Verb, query, schema};
use super::{Answer, accepts, ok};
use crate::export;
use crate::gate::body::{Body, BodyKind};
use crate::gate::call::Call;
use crate::json::bytes::{ENCODINGS, Enc, KEY_ENCODINGS};
use crate::json::reply::{PageOut, RowOut};
use crate::json::request::ScanBody;
use crate::json::strict::{from_json, in_range, not_one_of};
use crate::range::{Bounds, BoundsIn};
use crate::scan::{Asked, Page, Row, Scan};
use crate::space::Space;
use actix_web::{HttpRequest, web};
use troupe_types::Code;

/// Media type of lines of JSON.
pub const NDJSON: &str = "application/x-ndjson";

const ABOUT: &str = "Keys are sorted by their bytes. A page has `limit` rows at most (100 if it is \
     not given) and ends earlier by bytes; `next_cursor` goes on. Each page is read at its own \
     moment. With `Accept: application/x-ndjson` all rows of the range come as one stream, a row a \
     line, as `POST /v1/raw/import` takes them; the last line is `{\"done\":true,\"rows\":…,\
     \"checksum\":…}`, or `{\"error\":{…}}` if it broke off.";

const ERRORS: &[Code] = &[
    Code::BadJson,
    Code::BadRange,
    Code::BadCursor,
    Code::BadEncoding,
    Code::TooLarge,
    Code::NotUtf8,
];

const REPLIES: &[Reply] = &[Reply {
    status: 200,
    about: "A page; or lines, if these are accepted.",
    content: Content::Json(schema::<PageOut>),
}];

const PARAMS: &[Param] = &[
    query("prefix", Holds::Text, "All keys that begin like this."),
    query("start", Holds::Text, "First key of the range."),
    query("end", Holds::Text, "First key behind the range."),
    query("kenc", Holds::Choice(KEY_ENCODINGS), "Encoding of these keys, if not text."),
    query("limit", Holds::Number, "Rows at most."),
    query("reverse", Holds::Switch, "From the end to the start."),
    query("keys_only", Holds::Switch, "Leave values out."),
    query("cursor", Holds::Text, "`next_cursor` of the page before, with the same parameters."),
    query("enc", Holds::Choice(ENCODINGS), "How bytes are shown. Default: auto."),
];

/// Operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/v1/raw/scan",
        name: "raw_scan_get",
        tag: "raw",
        summary: "Read a range",
        about: ABOUT,
        params: PARAMS,
        replies: REPLIES,
        errors: ERRORS,
        curl: "curl 'localhost:20180/v1/raw/scan?prefix=user/&limit=10'",
        data: true,
        route: || web::get().to(by_query),
        ..READ
    },
    Operation {
        verb: Verb::Post,
        path: "/v1/raw/scan",
        name: "raw_scan_post",
        tag: "raw",
        summary: "Read a range",
        about: ABOUT,
        body: BodyKind::Json,
        takes: Content::Json(schema::<ScanBody>),
        replies: REPLIES,
        errors: ERRORS,
        curl: "curl localhost:20180/v1/raw/scan -d '{\"prefix\":\"user/\",\"limit\":10}'",
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
        at: None,
    };
    let scan = Scan::new(&call, Space::Raw, &Bounds::from_query(&call)?, asked).await?;
    answer(&request, call, scan).await
}

async fn by_body(request: HttpRequest, call: Call, body: Body) -> Answer {
    let body = from_json::<ScanBody>(&body.0)?;
    let enc = body
        .enc
        .as_deref()
        .map(|name| Enc::from_name(name).ok_or_else(|| not_one_of("enc", name, ENCODINGS)));
    let asked = Asked {
        reverse: body.reverse,
        keys_only: body.keys_only,
        cursor: body.cursor,
        limit: body.limit.map(|n| in_range("limit", Some(n), 1, u64::MAX)).transpose()?,
        enc: enc.transpose()?.unwrap_or_default(),
        at: None,
    };
    let bounds = BoundsIn { prefix: body.prefix, start: body.start, end: body.end };
    let scan = Scan::new(&call, Space::Raw, &Bounds::from_body(bounds)?, asked).await?;
    answer(&request, call, scan).await
}

async fn answer(request: &HttpRequest, call: Call, scan: Scan) -> Answer {
    if accepts(request, NDJSON) {
        return export::answer(call, scan).await;
    }
    let page = scan.first_page(&call).await?;
    ok(&shown(&call, &scan, page))
}

fn shown(call: &Call, scan: &Scan, page: Page) -> PageOut {
    let now = call.state.parts.env.clock.unix();
    let row = |row: Row| RowOut::new(row.raw(), scan.enc, scan.keys_only(), now);
    PageOut {
        next_cursor: page.next.map(|place| scan.cursor(call, &place)),
        items: page.rows.into_iter().map(row).collect(),
        stopped_by: page.stopped_by,
    }
}
