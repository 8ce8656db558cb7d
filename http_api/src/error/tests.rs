//! Every code has a status, and what it promises fits its class.
use super::{Problem, is_retryable, outcome, status_of};
use actix_web::http::StatusCode;
use serde_json::{Value, json};
use troupe_types::{Class, Code};

#[test]
fn the_status_fits_the_class() {
    for code in Code::ALL {
        let status = status_of(code);
        let fits = match code.class() {
            Class::Retry => matches!(status.as_u16(), 503 | 504),
            Class::Conflict => matches!(status.as_u16(), 409 | 410 | 412),
            Class::BadInput => status.is_client_error() || code == Code::NotSupported,
            Class::Unknown => matches!(status.as_u16(), 500 | 504),
            Class::Fatal => status == StatusCode::INTERNAL_SERVER_ERROR,
        };
        assert!(fits, "{code:?} is {status}");
        // Somebody else was in the way: the state refused it, and yet the same request may succeed.
        let waits = [Code::LockWaitTimeout, Code::CommitTsExpired, Code::IdempotentInProgress]
            .contains(&code);
        assert_eq!(is_retryable(code), code.class() == Class::Retry || waits, "{code:?}");
    }
}

#[test]
fn statuses_are_those_of_the_published_table() {
    let table = [
        (
            400,
            "BAD_JSON UNKNOWN_FIELD BAD_ENCODING BAD_RANGE BAD_CURSOR BAD_CONSISTENCY BAD_PARAMETER IDEMPOTENCY_UNSUPPORTED",
        ),
        (403, "CONFIRMATION_NEEDED"),
        (404, "KEY_NOT_FOUND REGION_NOT_FOUND STORE_NOT_FOUND NOT_FOUND TXN_NOT_FOUND"),
        (405, "METHOD_NOT_ALLOWED"),
        (408, "REQUEST_TIMEOUT"),
        (
            409,
            "OPERATOR_CONFLICT STORE_NOT_EMPTY WRITE_CONFLICT DEADLOCK LOCK_WAIT_TIMEOUT ALREADY_EXISTS ASSERTION_FAILED COMMIT_TS_EXPIRED TXN_ROLLED_BACK IDEMPOTENT_IN_PROGRESS",
        ),
        (410, "SNAPSHOT_GONE TXN_EXPIRED"),
        (412, "CAS_MISMATCH"),
        (413, "TOO_LARGE"),
        (421, "BAD_HOST"),
        (422, "NOT_UTF8 NOT_AN_INTEGER IDEMPOTENCY_MISMATCH"),
        (500, "INTERNAL ACTOR_CRASHED CORRUPTION"),
        (501, "NOT_SUPPORTED"),
        (
            503,
            "SERVER_BUSY REGION_UNAVAILABLE NO_QUORUM DISK_FULL PD_UNAVAILABLE NOT_READY DATA_NOT_READY",
        ),
        (504, "DEADLINE_EXCEEDED OUTCOME_UNKNOWN TXN_OUTCOME_UNKNOWN"),
    ];
    let mut listed = 0;
    for (status, codes) in table {
        for name in codes.split(' ') {
            let code = Code::ALL.into_iter().find(|code| code.as_str() == name).unwrap();
            assert_eq!(status_of(code).as_u16(), status, "{name}");
            listed += 1;
        }
    }
    assert_eq!(listed, Code::ALL.len());
}

#[test]
fn a_problem_has_all_its_fields() {
    let mut problem = Problem::new(Code::ServerBusy, "full").with("depth", 7_u64);
    problem.retry_after_ms = Some(1500);
    let reply = problem.response("00ab", true);
    assert_eq!(reply.headers().get("retry-after").unwrap(), "2");
    assert_eq!(reply.headers().get("content-type").unwrap(), "application/problem+json");
    let shown: Value = serde_json::to_value(problem.render("00ab", true)).unwrap();
    assert_eq!(
        shown,
        json!({
            "type": "/docs/errors/SERVER_BUSY", "title": "A queue is full", "status": 503,
            "code": "SERVER_BUSY", "detail": "full", "retryable": true, "outcome": "not_applied",
            "tikv_code": "KV:Raftstore:ServerIsBusy",
            "retry": {"how": "same_request", "after_ms": 1500},
            "context": {"depth": 7}, "request_id": "00ab",
        })
    );
}

#[test]
fn a_read_has_no_outcome() {
    for code in Code::ALL {
        assert_eq!(outcome(code, false), "none");
    }
    assert_eq!(outcome(Code::OutcomeUnknown, true), "unknown");
    assert_eq!(outcome(Code::DeadlineExceeded, true), "not_applied");
}
