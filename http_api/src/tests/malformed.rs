//! Whatever is sent, a malformed request is a problem of 4xx with a stable code, and writes nothing.
use super::fake::{app, gateway, request, send};
use std::sync::atomic::Ordering;
use troupe_config::Config;

/// Method, path, body, code.
type Row = (&'static str, &'static str, &'static str, &'static str);

const GET: &str = "/v1/raw/get";
const PUT: &str = "/v1/raw/put";
const DELETE: &str = "/v1/raw/delete";
const CAS: &str = "/v1/raw/cas";
const SCAN: &str = "/v1/raw/scan";
const RANGE: &str = "/v1/raw/delete-range";
const SUM: &str = "/v1/raw/checksum";
const IMPORT: &str = "/v1/raw/import";

const BODIES: &[Row] = &[
    ("POST", GET, "", "BAD_JSON"),
    ("POST", GET, "   \n", "BAD_JSON"),
    ("POST", GET, "{", "BAD_JSON"),
    ("POST", GET, "[]", "BAD_JSON"),
    ("POST", GET, "null", "BAD_JSON"),
    ("POST", GET, "NaN", "BAD_JSON"),
    ("POST", GET, "{}", "BAD_JSON"),
    ("POST", GET, "{\"keys\":null}", "BAD_JSON"),
    ("POST", GET, "{\"keys\":\"a\"}", "BAD_JSON"),
    ("POST", GET, "{\"keys\":[1]}", "BAD_JSON"),
    ("POST", GET, "{\"keys\":[NaN]}", "BAD_JSON"),
    ("POST", GET, "{\"keys\":[true]}", "BAD_JSON"),
    ("POST", GET, "{\"keys\":[[]]}", "BAD_JSON"),
    ("POST", GET, "{\"keys\":[{}]}", "BAD_JSON"),
    ("POST", GET, "{\"keys\":[\"a\"]} x", "BAD_JSON"),
    ("POST", GET, "{\"keys\":[\"a\",]}", "BAD_JSON"),
    ("POST", GET, "{'keys':['a']}", "BAD_JSON"),
    ("POST", GET, "{\"keys\":[\"\\ud800\"]}", "BAD_JSON"),
    ("POST", GET, "{\"keys\":[\"\\udc00\\ud800\"]}", "BAD_JSON"),
    ("POST", GET, "{\"keys\":[\"\u{1}\"]}", "BAD_JSON"),
    ("POST", GET, "{\"keys\":[\"a\"],\"keys\":[\"b\"]}", "BAD_JSON"),
    ("POST", GET, "{\"keys\":[{\"b64\":\"AA==\",\"hex\":\"00\"}]}", "BAD_JSON"),
    ("POST", GET, "{\"keys\":[{\"b64\":7}]}", "BAD_JSON"),
    ("POST", GET, "{\"keys\":[{\"b46\":\"AA==\"}]}", "UNKNOWN_FIELD"),
    ("POST", GET, "{\"key\":[\"a\"]}", "UNKNOWN_FIELD"),
    ("POST", GET, "{\"keys\":[\"a\"],\"x\":1}", "UNKNOWN_FIELD"),
    ("POST", GET, "{\"keys\":[{\"b64\":\"!\"}]}", "BAD_ENCODING"),
    ("POST", GET, "{\"keys\":[{\"b64\":\"AA\"}]}", "BAD_ENCODING"),
    ("POST", GET, "{\"keys\":[{\"b64\":\"_-8=\"}]}", "BAD_ENCODING"),
    ("POST", GET, "{\"keys\":[{\"hex\":\"0\"}]}", "BAD_ENCODING"),
    ("POST", GET, "{\"keys\":[{\"hex\":\"zz\"}]}", "BAD_ENCODING"),
    ("POST", GET, "{\"keys\":[{\"json\":1}]}", "BAD_ENCODING"),
    ("POST", GET, "{\"keys\":[]}", "BAD_PARAMETER"),
    ("POST", GET, "{\"keys\":[\"\"]}", "BAD_PARAMETER"),
    ("POST", DELETE, "{\"keys\":[]}", "BAD_PARAMETER"),
    ("POST", PUT, "{\"items\":[{\"key\":\"a\"}]}", "BAD_JSON"),
    ("POST", PUT, "{\"items\":[{\"value\":\"a\"}]}", "BAD_JSON"),
    ("POST", PUT, "{\"items\":[{\"key\":\"a\",\"value\":1e999}]}", "BAD_JSON"),
    ("POST", PUT, "{\"items\":[{\"key\":\"a\",\"value\":{\"json\":}}]}", "BAD_JSON"),
    ("POST", PUT, "{\"items\":[{\"key\":\"a\",\"value\":{\"json\":NaN}}]}", "BAD_JSON"),
    ("POST", PUT, "{\"items\":[{\"key\":\"a\",\"value\":\"b\",\"ttl\":30}]}", "BAD_JSON"),
    ("POST", PUT, "{\"items\":[{\"key\":\"a\",\"value\":\"b\",\"tl\":\"30s\"}]}", "UNKNOWN_FIELD"),
    ("POST", PUT, "{\"items\":[{\"key\":\"a\",\"value\":\"b\",\"ttl\":\"30\"}]}", "BAD_PARAMETER"),
    ("POST", PUT, "{\"items\":[{\"key\":\"a\",\"value\":\"b\",\"ttl\":\"0s\"}]}", "BAD_PARAMETER"),
    ("POST", PUT, "{\"items\":[{\"key\":\"a\",\"value\":\"b\",\"ttl\":\"-1s\"}]}", "BAD_PARAMETER"),
    (
        "POST",
        PUT,
        "{\"items\":[{\"key\":\"a\",\"value\":\"b\",\"ttl\":\"900y\"}]}",
        "BAD_PARAMETER",
    ),
    (
        "POST",
        PUT,
        "{\"items\":[{\"key\":\"a\",\"value\":\"b\",\"ttl\":\"99999999999999999999y\"}]}",
        "BAD_PARAMETER",
    ),
    (
        "POST",
        PUT,
        "{\"items\":[{\"key\":\"a\",\"value\":\"b\"},{\"key\":\"\",\"value\":\"b\"}]}",
        "BAD_PARAMETER",
    ),
    ("POST", CAS, "{\"key\":\"a\",\"put\":\"b\"}", "BAD_JSON"),
    ("POST", CAS, "{\"key\":\"a\",\"expect\":{},\"put\":\"b\"}", "BAD_PARAMETER"),
    ("POST", CAS, "{\"key\":\"a\",\"expect\":{\"absent\":false},\"put\":\"b\"}", "BAD_PARAMETER"),
    (
        "POST",
        CAS,
        "{\"key\":\"a\",\"expect\":{\"absent\":true,\"value\":\"x\"},\"put\":\"b\"}",
        "BAD_PARAMETER",
    ),
    ("POST", CAS, "{\"key\":\"a\",\"expect\":{\"abcent\":true},\"put\":\"b\"}", "UNKNOWN_FIELD"),
    ("POST", CAS, "{\"key\":\"a\",\"expect\":{\"absent\":true}}", "BAD_PARAMETER"),
    (
        "POST",
        CAS,
        "{\"key\":\"a\",\"expect\":{\"absent\":true},\"put\":\"b\",\"delete\":true}",
        "BAD_PARAMETER",
    ),
    (
        "POST",
        CAS,
        "{\"key\":\"a\",\"expect\":{\"present\":true},\"delete\":true,\"ttl\":\"1s\"}",
        "BAD_PARAMETER",
    ),
    ("POST", SCAN, "{\"limit\":0}", "BAD_PARAMETER"),
    ("POST", SCAN, "{\"limit\":10001}", "BAD_PARAMETER"),
    ("POST", SCAN, "{\"limit\":-1}", "BAD_JSON"),
    ("POST", SCAN, "{\"limit\":99999999999999999999999}", "BAD_JSON"),
    ("POST", SCAN, "{\"limit\":1.5}", "BAD_JSON"),
    ("POST", SCAN, "{\"enc\":\"b46\"}", "BAD_PARAMETER"),
    ("POST", SCAN, "{\"prefix\":\"a\",\"start\":\"b\"}", "BAD_RANGE"),
    ("POST", SCAN, "{\"start\":\"b\",\"end\":\"a\"}", "BAD_RANGE"),
    ("POST", SCAN, "{\"start\":\"a\",\"end\":\"a\"}", "BAD_RANGE"),
    ("POST", SCAN, "{\"cursor\":\"AAAA\"}", "BAD_CURSOR"),
    ("POST", SCAN, "{\"cursor\":\"*\"}", "BAD_CURSOR"),
    ("POST", RANGE, "{}", "BAD_RANGE"),
    ("POST", RANGE, "{\"start\":\"a\"}", "BAD_RANGE"),
    ("POST", RANGE, "{\"end\":\"a\"}", "BAD_RANGE"),
    ("POST", RANGE, "{\"start\":\"b\",\"end\":\"a\"}", "BAD_RANGE"),
    ("POST", RANGE, "{\"all\":true,\"prefix\":\"a\"}", "BAD_RANGE"),
    ("POST", RANGE, "{\"prefix\":\"\"}", "CONFIRMATION_NEEDED"),
    ("POST", RANGE, "{\"all\":true}", "CONFIRMATION_NEEDED"),
    ("POST", SUM, "", "BAD_JSON"),
    ("POST", SUM, "{\"prefix\":{\"json\":1}}", "BAD_ENCODING"),
    ("POST", IMPORT, "x", "BAD_JSON"),
    ("POST", IMPORT, "{\"key\":\"a\"}", "BAD_JSON"),
    ("POST", IMPORT, "{\"key\":\"\",\"value\":\"\"}", "BAD_PARAMETER"),
    ("POST", IMPORT, "{\"done\":1}", "BAD_JSON"),
    ("PATCH", "/v1/stores/1", "{\"state\":\"up\"}", "BAD_PARAMETER"),
    ("PATCH", "/v1/stores/1", "{\"stat\":\"leaving\"}", "UNKNOWN_FIELD"),
    ("POST", "/v1/regions/2/add-peer", "{\"store\":\"4\"}", "BAD_JSON"),
    ("POST", "/v1/regions/2/add-peer", "{\"stores\":4}", "UNKNOWN_FIELD"),
    ("POST", "/v1/regions/2/move-peer", "{\"from\":1}", "BAD_JSON"),
    ("POST", "/v1/regions/2/add-peer?wait=2h", "{\"store\":4}", "BAD_PARAMETER"),
    ("POST", "/v1/regions/2/add-peer?wait=x", "{\"store\":4}", "BAD_PARAMETER"),
];

