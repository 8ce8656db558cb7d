//! Calls whose work is still to be joined in.
use super::api::{ResolvedLocks, TxnScanPage};
use crate::kv_service::api::Inner;
use crate::kv_service::core::Causes;
use crate::kv_service::{CallOptions, ScanOptions, ServedBy, ServiceError};
use troupe_types::txn::deadlock::{DeadlockRecord, LockWait, WaitEdge};
use troupe_types::txn::session::{OneShot, OneShotOutcome, SessionReply, SessionRequest};
use troupe_types::txn::{LockInfo, MvccHistory, TxnRow};
use troupe_types::{Code, Key, KeyRange, Timestamp};

fn not_served<T>() -> Result<T, ServiceError> {
    Err(ServiceError::new(Code::NotSupported, "transactions are not served", &Causes::default()))
}

impl Inner {
    pub(super) async fn timestamp(&self, _: &CallOptions) -> Result<Timestamp, ServiceError> {
        not_served()
    }

    pub(super) async fn txn_get_one(
        &self,
        _: Key,
        _: Option<Timestamp>,
        _: &CallOptions,
    ) -> Result<(Option<TxnRow>, ServedBy), ServiceError> {
        not_served()
    }

    pub(super) async fn txn_get_many(
        &self,
        _: Vec<Key>,
        _: Option<Timestamp>,
        _: &CallOptions,
    ) -> Result<(Vec<Option<TxnRow>>, Timestamp), ServiceError> {
        not_served()
    }

    pub(super) async fn txn_scan_page(
        &self,
        _: KeyRange,
        _: ScanOptions,
        _: Option<Timestamp>,
        _: &CallOptions,
    ) -> Result<TxnScanPage, ServiceError> {
        not_served()
    }

    pub(super) async fn run_once(
        &self,
        _: OneShot,
        _: &CallOptions,
    ) -> Result<OneShotOutcome, ServiceError> {
        not_served()
    }

    pub(super) async fn delete_rows(
        &self,
        _: KeyRange,
        _: &CallOptions,
    ) -> Result<u64, ServiceError> {
        not_served()
    }

    pub(super) async fn ask_session(
        &self,
        _: SessionRequest,
        _: &CallOptions,
    ) -> Result<SessionReply, ServiceError> {
        not_served()
    }

    pub(super) async fn list_locks(
        &self,
        _: KeyRange,
        _: Option<Timestamp>,
        _: u32,
        _: &CallOptions,
    ) -> Result<(Vec<LockInfo>, Option<KeyRange>), ServiceError> {
        not_served()
    }

    pub(super) async fn resolve_range(
        &self,
        _: KeyRange,
        _: Option<Timestamp>,
        _: &CallOptions,
    ) -> Result<ResolvedLocks, ServiceError> {
        not_served()
    }

    pub(super) async fn history_of_key(
        &self,
        _: Key,
        _: &CallOptions,
    ) -> Result<Option<MvccHistory>, ServiceError> {
        not_served()
    }

    pub(super) async fn history_of_txn(
        &self,
        _: Timestamp,
        _: KeyRange,
        _: &CallOptions,
    ) -> Result<Option<MvccHistory>, ServiceError> {
        not_served()
    }

    pub(super) async fn list_deadlocks(
        &self,
        _: &CallOptions,
    ) -> Result<(Vec<WaitEdge>, Vec<DeadlockRecord>), ServiceError> {
        not_served()
    }

    pub(super) async fn list_lock_waits(
        &self,
        _: &CallOptions,
    ) -> Result<Vec<LockWait>, ServiceError> {
        not_served()
    }
}
