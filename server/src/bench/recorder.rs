//! Latencies and counts of one measurement. Pure.
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Latencies above it count as it.
const LONGEST_NS: u64 = 120_000_000_000;

/// What clients measured.
#[derive(Clone, Debug)]
pub struct Recorder {
    latency: Histogram<u64>,
    /// Requests answered in the window, with or without error.
    pub operations: u64,
    /// Those of them that failed.
    pub errors: u64,
    /// What the first failed one said.
    pub first_error: Option<String>,
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Arithmetic mean.
    pub mean: f64,
    /// Half of all took at most this.
    pub p50: f64,
    /// 95 of 100.
    pub p95: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1000.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Default for Recorder {
    fn default() -> Self {
        let latency = Histogram::new_with_bounds(1, LONGEST_NS, 3);
        let latency = latency.expect("invariant: the bounds are good for three digits");
        Self { latency, operations: 0, errors: 0, first_error: None }
    }
}

impl Recorder {
    /// A request took so long.
    pub fn took(&mut self, nanoseconds: u64) {
        self.latency.saturating_record(nanoseconds.clamp(1, LONGEST_NS));
    }

    /// A request failed.
    pub fn failed(&mut self, why: impl FnOnce() -> String) {
        self.errors += 1;
        self.first_error.get_or_insert_with(why);
    }

    /// Adds what other clients measured.
    pub fn merge(&mut self, other: &Self) {
        self.latency.add(&other.latency).expect("invariant: equal bounds");
        self.operations += other.operations;
        self.errors += other.errors;
        if self.first_error.is_none() {
            self.first_error.clone_from(&other.first_error);
        }
    }

    /// The figures.
    #[must_use]
    pub fn latency(&self) -> Latency {
        let at = |quantile| microseconds(self.latency.value_at_quantile(quantile));
        if self.latency.is_empty() {
            return Latency::default();
        }
        Latency {
            mean: (self.latency.mean() / 100.0).round() / 10.0,
            p50: at(0.50),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: microseconds(self.latency.max()),
        }
    }
}

/// With one digit behind the point: three digits are what the histogram keeps.
#[expect(clippy::cast_precision_loss, reason = "two minutes in nanoseconds fit")]
fn microseconds(nanoseconds: u64) -> f64 {
    (nanoseconds as f64 / 100.0).round() / 10.0
}

#[cfg(test)]
mod tests;
