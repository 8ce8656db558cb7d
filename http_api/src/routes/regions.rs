//! `/v1/regions`: Regions, their replicas, and changes of them.
use super::operation::{Content, Holds, Operation, Param, READ, Reply, Verb, path, query, schema};
use super::operators::{added, wait_of};
use super::{Answer, ok, path_id};
use crate::cursor::{self, Place, Question, flags};
use crate::error::Problem;
use crate::gate::body::{Body, BodyKind};
use crate::gate::call::Call;
use crate::json::bytes::KEY_ENCODINGS;
use crate::json::cluster::{
    OperatorOut, RegionDetail, RegionOut, RegionsOut, ReleasedOut, ReplicaOut,
};
use crate::json::request::{MoveBody, StoreBody};
use crate::json::strict::from_json;
use crate::pd;
use crate::space::Space;
use actix_web::{HttpRequest, web};
use futures::future::join_all;
use troupe_types::key::raw_key;
use troupe_types::pd::{OperatorRequest, RegionRoute};
use troupe_types::{Code, KeyRange, RegionId, StoreId};

/// Regions of a page, if the request does not say.
const PAGE_DEFAULT: u64 = 100;

const REGION: Param = path("id", Holds::Number, "Id of the Region.");
const WAIT: Param = query(
    "wait",
    Holds::Text,
    "Answer only when it has ended (200), or after so long (202), such as `10s`.",
);
const CHANGE_ERRORS: &[Code] = &[
    Code::BadJson,
    Code::PdUnavailable,
    Code::RegionNotFound,
    Code::StoreNotFound,
    Code::OperatorConflict,
];
const CHANGE_REPLIES: &[Reply] = &[
    Reply {
        status: 202,
        about: "It began; `Location` tells where to look.",
        content: Content::Json(schema::<OperatorOut>),
    },
    Reply {
        status: 200,
        about: "It ended, with `wait`.",
        content: Content::Json(schema::<OperatorOut>),
    },
];

/// What changes of replicas have in common.
const CHANGE: Operation = Operation {
    verb: Verb::Post,
    tag: "regions",
    about: "Made in steps by an operator, which goes on when the request has ended.",
    params: &[REGION, WAIT],
    body: BodyKind::Json,
    takes: Content::Json(schema::<StoreBody>),
    replies: CHANGE_REPLIES,
    errors: CHANGE_ERRORS,
    writes: true,
    ..READ
};

/// Operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/v1/regions",
        name: "regions",
        tag: "regions",
        summary: "List Regions",
        about: "In key order, a page at a time. Ranges are shown as stored keys: a prefix of 4 \
                bytes, then the user's key.",
        params: &[
            query("start", Holds::Text, "Begin with the Region of this raw key."),
            query("kenc", Holds::Choice(KEY_ENCODINGS), "Encoding of keys, if not text."),
            query("limit", Holds::Number, "Regions at most, up to 1000. Default: 100."),
            query("cursor", Holds::Text, "`next_cursor` of the page before."),
            query("store", Holds::Number, "Only Regions with a replica on this Store."),
            query("key", Holds::Text, "Only the Region of this key."),
            query("space", Holds::Choice(Space::NAMES), "Of which space `key` is. Default: raw."),
        ],
        replies: &[Reply {
            status: 200,
            about: "A page.",
            content: Content::Json(schema::<RegionsOut>),
        }],
        errors: &[Code::PdUnavailable, Code::BadCursor, Code::BadEncoding],
        curl: "curl 'localhost:20180/v1/regions?limit=10'",
        route: || web::get().to(list),
        ..READ
    },
    Operation {
        path: "/v1/regions/{id}",
        name: "region",
        tag: "regions",
        summary: "One Region",
        about: "With what each replica says of itself, asked just now.",
        params: &[REGION],
        replies: &[Reply {
            status: 200,
            about: "The Region.",
            content: Content::Json(schema::<RegionDetail>),
        }],
        errors: &[Code::PdUnavailable, Code::RegionNotFound],
        curl: "curl localhost:20180/v1/regions/2",
        route: || web::get().to(one),
        ..READ
    },
    Operation {
        path: "/v1/regions/{id}/add-peer",
        name: "region_add_peer",
        summary: "Add a replica",
        curl: "curl localhost:20180/v1/regions/2/add-peer -d '{\"store\":4}'",
        route: || web::post().to(add_peer),
        ..CHANGE
    },
    Operation {
        path: "/v1/regions/{id}/remove-peer",
        name: "region_remove_peer",
        summary: "Remove a replica",
        curl: "curl localhost:20180/v1/regions/2/remove-peer -d '{\"store\":1}'",
        route: || web::post().to(remove_peer),
        ..CHANGE
    },
    Operation {
        path: "/v1/regions/{id}/move-peer",
        name: "region_move_peer",
        summary: "Move a replica",
        takes: Content::Json(schema::<MoveBody>),
        curl: "curl 'localhost:20180/v1/regions/2/move-peer?wait=30s' -d '{\"from\":1,\"to\":4}'",
        route: || web::post().to(move_peer),
        ..CHANGE
    },
    Operation {
        path: "/v1/regions/{id}/transfer-leader",
        name: "region_transfer_leader",
        summary: "Hand leadership over",
        curl: "curl localhost:20180/v1/regions/2/transfer-leader -d '{\"store\":2}'",
        route: || web::post().to(transfer_leader),
        ..CHANGE
    },
    Operation {
        path: "/v1/regions/{id}/quarantine/release",
        name: "region_release",
        summary: "Take a replica back into service",
        about: "Starts a replica again that crashed too often. If what made it crash is still there \
                it will be back in quarantine soon.",
        params: &[REGION],
        replies: &[Reply {
            status: 200,
            about: "It was started.",
            content: Content::Json(schema::<ReleasedOut>),
        }],
        errors: &[Code::BadJson, Code::RegionNotFound, Code::StoreNotFound],
        curl: "curl localhost:20180/v1/regions/2/quarantine/release -d '{\"store\":2}'",
        route: || web::post().to(release),
        ..CHANGE
    },
];

