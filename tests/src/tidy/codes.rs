//! Which test provokes which code that a transaction may end with. A new code finds its place here, or
//! this does not compile; and a test that is renamed, moved or emptied is found.
use super::Finding;
use super::source::Source;
use troupe_types::Code;

/// How a code comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provoked {
    /// A test has the product raise it: its file and its name.
    By(&'static str, &'static str),
    /// It is not of transactions.
    Elsewhere,
    /// Its name is taken, and nothing raises it.
    Nowhere,
}

const CODES: &str = "http_api/src/tests/txn_codes.rs";
const TXN: &str = "http_api/src/tests/txn.rs";
const KV: &str = "http_api/src/tests/kv.rs";
const MALFORMED: &str = "http_api/src/tests/malformed.rs";
const SESSIONS: &str = "tests/tests/sessions/owner_gone.rs";
const VALUES: &str = "storage/src/txn/tests/values.rs";

/// How `code` comes about.
#[must_use]
pub const fn provoked(code: Code) -> Provoked {
    use Provoked::{By, Elsewhere, Nowhere};
    match code {
        Code::WriteConflict => By(CODES, "write_conflict_names_the_commit_that_came_first"),
        Code::Deadlock => By(CODES, "deadlock_lists_the_circle"),
        Code::LockWaitTimeout => By(TXN, "a_lock_in_the_way_is_shown_with_its_holder"),
        Code::AlreadyExists => By(TXN, "refusals_say_what_is_in_the_way"),
        Code::AssertionFailed => {
            By(VALUES, "an_assertion_that_does_not_hold_is_refused_and_nothing_is_locked")
        }
        Code::CommitTsExpired => By(CODES, "commit_ts_expired_says_when_it_may_commit"),
        Code::TxnRolledBack => By(CODES, "txn_rolled_back_tells_of_locks_that_somebody_took_away"),
        Code::IdempotentInProgress => {
            By(CODES, "idempotent_in_progress_is_for_the_second_while_the_first_runs")
        }
        Code::IdempotencyMismatch => By(TXN, "a_keyed_request_takes_effect_once"),
        Code::IdempotencyUnsupported => By(MALFORMED, "bad_headers_are_problems_of_the_client"),
        Code::CasMismatch => By(KV, "conditions_hold_or_nothing_is_written"),
        Code::NotAnInteger => By(TXN, "refusals_say_what_is_in_the_way"),
        Code::SnapshotGone => By(CODES, "snapshot_gone_is_for_what_lies_below_the_safe_point"),
        Code::KeyNotFound => By(KV, "a_key_is_put_read_and_deleted"),
        Code::TooLarge
        | Code::BadCursor
        | Code::BadRange
        | Code::BadJson
        | Code::UnknownField
        | Code::BadEncoding
        | Code::BadParameter
        | Code::ConfirmationNeeded => By(TXN, "malformed_transactions_are_problems_of_the_client"),
        Code::BadConsistency => By(CODES, "bad_consistency_is_for_a_level_that_is_not_known"),
        Code::TxnOutcomeUnknown => By(TXN, "refusals_say_what_is_in_the_way"),
        Code::DeadlineExceeded => By(CODES, "deadline_exceeded_promises_that_nothing_was_done"),
        Code::ServerBusy => By(CODES, "server_busy_says_when_to_come_back"),
        Code::PdUnavailable => By(CODES, "pd_unavailable_ends_what_needs_a_timestamp"),
        Code::TxnNotFound => By(SESSIONS, "what_never_was_is_not_found"),
        Code::TxnExpired => By(SESSIONS, "what_was_open_is_over_when_its_owner_has_died"),
        Code::DataNotReady | Code::NotSupported => Nowhere,
        Code::BadHost
        | Code::RegionNotFound
        | Code::StoreNotFound
        | Code::NotFound
        | Code::MethodNotAllowed
        | Code::OperatorConflict
        | Code::StoreNotEmpty
        | Code::NotUtf8
        | Code::RegionUnavailable
        | Code::NoQuorum
        | Code::DiskFull
        | Code::NotReady
        | Code::RequestTimeout
        | Code::Internal
        | Code::ActorCrashed
        | Code::Corruption
        | Code::OutcomeUnknown => Elsewhere,
    }
}

/// Codes whose test is missing or does not name them, and codes that are raised after all.
#[must_use]
pub fn problems(sources: &[Source]) -> Vec<Finding> {
    Code::ALL.into_iter().flat_map(|code| problems_of(code, provoked(code), sources)).collect()
}

/// As [`problems`], of one code.
#[must_use]
pub fn problems_of(code: Code, provoked: Provoked, sources: &[Source]) -> Vec<Finding> {
    match provoked {
        Provoked::Elsewhere => Vec::new(),
        Provoked::By(path, test) => {
            let source = sources.iter().find(|source| source.path == path);
            let body = source.and_then(|source| body_of(&source.text, test));
            let problem = match body {
                None => format!("has no test `{test}`, which is to provoke {}", code.as_str()),
                Some(body) if names(body, code) => return Vec::new(),
                Some(_) => format!("`{test}` does not name {}", code.as_str()),
            };
            vec![Finding { path: path.to_owned(), line: 0, problem }]
        }
        Provoked::Nowhere => {
            let raises = |source: &&Source| {
                let is_list = LISTS.iter().any(|list| source.path.ends_with(list));
                !is_list && source.has_extension("rs") && source.text.contains(&variant(code))
            };
            let found = sources.iter().filter(raises).map(|source| Finding {
                path: source.path.clone(),
                line: 0,
                problem: format!(
                    "raises {}: name the test that provokes it in tests/src/tidy/codes.rs",
                    code.as_str()
                ),
            });
            found.collect()
        }
    }
}

/// Files that speak of every code.
const LISTS: [&str; 7] = [
    "types/src/error.rs",
    "http_api/src/error.rs",
    "http_api/src/error_pages.rs",
    "http_api/src/error/tests.rs",
    "server/src/exit.rs",
    "tests/src/tidy/codes.rs",
    "tests/src/tidy/tests.rs",
];

fn variant(code: Code) -> String {
    format!("Code::{code:?}")
}

fn names(body: &str, code: Code) -> bool {
    body.contains(&format!("\"{}\"", code.as_str())) || body.contains(&variant(code))
}

/// The text of a test function, up to the brace that closes it.
fn body_of<'a>(text: &'a str, test: &str) -> Option<&'a str> {
    let at = text.find(&format!("fn {test}("))?;
    let (before, rest) = text.split_at(at);
    let attribute = before.trim_end_matches("async ").trim_end().lines().next_back()?;
    let end = rest.find("\n}")?;
    attribute.trim_start().starts_with("#[").then(|| &rest[..end])
}