const URLS: &[Row] = &[
    ("PUT", "/v1/raw/keys/", "x", "BAD_PARAMETER"),
    ("GET", "/v1/raw/keys", "", "NOT_FOUND"),
    ("GET", "/v1/raw/keys/%", "", "BAD_ENCODING"),
    ("GET", "/v1/raw/keys/%2", "", "BAD_ENCODING"),
    ("GET", "/v1/raw/keys/%zz", "", "BAD_ENCODING"),
    ("GET", "/v1/raw/keys/%ff", "", "BAD_ENCODING"),
    ("GET", "/v1/raw/keys/%ed%a0%80", "", "BAD_ENCODING"),
    ("GET", "/v1/raw/keys/%c0%80", "", "BAD_ENCODING"),
    ("GET", "/v1/raw/keys/abc?kenc=hex", "", "BAD_ENCODING"),
    ("GET", "/v1/raw/keys/a%2Ab?kenc=b64url", "", "BAD_ENCODING"),
    ("GET", "/v1/raw/keys/a?kenc=base64", "", "BAD_PARAMETER"),
    ("GET", "/v1/raw/keys/a?enc=b46", "", "BAD_PARAMETER"),
    ("GET", "/v1/raw/keys/a?encc=b64", "", "UNKNOWN_FIELD"),
    ("GET", "/v1/raw/keys/a?enc=b64&enc=hex", "", "BAD_PARAMETER"),
    ("GET", "/v1/raw/keys/a?enc=%zz", "", "BAD_ENCODING"),
    ("GET", "/v1/raw/keys/a?%ff=1", "", "BAD_ENCODING"),
    ("GET", "/v1/raw/keys/a?raw=maybe", "", "BAD_PARAMETER"),
    ("GET", "/v1/raw/keys/a?ttl=1s", "", "UNKNOWN_FIELD"),
    ("GET", "/v1/raw/keys/a?consistency=leadr", "", "BAD_CONSISTENCY"),
    ("GET", "/v1/raw/keys/a?timeout=10", "", "BAD_PARAMETER"),
    ("GET", "/v1/raw/keys/a?timeout=0s", "", "BAD_PARAMETER"),
    ("GET", "/v1/raw/keys/a?timeout=61s", "", "BAD_PARAMETER"),
    ("GET", "/v1/raw/keys/a?timeout=-1s", "", "BAD_PARAMETER"),
    ("GET", "/v1/raw/keys/a?trace=yes", "", "BAD_PARAMETER"),
    ("GET", "/v1/raw/keys/a?trace=0000000000000000", "", "BAD_PARAMETER"),
    ("PUT", "/v1/raw/keys/a?ttl=", "x", "BAD_PARAMETER"),
    ("PUT", "/v1/raw/keys/a?ttl=1parsec", "x", "BAD_PARAMETER"),
    ("PUT", "/v1/raw/keys/a?ttl=0ms", "x", "BAD_PARAMETER"),
    ("DELETE", "/v1/raw/keys/a?enc=hex", "", "UNKNOWN_FIELD"),
    ("POST", "/v1/raw/keys/a", "x", "METHOD_NOT_ALLOWED"),
    ("PATCH", "/v1/raw/keys/a", "x", "METHOD_NOT_ALLOWED"),
    ("GET", "/v1/raw/get", "", "METHOD_NOT_ALLOWED"),
    ("DELETE", "/v1/raw/scan", "", "METHOD_NOT_ALLOWED"),
    ("POST", "/v1/cluster", "", "METHOD_NOT_ALLOWED"),
    ("PUT", "/metrics", "", "METHOD_NOT_ALLOWED"),
    ("TRACE", "/v1/limits", "", "METHOD_NOT_ALLOWED"),
    ("BREW", "/v1/limits", "", "METHOD_NOT_ALLOWED"),
    ("GET", "/v1", "", "NOT_FOUND"),
    ("GET", "/v2/raw/keys/a", "", "NOT_FOUND"),
    ("GET", "/v1/raw/keysa", "", "NOT_FOUND"),
    ("GET", "/v1/raw/sc%61n2", "", "NOT_FOUND"),
    ("GET", "/v1/r%61w/keys/a", "", "NOT_FOUND"),
    ("GET", "//v1/cluster", "", "NOT_FOUND"),
    ("GET", "/v1/raw/scan?limit=0", "", "BAD_PARAMETER"),
    ("GET", "/v1/raw/scan?limit=ten", "", "BAD_PARAMETER"),
    ("GET", "/v1/raw/scan?limit=99999999999999999999", "", "BAD_PARAMETER"),
    ("GET", "/v1/raw/scan?prefix=a&end=b", "", "BAD_RANGE"),
    ("GET", "/v1/raw/scan?start=b&end=a", "", "BAD_RANGE"),
    ("GET", "/v1/raw/scan?prefix=0&kenc=hex", "", "BAD_ENCODING"),
    ("GET", "/v1/raw/scan?cursor=", "", "BAD_CURSOR"),
    ("GET", "/v1/raw/scan?cursor=%00", "", "BAD_CURSOR"),
    ("GET", "/v1/raw/scan?prefx=a", "", "UNKNOWN_FIELD"),
    ("GET", "/v1/stores/x", "", "BAD_PARAMETER"),
    ("GET", "/v1/stores/-1", "", "BAD_PARAMETER"),
    ("GET", "/v1/stores/99999999999999999999999", "", "STORE_NOT_FOUND"),
    ("GET", "/v1/regions/+1", "", "BAD_PARAMETER"),
    ("GET", "/v1/regions?limit=1001", "", "BAD_PARAMETER"),
    ("GET", "/v1/regions?cursor=AAAA", "", "BAD_CURSOR"),
    ("GET", "/v1/regions?store=a", "", "BAD_PARAMETER"),
    ("GET", "/v1/ts?count=0", "", "BAD_PARAMETER"),
    ("GET", "/v1/ts?count=262145", "", "BAD_PARAMETER"),
    ("GET", "/v1/ts?consistency=leader", "", "UNKNOWN_FIELD"),
    ("GET", "/v1/actors?state=asleep", "", "BAD_PARAMETER"),
    ("GET", "/v1/actors?sort=name", "", "BAD_PARAMETER"),
    ("GET", "/v1/actors/abc", "", "BAD_PARAMETER"),
    ("GET", "/v1/traces/xyz", "", "BAD_PARAMETER"),
    ("GET", "/v1/traces/00000000000000ab?format=svg", "", "BAD_PARAMETER"),
    ("GET", "/v1/operators/x", "", "BAD_PARAMETER"),
];

