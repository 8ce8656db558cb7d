//! Lives, crashes and the end of a child, on one thread with paused time.
use super::core::Decision;
use super::{
    ChildHandle, ChildSpec, Policy, RestartPolicy, StartFailure, StormMeter, Verdict, supervise,
};
use crate::cell::tests::{Probe, Say, Seen, run, until};
use crate::cell::{Mailbox, Refused};
use crate::env::Env;
use crate::registry::{ActorEntry, ActorId, ActorState};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use troupe_types::{Generation, Moment};

/// How a child is built.
#[derive(Clone, Copy, PartialEq)]
enum Building {
    Works,
    Fails,
    FailsAtFirst,
    Panics,
    BreaksAtStart,
}

type Slot = Arc<Mutex<Option<Mailbox<Probe>>>>;

struct Spec {
    seen: Seen,
    slot: Slot,
    building: Building,
    env: Env,
    /// When each life was built.
    built: Arc<Mutex<Vec<Moment>>>,
}

impl Spec {
    fn failure(&self, why: &str, may_pass: bool) -> StartFailure {
        StartFailure { name: self.name(), why: why.to_owned(), may_pass }
    }
}

impl ChildSpec for Spec {
    type Actor = Probe;

    fn name(&self) -> String {
        "child".to_owned()
    }

    fn policy(&self) -> Policy {
        Policy::default()
    }

    fn build(&mut self, generation: Generation) -> Result<Probe, StartFailure> {
        self.built.lock().unwrap().push(self.env.now());
        self.seen.note(format!("life {generation}"));
        match self.building {
            Building::Works => Ok(Probe::new(&self.seen)),
            Building::Fails => Err(self.failure("no disk", false)),
            Building::FailsAtFirst if self.built.lock().unwrap().len() < 6 => {
                Err(self.failure("full disk", true))
            }
            Building::FailsAtFirst => Ok(Probe::new(&self.seen)),
            Building::Panics => panic!("planted in build"),
            Building::BreaksAtStart => {
                let mut probe = Probe::new(&self.seen);
                probe.breaks_at_start = true;
                Ok(probe)
            }
        }
    }

    fn install(&mut self, mailbox: &Mailbox<Probe>) {
        *self.slot.lock().unwrap() = Some(mailbox.clone());
    }

    fn fence(&mut self) {
        self.seen.note("fence");
    }

    fn crashed(&mut self, panic: &str) {
        self.seen.note(format!("crashed: {panic}"));
    }

    fn ended(&mut self, verdict: &Verdict) {
        self.seen.note(format!("{verdict:?}"));
    }
}

struct Child {
    seen: Seen,
    slot: Slot,
    handle: ChildHandle,
    built: Arc<Mutex<Vec<Moment>>>,
    entry: Arc<ActorEntry>,
}

impl Child {
    fn start(env: &Env, building: Building) -> Self {
        let (seen, slot, built) = (Seen::default(), Slot::default(), Arc::default());
        let spec = Spec {
            seen: seen.clone(),
            slot: slot.clone(),
            building,
            env: env.clone(),
            built: Arc::clone(&built),
        };
        let handle = supervise(env, ActorId(0), spec);
        let entry = env.registry.get(handle.id).unwrap();
        Self { seen, slot, handle, built, entry }
    }

    async fn running(env: &Env) -> Self {
        let child = Self::start(env, Building::Works);
        until("its first flush", || child.seen.has("flush")).await;
        child.seen.take();
        child
    }

    fn mailbox(&self) -> Mailbox<Probe> {
        self.slot.lock().unwrap().clone().unwrap()
    }

    fn tell(&self, word: &'static str) {
        assert!(self.mailbox().tell(Say(word)).is_ok());
    }
}

