//! Pessimistic locks in memory.
use super::*;
use crate::txn_scheduler::core::memory_locks::MemoryLocks;
use troupe_storage::mvcc::Lock;

fn held(start_ts: u64) -> Lock {
    Lock {
        kind: LockKind::Pessimistic,
        primary: key("p"),
        start_ts: Timestamp(start_ts),
        ttl_ms: 3000,
        short_value: None,
        expires_at: None,
        for_update_ts: Timestamp(start_ts),
        txn_size: 1,
        min_commit_ts: Timestamp(0),
        use_async_commit: false,
        secondaries: Vec::new(),
        rollbacks: Vec::new(),
        generation: 0,
        locked_with_conflict: false,
    }
}

fn starts(locks: &MemoryLocks, names: &[&str]) -> (Term, Vec<u64>) {
    let (term, found) = locks.view(REGION, &keys(names));
    (term, found.values().map(|lock| lock.start_ts.get()).collect())
}

#[test]
fn locks_hold_in_their_term_and_are_lost_with_it() {
    let mut locks = MemoryLocks::new(1 << 20, 1 << 20);
    locks.remember(REGION, TERM, vec![(key("a"), held(1)), (key("b"), held(2))]);
    assert_eq!(starts(&locks, &["a", "b", "c"]), (TERM, vec![1, 2]));
    // What was decided in a term that is over comes too late.
    locks.remember(REGION, Term(5), vec![(key("c"), held(3))]);
    locks.forget(REGION, Term(5), &keys(&["a"]));
    assert_eq!(starts(&locks, &["a", "b", "c"]), (TERM, vec![1, 2]));
    locks.forget(REGION, TERM, &keys(&["a"]));
    assert_eq!(starts(&locks, &["a", "b"]), (TERM, vec![2]));
    locks.remember(REGION, Term(7), vec![(key("c"), held(3))]);
    assert_eq!(starts(&locks, &["a", "b", "c"]), (Term(7), vec![3]));
    locks.enter_term(REGION, Term(8));
    assert_eq!(locks.bytes(), 0);
}

#[test]
fn room_is_bounded_in_a_region_and_in_all() {
    let one = key("a").len() + key("p").len() + 128;
    let mut locks = MemoryLocks::new(2 * one, 3 * one);
    let other = RegionId(8);
    assert!(locks.has_room(REGION));
    locks.remember(REGION, TERM, vec![(key("a"), held(1)), (key("b"), held(2))]);
    assert!(!locks.has_room(REGION) && locks.has_room(other));
    // The same lock again takes no more room.
    locks.remember(REGION, TERM, vec![(key("a"), held(1))]);
    assert_eq!(locks.bytes(), 2 * one);
    locks.remember(other, TERM, vec![(key("c"), held(3))]);
    assert!(!locks.has_room(other));
    locks.drop_region(REGION);
    assert!(locks.has_room(REGION) && locks.has_room(other));
    assert_eq!(locks.bytes(), one);
}

#[test]
fn a_command_sees_the_locks_of_its_keys() {
    let mut script = Script::new();
    script.submit("lock", lock(&["k"], 3, None));
    let remembered = vec![(key("k"), held(3))];
    script.done("lock", Effects { remembered, ..locking(&["k"], 3) });
    let mut seen = Vec::new();
    for names in [["k", "l"], ["l", "m"]] {
        let mut out = Vec::new();
        let command = Box::new(commit(&names, 3));
        let task = Task {
            command,
            target: target(),
            deadline: Moment::NEVER,
            wait_until: None,
            waiter: "",
        };
        script.core.step(script.now, Input::Submit(task), &mut out);
        for output in out {
            if let Output::Run { id, memory, .. } = output {
                seen.push((memory.term, memory.locks.len()));
                script.core.step(script.now, Input::NoEffect(id), &mut Vec::new());
            }
        }
    }
    assert_eq!(seen, [(TERM, 1), (TERM, 0)]);
}
