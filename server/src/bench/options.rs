//! What a run measures, and in which order.
use super::accounts::Pairing;
use crate::cli::BenchRunArgs;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetName {
    /// Three processes of this program, started anew
    Troupe,
    /// Three processes of etcd, started anew
    Etcd,
    /// The cluster at --url, as it is
    Running,
    /// A server that answers HTTP at once: the load generator's own ceiling.
    #[value(skip)]
    EchoHttp,
    /// The same for gRPC.
    #[value(skip)]
    EchoGrpc,
}

impl TargetName {
    /// As in results and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Troupe => "troupe",
            Self::Etcd => "etcd",
            Self::Running => "running",
            Self::EchoHttp => "echo-http",
            Self::EchoGrpc => "echo-grpc",
        }
    }
}

/// Which server a client asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// Each client has one server, evenly spread, whoever leads
    #[default]
    Any,
    /// The one that led the key when the measurements began
    Leader,
}

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// Overwrite random keys
    Put,
    /// Read random keys, linearizably
    Get,
    /// Each of these half of the time, at random
    Mixed,
    /// Overwrite random keys of the transactional space
    KvPut,
    /// Read random keys of the transactional space, linearizably
    KvGet,
    /// Move an amount between two random accounts, as one transaction
    Transfer,
    /// The same, on the condition that the first account has the amount
    TransferIf,
    /// Transfers within a Region, which commit in one phase (Troupe)
    OnePhase,
    /// The same ones, told to commit in two phases (Troupe)
    NearTwoPhase,
    /// Transfers between two Regions, which commit asynchronously (Troupe)
    Async,
    /// The same ones, told to commit in two phases (Troupe)
    TwoPhase,
}

/// What a workload reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Space {
    /// Values of the raw space; at etcd, its only one.
    Raw,
    /// Values of the transactional space.
    Kv,
    /// Balances of accounts, in the transactional space.
    Accounts,
}

/// Transfers that a workload makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferKind {
    /// Between which accounts.
    pub pairing: Pairing,
    /// On the condition that the amount is there?
    pub conditional: bool,
    /// Commit in two phases, even where less would do?
    pub two_phase: bool,
}

impl Workload {
    /// As in results and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Mixed => "mixed",
            Self::KvPut => "kv-put",
            Self::KvGet => "kv-get",
            Self::Transfer => "transfer",
            Self::TransferIf => "transfer-if",
            Self::OnePhase => "one-phase",
            Self::NearTwoPhase => "near-two-phase",
            Self::Async => "async",
            Self::TwoPhase => "two-phase",
        }
    }

    /// What it reads and writes.
    #[must_use]
    pub fn space(self) -> Space {
        match self {
            Self::Put | Self::Get | Self::Mixed => Space::Raw,
            Self::KvPut | Self::KvGet => Space::Kv,
            Self::Transfer
            | Self::TransferIf
            | Self::OnePhase
            | Self::NearTwoPhase
            | Self::Async
            | Self::TwoPhase => Space::Accounts,
        }
    }

    /// The transfers that it makes, if these are what it makes.
    #[must_use]
    pub fn transfers(self) -> Option<TransferKind> {
        let kind = |pairing, two_phase| {
            Some(TransferKind { pairing, conditional: self == Self::TransferIf, two_phase })
        };
        match self {
            Self::Put | Self::Get | Self::Mixed | Self::KvPut | Self::KvGet => None,
            Self::Transfer | Self::TransferIf => kind(Pairing::Any, false),
            Self::OnePhase => kind(Pairing::OneRegion, false),
            Self::NearTwoPhase => kind(Pairing::OneRegion, true),
            Self::Async => kind(Pairing::TwoRegions, false),
            Self::TwoPhase => kind(Pairing::TwoRegions, true),
        }
    }

    /// Can `target` do it? What tells Regions or spaces apart is only for Troupe.
    #[must_use]
    pub fn is_for(self, target: TargetName) -> bool {
        match target {
            TargetName::Troupe | TargetName::Running => true,
            TargetName::Etcd | TargetName::EchoHttp | TargetName::EchoGrpc => {
                let whole = self.transfers().is_some_and(|kind| kind.pairing == Pairing::Any);
                whole || self.space() == Space::Raw
            }
        }
    }
}

/// One measurement to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellPlan {
    /// What clients do.
    pub workload: Workload,
    /// How many of them.
    pub clients: usize,
    /// Requests a second in an open loop; `None`: each client sends the next one when it has its answer.
    pub rate: Option<u32>,
}

/// A run, as the command line wants it.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is measured; in each repetition one after the other.
    pub targets: Vec<TargetName>,
    /// Measurements with each fresh cluster, in this order.
    pub cells: Vec<CellPlan>,
    /// Lengths of values; each has clusters of its own.
    pub value_bytes: Vec<usize>,
    /// Clusters of each target and length.
    pub repetitions: u32,
    /// Different keys.
    pub keys: u32,
    /// In front of each measurement, not counted.
    pub warm_up: Duration,
    /// Of each measurement.
    pub duration: Duration,
}

/// A minute's worth of each.
const QUICK_CLIENTS: &[usize] = &[1, 256];
const CLIENTS: &[usize] = &[1, 64, 256];
const QUICK_WORKLOADS: &[Workload] = &[Workload::Put, Workload::Get];
const WORKLOADS: &[Workload] = &[Workload::Put, Workload::Get, Workload::Mixed];
const QUICK_VALUES: &[usize] = &[256];
const VALUES: &[usize] = &[256, 1024];

impl Options {
    /// What `args` say, with defaults for the rest.
    #[must_use]
    pub fn new(args: &BenchRunArgs) -> Self {
        let quick = args.quick;
        let clients = chosen(&args.clients, if quick { QUICK_CLIENTS } else { CLIENTS });
        let workloads = chosen(&args.workloads, if quick { QUICK_WORKLOADS } else { WORKLOADS });
        let rates = chosen(&args.rate, &[]);
        let seconds = |given: Option<Duration>, quickly, fully| {
            given.unwrap_or(Duration::from_secs(if quick { quickly } else { fully }))
        };
        Self {
            targets: args.targets.clone(),
            cells: cells(&clients, &workloads, &rates, args.open_only),
            value_bytes: chosen(&args.value_bytes, if quick { QUICK_VALUES } else { VALUES }),
            repetitions: args.repetitions.unwrap_or(if quick { 1 } else { 3 }),
            keys: args.keys,
            warm_up: seconds(args.warm_up, 1, 2),
            duration: seconds(args.duration, 3, 6),
        }
    }
}

fn chosen<T: Clone>(given: &[T], otherwise: &[T]) -> Vec<T> {
    if given.is_empty() { otherwise.to_vec() } else { given.to_vec() }
}

/// Closed loops with few clients first; open loops have as many clients as the largest closed one.
fn cells(
    clients: &[usize],
    workloads: &[Workload],
    rates: &[u32],
    open_only: bool,
) -> Vec<CellPlan> {
    let mut cells = Vec::new();
    for &clients in if open_only { &[] } else { clients } {
        cells.extend(workloads.iter().map(|&workload| CellPlan { workload, clients, rate: None }));
    }
    let most = clients.iter().copied().max().unwrap_or(1);
    for &rate in rates {
        let open = |&workload| CellPlan { workload, clients: most, rate: Some(rate) };
        cells.extend(workloads.iter().map(open));
    }
    cells
}

#[cfg(test)]
mod tests;
