//! `/v1/actors`: every actor of this node.
use super::operation::{Content, Holds, Operation, READ, Reply, path, query, schema};
use super::{Answer, ok, path_id};
use crate::error::Problem;
use crate::gate::call::Call;
use crate::json::node::{ActorDetail, ActorOut, ActorsOut, RestartOut, RestartsOut};
use actix_web::{HttpRequest, web};
use std::cmp::Reverse;
use troupe_actors::registry::ActorId;
use troupe_types::Code;

/// Actors of a reply, if the request does not say.
const LIMIT_DEFAULT: u64 = 200;
/// Actors of a reply at most.
const LIMIT_MAX: u64 = 10_000;
const STATES: &[&str] = &["starting", "running", "backing_off", "quarantined", "stopped"];
const ORDERS: &[&str] = &["depth", "restarts", "handled", "max_wait"];

/// Operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/v1/actors",
        name: "actors",
        tag: "node",
        summary: "Actors of this node",
        about: "Who they are, how they are and what waits for them.",
        params: &[
            query("kind", Holds::Text, "Only this kind, such as `region_peer`."),
            query("state", Holds::Choice(STATES), "Only those in this state."),
            query("sort", Holds::Choice(ORDERS), "Largest first. Default: by number."),
            query("limit", Holds::Number, "At most so many, up to 10000. Default: 200."),
        ],
        replies: &[Reply {
            status: 200,
            about: "The actors.",
            content: Content::Json(schema::<ActorsOut>),
        }],
        curl: "curl 'localhost:20180/v1/actors?sort=depth&limit=10'",
        route: || web::get().to(list),
        ..READ
    },
    Operation {
        path: "/v1/actors/restarts",
        name: "actor_restarts",
        tag: "node",
        summary: "Crashes of actors",
        about: "Recent ones of this node, with the message of the panic.",
        replies: &[Reply {
            status: 200,
            about: "The crashes, newest last.",
            content: Content::Json(schema::<RestartsOut>),
        }],
        curl: "curl localhost:20180/v1/actors/restarts",
        route: || web::get().to(restarts),
        ..READ
    },
    Operation {
        path: "/v1/actors/{id}",
        name: "actor",
        tag: "node",
        summary: "One actor",
        about: "With its flight recording: its last inputs.",
        params: &[path("id", Holds::Number, "Number of the actor on this node.")],
        replies: &[Reply {
            status: 200,
            about: "The actor.",
            content: Content::Json(schema::<ActorDetail>),
        }],
        curl: "curl localhost:20180/v1/actors/1",
        route: || web::get().to(one),
        ..READ
    },
];

async fn list(call: Call) -> Answer {
    let kind = call.query.get("kind");
    let state = call.query.choice("state", STATES, |name| {
        Some(name).filter(|n| STATES.contains(n)).map(str::to_owned)
    })?;
    let sort = call.query.choice("sort", ORDERS, order)?;
    let limit = call.query.number("limit", 1, LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let fits = |actor: &ActorOut| {
        kind.is_none_or(|kind| actor.kind == kind)
            && state.as_ref().is_none_or(|state| actor.state == state)
    };
    let all = call.state.parts.env.registry.list();
    let mut items: Vec<ActorOut> =
        all.iter().map(|entry| ActorOut::from(&**entry)).filter(fits).collect();
    if let Some(figure) = sort {
        items.sort_by_key(|actor| Reverse(figure(actor)));
    }
    let total = items.len();
    items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    ok(&ActorsOut { node: call.state.parts.node.id.get(), items, total })
}

/// The figure that actors are sorted by.
fn order(name: &str) -> Option<fn(&ActorOut) -> u64> {
    match name {
        "depth" => Some(|actor| actor.depth as u64),
        "restarts" => Some(|actor| actor.restarts),
        "handled" => Some(|actor| actor.handled),
        "max_wait" => Some(|actor| actor.max_wait_us),
        _ => None,
    }
}

async fn one(request: HttpRequest, call: Call) -> Answer {
    let id = ActorId(path_id(&request, "id", Code::NotFound)?);
    let entry = call.state.parts.env.registry.get(id);
    let missing = || Problem::new(Code::NotFound, format!("there is no actor {id} on this node"));
    let entry = entry.ok_or_else(missing)?;
    ok(&ActorDetail { actor: ActorOut::from(&*entry), recording: entry.recorder.lines() })
}

async fn restarts(call: Call) -> Answer {
    let all = call.state.parts.env.registry.restarts();
    ok(&RestartsOut { items: all.iter().map(RestartOut::from).collect() })
}
