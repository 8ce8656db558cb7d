//! Interactive transactions, end to end.
use super::fake::{app, gateway_with_sessions, request, send};
use serde_json::{Value, json};
use troupe_config::Config;

fn config(open: usize) -> Config {
    let mut config = Config::default();
    config.limits.txn_open = open;
    config
}

macro_rules! begin {
    ($app:expr, $settings:expr) => {{
        let begun = send!($app, request("POST", "/v1/txns").set_payload($settings.to_string()));
        assert_eq!(begun.status, 201, "{:?}", begun.body);
        let path = begun.header("location").to_owned();
        assert_eq!(path, format!("/v1/txns/{}", begun.json()["txn"].as_str().unwrap()));
        path
    }};
}

macro_rules! ops {
    ($app:expr, $path:expr, $ops:expr) => {{
        let path = format!("{}/ops", $path);
        send!($app, request("POST", &path).set_payload(json!({"ops": $ops}).to_string()))
    }};
}

macro_rules! commit {
    ($app:expr, $path:expr) => {
        send!($app, request("POST", &format!("{}/commit", $path)))
    };
}

#[actix_web::test]
async fn a_transaction_from_its_begin_to_its_commit_and_beyond() {
    let (state, _fake) = gateway_with_sessions(Config::default());
    let app = app!(state);
    for mode in ["optimistic", "pessimistic"] {
        let path = begin!(app, json!({"mode": mode, "ttl": "20s"}));
        let steps = json!([
            {"put": {"key": "a", "value": "1"}},
            {"put": {"key": "z", "value": {"b64": "/wA="}}},
            {"get": {"key": "a"}},
            {"add": {"key": format!("n-{mode}"), "by": 2}},
            {"scan": {"prefix": "", "limit": 10, "keys_only": true}},
        ]);
        let seen = ops!(app, path, steps);
        assert_eq!(seen.status, 200, "{:?}", seen.body);
        let results = seen.json()["results"].clone();
        assert_eq!((&results[0]["done"], &results[2]["value"]), (&json!(true), &json!("1")));
        assert_eq!(results[3]["value"], "2");
        let state = send!(app, request("GET", &path)).json();
        assert_eq!((&state["state"], &state["mode"]), (&json!("open"), &json!(mode)), "{state}");
        assert!(state["expires_in_ms"].as_u64().is_some_and(|left| left <= 20_000), "{state}");
        let list = send!(app, request("GET", "/v1/txns")).json();
        assert_eq!(list["items"][0]["txn"], state["txn"], "{list}");
        let kept = send!(app, request("POST", &format!("{path}/keepalive"))).json();
        assert_eq!(kept["state"], "open");
        let committed = commit!(app, path);
        assert_eq!(committed.status, 200, "{:?}", committed.body);
        let body = committed.json();
        assert_eq!(body["state"], "committed");
        assert_eq!(committed.header("kv-commit-ts"), body["commit_ts"].as_str().unwrap());
        assert_eq!(commit!(app, path).json(), body, "it may be repeated");
        assert_eq!(send!(app, request("GET", &path)).json()["commit_ts"], body["commit_ts"]);
        let late = send!(app, request("DELETE", &path));
        assert_eq!((late.status.as_u16(), late.code()), (410, "TXN_EXPIRED".into()));
        let stored = send!(app, request("GET", "/v1/kv/keys/a")).json();
        assert_eq!((&stored["value"], &stored["version"]), (&json!("1"), &body["commit_ts"]));
        assert_eq!(send!(app, request("GET", "/v1/txns")).json()["items"], json!([]));
    }
}

#[actix_web::test]
async fn a_transaction_that_is_rolled_back() {
    let (state, _fake) = gateway_with_sessions(Config::default());
    let app = app!(state);
    let path = begin!(app, json!({"mode": "pessimistic"}));
    ops!(app, path, json!([{"put": {"key": "a", "value": "1"}}]));
    for _ in 0..2 {
        let rolled_back = send!(app, request("DELETE", &path));
        assert_eq!(rolled_back.status, 200, "{:?}", rolled_back.body);
        assert_eq!(rolled_back.json()["state"], "rolled_back");
    }
    let refused = ops!(app, path, json!([{"get": {"key": "a"}}]));
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "TXN_ROLLED_BACK".into()));
    assert_eq!(commit!(app, path).code(), "TXN_ROLLED_BACK");
    assert_eq!(send!(app, request("GET", "/v1/kv/keys/a")).code(), "KEY_NOT_FOUND");
    assert_eq!(send!(app, request("PUT", "/v1/kv/keys/a").set_payload("free")).status, 200);
}

