//! `/v1/operators`: changes of replicas that are under way, or were of late.
use super::operation::{Content, Holds, Operation, READ, Reply, path, query, schema};
use super::{Answer, json_with, ok, path_id};
use crate::error::Problem;
use crate::gate::call::{Call, read_duration};
use crate::json::cluster::{OperatorOut, OperatorsOut};
use crate::pd;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use std::time::Duration;
use troupe_config::units::duration;
use troupe_types::pd::{OperatorState, OperatorView};
use troupe_types::{Code, RegionId};

/// How often an operator that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/v1/operators",
        name: "operators",
        tag: "regions",
        summary: "Operators",
        about: "Changes of replicas that are under way, or were of late; newest first.",
        params: &[query("region", Holds::Number, "Only those of this Region.")],
        replies: &[Reply {
            status: 200,
            about: "The operators.",
            content: Content::Json(schema::<OperatorsOut>),
        }],
        errors: &[Code::PdUnavailable],
        curl: "curl localhost:20180/v1/operators",
        route: || web::get().to(list),
        ..READ
    },
    Operation {
        path: "/v1/operators/{id}",
        name: "operator",
        tag: "regions",
        summary: "One operator",
        about: "How far it is, step by step.",
        params: &[path("id", Holds::Number, "Id of the operator.")],
        replies: &[Reply {
            status: 200,
            about: "The operator.",
            content: Content::Json(schema::<OperatorOut>),
        }],
        errors: &[Code::PdUnavailable],
        curl: "curl localhost:20180/v1/operators/17",
        route: || web::get().to(one),
        ..READ
    },
];

async fn list(call: Call) -> Answer {
    let region = call.query.number("region", 0, u64::MAX)?.map(RegionId);
    let all = pd::operators(&call).await?;
    let wanted = all.iter().filter(|view| region.is_none_or(|region| view.region == region));
    ok(&OperatorsOut { items: wanted.map(OperatorOut::from).collect() })
}

async fn one(request: HttpRequest, call: Call) -> Answer {
    let id = path_id(&request, "id", Code::NotFound)?;
    let found = find(&call, id).await?;
    let missing = || Problem::new(Code::NotFound, format!("there is no operator {id}"));
    ok(&OperatorOut::from(&found.ok_or_else(missing)?))
}

async fn find(call: &Call, id: u64) -> Result<Option<OperatorView>, Problem> {
    Ok(pd::operators(call).await?.into_iter().find(|view| view.id == id))
}

/// How long the request wants to wait for the end of an operator.
///
/// # Errors
/// `BAD_PARAMETER`.
pub fn wait_of(call: &Call) -> Result<Duration, Problem> {
    let Some(text) = call.query.get("wait") else { return Ok(Duration::ZERO) };
    let (wait, max) = (read_duration("wait", text)?, call.state.parts.config.limits.deadline_max);
    if wait > max {
        let detail = format!("`wait` is at most {}", duration::to_text(max));
        return Err(Problem::bad_parameter("wait", detail));
    }
    Ok(wait)
}

/// The reply to a request that made an operator.
///
/// # Errors
/// Those of PD. The operator is made all the same.
pub async fn added(call: &Call, mut operator: OperatorView, wait: Duration) -> Answer {
    let env = &call.state.parts.env;
    let until = env.now().after(wait);
    while operator.state == OperatorState::Running && env.now() < until {
        env.spawner.sleep(LOOK_EVERY.min(until.since(env.now()))).await;
        operator = find(call, operator.id).await?.unwrap_or(operator);
    }
    let mut reply = match operator.state {
        OperatorState::Running => HttpResponse::Accepted(),
        OperatorState::Succeeded | OperatorState::TimedOut | OperatorState::Cancelled => {
            HttpResponse::Ok()
        }
    };
    reply.insert_header((header::LOCATION, format!("/v1/operators/{}", operator.id)));
    json_with(reply, &OperatorOut::from(&operator))
}