#[test]
fn a_panic_fences_first_drops_then_and_starts_a_new_life() {
    for (word, panic) in [
        ("break in handler", "planted in a handler"),
        ("break in flush", "planted in flush"),
        ("break in wake", "planted in wake"),
        ("break in future", "planted in a future"),
    ] {
        run(|env| async move {
            let child = Child::running(&env).await;
            child.tell(word);
            until("a new life", || child.seen.has("started")).await;
            let seen = child.seen.take();
            let end: Vec<_> = seen.iter().skip_while(|what| *what != "fence").take(5).collect();
            let crashed = format!("crashed: {panic}");
            assert_eq!(end, ["fence", "drop", crashed.as_str(), "life 2", "started"], "{seen:?}");
            assert_eq!(child.entry.restarts(), 1);
            assert_eq!(child.entry.generation(), Generation(2));
            assert_eq!(child.entry.state(), ActorState::Running);
            let records = env.registry.restarts();
            assert_eq!((records.len(), records[0].verdict), (1, "restart"));
            assert_eq!((records[0].generation, records[0].panic.as_str()), (Generation(1), panic));
            child.tell("alive");
            until("an answer of the new life", || child.seen.has("alive")).await;
        });
    }
}

#[test]
fn what_was_queued_is_not_handled_by_the_broken_struct() {
    run(|env| async move {
        let child = Child::running(&env).await;
        for word in ["break in handler", "queued"] {
            child.tell(word);
        }
        until("a new life", || child.seen.has("started")).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!child.seen.has("queued"));
        assert_eq!(child.entry.depth.load(std::sync::atomic::Ordering::SeqCst), 0);
    });
}

#[test]
fn the_fourth_crash_in_the_window_is_the_last() {
    run(|env| async move {
        let child = Child::start(&env, Building::BreaksAtStart);
        until("quarantine", || child.entry.state() == ActorState::Quarantined).await;
        let built = child.built.lock().unwrap().clone();
        assert_eq!(built.len(), 4);
        let waits: Vec<_> = built.windows(2).map(|w| w[1].since(w[0]).as_millis()).collect();
        for (wait, least) in waits.iter().zip([100, 200, 400]) {
            assert!((least..=least + least / 4 + 2).contains(wait), "{waits:?}");
        }
        let end = r#"Quarantined { reason: "planted in started" }"#;
        assert!(child.seen.has(end));
        assert_eq!(child.entry.restarts(), 3);
        let verdicts: Vec<_> = env.registry.restarts().iter().map(|r| r.verdict).collect();
        assert_eq!(verdicts, ["restart", "restart", "restart", "quarantine"]);
    });
}

#[test]
fn crashes_that_lie_far_apart_do_not_add_up() {
    run(|env| async move {
        let child = Child::running(&env).await;
        for life in 2..=8 {
            child.tell("break in handler");
            let started = format!("life {life}");
            until("a new life", || child.seen.has(&started)).await;
            tokio::time::sleep(Duration::from_secs(601)).await;
        }
        assert_eq!(child.entry.state(), ActorState::Running);
        assert_eq!(child.entry.restarts(), 7);
    });
}

