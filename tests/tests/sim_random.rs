//! Random faults against a simulated cluster, decided by seeds: `make sim SEEDS=500`, and one seed
//! with all its events by `make sim-one SEED=42`.
use std::process::Command;
use troupe_tests::sim::run::{Report, RunOptions, run};

/// Seeds of an ordinary test run.
const SEEDS: u64 = 25;

fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text}")))
}

fn twice(seed: u64) -> Report {
    let (first, second) = (run(RunOptions::of_seed(seed)), run(RunOptions::of_seed(seed)));
    assert_eq!(first, second, "the seed decides everything");
    first
}

#[test]
fn a_cluster_keeps_its_promises_under_random_faults() {
    if let Some(seed) = number_of("SIM_SEED") {
        let report = run(RunOptions { is_printing: true, ..RunOptions::of_seed(seed) });
        println!("{report}");
        return;
    }
    for seed in 1..=number_of("SIM_SEEDS").unwrap_or(SEEDS) {
        println!("{}", twice(seed));
    }
}

#[test]
fn another_process_sees_the_same_events() {
    let seed = 1_001;
    let here = run(RunOptions::of_seed(seed)).to_string();
    let other = Command::new(std::env::current_exe().expect("this test has a binary"))
        .args(["--exact", "a_cluster_keeps_its_promises_under_random_faults", "--nocapture"])
        .env("SIM_SEED", seed.to_string())
        .output()
        .expect("the test runs again");
    let text = String::from_utf8_lossy(&other.stdout);
    assert!(other.status.success(), "{text}");
    assert!(text.lines().any(|line| line == here), "{here}\nis not among the lines of the other");
}

#[test]
fn another_seed_sees_other_events() {
    let hash = |seed| run(RunOptions::of_seed(seed)).hash;
    assert_ne!(hash(2_001), hash(2_002));
}
