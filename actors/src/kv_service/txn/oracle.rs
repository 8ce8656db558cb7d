//! Timestamps.
use crate::kv_service::api::Inner;
use crate::kv_service::core::Causes;
use crate::kv_service::{CallOptions, KvService, ServiceError};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use troupe_types::pd::{PdReply, PdRequest};
use troupe_types::{Code, Timestamp};

impl Inner {
    /// A timestamp larger than all that the oracle gave before.
    pub(super) async fn timestamp(
        self: &Arc<Self>,
        o: &CallOptions,
    ) -> Result<Timestamp, ServiceError> {
        let request = PdRequest::Timestamps { count: 1 };
        match KvService(self.clone()).pd(request, o.deadline).await? {
            PdReply::Timestamps { last, .. } => {
                self.txn.newest.fetch_max(last.get(), Ordering::Relaxed);
                Ok(last)
            }
            other => Err(ServiceError::unexpected(&other)),
        }
    }

    /// The timestamp of a read: `at`, unless that lies in the future, or the present.
    pub(super) async fn read_ts(
        self: &Arc<Self>,
        at: Option<Timestamp>,
        o: &CallOptions,
    ) -> Result<Timestamp, ServiceError> {
        let Some(at) = at else { return self.timestamp(o).await };
        // What a future timestamp sees now would not be what it sees later.
        let is_past = at.get() <= self.txn.newest.load(Ordering::Relaxed);
        if is_past || at <= self.timestamp(o).await? {
            return Ok(at);
        }
        let detail = format!("timestamp {at} lies in the future");
        Err(ServiceError::new(Code::BadParameter, detail, &Causes::default()))
    }
}