#[actix_web::test]
async fn malformed_requests_are_problems_of_the_client() {
    let (state, fake) = gateway(Config::default());
    let app = app!(state);
    for (method, path, body, code) in BODIES.iter().chain(URLS) {
        let seen = send!(app, request(method, path).set_payload(*body));
        assert_eq!(seen.code(), *code, "{method} {path} {body}\n{:?}", seen.body);
        assert!(seen.status.is_client_error(), "{method} {path} {body}: {}", seen.status);
        assert!(!seen.header("kv-request-id").is_empty());
        if seen.status == 405 {
            assert!(seen.header("allow").contains("OPTIONS"), "{path}");
        }
    }
    assert_eq!(fake.writes.load(Ordering::Relaxed), 0, "something was written");
    assert!(fake.operators.lock().unwrap().is_empty(), "an operator was made");
    assert!(BODIES.len() + URLS.len() >= 80);
}

/// Method, path, header, its value, code.
const HEADERS: &[(&str, &str, &str, &str, &str)] = &[
    ("GET", "/v1/limits", "host", "evil.example", "BAD_HOST"),
    ("GET", "/livez", "host", "evil.example:20180", "BAD_HOST"),
    ("GET", "/v1/limits", "host", "localhost.evil.example", "BAD_HOST"),
    ("GET", "/v1/limits", "host", "[::2]:20180", "BAD_HOST"),
    ("GET", "/v1/limits", "host", "", "BAD_HOST"),
    ("GET", "/v1/limits", "host", "localhost:port", "BAD_HOST"),
    ("PUT", "/v1/raw/keys/a", "origin", "http://evil.example", "BAD_HOST"),
    ("PUT", "/v1/raw/keys/a", "origin", "null", "BAD_HOST"),
    ("DELETE", "/v1/raw/keys/a", "sec-fetch-site", "cross-site", "BAD_HOST"),
    ("POST", "/v1/raw/put", "origin", "https://localhost.evil.example", "BAD_HOST"),
    ("GET", "/v1/raw/keys/a", "kv-timeout", "soon", "BAD_PARAMETER"),
    ("GET", "/v1/raw/keys/a", "kv-timeout", "2h", "BAD_PARAMETER"),
    ("GET", "/v1/raw/keys/a", "kv-consistency", "strong", "BAD_CONSISTENCY"),
    ("GET", "/v1/raw/keys/a", "kv-trace", "yes", "BAD_PARAMETER"),
    ("GET", "/v1/raw/keys/a", "kv-timout", "1s", "UNKNOWN_FIELD"),
    ("GET", "/v1/raw/keys/a", "if-none-match", "W/\"00\"", "BAD_PARAMETER"),
    ("PUT", "/v1/raw/keys/a", "if-match", "\"short\"", "BAD_PARAMETER"),
    (
        "PUT",
        "/v1/raw/keys/a",
        "if-match",
        "\"0000000000000000\", \"0000000000000001\"",
        "BAD_PARAMETER",
    ),
    ("DELETE", "/v1/raw/keys/a", "if-match", "", "BAD_PARAMETER"),
    ("POST", "/v1/raw/cas", "idempotency-key", "\"once\"", "IDEMPOTENCY_UNSUPPORTED"),
];

