//! `/v1/txns`: interactive transactions. The node that began one owns it; any node passes requests on.
use super::kv_key::{IDEMPOTENCY, TXN_ERRORS};
use super::operation::{Content, Holds, Operation, Param, READ, Reply, Verb, path, query, schema};
use super::{Answer, COMMIT_TS, decimal, json_with, ok};
use crate::error::Problem;
use crate::gate::body::{Body, BodyKind};
use crate::gate::call::{Call, read_duration};
use crate::json::bytes::ENCODINGS;
use crate::json::strict::from_json;
use crate::json::txn::id;
use crate::json::txn::outcome::{OpsOut, SessionOut, SessionsOut, steps_out};
use crate::json::txn::request::{BeginBody, OpsBody};
use crate::json::txn::row::RowStyle;
use crate::txn::idempotency;
use crate::txn::settings::SettingsIn;
use crate::txn::steps::{Steps, check_size};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use troupe_config::units::duration;
use troupe_types::Code;
use troupe_types::txn::session::{SessionPhase, SessionReply, SessionRequest, SessionState, TxnId};

const ID: Param = path("id", Holds::Text, "Id of the transaction.");
const STATE: &[Reply] =
    &[Reply { status: 200, about: "How it stands.", content: Content::Json(schema::<SessionOut>) }];
const GONE: &[Code] = &[Code::TxnNotFound, Code::TxnExpired, Code::TxnRolledBack];

/// Operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Post,
        path: "/v1/txns",
        name: "txns_begin",
        tag: "txn",
        summary: "Begin an interactive transaction",
        about: "It is rolled back after `ttl` without a request. `Location` leads to it.",
        body: BodyKind::Json,
        takes: Content::Json(schema::<BeginBody>),
        replies: &[Reply {
            status: 201,
            about: "It is open.",
            content: Content::Json(schema::<SessionOut>),
        }],
        errors: &[Code::BadJson, Code::PdUnavailable, Code::ServerBusy],
        curl: "curl localhost:20180/v1/txns -d '{\"mode\":\"optimistic\",\"ttl\":\"30s\"}'",
        writes: true,
        data: true,
        route: || web::post().to(begin),
        ..READ
    },
    Operation {
        path: "/v1/txns",
        name: "txns_list",
        tag: "txn",
        summary: "Open interactive transactions",
        about: "Of the node that is asked.",
        replies: &[Reply {
            status: 200,
            about: "Those that are open.",
            content: Content::Json(schema::<SessionsOut>),
        }],
        curl: "curl localhost:20180/v1/txns",
        route: || web::get().to(list),
        ..READ
    },
    Operation {
        path: "/v1/txns/{id}",
        name: "txns_status",
        tag: "txn",
        summary: "How a transaction stands",
        about: "If its owner is gone, the record of its commit tells.",
        params: &[ID],
        replies: STATE,
        errors: GONE,
        curl: "curl localhost:20180/v1/txns/tx_2-455930120-9fk3",
        data: true,
        route: || web::get().to(status),
        ..READ
    },
    Operation {
        verb: Verb::Delete,
        path: "/v1/txns/{id}",
        name: "txns_rollback",
        tag: "txn",
        summary: "Roll a transaction back",
        about: "May be repeated.",
        params: &[ID],
        replies: STATE,
        errors: GONE,
        curl: "curl -X DELETE localhost:20180/v1/txns/tx_2-455930120-9fk3",
        writes: true,
        data: true,
        route: || web::delete().to(rollback),
        ..READ
    },
    Operation {
        verb: Verb::Post,
        path: "/v1/txns/{id}/ops",
        name: "txns_ops",
        tag: "txn",
        summary: "Steps of a transaction",
        about: "In order; later ones see what earlier ones did. Writes take effect with the commit.",
        params: &[
            ID,
            query("enc", Holds::Choice(ENCODINGS), "How bytes are shown. Default: auto."),
        ],
        body: BodyKind::Json,
        takes: Content::Json(schema::<OpsBody>),
        replies: &[Reply {
            status: 200,
            about: "One answer for each step.",
            content: Content::Json(schema::<OpsOut>),
        }],
        errors: &[
            Code::BadJson,
            Code::BadEncoding,
            Code::BadRange,
            Code::TooLarge,
            Code::NotUtf8,
            Code::NotAnInteger,
            Code::WriteConflict,
            Code::Deadlock,
            Code::LockWaitTimeout,
            Code::AlreadyExists,
            Code::TxnNotFound,
            Code::TxnExpired,
            Code::TxnRolledBack,
        ],
        curl: "curl localhost:20180/v1/txns/tx_2-455930120-9fk3/ops -d \
               '{\"ops\":[{\"get\":{\"key\":\"a\"}},{\"put\":{\"key\":\"b\",\"value\":\"1\"}},\
               {\"lock\":{\"keys\":[\"c\"],\"wait\":\"1s\"}}]}'",
        writes: true,
        data: true,
        route: || web::post().to(ops),
    },
    Operation {
        verb: Verb::Post,
        path: "/v1/txns/{id}/commit",
        name: "txns_commit",
        tag: "txn",
        summary: "Commit a transaction",
        about: "May be repeated: it commits once.",
        params: &[ID, IDEMPOTENCY],
        replies: STATE,
        errors: TXN_ERRORS,
        curl: "curl -X POST localhost:20180/v1/txns/tx_2-455930120-9fk3/commit",
        writes: true,
        data: true,
        route: || web::post().to(commit),
        ..READ
    },
    Operation {
        verb: Verb::Post,
        path: "/v1/txns/{id}/keepalive",
        name: "txns_keepalive",
        tag: "txn",
        summary: "Keep a transaction open",
        about: "Its idle time begins anew.",
        params: &[ID],
        replies: STATE,
        errors: GONE,
        curl: "curl -X POST localhost:20180/v1/txns/tx_2-455930120-9fk3/keepalive",
        writes: true,
        data: true,
        route: || web::post().to(keepalive),
        ..READ
    },
];

