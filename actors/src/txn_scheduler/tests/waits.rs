//! Waiting for others' locks.
use super::*;
use troupe_types::Peer;
use troupe_types::txn::deadlock::WaitEdge;

/// A script in which `names` wait for the lock of transaction 1 on `k`, each as the transaction with
/// its number.
fn waiting(names: &[(&'static str, u64)]) -> Script {
    let mut script = Script::new();
    for (name, start_ts) in names {
        script.submit(name, lock(&["k"], *start_ts, Some(1000)));
        script.blocked(name, lock_on("k", 1));
    }
    script.lines.clear();
    script
}

#[test]
fn who_waits_holds_no_latch_and_runs_when_the_lock_is_released() {
    let mut script = Script::new();
    script.submit("wait", lock(&["k"], 5, Some(1000)));
    script.blocked("wait", lock_on("k", 1));
    script.saw(&["run wait", "5 waits for 1"]);
    script.submit("commit", commit(&["k"], 1));
    script.saw(&["run commit"]);
    script.done("commit", releasing(&["k"], 1));
    script.saw(&["5 waited for 1", "run wait"]);
    script.done("wait", locking(&["k"], 5));
    assert!(script.core.waits().is_empty());
    script.saw(&[]);
}

#[test]
fn the_oldest_transaction_is_woken_and_the_others_wait_for_it_then() {
    let mut script = waiting(&[("c", 9), ("a", 3), ("b", 6)]);
    script.submit("commit", commit(&["k"], 1));
    script.done("commit", releasing(&["k"], 1));
    script.saw(&["run commit", "3 waited for 1", "run a"]);
    script.done("a", locking(&["k"], 3));
    script.saw(&["6 waited for 1", "6 waits for 3", "9 waited for 1", "9 waits for 3"]);
}

/// A woken command that ends without the lock must not let the others wait for nobody.
#[test]
fn the_next_is_woken_when_the_woken_one_does_not_take_the_lock() {
    let mut script = waiting(&[("a", 3), ("b", 6), ("c", 9)]);
    script.submit("commit", commit(&["k"], 1));
    script.done("commit", releasing(&["k"], 1));
    script.lines.clear();
    // A conflict, for example.
    script.done("a", effects(3));
    script.saw(&["6 waited for 1", "run b"]);
    // Another key is locked.
    script.blocked("b", lock_on("m", 2));
    script.saw(&["9 waited for 1", "6 waits for 2", "run c"]);
    // Somebody was faster.
    script.blocked("c", lock_on("k", 8));
    script.saw(&["9 waits for 8"]);
    assert_eq!(script.core.waits().len(), 2);
}

#[test]
fn a_woken_one_that_is_too_late_passes_its_turn_on() {
    let mut script = Script::new();
    for (name, start_ts, deadline) in [("a", 3, ms(60)), ("b", 6, ms(900))] {
        script.submit_by(name, lock(&["k"], start_ts, Some(1000)), deadline);
        script.blocked(name, lock_on("k", 1));
    }
    script.submit("first", commit(&["k"], 1));
    script.submit("second", commit(&["k"], 2));
    script.done("first", releasing(&["k"], 1));
    script.lines.clear();
    // a stands behind `second` in the latches now.
    script.wake_at(ms(60));
    script.saw(&["answer a: too late"]);
    script.done("second", effects(2));
    script.saw(&["6 waited for 1", "run b"]);
}

#[test]
fn a_wait_ends_after_its_time_and_that_does_not_begin_anew() {
    let mut script = waiting(&[("a", 3)]);
    assert_eq!(script.core.next_wake(), Some(ms(1001)));
    script.now = ms(400);
    script.submit("commit", commit(&["k"], 1));
    script.done("commit", releasing(&["k"], 1));
    script.blocked("a", lock_on("k", 2));
    script.lines.clear();
    script.wake_at(ms(1000));
    script.saw(&[]);
    script.wake_at(ms(1001));
    script.saw(&["3 waited for 2", "answer a: locked by 2"]);
    assert!(script.core.waits().is_empty());
}

#[test]
fn a_wait_ends_with_the_deadline_too() {
    let mut script = Script::new();
    script.submit_by("a", lock(&["k"], 3, Some(60_000)), ms(70));
    script.blocked("a", lock_on("k", 1));
    script.lines.clear();
    script.wake_at(ms(70));
    script.saw(&["3 waited for 1", "answer a: locked by 1"]);
}

#[test]
fn who_does_not_wait_is_answered_at_once() {
    for wait in [None, Some(0)] {
        let mut script = Script::new();
        script.submit("a", lock(&["k"], 3, wait));
        script.blocked("a", lock_on("k", 1));
        script.saw(&["run a", "answer a: locked by 1"]);
    }
}

fn edge(waiter: u64, holder: u64) -> WaitEdge {
    WaitEdge { waiter: Timestamp(waiter), holder: Timestamp(holder), key: key("k") }
}

#[test]
fn a_deadlock_ends_the_wait_unless_it_is_another_one_by_now() {
    let mut script = waiting(&[("a", 3)]);
    let id = script.core.waits().iter().next().unwrap().0;
    let judged = |holder| {
        let cycle = vec![edge(3, holder), edge(holder, 3)];
        Input::WaitJudged { id, edge: edge(3, holder), cycle }
    };
    script.step(judged(2));
    script.saw(&[]);
    script.step(judged(1));
    script.saw(&["3 waited for 1", "answer a: deadlock of 2"]);
    script.step(judged(1));
    script.saw(&[]);
}

#[test]
fn waits_are_told_again_every_second() {
    let mut script = Script::new();
    script.submit("a", lock(&["k"], 3, Some(10_000)));
    script.blocked("a", lock_on("k", 1));
    script.lines.clear();
    for second in 1..=2 {
        script.wake_at(ms(1 + 1000 * second));
        script.saw(&["3 waits for 1", "check [7]"]);
    }
}

#[test]
fn who_waits_at_a_leader_that_is_none_any_more_is_sent_on() {
    let mut script = waiting(&[("a", 3), ("b", 6)]);
    let leader = Some(Peer::voter(troupe_types::PeerId(9), troupe_types::StoreId(2)));
    script.step(Input::LeadLost { region: RegionId(8), leader });
    script.saw(&[]);
    script.step(Input::LeadLost { region: REGION, leader });
    script.saw(&[
        "3 waited for 1",
        "answer a: not the leader",
        "6 waited for 1",
        "answer b: not the leader",
    ]);
}