#[actix_web::test]
async fn a_transaction_that_nobody_asks_for_any_more() {
    let (state, _fake) = gateway_with_sessions(Config::default());
    let app = app!(state);
    let path = begin!(app, json!({"ttl": "1ms"}));
    let state = loop {
        let state = send!(app, request("GET", &path)).json();
        if state["state"] != "open" {
            break state;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(state["state"], "rolled_back", "{state}");
    let gone = ops!(app, path, json!([{"get": {"key": "a"}}]));
    assert_eq!((gone.status.as_u16(), gone.code()), (410, "TXN_EXPIRED".into()));
    assert_eq!(commit!(app, path).code(), "TXN_EXPIRED");
}

#[actix_web::test]
async fn ids_that_were_never_given() {
    let (state, _fake) = gateway_with_sessions(Config::default());
    let app = app!(state);
    let path = begin!(app, json!({}));
    let (front, _) = path.rsplit_once('-').unwrap();
    for other in [format!("{front}-zzz"), path.replace("tx_1-", "tx_77-")] {
        let unknown = send!(app, request("GET", &other));
        assert_eq!((unknown.status.as_u16(), unknown.code()), (404, "TXN_NOT_FOUND".into()));
        assert_eq!(commit!(app, other).code(), "TXN_NOT_FOUND", "{other}");
    }
    for no_id in ["/v1/txns/tx_1-2", "/v1/txns/x", "/v1/txns/tx_1-2-3%20"] {
        assert_eq!(send!(app, request("GET", no_id)).code(), "BAD_PARAMETER", "{no_id}");
    }
}

#[actix_web::test]
async fn bounds_are_kept() {
    let (state, _fake) = gateway_with_sessions(config(2));
    let app = app!(state);
    let first = begin!(app, json!({}));
    begin!(app, json!({}));
    let full = send!(app, request("POST", "/v1/txns").set_payload("{}"));
    assert_eq!((full.status.as_u16(), full.code()), (503, "SERVER_BUSY".into()));
    send!(app, request("DELETE", &first));
    begin!(app, json!({}));
    let long = send!(app, request("POST", "/v1/txns").set_payload("{\"ttl\":\"11m\"}"));
    assert_eq!(long.code(), "BAD_PARAMETER");
    let wrong = send!(app, request("POST", "/v1/txns").set_payload("{\"mod\":\"optimistic\"}"));
    assert_eq!(wrong.code(), "UNKNOWN_FIELD");
}

#[actix_web::test]
async fn a_transaction_has_a_largest_size_and_goes_on_below_it() {
    let mut config = Config::default();
    config.limits.txn_session_bytes = troupe_config::units::ByteSize::kib(4);
    let (state, _fake) = gateway_with_sessions(config);
    let app = app!(state);
    let path = begin!(app, json!({}));
    let put = |key: &str, bytes: usize| json!([{"put": {"key": key, "value": "v".repeat(bytes)}}]);
    assert_eq!(ops!(app, path, put("a", 3000)).status, 200);
    let large = ops!(app, path, put("b", 3000));
    assert_eq!((large.status.as_u16(), large.code()), (413, "TOO_LARGE".into()));
    assert_eq!(ops!(app, path, put("b", 300)).status, 200, "nothing was left of what was refused");
    assert_eq!(commit!(app, path).json()["state"], "committed");
    assert_eq!(send!(app, request("GET", "/v1/kv/keys/b")).json()["value"], "v".repeat(300));
}

#[actix_web::test]
async fn what_is_in_the_way_of_a_pessimistic_transaction() {
    let (state, _fake) = gateway_with_sessions(Config::default());
    let app = app!(state);
    let holder = begin!(app, json!({"mode": "pessimistic"}));
    ops!(app, holder, json!([{"put": {"key": "a", "value": "mine"}}]));
    let waiter = begin!(app, json!({"mode": "pessimistic", "lock_wait": "20ms"}));
    let late = ops!(app, waiter, json!([{"put": {"key": "a", "value": "other"}}]));
    assert_eq!((late.status.as_u16(), late.code()), (409, "LOCK_WAIT_TIMEOUT".into()));
    let context: Value = late.json()["context"].clone();
    assert_eq!(context["key"], "a", "{context}");
    commit!(app, holder);
    let then = json!([{"get": {"key": "a", "for_update": true}}]);
    assert_eq!(ops!(app, waiter, then).json()["results"][0]["value"], "mine");
    let taken = ops!(app, waiter, json!([{"insert": {"key": "a", "value": "x"}}]));
    assert_eq!(taken.code(), "ALREADY_EXISTS");
    ops!(app, waiter, json!([{"put": {"key": "a", "value": "theirs"}}]));
    assert_eq!(commit!(app, waiter).json()["state"], "committed");
    assert_eq!(send!(app, request("GET", "/v1/kv/keys/a")).json()["value"], "theirs");
}
