//! The shell around actors, on one thread with paused time.
use super::{Acts, Cx, Delivery, Mailbox, Message, On, Port, Refused, ReplyTo};
use crate::env::{CellOptions, Clock, Env};
use crate::real_env::real_env;
use crate::registry::{ActorId, ActorState};
use crate::supervision::start_essential;
use crate::trace;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use troupe_types::trace::TRACE_HOPS;
use troupe_types::{Moment, TraceTags, UnixMillis};

/// Tokio's clock, which tests move.
struct PausedClock(tokio::time::Instant);

impl Clock for PausedClock {
    fn now(&self) -> Moment {
        Moment(1_000_000_000).after(self.0.elapsed())
    }

    fn unix(&self) -> UnixMillis {
        UnixMillis(u64::try_from(self.0.elapsed().as_millis()).unwrap())
    }
}

/// Runs `test` in an actor system whose time stands still while anything can run.
pub(crate) fn run<F: Future<Output = ()>>(test: impl FnOnce(Env) -> F) {
    run_with(CellOptions::default(), test);
}

pub(crate) fn run_with<F: Future<Output = ()>>(cells: CellOptions, test: impl FnOnce(Env) -> F) {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    actix::System::with_tokio_rt(runtime).block_on(async {
        let mut env = real_env(cells, 100);
        env.clock = Arc::new(PausedClock(tokio::time::Instant::now()));
        test(env).await;
    });
}

/// Waits until `holds`, at most for a minute of the paused clock.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..60_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("in a minute it did not come to this: {what}");
}

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    pub(crate) fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    pub(crate) fn has(&self, what: &str) -> bool {
        self.0.lock().unwrap().iter().any(|one| one == what)
    }
}

/// Does what it is told, and notes everything.
pub(crate) struct Probe {
    pub(crate) seen: Seen,
    pub(crate) relay: Option<Port<Say>>,
    pub(crate) breaks_at_start: bool,
    breaks_flush: bool,
}

impl Probe {
    pub(crate) fn new(seen: &Seen) -> Self {
        Self { seen: seen.clone(), relay: None, breaks_at_start: false, breaks_flush: false }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.seen.note("drop");
    }
}

