//! The raw space, each operation end to end.
use super::fake::{app, gateway, request, send};
use serde_json::json;
use troupe_config::Config;
use troupe_types::RegionError;
use troupe_types::raw_value::value_hash;

const KEY: &str = "/v1/raw/keys/greeting";

fn etag(value: &[u8]) -> String {
    format!("\"{:016x}\"", value_hash(value))
}

#[actix_web::test]
async fn a_key_is_put_read_and_deleted() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let put = send!(app, request("PUT", KEY).set_payload("hello"));
    assert_eq!(put.status, 200);
    assert_eq!(put.header("etag"), etag(b"hello"));
    assert_eq!(put.header("kv-served-by"), "store=1;region=2");
    let bare = etag(b"hello").replace('"', "");
    assert_eq!(put.json(), json!({"key": "greeting", "etag": bare}));

    let got = send!(app, request("GET", KEY));
    assert_eq!(got.json(), json!({"key": "greeting", "value": "hello", "etag": bare}));
    assert_eq!(got.header("etag"), etag(b"hello"));
    assert!(got.header("server-timing").contains("total;dur="));

    let raw = send!(app, request("GET", "/v1/raw/keys/greeting?raw"));
    assert_eq!(
        (&raw.body[..], raw.header("content-type")),
        (&b"hello"[..], "application/octet-stream")
    );
    let raw = send!(app, request("GET", KEY).insert_header(("accept", "application/octet-stream")));
    assert_eq!(&raw.body[..], b"hello");

    let head = send!(app, request("HEAD", KEY));
    assert_eq!((head.status.as_u16(), head.header("etag")), (200, &etag(b"hello")[..]));

    let known = request("GET", KEY).insert_header(("if-none-match", etag(b"hello")));
    assert_eq!(send!(app, known).status, 304);
    let other = request("GET", KEY).insert_header(("if-none-match", etag(b"other")));
    assert_eq!(send!(app, other).status, 200);

    assert_eq!(send!(app, request("DELETE", KEY)).json(), json!({"key": "greeting"}));
    assert_eq!(send!(app, request("DELETE", KEY)).status, 200);
    assert_eq!(send!(app, request("GET", KEY)).code(), "KEY_NOT_FOUND");
    assert_eq!(send!(app, request("HEAD", KEY)).status, 404);
}

#[actix_web::test]
async fn any_key_can_be_named() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let same = [
        ("/v1/raw/keys/a%2Fb", json!("a/b")),
        ("/v1/raw/keys/a/b", json!("a/b")),
        ("/v1/raw/keys/%00", json!({"b64": "AA=="})),
        ("/v1/raw/keys/%25", json!("%")),
        ("/v1/raw/keys/a+b", json!("a+b")),
        ("/v1/raw/keys/.", json!(".")),
        ("/v1/raw/keys/..", json!("..")),
        ("/v1/raw/keys//", json!("/")),
        ("/v1/raw/keys/%0A", json!("\n")),
        ("/v1/raw/keys/%E2%98%83", json!("☃")),
        ("/v1/raw/keys/00ff?kenc=hex", json!({"b64": "AP8="})),
        ("/v1/raw/keys/_-8?kenc=b64url", json!({"b64": "/+8="})),
    ];
    for (path, key) in same {
        let put = send!(app, request("PUT", path).set_payload(path.to_owned()));
        assert_eq!((put.status.as_u16(), &put.json()["key"]), (200, &key), "{path}");
        let got = send!(app, request("GET", path)).json();
        assert_eq!((&got["key"], &got["value"]), (&key, &json!(path)), "{path}");
    }
}

#[actix_web::test]
async fn values_are_shown_as_asked() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    send!(app, request("PUT", "/v1/raw/keys/text").set_payload("{\"n\":1e400}"));
    send!(app, request("PUT", "/v1/raw/keys/bytes").set_payload(vec![0xff, 0]));
    let value = async |path: &str| send!(app, request("GET", path)).json()["value"].clone();
    assert_eq!(value("/v1/raw/keys/text").await, json!("{\"n\":1e400}"));
    assert_eq!(value("/v1/raw/keys/text?enc=hex").await, json!({"hex": "7b226e223a31653430307d"}));
    assert_eq!(value("/v1/raw/keys/bytes").await, json!({"b64": "/wA="}));
    assert_eq!(value("/v1/raw/keys/bytes?enc=hex").await, json!({"hex": "ff00"}));
    let exact = send!(app, request("GET", "/v1/raw/keys/text?enc=json"));
    let text = String::from_utf8(exact.body.to_vec()).unwrap();
    assert!(text.contains("{\"json\":{\"n\":1e400}}"), "{text}");
    let wrong = ["/v1/raw/keys/bytes?enc=utf8", "/v1/raw/keys/bytes?enc=json"];
    for path in wrong {
        assert_eq!(send!(app, request("GET", path)).code(), "NOT_UTF8", "{path}");
    }
}

