//! Transactions in one request, end to end.
use super::fake::{app, gateway, request, send};
use serde_json::json;
use std::sync::atomic::Ordering;
use troupe_config::Config;
use troupe_types::{RegionError, txn::TxnCommand};

const PAY: &str = "{\"if\":[{\"key\":\"acct/a\",\"value\":{\"ge_int\":100}},\
    {\"key\":\"z/b\",\"exists\":true}],\"then\":[{\"add\":{\"key\":\"acct/a\",\"by\":-100}},\
    {\"add\":{\"key\":\"z/b\",\"by\":100}}],\"else\":[{\"get\":{\"key\":\"acct/a\"}}]}";

#[actix_web::test]
async fn money_moves_or_does_not() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let pay = || request("POST", "/v1/txn").set_payload(PAY);
    let none = send!(app, pay()).json();
    assert_eq!(none["succeeded"], false, "{none}");
    assert_eq!(none["results"], json!([{"key": "acct/a", "missing": true}]));
    send!(app, request("PUT", "/v1/kv/keys/acct/a").set_payload("150"));
    send!(app, request("PUT", "/v1/kv/keys/z/b").set_payload("1"));
    let paid = send!(app, pay());
    assert_eq!(paid.status, 200, "{:?}", paid.body);
    let body = paid.json();
    assert_eq!(body["succeeded"], true);
    assert_eq!(
        (&body["results"][0]["value"], &body["results"][1]["value"]),
        (&json!("50"), &json!("101"))
    );
    assert_eq!(paid.header("kv-commit-ts"), body["commit_ts"].as_str().unwrap());
    assert_eq!(send!(app, pay()).json()["results"][0]["value"], "50");
    assert_eq!(send!(app, request("GET", "/v1/kv/keys/z/b")).json()["value"], "101");
}

#[actix_web::test]
async fn a_keyed_request_takes_effect_once() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let add = |by: i32| {
        let body = json!({"then": [{"add": {"key": "n", "by": by}}]}).to_string();
        request("POST", "/v1/txn").insert_header(("idempotency-key", "\"pay-1\"")).set_payload(body)
    };
    let first = send!(app, add(5)).json();
    assert_eq!(first["results"][0]["value"], "5");
    let second = send!(app, add(5)).json();
    assert_eq!((&second["repeated"], &second["commit_ts"]), (&json!(true), &first["commit_ts"]));
    assert_eq!(send!(app, request("GET", "/v1/kv/keys/n")).json()["value"], "5");
    assert_eq!(send!(app, add(6)).code(), "IDEMPOTENCY_MISMATCH");
}

#[actix_web::test]
async fn refusals_say_what_is_in_the_way() {
    let (state, fake) = gateway(Config::default());
    let app = app!(state);
    let run = |body: serde_json::Value| request("POST", "/v1/txn").set_payload(body.to_string());
    send!(app, request("PUT", "/v1/kv/keys/k").set_payload("text"));
    let insert = send!(app, run(json!({"then": [{"insert": {"key": "k", "value": "x"}}]})));
    assert_eq!(insert.code(), "ALREADY_EXISTS");
    let problem = insert.json();
    assert_eq!(
        (&problem["context"]["key"], &problem["tikv_code"]),
        (&json!("k"), &json!("KV:Storage:AlreadyExist"))
    );
    assert_eq!(
        (&problem["retryable"], &problem["outcome"]),
        (&json!(false), &json!("not_applied"))
    );
    let add = send!(app, run(json!({"then": [{"add": {"key": "k", "by": 1}}]})));
    assert_eq!(add.code(), "NOT_AN_INTEGER");
    *fake.txn.refuse.lock().unwrap() = Some(RegionError::OutcomeUnknown {
        why: troupe_types::error::UnknownReason::ConnectionLost,
    });
    let timeout = "/v1/txn?timeout=200ms";
    let lost = json!({"then": [{"put": {"key": "k", "value": "x"}}]}).to_string();
    let lost = send!(app, request("POST", timeout).set_payload(lost));
    assert_eq!(
        (lost.code(), lost.json()["outcome"].clone()),
        ("TXN_OUTCOME_UNKNOWN".into(), json!("unknown"))
    );
}

#[actix_web::test]
async fn a_lock_in_the_way_is_shown_with_its_holder() {
    let (state, fake) = gateway(Config::default());
    let app = app!(state);
    let key = troupe_types::key::txn_key(0, b"held");
    let lock = troupe_types::txn::PessimisticLock {
        keys: vec![(key.clone(), false)],
        primary: key,
        // The fake oracle gives only what lies above.
        start_ts: troupe_types::Timestamp(1 << 60),
        for_update_ts: troupe_types::Timestamp(1 << 60),
        lock_ttl_ms: 100_000,
        wait_ms: None,
        return_values: false,
        check_existence: false,
        lock_only_if_exists: false,
        allow_conflict: false,
        min_commit_ts: troupe_types::Timestamp(0),
    };
    fake.txn.execute(&TxnCommand::PessimisticLock(lock)).unwrap();
    let locks = send!(app, request("GET", "/v1/locks?prefix=he")).json();
    assert_eq!(
        (&locks["items"][0]["key"], &locks["items"][0]["kind"]),
        (&json!("held"), &json!("pessimistic"))
    );
    let body = json!({"then": [{"put": {"key": "held", "value": "x"}}], "lock_wait": "0s", "mode": "pessimistic"});
    let seen = send!(app, request("POST", "/v1/txn?timeout=500ms").set_payload(body.to_string()));
    assert_eq!(seen.code(), "LOCK_WAIT_TIMEOUT");
    let problem = seen.json();
    assert_eq!(problem["context"]["key"], "held", "{problem}");
    assert_eq!(problem["retry"]["how"], "same_request");
}

