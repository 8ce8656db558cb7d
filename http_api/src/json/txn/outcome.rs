//! Outcomes of transactions in replies.
use super::id;
use super::row::{KvItem, KvRow, RowStyle};
use crate::json::reply::Decimal;
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
    /// `one_phase`, `async`, `two_phase`, or `nothing` if it changed nothing; if its owner tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub committed_by: Option<CommittedBy>,
    /// `optimistic` or `pessimistic`. This and the next two are left out if its owner is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub mode: Option<TxnMode>,
    /// `snapshot` or `serializable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub isolation: Option<TxnIsolation>,
    /// `auto`, `async` or `two_phase`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub commit: Option<CommitProtocol>,
    /// Keys that it has written or locked.
    pub keys: u64,
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
        let (name, commit_ts, committed_by) = match state.phase {
            SessionPhase::Open => ("open", None, None),
            SessionPhase::Committing => ("committing", None, None),
            SessionPhase::Committed { commit_ts, by } => {
                ("committed", Some(Decimal(commit_ts.get())), by)
            }
            SessionPhase::RolledBack => ("rolled_back", None, None),
            SessionPhase::Unknown => ("unknown", None, None),
        };
        let settings = state.settings;
        Self {
            txn: id::format(&state.id),
            state: name,
            start_ts: Decimal(state.id.start_ts.get()),
            commit_ts,
            committed_by,
            mode: settings.map(|settings| settings.mode),
            isolation: settings.map(|settings| settings.isolation),
            commit: settings.map(|settings| settings.commit),
            keys: state.keys,
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
