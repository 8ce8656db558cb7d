//! Requests to the owner of an interactive transaction; and what holds when it does not answer.
use super::commit::unknown;
use super::session::Recorded;
use crate::kv_service::api::Inner;
use crate::kv_service::ask::Failure;
use crate::kv_service::core::{Causes, Pauses, Reaction, on_region_error, on_transport_error};
use crate::kv_service::{CallOptions, KvService, ServiceError};
use std::sync::Arc;
use std::time::Duration;
use troupe_types::request::{RegionBody, RegionReply, RegionRequest, RegionTarget};
use troupe_types::txn::session::{
    SessionError, SessionPhase, SessionReply, SessionRequest, SessionState, TxnId,
};
use troupe_types::{Class, Code, Moment, RegionEpoch, SYSTEM_REGION, StoreId, UnixMillis};

/// How long an owner is looked for before the record of its transaction is asked instead.
const PATIENCE: Duration = Duration::from_secs(2);

/// Since when the node of an owner does not answer at all. One that refuses is alive, and so may be
/// the transaction that it holds: whoever asks the record ends it.
#[derive(Default)]
struct Silence(Option<Moment>);

impl Silence {
    /// Notes how the latest request failed.
    fn is_too_long(&mut self, failure: &Failure, now: Moment) -> bool {
        match failure {
            Failure::Transport(_) => now.since(*self.0.get_or_insert(now)) >= PATIENCE,
            Failure::Region(_) => {
                self.0 = None;
                false
            }
        }
    }
}

impl Inner {
    pub(super) async fn ask_session(
        self: &Arc<Self>,
        request: SessionRequest,
        o: &CallOptions,
    ) -> Result<SessionReply, ServiceError> {
        let mut causes = Causes::default();
        let result = self.ask_owner(&request, o, &mut causes).await;
        let may_commit =
            matches!(request, SessionRequest::Commit { .. }) && causes.may_have_arrived();
        result.map_err(|error| if may_commit { perhaps_committed(error) } else { error })
    }

    async fn ask_owner(
        self: &Arc<Self>,
        request: &SessionRequest,
        o: &CallOptions,
        causes: &mut Causes,
    ) -> Result<SessionReply, ServiceError> {
        let owner = self.owner_of(request)?;
        let (mut silence, mut pauses) = (Silence::default(), Pauses::default());
        loop {
            if self.parts.env.now() >= o.deadline {
                return Err(self.out_of_time(causes));
            }
            let target = RegionTarget { region: SYSTEM_REGION, epoch: RegionEpoch::default() };
            let body = RegionBody::Session(Box::new(request.clone()));
            let sent = RegionRequest { store: owner, target, body, traces: o.tags.clone() };
            let is_write = !request.is_repeatable();
            let failure = match self.dispatch(sent, is_write, o).await {
                Ok(RegionReply::Session(result)) => {
                    return result.map_err(|error| ServiceError::of_session(error, causes));
                }
                Ok(other) => return Err(ServiceError::unexpected(&other)),
                Err(failure) => failure,
            };
            let reaction = match &failure {
                Failure::Region(error) => {
                    causes.region_error(SYSTEM_REGION, error);
                    on_region_error(error, is_write)
                }
                Failure::Transport(error) => {
                    causes.transport_error(SYSTEM_REGION, owner.get(), error);
                    on_transport_error(error, is_write)
                }
            };
            if let Reaction::Fail(code) = reaction {
                return Err(session_failed(self.failed(code, &failure, causes)));
            }
            let is_gone = silence.is_too_long(&failure, self.parts.env.now());
            if let Some(id) = request.id().filter(|_| is_gone) {
                return KvService(self.clone()).without_owner(&id, request, None, o).await;
            }
            self.pause(pauses.next(&reaction), o.deadline).await;
        }
    }

    /// The Store whose node is asked: the owner's, or one of this node.
    fn owner_of(&self, request: &SessionRequest) -> Result<StoreId, ServiceError> {
        let directory = self.parts.directory.load();
        let mut stores = directory.stores.keys().copied();
        match request.id() {
            Some(id) => stores.find(|store| *store == id.store).ok_or_else(|| {
                Self::error(Code::TxnNotFound, format!("no store {} made it", id.store))
            }),
            None => stores.find(|store| self.parts.local.has_store(*store)).ok_or_else(|| {
                Self::error(Code::NotReady, "this node has no store that could own it")
            }),
        }
    }
}

