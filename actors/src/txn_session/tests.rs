//! One interactive transaction by its core alone: order of requests, phases, idle time, heartbeats.
use super::core::{BEAT_EVERY, CommitEnd, Figures, Input, Output, SessionCore, Ticket};
use super::ended::{Ended, EndedLog};
use std::time::Duration;
use troupe_types::txn::session::{
    CommittedBy, SessionError, SessionPhase, SessionReply, SessionRequest, SessionResult, TxnId,
    TxnSettings,
};
use troupe_types::{Code, Moment, StoreId, Timestamp, UnixMillis};

const ID: TxnId = TxnId { store: StoreId(1), start_ts: Timestamp(7), nonce: 9 };
const IDLE: Duration = Duration::from_secs(30);
const LOCKS: Figures = Figures { keys: 1, holds_locks: true };
const NO_LOCKS: Figures = Figures { keys: 1, holds_locks: false };
const COMMIT: SessionRequest = SessionRequest::Commit { id: ID, idempotency: None };
const ROLLBACK: SessionRequest = SessionRequest::Rollback { id: ID };
const STATUS: SessionRequest = SessionRequest::Status { id: ID };
const KEEPALIVE: SessionRequest = SessionRequest::KeepAlive { id: ID };

fn ops() -> SessionRequest {
    SessionRequest::Ops { id: ID, ops: Vec::new() }
}

/// A core, its clock, and the number of the last request.
struct Bench {
    core: SessionCore,
    now: Moment,
    last: Ticket,
}

impl Bench {
    fn new() -> Self {
        let now = Moment(1);
        let core = SessionCore::new((ID, TxnSettings::default()), IDLE, (now, UnixMillis(1_000)));
        Self { core, now, last: 0 }
    }

    fn step(&mut self, input: Input<'_>) -> Vec<Output> {
        let mut out = Vec::new();
        self.core.step(self.now, input, &mut out);
        out.retain(|output| !matches!(output, Output::WakeAt(_)));
        out
    }

    fn call(&mut self, request: &SessionRequest) -> Vec<Output> {
        self.last += 1;
        let ticket = self.last;
        self.step(Input::Call(ticket, request))
    }

    fn steps_done(&mut self, figures: Figures) -> Vec<Output> {
        self.step(Input::StepsDone(Ok(Vec::new()), figures))
    }

    fn pass(&mut self, time: Duration) -> Vec<Output> {
        self.now = self.now.after(time);
        self.step(Input::Woken)
    }
}

fn error(code: Code) -> SessionError {
    SessionError { code, detail: "for a test".to_owned(), txn: None }
}

/// The code or phase of the one answer to `ticket`.
fn answer(out: &[Output], ticket: Ticket) -> Result<Option<SessionPhase>, Code> {
    let mut found: Vec<&SessionResult> = out
        .iter()
        .filter_map(|output| match output {
            Output::Answer(of, answer) if *of == ticket => Some(answer),
            _ => None,
        })
        .collect();
    assert_eq!(found.len(), 1, "one answer to {ticket} in {out:?}");
    match found.remove(0) {
        Ok(SessionReply::State(state)) => Ok(Some(state.phase)),
        Ok(_) => Ok(None),
        Err(error) => Err(error.code),
    }
}

fn is_over(out: &[Output]) -> bool {
    out.iter().any(|output| matches!(output, Output::Over(_)))
}

const ROLLED_BACK: Result<Option<SessionPhase>, Code> = Ok(Some(SessionPhase::RolledBack));

#[test]
fn steps_run_one_request_at_a_time_and_the_commit_waits_for_them() {
    let mut bench = Bench::new();
    assert_eq!(bench.call(&ops()), [Output::RunSteps(1)]);
    assert_eq!(bench.call(&ops()), []);
    assert_eq!(bench.call(&COMMIT), []);
    let out = bench.steps_done(NO_LOCKS);
    assert_eq!(answer(&out, 1), Ok(None));
    assert_eq!(out[1..], [Output::RunSteps(2)]);
    let out = bench.steps_done(NO_LOCKS);
    assert_eq!(answer(&out, 2), Ok(None));
    assert_eq!(out[1..], [Output::RunCommit(3)]);
    let committed = CommitEnd::Committed { commit_ts: Timestamp(9), by: CommittedBy::Async };
    let out = bench.step(Input::CommitDone(committed));
    let by = Some(CommittedBy::Async);
    let phase = SessionPhase::Committed { commit_ts: Timestamp(9), by };
    assert_eq!(answer(&out, 3), Ok(Some(phase)));
    assert!(is_over(&out));
    assert_eq!(answer(&bench.call(&COMMIT), 4), Ok(Some(phase)), "it may be repeated");
    assert_eq!(answer(&bench.call(&ROLLBACK), 5), Err(Code::TxnExpired), "too late");
    assert_eq!(answer(&bench.call(&ops()), 6), Err(Code::TxnExpired));
}

