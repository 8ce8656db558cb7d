//! Interactive transactions. Each open one is an actor, which holds what it has read, written and
//! locked, works its client's requests off one by one, keeps its locks alive, and rolls back when
//! its client goes away.
//!
//! ```text
//! any node: KvService::session ─► owner's node: TxnSessions ─┬─► TxnActor ─► coordinator (kv_service/txn)
//!                                    │ not known here        └─► TxnActor
//!                                    └─► the record of the transaction
//! ```
//! | message | from | class |
//! |---|---|---|
//! | [`SessionCall`] | a gateway, to [`TxnSessions`], which passes it on to a [`TxnActor`] | Ask |
//! | [`SessionOver`] | a [`TxnActor`] or its supervisor, to [`TxnSessions`] | Must |
//!
//! Nothing of an open transaction is on disk but its locks. So an actor that crashes is not built
//! anew: its transaction is lost, its locks die by their time to live, and the record of the
//! transaction tells whether it had committed.
//!
//! | file | subject |
//! |---|---|
//! | [`core`] | pure: one transaction: queue, phases, idle time, heartbeats |
//! | [`ended`] | pure: answers about transactions that are over |
//! | [`actor`] | the shell around one transaction |
//! | [`sessions`] | all transactions of a node |
pub mod actor;
pub mod core;
pub mod ended;
pub mod sessions;

pub use actor::TxnActor;
pub use sessions::{SessionOptions, Sessions, SessionsParts, TxnSessions, start};

use crate::cell::{Delivery, Message, ReplyTo};
use troupe_types::Moment;
use troupe_types::txn::session::{SessionRequest, SessionResult, TxnId};

/// Gateway → TxnSessions → TxnActor: a request of a client. Commit, rollback and questions may be
/// repeated.
#[derive(Debug)]
pub struct SessionCall {
    /// What is asked for.
    pub request: SessionRequest,
    /// When the asker gives up.
    pub deadline: Moment,
    /// Where the answer goes.
    pub reply: ReplyTo<SessionResult>,
}

impl Message for SessionCall {
    const NAME: &'static str = "SessionCall";
    const DELIVERY: Delivery = Delivery::Ask;

    fn bytes(&self) -> usize {
        match &self.request {
            SessionRequest::Ops { ops, .. } => ops.iter().map(|op| op.approximate_bytes()).sum(),
            SessionRequest::Begin { .. }
            | SessionRequest::Commit { .. }
            | SessionRequest::Rollback { .. }
            | SessionRequest::KeepAlive { .. }
            | SessionRequest::Status { .. }
            | SessionRequest::List => 0,
        }
    }

    fn detail(&self) -> [u64; 2] {
        self.request.id().map_or([0, 0], |id| [id.start_ts.get(), 0])
    }
}

/// TxnActor → TxnSessions: it is over, or (`None`) lost with its actor.
#[derive(Debug)]
pub struct SessionOver {
    /// Which.
    pub id: TxnId,
    /// How it ended.
    pub ended: Option<Box<ended::Ended>>,
}

impl Message for SessionOver {
    const NAME: &'static str = "SessionOver";
    const DELIVERY: Delivery = Delivery::Must;

    fn detail(&self) -> [u64; 2] {
        [self.id.start_ts.get(), u64::from(self.ended.is_some())]
    }
}

#[cfg(test)]
mod tests;
