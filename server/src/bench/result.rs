//! The file that a run writes. Documented for readers in `docs/benchmarks/README.md`.
use super::client::Protocol;
use super::machine::Machine;
use super::options::{Route, TargetName, Workload};
use super::recorder::Latency;
use crate::error::CliError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// What `schema` says in a file that this build can read.
pub const SCHEMA: &str = "troupe-bench/1";
/// A repetition with more errors than this share of its requests tells nothing.
const ERRORS_TOLERATED: f64 = 0.001;

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// [`SCHEMA`].
    pub schema: String,
    /// Seconds since 1970 at its start.
    pub started: u64,
    /// The command line.
    pub command: String,
    /// Where.
    pub machine: Machine,
    /// Versions of what was measured, by target.
    pub versions: BTreeMap<String, String>,
    /// Different keys.
    pub keys: u32,
    /// Regions that Troupe's key space was cut into.
    pub regions: u32,
    /// Which server clients asked.
    #[serde(default)]
    pub route: Route,
    /// Seconds before each measurement that do not count.
    pub warm_up_seconds: f64,
    /// Measurements of the load generator itself, against servers that answer at once.
    pub ceilings: Vec<Repetition>,
    /// Everything that was measured, in the order in which it was.
    pub repetitions: Vec<Repetition>,
}

/// One fresh cluster of one target, and all that was measured with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repetition {
    /// Which.
    pub target: TargetName,
    /// What it was spoken to in.
    pub protocol: Protocol,
    /// From 1.
    pub number: u32,
    /// Bytes of each value.
    pub value_bytes: usize,
    /// Why it does not count; absent if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub void: Option<String>,
    /// A sync of the disk just before, at the median.
    pub disk_sync_us: f64,
    /// Load average just before.
    pub load_average: f64,
    /// Keys that were read back at the end.
    pub verified: u32,
    /// Those of them whose value was not one of their last acknowledged writes.
    pub wrong: u32,
    /// The measurements.
    pub cells: Vec<Cell>,
}

/// One measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// What clients did.
    pub workload: Workload,
    /// How many of them.
    pub clients: usize,
    /// Requests meant to start a second; absent in a closed loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// How long was measured.
    pub seconds: f64,
    /// Requests answered in that time.
    pub operations: u64,
    /// Those of them that failed.
    pub errors: u64,
    /// What the first of these said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_error: Option<String>,
    /// Requests of an open loop that were due and were not answered soon after the end.
    pub unanswered: u64,
    /// Good answers a second.
    pub ops_per_second: f64,
    /// Of good answers.
    pub latency_us: Latency,
    /// All servers together; absent if their processes are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub servers: Option<PerOperation>,
    /// CPU of the load generator for each request, in microseconds.
    pub client_cpu_us: f64,
}

/// What all servers together used for each request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PerOperation {
    /// Microseconds of CPU.
    pub cpu_us: f64,
    /// That part of it that was spent in the kernel.
    pub system_us: f64,
    /// Syncs of logs and, at etcd, of its database; absent if the servers do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syncs: Option<f64>,
    /// Bytes that went to the disk, the file system's own included; absent if the kernel does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_bytes: Option<f64>,
    /// Context switches.
    pub context_switches: f64,
    /// Bytes of memory in use at the end: of all servers, not for each request.
    pub memory_bytes: u64,
}

impl Repetition {
    /// Marks it void if there is a reason.
    pub fn judge(&mut self) {
        let operations: u64 = self.cells.iter().map(|cell| cell.operations).sum();
        let errors: u64 = self.cells.iter().map(|cell| cell.errors).sum();
        self.void = if self.wrong > 0 {
            Some(format!("{} of {} keys read back wrong", self.wrong, self.verified))
        } else if ratio(errors, operations) > ERRORS_TOLERATED {
            let why = self.cells.iter().find_map(|cell| cell.first_error.clone());
            let why = why.unwrap_or_default();
            Some(format!("{errors} of {operations} requests failed: {why}"))
        } else {
            None
        };
    }
}

/// `part` for each of `whole`; 0 of nothing.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl RunResult {
    /// Reads a file that a run wrote.
    ///
    /// # Errors
    /// It cannot be read, or is something else.
    pub fn read(path: &Path) -> Result<Self, CliError> {
        let name = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|source| CliError::io(format!("cannot read {name}"), source))?;
        let result: Self = serde_json::from_str(&text)
            .map_err(|error| CliError::Failed(format!("{name} is no result: {error}")))?;
        if result.schema != SCHEMA {
            let found = result.schema;
            return Err(CliError::Failed(format!("{name} is `{found}`, not `{SCHEMA}`")));
        }
        Ok(result)
    }

    /// Writes it as a file, all at once.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), CliError> {
        let failed = |source| CliError::io(format!("cannot write {}", path.display()), source);
        let text = serde_json::to_string_pretty(self).expect("invariant: strings and numbers");
        let aside = path.with_extension("new");
        std::fs::write(&aside, text + "\n").map_err(failed)?;
        std::fs::rename(&aside, path).map_err(failed)
    }
}

#[cfg(test)]
mod tests;