#[actix_web::test]
async fn conditions_hold_or_nothing_is_written() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let put = |header: (&'static str, String), value: &'static str| {
        request("PUT", KEY).insert_header(header).set_payload(value)
    };
    assert_eq!(send!(app, put(("if-match", "*".into()), "a")).code(), "CAS_MISMATCH");
    assert_eq!(send!(app, put(("if-none-match", "*".into()), "a")).status, 201);
    let again = send!(app, put(("if-none-match", "*".into()), "b"));
    assert_eq!(again.code(), "CAS_MISMATCH");
    assert_eq!(again.json()["context"]["current"], etag(b"a").replace('"', ""));
    assert_eq!(again.json()["outcome"], "not_applied");
    assert_eq!(send!(app, put(("if-match", etag(b"x")), "b")).status, 412);
    assert_eq!(send!(app, put(("if-match", etag(b"a")), "b")).status, 200);
    assert_eq!(send!(app, put(("if-match", "*".into()), "c")).status, 200);
    assert_eq!(send!(app, put(("if-none-match", etag(b"c")), "d")).status, 412);
    assert_eq!(send!(app, put(("if-none-match", etag(b"a")), "d")).status, 200);
    let delete = |tag: String| request("DELETE", KEY).insert_header(("if-match", tag));
    assert_eq!(send!(app, delete(etag(b"a"))).status, 412);
    assert_eq!(send!(app, request("GET", KEY)).json()["value"], "d");
    assert_eq!(send!(app, delete(etag(b"d"))).status, 200);
    assert_eq!(send!(app, request("GET", KEY)).status, 404);
}

#[actix_web::test]
async fn rows_end_when_their_time_has_come() {
    let (state, fake) = gateway(Config::default());
    let app = app!(state);
    send!(app, request("PUT", "/v1/raw/keys/a?ttl=1h").set_payload("x"));
    let left = send!(app, request("GET", "/v1/raw/keys/a")).json()["ttl_ms"].as_u64().unwrap();
    assert!((3_500_000..=3_600_000).contains(&left), "{left}");
    let past = troupe_types::UnixMillis(1);
    for (_, ends) in fake.rows.lock().unwrap().values_mut() {
        *ends = Some(past);
    }
    assert_eq!(send!(app, request("GET", "/v1/raw/keys/a")).code(), "KEY_NOT_FOUND");
}

#[actix_web::test]
async fn batches_keep_their_order_and_their_bytes() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let items = json!({"items": [
        {"key": "a", "value": "1"},
        {"key": "z", "value": {"hex": "ff"}, "ttl": "30s"},
        {"key": {"b64": "/w=="}, "value": {"json": {"n": [1, 2]}}},
    ]});
    let put = send!(app, request("POST", "/v1/raw/put").set_payload(items.to_string()));
    assert_eq!((put.status.as_u16(), put.json()), (200, json!({"written": 3})));
    let keys = json!({"keys": ["z", "missing", {"hex": "ff"}, "a"]}).to_string();
    let got = send!(app, request("POST", "/v1/raw/get").set_payload(keys.clone())).json();
    let items = got["items"].as_array().unwrap();
    assert_eq!(items[0]["value"], json!({"b64": "/w=="}));
    assert!(items[0]["ttl_ms"].as_u64().unwrap() <= 30_000);
    assert_eq!(items[1], json!({"key": "missing", "missing": true}));
    assert_eq!(items[2]["key"], json!({"b64": "/w=="}));
    assert_eq!(items[2]["value"], json!("{\"n\":[1,2]}"));
    assert_eq!(items[3]["value"], "1");
    let deleted = send!(app, request("POST", "/v1/raw/delete").set_payload(keys.clone()));
    assert_eq!(deleted.json(), json!({"deleted": 4}));
    let got = send!(app, request("POST", "/v1/raw/get").set_payload(keys)).json();
    assert!(got["items"].as_array().unwrap().iter().all(|item| item["missing"] == true));
}