async fn list(call: Call) -> Answer {
    if let Some(key) = call.query_key("key")? {
        let space = call.query.choice("space", Space::NAMES, Space::from_name)?;
        let key = space.unwrap_or(Space::Raw).key(&key);
        let found = pd::region_by_key(&call, key).await?;
        let items = found.iter().map(RegionOut::from).collect();
        return ok(&RegionsOut { items, next_cursor: None });
    }
    let limit = call.query.number("limit", 1, u64::from(pd::PAGE))?.unwrap_or(PAGE_DEFAULT);
    let store = call.query.number("store", 0, u64::MAX)?.map(StoreId);
    let start = call.query_key("start")?.map(|key| raw_key(0, &key)).unwrap_or_default();
    let question = Question { range: KeyRange::new(start, &b""[..]), flags: flags::REGIONS };
    let cluster = call.state.parts.cluster;
    let range = match call.query.get("cursor") {
        Some(text) => cursor::decode(cluster, &question, text)?.rest,
        None => question.range.clone(),
    };
    let (found, rest) = page(&call, (range, store), u32::try_from(limit).unwrap_or(1)).await?;
    let next_cursor = rest.map(|rest| cursor::encode(cluster, &question, &Place::new(rest)));
    ok(&RegionsOut { items: found.iter().map(RegionOut::from).collect(), next_cursor })
}

/// Regions that have a replica on `store` (all, if it is `None`), until there are `limit`.
async fn page(
    call: &Call,
    (mut range, store): (KeyRange, Option<StoreId>),
    limit: u32,
) -> Result<(Vec<RegionRoute>, Option<KeyRange>), Problem> {
    let mut found: Vec<RegionRoute> = Vec::new();
    loop {
        let missing = limit - u32::try_from(found.len()).unwrap_or(limit);
        // With a filter a page of PD may hold few that fit, but never more than are missing.
        let routes = pd::regions(call, range.clone(), missing).await?;
        let next = pd::next_start(&routes, missing);
        let fits =
            |route: &RegionRoute| store.is_none_or(|store| route.region.peer_on(store).is_some());
        found.extend(routes.into_iter().filter(fits));
        let Some(start) = next else { return Ok((found, None)) };
        range.start = start;
        if found.len() >= limit as usize {
            return Ok((found, Some(range)));
        }
    }
}

fn region_id(request: &HttpRequest) -> Result<RegionId, Problem> {
    path_id(request, "id", Code::RegionNotFound).map(RegionId)
}

async fn one(request: HttpRequest, call: Call) -> Answer {
    let route = pd::region(&call, region_id(&request)?).await?;
    let options = call.options();
    let ask = async |store: StoreId| match call
        .service()
        .status(route.region.id, store, &options)
        .await
    {
        Ok(status) => ReplicaOut::from(&status),
        Err(error) => ReplicaOut::Failed { store: store.get(), error: error.detail },
    };
    let replicas = join_all(route.region.peers.iter().map(|peer| ask(peer.store))).await;
    ok(&RegionDetail { region: RegionOut::from(&route), replicas })
}

async fn add_peer(request: HttpRequest, call: Call, body: Body) -> Answer {
    let store = StoreId(from_json::<StoreBody>(&body.0)?.store);
    change(&request, &call, OperatorRequest::AddPeer { store }).await
}

async fn remove_peer(request: HttpRequest, call: Call, body: Body) -> Answer {
    let store = StoreId(from_json::<StoreBody>(&body.0)?.store);
    change(&request, &call, OperatorRequest::RemovePeer { store }).await
}

async fn move_peer(request: HttpRequest, call: Call, body: Body) -> Answer {
    let MoveBody { from, to } = from_json(&body.0)?;
    let asked = OperatorRequest::MovePeer { from: StoreId(from), to: StoreId(to) };
    change(&request, &call, asked).await
}

async fn transfer_leader(request: HttpRequest, call: Call, body: Body) -> Answer {
    let store = StoreId(from_json::<StoreBody>(&body.0)?.store);
    change(&request, &call, OperatorRequest::TransferLeader { store }).await
}

async fn change(request: &HttpRequest, call: &Call, asked: OperatorRequest) -> Answer {
    let (region, wait) = (region_id(request)?, wait_of(call)?);
    let operator = pd::add_operator(call, region, asked).await?;
    added(call, operator, wait).await
}

async fn release(request: HttpRequest, call: Call, body: Body) -> Answer {
    let region = region_id(&request)?;
    let store = from_json::<StoreBody>(&body.0)?.store;
    call.service().release(region, StoreId(store), &call.options()).await?;
    ok(&ReleasedOut { region: region.get(), store, released: true })
}
