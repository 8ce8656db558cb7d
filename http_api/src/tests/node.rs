//! This node: health, actors, traces, metrics, documentation; and what the gate does.
use super::fake::{app, gateway, parts, request, send};
use crate::state::HttpState;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use troupe_actors::registry::{ActorId, RestartRecord};
use troupe_config::{ByteSize, Config};
use troupe_types::{Generation, UnixMillis};

#[actix_web::test]
async fn health_is_told() {
    let (mut parts, _fake) = parts(Config::default());
    let ready = HttpState::new(parts.clone()).unwrap();
    let ready = app!(ready);
    assert_eq!(send!(ready, request("GET", "/livez")).json(), json!({"live": true}));
    assert_eq!(send!(ready, request("GET", "/readyz")).json(), json!({"ready": true}));
    let verbose = send!(ready, request("GET", "/readyz?verbose")).json();
    assert_eq!(verbose, json!({"ready": true, "checks": {"store-1": "ok"}}));
    parts.ready = Arc::new(|| vec![("pd".to_owned(), Err("no leader".to_owned()))]);
    let not_ready = HttpState::new(parts).unwrap();
    let not_ready = app!(not_ready);
    let seen = send!(not_ready, request("GET", "/readyz"));
    assert_eq!((seen.code().as_str(), seen.status.as_u16()), ("NOT_READY", 503));
    assert_eq!(seen.json()["context"]["failing"], json!(["pd: no leader"]));
    assert_eq!(send!(not_ready, request("GET", "/livez")).status, 200);
}

#[actix_web::test]
async fn limits_version_and_links_are_told() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let limits = send!(app, request("GET", "/v1/limits")).json();
    assert_eq!((&limits["key_bytes"], &limits["batch_keys"]), (&json!(8192), &json!(1024)));
    assert_eq!(send!(app, request("GET", "/v1/version")).json()["version"], "0.1.0");
    let root = send!(app, request("GET", "/")).json();
    for link in root["links"].as_object().unwrap().values() {
        let seen = send!(app, request("GET", link.as_str().unwrap()));
        assert_eq!(seen.status, 200, "{link}");
    }
}

#[actix_web::test]
async fn actors_are_listed() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let registry = &state.parts.env.registry;
    let store = registry.register("store", "store-1".to_owned(), ActorId(0), 4);
    let peer = registry.register("region_peer", "store-1/region-7".to_owned(), store.id, 4);
    peer.depth.store(9, Ordering::Relaxed);
    registry.record_restart(RestartRecord {
        at: UnixMillis(5),
        actor: peer.id,
        kind: "region_peer",
        name: peer.name.clone(),
        generation: Generation(1),
        verdict: "restart",
        panic: "index out of bounds".to_owned(),
    });
    let all = send!(app, request("GET", "/v1/actors?sort=depth")).json();
    assert_eq!((&all["node"], &all["total"]), (&json!(1), &json!(2)));
    assert_eq!(all["items"][0]["name"], "store-1/region-7");
    assert_eq!(all["items"][0]["restarts"], 1);
    let stores = send!(app, request("GET", "/v1/actors?kind=store&limit=1")).json();
    assert_eq!(stores["items"][0]["kind"], "store");
    assert_eq!(send!(app, request("GET", "/v1/actors?state=quarantined")).json()["total"], 0);
    let one = send!(app, request("GET", &format!("/v1/actors/{}", peer.id))).json();
    assert_eq!((&one["parent"], &one["recording"]), (&json!(store.id.0), &json!([])));
    assert_eq!(send!(app, request("GET", "/v1/actors/99")).code(), "NOT_FOUND");
    let restarts = send!(app, request("GET", "/v1/actors/restarts")).json();
    assert_eq!(restarts["items"][0]["panic"], "index out of bounds");
}

#[actix_web::test]
async fn a_request_that_asks_for_it_is_traced() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let traced = request("PUT", "/v1/raw/keys/a").insert_header(("kv-trace", "1"));
    let traced = send!(app, traced.set_payload("x"));
    let url = traced.header("kv-trace-url").to_owned();
    assert!(url.starts_with("/v1/traces/"), "{url}");
    let list = send!(app, request("GET", "/v1/traces")).json();
    assert_eq!(list["items"][0]["root"], "raw_key_put");
    let trace = send!(app, request("GET", &url)).json();
    assert_eq!(trace["spans"][0]["message"], "raw_key_put");
    let diagram = send!(app, request("GET", &format!("{url}?format=mermaid")));
    assert!(diagram.body.starts_with(b"sequenceDiagram\n    client->>gateway_1: raw_key_put"));
    let own = send!(app, request("GET", "/livez?trace=00000000000000ab"));
    assert_eq!(own.header("kv-trace-url"), "/v1/traces/00000000000000ab");
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let parent = send!(app, request("GET", "/livez").insert_header(("traceparent", parent)));
    assert_eq!(parent.header("kv-trace-url"), "/v1/traces/8448eb211c80319c");
    let missing = send!(app, request("GET", "/v1/traces/00000000000000ff"));
    assert_eq!(missing.code(), "NOT_FOUND");
}

