//! What is kept of actors and their crashes.
use super::*;

fn record(actor: ActorId, verdict: &'static str) -> RestartRecord {
    RestartRecord {
        at: UnixMillis(1),
        actor,
        kind: "kind",
        name: "name".to_owned(),
        generation: Generation(1),
        verdict,
        panic: "panic".to_owned(),
    }
}

#[test]
fn crashes_are_bounded_and_the_newest_stay() {
    let registry = Registry::new();
    for n in 0..300 {
        registry.record_restart(record(ActorId(n), "restart"));
    }
    let kept = registry.restarts();
    assert_eq!(kept.len(), 256);
    assert_eq!((kept[0].actor, kept[255].actor), (ActorId(44), ActorId(299)));
}

#[test]
fn only_restarts_count_as_restarts() {
    let registry = Registry::new();
    let entry = registry.register("kind", "name".to_owned(), ActorId(0), 4);
    for verdict in ["restart", "restart", "quarantine", "escalate"] {
        registry.record_restart(record(entry.id, verdict));
    }
    assert_eq!(entry.restarts(), 2);
}

#[test]
fn a_new_life_begins_with_an_empty_mailbox() {
    let registry = Registry::new();
    let entry = registry.register("kind", "name".to_owned(), ActorId(0), 4);
    entry.depth.store(7, Ordering::Relaxed);
    entry.bytes.store(700, Ordering::Relaxed);
    assert_eq!(entry.next_generation(), Generation(1));
    assert_eq!(entry.next_generation(), Generation(2));
    let waiting = (entry.depth.load(Ordering::Relaxed), entry.bytes.load(Ordering::Relaxed));
    assert_eq!(waiting, (0, 0));
}

#[test]
fn every_state_comes_back_as_it_was_set() {
    let registry = Registry::new();
    let entry = registry.register("kind", "name".to_owned(), ActorId(0), 4);
    assert_eq!(entry.state(), ActorState::Starting);
    for state in ActorState::ALL {
        entry.set_state(state);
        assert_eq!(entry.state(), state);
    }
}

#[test]
fn only_the_quarantined_life_of_a_name_is_forgotten() {
    let registry = Registry::new();
    let old = registry.register("kind", "name".to_owned(), ActorId(0), 4);
    let new = registry.register("kind", "name".to_owned(), ActorId(0), 4);
    let other = registry.register("kind", "other".to_owned(), ActorId(0), 4);
    old.set_state(ActorState::Quarantined);
    other.set_state(ActorState::Quarantined);
    registry.forget_quarantined("name");
    let left: Vec<_> = registry.list().iter().map(|entry| entry.id).collect();
    assert_eq!(left, [new.id, other.id]);
}

#[test]
fn a_recorder_keeps_the_last_inputs_and_none_without_room() {
    for (capacity, expected) in [(0, vec![]), (2, vec!["c", "d"]), (9, vec!["a", "b", "c", "d"])] {
        let recorder = Recorder::new(capacity);
        for input in ["a", "b", "c", "d"] {
            let (at, generation) = (troupe_types::Moment(1), Generation(1));
            recorder.push(crate::cell::recorder::Recorded {
                at,
                generation,
                input,
                detail: [0, 0],
            });
        }
        let lines = recorder.lines();
        assert_eq!(lines.len(), expected.len());
        assert!(lines.iter().zip(expected).all(|(line, input)| line.contains(input)), "{lines:?}");
    }
}
