//! The Placement Driver's decisions: a pure state machine.
//!
//! | file | decides |
//! |---|---|
//! | [`leadership`] | whether this node leads PD: claim, fencing, stepping down |
//! | [`rows`] | what is stored, and in which form |
//! | [`writer`] | which rows are on their way, and which answers wait for them |
//! | [`serving`] | what a reign holds, and which request goes where |
//! | [`members`] | nodes and Stores: join, register, drain, remove |
//! | [`bootstrap`] | the first rows and the first data Regions |
//! | [`ids`], [`tso`] | numbers that are never given twice |
//! | [`gc`] | safe points of the transactional space, and barriers |
//! | [`heartbeats`] | what Stores and Regions report, and what they are told |
//! | [`routes`] | which Region holds a key, rebuilt from reports |
//! | [`operators`], [`plan`] | changes of one Region's replicas, step by step |
//! | [`placement`] | which operators PD makes by itself |
//!
//! ```text
//! Tick, LocalStatus ─► leadership ─► Follower ─► ReadClaim ─► WriteClaim ─► Load ─► Serving
//!                          ▲                                                         │
//!                          └──── Rejected, lost lead, unknown outcome ◄──────────────┘
//! ```
pub mod bootstrap;
pub mod gc;
pub mod heartbeats;
pub mod ids;
pub mod leadership;
pub mod members;
pub mod operators;
pub mod placement;
pub mod plan;
pub mod routes;
pub mod rows;
pub mod serving;
pub mod tso;
pub mod writer;

pub use bootstrap::BootstrapPlan;
pub use leadership::{Core, LocalStatus};

use bytes::Bytes;
use rows::RowChange;
use std::time::Duration;
use troupe_types::pd::{NodeInfo, PdRequest, PdResult};
use troupe_types::{Key, KeyRange, Moment, StoreId, UnixMillis};

/// Number of a request within one life of the actor.
pub type RequestId = u64;
/// Number of a load or write within one life of the actor.
pub type EffectId = u64;

/// What happens to PD.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time went on.
    Tick,
    /// A local Store said how its replica of the system Region is.
    LocalStatus(LocalStatus),
    /// Answer to [`Output::LoadRows`]; the error is for people.
    RowsLoaded {
        /// Which load.
        id: EffectId,
        /// Rows in key order.
        rows: Result<Vec<(Key, Bytes)>, String>,
    },
    /// Answer to [`Output::WriteRows`].
    WriteDone {
        /// Which write.
        id: EffectId,
        /// What became of it.
        outcome: WriteOutcome,
    },
    /// Somebody asks.
    Request {
        /// Number that the answer carries.
        id: RequestId,
        /// What.
        request: PdRequest,
    },
}

/// What became of a write of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// The rows are durable.
    Done,
    /// The claim had changed: another node leads PD. Nothing was written.
    Rejected,
    /// Nothing was written; the same write may succeed soon.
    TryAgain,
    /// Nobody knows whether the rows were written.
    Unknown {
        /// Why.
        why: String,
    },
}

/// What PD wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Read rows of the system Region at its leader.
    LoadRows {
        /// Number that the answer carries.
        id: EffectId,
        /// The Store whose replica leads.
        store: StoreId,
        /// Which rows.
        range: KeyRange,
    },
    /// Write rows of the system Region.
    WriteRows {
        /// Number that the answer carries.
        id: EffectId,
        /// The Store whose replica leads.
        store: StoreId,
        /// Rows that must be as given.
        expect: Vec<RowChange>,
        /// Rows to change.
        rows: Vec<RowChange>,
    },
    /// Answer a request.
    Reply {
        /// Which.
        id: RequestId,
        /// The answer.
        result: PdResult,
    },
    /// The members changed.
    UpdateDirectory(Vec<(NodeInfo, Vec<StoreId>)>),
    /// Something that people should know.
    Note(String),
}

/// Habits of PD.
#[derive(Clone, Copy, Debug)]
pub struct PdOptions {
    /// Time between ticks. A Raft tick of the Stores is a good value.
    pub tick: Duration,
    /// How long a confirmation of the lead counts for timestamps. A leader that follows another
    /// node waits as long (and a quarter more) before it gives timestamps. Some ticks.
    pub lease: Duration,
    /// How far the timestamp bound is persisted ahead.
    pub tso_window: Duration,
    /// A Store silent for longer gets no new replicas.
    pub silent_after: Duration,
    /// A replica that was down for longer is replaced.
    pub replace_down_after: Duration,
    /// A learner that no operator looks after is removed (or promoted) after this time.
    pub learner_grace: Duration,
    /// An operator that takes longer is given up.
    pub operator_timeout: Duration,
    /// Operators that PD runs at once by its own decision.
    pub operators_at_once: usize,
}

impl PdOptions {
    /// The defaults for Stores whose Raft tick is `tick` (1 s in production, less in tests).
    #[must_use]
    pub fn for_tick(tick: Duration) -> Self {
        Self {
            tick,
            lease: tick * 4,
            tso_window: Duration::from_secs(3),
            silent_after: Duration::from_secs(30),
            replace_down_after: Duration::from_secs(1800),
            learner_grace: Duration::from_secs(60),
            operator_timeout: Duration::from_secs(600),
            operators_at_once: 4,
        }
    }
}

/// One step of the core: the time, and where outputs go.
pub struct Turn<'a> {
    /// Monotonic time.
    pub now: Moment,
    /// Wall clock.
    pub unix: UnixMillis,
    /// What shall be done.
    pub out: &'a mut Vec<Output>,
}

impl Turn<'_> {
    pub(crate) fn reply(&mut self, id: RequestId, result: PdResult) {
        self.out.push(Output::Reply { id, result });
    }

    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.out.push(Output::Note(text.into()));
    }
}

#[cfg(test)]
mod tests;