#[actix_web::test]
async fn metrics_count_requests_and_actors() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    state.parts.env.registry.register("store", "store-1".to_owned(), ActorId(0), 4);
    send!(app, request("GET", "/v1/raw/keys/missing"));
    send!(app, request("GET", "/nowhere"));
    let seen = send!(app, request("GET", "/metrics"));
    let text = String::from_utf8(seen.body.to_vec()).unwrap();
    for line in [
        "troupe_http_requests_total{operation=\"raw_key_get\",status=\"4xx\"} 1",
        "troupe_http_request_seconds_count{operation=\"raw_key_get\"} 1",
        "troupe_http_refused_total{status=\"404\"} 1",
        "troupe_actors{kind=\"store\"} 1",
        "troupe_test_figure{disk=\"a\\\"b\"} 1.5",
        "troupe_http_in_flight_requests 0",
    ] {
        assert!(text.lines().any(|other| other == line), "no {line} in\n{text}");
    }
}

#[actix_web::test]
async fn two_nodes_share_nothing() {
    let (one, _) = gateway(Config::default());
    let (two, _) = gateway(Config::default());
    let (app_one, app_two) = (app!(one), app!(two));
    send!(app_one, request("PUT", "/v1/raw/keys/a").set_payload("x"));
    assert_eq!(send!(app_two, request("GET", "/v1/raw/keys/a")).status, 404);
    let text = send!(app_two, request("GET", "/metrics")).body;
    let text = String::from_utf8(text.to_vec()).unwrap();
    assert!(
        text.contains("troupe_http_requests_total{operation=\"raw_key_put\",status=\"2xx\"} 0")
    );
}

#[actix_web::test]
async fn pages_work_offline_and_are_framed_by_nobody() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    assert_eq!(send!(app, request("GET", "/docs")).header("location"), "/docs/");
    for path in
        ["/docs/", "/docs/swagger-ui-bundle.js", "/docs/errors", "/docs/errors/KEY_NOT_FOUND"]
    {
        let seen = send!(app, request("GET", path));
        assert_eq!(seen.status, 200, "{path}");
        assert_eq!(seen.header("x-content-type-options"), "nosniff");
        let policy = seen.header("content-security-policy");
        assert!(
            policy.contains("frame-ancestors 'none'") && policy.starts_with("default-src 'none'")
        );
    }
    let start = send!(app, request("GET", "/docs/swagger-initializer.js"));
    assert!(String::from_utf8(start.body.to_vec()).unwrap().contains("/openapi.json"));
    assert_eq!(send!(app, request("GET", "/docs/errors/NO_SUCH")).code(), "NOT_FOUND");
    assert_eq!(send!(app, request("GET", "/docs/none.js")).code(), "NOT_FOUND");
}

#[actix_web::test]
async fn a_panic_is_500_and_the_next_request_is_served() {
    let (state, fake) = gateway(Config::default());
    let app = app!(state);
    fake.panics.store(true, Ordering::Relaxed);
    let seen = send!(app, request("PUT", "/v1/raw/keys/a").set_payload("x"));
    assert_eq!((seen.code().as_str(), seen.status.as_u16()), ("INTERNAL", 500));
    assert_eq!(seen.json()["outcome"], "unknown");
    fake.panics.store(false, Ordering::Relaxed);
    assert_eq!(send!(app, request("PUT", "/v1/raw/keys/a").set_payload("x")).status, 200);
    assert_eq!(state.admission.requests(), 0);
}

#[actix_web::test]
async fn what_does_not_fit_is_refused_and_given_back() {
    let mut config = Config::default();
    config.limits.in_flight_bytes = ByteSize(100);
    config.limits.in_flight_requests = 1;
    let (state, _fake) = gateway(config);
    let app = app!(state);
    let large = request("PUT", "/v1/raw/keys/a").insert_header(("content-length", "101"));
    let seen = send!(app, large.set_payload(vec![b'x'; 101]));
    assert_eq!((seen.code().as_str(), seen.status.as_u16()), ("SERVER_BUSY", 503));
    assert_eq!(seen.header("retry-after"), "1");
    assert_eq!((state.admission.requests(), state.admission.bytes()), (0, 0));
    let held = crate::gate::admission::Ticket::new(&state.admission).unwrap();
    assert_eq!(send!(app, request("GET", "/v1/limits")).code(), "SERVER_BUSY");
    assert_eq!(send!(app, request("GET", "/metrics")).status, 200);
    drop(held);
    assert_eq!(send!(app, request("GET", "/v1/limits")).status, 200);
}