#[test]
fn a_rollback_cuts_short_what_runs_and_takes_its_locks_away_when_it_has_ended() {
    let mut bench = Bench::new();
    bench.call(&ops());
    bench.call(&ops());
    let out = bench.call(&ROLLBACK);
    assert_eq!(answer(&out, 2), Err(Code::TxnRolledBack), "it waited in vain");
    assert_eq!(answer(&out, 3), ROLLED_BACK);
    assert!(out.contains(&Output::CutShort) && !out.contains(&Output::RollBack), "{out:?}");
    let out = bench.step(Input::StepsDone(Err(error(Code::TxnRolledBack)), LOCKS));
    assert_eq!(answer(&out, 1), Err(Code::TxnRolledBack));
    assert!(out.contains(&Output::RollBack) && is_over(&out), "{out:?}");
    assert_eq!(answer(&bench.call(&ROLLBACK), 4), ROLLED_BACK, "it may be repeated");
    assert_eq!(answer(&bench.call(&COMMIT), 5), Err(Code::TxnRolledBack));
}

#[test]
fn nobody_asks_and_it_is_rolled_back_and_says_so_later() {
    let mut bench = Bench::new();
    assert_eq!(bench.pass(IDLE / 2), []);
    bench.call(&KEEPALIVE);
    assert_eq!(bench.pass(IDLE * 3 / 4), [], "the idle time began anew");
    bench.call(&STATUS);
    let out = bench.pass(IDLE / 4);
    assert!(out.contains(&Output::RollBack) && is_over(&out), "a look keeps nobody: {out:?}");
    for request in [ops(), COMMIT, KEEPALIVE] {
        let out = bench.call(&request);
        assert_eq!(answer(&out, bench.last), Err(Code::TxnExpired), "{request:?}");
    }
    let out = bench.call(&STATUS);
    assert_eq!(answer(&out, bench.last), ROLLED_BACK);
}

#[test]
fn it_asks_to_be_woken_when_its_time_is_up() {
    let mut bench = Bench::new();
    let mut out = Vec::new();
    bench.core.step(bench.now, Input::Woken, &mut out);
    assert_eq!(out, [Output::WakeAt(bench.now.after(IDLE))]);
    bench.call(&ops());
    out.clear();
    let done = Input::StepsDone(Ok(Vec::new()), LOCKS);
    bench.core.step(bench.now, done, &mut out);
    assert_eq!(out.last(), Some(&Output::WakeAt(bench.now.after(BEAT_EVERY))));
}

#[test]
fn time_that_steps_take_is_not_idle() {
    let mut bench = Bench::new();
    bench.call(&ops());
    assert_eq!(bench.pass(IDLE * 2), []);
    bench.steps_done(NO_LOCKS);
    assert_eq!(bench.pass(IDLE / 2), []);
    assert!(is_over(&bench.pass(IDLE)));
}

#[test]
fn it_goes_on_after_steps_that_were_refused_but_not_after_a_conflict() {
    let goes_on = [Code::LockWaitTimeout, Code::AlreadyExists, Code::NotAnInteger, Code::TooLarge];
    for code in goes_on {
        let mut bench = Bench::new();
        bench.call(&ops());
        let out = bench.step(Input::StepsDone(Err(error(code)), NO_LOCKS));
        assert_eq!(answer(&out, 1), Err(code));
        assert_eq!(bench.call(&ops()), [Output::RunSteps(2)], "{code:?}");
    }
    for code in [Code::Deadlock, Code::WriteConflict, Code::SnapshotGone, Code::TxnRolledBack] {
        let mut bench = Bench::new();
        bench.call(&ops());
        let out = bench.step(Input::StepsDone(Err(error(code)), LOCKS));
        assert_eq!(answer(&out, 1), Err(code));
        assert!(out.contains(&Output::RollBack) && is_over(&out), "{code:?}");
        assert_eq!(answer(&bench.call(&ops()), 2), Err(Code::TxnRolledBack));
        assert_eq!(answer(&bench.call(&COMMIT), 3), Err(code), "why it cannot commit");
    }
}

#[test]
fn locks_are_kept_alive_and_what_others_rolled_back_is_over() {
    let mut bench = Bench::new();
    assert_eq!(bench.pass(BEAT_EVERY), [], "nothing to keep alive");
    bench.call(&ops());
    assert_eq!(bench.pass(BEAT_EVERY), [], "steps send heartbeats themselves");
    bench.steps_done(LOCKS);
    assert_eq!(bench.pass(BEAT_EVERY), [Output::Beat]);
    assert_eq!(bench.call(&ops()), [], "waits for the answer");
    assert_eq!(bench.step(Input::Beaten(true)), [Output::RunSteps(2)]);
    bench.steps_done(LOCKS);
    assert_eq!(bench.pass(BEAT_EVERY), [Output::Beat]);
    let out = bench.step(Input::Beaten(false));
    assert!(out.contains(&Output::RollBack) && is_over(&out), "{out:?}");
    assert_eq!(answer(&bench.call(&COMMIT), 3), Err(Code::TxnRolledBack));
}

