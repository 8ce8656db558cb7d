//! The measurements of a run by what was measured: equal ones of all repetitions together. Pure.
use super::options::{TargetName, Workload};
use super::result::{Cell, RunResult};
use std::collections::BTreeMap;

/// What was measured. Orders as tables do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// Bytes of each value.
    pub value_bytes: usize,
    /// Requests a second in an open loop. Closed loops come first.
    pub rate: Option<u32>,
    /// What clients did.
    pub workload: Workload,
    /// How many of them.
    pub clients: usize,
}

impl Subject {
    /// Such as `put, 256 clients` or `get at 4000/s`.
    #[must_use]
    pub fn load(&self) -> String {
        let workload = self.workload.as_str();
        match (self.rate, self.clients) {
            (Some(rate), _) => format!("{workload} at {rate}/s"),
            (None, 1) => format!("{workload}, 1 client"),
            (None, clients) => format!("{workload}, {clients} clients"),
        }
    }
}

/// Measurements that count, by subject and target.
pub type Groups<'a> = BTreeMap<Subject, BTreeMap<TargetName, Vec<&'a Cell>>>;

/// All of a run but those of void repetitions.
#[must_use]
pub fn groups(result: &RunResult) -> Groups<'_> {
    let mut groups = Groups::new();
    for repetition in result.repetitions.iter().filter(|repetition| repetition.void.is_none()) {
        for cell in &repetition.cells {
            let Cell { workload, clients, rate, .. } = *cell;
            let value_bytes = repetition.value_bytes;
            let subject = Subject { value_bytes, rate, workload, clients };
            let of_subject = groups.entry(subject).or_default();
            of_subject.entry(repetition.target).or_default().push(cell);
        }
    }
    groups
}

/// A figure of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Good answers a second.
    Throughput,
    /// Half of all answers took at most this, in milliseconds.
    P50,
    /// 99 of 100 did.
    P99,
    /// CPU of all servers for each request, in microseconds.
    ServerCpu,
    /// Syncs of all servers for each request.
    Syncs,
    /// Bytes that all servers sent towards the disk for each request.
    Written,
}

impl Figure {
    /// All that are compared.
    pub const ALL: [Self; 6] =
        [Self::Throughput, Self::P50, Self::P99, Self::ServerCpu, Self::Syncs, Self::Written];

    /// For people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Throughput => "requests a second",
            Self::P50 => "p50, ms",
            Self::P99 => "p99, ms",
            Self::ServerCpu => "server CPU, µs a request",
            Self::Syncs => "syncs a request",
            Self::Written => "bytes written a request",
        }
    }

    /// Is more of it better?
    #[must_use]
    pub fn more_is_better(self) -> bool {
        self == Self::Throughput
    }

    /// Its value; `None` if it was not measured.
    #[must_use]
    pub fn of(self, cell: &Cell) -> Option<f64> {
        match self {
            Self::Throughput => Some(cell.ops_per_second),
            Self::P50 => Some(cell.latency_us.p50 / 1000.0),
            Self::P99 => Some(cell.latency_us.p99 / 1000.0),
            Self::ServerCpu => cell.servers.map(|servers| servers.cpu_us),
            Self::Syncs => cell.servers.and_then(|servers| servers.syncs),
            Self::Written => cell.servers.and_then(|servers| servers.written_bytes),
        }
    }
}

/// The same figure of several repetitions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The one in the middle; of an even number, the mean of the two.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// How many.
    pub count: usize,
}

impl Spread {
    /// Of some measurements; `None` if none of them has the figure.
    #[must_use]
    pub fn of(figure: Figure, cells: &[&Cell]) -> Option<Self> {
        Self::new(cells.iter().filter_map(|cell| figure.of(cell)).collect())
    }

    /// Of these numbers; `None` of none.
    #[must_use]
    pub fn new(mut numbers: Vec<f64>) -> Option<Self> {
        numbers.sort_by(f64::total_cmp);
        let (min, max) = (*numbers.first()?, *numbers.last()?);
        let count = numbers.len();
        let median = f64::midpoint(numbers[(count - 1) / 2], numbers[count / 2]);
        Some(Self { median, min, max, count })
    }

    /// Such as `1.25 [1.20..1.31]`.
    #[must_use]
    pub fn text(&self) -> String {
        let median = number(self.median);
        if self.count == 1 {
            return median;
        }
        format!("{median} [{}..{}]", number(self.min), number(self.max))
    }
}

/// With three digits that mean something, thousands apart.
#[must_use]
pub fn number(number: f64) -> String {
    match number.abs() {
        0.0 => "0".to_owned(),
        0.000_1..1.0 => format!("{number:.3}"),
        1.0..10.0 => format!("{number:.2}"),
        10.0..100.0 => format!("{number:.1}"),
        1000.0.. => thousands(number),
        _ => format!("{number:.0}"),
    }
}

fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
pub(super) mod tests;