fn id_of(request: &HttpRequest) -> Result<TxnId, Problem> {
    id::parse(request.match_info().get("id").unwrap_or_default())
}

fn other() -> Problem {
    Problem::internal("the owner of a transaction gave an answer to another question")
}

async fn ask(call: &Call, request: SessionRequest) -> Result<SessionState, Problem> {
    match call.service().session(request, &call.options()).await? {
        SessionReply::State(state) => Ok(state),
        SessionReply::Results(_) | SessionReply::Open(_) | SessionReply::Waits(_) => Err(other()),
    }
}

async fn begin(call: Call, body: Body) -> Answer {
    let body = from_json::<BeginBody>(&body.0)?;
    let BeginBody { mode, isolation, commit, lock_wait, ttl } = body;
    let settings = SettingsIn { mode, isolation, commit, lock_wait }.read()?;
    let limits = &call.state.parts.config.limits;
    let idle = match ttl {
        Some(text) => read_duration("ttl", &text)?,
        None => limits.txn_idle,
    };
    if idle > limits.txn_idle_max {
        let max = duration::to_text(limits.txn_idle_max);
        let detail = format!("a transaction may be idle for {max} at most");
        return Err(Problem::bad_parameter("ttl", detail).with("max", max));
    }
    let idle_ms = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX).max(1);
    let state = ask(&call, SessionRequest::Begin { settings, idle_ms }).await?;
    let mut reply = HttpResponse::Created();
    reply.insert_header((header::LOCATION, format!("/v1/txns/{}", id::format(&state.id))));
    json_with(reply, &SessionOut::from(&state))
}

async fn list(call: Call) -> Answer {
    match call.service().session(SessionRequest::List, &call.options()).await? {
        SessionReply::Open(open) => ok(&SessionsOut {
            node: call.state.parts.node.id.get(),
            items: open.iter().map(SessionOut::from).collect(),
        }),
        SessionReply::State(_) | SessionReply::Results(_) | SessionReply::Waits(_) => Err(other()),
    }
}

async fn status(request: HttpRequest, call: Call) -> Answer {
    let id = id_of(&request)?;
    ok(&SessionOut::from(&ask(&call, SessionRequest::Status { id }).await?))
}

async fn rollback(request: HttpRequest, call: Call) -> Answer {
    let id = id_of(&request)?;
    ok(&SessionOut::from(&ask(&call, SessionRequest::Rollback { id }).await?))
}

async fn keepalive(request: HttpRequest, call: Call) -> Answer {
    let id = id_of(&request)?;
    ok(&SessionOut::from(&ask(&call, SessionRequest::KeepAlive { id }).await?))
}

async fn ops(request: HttpRequest, call: Call, body: Body) -> Answer {
    let (id, enc) = (id_of(&request)?, call.enc()?);
    let steps = Steps::read(&call, from_json::<OpsBody>(&body.0)?.ops)?;
    check_size(&call, &[], &[&steps])?;
    let request = SessionRequest::Ops { id, ops: steps.ops };
    match call.service().session(request, &call.options()).await? {
        SessionReply::Results(results) => {
            let style = RowStyle { enc, keys_only: false, now: call.state.parts.env.clock.unix() };
            ok(&OpsOut { results: steps_out(&steps.asked, results, style) })
        }
        SessionReply::State(_) | SessionReply::Open(_) | SessionReply::Waits(_) => Err(other()),
    }
}

async fn commit(request: HttpRequest, call: Call) -> Answer {
    let id = id_of(&request)?;
    let idempotency = idempotency::of_request(&request, b"")?;
    let state = ask(&call, SessionRequest::Commit { id, idempotency }).await;
    let state = state.map_err(|problem| match problem.code {
        // The owner or the primary knows what became of it.
        Code::TxnOutcomeUnknown => {
            problem.with("status_url", format!("/v1/txns/{}", id::format(&id)))
        }
        _ => problem,
    })?;
    let mut reply = HttpResponse::Ok();
    if let SessionPhase::Committed { commit_ts, .. } = state.phase {
        reply.insert_header((COMMIT_TS.clone(), decimal(commit_ts)));
    }
    json_with(reply, &SessionOut::from(&state))
}