#[actix_web::test]
async fn a_batch_says_which_regions_failed() {
    let (state, fake) = gateway(Config::default());
    let app = app!(state);
    *fake.refuse_right.lock().unwrap() = Some(RegionError::EntryTooLarge { actual: 9, limit: 8 });
    let items = json!({"items": [{"key": "a", "value": "1"}, {"key": "z", "value": "2"}]});
    let put = send!(app, request("POST", "/v1/raw/put").set_payload(items.to_string()));
    assert_eq!(put.status, 207);
    assert_eq!(put.json()["written"], 1);
    assert_eq!(put.json()["failed"][0]["key"], "z");
    assert_eq!(put.json()["failed"][0]["code"], "TOO_LARGE");
    let only = json!({"keys": ["y", "z"]}).to_string();
    let none = send!(app, request("POST", "/v1/raw/delete").set_payload(only));
    assert_eq!(none.code(), "TOO_LARGE");
}

#[actix_web::test]
async fn an_unknown_outcome_is_told_as_such() {
    let (state, fake) = gateway(Config::default());
    let app = app!(state);
    let why = troupe_types::error::UnknownReason::ActorCrashed;
    *fake.refuse_right.lock().unwrap() = Some(RegionError::OutcomeUnknown { why });
    let put = send!(app, request("PUT", "/v1/raw/keys/z").set_payload("1"));
    assert!(put.status.is_server_error());
    put.code();
    assert_eq!(put.json()["outcome"], "unknown");
    assert_eq!(put.json()["retryable"], false);
}

#[actix_web::test]
async fn a_region_that_does_not_serve_is_503_with_a_pause() {
    let (state, fake) = gateway(Config::default());
    let app = app!(state);
    *fake.refuse_right.lock().unwrap() = Some(RegionError::RegionHalted {
        region: troupe_types::RegionId(3),
        store: troupe_types::StoreId(1),
    });
    let put = request("PUT", "/v1/raw/keys/z?timeout=200ms").set_payload("1");
    let put = send!(app, put);
    assert!([503, 504].contains(&put.status.as_u16()), "{}", put.status);
    put.code();
    assert_eq!(put.json()["outcome"], "not_applied");
    assert_eq!(put.json()["retryable"], true);
    if put.status == 503 {
        assert!(!put.header("retry-after").is_empty());
    }
}

#[actix_web::test]
async fn compare_and_swap_tells_what_was_there() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let steps = [
        (
            json!({"key": "k", "expect": {"present": true}, "put": "a"}),
            json!({"succeeded": false, "previous": null}),
        ),
        (
            json!({"key": "k", "expect": {"absent": true}, "put": "a"}),
            json!({"succeeded": true, "previous": null}),
        ),
        (
            json!({"key": "k", "expect": {"absent": true}, "put": "b"}),
            json!({"succeeded": false, "previous": "a"}),
        ),
        (
            json!({"key": "k", "expect": {"value": "x"}, "put": "b"}),
            json!({"succeeded": false, "previous": "a"}),
        ),
        (
            json!({"key": "k", "expect": {"value": "a"}, "put": "b", "ttl": "1m"}),
            json!({"succeeded": true, "previous": "a"}),
        ),
        (
            json!({"key": "k", "expect": {"present": true}, "delete": true}),
            json!({"succeeded": true, "previous": "b"}),
        ),
        (
            json!({"key": "k", "expect": {"present": true}, "delete": true}),
            json!({"succeeded": false, "previous": null}),
        ),
    ];
    for (body, answer) in steps {
        let seen = send!(app, request("POST", "/v1/raw/cas").set_payload(body.to_string()));
        assert_eq!((seen.status.as_u16(), seen.json()), (200, answer), "{body}");
    }
}

async fn filled() -> (std::sync::Arc<crate::HttpState>, std::sync::Arc<super::fake::Fake>) {
    let (state, fake) = gateway(Config::default());
    for key in ["a1", "a2", "a3", "m", "z1", "z2"] {
        let row = (bytes::Bytes::from(key.to_uppercase()), None);
        fake.rows.lock().unwrap().insert(troupe_types::key::raw_key(0, key.as_bytes()), row);
    }
    (state, fake)
}

