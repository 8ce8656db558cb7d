//! `/v1/txn`: a transaction in one request.
use super::kv_key::{IDEMPOTENCY, TXN_ERRORS};
use super::operation::{Content, Holds, Operation, Reply, Verb, query, schema};
use super::{Answer, COMMIT_TS, decimal, json_with};
use crate::gate::body::{Body, BodyKind};
use crate::gate::call::Call;
use crate::json::bytes::ENCODINGS;
use crate::json::strict::from_json;
use crate::json::txn::outcome::TxnOut;
use crate::json::txn::request::TxnBody;
use crate::json::txn::row::RowStyle;
use crate::txn::idempotency;
use crate::txn::settings::SettingsIn;
use crate::txn::steps::{Steps, check_size, conditions};
use actix_web::{HttpRequest, HttpResponse, web};
use troupe_types::txn::session::OneShot;

/// Operations.
pub const OPERATIONS: &[Operation] = &[Operation {
    verb: Verb::Post,
    path: "/v1/txn",
    name: "txn",
    tag: "txn",
    summary: "A transaction in one request",
    about: "If all conditions of `if` hold, the steps of `then` are done, else those of `else`; \
            `succeeded` says which. Later steps see what earlier ones did. All or nothing, whichever \
            Regions the keys lie in. The server tries again by itself when it meets conflicts, until \
            the deadline.",
    params: &[
        query("enc", Holds::Choice(ENCODINGS), "How bytes are shown. Default: auto."),
        IDEMPOTENCY,
    ],
    body: BodyKind::Json,
    takes: Content::Json(schema::<TxnBody>),
    replies: &[Reply {
        status: 200,
        about: "Committed.",
        content: Content::Json(schema::<TxnOut>),
    }],
    errors: TXN_ERRORS,
    curl: "curl localhost:20180/v1/txn -H 'Idempotency-Key: \"pay-8812\"' -d \
           '{\"if\":[{\"key\":\"acct/a\",\"value\":{\"ge_int\":100}},{\"key\":\"acct/b\",\"exists\":true}],\
           \"then\":[{\"add\":{\"key\":\"acct/a\",\"by\":-100}},{\"add\":{\"key\":\"acct/b\",\"by\":100}}],\
           \"else\":[{\"get\":{\"key\":\"acct/a\"}}],\"mode\":\"pessimistic\"}'",
    writes: true,
    data: true,
    route: || web::post().to(run),
}];

async fn run(request: HttpRequest, call: Call, body: Body) -> Answer {
    let idempotency = idempotency::of_request(&request, &body.0)?;
    let (enc, body) = (call.enc()?, from_json::<TxnBody>(&body.0)?);
    let TxnBody { mode, isolation, commit, lock_wait, .. } = body;
    let settings = SettingsIn { mode, isolation, commit, lock_wait }.read()?;
    let conditions = conditions(&call, body.conditions)?;
    let (then, otherwise) = (Steps::read(&call, body.then)?, Steps::read(&call, body.otherwise)?);
    check_size(&call, &conditions, &[&then, &otherwise])?;
    let one =
        OneShot { conditions, then: then.ops, otherwise: otherwise.ops, settings, idempotency };
    let outcome = call.service().txn_once(one, &call.options()).await?;
    let asked = if outcome.succeeded { then.asked } else { otherwise.asked };
    let mut reply = HttpResponse::Ok();
    reply.insert_header((COMMIT_TS.clone(), decimal(outcome.commit_ts)));
    let style = RowStyle { enc, keys_only: false, now: call.state.parts.env.clock.unix() };
    json_with(reply, &TxnOut::new(outcome, &asked, style))
}
