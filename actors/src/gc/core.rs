//! The steps of a round of collection. Pure: at most one question is under way, and its answer, or the
//! time, is the next input.
use crate::kv_service::txn::Walked;
use std::time::Duration;
use troupe_types::pd::{PdError, PdReply, PdRequest, PdResult};
use troupe_types::txn::gc::{GcPhase, GcRound, GcState};
use troupe_types::{KeyRange, Moment, Timestamp, UnixMillis};

/// Habits of the collector.
#[derive(Clone, Copy, Debug)]
pub struct GcOptions {
    /// Time from the end of a round to the begin of the next.
    pub interval: Duration,
    /// How long versions that a newer one hides stay.
    pub life_time: Duration,
    /// How long a Store trusts what it heard of the safe point. No Store may trust it for longer.
    pub trust: Duration,
    /// So many steps of the walk that removes ended values, each of some thousand records, in a round.
    pub sweep_steps: u32,
}

impl GcOptions {
    /// From the moment when a safe point is durable: until no Store trusts an older answer. Clocks of
    /// machines run within 10 % of each other.
    fn wait(&self) -> Duration {
        self.trust + self.trust / 4
    }
}

/// What happens to the collector.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time went on.
    Wake,
    /// To [`Output::Ask`].
    Answered(PdResult),
    /// To [`Output::Resolve`] or [`Output::Sweep`]: how far the walk is, or why it failed.
    Walked(Result<Walked, String>),
}

/// What the collector does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Ask the PD of this node. Answered by [`Input::Answered`].
    Ask(PdRequest),
    /// End transactions from before the safe point in the first part of the range. Answered by
    /// [`Input::Walked`].
    Resolve(KeyRange, Timestamp),
    /// Remove ended values in the first part of the range. Answered by [`Input::Walked`].
    Sweep(KeyRange),
    /// The round got on, or came to its end.
    Report(GcRound),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Until then.
    Idle(Moment),
    /// It asks for the time.
    Timing,
    /// It moves the transaction safe point.
    Moving,
    /// Until then.
    Waiting(Moment),
    /// What is left.
    Resolving(KeyRange),
    /// It moves the GC safe point.
    Releasing,
    /// How many steps are left in this round.
    Sweeping(u32),
}

/// See the module.
#[derive(Debug)]
pub struct GcCore {
    options: GcOptions,
    state: State,
    round: GcRound,
    /// Where the walk over values goes on, in this round or a later one.
    unswept: KeyRange,
}

impl GcCore {
    /// The first round begins after an interval.
    #[must_use]
    pub fn new(options: GcOptions, now: Moment) -> Self {
        Self {
            options,
            state: State::Idle(now.after(options.interval)),
            round: GcRound::default(),
            unswept: KeyRange::txn_space(),
        }
    }

    /// When it wants to be woken.
    #[must_use]
    pub fn next_wake(&self) -> Option<Moment> {
        match self.state {
            State::Idle(until) | State::Waiting(until) => Some(until),
            State::Timing
            | State::Moving
            | State::Resolving(_)
            | State::Releasing
            | State::Sweeping(_) => None,
        }
    }

    /// The newest round.
    #[must_use]
    pub fn round(&self) -> &GcRound {
        &self.round
    }

    /// Takes one input.
    pub fn step(&mut self, now: Moment, unix: UnixMillis, input: Input, out: &mut Vec<Output>) {
        let clock = (now, unix);
        match (self.state.clone(), input) {
            (State::Idle(until), Input::Wake) if now >= until => {
                self.state = State::Timing;
                out.push(Output::Ask(PdRequest::Timestamps { count: 1 }));
            }
            (State::Waiting(until), Input::Wake) if now >= until => {
                self.resolve(KeyRange::txn_space(), out);
            }
            (State::Timing | State::Moving | State::Releasing, Input::Answered(answer)) => {
                self.on_answer(clock, answer, out);
            }
            (State::Resolving(_), Input::Walked(Ok(walked))) => {
                self.round.locks_resolved += walked.done;
                match walked.rest {
                    Some(rest) => self.resolve(rest, out),
                    None => {
                        let target = self.round.safe_point;
                        self.enter(State::Releasing, GcPhase::Releasing, out);
                        out.push(Output::Ask(PdRequest::AdvanceGcSafePoint { target }));
                    }
                }
            }
            (State::Sweeping(steps), Input::Walked(Ok(walked))) => {
                self.round.values_removed += walked.done;
                let is_through = walked.rest.is_none();
                self.unswept = walked.rest.unwrap_or_else(KeyRange::txn_space);
                self.sweep(if is_through { 0 } else { steps - 1 }, clock, out);
            }
            (State::Resolving(_), Input::Walked(Err(why))) => self.fail(clock, why, out),
            (State::Sweeping(_), Input::Walked(Err(why))) => {
                // What cannot be looked at does not keep the rest from being looked at next time.
                self.unswept = KeyRange::txn_space();
                self.fail(clock, why, out);
            }
            // Woken early, or late: the state says when it is time.
            (_, Input::Wake) => {}
            (state, Input::Answered(_) | Input::Walked(_)) => {
                unreachable!("no question is open while it is {state:?}")
            }
        }
    }

