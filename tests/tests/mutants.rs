//! Faults planted on purpose, each of which the simulator must find: `make mutants`. A mutant that
//! survives its seeds shows that a fault, a workload or a checker is missing.
use troupe_actors::mutants::{Mutant, plant};
use troupe_actors::supervision::life::panic_message;
use troupe_tests::sim::older_shape;
use troupe_tests::sim::run::{RunOptions, quiet_panics, run_or_say};

/// Promises about safety, as verdicts name them. Who only came late was not caught.
const SAFETY: [&str; 7] = [
    "is not linearizable",
    "logs match",
    "one vote a term",
    "one leader a term",
    "replicas are equal",
    "timestamps grow",
    "older shape",
];

/// What a seed decides.
#[derive(Clone, Copy, Debug)]
enum World {
    /// Random faults.
    Random,
    /// Regions whose shape changes between entries of their logs.
    OlderShape,
}

/// Runs a seed with or without a mutant, on a thread of its own; answers what was wrong.
fn run(world: World, mutant: Option<Mutant>, seed: u64) -> Option<String> {
    let running = std::thread::spawn(move || {
        plant(mutant);
        match world {
            World::Random => {
                let result = run_or_say(RunOptions::of_seed(seed));
                result.err().map(|violation| violation.verdict)
            }
            World::OlderShape => {
                let replayed = older_shape::run(seed);
                (replayed == 0).then(|| format!("seed {seed} replays nothing"))
            }
        }
    });
    running.join().unwrap_or_else(|panic| Some(panic_message(panic.as_ref())))
}

fn short(verdict: &str) -> String {
    const CHARS: usize = 400;
    let line = verdict.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(CHARS).collect()
}

/// One of the first seeds breaks a promise about safety with `mutant`, and none without it.
fn is_caught(mutant: Mutant, world: World, within: u64) {
    quiet_panics();
    for seed in 1..=within {
        let Some(verdict) = run(world, Some(mutant), seed) else { continue };
        if !SAFETY.iter().any(|promise| verdict.contains(promise)) {
            println!("{mutant:?} at seed {seed}: {}", short(&verdict));
            continue;
        }
        println!("{mutant:?} is caught at seed {seed} of {within}: {}", short(&verdict));
        assert_eq!(run(world, None, seed), None, "seed {seed} fails without {mutant:?} too");
        return;
    }
    panic!("{mutant:?} survived {within} seeds");
}

#[test]
fn lease_unchecked_is_caught() {
    is_caught(Mutant::LeaseUnchecked, World::Random, 100);
}

#[test]
fn ack_before_sync_is_caught() {
    is_caught(Mutant::AckBeforeSync, World::Random, 100);
}

#[test]
fn send_before_persist_is_caught() {
    is_caught(Mutant::SendBeforePersist, World::Random, 100);
}

#[test]
fn read_context_reused_is_caught() {
    is_caught(Mutant::ReadContextReused, World::Random, 100);
}

#[test]
fn noop_skipped_is_caught() {
    is_caught(Mutant::NoopSkipped, World::Random, 100);
}

#[test]
fn epoch_unchecked_is_caught() {
    is_caught(Mutant::EpochUnchecked, World::OlderShape, 100);
}

#[test]
fn vote_forgotten_is_caught() {
    is_caught(Mutant::VoteForgotten, World::Random, 100);
}

#[test]
fn fence_forgotten_is_caught() {
    is_caught(Mutant::FenceForgotten, World::Random, 100);
}
