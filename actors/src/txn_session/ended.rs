//! What is answered about a transaction that is over, and how many of those are remembered. Pure.
use std::collections::{BTreeMap, VecDeque};
use troupe_types::Code;
use troupe_types::txn::session::{
    SessionError, SessionPhase, SessionReply, SessionRequest, SessionResult, SessionState, TxnId,
};

/// A transaction that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its last state: committed or rolled back.
    pub state: SessionState,
    /// Why it was rolled back.
    pub why: Option<SessionError>,
}

impl Ended {
    /// The answer to `request`. A commit and a rollback that are repeated are answered as before.
    ///
    /// # Errors
    /// Why it was rolled back, `TXN_ROLLED_BACK`, or `TXN_EXPIRED`.
    pub fn answer(&self, request: &SessionRequest) -> SessionResult {
        let state = || Ok(SessionReply::State(self.state.clone()));
        let SessionPhase::Committed { commit_ts, .. } = self.state.phase else {
            return match request {
                SessionRequest::Status { .. } | SessionRequest::Rollback { .. } => state(),
                SessionRequest::Commit { .. } => Err(self.why()),
                SessionRequest::Ops { .. }
                | SessionRequest::KeepAlive { .. }
                | SessionRequest::Begin { .. }
                | SessionRequest::List => Err(self.over()),
            };
        };
        match request {
            SessionRequest::Status { .. } | SessionRequest::Commit { .. } => state(),
            SessionRequest::Ops { .. }
            | SessionRequest::Rollback { .. }
            | SessionRequest::KeepAlive { .. }
            | SessionRequest::Begin { .. }
            | SessionRequest::List => {
                let detail = format!("it committed at {commit_ts}");
                Err(SessionError { code: Code::TxnExpired, detail, txn: None })
            }
        }
    }

    fn why(&self) -> SessionError {
        let unsaid = || SessionError {
            code: Code::TxnRolledBack,
            detail: "it was rolled back".to_owned(),
            txn: None,
        };
        self.why.clone().unwrap_or_else(unsaid)
    }

    fn over(&self) -> SessionError {
        let why = self.why();
        match why.code {
            Code::TxnExpired | Code::TxnRolledBack => why,
            _ => SessionError {
                code: Code::TxnRolledBack,
                detail: format!("it was rolled back: {}", why.detail),
                txn: None,
            },
        }
    }
}

/// The latest transactions that ended.
#[derive(Debug)]
pub struct EndedLog {
    kept: usize,
    ended: BTreeMap<TxnId, Ended>,
    order: VecDeque<TxnId>,
}

impl EndedLog {
    /// Remembers `kept` of them.
    #[must_use]
    pub fn new(kept: usize) -> Self {
        Self { kept, ended: BTreeMap::new(), order: VecDeque::new() }
    }

    /// `ended` is over.
    pub fn push(&mut self, ended: Ended) {
        let id = ended.state.id;
        if self.ended.insert(id, ended).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > self.kept
            && let Some(oldest) = self.order.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }

    /// How `id` ended, if that is remembered.
    #[must_use]
    pub fn get(&self, id: &TxnId) -> Option<&Ended> {
        self.ended.get(id)
    }
}
