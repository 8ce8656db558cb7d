//! The steps of a round, and what becomes of one that fails.
use super::core::{GcCore, GcOptions, Input, Output};
use crate::kv_service::txn::Walked;
use std::time::Duration;
use troupe_types::key::txn_key;
use troupe_types::pd::{PdError, PdReply, PdRequest};
use troupe_types::txn::gc::{GcPhase, GcState};
use troupe_types::{KeyRange, Moment, Timestamp, UnixMillis};

const SECOND: Duration = Duration::from_secs(1);
const LIFE: Duration = Duration::from_secs(600);
/// When the first timestamp is given, in milliseconds.
const BEGIN_MS: u64 = 1_000_000;

/// A collector, and what PD would answer it.
struct World {
    core: GcCore,
    now: Moment,
    pd: GcState,
    leads: bool,
    /// Bound by barriers.
    barrier: Timestamp,
}

impl World {
    fn new(sweep_steps: u32) -> Self {
        let now = Moment(0).after(100 * SECOND);
        let (interval, trust) = (60 * SECOND, 60 * SECOND);
        let options = GcOptions { interval, life_time: LIFE, trust, sweep_steps };
        Self {
            core: GcCore::new(options, now),
            now,
            pd: GcState::default(),
            leads: true,
            barrier: Timestamp::MAX,
        }
    }

    fn millis(&self) -> u64 {
        let since = self.now.since(Moment(0).after(100 * SECOND));
        BEGIN_MS + u64::try_from(since.as_millis()).unwrap()
    }

    /// Gives an input; answers what it does, without reports.
    fn step(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.core.step(self.now, UnixMillis(self.millis()), input, &mut out);
        out.retain(|output| !matches!(output, Output::Report(_)));
        out
    }

    fn after(&mut self, wait: Duration) -> Vec<Output> {
        self.now = self.now.after(wait);
        self.step(Input::Wake)
    }

    /// Answers as PD would.
    fn answer(&mut self, request: PdRequest) -> Vec<Output> {
        let result = match request {
            _ if !self.leads => Err(PdError::NotLeader { leader: None }),
            PdRequest::Timestamps { count: 1 } => {
                let last = Timestamp::compose(self.millis(), 3);
                Ok(PdReply::Timestamps { last, count: 1 })
            }
            PdRequest::AdvanceTxnSafePoint { target } => {
                let reached = target.min(self.barrier);
                self.pd.txn_safe_point = self.pd.txn_safe_point.max(reached);
                Ok(PdReply::Gc(self.pd.clone()))
            }
            PdRequest::AdvanceGcSafePoint { target } => {
                assert!(target <= self.pd.txn_safe_point, "nothing served is collected");
                self.pd.gc_safe_point = self.pd.gc_safe_point.max(target);
                Ok(PdReply::Gc(self.pd.clone()))
            }
            other => panic!("not a question of a collector: {other:?}"),
        };
        self.step(Input::Answered(result))
    }

    /// Wakes it after `wait` and answers PD's part until it does something else.
    fn run(&mut self, wait: Duration) -> Vec<Output> {
        let mut out = self.after(wait);
        while let [Output::Ask(request)] = &out[..] {
            out = self.answer(request.clone());
        }
        out
    }

    fn walked(&mut self, done: u64, rest: Option<KeyRange>) -> Vec<Output> {
        let mut out = self.step(Input::Walked(Ok(Walked { done, rest })));
        while let [Output::Ask(request)] = &out[..] {
            out = self.answer(request.clone());
        }
        out
    }
}

fn rest_from(key: &str) -> KeyRange {
    KeyRange::new(txn_key(0, key.as_bytes()), KeyRange::txn_space().end)
}

#[test]
fn a_round_moves_waits_resolves_and_releases() {
    let mut world = World::new(0);
    assert_eq!(world.after(59 * SECOND), [], "it is not time yet");
    assert_eq!(world.run(SECOND), [], "it waits");
    let safe_point = Timestamp::compose(BEGIN_MS + 60_000 - 600_000, 0);
    assert_eq!(world.pd.txn_safe_point, safe_point);
    assert_eq!(world.core.round().phase, GcPhase::Waiting);
    assert_eq!(world.after(74 * SECOND), [], "a Store may trust what it heard before");
    let all = KeyRange::txn_space();
    assert_eq!(world.after(SECOND), [Output::Resolve(all, safe_point)]);
    let rest = rest_from("m");
    assert_eq!(world.walked(256, Some(rest.clone())), [Output::Resolve(rest, safe_point)]);
    assert_eq!(world.pd.gc_safe_point, Timestamp::ZERO, "locks may be left");
    assert_eq!(world.walked(1, None), []);
    assert_eq!(world.pd.gc_safe_point, safe_point);
    let round = world.core.round().clone();
    assert_eq!((round.number, round.phase, round.locks_resolved), (1, GcPhase::Idle, 257));
    assert_eq!((round.finished_at.is_some(), round.last_error), (true, None));
    assert_eq!(world.run(59 * SECOND), []);
    assert_eq!(world.core.round().number, 1);
    world.run(SECOND);
    assert_eq!(world.core.round().number, 2);
}