#[test]
fn a_child_that_cannot_be_built_is_quarantined_at_once() {
    run(|env| async move {
        let child = Child::start(&env, Building::Fails);
        until("quarantine", || child.entry.state() == ActorState::Quarantined).await;
        assert_eq!(child.seen.take(), ["life 1", r#"Quarantined { reason: "no disk" }"#]);
    });
}

/// Found by the simulator: a replica that started while the disk was full was in quarantine for ever.
#[test]
fn a_child_that_waits_for_the_world_outside_is_built_until_it_works() {
    run(|env| async move {
        let child = Child::start(&env, Building::FailsAtFirst);
        until("running", || child.entry.state() == ActorState::Running).await;
        assert_eq!(child.entry.restarts(), 0, "no crash of its own");
    });
}

/// Durable state that cannot be read panics again at every start.
#[test]
fn a_child_whose_building_panics_is_quarantined_at_once() {
    run(|env| async move {
        let child = Child::start(&env, Building::Panics);
        until("quarantine", || child.entry.state() == ActorState::Quarantined).await;
        assert_eq!(child.seen.take(), ["life 1", r#"Quarantined { reason: "planted in build" }"#]);
    });
}

#[test]
fn a_stopped_child_handles_nothing_more_and_stays_down() {
    run(|env| async move {
        let child = Child::running(&env).await;
        child.tell("queued");
        child.handle.stop();
        until("its end", || child.seen.has("Stopped")).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(child.seen.take(), ["drop", "fence", "Stopped"]);
        assert_eq!(child.entry.state(), ActorState::Stopped);
        assert!(env.registry.get(child.entry.id).is_none());
        let refused = child.mailbox().tell(Say("late")).map_err(|(refused, _)| refused);
        assert_eq!(refused, Err(Refused::Down { kind: "probe" }));
    });
}

/// A child that is stopped before its first poll was started by actix while it was dropped.
#[test]
fn a_child_that_is_stopped_at_once_never_starts() {
    run(|env| async move {
        let child = Child::start(&env, Building::Works);
        child.handle.stop();
        until("its end", || child.seen.has("Stopped")).await;
        assert!(!child.seen.has("started"));
    });
}

#[test]
fn a_child_that_is_stopped_while_it_waits_is_not_started_again() {
    run(|env| async move {
        let child = Child::running(&env).await;
        child.tell("break in handler");
        until("the crash", || child.entry.state() == ActorState::BackingOff).await;
        child.handle.stop();
        until("its end", || child.seen.has("Stopped")).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!child.seen.has("life 2"));
    });
}

#[test]
fn a_power_cut_ends_everything_as_it_stands() {
    run(|env| async move {
        let child = Child::running(&env).await;
        child.tell("queued");
        env.power.cut();
        until("its end", || child.seen.has("drop")).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(child.seen.take(), ["drop"]);
    });
}

/// A handle of an earlier life took messages that nobody would ever see, and each of them stood in
/// the depth of the new life for ever.
#[test]
fn the_mailbox_of_an_earlier_life_takes_nothing() {
    run(|env| async move {
        let child = Child::running(&env).await;
        let earlier = child.mailbox();
        child.tell("break in handler");
        until("a new life", || child.seen.has("started")).await;
        let refused = earlier.tell(Say("late")).map_err(|(refused, _)| refused);
        assert_eq!(refused, Err(Refused::Down { kind: "probe" }));
        assert_eq!(child.entry.depth.load(std::sync::atomic::Ordering::SeqCst), 0);
    });
}

fn second(n: u64) -> Moment {
    Moment(0).after(Duration::from_secs(n))
}

#[test]
fn waits_double_up_to_their_limit_and_crashes_are_forgotten() {
    let policy = Policy {
        restarts: 5,
        window: Duration::from_secs(100),
        backoff_min: Duration::from_secs(1),
        backoff_max: Duration::from_secs(6),
    };
    let mut crashes = RestartPolicy::new(policy);
    let after = |secs| Decision::RestartAfter(Duration::from_secs(secs));
    let table = [
        (0, after(1)),
        (10, after(2)),
        (20, after(4)),
        (30, after(6)),
        (40, after(6)),
        (100, Decision::GiveUp),
        (241, after(1)),
    ];
    for (at, decision) in table {
        assert_eq!(crashes.on_crash(second(at), 0), decision, "at {at} s");
    }
    let spread = Duration::from_millis(2499);
    let jitter = u64::try_from(spread.as_nanos()).unwrap() % 500_000_000;
    let expected = Decision::RestartAfter(Duration::from_secs(2) + Duration::from_nanos(jitter));
    let jitter = u64::try_from(spread.as_nanos()).unwrap();
    assert_eq!(crashes.on_crash(second(242), jitter), expected, "by a quarter at most");
}

#[test]
fn a_storm_is_more_than_the_minimum_and_more_than_one_in_a_hundred() {
    let minute = Duration::from_secs(60);
    for (children, calm) in [(10, 5), (500, 5), (2000, 20)] {
        let mut storm = StormMeter::new(5, minute);
        for n in 0..calm {
            assert!(!storm.on_crash(second(n), children), "crash {n} of {children}");
        }
        assert!(storm.on_crash(second(calm), children));
    }
    let mut slow = StormMeter::new(2, minute);
    assert!((0..50).all(|n| !slow.on_crash(second(31 * n), 10)), "two a minute are no storm");
}