#[actix_web::test]
async fn bad_headers_are_problems_of_the_client() {
    let (state, fake) = gateway(Config::default());
    let app = app!(state);
    let cas = "{\"key\":\"a\",\"expect\":{\"absent\":true},\"put\":\"b\"}";
    for (method, path, name, value, code) in HEADERS {
        let asked = request(method, path).insert_header((*name, *value)).set_payload(cas);
        let seen = send!(app, asked);
        assert_eq!(seen.code(), *code, "{method} {path} {name}: {value}");
        assert!(seen.status.is_client_error());
    }
    let bytes = actix_web::http::header::HeaderValue::from_bytes(b"\xff\xfe").unwrap();
    let binary = request("GET", "/v1/raw/keys/a").insert_header(("kv-timeout", bytes));
    assert_eq!(send!(app, binary).code(), "BAD_PARAMETER");
    let both = request("PUT", "/v1/raw/keys/a").insert_header(("if-match", "*"));
    assert_eq!(send!(app, both.insert_header(("if-none-match", "*"))).code(), "BAD_PARAMETER");
    let conditional = request("PUT", "/v1/raw/keys/a").insert_header(("if-none-match", "*"));
    let keyed = conditional.insert_header(("idempotency-key", "once"));
    assert_eq!(send!(app, keyed).code(), "IDEMPOTENCY_UNSUPPORTED");
    let none = actix_web::test::TestRequest::get().uri("/v1/limits");
    assert_eq!(send!(app, none).code(), "BAD_HOST");
    assert_eq!(fake.writes.load(Ordering::Relaxed), 0);
}

