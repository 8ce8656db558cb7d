//! Replicas that applied the same entries hold the same data.
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use troupe_storage::engine::{Cf, KvEngine};
use troupe_storage::region_state::{ReplicaState, read_apply_state, read_replica_state};
use troupe_types::{KeyRange, LogIndex, RegionId, StoreId, codec};
use xxhash_rust::xxh3::Xxh3;

/// How one replica stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// On which Store.
    pub store: StoreId,
    /// Last applied entry.
    pub applied: LogIndex,
    /// Hash over its shape and all rows of its range.
    pub data: u64,
    /// Rows of its range.
    pub rows: u64,
}

/// All replicas with data on the Stores `engines`, by Region.
#[must_use]
pub fn replicas(engines: &[(StoreId, &dyn KvEngine)]) -> BTreeMap<RegionId, Vec<Replica>> {
    let mut all: BTreeMap<RegionId, Vec<Replica>> = BTreeMap::new();
    for (store, engine) in engines {
        for region in regions(*engine) {
            if let Some(replica) = replica(*store, *engine, region) {
                all.entry(region).or_default().push(replica);
            }
        }
    }
    all
}

/// All Regions that the Store knows of, in order.
pub(crate) fn regions(engine: &dyn KvEngine) -> Vec<RegionId> {
    let mut found = Vec::new();
    let scanned =
        engine.snapshot().scan(Cf::Raft, &KeyRange::prefix(b"R"), false, &mut |key, _| {
            let id: [u8; 8] = key[1..].try_into().expect("a Region's row ends with its number");
            found.push(RegionId(u64::from_be_bytes(id)));
            ControlFlow::Continue(())
        });
    scanned.expect("the memory twin reads");
    found
}

fn replica(store: StoreId, engine: &dyn KvEngine, region: RegionId) -> Option<Replica> {
    let state = read_replica_state(engine, region).expect("the row decodes")?;
    let ReplicaState::Normal { region: shape, .. } = state else { return None };
    let applied = read_apply_state(engine, region).expect("the row decodes")?.applied;
    let mut hash = Xxh3::new();
    hash.update(&codec::encode(&shape));
    // Transactional rows lie under encoded keys.
    let range = shape.range.data_range();
    let (snapshot, mut rows) = (engine.snapshot(), 0);
    for cf in Cf::DATA {
        hash.update(cf.name().as_bytes());
        let scanned = snapshot.scan(cf, &range, false, &mut |key, value| {
            for part in [key, value] {
                hash.update(&(part.len() as u64).to_be_bytes());
                hash.update(part);
            }
            rows += 1;
            ControlFlow::Continue(())
        });
        scanned.expect("the memory twin reads");
    }
    Some(Replica { store, applied, data: hash.digest(), rows })
}

/// Pairs of replicas that applied equally much and differ.
#[must_use]
pub fn differences(all: &BTreeMap<RegionId, Vec<Replica>>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (region, replicas) in all {
        for (i, one) in replicas.iter().enumerate() {
            let differs = |other: &&Replica| other.applied == one.applied && other.data != one.data;
            let others = replicas[i + 1..].iter().filter(differs);
            wrong.extend(others.map(|other| format!("region {region}: {one:?} and {other:?}")));
        }
    }
    wrong
}

/// Do all replicas of each Region stand at the same entry?
#[must_use]
pub fn are_level(all: &BTreeMap<RegionId, Vec<Replica>>) -> bool {
    all.values().all(|replicas| replicas.windows(2).all(|pair| pair[0].applied == pair[1].applied))
}

#[cfg(test)]
mod tests;