impl KvService {
    /// Answers `request` by the record of its transaction alone. `since`: the owner itself asks,
    /// which does not know the transaction, and runs since then.
    ///
    /// Only a question about the state leaves the transaction as it is; with all else it is ended, so
    /// that what is answered stays true.
    ///
    /// # Errors
    /// `TXN_EXPIRED` if it did not commit, `TXN_NOT_FOUND` if there was none; others if its record
    /// cannot be read.
    pub(crate) async fn without_owner(
        &self,
        id: &TxnId,
        request: &SessionRequest,
        since: Option<UnixMillis>,
        o: &CallOptions,
    ) -> Result<SessionReply, ServiceError> {
        let is_question = matches!(request, SessionRequest::Status { .. });
        let mut recorded = self.recorded(id, !is_question && since.is_none(), o).await?;
        if since.is_some() && matches!(recorded, Recorded::Open | Recorded::Committing) {
            // Left behind: nobody goes on with what its living owner does not know.
            recorded = self.recorded(id, true, o).await?;
        }
        let phase = match recorded {
            Recorded::Committed(commit_ts) => SessionPhase::Committed { commit_ts, by: None },
            Recorded::RolledBack => SessionPhase::RolledBack,
            Recorded::Open => SessionPhase::Open,
            Recorded::Committing => SessionPhase::Committing,
            Recorded::Nothing => match since {
                Some(since) if id.start_ts.physical_ms() > since.get() => {
                    let detail = "its owner knows of no such transaction";
                    return Err(Inner::error(Code::TxnNotFound, detail));
                }
                Some(_) => SessionPhase::RolledBack,
                None => SessionPhase::Unknown,
            },
        };
        let is_commit = matches!(request, SessionRequest::Commit { .. });
        let is_rollback = matches!(request, SessionRequest::Rollback { .. });
        let fits = match phase {
            SessionPhase::Committed { .. } => is_question || is_commit,
            SessionPhase::RolledBack => is_question || is_rollback,
            SessionPhase::Open | SessionPhase::Committing | SessionPhase::Unknown => is_question,
        };
        if fits {
            return Ok(SessionReply::State(SessionState {
                id: *id,
                settings: None,
                phase,
                keys: 0,
                expires_in_ms: 0,
                began_at: UnixMillis(id.start_ts.physical_ms()),
            }));
        }
        Err(match phase {
            SessionPhase::Committed { commit_ts, .. } => {
                Inner::error(Code::TxnExpired, format!("it committed at {commit_ts}"))
            }
            SessionPhase::RolledBack => {
                let detail = "the node that held it is gone or was restarted; it did not commit";
                Inner::error(Code::TxnExpired, detail)
            }
            SessionPhase::Open | SessionPhase::Committing | SessionPhase::Unknown => {
                let detail = "the node that held it lost it, and locks of it are still there";
                Inner::error(Code::TxnOutcomeUnknown, detail)
            }
        })
    }
}

impl ServiceError {
    fn of_session(error: SessionError, causes: &Causes) -> Self {
        let SessionError { code, detail, txn } = error;
        Self { txn, ..Self::new(code, detail, causes) }
    }
}

/// The error of a commit of which an earlier sending may have arrived. What says that the transaction is
/// over stays; what only says that nobody could be asked now does not tell that it did not commit.
fn perhaps_committed(error: ServiceError) -> ServiceError {
    match error.code.class() {
        Class::Retry => unknown(error),
        Class::BadInput | Class::Conflict | Class::Unknown | Class::Fatal => error,
    }
}

/// Words for a request of a session whose answer was lost.
fn session_failed(error: ServiceError) -> ServiceError {
    match error.code {
        Code::OutcomeUnknown => ServiceError { code: Code::TxnOutcomeUnknown, ..error },
        _ => error,
    }
}

#[cfg(test)]
mod tests;