#[actix_web::test]
async fn malformed_transactions_are_problems_of_the_client() {
    let mut config = Config::default();
    config.limits.txn_ops = 2;
    let (state, fake) = gateway(config);
    let app = app!(state);
    let rows = [
        ("/v1/txn", "", "BAD_JSON"),
        ("/v1/txn", "{}", "BAD_PARAMETER"),
        ("/v1/txn", "{\"then\":[{}]}", "BAD_JSON"),
        ("/v1/txn", "{\"then\":[{\"gett\":{\"key\":\"a\"}}]}", "UNKNOWN_FIELD"),
        ("/v1/txn", "{\"then\":[{\"get\":{\"kee\":\"a\"}}]}", "UNKNOWN_FIELD"),
        ("/v1/txn", "{\"then\":[{\"get\":{\"key\":\"\"}}]}", "BAD_PARAMETER"),
        ("/v1/txn", "{\"then\":[{\"get\":{\"key\":{\"hex\":\"0\"}}}]}", "BAD_ENCODING"),
        ("/v1/txn", "{\"then\":[{\"lock\":{\"keys\":[]}}]}", "BAD_PARAMETER"),
        ("/v1/txn", "{\"then\":[{\"lock\":{\"keys\":[\"a\",\"b\",\"c\"]}}]}", "TOO_LARGE"),
        ("/v1/txn", "{\"then\":[{\"add\":{\"key\":\"a\",\"by\":1.5}}]}", "BAD_JSON"),
        ("/v1/txn", "{\"then\":[{\"scan\":{\"start\":\"b\",\"end\":\"a\"}}]}", "BAD_RANGE"),
        ("/v1/txn", "{\"if\":[{\"key\":\"a\"}]}", "BAD_PARAMETER"),
        ("/v1/txn", "{\"if\":[{\"key\":\"a\",\"value\":{}}]}", "BAD_PARAMETER"),
        ("/v1/txn", "{\"if\":[{\"key\":\"a\",\"value\":7}]}", "BAD_PARAMETER"),
        ("/v1/txn", "{\"if\":[{\"key\":\"a\",\"value\":{\"ge_in\":7}}]}", "UNKNOWN_FIELD"),
        ("/v1/txn", "{\"if\":[{\"key\":\"a\",\"version\":\"x\"}]}", "BAD_PARAMETER"),
        (
            "/v1/txn",
            "{\"then\":[{\"delete\":{\"key\":\"a\"}}],\"mode\":\"optimist\"}",
            "BAD_PARAMETER",
        ),
        ("/v1/txns", "{\"ttl\":\"11m\"}", "BAD_PARAMETER"),
        ("/v1/txns", "{\"mod\":\"x\"}", "UNKNOWN_FIELD"),
        ("/v1/txns/tx_1-2/ops", "{\"ops\":[]}", "BAD_PARAMETER"),
        ("/v1/txns/tx_1-2-3/ops", "{\"ops\":[]}", "BAD_PARAMETER"),
        ("/v1/kv/get", "{\"keys\":[\"a\"],\"at\":\"soon\"}", "BAD_PARAMETER"),
        ("/v1/kv/scan", "{\"at\":\"0\"}", "BAD_PARAMETER"),
        ("/v1/kv/scan", "{\"cursor\":\"AAAA\"}", "BAD_CURSOR"),
        ("/v1/kv/delete-range", "{\"all\":true}", "CONFIRMATION_NEEDED"),
        ("/v1/kv/import", "x", "BAD_JSON"),
        ("/v1/gc", "{\"safe_point\":\"later\"}", "BAD_PARAMETER"),
        ("/v1/locks/resolve", "{\"prefx\":\"a\"}", "UNKNOWN_FIELD"),
    ];
    for (path, body, code) in rows {
        let seen = send!(app, request("POST", path).set_payload(body));
        assert_eq!(seen.code(), code, "{path} {body}\n{:?}", seen.body);
    }
    for key in ["", "\"\"", "a\"b"] {
        let keyed = request("POST", "/v1/txn").insert_header(("idempotency-key", key));
        assert_eq!(send!(app, keyed.set_payload("{}")).code(), "BAD_PARAMETER", "{key}");
    }
    let at = send!(app, request("GET", "/v1/kv/keys/a?at=9000000000000000000"));
    assert_eq!(at.code(), "BAD_PARAMETER");
    assert_eq!(fake.writes.load(Ordering::Relaxed), 0, "something was written");
}
