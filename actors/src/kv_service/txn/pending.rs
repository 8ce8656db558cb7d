//! Interactive transactions are refused: this build has no actors for them.
use crate::kv_service::api::Inner;
use crate::kv_service::core::Causes;
use crate::kv_service::{CallOptions, ServiceError};
use troupe_types::Code;
use troupe_types::txn::session::{SessionReply, SessionRequest};

impl Inner {
    pub(super) async fn ask_session(
        &self,
        _: SessionRequest,
        _: &CallOptions,
    ) -> Result<SessionReply, ServiceError> {
        let detail = "interactive transactions are not served";
        Err(ServiceError::new(Code::NotSupported, detail, &Causes::default()))
    }
}
