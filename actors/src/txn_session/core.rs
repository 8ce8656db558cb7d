//! One interactive transaction: what is done when. Pure.
//!
//! ```text
//!            steps fail for good · idle · asked to ──────────────► rolled back
//!           │                                                        ▲
//!  open ────┴─ commit ─► committing ─┬─ refused ─────────────────────┤
//!                                    ├─ done ─► committed ◄──────┐   │
//!                                    └─ not answered ─► unknown ─┴───┘
//! ```
//! Steps run one request at a time, in the order in which they came; a commit waits for them. A
//! rollback does not: it cuts short what runs. Nothing is cut short once the commit was begun.
use super::ended::Ended;
use std::collections::VecDeque;
use std::time::Duration;
use troupe_types::txn::session::{
    CommittedBy, SessionError, SessionPhase, SessionReply, SessionRequest, SessionResult,
    SessionState, TxnId, TxnOpResult, TxnSettings,
};
use troupe_types::{Code, Moment, Timestamp, UnixMillis};

/// A request, by number.
pub type Ticket = u64;

/// Requests that may wait for steps that run.
const QUEUE: usize = 16;
/// Time between two looks at the locks of an open transaction.
pub const BEAT_EVERY: Duration = crate::kv_service::txn::BEAT_EVERY;

/// What a transaction holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Keys written or guarded.
    pub keys: u64,
    /// It holds locks, which must be kept alive.
    pub holds_locks: bool,
}

/// How a commit ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitEnd {
    /// It committed.
    Committed {
        /// When.
        commit_ts: Timestamp,
        /// How.
        by: CommittedBy,
    },
    /// It did not, and never will.
    RolledBack(SessionError),
    /// Not known so far; told again when it is.
    Unknown(SessionError),
}

/// What happens to a transaction.
#[derive(Debug)]
pub enum Input<'a> {
    /// Its client asks.
    Call(Ticket, &'a SessionRequest),
    /// Steps ended.
    StepsDone(Result<Vec<TxnOpResult>, SessionError>, Figures),
    /// The commit ended.
    CommitDone(CommitEnd),
    /// A heartbeat was answered. `false`: others rolled the transaction back.
    Beaten(bool),
    /// A time asked for has come.
    Woken,
}

/// What is to be done for it.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Run the steps of this request. Answered [`Input::StepsDone`].
    RunSteps(Ticket),
    /// Cut the steps that run short. [`Input::StepsDone`] follows all the same.
    CutShort,
    /// Commit. Answered [`Input::CommitDone`].
    RunCommit(Ticket),
    /// Take all locks away. Not answered.
    RollBack,
    /// Send a heartbeat. Answered [`Input::Beaten`].
    Beat,
    /// Answer this request.
    Answer(Ticket, SessionResult),
    /// Come back then.
    WakeAt(Moment),
    /// It is over.
    Over(Box<Ended>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Requests that wait for the end of the commit.
    Committing(Vec<Ticket>),
    Unknown(SessionError),
    Over(Box<Ended>),
}

/// See the module.
#[derive(Debug)]
pub struct SessionCore {
    id: TxnId,
    settings: TxnSettings,
    began_at: UnixMillis,
    idle: Duration,
    phase: Phase,
    figures: Figures,
    /// The request whose steps run.
    running: Option<Ticket>,
    is_beating: bool,
    queue: VecDeque<(Ticket, SessionRequest)>,
    idle_until: Moment,
    beat_at: Moment,
    /// The next wake-up that was asked for.
    wakes_at: Option<Moment>,
}

impl SessionCore {
    /// An open transaction that has begun `now`, and rolls back after `idle` without a request.
    #[must_use]
    pub fn new(
        (id, settings): (TxnId, TxnSettings),
        idle: Duration,
        (now, began_at): (Moment, UnixMillis),
    ) -> Self {
        Self {
            id,
            settings,
            began_at,
            idle,
            phase: Phase::Open,
            figures: Figures::default(),
            running: None,
            is_beating: false,
            queue: VecDeque::new(),
            idle_until: now.after(idle),
            beat_at: now.after(BEAT_EVERY),
            wakes_at: None,
        }
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self, now: Moment) -> SessionState {
        let phase = match &self.phase {
            Phase::Open => SessionPhase::Open,
            Phase::Committing(_) => SessionPhase::Committing,
            Phase::Unknown(_) => SessionPhase::Unknown,
            Phase::Over(ended) => return ended.state.clone(),
        };
        self.state_in(phase, self.idle_until.since(now))
    }

    fn state_in(&self, phase: SessionPhase, left: Duration) -> SessionState {
        SessionState {
            id: self.id,
            settings: Some(self.settings),
            phase,
            keys: self.figures.keys,
            expires_in_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            began_at: self.began_at,
        }
    }