pub(crate) struct Say(pub(crate) &'static str);

impl Message for Say {
    const NAME: &'static str = "Say";
    const DELIVERY: Delivery = Delivery::Must;

    fn bytes(&self) -> usize {
        self.0.len()
    }
}

struct Poke;

impl Message for Poke {
    const NAME: &'static str = "Poke";
    const DELIVERY: Delivery = Delivery::Droppable;
}

pub(crate) struct Question {
    pub(crate) reply: ReplyTo<&'static str>,
}

impl Message for Question {
    const NAME: &'static str = "Question";
    const DELIVERY: Delivery = Delivery::Ask;

    fn expire(self) {
        self.reply.send("expired");
    }
}

impl Acts for Probe {
    const KIND: &'static str = "probe";

    fn started(&mut self, _cx: &mut Cx<'_, Self>) {
        self.seen.note("started");
        assert!(!self.breaks_at_start, "planted in started");
    }

    fn flush(&mut self, _cx: &mut Cx<'_, Self>) {
        self.seen.note("flush");
        assert!(!self.breaks_flush, "planted in flush");
    }

    fn wake(&mut self, token: u64, _cx: &mut Cx<'_, Self>) {
        self.seen.note(format!("wake {token}"));
        assert!(token != 13, "planted in wake");
    }
}

impl On<Say> for Probe {
    fn on(&mut self, message: Say, cx: &mut Cx<'_, Self>) {
        self.seen.note(message.0);
        for tag in trace::current().tags.tags() {
            self.seen.note(format!("trace {} with {} hops left", tag.id, tag.hops_left));
        }
        match message.0 {
            "break in handler" => panic!("planted in a handler"),
            "break in flush" => self.breaks_flush = true,
            "break in wake" => cx.wake_after(Duration::from_millis(1), 13),
            "break in future" => {
                cx.spawn(async { panic!("planted in a future") }, |_, (), _| {});
            }
            "wake" => cx.wake_after(Duration::from_millis(10), 7),
            "relay" => {
                let told = self.relay.as_ref().map(|port| port.tell(Say("relayed")).is_ok());
                assert_eq!(told, Some(true));
            }
            _ => {}
        }
    }
}

impl On<Poke> for Probe {
    fn on(&mut self, _: Poke, _cx: &mut Cx<'_, Self>) {
        self.seen.note("poke");
    }
}

impl On<Question> for Probe {
    fn on(&mut self, message: Question, _cx: &mut Cx<'_, Self>) {
        self.seen.note("question");
        message.reply.send("answer");
    }
}

/// A running probe that has nothing left to do.
async fn idle(env: &Env, name: &str, seen: &Seen) -> Mailbox<Probe> {
    let probe = Probe::new(seen);
    let mailbox = start_essential(env, ActorId(0), name.to_owned(), |_| probe);
    until("its first flush", || seen.has("flush")).await;
    seen.take();
    mailbox
}

fn question() -> (Question, tokio::sync::oneshot::Receiver<&'static str>) {
    let (reply, answer) = ReplyTo::channel();
    (Question { reply }, answer)
}

#[test]
fn flush_runs_once_behind_a_burst() {
    run(|env| async move {
        let seen = Seen::default();
        let probe = idle(&env, "probe", &seen).await;
        for word in ["a", "b", "c"] {
            assert!(probe.tell(Say(word)).is_ok());
        }
        until("a flush", || seen.has("flush")).await;
        assert!(probe.tell(Say("d")).is_ok());
        until("the next message", || seen.has("d")).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(seen.take(), ["a", "b", "c", "flush", "d", "flush"]);
    });
}

#[test]
fn a_full_mailbox_takes_what_must_arrive_and_nothing_else() {
    let cells = CellOptions { mailbox_messages: 3, ..CellOptions::default() };
    run_with(cells, |env| async move {
        let seen = Seen::default();
        let probe = idle(&env, "probe", &seen).await;
        let full = Refused::Full { kind: "probe", depth: 3 };
        for word in ["a", "b", "c"] {
            assert!(probe.tell(Say(word)).is_ok());
        }
        assert_eq!(probe.tell(Poke).map_err(|(refused, _)| refused), Err(full));
        assert_eq!(probe.tell(question().0).map_err(|(refused, _)| refused), Err(full));
        assert!(probe.tell(Say("d")).is_ok());
        let entry = probe.entry();
        let count =
            |of: &std::sync::atomic::AtomicU64| of.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!((count(&entry.dropped), count(&entry.refused)), (1, 1));
        assert_eq!(entry.depth.load(std::sync::atomic::Ordering::SeqCst), 4);
        until("the last message", || seen.has("d")).await;
        assert_eq!(entry.depth.load(std::sync::atomic::Ordering::SeqCst), 0);
        assert_eq!(entry.bytes.load(std::sync::atomic::Ordering::SeqCst), 0);
        assert!(probe.tell(Poke).is_ok(), "there is room again");
        until("the poke", || seen.has("poke")).await;
    });
}

#[test]
fn a_mailbox_is_full_by_bytes_too() {
    let cells = CellOptions { mailbox_bytes: 10, ..CellOptions::default() };
    run_with(cells, |env| async move {
        let seen = Seen::default();
        let probe = idle(&env, "probe", &seen).await;
        assert!(probe.tell(Say("0123456789")).is_ok());
        assert!(probe.tell(Poke).is_ok(), "it holds no bytes");
        assert!(probe.tell(Say("0123456789")).is_ok(), "it must arrive");
        assert!(probe.tell(Poke).is_err());
    });
}

#[test]
fn a_request_whose_deadline_passed_in_the_mailbox_is_not_handled() {
    run(|env| async move {
        let seen = Seen::default();
        let probe = idle(&env, "probe", &seen).await;
        let (late, late_answer) = question();
        let (early, early_answer) = question();
        let now = env.now();
        assert!(probe.tell_by(late, now).is_ok());
        assert!(probe.tell_by(early, now.after(Duration::from_millis(1))).is_ok());
        assert_eq!(late_answer.await, Ok("expired"));
        assert_eq!(early_answer.await, Ok("answer"));
        assert_eq!(seen.take().iter().filter(|what| *what == "question").count(), 1);
    });
}

#[test]
fn traces_ride_along_with_one_hop_less_and_leave_spans() {
    run(|env| async move {
        let (seen_a, seen_b) = (Seen::default(), Seen::default());
        let b = idle(&env, "b", &seen_b).await;
        let mut probe = Probe::new(&seen_a);
        probe.relay = Some(b.port::<Say>());
        let a = start_essential(&env, ActorId(0), "a".to_owned(), |_| probe);
        trace::with_tags(TraceTags::start(9), || assert!(a.tell(Say("relay")).is_ok()));
        until("the second message", || seen_b.has("relayed")).await;
        let hops = |left: u8| format!("trace 9 with {left} hops left");
        assert!(seen_a.has(&hops(TRACE_HOPS - 1)));
        assert!(seen_b.has(&hops(TRACE_HOPS - 2)));
        let spans = env.traces.trace(9);
        let lines: Vec<_> =
            spans.iter().map(|s| (s.from.as_str(), s.to.as_str(), s.message)).collect();
        assert_eq!(lines, [("gateway", "a", "Say"), ("a", "b", "Say")]);
        // What is sent outside of a trace leaves nothing.
        assert!(b.tell(Say("plain")).is_ok());
        until("the plain message", || seen_b.has("plain")).await;
        assert_eq!(env.traces.all().len(), 2);
    });
}

#[test]
fn a_hot_actor_lets_others_of_its_arbiter_work() {
    let cells = CellOptions { yield_after_messages: 8, ..CellOptions::default() };
    run_with(cells, |env| async move {
        let (hot_seen, seen) = (Seen::default(), Seen::default());
        let hot = idle(&env, "hot", &hot_seen).await;
        let calm = idle(&env, "calm", &seen).await;
        for _ in 0..10_000 {
            assert!(hot.tell(Say("x")).is_ok());
        }
        assert!(calm.tell(Say("hello")).is_ok());
        while !seen.has("hello") {
            tokio::task::yield_now().await;
        }
        let done = hot_seen.take().len();
        assert!(done < 100, "{done} messages came first");
        until("the rest", || hot.entry().depth.load(std::sync::atomic::Ordering::SeqCst) == 0)
            .await;
    });
}

#[test]
fn a_timer_wakes_with_its_token_when_its_time_has_come() {
    run(|env| async move {
        let seen = Seen::default();
        let probe = idle(&env, "probe", &seen).await;
        let asked = env.now();
        assert!(probe.tell(Say("wake")).is_ok());
        until("the wake", || seen.has("wake 7")).await;
        let waited = env.now().since(asked);
        assert!(waited >= Duration::from_millis(10) && waited <= Duration::from_millis(13));
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert_eq!(seen.take(), ["wake", "flush", "wake 7", "flush"]);
    });
}

#[test]
fn an_actor_that_is_down_takes_nothing() {
    run(|env| async move {
        let seen = Seen::default();
        let probe = idle(&env, "probe", &seen).await;
        let down = Err(Refused::Down { kind: "probe" });
        for state in [ActorState::BackingOff, ActorState::Quarantined, ActorState::Stopped] {
            probe.entry().set_state(state);
            assert_eq!(probe.tell(Say("a")).map_err(|(refused, _)| refused), down);
        }
    });
}

#[test]
fn the_recorder_keeps_the_last_inputs() {
    let cells = CellOptions { recorder_inputs: 3, ..CellOptions::default() };
    run_with(cells, |env| async move {
        let seen = Seen::default();
        let probe = idle(&env, "probe", &seen).await;
        for word in ["a", "b"] {
            assert!(probe.tell(Say(word)).is_ok());
        }
        assert!(probe.tell(Poke).is_ok());
        until("the flush", || seen.has("flush")).await;
        let lines = probe.entry().recorder.lines();
        let kinds: Vec<_> = lines.iter().map(|line| line.contains("life 1")).collect();
        assert_eq!(kinds, [true; 3], "{lines:?}");
        for (line, kind) in lines.iter().zip(["Say", "Poke", "flush"]) {
            assert!(line.contains(kind), "{lines:?}");
        }
    });
}
