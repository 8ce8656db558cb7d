//! Rows of the transactional space, each operation end to end.
use super::fake::{app, gateway, request, send};
use serde_json::json;
use troupe_config::Config;

const KEY: &str = "/v1/kv/keys/user%2F42";

#[actix_web::test]
async fn a_key_is_put_read_and_deleted() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let put = send!(app, request("PUT", KEY).set_payload("Ada"));
    assert_eq!(put.status, 200, "{:?}", put.body);
    let version = put.json()["version"].as_str().unwrap().to_owned();
    assert_eq!(put.header("etag"), format!("\"{version}\""));
    assert_eq!(put.header("kv-commit-ts"), version);
    let got = send!(app, request("GET", KEY));
    assert_eq!(got.json(), json!({"key": "user/42", "value": "Ada", "version": version}));
    assert_eq!(got.header("kv-served-by"), "store=1;region=5");
    let known = request("GET", KEY).insert_header(("if-none-match", format!("\"{version}\"")));
    assert_eq!(send!(app, known).status, 304);
    assert_eq!(&send!(app, request("GET", &format!("{KEY}?raw"))).body[..], b"Ada");
    let again = send!(app, request("PUT", &format!("{KEY}?created")).set_payload("Bob"));
    assert_eq!(again.status, 200);
    let past = send!(app, request("GET", &format!("{KEY}?at={version}")));
    assert_eq!(
        (past.json()["value"].clone(), past.header("kv-read-ts")),
        (json!("Ada"), &version[..])
    );
    assert_eq!(send!(app, request("DELETE", KEY)).status, 200);
    assert_eq!(send!(app, request("GET", KEY)).code(), "KEY_NOT_FOUND");
    let new = send!(app, request("PUT", &format!("{KEY}?created")).set_payload("Cy"));
    assert_eq!(new.status, 201);
    let history = send!(app, request("GET", "/v1/kv/history/user/42")).json();
    let kinds: Vec<_> =
        history["versions"].as_array().unwrap().iter().map(|v| &v["kind"]).collect();
    assert_eq!(kinds, ["put", "delete", "put", "put"]);
    assert_eq!(history["lock"], json!(null));
}

#[actix_web::test]
async fn conditions_hold_or_nothing_is_written() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let put = |name: &'static str, tag: String| {
        request("PUT", KEY).insert_header((name, tag)).set_payload("x")
    };
    assert_eq!(send!(app, put("if-match", "*".into())).code(), "CAS_MISMATCH");
    let first = send!(app, put("if-none-match", "*".into()));
    assert_eq!(first.status, 201);
    let version = first.header("etag").to_owned();
    let again = send!(app, put("if-none-match", "*".into()));
    assert_eq!(again.code(), "CAS_MISMATCH");
    assert_eq!(again.json()["context"]["current"], version.replace('"', ""));
    assert_eq!(send!(app, put("if-match", "\"7\"".into())).status, 412);
    assert_eq!(send!(app, put("if-match", version.clone())).status, 200);
    assert_eq!(send!(app, put("if-match", version)).status, 412);
}

#[actix_web::test]
async fn batches_are_of_one_moment() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let items = json!({"items": [
        {"key": "a", "value": "1"}, {"key": "z", "value": {"hex": "ff"}, "ttl": "1h"}]});
    let put = send!(app, request("POST", "/v1/kv/put").set_payload(items.to_string())).json();
    assert_eq!(put["written"], 2);
    let keys = json!({"keys": ["z", "a", "no"]}).to_string();
    let got = send!(app, request("POST", "/v1/kv/get").set_payload(keys.clone())).json();
    assert_eq!(got["items"][0]["value"], json!({"b64": "/w=="}));
    assert_eq!(got["items"][0]["version"], got["items"][1]["version"]);
    assert_eq!(got["items"][1]["version"], put["commit_ts"]);
    assert_eq!(got["items"][2], json!({"key": "no", "missing": true}));
    let deleted = send!(app, request("POST", "/v1/kv/delete").set_payload(keys)).json();
    assert_eq!(deleted["deleted"], 3);
    assert_eq!(send!(app, request("GET", "/v1/kv/keys/a")).status, 404);
}

