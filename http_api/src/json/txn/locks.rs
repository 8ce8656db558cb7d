//! Locks, who waits for whom, history of keys, and safe points in replies.
use super::row::version;
use crate::json::bytes::{BytesOut, Enc};
use crate::json::reply::{Decimal, user_part};
use serde::Serialize;
use troupe_types::txn::deadlock::{DeadlockRecord, LockWait, WaitEdge};
use troupe_types::txn::gc::{GcBarrier, GcRound, GcState};
use troupe_types::txn::{LockInfo, LockKind, MvccHistory, MvccVersion, WriteKind};
use troupe_types::{Key, UnixMillis};
use utoipa::ToSchema;

fn shown(key: &Key) -> BytesOut {
    BytesOut::key(user_part(key), Enc::Auto)
}

/// A lock.
#[derive(Debug, Serialize, ToSchema)]
pub struct LockOut {
    /// Locked key.
    pub key: BytesOut,
    /// The key whose lock or commit record decides its transaction.
    pub primary: BytesOut,
    /// When its transaction began.
    #[schema(value_type = String)]
    pub start_ts: Decimal,
    /// `put`, `delete`, `lock` or `pessimistic`.
    #[schema(value_type = String)]
    pub kind: LockKind,
    /// Milliseconds since its transaction began.
    pub age_ms: u64,
    /// The transaction counts as alive until it is so old.
    pub ttl_ms: u64,
    /// Is it older than that? Who meets the lock then resolves it.
    pub expired: bool,
    /// Keys of the transaction, as far as known.
    pub txn_size: u64,
    /// Up to when a pessimistic lock saw commits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub for_update_ts: Option<Decimal>,
    /// It will not commit below this.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub min_commit_ts: Option<Decimal>,
    /// It commits asynchronously.
    pub async_commit: bool,
}

impl LockOut {
    /// `lock` as it is shown at `now`.
    #[must_use]
    pub fn new(lock: &LockInfo, now: UnixMillis) -> Self {
        let age_ms = now.get().saturating_sub(lock.start_ts.physical_ms());
        Self {
            key: shown(&lock.key),
            primary: shown(&lock.primary),
            start_ts: Decimal(lock.start_ts.get()),
            kind: lock.kind,
            age_ms,
            ttl_ms: lock.ttl_ms,
            expired: age_ms > lock.ttl_ms,
            txn_size: lock.txn_size,
            for_update_ts: version(lock.for_update_ts),
            min_commit_ts: version(lock.min_commit_ts),
            async_commit: lock.use_async_commit,
        }
    }
}

/// Locks in key order.
#[derive(Debug, Serialize, ToSchema)]
pub struct LocksOut {
    /// At most `limit`.
    pub items: Vec<LockOut>,
    /// Goes on with the next page; left out at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// What became of locks that were to be resolved.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResolvedOut {
    /// Committed or rolled back, as their transactions were.
    pub resolved: u64,
    /// Of transactions that are alive; they stay.
    pub alive: u64,
}

/// A transaction that waits for another one's lock.
#[derive(Debug, Serialize, ToSchema)]
pub struct EdgeOut {
    /// Start timestamp of the one that waits.
    #[schema(value_type = String)]
    pub waiter: Decimal,
    /// Start timestamp of the one that holds the lock.
    #[schema(value_type = String)]
    pub holder: Decimal,
    /// On which key.
    pub key: BytesOut,
}

impl From<&WaitEdge> for EdgeOut {
    fn from(edge: &WaitEdge) -> Self {
        Self {
            waiter: Decimal(edge.waiter.get()),
            holder: Decimal(edge.holder.get()),
            key: shown(&edge.key),
        }
    }
}

/// A command that waits for a lock at a Store.
#[derive(Debug, Serialize, ToSchema)]
pub struct WaitOut {
    /// Where.
    pub store: u64,
    /// Start timestamp of the one that waits.
    #[schema(value_type = String)]
    pub waiter: Decimal,
    /// Start timestamp of the one that holds the lock.
    #[schema(value_type = String)]
    pub holder: Decimal,
    /// On which key.
    pub key: BytesOut,
    /// For how long already.
    pub waited_ms: u64,
}

impl From<&LockWait> for WaitOut {
    fn from(wait: &LockWait) -> Self {
        let EdgeOut { waiter, holder, key } = EdgeOut::from(&wait.edge);
        Self { store: wait.store.get(), waiter, holder, key, waited_ms: wait.waited_ms }
    }
}

/// A deadlock that was broken.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadlockOut {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Start timestamp of the transaction that was refused.
    #[schema(value_type = String)]
    pub victim: Decimal,
    /// Who waited for whom, from the victim back to it.
    pub cycle: Vec<EdgeOut>,
}

impl From<&DeadlockRecord> for DeadlockOut {
    fn from(record: &DeadlockRecord) -> Self {
        Self {
            at_ms: record.at.get(),
            victim: Decimal(record.victim.get()),
            cycle: record.cycle.iter().map(EdgeOut::from).collect(),
        }
    }
}