#[actix_web::test]
async fn our_own_hosts_and_origins_are_let_in() {
    let mut config = Config::default();
    config.http.allowed_hosts = vec!["db.example".to_owned()];
    let (state, _fake) = gateway(config);
    let app = app!(state);
    for host in ["localhost", "LOCALHOST:1", "127.0.0.1:20180", "[::1]:20180", "db.example:80"] {
        let seen = send!(app, request("GET", "/v1/limits").insert_header(("host", host)));
        assert_eq!(seen.status, 200, "{host}");
        let origin = format!("http://{host}");
        let put = request("PUT", "/v1/raw/keys/a").insert_header(("origin", origin));
        assert_eq!(send!(app, put.set_payload("x")).status, 200, "{host}");
    }
}

#[actix_web::test]
async fn deep_and_wide_bodies_are_refused_in_time() {
    let (state, fake) = gateway(Config::default());
    let app = app!(state);
    let deep = format!("{{\"keys\":{}", "[".repeat(1_000_000));
    let objects = "{\"key\":".repeat(200_000);
    let wide = format!("{{\"keys\":[{}\"a\"]}}", "\"a\",".repeat(1024));
    let many: String = (0..100_000).map(|i| format!("\"f{i}\":1,")).collect();
    let many = format!("{{{many}\"keys\":[]}}");
    for (body, code) in [
        (deep, "BAD_JSON"),
        (objects, "UNKNOWN_FIELD"),
        (wide, "TOO_LARGE"),
        (many, "UNKNOWN_FIELD"),
    ] {
        let seen = send!(app, request("POST", GET).set_payload(body));
        assert_eq!(seen.code(), code);
    }
    let not_utf8 = b"{\"keys\":[\"\xff\"]}".to_vec();
    assert_eq!(send!(app, request("POST", GET).set_payload(not_utf8)).code(), "BAD_JSON");
    let long_key = "k".repeat(8193);
    let path = format!("/v1/raw/keys/{long_key}");
    assert_eq!(send!(app, request("PUT", &path).set_payload("x")).code(), "TOO_LARGE");
    let scan = format!("/v1/raw/scan?prefix={long_key}");
    assert_eq!(send!(app, request("GET", &scan)).code(), "TOO_LARGE");
    assert_eq!(fake.writes.load(Ordering::Relaxed), 0);
    let longest = format!("/v1/raw/keys/{}", "k".repeat(8192));
    assert_eq!(send!(app, request("PUT", &longest).set_payload("x")).status, 200);
}

