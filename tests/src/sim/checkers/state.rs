//! Replicas that applied the same entries hold the same data.
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use troupe_pd_actor::core::rows::GC;
use troupe_storage::engine::{Cf, KvEngine};
use troupe_storage::gc::visible_rows;
use troupe_storage::region_state::{ReplicaState, read_apply_state, read_replica_state};
use troupe_types::txn::gc::GcState;
use troupe_types::{KeyRange, LogIndex, RegionId, StoreId, Timestamp, codec};
use xxhash_rust::xxh3::Xxh3;

/// How one replica stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// On which Store.
    pub store: StoreId,
    /// Last applied entry.
    pub applied: LogIndex,
    /// Hash over its shape and all rows of its range that can be seen.
    pub data: u64,
    /// Such rows.
    pub rows: u64,
}

/// All replicas with data on the Stores `engines`, by Region.
///
/// Stores collect garbage at their own pace: what counts is what can still be seen behind the newest GC
/// safe point.
#[must_use]
pub fn replicas(engines: &[(StoreId, &dyn KvEngine)]) -> BTreeMap<RegionId, Vec<Replica>> {
    let collected = engines.iter().map(|(_, engine)| gc_safe_point(*engine)).max();
    let collected = collected.unwrap_or_default();
    let mut all: BTreeMap<RegionId, Vec<Replica>> = BTreeMap::new();
    for (store, engine) in engines {
        for region in regions(*engine) {
            if let Some(replica) = replica(*store, *engine, region, collected) {
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

/// The GC safe point by PD's rows, if the Store has a replica of them.
fn gc_safe_point(engine: &dyn KvEngine) -> Timestamp {
    let row = engine.get(Cf::Default, GC).expect("the engine reads");
    row.map_or(Timestamp::ZERO, |row| {
        codec::decode::<GcState>(&row).expect("the row decodes").gc_safe_point
    })
}

fn replica(
    store: StoreId,
    engine: &dyn KvEngine,
    region: RegionId,
    collected: Timestamp,
) -> Option<Replica> {
    let state = read_replica_state(engine, region).expect("the row decodes")?;
    let ReplicaState::Normal { region: shape, .. } = state else { return None };
    let applied = read_apply_state(engine, region).expect("the row decodes")?.applied;
    let mut hash = Xxh3::new();
    hash.update(&codec::encode(&shape));
    // Transactional rows lie under encoded keys.
    let range = shape.range.data_range();
    let rows = visible_rows(&*engine.snapshot(), &range, collected);
    let rows = rows.expect("the memory twin reads");
    for (cf, key, value) in &rows {
        for part in [cf.name().as_bytes(), key, value] {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    Some(Replica { store, applied, data: hash.digest(), rows: rows.len() as u64 })
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
