//! What Troupe is meant to reach beside etcd in the same run. Pure.
use crate::bench::groups::{Figure, Groups, Spread, Subject};
use crate::bench::options::{TargetName, Workload};

/// A ratio of Troupe's figure to etcd's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// The load.
    what: &'static str,
    workload: Workload,
    clients: usize,
    figure: Figure,
    /// It is met from here on: above for figures where more is better, else below.
    pub ratio: f64,
}

/// All of them: values of 256 bytes, closed loop.
pub const BARS: [Bar; 6] = [
    bar("put, 256 clients", Workload::Put, 256, (Figure::Throughput, 3.0)),
    bar("put, 256 clients", Workload::Put, 256, (Figure::P99, 0.5)),
    bar("get, 256 clients", Workload::Get, 256, (Figure::Throughput, 4.0)),
    bar("put, 1 client", Workload::Put, 1, (Figure::P50, 0.8)),
    bar("put, 256 clients", Workload::Put, 256, (Figure::ServerCpu, 1.0 / 3.0)),
    bar("transfer, 64 clients", Workload::Transfer, 64, (Figure::Throughput, 2.0)),
];

const VALUE_BYTES: usize = 256;

const fn bar(
    what: &'static str,
    workload: Workload,
    clients: usize,
    (figure, ratio): (Figure, f64),
) -> Bar {
    Bar { what, workload, clients, figure, ratio }
}

/// How a run did at a bar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reached {
    /// Troupe's figure.
    pub troupe: Spread,
    /// etcd's.
    pub etcd: Spread,
    /// The one by the other, of the medians.
    pub ratio: f64,
    /// Is that enough?
    pub met: bool,
}

impl Bar {
    /// Was its workload measured at all?
    #[must_use]
    pub fn concerns(&self, groups: &Groups<'_>) -> bool {
        groups.keys().any(|subject| subject.workload == self.workload)
    }

    /// Compares; `None` if the run did not measure it, or at etcd nothing.
    #[must_use]
    pub fn reached(&self, groups: &Groups<'_>) -> Option<Reached> {
        let Self { workload, clients, figure, .. } = *self;
        let subject = Subject { value_bytes: VALUE_BYTES, rate: None, workload, clients };
        let targets = groups.get(&subject)?;
        let of = |target| Spread::of(figure, targets.get(&target)?);
        let (troupe, etcd) = (of(TargetName::Troupe)?, of(TargetName::Etcd)?);
        if etcd.median <= 0.0 {
            return None;
        }
        let ratio = troupe.median / etcd.median;
        let met = if figure.more_is_better() { ratio >= self.ratio } else { ratio <= self.ratio };
        Some(Reached { troupe, etcd, ratio, met })
    }

    /// What it is about, with its unit.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} ({})", self.what, self.figure.title())
    }

    /// Such as `at least 3.00 ×`.
    #[must_use]
    pub fn wanted(&self) -> String {
        let word = if self.figure.more_is_better() { "at least" } else { "at most" };
        format!("{word} {:.2} ×", self.ratio)
    }
}

#[cfg(test)]
mod tests;