/// Who waits for whom, and recent deadlocks.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadlocksOut {
    /// Commands that wait at Stores.
    pub waits: Vec<WaitOut>,
    /// What the detector knows: each transaction that waits, and for whom.
    pub edges: Vec<EdgeOut>,
    /// Deadlocks that were broken, newest last; a bounded number.
    pub recent: Vec<DeadlockOut>,
}

/// One commit record of a key.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordOut {
    /// `put`, `delete`, `lock` or `rollback`.
    #[schema(value_type = String)]
    pub kind: WriteKind,
    /// When its transaction began.
    #[schema(value_type = String)]
    pub start_ts: Decimal,
    /// When it was committed; of a rollback, `start_ts`.
    #[schema(value_type = String)]
    pub commit_ts: Decimal,
    /// The value of a put, unless it was collected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<BytesOut>,
    /// When the value ends, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
}

impl RecordOut {
    fn new(version: &MvccVersion, enc: Enc) -> Self {
        Self {
            kind: version.kind,
            start_ts: Decimal(version.start_ts.get()),
            commit_ts: Decimal(version.commit_ts.get()),
            value: version.value.clone().map(|value| BytesOut::value(value, enc)),
            expires_at_ms: version.expires_at.map(UnixMillis::get),
        }
    }
}

/// All that is stored about a key.
#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryOut {
    /// Key.
    pub key: BytesOut,
    /// Its lock; null if there is none.
    pub lock: Option<LockOut>,
    /// Commit records, newest first.
    pub versions: Vec<RecordOut>,
}

impl HistoryOut {
    /// `history` as it is shown at `now`.
    #[must_use]
    pub fn new(history: &MvccHistory, enc: Enc, now: UnixMillis) -> Self {
        Self {
            key: BytesOut::key(user_part(&history.key), enc),
            lock: history.lock.as_ref().map(|lock| LockOut::new(lock, now)),
            versions: history.versions.iter().map(|v| RecordOut::new(v, enc)).collect(),
        }
    }
}

/// What a service keeps from being collected.
#[derive(Debug, Serialize, ToSchema)]
pub struct BarrierOut {
    /// Name of the service.
    pub service: String,
    /// Versions from then on stay.
    #[schema(value_type = String)]
    pub ts: Decimal,
    /// Until then, in milliseconds since 1970; null: until it is removed.
    pub expires_at_ms: Option<u64>,
}

impl From<&GcBarrier> for BarrierOut {
    fn from(barrier: &GcBarrier) -> Self {
        Self {
            service: barrier.service.clone(),
            ts: Decimal(barrier.ts.get()),
            expires_at_ms: barrier.expires_at.map(UnixMillis::get),
        }
    }
}

/// How collection is getting on.
#[derive(Debug, Serialize, ToSchema)]
pub struct GcRoundOut {
    /// Rounds begun since the collector started.
    pub number: u64,
    /// `idle`, `moving`, `waiting`, `resolving`, `releasing` or `sweeping`.
    pub phase: &'static str,
    /// What the round is about.
    #[schema(value_type = String)]
    pub safe_point: Decimal,
    /// Locks resolved in it.
    pub locks_resolved: u64,
    /// Values removed in it whose time to live has passed.
    pub values_removed: u64,
    /// When it began, in milliseconds since 1970.
    pub began_at_ms: u64,
    /// When a round last came to its end, in milliseconds since 1970.
    pub finished_at_ms: Option<u64>,
    /// Why the last round did not come to its end.
    pub last_error: Option<String>,
}

impl From<GcRound> for GcRoundOut {
    fn from(round: GcRound) -> Self {
        Self {
            number: round.number,
            phase: round.phase.as_str(),
            safe_point: Decimal(round.safe_point.get()),
            locks_resolved: round.locks_resolved,
            values_removed: round.values_removed,
            began_at_ms: round.began_at.get(),
            finished_at_ms: round.finished_at.map(UnixMillis::get),
            last_error: round.last_error,
        }
    }
}

/// Safe points and barriers.
#[derive(Debug, Serialize, ToSchema)]
pub struct GcOut {
    /// Reads and transactions below it are refused.
    #[schema(value_type = String)]
    pub txn_safe_point: Decimal,
    /// Versions that a newer one hides at it may have been collected.
    #[schema(value_type = String)]
    pub gc_safe_point: Decimal,
    /// What services keep.
    pub barriers: Vec<BarrierOut>,
    /// The newest round of collection; null: none has begun since the Placement Driver's leader leads.
    pub round: Option<GcRoundOut>,
}

impl From<(GcState, Option<GcRound>)> for GcOut {
    fn from((state, round): (GcState, Option<GcRound>)) -> Self {
        Self {
            round: round.map(GcRoundOut::from),
            txn_safe_point: Decimal(state.txn_safe_point.get()),
            gc_safe_point: Decimal(state.gc_safe_point.get()),
            barriers: state.barriers.iter().map(BarrierOut::from).collect(),
        }
    }
}
