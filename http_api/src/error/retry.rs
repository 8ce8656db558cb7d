//! What a client does after a problem, and what TiKV calls it.
use serde::Serialize;
use troupe_types::{Class, Code};

/// How to go on after a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The same request may succeed later, as it is.
    SameRequest,
    /// The transaction is over: begin a new one and repeat its steps. A transaction in one request is
    /// a new one each time that it is sent.
    NewTransaction,
    /// Not at all, before the request or what is stored has changed.
    None,
}

/// The transaction is over; its work may succeed in another.
const OVER: [Code; 5] = [
    Code::WriteConflict,
    Code::Deadlock,
    Code::TxnRolledBack,
    Code::TxnExpired,
    Code::SnapshotGone,
];
/// Something else has to end first.
const IN_THE_WAY: [Code; 3] =
    [Code::LockWaitTimeout, Code::CommitTsExpired, Code::IdempotentInProgress];

/// What TiKV calls the same error.
const TIKV: [(Code, &str); 11] = [
    (Code::WriteConflict, "KV:Storage:WriteConflict"),
    (Code::Deadlock, "KV:Storage:Deadlock"),
    (Code::LockWaitTimeout, "KV:Storage:KeyIsLocked"),
    (Code::AlreadyExists, "KV:Storage:AlreadyExist"),
    (Code::AssertionFailed, "KV:Storage:AssertionFailed"),
    (Code::CommitTsExpired, "KV:Storage:CommitTsExpired"),
    (Code::TxnRolledBack, "KV:Storage:TxnLockNotFound"),
    (Code::TxnNotFound, "KV:Storage:TxnNotFound"),
    (Code::RegionNotFound, "KV:Raftstore:RegionNotFound"),
    (Code::ServerBusy, "KV:Raftstore:ServerIsBusy"),
    (Code::DeadlineExceeded, "KV:Storage:DeadlineExceeded"),
];

/// How to go on after `code`.
#[must_use]
pub fn how(code: Code) -> How {
    if OVER.contains(&code) {
        How::NewTransaction
    } else if code.class() == Class::Retry || IN_THE_WAY.contains(&code) {
        How::SameRequest
    } else {
        How::None
    }
}

/// A pause that is long enough for what is usually in the way, where the server knows no better.
#[must_use]
pub fn usual_pause_ms(code: Code) -> u64 {
    match code.class() {
        Class::Retry => 1000,
        Class::Conflict if IN_THE_WAY.contains(&code) => 100,
        Class::Conflict => 10,
        Class::BadInput | Class::Unknown | Class::Fatal => 0,
    }
}

/// The code that TiKV has for the same thing, if it has one.
#[must_use]
pub fn tikv_code(code: Code) -> Option<&'static str> {
    TIKV.iter().find(|(ours, _)| *ours == code).map(|(_, theirs)| *theirs)
}
