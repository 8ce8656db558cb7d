//! Which request each `troupe ctl` command makes.
use crate::api::{ApiRequest, Body, path_segment};
use crate::cli::{
    BarrierCommand, CtlCommand, GcCommand, KeyRangeArgs, LockListArgs, LocksArgs, LocksCommand,
    RangeArgs, RegionCommand, RegionTarget, StoreCommand,
};
use reqwest::Method;
use serde_json::{Value, json};
use troupe_config::units::duration::to_text;

/// The request that does what `command` says; none for what concerns files alone.
#[must_use]
pub fn request(command: &CtlCommand) -> Option<ApiRequest> {
    Some(match command {
        CtlCommand::Cluster => ApiRequest::get("/v1/cluster"),
        CtlCommand::Stores => ApiRequest::get("/v1/stores"),
        CtlCommand::Store(command) => store(command),
        CtlCommand::Regions(args) => ApiRequest::get("/v1/regions")
            .with_optional("store", args.store)
            .with_optional("key", args.key.as_deref())
            .with_optional("limit", args.limit)
            .with_optional("cursor", args.cursor.as_deref()),
        CtlCommand::Region(command) => region(command),
        CtlCommand::Actors { kind, state, sort, limit } => ApiRequest::get("/v1/actors")
            .with_optional("kind", kind.as_deref())
            .with_optional("state", state.as_deref())
            .with_optional("sort", sort.as_deref())
            .with_optional("limit", *limit),
        CtlCommand::Actor { id } => ApiRequest::get(format!("/v1/actors/{}", path_segment(id))),
        CtlCommand::Restarts => ApiRequest::get("/v1/actors/restarts"),
        CtlCommand::Traces { id: None, .. } => ApiRequest::get("/v1/traces"),
        CtlCommand::Traces { id: Some(id), mermaid } => {
            ApiRequest::get(format!("/v1/traces/{}", path_segment(id)))
                .with_optional("format", mermaid.then_some("mermaid"))
        }
        CtlCommand::Operators { id: Some(id), .. } => {
            ApiRequest::get(format!("/v1/operators/{id}"))
        }
        CtlCommand::Operators { id: None, region } => {
            ApiRequest::get("/v1/operators").with_optional("region", *region)
        }
        CtlCommand::Locks(LocksArgs { command: None, list })
        | CtlCommand::Locks(LocksArgs { command: Some(LocksCommand::List(list)), .. }) => {
            locks(list)
        }
        CtlCommand::Locks(LocksArgs { command: Some(LocksCommand::Resolve { range }), .. }) => {
            resolve(range)
        }
        CtlCommand::Deadlocks => ApiRequest::get("/v1/deadlocks"),
        CtlCommand::Gc { command } => gc(command.as_ref().unwrap_or(&GcCommand::Status)),
        CtlCommand::Config(_) => return None,
    })
}

fn locks(list: &LockListArgs) -> ApiRequest {
    let KeyRangeArgs { keys: RangeArgs { prefix, start, end }, hex, began_by } = &list.range;
    ApiRequest::get("/v1/locks")
        .with_optional("prefix", prefix.as_deref())
        .with_optional("start", start.as_deref())
        .with_optional("end", end.as_deref())
        .with_optional("kenc", hex.then_some("hex"))
        .with_optional("began_by", began_by.as_deref())
        .with_optional("limit", list.limit)
        .with_optional("cursor", list.cursor.as_deref())
}

fn resolve(range: &KeyRangeArgs) -> ApiRequest {
    let bytes = |text: &String| if range.hex { json!({ "hex": text }) } else { json!(text) };
    let fields = [
        ("prefix", range.keys.prefix.as_ref().map(bytes)),
        ("start", range.keys.start.as_ref().map(bytes)),
        ("end", range.keys.end.as_ref().map(bytes)),
        ("began_by", range.began_by.as_ref().map(|text| json!(text))),
    ];
    let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    ApiRequest::post("/v1/locks/resolve", Value::Object(given.collect()))
}

fn gc(command: &GcCommand) -> ApiRequest {
    let path = |service: &str| format!("/v1/gc/barriers/{}", path_segment(service));
    match command {
        GcCommand::Status => ApiRequest::get("/v1/gc"),
        GcCommand::Advance { safe_point } => {
            ApiRequest::post("/v1/gc", json!({ "safe_point": safe_point }))
        }
        GcCommand::Barrier(BarrierCommand::Set { service, at, ttl }) => {
            let body = match ttl {
                Some(ttl) => json!({ "at": at, "ttl": ttl }),
                None => json!({ "at": at }),
            };
            ApiRequest::new(Method::PUT, path(service)).with_body(Body::Json(body))
        }
        GcCommand::Barrier(BarrierCommand::Remove { service }) => {
            ApiRequest::new(Method::DELETE, path(service))
        }
    }
}

fn store(command: &StoreCommand) -> ApiRequest {
    let path = |id: &u64| format!("/v1/stores/{id}");
    match command {
        StoreCommand::Show { id } => ApiRequest::get(path(id)),
        StoreCommand::Drain { id } => ApiRequest::new(Method::PATCH, path(id))
            .with_body(Body::Json(json!({ "state": "leaving" }))),
        StoreCommand::Remove { id } => ApiRequest::new(Method::DELETE, path(id)),
    }
}

fn region(command: &RegionCommand) -> ApiRequest {
    match command {
        RegionCommand::Show { id } => ApiRequest::get(format!("/v1/regions/{id}")),
        RegionCommand::AddPeer { target, store } => {
            change(target, "add-peer", json!({ "store": store }))
        }
        RegionCommand::RemovePeer { target, store } => {
            change(target, "remove-peer", json!({ "store": store }))
        }
        RegionCommand::MovePeer { target, from, to } => {
            change(target, "move-peer", json!({ "from": from, "to": to }))
        }
        RegionCommand::TransferLeader { target, store } => {
            change(target, "transfer-leader", json!({ "store": store }))
        }
        RegionCommand::Release { id, store } => {
            let path = format!("/v1/regions/{id}/quarantine/release");
            ApiRequest::post(path, json!({ "store": store }))
        }
    }
}

fn change(target: &RegionTarget, what: &str, body: Value) -> ApiRequest {
    ApiRequest::post(format!("/v1/regions/{}/{what}", target.id), body)
        .with_optional("wait", target.wait.map(to_text))
}
