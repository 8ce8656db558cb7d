//! Requests as URLs, as curl lines, and problems as they are told.
use super::{ApiRequest, Body, Problem, curl_line};
use crate::exit::Exit;
use reqwest::Method;
use serde_json::json;

const NODE: &str = "http://127.0.0.1:20180";

#[test]
fn urls_escape_what_would_change_them() {
    let request = ApiRequest::get("/v1/raw/scan")
        .with_query("prefix", "a/b c&d=é%")
        .with_optional("limit", Some(5))
        .with_optional::<u64>("cursor", None);
    assert_eq!(
        request.url("127.0.0.1:1/"),
        "http://127.0.0.1:1/v1/raw/scan?prefix=a%2Fb%20c%26d%3D%C3%A9%25&limit=5"
    );
}

#[test]
fn curl_lines_do_the_same() {
    let put = ApiRequest::new(Method::PUT, "/v1/raw/keys/a%2Fb")
        .with_header("If-Match", "\"00ff\"")
        .with_body(Body::Bytes(b"it's".to_vec()));
    let binary =
        ApiRequest::new(Method::PUT, "/v1/raw/keys/b").with_body(Body::Bytes(vec![0, 255]));
    let cases = [
        (ApiRequest::get("/v1/cluster"), "curl -sS http://127.0.0.1:20180/v1/cluster"),
        (
            ApiRequest::new(Method::DELETE, "/v1/stores/4"),
            "curl -sS -X DELETE http://127.0.0.1:20180/v1/stores/4",
        ),
        (
            ApiRequest::post("/v1/raw/get", json!({"keys": ["a"]})),
            "curl -sS -H 'Content-Type: application/json' --data-binary '{\"keys\":[\"a\"]}' \
             http://127.0.0.1:20180/v1/raw/get",
        ),
        (
            put,
            r#"curl -sS -X PUT -H 'If-Match: "00ff"' --data-binary 'it'\''s' http://127.0.0.1:20180/v1/raw/keys/a%2Fb"#,
        ),
        (
            binary,
            "curl -sS -X PUT --data-binary @<(printf '\\x00\\xff') \
             http://127.0.0.1:20180/v1/raw/keys/b",
        ),
        (
            ApiRequest::new(Method::POST, "/v1/raw/import").with_body(Body::File("a b".into())),
            "curl -sS -N -X POST -T 'a b' http://127.0.0.1:20180/v1/raw/import",
        ),
    ];
    for (request, line) in cases {
        assert_eq!(curl_line(NODE, &request), line);
    }
}

#[test]
fn only_writes_leave_an_unknown_outcome() {
    assert!(!ApiRequest::get("/v1/cluster").is_write());
    for reads in ["/v1/raw/scan", "/v1/kv/scan", "/v1/kv/get"] {
        assert!(!ApiRequest::post(reads, json!({})).is_write(), "{reads}");
    }
    assert!(ApiRequest::post("/v1/txn", json!({})).is_write());
    assert!(ApiRequest::post("/v1/raw/cas", json!({})).is_write());
    assert!(ApiRequest::new(Method::DELETE, "/v1/raw/keys/a").is_write());
}

#[test]
fn a_problem_is_told_with_its_context() {
    let body = json!({
        "status": 412, "code": "CAS_MISMATCH", "title": "The precondition does not hold",
        "detail": "the value has another ETag", "retryable": false,
        "context": {"current": "00ff"}, "request_id": "r1", "from_the_future": 1,
    });
    let problem = Problem::from_reply(412, body.to_string().as_bytes());
    assert_eq!(
        problem.to_string(),
        "The precondition does not hold (CAS_MISMATCH): the value has another ETag\n  \
         current: \"00ff\"\n  what to do: Read the key, decide again, and send the new etag. `current` has \
         that of the value now.\n  request: r1"
    );
}

#[test]
fn an_error_of_something_else_is_still_told() {
    let problem = Problem::from_reply(502, b"<html>bad gateway</html>");
    assert_eq!(problem.code, "HTTP_502");
    assert!(problem.to_string().contains("<html>bad gateway</html>"));
    assert_eq!(Exit::of_problem(&problem.code, problem.status), Exit::Failed);
}
