//! What gateways call. Each call is one method; the work is in the files beside this one.
use super::Walked;
use super::api::{ResolvedLocks, TxnScanPage};
use crate::kv_service::{CallOptions, KvService, ScanOptions, ServedBy, ServiceError};
use troupe_types::txn::deadlock::{DeadlockRecord, LockWait, WaitEdge};
use troupe_types::txn::session::{OneShot, OneShotOutcome, SessionReply, SessionRequest};
use troupe_types::txn::{LockInfo, MvccHistory, TxnRow};
use troupe_types::{Key, KeyRange, Timestamp};

impl KvService {
    /// A timestamp of the oracle, larger than all it gave before.
    ///
    /// # Errors
    /// [`ServiceError`] with `PD_UNAVAILABLE`.
    pub async fn timestamp(&self, o: &CallOptions) -> Result<Timestamp, ServiceError> {
        self.0.timestamp(o).await
    }

    /// One value of the transactional space as of `at`, and who served it. `None` reads the newest
    /// commit, linearizable, without asking the oracle.
    ///
    /// # Errors
    /// [`ServiceError`]; `BAD_PARAMETER` if `at` lies in the future, `SNAPSHOT_GONE` if too far back,
    /// `LOCK_WAIT_TIMEOUT` if a lock was in the way until the deadline.
    pub async fn txn_get(
        &self,
        key: Key,
        at: Option<Timestamp>,
        o: &CallOptions,
    ) -> Result<(Option<TxnRow>, ServedBy), ServiceError> {
        self.0.traced("txn_get", o, self.0.txn_get_one(key, at, o)).await
    }

    /// Values of one snapshot, in the order asked, and its timestamp. `None` takes the present.
    ///
    /// # Errors
    /// As [`KvService::txn_get`].
    pub async fn txn_batch_get(
        &self,
        keys: Vec<Key>,
        at: Option<Timestamp>,
        o: &CallOptions,
    ) -> Result<(Vec<Option<TxnRow>>, Timestamp), ServiceError> {
        self.0.traced("txn_batch_get", o, self.0.txn_get_many(keys, at, o)).await
    }

    /// A page of rows of one snapshot, from Region to Region. To go on, pass the page's `read_ts`.
    ///
    /// # Errors
    /// As [`KvService::txn_get`]; a page is never silently short.
    pub async fn txn_scan(
        &self,
        range: KeyRange,
        scan: ScanOptions,
        at: Option<Timestamp>,
        o: &CallOptions,
    ) -> Result<TxnScanPage, ServiceError> {
        self.0.traced("txn_scan", o, self.0.txn_scan_page(range, scan, at, o)).await
    }

    /// A whole transaction. It is tried again, with a new snapshot, when it meets conflicts.
    ///
    /// # Errors
    /// [`ServiceError`]. Only `TXN_OUTCOME_UNKNOWN` leaves open whether it committed; with every other
    /// code it has not, and never will.
    pub async fn txn_once(
        &self,
        request: OneShot,
        o: &CallOptions,
    ) -> Result<OneShotOutcome, ServiceError> {
        self.0.traced("txn_once", o, self.0.run_once(request, o)).await
    }

    /// Removes every row of `range`, in transactions of bounded size; answers how many. Not atomic
    /// as a whole: rows stored meanwhile may stay.
    ///
    /// # Errors
    /// [`ServiceError`]; rows of earlier transactions are gone.
    pub async fn txn_delete_range(
        &self,
        range: KeyRange,
        o: &CallOptions,
    ) -> Result<u64, ServiceError> {
        self.0.traced("txn_delete_range", o, self.0.delete_rows(range, o)).await
    }

    /// Begins an interactive transaction on this node, or asks the node that owns one.
    ///
    /// # Errors
    /// [`ServiceError`]; `TXN_EXPIRED` if the transaction has ended by itself.
    pub async fn session(
        &self,
        request: SessionRequest,
        o: &CallOptions,
    ) -> Result<SessionReply, ServiceError> {
        self.0.traced("session", o, self.0.ask_session(request, o)).await
    }

    /// Locks in `range` of transactions that began at or below `max_ts` (`None` = any), at most
    /// `limit`, and what is left of the range.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn txn_locks(
        &self,
        range: KeyRange,
        max_ts: Option<Timestamp>,
        limit: u32,
        o: &CallOptions,
    ) -> Result<(Vec<LockInfo>, Option<KeyRange>), ServiceError> {
        self.0.traced("txn_locks", o, self.0.list_locks(range, max_ts, limit, o)).await
    }

    /// Commits or rolls back the locks in `range` whose transactions have ended or expired; others
    /// stay.
    ///
    /// # Errors
    /// [`ServiceError`]; locks before that are resolved.
    pub async fn txn_resolve_locks(
        &self,
        range: KeyRange,
        max_ts: Option<Timestamp>,
        o: &CallOptions,
    ) -> Result<ResolvedLocks, ServiceError> {
        self.0.traced("txn_resolve_locks", o, self.0.resolve_range(range, max_ts, o)).await
    }

    /// Ends the transactions that began below `safe_point`, a transaction safe point of PD that every
    /// Store knows, and have locks in the first part of `range`. A transaction that is alive is rolled
    /// back, unless it has committed. When a walk over a range has come to its end, no such lock is in
    /// it, and none will ever be.
    ///
    /// # Errors
    /// [`ServiceError`]; the walk may go on at the same place.
    pub async fn txn_resolve_below(
        &self,
        range: KeyRange,
        safe_point: Timestamp,
        o: &CallOptions,
    ) -> Result<Walked, ServiceError> {
        self.0.resolve_below(range, safe_point, o).await
    }

    /// Removes values in the first part of `range` whose time to live has passed.
    ///
    /// # Errors
    /// [`ServiceError`]; the walk may go on at the same place.
    pub async fn txn_remove_ended(
        &self,
        range: KeyRange,
        o: &CallOptions,
    ) -> Result<Walked, ServiceError> {
        self.0.remove_ended(range, o).await
    }

    /// Lock and versions of one key; `None` if nothing is stored.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn txn_history(
        &self,
        key: Key,
        o: &CallOptions,
    ) -> Result<Option<MvccHistory>, ServiceError> {
        self.0.traced("txn_history", o, self.0.history_of_key(key, o)).await
    }

    /// The first key of `range` that the transaction touched, with lock and versions.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn txn_by_start(
        &self,
        start_ts: Timestamp,
        range: KeyRange,
        o: &CallOptions,
    ) -> Result<Option<MvccHistory>, ServiceError> {
        self.0.traced("txn_by_start", o, self.0.history_of_txn(start_ts, range, o)).await
    }

    /// Who waits for whom, and the latest deadlocks.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn deadlocks(
        &self,
        o: &CallOptions,
    ) -> Result<(Vec<WaitEdge>, Vec<DeadlockRecord>), ServiceError> {
        self.0.list_deadlocks(o).await
    }

    /// Commands that wait for locks, at all Stores that answer.
    ///
    /// # Errors
    /// [`ServiceError`] if no Store answered.
    pub async fn lock_waits(&self, o: &CallOptions) -> Result<Vec<LockWait>, ServiceError> {
        self.0.list_lock_waits(o).await
    }
}