#[actix_web::test]
async fn pages_are_of_one_snapshot_whatever_is_written_meanwhile() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let keys = ["a", "f", "m", "t", "z"];
    for key in keys {
        send!(app, request("PUT", &format!("/v1/kv/keys/{key}")).set_payload("old"));
    }
    let (mut seen, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let at = cursor.as_ref().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let page = send!(app, request("GET", &format!("/v1/kv/scan?limit=2{at}"))).json();
        for row in page["items"].as_array().unwrap() {
            assert_eq!(row["value"], "old");
            seen.push(row["key"].as_str().unwrap().to_owned());
        }
        for key in ["b", "m", "n", "z"] {
            send!(app, request("PUT", &format!("/v1/kv/keys/{key}")).set_payload("new"));
        }
        send!(app, request("DELETE", "/v1/kv/keys/t"));
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
        let other = format!("/v1/kv/scan?limit=2&at=5&cursor={}", cursor.as_ref().unwrap());
        assert_eq!(send!(app, request("GET", &other)).code(), "BAD_CURSOR");
    }
    assert_eq!(seen, keys);
}

#[actix_web::test]
async fn an_export_is_imported_as_it_is() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    send!(app, request("PUT", "/v1/kv/keys/a").set_payload("1"));
    send!(app, request("PUT", "/v1/kv/keys/z").set_payload("2"));
    let lines = request("GET", "/v1/kv/scan").insert_header(("accept", "application/x-ndjson"));
    let lines = send!(app, lines);
    assert!(String::from_utf8_lossy(&lines.body).contains("\"read_ts\""));
    let all = request("POST", "/v1/kv/delete-range");
    let dry = "{\"start\":\"a\",\"end\":\"zz\",\"dry_run\":true}";
    assert_eq!(
        send!(app, request("POST", "/v1/kv/delete-range").set_payload(dry)).json()["rows"],
        2
    );
    let gone = send!(app, all.set_payload("{\"start\":\"a\",\"end\":\"zz\"}"));
    assert_eq!(gone.json()["rows"], 2);
    assert_eq!(send!(app, request("GET", "/v1/kv/keys/a")).status, 404);
    let done = send!(app, request("POST", "/v1/kv/import").set_payload(lines.body));
    assert!(
        String::from_utf8_lossy(&done.body).contains("\"done\":true,\"rows\":2"),
        "{done:?}",
        done = done.body
    );
    assert_eq!(send!(app, request("GET", "/v1/kv/keys/z")).json()["value"], "2");
}

#[actix_web::test]
async fn safe_points_and_barriers_are_shown_and_set() {
    let (state, fake) = gateway(Config::default());
    let app = app!(state);
    let barrier =
        request("PUT", "/v1/gc/barriers/backup").set_payload("{\"at\":\"77\",\"ttl\":\"1h\"}");
    let set = send!(app, barrier).json();
    assert_eq!(
        (&set["barriers"][0]["service"], &set["barriers"][0]["ts"]),
        (&json!("backup"), &json!("77"))
    );
    assert_eq!(
        send!(app, request("DELETE", "/v1/gc/barriers/backup")).json()["barriers"],
        json!([])
    );
    let moved = send!(app, request("POST", "/v1/gc").set_payload("{\"safe_point\":\"99\"}")).json();
    assert_eq!(moved["txn_safe_point"], "99");
    assert_eq!(fake.gc.lock().unwrap().txn_safe_point.get(), 99);
    let future = request("POST", "/v1/gc").set_payload("{\"safe_point\":\"9000000000000000000\"}");
    assert_eq!(send!(app, future).code(), "BAD_PARAMETER");
    assert_eq!(send!(app, request("GET", "/v1/deadlocks")).json()["recent"], json!([]));
    assert_eq!(send!(app, request("GET", "/v1/locks")).json(), json!({"items": []}));
    let resolved = send!(app, request("POST", "/v1/locks/resolve").set_payload("{}"));
    assert_eq!(resolved.json(), json!({"resolved": 0, "alive": 0}));
}
