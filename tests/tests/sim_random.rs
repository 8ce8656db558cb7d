//! Random faults against a simulated cluster, decided by seeds: `make sim SEEDS=500`, and one seed
//! with all its events by `make sim-one SEED=42`.
use troupe_tests::sim::campaign::{Campaign, serve};
use troupe_tests::sim::run::{RunOptions, quiet_panics, run, run_or_say};

/// Seeds of an ordinary test run.
const SEEDS: u64 = 200;

fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text}")))
}

fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

fn one(seed: u64) {
    quiet_panics();
    match run_or_say(RunOptions { is_printing: true, ..RunOptions::of_seed(seed) }) {
        Ok(report) => println!("\n{report}"),
        Err(violation) => {
            println!("\n{violation}");
            std::process::exit(1);
        }
    }
}

#[test]
fn a_cluster_keeps_its_promises_under_random_faults() {
    if std::env::var_os("SIM_CHILD").is_some() {
        return serve();
    }
    if let Some(seed) = number_of("SIM_SEED") {
        return one(seed);
    }
    let runs = number_of("SIM_RUNS").unwrap_or(2);
    let campaign = Campaign {
        first: number_of("SIM_FIRST").unwrap_or(1),
        seeds: number_of("SIM_SEEDS").unwrap_or(SEEDS),
        runs,
        jobs: number_of("SIM_JOBS").unwrap_or_else(cores).max(runs),
        stops_early: number_of("SIM_STOP") == Some(1),
        test: "a_cluster_keeps_its_promises_under_random_faults",
    };
    let summary = campaign.run();
    println!("\n{summary}");
    if let Some(path) = std::env::var_os("SIM_JSON").filter(|path| !path.is_empty()) {
        let text = format!("{:#}\n", summary.to_json());
        std::fs::write(path, text).expect("the summary can be written");
    }
    assert!(summary.violations.is_empty(), "see above");
    assert_eq!(summary.runs, campaign.seeds * campaign.runs, "every seed ran to its end");
}

#[test]
fn another_seed_sees_other_events() {
    if std::env::var_os("SIM_SEED").is_some() {
        return;
    }
    let hash = |seed| run(RunOptions::of_seed(seed)).hash;
    assert_ne!(hash(2_001), hash(2_002));
}