#[test]
fn only_the_collector_beside_the_leader_of_pd_works() {
    let mut world = World::new(1);
    world.leads = false;
    assert_eq!(world.run(60 * SECOND), []);
    assert_eq!(world.core.round().number, 0, "that is no round that failed");
    assert_eq!(world.pd, GcState::default());
    world.leads = true;
    world.run(60 * SECOND);
    assert_eq!(world.core.round().phase, GcPhase::Waiting);
}

#[test]
fn a_lead_lost_in_any_phase_ends_the_round_and_no_safe_point_goes_back() {
    for phase in [GcPhase::Moving, GcPhase::Resolving, GcPhase::Releasing] {
        let mut world = World::new(0);
        let mut out = world.after(60 * SECOND);
        let Output::Ask(time) = out.remove(0) else { panic!("it asks for the time") };
        let mut out = world.answer(time);
        if phase != GcPhase::Moving {
            let Output::Ask(moves) = out.remove(0) else { panic!("it moves the safe point") };
            world.answer(moves);
            assert_eq!(world.after(75 * SECOND).len(), 1, "it resolves");
        }
        let before = world.pd.clone();
        world.leads = false;
        match phase {
            GcPhase::Moving => {
                let Output::Ask(moves) = out.remove(0) else { panic!("it moves the safe point") };
                assert_eq!(world.answer(moves), []);
            }
            GcPhase::Resolving => {
                assert_eq!(world.step(Input::Walked(Err("a Region is away".to_owned()))), []);
            }
            _ => assert_eq!(world.walked(0, None), []),
        }
        assert_eq!(world.core.round().phase, GcPhase::Idle, "{phase:?}");
        assert!(world.core.round().last_error.is_some(), "{phase:?}");
        assert_eq!(world.pd, before, "{phase:?}");
        // Elsewhere a collector has gone on meanwhile; then the lead comes back.
        let elsewhere = Timestamp::compose(BEGIN_MS, 0);
        world.pd =
            GcState { txn_safe_point: elsewhere, gc_safe_point: elsewhere, ..GcState::default() };
        world.leads = true;
        assert_eq!(world.run(60 * SECOND), [], "there is nothing to do");
        assert_eq!(world.pd.gc_safe_point, elsewhere);
        assert_eq!(world.core.round().last_error, None, "a round came to its end");
    }
}

#[test]
fn a_round_after_a_failure_waits_and_resolves_from_the_start() {
    let mut world = World::new(0);
    world.run(60 * SECOND);
    world.after(75 * SECOND);
    let first = world.pd.txn_safe_point;
    assert_eq!(world.walked(5, Some(rest_from("m"))).len(), 1);
    assert_eq!(world.step(Input::Walked(Err("a Region is away".to_owned()))), []);
    assert_eq!(world.core.round().last_error.as_deref(), Some("a Region is away"));
    assert_eq!(world.run(60 * SECOND), []);
    assert!(world.pd.txn_safe_point > first);
    assert_eq!(world.core.round().locks_resolved, 0);
    let resolves = Output::Resolve(KeyRange::txn_space(), world.pd.txn_safe_point);
    assert_eq!(world.after(75 * SECOND), [resolves]);
    world.walked(0, None);
    assert_eq!(world.pd.gc_safe_point, world.pd.txn_safe_point);
    assert_eq!(world.core.round().last_error, None);
}

#[test]
fn behind_a_barrier_there_is_nothing_to_wait_for() {
    let mut world = World::new(1);
    let barrier = Timestamp::compose(BEGIN_MS - 700_000, 0);
    world.barrier = barrier;
    world.pd.txn_safe_point = barrier;
    world.pd.gc_safe_point = barrier;
    assert_eq!(world.run(60 * SECOND), [Output::Sweep(KeyRange::txn_space())]);
    world.barrier = Timestamp::MAX;
    world.walked(0, None);
    assert_eq!(world.run(60 * SECOND), []);
    assert_eq!(world.core.round().phase, GcPhase::Waiting);
}

#[test]
fn a_safe_point_that_was_moved_by_hand_is_followed() {
    let mut world = World::new(0);
    let by_hand = Timestamp::compose(BEGIN_MS - 1000, 0);
    world.pd.txn_safe_point = by_hand;
    world.run(60 * SECOND);
    assert_eq!(world.after(75 * SECOND), [Output::Resolve(KeyRange::txn_space(), by_hand)]);
    world.walked(0, None);
    assert_eq!(world.pd.gc_safe_point, by_hand);
}

#[test]
fn the_walk_over_values_goes_on_where_the_last_round_stopped() {
    let mut world = World::new(2);
    world.barrier = Timestamp::ZERO;
    assert_eq!(world.run(60 * SECOND), [Output::Sweep(KeyRange::txn_space())]);
    assert_eq!(world.walked(3, Some(rest_from("f"))), [Output::Sweep(rest_from("f"))]);
    assert_eq!(world.walked(4, Some(rest_from("m"))), [], "enough in this round");
    assert_eq!(world.core.round().values_removed, 7);
    assert_eq!(world.run(60 * SECOND), [Output::Sweep(rest_from("m"))]);
    assert_eq!(world.walked(0, None), [], "once through is enough in a round");
    assert_eq!(world.run(60 * SECOND), [Output::Sweep(KeyRange::txn_space())]);
    assert_eq!(world.step(Input::Walked(Err("busy".to_owned()))), []);
    assert_eq!(world.core.round().last_error.as_deref(), Some("busy"));
    assert_eq!(world.run(60 * SECOND), [Output::Sweep(KeyRange::txn_space())]);
}