    fn on_answer(&mut self, clock: (Moment, UnixMillis), answer: PdResult, out: &mut Vec<Output>) {
        match (self.state.clone(), answer) {
            // Another node's business.
            (State::Timing, Err(PdError::NotLeader { .. })) => {
                self.state = State::Idle(clock.0.after(self.options.interval));
            }
            (_, Err(error)) => self.fail(clock, error.to_string(), out),
            (State::Timing, Ok(PdReply::Timestamps { last, .. })) => self.begin(clock, last, out),
            (State::Moving, Ok(PdReply::Gc(state))) => self.on_moved(clock, &state, out),
            (State::Releasing, Ok(PdReply::Gc(_))) => {
                self.sweep(self.options.sweep_steps, clock, out);
            }
            (_, Ok(other)) => self.fail(clock, format!("PD answers {other:?}"), out),
        }
    }

    fn begin(&mut self, clock: (Moment, UnixMillis), now: Timestamp, out: &mut Vec<Output>) {
        self.round = GcRound {
            number: self.round.number + 1,
            safe_point: Timestamp::ZERO,
            locks_resolved: 0,
            values_removed: 0,
            began_at: clock.1,
            ..self.round.clone()
        };
        let life_ms = u64::try_from(self.options.life_time.as_millis()).unwrap_or(u64::MAX);
        let target = Timestamp::compose(now.physical_ms().saturating_sub(life_ms), 0);
        self.enter(State::Moving, GcPhase::Moving, out);
        out.push(Output::Ask(PdRequest::AdvanceTxnSafePoint { target }));
    }

    /// The transaction safe point is durable; it may be further than was asked for, or not as far.
    fn on_moved(&mut self, clock: (Moment, UnixMillis), state: &GcState, out: &mut Vec<Output>) {
        self.round.safe_point = state.txn_safe_point;
        if state.txn_safe_point == state.gc_safe_point {
            // A barrier holds it back, or the cluster is younger than its versions live.
            return self.sweep(self.options.sweep_steps, clock, out);
        }
        let until = clock.0.after(self.options.wait());
        self.enter(State::Waiting(until), GcPhase::Waiting, out);
    }

    fn resolve(&mut self, range: KeyRange, out: &mut Vec<Output>) {
        self.enter(State::Resolving(range.clone()), GcPhase::Resolving, out);
        out.push(Output::Resolve(range, self.round.safe_point));
    }

    fn sweep(&mut self, steps: u32, clock: (Moment, UnixMillis), out: &mut Vec<Output>) {
        if steps == 0 {
            self.round.finished_at = Some(clock.1);
            self.round.last_error = None;
            return self.rest(clock, out);
        }
        self.enter(State::Sweeping(steps), GcPhase::Sweeping, out);
        out.push(Output::Sweep(self.unswept.clone()));
    }

    fn fail(&mut self, clock: (Moment, UnixMillis), why: String, out: &mut Vec<Output>) {
        self.round.last_error = Some(why);
        self.rest(clock, out);
    }

    fn rest(&mut self, clock: (Moment, UnixMillis), out: &mut Vec<Output>) {
        let until = clock.0.after(self.options.interval);
        self.enter(State::Idle(until), GcPhase::Idle, out);
    }

    fn enter(&mut self, state: State, phase: GcPhase, out: &mut Vec<Output>) {
        self.state = state;
        self.round.phase = phase;
        out.push(Output::Report(self.round.clone()));
    }
}