#[test]
fn a_rollback_during_a_heartbeat_takes_the_locks_away_after_it() {
    let mut bench = Bench::new();
    bench.call(&ops());
    bench.steps_done(LOCKS);
    assert_eq!(bench.pass(BEAT_EVERY), [Output::Beat]);
    let out = bench.call(&ROLLBACK);
    assert_eq!(answer(&out, 2), ROLLED_BACK);
    assert!(!out.contains(&Output::RollBack), "its locks are with the heartbeat");
    let out = bench.step(Input::Beaten(true));
    assert!(out.contains(&Output::RollBack) && is_over(&out), "{out:?}");
}

#[test]
fn a_commit_without_an_answer_is_unknown_until_it_is_settled() {
    for (end, later) in [
        (
            CommitEnd::Committed { commit_ts: Timestamp(9), by: CommittedBy::TwoPhase },
            Ok(Some(SessionPhase::Committed {
                commit_ts: Timestamp(9),
                by: Some(CommittedBy::TwoPhase),
            })),
        ),
        (CommitEnd::RolledBack(error(Code::TxnRolledBack)), Err(Code::TxnRolledBack)),
    ] {
        let mut bench = Bench::new();
        bench.call(&COMMIT);
        assert_eq!(bench.call(&COMMIT), [], "both wait");
        assert_eq!(answer(&bench.call(&STATUS), 3), Ok(Some(SessionPhase::Committing)));
        assert_eq!(answer(&bench.call(&ops()), 4), Err(Code::TxnExpired));
        let unknown = CommitEnd::Unknown(error(Code::TxnOutcomeUnknown));
        let out = bench.step(Input::CommitDone(unknown));
        assert_eq!(answer(&out, 1), Err(Code::TxnOutcomeUnknown));
        assert_eq!(answer(&out, 2), Err(Code::TxnOutcomeUnknown));
        assert_eq!(answer(&bench.call(&STATUS), 5), Ok(Some(SessionPhase::Unknown)));
        assert_eq!(answer(&bench.call(&COMMIT), 6), Err(Code::TxnOutcomeUnknown));
        assert_eq!(bench.pass(IDLE * 2), [], "it is not rolled back meanwhile");
        let out = bench.step(Input::CommitDone(end));
        assert!(is_over(&out));
        assert_eq!(answer(&bench.call(&COMMIT), 7), later);
    }
}

#[test]
fn a_commit_that_was_refused_answers_all_who_wait_and_says_why_again() {
    let mut bench = Bench::new();
    bench.call(&COMMIT);
    bench.call(&COMMIT);
    bench.call(&ROLLBACK);
    let out = bench.step(Input::CommitDone(CommitEnd::RolledBack(error(Code::WriteConflict))));
    assert_eq!(answer(&out, 1), Err(Code::WriteConflict));
    assert_eq!(answer(&out, 2), Err(Code::WriteConflict));
    assert_eq!(answer(&out, 3), ROLLED_BACK);
    assert_eq!(answer(&bench.call(&COMMIT), 4), Err(Code::WriteConflict));
}

#[test]
fn requests_beyond_a_bound_are_refused() {
    let mut bench = Bench::new();
    bench.call(&ops());
    let refused = (0..100)
        .filter(|_| {
            let out = bench.call(&ops());
            !out.is_empty() && answer(&out, bench.last) == Err(Code::ServerBusy)
        })
        .count();
    assert_eq!(refused, 100 - 16);
    let mut bench = Bench::new();
    bench.call(&COMMIT);
    let waits = (0..100).filter(|_| bench.call(&COMMIT).is_empty()).count();
    assert_eq!(waits, 16);
}

#[test]
fn only_the_latest_ends_are_remembered() {
    let mut log = EndedLog::new(2);
    let bench = Bench::new();
    let ended = |start_ts| {
        let mut state = bench.core.state(bench.now);
        state.id.start_ts = Timestamp(start_ts);
        state.phase = SessionPhase::RolledBack;
        Ended { state, why: None }
    };
    for start_ts in [1, 2, 2, 3] {
        log.push(ended(start_ts));
    }
    let id = |start_ts| TxnId { start_ts: Timestamp(start_ts), ..ID };
    let known: Vec<bool> = (1..=3).map(|start_ts| log.get(&id(start_ts)).is_some()).collect();
    assert_eq!(known, [false, true, true]);
}