    /// Is it over?
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(_))
    }

    /// Handles `input`.
    pub fn step(&mut self, now: Moment, input: Input<'_>, out: &mut Vec<Output>) {
        match input {
            Input::Call(ticket, request) => self.call(now, ticket, request, out),
            Input::StepsDone(answer, figures) => self.steps_done(now, answer, figures, out),
            Input::CommitDone(end) => self.commit_done(now, end, out),
            Input::Beaten(is_alive) => self.beaten(now, is_alive, out),
            Input::Woken => self.woken(now, out),
        }
        self.plan_wake(now, out);
    }

    fn call(
        &mut self,
        now: Moment,
        ticket: Ticket,
        request: &SessionRequest,
        out: &mut Vec<Output>,
    ) {
        if let Phase::Over(ended) = &self.phase {
            out.push(Output::Answer(ticket, ended.answer(request)));
            return;
        }
        let is_question = matches!(request, SessionRequest::Status { .. });
        if self.phase == Phase::Open && !is_question {
            self.idle_until = now.after(self.idle);
        }
        match request {
            SessionRequest::Status { .. } => self.answer_state(now, ticket, out),
            SessionRequest::KeepAlive { .. } if self.phase == Phase::Open => {
                self.answer_state(now, ticket, out);
            }
            SessionRequest::Rollback { .. } if self.phase == Phase::Open => {
                let detail = "its client rolled it back".to_owned();
                let why = SessionError { code: Code::TxnRolledBack, detail, txn: None };
                self.give_up(why, out);
                self.answer_state(now, ticket, out);
            }
            SessionRequest::Ops { .. } | SessionRequest::Commit { .. }
                if self.phase == Phase::Open =>
            {
                self.enqueue(now, ticket, request, out);
            }
            _ => self.call_after_commit(ticket, request, out),
        }
    }

    /// The commit was begun, and is not over.
    fn call_after_commit(
        &mut self,
        ticket: Ticket,
        request: &SessionRequest,
        out: &mut Vec<Output>,
    ) {
        match (&mut self.phase, request) {
            (
                Phase::Committing(waiting),
                SessionRequest::Commit { .. } | SessionRequest::Rollback { .. },
            ) => {
                if waiting.len() > QUEUE {
                    out.push(Output::Answer(ticket, Err(too_many())));
                    return;
                }
                waiting.push(ticket);
                self.queue.push_back((ticket, request.clone()));
            }
            (Phase::Unknown(error), SessionRequest::Commit { .. }) => {
                out.push(Output::Answer(ticket, Err(error.clone())));
            }
            _ => {
                let detail = "its commit is under way".to_owned();
                let error = SessionError { code: Code::TxnExpired, detail, txn: None };
                out.push(Output::Answer(ticket, Err(error)));
            }
        }
    }

    fn answer_state(&self, now: Moment, ticket: Ticket, out: &mut Vec<Output>) {
        out.push(Output::Answer(ticket, Ok(SessionReply::State(self.state(now)))));
    }

    fn enqueue(
        &mut self,
        now: Moment,
        ticket: Ticket,
        request: &SessionRequest,
        out: &mut Vec<Output>,
    ) {
        if self.queue.len() >= QUEUE {
            out.push(Output::Answer(ticket, Err(too_many())));
            return;
        }
        self.queue.push_back((ticket, request.clone()));
        self.go_on(now, out);
    }

    /// Begins what waits, if nothing runs.
    fn go_on(&mut self, now: Moment, out: &mut Vec<Output>) {
        if self.running.is_some() || self.is_beating || self.phase != Phase::Open {
            return;
        }
        let Some((ticket, request)) = self.queue.pop_front() else {
            self.idle_until = now.after(self.idle);
            return;
        };
        if let SessionRequest::Commit { .. } = request {
            self.phase = Phase::Committing(vec![ticket]);
            out.push(Output::RunCommit(ticket));
        } else {
            self.running = Some(ticket);
            out.push(Output::RunSteps(ticket));
        }
    }

    fn steps_done(
        &mut self,
        now: Moment,
        answer: Result<Vec<TxnOpResult>, SessionError>,
        figures: Figures,
        out: &mut Vec<Output>,
    ) {
        self.figures = figures;
        let Some(ticket) = self.running.take() else { return };
        if let Phase::Over(ended) = &self.phase {
            // It was cut short: only now its locks are known.
            let ended = ended.clone();
            let error = ended.why.clone().map_or_else(|| answer.err(), Some);
            out.extend(error.map(|error| Output::Answer(ticket, Err(error))));
            out.push(Output::RollBack);
            out.push(Output::Over(ended));
            return;
        }
        match answer {
            Ok(results) => out.push(Output::Answer(ticket, Ok(SessionReply::Results(results)))),
            Err(error) => {
                out.push(Output::Answer(ticket, Err(error.clone())));
                if ends_it(error.code) {
                    self.give_up(error, out);
                    return;
                }
            }
        }
        self.go_on(now, out);
    }

    fn commit_done(&mut self, now: Moment, end: CommitEnd, out: &mut Vec<Output>) {
        let waiting = match &mut self.phase {
            Phase::Committing(waiting) => std::mem::take(waiting),
            Phase::Open | Phase::Unknown(_) | Phase::Over(_) => Vec::new(),
        };
        let first = waiting.first().copied();
        match end {
            CommitEnd::Committed { commit_ts, by } => {
                let phase = SessionPhase::Committed { commit_ts, by: Some(by) };
                self.finish(phase, None);
                out.extend(first.map(|ticket| {
                    Output::Answer(ticket, Ok(SessionReply::State(self.state(now))))
                }));
            }
            CommitEnd::RolledBack(why) => {
                out.extend(first.map(|ticket| Output::Answer(ticket, Err(why.clone()))));
                self.finish(SessionPhase::RolledBack, Some(why));
            }
            CommitEnd::Unknown(error) => {
                self.phase = Phase::Unknown(error.clone());
                out.extend(waiting.iter().map(|t| Output::Answer(*t, Err(error.clone()))));
                self.queue.retain(|(ticket, _)| !waiting.contains(ticket));
            }
        }
        if let Phase::Over(ended) = &self.phase {
            let ended = ended.clone();
            self.answer_queued(&ended, out);
            out.push(Output::Over(ended));
        }
    }

    fn beaten(&mut self, now: Moment, is_alive: bool, out: &mut Vec<Output>) {
        self.is_beating = false;
        self.beat_at = now.after(BEAT_EVERY);
        match self.phase.clone() {
            Phase::Open if is_alive => self.go_on(now, out),
            Phase::Open => {
                let detail =
                    "others rolled it back, since its locks were not kept alive".to_owned();
                let why = SessionError { code: Code::TxnRolledBack, detail, txn: None };
                self.give_up(why, out);
            }
            // It was rolled back meanwhile.
            Phase::Over(ended) => {
                out.push(Output::RollBack);
                out.push(Output::Over(ended));
            }
            Phase::Committing(_) | Phase::Unknown(_) => {}
        }
    }

    fn woken(&mut self, now: Moment, out: &mut Vec<Output>) {
        self.wakes_at = self.wakes_at.filter(|at| *at > now);
        if self.phase != Phase::Open || self.running.is_some() || self.is_beating {
            return;
        }
        if now >= self.idle_until {
            let detail = format!("no request came for {} s", self.idle.as_secs_f64());
            self.give_up(SessionError { code: Code::TxnExpired, detail, txn: None }, out);
        } else if now >= self.beat_at {
            self.beat_at = now.after(BEAT_EVERY);
            if self.figures.holds_locks {
                self.is_beating = true;
                out.push(Output::Beat);
            }
        }
    }

    /// Rolls back what is open.
    fn give_up(&mut self, why: SessionError, out: &mut Vec<Output>) {
        self.finish(SessionPhase::RolledBack, Some(why));
        let Phase::Over(ended) = self.phase.clone() else { return };
        self.answer_queued(&ended, out);
        if self.running.is_some() {
            out.push(Output::CutShort);
        } else if !self.is_beating {
            out.push(Output::RollBack);
            out.push(Output::Over(ended));
        }
    }

    fn finish(&mut self, phase: SessionPhase, why: Option<SessionError>) {
        let state = self.state_in(phase, Duration::ZERO);
        self.phase = Phase::Over(Box::new(Ended { state, why }));
    }

    fn answer_queued(&mut self, ended: &Ended, out: &mut Vec<Output>) {
        for (ticket, request) in std::mem::take(&mut self.queue) {
            out.push(Output::Answer(ticket, ended.answer(&request)));
        }
    }

    fn plan_wake(&mut self, now: Moment, out: &mut Vec<Output>) {
        if self.phase != Phase::Open || self.running.is_some() || self.is_beating {
            return;
        }
        let next = if self.figures.holds_locks {
            self.idle_until.min(self.beat_at)
        } else {
            self.idle_until
        };
        let next = next.max(now);
        if self.wakes_at.is_none_or(|at| next < at) {
            self.wakes_at = Some(next);
            out.push(Output::WakeAt(next));
        }
    }
}

fn too_many() -> SessionError {
    let detail = format!("{QUEUE} requests of this transaction wait already");
    SessionError { code: Code::ServerBusy, detail, txn: None }
}

/// Is a transaction over after steps that failed so? Else it can go on as if they had not been asked
/// for.
fn ends_it(code: Code) -> bool {
    matches!(
        code,
        Code::Deadlock
            | Code::WriteConflict
            | Code::TxnRolledBack
            | Code::TxnNotFound
            | Code::TxnExpired
            | Code::CommitTsExpired
            | Code::SnapshotGone
            | Code::Corruption
            | Code::Internal
    )
}
