//! What people read about a code: cause and what to do. One text for the pages at `/docs/errors/`
//! and for `docs/ERRORS.md`.
use crate::error::{is_retryable, outcome, status_of};
use std::fmt::Write as _;
use troupe_types::Code;

/// What is known about a code.
struct Advice {
    cause: &'static str,
    remedy: &'static str,
}

const fn advice(cause: &'static str, remedy: &'static str) -> Advice {
    Advice { cause, remedy }
}

const fn advice_on(code: Code) -> Advice {
    match code {
        Code::BadJson => advice(
            "The body is empty, is no JSON, lacks a field, has one twice, or has a value of another \
             type. Of an import it is the line that `line` names.",
            "Compare the body with the operation's schema at /docs/. `detail` has line and column.",
        ),
        Code::UnknownField => advice(
            "A field of the body, a parameter of the query or a Kv- header has a name that this \
             operation does not take. It is refused because what it asks for would be ignored.",
            "Correct the name; `suggestion` has the known one that looks most like it.",
        ),
        Code::BadEncoding => advice(
            "Base64 or hexadecimal digits are malformed, a % in the URL is not followed by two \
             hexadecimal digits, or a text in the URL is not UTF-8.",
            "Encode again. In a URL write % as %25, and give keys that are no text with \
             kenc=hex or kenc=b64url.",
        ),
        Code::BadRange => advice(
            "A range has both `prefix` and `start` or `end`, begins behind its end, or lacks a \
             bound that a deletion needs.",
            "Give `prefix`, or `start` and `end` with start in front of end. Keys sort by bytes.",
        ),
        Code::BadCursor => advice(
            "A cursor was cut or changed, comes from another cluster, or is used with other \
             parameters than the request that it came from.",
            "Send `next_cursor` as it is, with the same range, `reverse` and `keys_only`; or begin \
             again without a cursor.",
        ),
        Code::BadConsistency => advice(
            "`consistency` or Kv-Consistency has a level that is not known.",
            "Use leader (the default), linearizable or follower.",
        ),
        Code::BadParameter => advice(
            "A value in the path, the query, a header or the body is not of the kind or in the \
             range that it must be; or the body could not be read.",
            "`detail` says what is allowed.",
        ),
        Code::BadHost => advice(
            "The Host header names another server, or a web page of another origin tries to change \
             something. Both are how foreign pages reach a server on your own machine.",
            "Use the address that the server was started with. If it has further names, add them \
             to `http.allowed-hosts` of its configuration.",
        ),
        Code::IdempotencyUnsupported => advice(
            "A compare-and-swap of the raw space carries an Idempotency-Key, but no record of \
             requests is kept there that could keep the promise.",
            "Leave the header out. If an outcome is unknown, read the key: the value tells whether \
             the swap took place, if each client writes values of its own.",
        ),
        Code::ConfirmationNeeded => advice(
            "The request would delete the whole raw space.",
            "Send `\"all\":true` and, as `confirm`, the cluster's name as GET /v1/cluster shows it.",
        ),
        Code::KeyNotFound => advice(
            "The key was never written, was deleted, or its time to live has passed.",
            "Nothing, if that is expected. Otherwise check the encoding of the key in the URL.",
        ),
        Code::RegionNotFound => advice(
            "No Region has this id.",
            "List Regions with GET /v1/regions, or find one with ?key=.",
        ),
        Code::StoreNotFound => {
            advice("No Store has this id, or it was removed.", "List Stores with GET /v1/stores.")
        }
        Code::NotFound => advice(
            "The path names nothing: it is mistyped, or what it named is gone (an operator of long \
             ago, a trace that made room for newer ones).",
            "GET / has links to where to begin.",
        ),
        Code::MethodNotAllowed => advice(
            "The path exists, but not with this method.",
            "The header Allow lists the methods.",
        ),
        Code::OperatorConflict => advice(
            "The Region already changes in another way, or the change would leave it with too few \
             replicas, or the Store already has one.",
            "Look at GET /v1/operators?region=, wait until it ends, and ask again.",
        ),
        Code::StoreNotEmpty => advice(
            "The Store still holds replicas.",
            "Drain it with PATCH /v1/stores/{id} and wait until `regions` is 0.",
        ),
        Code::CasMismatch => advice(
            "The condition of If-Match or If-None-Match does not hold: another client changed the \
             key. Nothing was written.",
            "Read the key, decide again, and send the new etag. `current` has that of the value now.",
        ),
        Code::TooLarge => advice(
            "A key, value, batch, line or body has more than its limit; `limit` and `actual` have \
             the figures.",
            "Split it up. GET /v1/limits lists all limits; they are keys of the configuration.",
        ),
        Code::NotUtf8 => advice(
            "`enc=utf8` or `enc=json` was asked for, and a key or value is not that.",
            "Use enc=auto, b64 or hex.",
        ),
        Code::ServerBusy => advice(
            "A queue is full, or the node works on as many requests or bytes as it may. The request \
             was refused before any work.",
            "Retry after Retry-After, each time after a longer pause. If it lasts, add nodes or \
             send less.",
        ),
        Code::RegionUnavailable => advice(
            "The Region did not serve in time: its leader was lost and no new one was found yet, or \
             its replicas restart. `causes` has what was last heard.",
            "Retry. If it lasts, GET /v1/regions/{id} shows which replicas answer.",
        ),
        Code::NoQuorum => advice(
            "More than half of the Region's replicas cannot be reached.",
            "Bring nodes back. Until then the Region cannot be read or written consistently.",
        ),
        Code::DiskFull => advice(
            "A Store has no space left; writes to its Regions are refused, reads go on.",
            "Free space, or move replicas away. GET /v1/stores shows the space of each.",
        ),
        Code::PdUnavailable => advice(
            "No leader of the Placement Driver can be reached: its nodes are down, or elect one.",
            "Retry. If it lasts, see which nodes are down: it needs a majority of the first three.",
        ),
        Code::NotReady => advice(
            "The node is starting, stopping, or a check fails.",
            "Retry, or ask another node. GET /readyz?verbose names the checks.",
        ),
        Code::RequestTimeout => advice(
            "The body came too slowly: see `body-base` and `body-min-rate` of the limits.",
            "Send it again over a better connection, or in smaller parts. Nothing was written; of \
             an import, the rows that `rows` counts were.",
        ),
        Code::Internal => advice(
            "The server has a bug: something happened that its authors held to be impossible.",
            "Report it with `request_id` and the log of the node around that time. A write may have \
             taken place: read before you write again.",
        ),
        Code::ActorCrashed => advice(
            "The actor that held the request crashed and was started again. Whether a write took \
             place is not known.",
            "Read, then decide. GET /v1/actors/restarts has the message of the crash: report it.",
        ),
        Code::Corruption => advice(
            "Stored data does not have the form that it was written in: the disk, or a bug, changed \
             it. It is not served rather than served wrong.",
            "Take the Store out of service and let its replicas be made anew elsewhere. Check the \
             disk.",
        ),
        Code::NotSupported => advice(
            "The operation is known, but this build does not do it. This build does all that its \
                 reference lists.",
            "Use a newer build.",
        ),
        Code::DeadlineExceeded => advice(
            "The request's timeout passed before anything was done; it had no effect.",
            "Retry, with a longer `timeout` if the cluster is slow.",
        ),
        Code::OutcomeUnknown => advice(
            "The write was under way when its answer was lost: the leader crashed, or the deadline \
             passed. It may have taken place, or may still.",
            "PUT and DELETE of one key may be sent again: they have the same effect twice. After a \
             compare-and-swap, read the key first.",
        ),
        Code::SnapshotGone => advice(
            "The read is as of a time below the safe point: old versions that it needs may have been \
             collected already.",
            "Read at a later time. GET /v1/gc shows the safe point; a barrier keeps versions for longer.",
        ),
        Code::TxnNotFound => advice(
            "No node knows the transaction, and nothing of it is stored.",
            "Check the id. A transaction without writes leaves no trace once it has ended.",
        ),
        Code::TxnExpired => advice(
            "The interactive transaction was idle for too long, or the node that owned it is gone. Its \
             changes were not made.",
            "Begin a new one and repeat its steps.",
        ),
        Code::WriteConflict => advice(
            "Another transaction committed a key after this one began. Nothing was changed.",
            "Begin a new transaction and repeat its steps. Where conflicts are common, use the \
             pessimistic mode, or one request with `if`, which the server repeats by itself.",
        ),
        Code::Deadlock => advice(
            "Transactions wait for each other in a circle; this one was refused so that the others go on. \
             `context` lists the circle.",
            "Roll back, and repeat. Lock keys in the same order everywhere.",
        ),
        Code::LockWaitTimeout => advice(
            "Another transaction held a lock for longer than this request may wait.",
            "Retry, or wait for longer. GET /v1/locks shows who holds it.",
        ),
        Code::AlreadyExists => advice(
            "The operation is to create the key, which has a value.",
            "Read it, or write without that condition.",
        ),
        Code::AssertionFailed => advice(
            "A key is not as the request asserts. Nothing was changed. No request of the JSON API \
             asserts anything: only commands between nodes, and other gateways, can.",
            "Read the keys anew: what the client believed of them is wrong. To write on a condition, \
             use `if`, If-Match or `insert`.",
        ),
        Code::CommitTsExpired => advice(
            "A reader was promised that the transaction commits later than it tried to.",
            "Repeat the commit: it is tried again with a newer timestamp.",
        ),
        Code::TxnRolledBack => advice(
            "The transaction was rolled back: by its owner, or by somebody who found its lock expired.",
            "Begin a new one and repeat its steps. Long transactions need keepalives.",
        ),
        Code::IdempotentInProgress => advice(
            "The first request with this Idempotency-Key is still running, or its node died less than 20 \
             seconds ago, and its locks have not expired yet.",
            "Wait and send it again: it then gets the outcome of the first.",
        ),
        Code::IdempotencyMismatch => advice(
            "This Idempotency-Key was used for another request within its life of 24 hours.",
            "Use a new key for a new request.",
        ),
        Code::NotAnInteger => advice(
            "An operation on numbers met a value that is not a decimal integer of 64 bits.",
            "Write the value as decimal digits, or use another operation.",
        ),
        Code::DataNotReady => advice(
            "No replica has applied as much as the read asks for. This build waits for a replica until \
             the deadline instead, and does not answer this.",
            "Retry, or read at the leader.",
        ),
        Code::TxnOutcomeUnknown => advice(
            "The commit was under way when its answer was lost. It may have taken place, or may still.",
            "GET the transaction for its outcome, or send the request again under the same \
             Idempotency-Key.",
        ),
    }
}

