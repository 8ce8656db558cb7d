//! Import and export, and bodies over a real socket that come slowly.
use super::fake::{app, gateway, parts, request, send};
use crate::server::start;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use troupe_config::{ByteSize, Config};
use troupe_types::command::RawChecksum;
use troupe_types::key::raw_key;

const ROWS: u64 = 50_000;
const NDJSON: (&str, &str) = ("accept", "application/x-ndjson");

fn last_line(body: &[u8]) -> Value {
    let text = std::str::from_utf8(body).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

/// Lines of an import, and their sum.
fn many_rows() -> (String, RawChecksum) {
    let (mut text, mut sum) = (String::new(), RawChecksum::default());
    for i in 0..ROWS {
        let (key, value) = (format!("key-{:06}", i * 7919 % ROWS), format!("value {i}"));
        sum.add(key.as_bytes(), value.as_bytes());
        let _ = writeln!(text, "{{\"key\":\"{key}\",\"value\":\"{value}\"}}");
    }
    (text, sum)
}

#[actix_web::test]
async fn many_rows_go_in_and_come_out_the_same() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let (text, sum) = many_rows();
    let done = send!(app, request("POST", "/v1/raw/import").set_payload(text));
    let checksum = format!("{:016x}", sum.xor);
    let wanted = json!({"done": true, "rows": ROWS, "bytes": sum.bytes, "checksum": checksum});
    assert_eq!(last_line(&done.body), wanted);
    assert_eq!(done.header("content-type"), "application/x-ndjson");

    let export = send!(app, request("GET", "/v1/raw/scan").insert_header(NDJSON));
    let end = json!({"done": true, "rows": ROWS, "checksum": checksum});
    assert_eq!(last_line(&export.body), end);
    assert_eq!(export.body.iter().filter(|byte| **byte == b'\n').count() as u64, ROWS + 1);

    let (other, _fake) = gateway(Config::default());
    let other = app!(other);
    let again = send!(other, request("POST", "/v1/raw/import").set_payload(export.body.clone()));
    assert_eq!(last_line(&again.body)["checksum"], checksum);
    let sum = send!(other, request("POST", "/v1/raw/checksum").set_payload("{}")).json();
    assert_eq!((&sum["rows"], &sum["checksum"]), (&json!(ROWS), &json!(checksum)));
    assert_eq!(state.admission.requests(), 0);
}

#[actix_web::test]
async fn an_export_is_limited_and_ordered_as_asked() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let rows = "{\"key\":\"a\",\"value\":{\"hex\":\"ff\"},\"ttl\":\"1h\"}\n{\"key\":\"b\",\"value\":\"2\"}\n\n";
    send!(app, request("POST", "/v1/raw/import").set_payload(rows));
    let body = json!({"reverse": true, "limit": 1}).to_string();
    let one = request("POST", "/v1/raw/scan").insert_header(NDJSON).set_payload(body);
    let one = send!(app, one);
    let text = String::from_utf8(one.body.to_vec()).unwrap();
    assert!(
        text.starts_with("{\"key\":\"b\",\"value\":\"2\"}\n{\"done\":true,\"rows\":1,"),
        "{text}"
    );
    let all = send!(app, request("GET", "/v1/raw/scan?enc=hex").insert_header(NDJSON));
    let first: Value =
        serde_json::from_slice(all.body.split(|b| *b == b'\n').next().unwrap()).unwrap();
    assert_eq!(first["value"], json!({"hex": "ff"}));
    assert!(first["ttl"].as_str().unwrap().ends_with("ms"));
    // `enc` does not fit on the first page: still a plain problem.
    let wrong = send!(app, request("GET", "/v1/raw/scan?enc=utf8").insert_header(NDJSON));
    assert_eq!(wrong.code(), "NOT_UTF8");
}

#[actix_web::test]
async fn an_import_that_breaks_off_says_where() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let import = |text: &str| request("POST", "/v1/raw/import").set_payload(text.to_owned());
    let first = send!(app, import("{\"key\":\"a\",\"valu\":\"1\"}\n"));
    assert_eq!(first.code(), "UNKNOWN_FIELD");
    assert_eq!(first.json()["context"]["line"], 1);
    let later = send!(app, import("{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"b\"}\n"));
    let last = last_line(&later.body);
    assert_eq!((&last["error"]["code"], &last["line"]), (&json!("BAD_JSON"), &json!(2)));
    let none = send!(app, import(""));
    assert_eq!(last_line(&none.body)["rows"], 0);
    let wrong_sum =
        "{\"key\":\"a\",\"value\":\"1\"}\n{\"done\":true,\"rows\":2,\"checksum\":\"0\"}\n";
    let wrong = send!(app, import(wrong_sum));
    assert_eq!(last_line(&wrong.body)["error"]["code"], "BAD_PARAMETER");
}