fn keys(page: &serde_json::Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item["key"].as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn a_scan_reads_a_range_by_query_and_by_body() {
    let (state, _fake) = filled().await;
    let app = app!(state);
    let cases = [
        ("", json!({}), vec!["a1", "a2", "a3", "m", "z1", "z2"]),
        ("?prefix=a", json!({"prefix": "a"}), vec!["a1", "a2", "a3"]),
        ("?start=a2&end=z1", json!({"start": "a2", "end": "z1"}), vec!["a2", "a3", "m"]),
        ("?start=a3", json!({"start": {"hex": "6133"}}), vec!["a3", "m", "z1", "z2"]),
        ("?end=6132&kenc=hex", json!({"end": "a2"}), vec!["a1"]),
        ("?reverse", json!({"reverse": true}), vec!["z2", "z1", "m", "a3", "a2", "a1"]),
        ("?prefix=q", json!({"prefix": "q"}), vec![]),
    ];
    for (query, body, wanted) in cases {
        let by_query = send!(app, request("GET", &format!("/v1/raw/scan{query}"))).json();
        let by_body = request("POST", "/v1/raw/scan").set_payload(body.to_string());
        let by_body = send!(app, by_body).json();
        assert_eq!(by_query, by_body);
        assert_eq!(
            (keys(&by_query), &by_query["stopped_by"]),
            (wanted.iter().map(|k| (*k).to_owned()).collect(), &json!("end"))
        );
    }
    let only = send!(app, request("GET", "/v1/raw/scan?keys_only&prefix=m")).json();
    assert_eq!(only["items"], json!([{"key": "m"}]));
}

#[actix_web::test]
async fn pages_add_up_to_the_whole() {
    let (state, _fake) = filled().await;
    let app = app!(state);
    for order in ["", "&reverse=true"] {
        let base = format!("/v1/raw/scan?limit=2{order}");
        let (mut path, mut all, mut pages) = (base.clone(), Vec::new(), 0);
        loop {
            let page = send!(app, request("GET", &path)).json();
            all.extend(keys(&page));
            pages += 1;
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            assert_eq!(page["stopped_by"], "limit");
            path = format!("{base}&cursor={cursor}");
        }
        let mut wanted = vec!["a1", "a2", "a3", "m", "z1", "z2"];
        if !order.is_empty() {
            wanted.reverse();
        }
        assert_eq!(all, wanted);
        assert!(pages >= 3);
    }
}

#[actix_web::test]
async fn a_range_is_counted_and_deleted() {
    let (state, _fake) = filled().await;
    let app = app!(state);
    let post =
        |path: &str, body: serde_json::Value| request("POST", path).set_payload(body.to_string());
    let sum = send!(app, post("/v1/raw/checksum", json!({}))).json();
    let mut wanted = troupe_types::command::RawChecksum::default();
    for key in ["a1", "a2", "a3", "m", "z1", "z2"] {
        wanted.add(key.as_bytes(), key.to_uppercase().as_bytes());
    }
    let checksum = format!("{:016x}", wanted.xor);
    assert_eq!(sum, json!({"rows": 6, "bytes": 22, "checksum": checksum}));

    let dry = send!(app, post("/v1/raw/delete-range", json!({"prefix": "a", "dry_run": true})));
    assert_eq!(dry.json(), json!({"regions": 1, "rows": 3}));
    let done = send!(app, post("/v1/raw/delete-range", json!({"start": "a3", "end": "z2"})));
    assert_eq!(done.json(), json!({"regions": 2}));
    let left = send!(app, request("GET", "/v1/raw/scan")).json();
    assert_eq!(keys(&left), ["a1", "a2", "z2"]);

    for body in
        [json!({"all": true}), json!({"all": true, "confirm": "other"}), json!({"prefix": ""})]
    {
        let refused = send!(app, post("/v1/raw/delete-range", body.clone()));
        assert_eq!(refused.code(), "CONFIRMATION_NEEDED", "{body}");
    }
    let all = json!({"all": true, "confirm": super::fake::NAME});
    assert_eq!(send!(app, post("/v1/raw/delete-range", all)).status, 200);
    assert_eq!(keys(&send!(app, request("GET", "/v1/raw/scan")).json()).len(), 0);
}