/// What to do about a code, in a sentence or two.
#[must_use]
pub const fn remedy(code: Code) -> &'static str {
    advice_on(code).remedy
}

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}\
     code{font-size:90%}dt{font-weight:bold;margin-top:1rem}\
     @media(prefers-color-scheme:dark){body{background:#111;color:#eee}a{color:#8cf}}";

fn html(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n<body>\n{body}\n</body>\n</html>\n"
    )
}

/// The page of a code.
#[must_use]
pub fn page(code: Code) -> String {
    let (name, status) = (code.as_str(), status_of(code));
    let Advice { cause, remedy } = advice_on(code);
    let body = format!(
        "<h1><code>{name}</code></h1>\n<p>{}.</p>\n<dl>\n<dt>HTTP status</dt><dd>{status}</dd>\n\
         <dt>Retry as it is</dt><dd>{}</dd>\n<dt>A write was</dt><dd>{}</dd>\n\
         <dt>Why</dt><dd>{}</dd>\n<dt>What to do</dt><dd>{}</dd>\n</dl>\n\
         <p><a href=\"/docs/errors\">All codes</a></p>",
        escaped(code.title()),
        yes_no(is_retryable(code)),
        applied(code),
        escaped(cause),
        escaped(remedy),
    );
    html(name, &body)
}

/// The list of all codes.
#[must_use]
pub fn index() -> String {
    let mut body = String::from("<h1>Codes of problems</h1>\n<ul>\n");
    for code in Code::ALL {
        let (name, title) = (code.as_str(), escaped(code.title()));
        let _ = writeln!(
            body,
            "<li><a href=\"/docs/errors/{name}\"><code>{name}</code></a> {title}</li>"
        );
    }
    body.push_str("</ul>");
    html("Codes of problems", &body)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

fn applied(code: Code) -> &'static str {
    match outcome(code, true) {
        "not_applied" => "not applied",
        _ => "perhaps applied",
    }
}

/// `docs/ERRORS.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# Codes of problems\n\n\
         <!-- Made by the tests of http_api: UPDATE_GOLDEN=1 cargo test -p troupe-http-api -->\n\n\
         Every error of the JSON API is `application/problem+json` with one of these codes, which \
         are never renamed.\nA node serves the same texts at `/docs/errors/CODE`.\n\n\
         | code | status | retry as it is | a write was |\n|---|---|---|---|\n",
    );
    for code in Code::ALL {
        let (name, status) = (code.as_str(), status_of(code).as_u16());
        let retry = yes_no(is_retryable(code));
        let link = name.to_ascii_lowercase();
        let _ = writeln!(text, "| [`{name}`](#{link}) | {status} | {retry} | {} |", applied(code));
    }
    for code in Code::ALL {
        let Advice { cause, remedy } = advice_on(code);
        let (name, title) = (code.as_str(), code.title());
        let _ = write!(
            text,
            "\n## `{name}`\n\n{title}.\n\n**Why.** {cause}\n\n**What to do.** {remedy}\n"
        );
    }
    text
}

#[cfg(test)]
mod tests;
