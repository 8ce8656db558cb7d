//! Events follow from the seed, and every kind comes.
use super::{Event, Events, Kind};
use std::collections::BTreeMap;
use std::time::Duration;
use troupe_actors::env::Rngs;
use troupe_actors::real_env::SeededRngs;

const LEASE: Duration = Duration::from_millis(800);

fn draw(seed: u64, count: usize) -> Vec<Event> {
    let mut events = Events::new(SeededRngs::new(seed).rng("events"), 3, LEASE);
    (0..count).map(|_| events.draw()).collect()
}

#[test]
fn a_seed_gives_the_same_events_and_another_seed_others() {
    assert_eq!(draw(7, 50), draw(7, 50));
    assert_ne!(draw(7, 50), draw(8, 50));
}

#[test]
fn every_round_has_each_kind_as_often_as_planned() {
    let round: usize = Kind::ROUND.iter().map(|(_, count)| count).sum();
    let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
    for event in draw(3, 2 * round) {
        *counts.entry(event.kind).or_default() += 1;
    }
    assert_eq!(counts, Kind::ROUND.map(|(kind, count)| (kind, 2 * count)).into());
}

#[test]
fn a_pause_is_longer_than_two_leases_and_shorter_than_five() {
    for event in draw(5, 500).into_iter().filter(|event| event.kind == Kind::Pause) {
        assert!(event.hold >= 2 * LEASE && event.hold < 5 * LEASE, "{event:?}");
    }
}

#[test]
fn an_event_names_its_nodes_once_each() {
    for mut event in draw(9, 100) {
        event.order.sort_unstable();
        assert_eq!(event.order, [0, 1, 2]);
    }
}
