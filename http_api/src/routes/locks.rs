//! `/v1/locks` and `/v1/deadlocks`: what transactions hold and wait for.
use super::operation::{Content, Holds, Operation, READ, Reply, Verb, query, schema};
use super::{Answer, ok};
use crate::cursor::{self, Place, Question, flags};
use crate::gate::body::{Body, BodyKind};
use crate::gate::call::Call;
use crate::json::bytes::KEY_ENCODINGS;
use crate::json::strict::from_json;
use crate::json::txn::locks::{
    DeadlockOut, DeadlocksOut, EdgeOut, LockOut, LocksOut, ResolvedOut, WaitOut,
};
use crate::json::txn::request::ResolveBody;
use crate::range::{Bounds, BoundsIn};
use crate::space::Space;
use crate::txn::moment;
use actix_web::web;
use troupe_types::Code;

/// Locks of a page, if the request does not say.
const PAGE_DEFAULT: u64 = 100;
/// Locks of a page at most.
const PAGE_MAX: u64 = 1000;

/// Operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/v1/locks",
        name: "locks",
        tag: "txn",
        summary: "Locks of transactions",
        about: "In key order, of the whole transactional space or a range; pessimistic locks that a \
                leader holds in memory alone are among them. Who waits for one is shown by \
                `GET /v1/deadlocks`.",
        params: &[
            query("prefix", Holds::Text, "Of keys that begin like this."),
            query("start", Holds::Text, "First key of the range."),
            query("end", Holds::Text, "First key behind the range."),
            query("kenc", Holds::Choice(KEY_ENCODINGS), "Encoding of these keys, if not text."),
            query("began_by", Holds::Text, "Only of transactions that began by then, as `at`."),
            query("limit", Holds::Number, "Locks at most, up to 1000. Default: 100."),
            query("cursor", Holds::Text, "`next_cursor` of the page before."),
        ],
        replies: &[Reply {
            status: 200,
            about: "A page.",
            content: Content::Json(schema::<LocksOut>),
        }],
        errors: &[Code::BadRange, Code::BadCursor, Code::BadEncoding, Code::TooLarge],
        curl: "curl 'localhost:20180/v1/locks?began_by=-10s'",
        data: true,
        route: || web::get().to(list),
        ..READ
    },
    Operation {
        verb: Verb::Post,
        path: "/v1/locks/resolve",
        name: "locks_resolve",
        tag: "txn",
        summary: "Resolve locks of ended transactions",
        about: "Commits or rolls back what transactions that ended or expired have left. Locks of \
                living ones stay. Readers do the same when they meet a lock; this is for ranges that \
                nobody reads.",
        body: BodyKind::Json,
        takes: Content::Json(schema::<ResolveBody>),
        replies: &[Reply {
            status: 200,
            about: "How many.",
            content: Content::Json(schema::<ResolvedOut>),
        }],
        errors: &[
            Code::BadJson,
            Code::BadRange,
            Code::BadEncoding,
            Code::TooLarge,
            Code::PdUnavailable,
        ],
        curl: "curl localhost:20180/v1/locks/resolve -d '{\"began_by\":\"-10s\"}'",
        writes: true,
        data: true,
        route: || web::post().to(resolve),
        ..READ
    },
    Operation {
        path: "/v1/deadlocks",
        name: "deadlocks",
        tag: "txn",
        summary: "Who waits for whom",
        about: "Now, and the latest deadlocks that were broken.",
        replies: &[Reply {
            status: 200,
            about: "Waits and deadlocks.",
            content: Content::Json(schema::<DeadlocksOut>),
        }],
        errors: &[Code::RegionUnavailable],
        curl: "curl localhost:20180/v1/deadlocks",
        route: || web::get().to(deadlocks),
        ..READ
    },
];

async fn list(call: Call) -> Answer {
    let limit = call.query.number("limit", 1, PAGE_MAX)?.unwrap_or(PAGE_DEFAULT);
    let range = Bounds::from_query(&call)?.stored(&call, Space::Txn)?;
    let question = Question { range, flags: flags::LOCKS };
    let cluster = call.state.parts.cluster;
    let rest = match call.query.get("cursor") {
        Some(text) => cursor::decode(cluster, &question, text)?.rest,
        None => question.range.clone(),
    };
    let options = call.options();
    let text = call.query.get("began_by");
    let max_ts = moment::optional(&call, "began_by", text, &options).await?;
    let limit = u32::try_from(limit).unwrap_or(1);
    let (locks, rest) = call.service().txn_locks(rest, max_ts, limit, &options).await?;
    let now = call.state.parts.env.clock.unix();
    ok(&LocksOut {
        items: locks.iter().map(|lock| LockOut::new(lock, now)).collect(),
        next_cursor: rest.map(|rest| cursor::encode(cluster, &question, &Place::new(rest))),
    })
}

async fn resolve(call: Call, body: Body) -> Answer {
    let body = from_json::<ResolveBody>(&body.0)?;
    let bounds = BoundsIn { prefix: body.prefix, start: body.start, end: body.end };
    let range = Bounds::from_body(bounds)?.stored(&call, Space::Txn)?;
    let options = call.options();
    let max_ts = moment::optional(&call, "began_by", body.began_by.as_deref(), &options).await?;
    let done = call.service().txn_resolve_locks(range, max_ts, &options).await?;
    ok(&ResolvedOut { resolved: done.resolved, alive: done.alive })
}

async fn deadlocks(call: Call) -> Answer {
    let options = call.options();
    let (edges, recent) = call.service().deadlocks(&options).await?;
    let waits = call.service().lock_waits(&options).await?;
    ok(&DeadlocksOut {
        waits: waits.iter().map(WaitOut::from).collect(),
        edges: edges.iter().map(EdgeOut::from).collect(),
        recent: recent.iter().map(DeadlockOut::from).collect(),
    })
}
