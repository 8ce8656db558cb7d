//! Latches, room and deadlines.
use super::*;

#[test]
fn commands_on_a_key_run_one_after_the_other_and_others_beside_them() {
    let mut script = Script::new();
    script.submit("a", commit(&["k", "l"], 1));
    script.submit("b", commit(&["l", "m"], 2));
    script.submit("c", commit(&["m"], 3));
    script.submit("d", commit(&["n"], 4));
    script.saw(&["run a", "run d"]);
    // c came behind b on m, though m itself is free.
    script.done("a", effects(1));
    script.saw(&["run b"]);
    script.no_effect("b");
    script.saw(&["run c"]);
    script.done("c", effects(3));
    script.done("d", effects(4));
    script.saw(&[]);
    assert_eq!(script.core.running(), 0);
}

/// All commands take all their slots at once, in the order of arrival: no two wait for each other.
#[test]
fn keys_in_any_order_are_no_deadlock() {
    let mut script = Script::new();
    script.submit("a", commit(&["k"], 1));
    script.submit("b", commit(&["l", "k"], 2));
    script.submit("c", commit(&["k", "l"], 3));
    script.saw(&["run a"]);
    script.done("a", effects(1));
    script.saw(&["run b"]);
    script.done("b", effects(2));
    script.saw(&["run c"]);
}

#[test]
fn a_key_named_twice_is_one_latch() {
    let mut script = Script::new();
    script.submit("a", commit(&["k", "k"], 1));
    script.saw(&["run a"]);
    script.done("a", effects(1));
    assert_eq!(script.core.running(), 0);
}

#[test]
fn who_queues_beyond_his_deadline_is_answered_then_and_never_runs() {
    let mut script = Script::new();
    script.submit("a", commit(&["k"], 1));
    script.submit_by("b", commit(&["k"], 2), ms(50));
    script.submit_by("c", commit(&["k"], 3), ms(500));
    script.saw(&["run a"]);
    assert_eq!(script.core.next_wake(), Some(ms(50)));
    script.wake_at(ms(49));
    script.saw(&[]);
    script.wake_at(ms(50));
    script.saw(&["answer b: too late"]);
    script.done("a", effects(1));
    script.saw(&["run c"]);
    script.done("c", effects(3));
    assert_eq!((script.core.running(), script.core.next_wake()), (0, None));
}

#[test]
fn who_comes_beyond_his_deadline_is_answered_at_once() {
    let mut script = Script::new();
    script.now = ms(100);
    script.submit_by("late", commit(&["k"], 1), ms(100));
    script.submit("next", commit(&["k"], 2));
    script.saw(&["answer late: too late", "run next"]);
}

#[test]
fn a_full_scheduler_refuses_and_takes_more_when_there_is_room() {
    let options = SchedulerOptions { commands: 2, ..SchedulerOptions::default() };
    let mut script = Script::with(options);
    script.submit("a", commit(&["k"], 1));
    script.submit("b", commit(&["k"], 2));
    script.submit("c", commit(&["l"], 3));
    script.saw(&["run a", "answer c: busy"]);
    script.no_effect("a");
    script.submit("d", commit(&["l"], 4));
    script.saw(&["run b", "run d"]);
}

#[test]
fn bytes_are_bounded_but_one_command_always_fits() {
    let options = SchedulerOptions { bytes: 1, ..SchedulerOptions::default() };
    let mut script = Script::with(options);
    script.submit("a", commit(&["k"], 1));
    script.submit("b", commit(&["l"], 2));
    script.saw(&["run a", "answer b: busy"]);
    script.done("a", effects(1));
    script.submit("c", commit(&["l"], 3));
    script.saw(&["run c"]);
}
