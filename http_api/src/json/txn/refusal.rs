//! What a problem says of a refused transaction: one sentence with the user's key, and facts.
use super::locks::EdgeOut;
use crate::error::Fact;
use crate::json::bytes::{BytesOut, Enc};
use crate::json::reply::user_part;
use serde_json::Value;
use troupe_types::txn::{LockInfo, TxnError};
use troupe_types::{Key, Timestamp};

/// Names and figures, in the order shown.
pub type Facts = Vec<(&'static str, Fact)>;

fn key(key: &Key) -> Value {
    let shown = BytesOut::key(user_part(key), Enc::Auto);
    serde_json::to_value(shown).expect("invariant: every key has a form in JSON")
}

fn ts(ts: Timestamp) -> Fact {
    Fact::Text(ts.to_string())
}

fn of_key(at: &Key, start_ts: Timestamp) -> Facts {
    vec![("key", Fact::Json(key(at))), ("start_ts", ts(start_ts))]
}

/// What is known of the lock in the way.
#[must_use]
pub fn lock_facts(lock: &LockInfo) -> Facts {
    vec![
        ("key", Fact::Json(key(&lock.key))),
        ("holder_start_ts", ts(lock.start_ts)),
        ("primary", Fact::Json(key(&lock.primary))),
        ("lock_ttl_ms", Fact::Number(lock.ttl_ms)),
    ]
}

/// One sentence for people.
#[must_use]
pub fn detail(error: &TxnError) -> String {
    match error {
        TxnError::Locked(lock) => format!(
            "key {} is locked by the transaction that began at {}",
            key(&lock.key),
            lock.start_ts
        ),
        TxnError::WriteConflict { key: at, start_ts, conflict_commit_ts, .. } => format!(
            "key {} was committed at {conflict_commit_ts}, after this transaction began at \
             {start_ts}",
            key(at)
        ),
        TxnError::AlreadyExists { key: at, .. } => format!("key {} has a value already", key(at)),
        TxnError::LockNotFound { key: at, start_ts, .. } => format!(
            "the transaction that began at {start_ts} holds no lock on {}: it was rolled back",
            key(at)
        ),
        TxnError::TxnNotFound { start_ts, .. } => {
            format!("nothing is known of a transaction that began at {start_ts}")
        }
        TxnError::Deadlock { key: at, lock_ts, .. } => format!(
            "to wait for {}, which the transaction that began at {lock_ts} has locked, would never \
             end: that one waits for this one",
            key(at)
        ),
        TxnError::CommitTsExpired { attempted, min_commit_ts, .. } => format!(
            "the transaction may not commit at {attempted}: a reader was promised that it commits \
             at {min_commit_ts} at the earliest"
        ),
        TxnError::AssertionFailed { key: at, exists: true, .. } => {
            format!("key {} has a value, against what was asserted", key(at))
        }
        TxnError::AssertionFailed { key: at, exists: false, .. } => {
            format!("key {} has no value, against what was asserted", key(at))
        }
        TxnError::PrimaryMismatch(lock) => {
            format!("key {} is not the primary of its transaction", key(&lock.key))
        }
        TxnError::PessimisticLockNotFound { key: at, .. } => {
            format!("the lock on {} was lost, and the key may have changed since", key(at))
        }
        TxnError::RolledBack { start_ts, .. } => {
            format!("the transaction that began at {start_ts} was rolled back")
        }
        TxnError::Committed { start_ts, commit_ts, .. } => {
            format!("the transaction that began at {start_ts} was committed at {commit_ts}")
        }
        TxnError::SnapshotGone { ts, safe_point } => {
            format!("{ts} lies below the safe point {safe_point}: its versions may be gone")
        }
        TxnError::FutureTimestamp { ts } => format!("timestamp {ts} lies in the future"),
        TxnError::LockIfExistsNeedsValues { .. } | TxnError::GenerationPassed { .. } => {
            error.to_string()
        }
    }
}

/// Names and figures.
#[must_use]
pub fn facts(error: &TxnError) -> Facts {
    match error {
        TxnError::Locked(lock) | TxnError::PrimaryMismatch(lock) => lock_facts(lock),
        TxnError::WriteConflict {
            start_ts,
            conflict_start_ts,
            conflict_commit_ts,
            key,
            reason,
            ..
        } => {
            let mut facts = of_key(key, *start_ts);
            facts.push(("conflict_start_ts", ts(*conflict_start_ts)));
            facts.push(("conflict_commit_ts", ts(*conflict_commit_ts)));
            facts.push(("reason", json(reason)));
            facts
        }
        TxnError::AlreadyExists { key: at, existing_start_ts } => {
            vec![("key", Fact::Json(key(at))), ("existing_start_ts", ts(*existing_start_ts))]
        }
        TxnError::TxnNotFound { start_ts, primary } => {
            vec![("start_ts", ts(*start_ts)), ("primary", Fact::Json(key(primary)))]
        }
        TxnError::Deadlock { start_ts, lock_ts, key, cycle } => {
            let mut facts = of_key(key, *start_ts);
            facts.push(("holder_start_ts", ts(*lock_ts)));
            facts.push(("cycle", json(&cycle.iter().map(EdgeOut::from).collect::<Vec<_>>())));
            facts
        }
        TxnError::CommitTsExpired { start_ts, attempted, key, min_commit_ts } => {
            let mut facts = of_key(key, *start_ts);
            facts.push(("attempted_commit_ts", ts(*attempted)));
            facts.push(("min_commit_ts", ts(*min_commit_ts)));
            facts
        }
        TxnError::AssertionFailed { start_ts, key, exists, existing_commit_ts, .. } => {
            let mut facts = of_key(key, *start_ts);
            facts.push(("exists", Fact::Json(Value::Bool(*exists))));
            facts.push(("existing_commit_ts", ts(*existing_commit_ts)));
            facts
        }
        TxnError::LockNotFound { start_ts, key, .. }
        | TxnError::PessimisticLockNotFound { start_ts, key }
        | TxnError::RolledBack { start_ts, key } => of_key(key, *start_ts),
        TxnError::Committed { start_ts, commit_ts, key } => {
            let mut facts = of_key(key, *start_ts);
            facts.push(("commit_ts", ts(*commit_ts)));
            facts
        }
        TxnError::SnapshotGone { ts: at, safe_point } => {
            vec![("ts", ts(*at)), ("safe_point", ts(*safe_point))]
        }
        TxnError::FutureTimestamp { ts: at } => vec![("ts", ts(*at))],
        TxnError::LockIfExistsNeedsValues { start_ts }
        | TxnError::GenerationPassed { start_ts, .. } => vec![("start_ts", ts(*start_ts))],
    }
}

fn json<T: serde::Serialize>(content: &T) -> Fact {
    Fact::Json(serde_json::to_value(content).expect("invariant: plain data has a form in JSON"))
}
