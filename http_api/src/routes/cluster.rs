//! `/v1/cluster`, `/v1/stores`, `/v1/ts`: the cluster as the Placement Driver sees it.
use super::operation::{Content, Holds, Operation, Param, READ, Reply, Verb, path, query, schema};
use super::{Answer, json, ok, path_id};
use crate::error::Problem;
use crate::gate::body::{Body, BodyKind};
use crate::gate::call::Call;
use crate::json::cluster::{ClusterOut, StoreChanged, StoreOut, StoresOut, TimestampsOut};
use crate::json::reply::Decimal;
use crate::json::request::StorePatch;
use crate::json::strict::{from_json, not_one_of};
use crate::pd;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use troupe_types::pd::PdRequest;
use troupe_types::{Code, StoreId};

/// Timestamps that one request may ask for.
const TIMESTAMPS_MAX: u64 = 262_144;

const STORE: Param = path("id", Holds::Number, "Id of the Store.");

/// Operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/v1/cluster",
        name: "cluster",
        tag: "cluster",
        summary: "The cluster",
        about: "Nodes, and who leads the Placement Driver.",
        replies: &[Reply {
            status: 200,
            about: "The cluster.",
            content: Content::Json(schema::<ClusterOut>),
        }],
        errors: &[Code::PdUnavailable],
        curl: "curl localhost:20180/v1/cluster",
        route: || web::get().to(cluster),
        ..READ
    },
    Operation {
        path: "/v1/stores",
        name: "stores",
        tag: "cluster",
        summary: "All Stores",
        about: "Each with what it last reported.",
        replies: &[Reply {
            status: 200,
            about: "The Stores.",
            content: Content::Json(schema::<StoresOut>),
        }],
        errors: &[Code::PdUnavailable],
        curl: "curl localhost:20180/v1/stores",
        route: || web::get().to(stores),
        ..READ
    },
    Operation {
        path: "/v1/stores/{id}",
        name: "store",
        tag: "cluster",
        summary: "One Store",
        about: "What it last reported.",
        params: &[STORE],
        replies: &[Reply {
            status: 200,
            about: "The Store.",
            content: Content::Json(schema::<StoreOut>),
        }],
        errors: &[Code::PdUnavailable, Code::StoreNotFound],
        curl: "curl localhost:20180/v1/stores/1",
        route: || web::get().to(store),
        ..READ
    },
    Operation {
        verb: Verb::Patch,
        path: "/v1/stores/{id}",
        name: "store_drain",
        tag: "cluster",
        summary: "Drain a Store",
        about: "With `{\"state\":\"leaving\"}` all its replicas move to other Stores, one after \
                another. GET shows how many are left.",
        params: &[STORE],
        body: BodyKind::Json,
        takes: Content::Json(schema::<StorePatch>),
        replies: &[Reply {
            status: 202,
            about: "It began.",
            content: Content::Json(schema::<StoreChanged>),
        }],
        errors: &[Code::PdUnavailable, Code::StoreNotFound, Code::BadJson],
        curl: "curl -X PATCH localhost:20180/v1/stores/4 -d '{\"state\":\"leaving\"}'",
        writes: true,
        route: || web::patch().to(drain),
        ..READ
    },
    Operation {
        verb: Verb::Delete,
        path: "/v1/stores/{id}",
        name: "store_remove",
        tag: "cluster",
        summary: "Remove a Store",
        about: "Forgets a Store that was drained and holds no replica. Its id is never used again.",
        params: &[STORE],
        replies: &[Reply {
            status: 200,
            about: "Removed.",
            content: Content::Json(schema::<StoreChanged>),
        }],
        errors: &[Code::PdUnavailable, Code::StoreNotFound, Code::StoreNotEmpty],
        curl: "curl -X DELETE localhost:20180/v1/stores/4",
        writes: true,
        route: || web::delete().to(remove),
        ..READ
    },
    Operation {
        path: "/v1/ts",
        name: "timestamps",
        tag: "cluster",
        summary: "Timestamps of the oracle",
        about: "Each is larger than any that was given before, also across fail-overs.",
        params: &[query("count", Holds::Number, "How many, up to 262144. Default: 1.")],
        replies: &[Reply {
            status: 200,
            about: "The largest; the others are right below.",
            content: Content::Json(schema::<TimestampsOut>),
        }],
        errors: &[Code::PdUnavailable],
        curl: "curl localhost:20180/v1/ts",
        route: || web::get().to(timestamps),
        ..READ
    },
];

async fn cluster(call: Call) -> Answer {
    ok(&ClusterOut::from(&pd::cluster(&call).await?))
}

/// A Store that was silent for longer is not alive.
fn silence_ms(call: &Call) -> u64 {
    let silence = call.state.parts.config.pd.store_silent_after;
    u64::try_from(silence.as_millis()).unwrap_or(u64::MAX)
}

async fn stores(call: Call) -> Answer {
    let (view, silence) = (pd::cluster(&call).await?, silence_ms(&call));
    ok(&StoresOut { items: view.stores.iter().map(|s| StoreOut::new(s, silence)).collect() })
}

async fn store(request: HttpRequest, call: Call) -> Answer {
    let id = store_id(&request)?;
    let view = pd::cluster(&call).await?;
    let store = view.stores.iter().find(|store| store.info.id == id);
    let missing = || {
        let detail = format!("there is no Store {id}");
        Problem::new(Code::StoreNotFound, detail).with("store", id.get())
    };
    ok(&StoreOut::new(store.ok_or_else(missing)?, silence_ms(&call)))
}

fn store_id(request: &HttpRequest) -> Result<StoreId, Problem> {
    path_id(request, "id", Code::StoreNotFound).map(StoreId)
}

async fn drain(request: HttpRequest, call: Call, body: Body) -> Answer {
    let store = store_id(&request)?;
    let state = from_json::<StorePatch>(&body.0)?.state;
    if state != "leaving" {
        return Err(not_one_of("state", &state, &["leaving"]));
    }
    pd::command(&call, PdRequest::DrainStore { store }).await?;
    json(StatusCode::ACCEPTED, &StoreChanged { id: store.get(), state: "leaving" })
}

async fn remove(request: HttpRequest, call: Call) -> Answer {
    let store = store_id(&request)?;
    pd::command(&call, PdRequest::RemoveStore { store }).await?;
    ok(&StoreChanged { id: store.get(), state: "removed" })
}

async fn timestamps(call: Call) -> Answer {
    let count = call.query.number("count", 1, TIMESTAMPS_MAX)?.unwrap_or(1);
    let count = u32::try_from(count).unwrap_or(1);
    let last = pd::timestamps(&call, count).await?;
    ok(&TimestampsOut { ts: Decimal(last.get()), count })
}