#[actix_web::test]
async fn the_later_of_two_lines_wins() {
    let (state, fake) = gateway(Config::default());
    let app = app!(state);
    let mut text = String::new();
    for i in 0..5000 {
        let _ = writeln!(
            text,
            "{{\"key\":\"same\",\"value\":\"{i}\"}}\n{{\"key\":\"k{i}\",\"value\":\"\"}}"
        );
    }
    let done = send!(app, request("POST", "/v1/raw/import").set_payload(text));
    assert_eq!(last_line(&done.body)["rows"], 10_000);
    let rows = fake.rows.lock().unwrap();
    assert_eq!(&rows[&raw_key(0, b"same")].0[..], b"4999");
}

#[actix_web::test]
async fn a_failed_write_ends_an_import() {
    let (state, fake) = gateway(Config::default());
    let app = app!(state);
    let refusal = troupe_types::RegionError::EntryTooLarge { actual: 9, limit: 8 };
    *fake.refuse_right.lock().unwrap() = Some(refusal);
    let mut text = String::new();
    for i in 0..2000 {
        let _ = writeln!(text, "{{\"key\":\"a{i:05}\",\"value\":\"\"}}");
    }
    text.push_str("{\"key\":\"z\",\"value\":\"\"}\n");
    let seen = send!(app, request("POST", "/v1/raw/import").set_payload(text));
    let last = last_line(&seen.body);
    assert_eq!((&last["error"]["code"], &last["rows"]), (&json!("TOO_LARGE"), &json!(2000)));
    assert_eq!(fake.rows.lock().unwrap().len(), 2000);
}

/// A running server with these limits, and a connection to it.
fn connected(config: Config) -> (crate::HttpServer, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (parts, _fake) = parts(config);
    let server = start(listener, parts).unwrap();
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    (server, stream)
}

fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let (mut seen, mut part) = (String::new(), [0; 4096]);
    while !seen.contains(wanted) {
        let length = stream.read(&mut part).unwrap();
        assert!(length > 0, "the connection ended without {wanted}: {seen}");
        seen.push_str(&String::from_utf8_lossy(&part[..length]));
    }
    seen
}

#[actix_web::test]
async fn a_body_that_does_not_come_is_408() {
    let mut config = Config::default();
    config.limits.body_base = Duration::from_millis(200);
    let (server, mut stream) = connected(config);
    let head = "PUT /v1/raw/keys/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nabc";
    stream.write_all(head.as_bytes()).unwrap();
    let seen = read_until(&mut stream, "}");
    assert!(seen.starts_with("HTTP/1.1 408"), "{seen}");
    assert!(seen.contains("\"code\":\"REQUEST_TIMEOUT\""), "{seen}");
    server.stop(false).await;
}

#[actix_web::test]
async fn an_import_tells_its_progress_while_the_body_still_comes() {
    let (server, mut stream) = connected(Config::default());
    let head =
        "POST /v1/raw/import HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let row = |i: u32| format!("{{\"key\":\"k{i}\",\"value\":\"v\"}}\n");
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let many: String = (0..600).map(row).collect();
    stream.write_all(chunk(&many).as_bytes()).unwrap();
    let seen = read_until(&mut stream, "{\"rows\":512,");
    assert!(seen.starts_with("HTTP/1.1 200"), "{seen}");
    stream.write_all(format!("{}0\r\n\r\n", chunk(&row(600))).as_bytes()).unwrap();
    let seen = read_until(&mut stream, "\"done\":true");
    assert!(seen.contains("\"rows\":601"), "{seen}");
    server.stop(true).await;
}

#[actix_web::test]
async fn a_body_above_its_limit_is_413() {
    let mut config = Config::default();
    config.limits.value = ByteSize(600);
    let (server, mut stream) = connected(config);
    let head = "PUT /v1/raw/keys/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 601\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let seen = read_until(&mut stream, "\"request_id\"");
    assert!(seen.starts_with("HTTP/1.1 413"), "{seen}");
    assert!(seen.contains("\"limit\":600,\"actual\":601"), "{seen}");
    server.stop(true).await;
}