#[actix_web::test]
async fn limits_are_exact() {
    let mut config = Config::default();
    config.limits.value = troupe_config::ByteSize(10);
    config.limits.batch_bytes = troupe_config::ByteSize(30);
    config.limits.batch_keys = 2;
    let (state, _fake) = gateway(config);
    let app = app!(state);
    let put = |size: usize| request("PUT", "/v1/raw/keys/a").set_payload(vec![b'x'; size]);
    assert_eq!(send!(app, put(10)).status, 200);
    let large = send!(app, put(11));
    assert_eq!(large.code(), "TOO_LARGE");
    assert_eq!(large.json()["context"]["limit"], 10);
    assert_eq!(large.json()["context"]["actual"], 11);
    let keys = |count: usize| {
        let body = serde_json::json!({"keys": vec!["a"; count]}).to_string();
        request("POST", GET).set_payload(body)
    };
    assert_eq!(send!(app, keys(2)).status, 200);
    assert_eq!(send!(app, keys(3)).code(), "TOO_LARGE");
    let rows = |size: usize| {
        let value = "v".repeat(size);
        let items = serde_json::json!({"items": [{"key": "k1", "value": value}, {"key": "k2", "value": value}]});
        request("POST", PUT).set_payload(items.to_string())
    };
    assert_eq!(send!(app, rows(9)).status, 200);
    assert_eq!(send!(app, rows(10)).code(), "TOO_LARGE");
}

#[actix_web::test]
async fn unknown_names_come_with_a_suggestion() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let field = send!(app, request("POST", SCAN).set_payload("{\"prefx\":\"a\"}")).json();
    assert_eq!(field["context"]["suggestion"], "prefix");
    assert!(field["detail"].as_str().unwrap().contains("did you mean `prefix`?"));
    let parameter = send!(app, request("GET", "/v1/raw/scan?limt=1")).json();
    assert_eq!(parameter["context"]["suggestion"], "limit");
    let value = send!(app, request("GET", "/v1/raw/keys/a?enc=uft8")).json();
    assert!(value["detail"].as_str().unwrap().contains("did you mean `utf8`?"));
}

#[actix_web::test]
async fn options_lists_the_methods() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let seen = send!(app, request("OPTIONS", "/v1/raw/keys/a"));
    assert_eq!(
        (seen.status.as_u16(), seen.header("allow")),
        (204, "GET, PUT, DELETE, HEAD, OPTIONS")
    );
    assert_eq!(seen.header("access-control-allow-origin"), "");
}
