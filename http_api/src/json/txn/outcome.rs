//! Outcomes of transactions in replies.
use super::id;
use super::row::{KvItem, KvRow, RowStyle};
use crate::json::bytes::BytesOut;
use crate::json::reply::{Decimal, user_part};
use serde::Serialize;
use troupe_types::Key;
use troupe_types::txn::session::{
    CommitProtocol, CommittedBy, OneShotOutcome, SessionPhase, SessionState, TxnIsolation, TxnMode,
    TxnOpResult,
};
use utoipa::ToSchema;

/// What a step answers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum StepOut {
    /// A row, or that there is none; of `add`, the sum.
    Row(KvItem),
    /// Rows of a scan.
    Rows {
        /// Rows, in scan order.
        items: Vec<KvRow>,
        /// Are there more behind the limit?
        more: bool,
    },
    /// It takes effect with the commit.
    Done {
        /// Always true.
        done: bool,
    },
}

/// What is needed to show the answer to a step.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The key of a step that has one.
    pub key: Key,
    /// A scan without values.
    pub keys_only: bool,
}

/// Answers to steps.
#[must_use]
pub fn steps_out(asked: &[Asked], results: Vec<TxnOpResult>, style: RowStyle) -> Vec<StepOut> {
    let unknown = Asked::default();
    let asked = asked.iter().chain(std::iter::repeat(&unknown));
    results.into_iter().zip(asked).map(|(result, asked)| step_out(asked, result, style)).collect()
}

fn step_out(asked: &Asked, result: TxnOpResult, style: RowStyle) -> StepOut {
    match result {
        TxnOpResult::Done => StepOut::Done { done: true },
        TxnOpResult::Value(row) => StepOut::Row(KvItem::new(&asked.key, row, style)),
        TxnOpResult::Rows { rows, rest } => {
            let style = RowStyle { keys_only: asked.keys_only, ..style };
            let items = rows.into_iter().map(|row| KvRow::new(row, style)).collect();
            StepOut::Rows { items, more: rest.is_some() }
        }
    }
}

/// Outcome of a transaction in one request.
#[derive(Debug, Serialize, ToSchema)]
pub struct TxnOut {
    /// Did the conditions hold, so that `then` was done?
    pub succeeded: bool,
    /// When it was committed, or read if it changed nothing.
    #[schema(value_type = String)]
    pub commit_ts: Decimal,
    /// `one_phase`, `async`, `two_phase`, or `nothing` if it changed nothing.
    #[schema(value_type = String)]
    pub committed_by: CommittedBy,
    /// How often it was tried.
    pub attempts: u32,
    /// It had been done before under the same Idempotency-Key, and nothing was done now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
    /// One for each step of the branch that was done.
    pub results: Vec<StepOut>,
}

impl TxnOut {
    /// `outcome` of a transaction whose steps in that branch were `asked`.
    #[must_use]
    pub fn new(outcome: OneShotOutcome, asked: &[Asked], style: RowStyle) -> Self {
        Self {
            succeeded: outcome.succeeded,
            commit_ts: Decimal(outcome.commit_ts.get()),
            committed_by: outcome.committed_by,
            attempts: outcome.attempts,
            repeated: outcome.repeated,
            results: steps_out(asked, outcome.results, style),
        }
    }
}

/// Answers to steps of an interactive transaction.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpsOut {
    /// One for each step.
    pub results: Vec<StepOut>,
}

/// An interactive transaction.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionOut {
    /// Its id.
    pub txn: String,
    /// `open`, `committing`, `committed`, `rolled_back` or `unknown`.
    pub state: &'static str,
    /// When it began: all its reads are of this moment.
    #[schema(value_type = String)]
    pub start_ts: Decimal,
    /// When it was committed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub commit_ts: Option<Decimal>,
    /// `optimistic` or `pessimistic`.
    #[schema(value_type = String)]
    pub mode: TxnMode,
    /// `snapshot` or `serializable`.
    #[schema(value_type = String)]
    pub isolation: TxnIsolation,
    /// `auto`, `async` or `two_phase`.
    #[schema(value_type = String)]
    pub commit: CommitProtocol,
    /// Keys that it has written or locked.
    pub keys: u64,
    /// The key whose lock or commit record decides, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<BytesOut>,
    /// The Store whose node holds it.
    pub owner_store: u64,
    /// When it began, in milliseconds since 1970.
    pub began_at_ms: u64,
    /// Milliseconds until it is rolled back, if nothing is asked; of an open one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
}

impl From<&SessionState> for SessionOut {
    fn from(state: &SessionState) -> Self {
        let (name, commit_ts) = match state.phase {
            SessionPhase::Open => ("open", None),
            SessionPhase::Committing => ("committing", None),
            SessionPhase::Committed { commit_ts } => ("committed", Some(Decimal(commit_ts.get()))),
            SessionPhase::RolledBack => ("rolled_back", None),
            SessionPhase::Unknown => ("unknown", None),
        };
        let primary = state.primary.as_ref();
        Self {
            txn: id::format(&state.id),
            state: name,
            start_ts: Decimal(state.id.start_ts.get()),
            commit_ts,
            mode: state.settings.mode,
            isolation: state.settings.isolation,
            commit: state.settings.commit,
            keys: state.keys,
            primary: primary.map(|key| BytesOut::key(user_part(key), Default::default())),
            owner_store: state.id.store.get(),
            began_at_ms: state.began_at.get(),
            expires_in_ms: (state.phase == SessionPhase::Open).then_some(state.expires_in_ms),
        }
    }
}

/// Open interactive transactions of a node.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionsOut {
    /// Id of the node.
    pub node: u64,
    /// Those that are open.
    pub items: Vec<SessionOut>,
}
