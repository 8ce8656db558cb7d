//! The table of exit codes, as scripts rely on it.
use super::Exit;
use troupe_types::Code;

#[test]
fn each_code_of_the_api_has_its_exit_code() {
    let expected = [
        (Exit::Usage, "BAD_JSON UNKNOWN_FIELD BAD_ENCODING BAD_RANGE BAD_CURSOR BAD_CONSISTENCY"),
        (Exit::Usage, "BAD_PARAMETER BAD_HOST IDEMPOTENCY_UNSUPPORTED CONFIRMATION_NEEDED"),
        (Exit::Usage, "METHOD_NOT_ALLOWED TOO_LARGE NOT_AN_INTEGER IDEMPOTENCY_MISMATCH"),
        (Exit::NotFound, "KEY_NOT_FOUND REGION_NOT_FOUND STORE_NOT_FOUND NOT_FOUND TXN_NOT_FOUND"),
        (
            Exit::Conflict,
            "OPERATOR_CONFLICT STORE_NOT_EMPTY CAS_MISMATCH SNAPSHOT_GONE TXN_EXPIRED",
        ),
        (
            Exit::Conflict,
            "WRITE_CONFLICT DEADLOCK LOCK_WAIT_TIMEOUT ALREADY_EXISTS ASSERTION_FAILED",
        ),
        (Exit::Conflict, "COMMIT_TS_EXPIRED TXN_ROLLED_BACK IDEMPOTENT_IN_PROGRESS"),
        (Exit::Unavailable, "SERVER_BUSY REGION_UNAVAILABLE NO_QUORUM DISK_FULL PD_UNAVAILABLE"),
        (Exit::Unavailable, "NOT_READY REQUEST_TIMEOUT DEADLINE_EXCEEDED DATA_NOT_READY"),
        (Exit::OutcomeUnknown, "ACTOR_CRASHED OUTCOME_UNKNOWN TXN_OUTCOME_UNKNOWN"),
        (Exit::InputOutput, "CORRUPTION"),
        (Exit::Failed, "INTERNAL NOT_SUPPORTED NOT_UTF8"),
    ];
    let mut seen = 0;
    for (exit, codes) in expected {
        for code in codes.split(' ') {
            assert_eq!(Exit::of_problem(code, 500), exit, "{code}");
            seen += 1;
        }
    }
    assert_eq!(seen, Code::ALL.len());
}

#[test]
fn a_code_of_a_newer_server_falls_back_to_the_status() {
    let cases = [
        (400, Exit::Usage),
        (404, Exit::NotFound),
        (410, Exit::NotFound),
        (409, Exit::Conflict),
        (412, Exit::Conflict),
        (429, Exit::Unavailable),
        (503, Exit::Unavailable),
        (504, Exit::OutcomeUnknown),
        (500, Exit::Failed),
    ];
    for (status, exit) in cases {
        assert_eq!(Exit::of_problem("FROM_THE_FUTURE", status), exit, "{status}");
    }
}

#[test]
fn numbers_are_those_that_scripts_know() {
    let numbers = [
        (Exit::Ok, 0),
        (Exit::Failed, 1),
        (Exit::Usage, 2),
        (Exit::NotFound, 3),
        (Exit::Conflict, 4),
        (Exit::Unavailable, 5),
        (Exit::Partial, 6),
        (Exit::OutcomeUnknown, 7),
        (Exit::InputOutput, 74),
        (Exit::Config, 78),
        (Exit::Interrupted, 130),
        (Exit::Terminated, 143),
    ];
    for (exit, number) in numbers {
        assert_eq!(exit as u8, number);
    }
}
