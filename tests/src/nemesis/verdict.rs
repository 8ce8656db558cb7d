//! The claims about a window of the history, and about the Stores at the end.
use super::cluster::Cluster;
use super::load::Window;
use super::lost::fate;
use crate::sim::checkers::linear::{Verdict, check_key};
use crate::sim::checkers::state::{Replica, differences, replicas};
use crate::workload::Record;
use std::collections::BTreeMap;
use troupe_storage::engine::KvEngine;
use troupe_storage::engine::rocks::{RocksEngine, RocksOptions};
use troupe_types::{RegionId, SYSTEM_REGION, StoreId};

/// What the check of a window came to.
#[derive(Clone, Debug, Default)]
pub struct WindowVerdict {
    /// Keys whose operations have an order that explains them.
    pub linearizable: u64,
    /// Keys with too many possibilities. Never counts as passed.
    pub undecided: u64,
    /// Acknowledged writes.
    pub acknowledged: u64,
    /// Acknowledged writes that are gone.
    pub lost: u64,
    /// Most operations on one key.
    pub busiest: u64,
    /// What is wrong, for people.
    pub wrong: Vec<String>,
}

/// Checks every key of a window.
#[must_use]
pub fn check_window(window: &Window) -> WindowVerdict {
    let mut keys: BTreeMap<u32, Vec<Record>> = BTreeMap::new();
    for record in window.records() {
        keys.entry(record.key).or_default().push(record);
    }
    let mut all = WindowVerdict::default();
    for (key, records) in keys {
        let name = format!("key {key} of window {}", window.number);
        all.busiest = all.busiest.max(records.len() as u64);
        match check_key(&records) {
            Verdict::Linearizable => all.linearizable += 1,
            Verdict::Violation(why) => all.wrong.push(format!("{name} is not linearizable: {why}")),
            Verdict::Undecided => all.undecided += 1,
        }
        let fate = fate(&records);
        all.acknowledged += fate.acknowledged;
        all.lost += fate.lost.len() as u64;
        if fate.is_ghost {
            all.wrong.push(format!("{name} has a value that nobody wrote"));
        }
        if let Some(first) = fate.lost.first() {
            let count = fate.lost.len();
            all.wrong.push(format!("{name} lost {count} acknowledged writes, first: {first}"));
        }
    }
    all
}

/// Opens the Stores of nodes that were stopped, and compares their replicas.
///
/// # Panics
/// A Store does not open.
#[must_use]
pub fn stored(cluster: &Cluster) -> BTreeMap<RegionId, Vec<Replica>> {
    let open = |node| {
        let folder = cluster.data(node).join("kv");
        let engine = RocksEngine::open(&folder, &RocksOptions::default());
        (StoreId(node as u64 + 1), engine.expect("a stopped Store opens"))
    };
    let engines: Vec<_> = (0..cluster.size()).map(open).collect();
    let borrowed: Vec<(StoreId, &dyn KvEngine)> =
        engines.iter().map(|(store, engine)| (*store, engine as &dyn KvEngine)).collect();
    replicas(&borrowed)
}

/// What is wrong with the replicas of `nodes` Stores, when all clients had ended and every replica
/// had applied their writes before the stop. Leaders that hand over while they stop add empty
/// entries, so replicas may stand at different ones then; their data must be equal all the same. Only
/// the system Region is written by the nodes themselves: there, equal entries make equal data.
#[must_use]
pub fn check_replicas(all: &BTreeMap<RegionId, Vec<Replica>>, nodes: usize) -> Vec<String> {
    let mut wrong = differences(all);
    for (region, replicas) in all {
        if replicas.len() != nodes {
            wrong.push(format!("region {region} has not {nodes} replicas but {replicas:?}"));
        }
        let is_equal = replicas.windows(2).all(|pair| pair[0].data == pair[1].data);
        if *region != SYSTEM_REGION && !is_equal {
            wrong.push(format!("region {region} holds unequal data: {replicas:?}"));
        }
    }
    wrong
}

/// Pairs of replicas that stand at the same entry.
#[must_use]
pub fn level_pairs(all: &BTreeMap<RegionId, Vec<Replica>>) -> usize {
    let pairs = all.values().flat_map(|replicas| {
        (0..replicas.len()).flat_map(move |i| (0..i).map(move |j| (&replicas[i], &replicas[j])))
    });
    pairs.filter(|(one, other)| one.applied == other.applied).count()
}
