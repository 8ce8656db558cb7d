//! Faults planted on purpose, each of which the simulator must find: `make mutants`. A mutant that
//! survives its seeds shows that a fault, a workload or a checker is missing.
use troupe_actors::supervision::life::panic_message;
use troupe_storage::mutants::{Mutant, plant};
use troupe_tests::sim::faults::Kind;
use troupe_tests::sim::older_shape;
use troupe_tests::sim::run::{RunOptions, quiet_panics, run_or_say};

/// Promises about safety, as verdicts name them. Who only came late was not caught.
const SAFETY: [&str; 8] = [
    "is not linearizable",
    "logs match",
    "one vote a term",
    "one leader a term",
    "replicas are equal",
    "timestamps grow",
    "older shape",
    "transactions are as promised",
];

/// What a seed decides.
#[derive(Clone, Copy, Debug)]
enum World {
    /// Random faults, many of them of these kinds.
    Random(&'static [Kind]),
    /// Regions whose shape changes between entries of their logs.
    OlderShape,
}

/// Runs a seed with or without a mutant, on a thread of its own; answers what was wrong.
fn run(world: World, mutant: Option<Mutant>, seed: u64) -> Option<String> {
    let running = std::thread::spawn(move || {
        plant(mutant);
        match world {
            World::Random(likes) => {
                let options = RunOptions { likes, ..RunOptions::of_seed(seed) };
                let result = run_or_say(options);
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

/// The promise about safety that a run breaks.
fn broken(world: World, mutant: Option<Mutant>, seed: u64) -> Option<String> {
    run(world, mutant, seed)
        .filter(|verdict| SAFETY.iter().any(|promise| verdict.contains(promise)))
}

fn short(verdict: &str) -> String {
    const CHARS: usize = 400;
    let line = verdict.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(CHARS).collect()
}

/// One of the first `within` seeds breaks a promise about safety with `mutant`, and none without
/// it.
fn is_caught(mutant: Mutant, world: World, within: u64) {
    quiet_panics();
    let result = std::panic::catch_unwind(|| try_seeds(mutant, world, within));
    if let Err(panic) = result {
        // The hook is quiet.
        println!("{}", panic_message(panic.as_ref()));
        std::panic::resume_unwind(panic);
    }
}

fn try_seeds(mutant: Mutant, world: World, within: u64) {
    for seed in 1..=within {
        let Some(verdict) = broken(world, Some(mutant), seed) else { continue };
        println!("{mutant:?} is caught at seed {seed} of {within}: {}", short(&verdict));
        let without = broken(world, None, seed);
        assert_eq!(without, None, "seed {seed} breaks a promise without {mutant:?} too");
        return;
    }
    panic!("{mutant:?} survived {within} seeds");
}

/// A client must read at a leader that was cut off, in the second between its lease and its own
/// doubt, what another client has overwritten meanwhile. Seen at seed 134.
#[test]
fn lease_unchecked_is_caught() {
    is_caught(
        Mutant::LeaseUnchecked,
        World::Random(&[Kind::OneEar, Kind::Isolate, Kind::Heal]),
        400,
    );
}

/// Each write is for some milliseconds committed and on too few disks, and slow disks make that
/// long.
#[test]
fn ack_before_sync_is_caught() {
    is_caught(Mutant::AckBeforeSync, World::Random(&[]), 10);
}

/// As above.
#[test]
fn send_before_persist_is_caught() {
    is_caught(Mutant::SendBeforePersist, World::Random(&[]), 10);
}

/// A late answer to an earlier round must reach a leader that was replaced and does not know: it
/// hears one node alone. Seen at seed 16.
#[test]
fn read_context_reused_is_caught() {
    is_caught(
        Mutant::ReadContextReused,
        World::Random(&[Kind::OneEar, Kind::Heal, Kind::Weather]),
        150,
    );
}

/// A read must fall between an election and the first commit of the term. Seen at seeds 4, 7, 13 and
/// 42.
#[test]
fn noop_skipped_is_caught() {
    is_caught(
        Mutant::NoopSkipped,
        World::Random(&[Kind::Transfer, Kind::Heal, Kind::SlowDisk]),
        150,
    );
}

/// Every seed replays entries of an older shape.
#[test]
fn epoch_unchecked_is_caught() {
    is_caught(Mutant::EpochUnchecked, World::OlderShape, 3);
}

/// Every restart in the term of a vote shows on the disk.
#[test]
fn vote_forgotten_is_caught() {
    is_caught(Mutant::VoteForgotten, World::Random(&[]), 10);
}

/// A replica must crash and start while a slow disk still works for its former life. Seen at seeds
/// 15 and 19.
#[test]
fn fence_forgotten_is_caught() {
    is_caught(
        Mutant::FenceForgotten,
        World::Random(&[Kind::Panic, Kind::Heal, Kind::SlowDisk]),
        150,
    );
}

/// A coordinator must take its timestamp, somebody must read at a later one, and then another replica
/// must lead before the coordinator's prewrite comes and is the first to choose a commit timestamp there.
/// Slow coordinators (`sim/txn/slow.rs`) provoke it. Seen at seed 5.
#[test]
fn max_ts_not_synced_is_caught() {
    is_caught(Mutant::MaxTsNotSynced, World::Random(&[Kind::Transfer, Kind::Heal]), 25);
}

/// A part of a transaction must come after somebody has found its locks expired and rolled it back.
/// Seen at seed 4.
#[test]
fn rollback_unprotected_is_caught() {
    is_caught(Mutant::RollbackUnprotected, World::Random(&[Kind::Heal, Kind::Weather]), 25);
}

/// A reader must push a transaction between the timestamp of its commit and the commit. Seen
/// at seeds 2 and 5.
#[test]
fn commit_below_min_is_caught() {
    is_caught(Mutant::CommitBelowMin, World::Random(&[Kind::Heal, Kind::Weather]), 25);
}
