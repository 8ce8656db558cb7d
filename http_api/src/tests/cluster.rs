//! The cluster, its Stores, Regions and operators.
use super::fake::{app, gateway, request, send};
use serde_json::json;
use std::sync::atomic::Ordering;
use troupe_config::Config;

#[actix_web::test]
async fn the_cluster_and_its_stores_are_shown() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let cluster = send!(app, request("GET", "/v1/cluster")).json();
    assert_eq!(cluster["id"], "77");
    assert_eq!(cluster["pd_leader"], json!({"node": 1, "http": "127.0.0.1:20180"}));
    assert_eq!(cluster["nodes"][0]["grpc"], "127.0.0.1:20160");
    assert_eq!((&cluster["stores"], &cluster["regions"]), (&json!(1), &json!(5)));
    let stores = send!(app, request("GET", "/v1/stores")).json();
    let one = send!(app, request("GET", "/v1/stores/1")).json();
    assert_eq!(stores["items"][0], one);
    assert_eq!((&one["state"], &one["alive"]), (&json!("up"), &json!(true)));
    assert_eq!(one["labels"], json!({"zone": "a"}));
    assert_eq!(send!(app, request("GET", "/v1/stores/9")).code(), "STORE_NOT_FOUND");
}

#[actix_web::test]
async fn a_store_is_drained_and_removed() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let drain = request("PATCH", "/v1/stores/1").set_payload("{\"state\":\"leaving\"}");
    let drained = send!(app, drain);
    assert_eq!(
        (drained.status.as_u16(), drained.json()),
        (202, json!({"id": 1, "state": "leaving"}))
    );
    let store = send!(app, request("GET", "/v1/stores/1")).json();
    assert_eq!(store["state"], "leaving");
    assert_eq!(send!(app, request("DELETE", "/v1/stores/1")).code(), "STORE_NOT_EMPTY");
    assert_eq!(send!(app, request("DELETE", "/v1/stores/9")).code(), "STORE_NOT_FOUND");
}

#[actix_web::test]
async fn regions_are_listed_page_by_page() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let ids = |page: &serde_json::Value| {
        let items = page["items"].as_array().unwrap();
        items.iter().map(|item| item["id"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let all = send!(app, request("GET", "/v1/regions")).json();
    assert_eq!(ids(&all), [2, 3, 1, 4, 5]);
    assert_eq!(all["items"][0]["range"]["end"], json!({"hex": "720000006d"}));
    assert_eq!(all["items"][0]["epoch"], json!({"conf_ver": 1, "version": "1"}));
    let first = send!(app, request("GET", "/v1/regions?limit=2")).json();
    assert_eq!(ids(&first), [2, 3]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = send!(app, request("GET", &format!("/v1/regions?cursor={cursor}"))).json();
    assert_eq!(ids(&second), [1, 4, 5]);
    assert!(second.get("next_cursor").is_none());
    assert_eq!(ids(&send!(app, request("GET", "/v1/regions?key=z")).json()), [3]);
    assert_eq!(ids(&send!(app, request("GET", "/v1/regions?start=z")).json()), [3, 1, 4, 5]);
    assert_eq!(ids(&send!(app, request("GET", "/v1/regions?store=1")).json()).len(), 5);
    assert_eq!(ids(&send!(app, request("GET", "/v1/regions?store=2")).json()).len(), 0);
}

#[actix_web::test]
async fn a_region_is_shown_with_its_replicas() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let region = send!(app, request("GET", "/v1/regions/2")).json();
    assert_eq!(region["peers"], json!([{"id": 20, "store": 1, "role": "voter"}]));
    assert_eq!(
        region["replicas"],
        json!([{
            "store": 1, "term": "6", "first_index": "6", "last_index": "9", "committed": "9",
            "applied": "8", "lease_valid": true,
            "matched": [{"peer": 20, "store": 1, "index": "9"}],
        }])
    );
    assert_eq!(send!(app, request("GET", "/v1/regions/99")).code(), "REGION_NOT_FOUND");
}

#[actix_web::test]
async fn changes_of_replicas_become_operators() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let add = request("POST", "/v1/regions/2/add-peer").set_payload("{\"store\":4}");
    let added = send!(app, add);
    assert_eq!((added.status.as_u16(), added.header("location")), (202, "/v1/operators/1"));
    assert_eq!(added.json()["request"], json!({"kind": "add-peer", "store": 4}));
    assert_eq!(added.json()["state"], "running");
    let again = request("POST", "/v1/regions/2/remove-peer").set_payload("{\"store\":1}");
    assert_eq!(send!(app, again).code(), "OPERATOR_CONFLICT");
    let moved = request("POST", "/v1/regions/3/move-peer?wait=5s");
    let moved = send!(app, moved.set_payload("{\"from\":1,\"to\":4}"));
    assert_eq!((moved.status.as_u16(), &moved.json()["state"]), (200, &json!("succeeded")));
    assert_eq!(moved.json()["request"], json!({"kind": "move-peer", "store": 1, "to": 4}));
    let transfer = request("POST", "/v1/regions/1/transfer-leader").set_payload("{\"store\":1}");
    assert_eq!(send!(app, transfer).status, 202);
    let of_two = send!(app, request("GET", "/v1/operators?region=2")).json();
    assert_eq!(of_two["items"].as_array().unwrap().len(), 1);
    let one = send!(app, request("GET", "/v1/operators/1")).json();
    assert_eq!(one["steps"][0], json!({"what": "add a learner", "done": false}));
    assert_eq!(send!(app, request("GET", "/v1/operators/99")).code(), "NOT_FOUND");
    let release = request("POST", "/v1/regions/2/quarantine/release").set_payload("{\"store\":1}");
    assert_eq!(send!(app, release).json(), json!({"region": 2, "store": 1, "released": true}));
}

#[actix_web::test]
async fn timestamps_grow() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let first = send!(app, request("GET", "/v1/ts")).json();
    let second = send!(app, request("GET", "/v1/ts?count=10")).json();
    let ts = |reply: &serde_json::Value| reply["ts"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(ts(&second) >= ts(&first) + 10);
    assert_eq!(second["count"], 10);
}

#[actix_web::test]
async fn without_pd_the_cluster_is_503() {
    let (state, fake) = gateway(Config::default());
    let app = app!(state);
    fake.pd_down.store(true, Ordering::Relaxed);
    for path in ["/v1/cluster", "/v1/stores", "/v1/regions", "/v1/operators", "/v1/ts"] {
        let seen = send!(app, request("GET", path));
        assert_eq!((seen.code().as_str(), seen.status.as_u16()), ("PD_UNAVAILABLE", 503), "{path}");
        assert!(!seen.header("retry-after").is_empty());
    }
}
