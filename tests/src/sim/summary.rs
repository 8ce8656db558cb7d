//! What many seeds came to together.
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Seeds that ended well, each counted once.
    pub seeds: u64,
    /// Runs that ended well.
    pub runs: u64,
    /// Seeds that were seen with the same events in two processes.
    pub same_twice: u64,
    /// Seeds that broke a promise, and what is known of it.
    pub violations: Vec<(u64, String)>,
    /// Sums over all seeds.
    pub sums: BTreeMap<&'static str, u64>,
    /// Faults by kind, over all seeds.
    pub faults: BTreeMap<String, u64>,
    /// Real time of all.
    pub wall: Duration,
}

/// What is summed up.
const SUMMED: [&str; 11] = [
    "events",
    "answered",
    "failed",
    "unknown",
    "txn_committed",
    "txn_failed",
    "txn_unknown",
    "txn_write_skews",
    "timestamps",
    "terms",
    "virtual_ms",
];

impl Summary {
    /// Adds a run that ended well. Answers a violation if another run of this seed saw other events.
    pub(super) fn add(
        &mut self,
        run: &Value,
        hashes: &mut BTreeMap<u64, Value>,
        seed: u64,
    ) -> Option<String> {
        self.runs += 1;
        if let Some(first) = hashes.get(&seed) {
            self.same_twice += u64::from(first == run);
            return (first != run).then(|| {
                format!("VIOLATION in seed {seed}: two processes see other events: {first}, {run}")
            });
        }
        hashes.insert(seed, run.clone());
        self.seeds += 1;
        for name in SUMMED {
            *self.sums.entry(name).or_default() += run[name].as_u64().unwrap_or_default();
        }
        for (kind, count) in run["faults"].as_object().into_iter().flatten() {
            *self.faults.entry(kind.clone()).or_default() += count.as_u64().unwrap_or_default();
        }
        None
    }

    fn simulated_hours(&self) -> f64 {
        self.sums.get("virtual_ms").copied().unwrap_or_default() as f64 / 3_600_000.0
    }

    /// The same for machines.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let sums: Map<String, Value> =
            self.sums.iter().map(|(name, sum)| ((*name).to_owned(), json!(sum))).collect();
        let broken: Vec<u64> = self.violations.iter().map(|(seed, _)| *seed).collect();
        json!({
            "seeds": self.seeds,
            "runs": self.runs,
            "seeds_equal_in_two_processes": self.same_twice,
            "violations": self.violations.len(),
            "violated_seeds": broken,
            "simulated_hours": self.simulated_hours(),
            "wall_seconds": self.wall.as_secs_f64(),
            "sums": sums,
            "faults": self.faults,
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |name: &str| self.sums.get(name).copied().unwrap_or_default();
        writeln!(f, "faults over all seeds:")?;
        for (kind, count) in &self.faults {
            writeln!(f, "  {count:>10}  {kind}")?;
        }
        writeln!(
            f,
            "operations: {} answered, {} without effect, {} unknown; {} draws of timestamps; {} terms; \
             {} events",
            sum("answered"),
            sum("failed"),
            sum("unknown"),
            sum("timestamps"),
            sum("terms"),
            sum("events"),
        )?;
        writeln!(
            f,
            "transactions: {} committed, {} without effect, {} unknown; {} write skews among those that \
             allow it",
            sum("txn_committed"),
            sum("txn_failed"),
            sum("txn_unknown"),
            sum("txn_write_skews"),
        )?;
        let broken: Vec<_> = self.violations.iter().map(|(seed, _)| seed.to_string()).collect();
        write!(
            f,
            "{} seeds in {} runs, {} the same in two processes; {:.2} simulated hours in {:.0} s; \
             {} violations{}{}",
            self.seeds,
            self.runs,
            self.same_twice,
            self.simulated_hours(),
            self.wall.as_secs_f64(),
            broken.len(),
            if broken.is_empty() { "" } else { ": seeds " },
            broken.join(", "),
        )
    }
}
