//! The first rows of a cluster and its first data Regions.
use super::Turn;
use super::rows::{CLUSTER, ClusterRow, RowChange, initial_key, put};
use super::serving::Serving;
use std::collections::{BTreeMap, BTreeSet};
use troupe_types::pd::{NodeInfo, StoreInfo, StoreState};
use troupe_types::{
    ClusterId, Key, KeyRange, NodeId, Peer, PeerId, Region, RegionEpoch, RegionId, StoreId,
};

/// A Store as its node names it: id, identity, labels.
pub type Registration = (StoreId, u64, Vec<(String, String)>);

/// What the first node of a new cluster knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootstrapPlan {
    /// Which cluster is made.
    pub cluster: ClusterId,
    /// Its name.
    pub name: String,
    /// The first node.
    pub node: NodeInfo,
    /// Its Stores. The first holds the first replica of the system Region.
    pub stores: Vec<Registration>,
    /// Voters that each data Region shall have.
    pub replicas: u32,
    /// Voters that the system Region shall have.
    pub pd_replicas: u32,
    /// Stores that must be there before the data Regions are made.
    pub bootstrap_stores: u32,
    /// How many Regions are made of each space (≥ 1); counts only without `split_keys`.
    pub bootstrap_regions: u32,
    /// Stored keys that cut the spaces, ascending; empty = [`initial_ranges`].
    pub split_keys: Vec<Key>,
}

/// A place for replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which Store.
    pub store: StoreId,
    /// Its node.
    pub node: NodeId,
}

/// Cuts a space of keyspace 0 into `count` ranges (≥ 1).
///
/// Keys that people choose mostly begin with printable ASCII, so half of the ranges share the
/// two-byte prefixes from `20 00` to `7f ff` evenly; a fifth of the other half lies below (control
/// characters, binary counters) and the rest above (UTF-8 beyond ASCII, hashes).
#[must_use]
pub fn initial_ranges(space: &KeyRange, count: u32) -> Vec<KeyRange> {
    assert!(count >= 1, "at least one range");
    let cut = |i: u32| {
        // In tenths of a range: one tenth of all below 0x20, five printable, four above.
        let (at, count) = (u64::from(i) * 10, u64::from(count));
        let prefix = if at < count {
            at * 0x2000 / count
        } else if at < 6 * count {
            0x2000 + (at - count) * 0x6000 / (5 * count)
        } else {
            0x8000 + (at - 6 * count) * 0x8000 / (4 * count)
        };
        let prefix = u16::try_from(prefix).expect("invariant: i < count");
        [&space.start[..], &prefix.to_be_bytes()[..]].concat().into()
    };
    cut_space(space, (1..count).map(cut))
}

/// Cuts `space` at `keys` (ascending); keys that lie outside or repeat are left out.
pub fn cut_space(space: &KeyRange, keys: impl Iterator<Item = Key>) -> Vec<KeyRange> {
    let mut ranges = Vec::new();
    let mut start = space.start.clone();
    for key in keys.filter(|key| space.contains(key)) {
        if key > start {
            ranges.push(KeyRange::new(start, key.clone()));
            start = key;
        }
    }
    ranges.push(KeyRange::new(start, space.end.clone()));
    ranges
}

/// Chooses Stores for each of `count` Regions: leaders (the first of each) and replicas are spread
/// evenly, and no two replicas of a Region share a node.
#[must_use]
pub fn assign(count: usize, replicas: u32, places: &[Place]) -> Vec<Vec<StoreId>> {
    assert!(!places.is_empty(), "somewhere to put them");
    let mut load: BTreeMap<StoreId, usize> = places.iter().map(|p| (p.store, 0)).collect();
    let mut regions = Vec::with_capacity(count);
    for i in 0..count {
        let first = i % places.len();
        let mut nodes = BTreeSet::new();
        let mut chosen = Vec::new();
        while chosen.len() < replicas.max(1) as usize {
            let around = (0..places.len()).map(|k| places[(first + k) % places.len()]);
            let free = around.filter(|place| !nodes.contains(&place.node));
            let next = if chosen.is_empty() {
                Some(places[first])
            } else {
                free.min_by_key(|place| load[&place.store])
            };
            let Some(place) = next else { break };
            nodes.insert(place.node);
            *load.entry(place.store).or_default() += 1;
            chosen.push(place.store);
        }
        regions.push(chosen);
    }
    regions
}

impl Serving {
    /// Makes the rows of a new cluster. Without a row, ids start at [`super::ids::FIRST_ID`].
    pub(super) fn write_initial_rows(&mut self, plan: &BootstrapPlan) {
        let cluster = ClusterRow {
            cluster: plan.cluster,
            name: plan.name.clone(),
            replicas: plan.replicas,
            pd_replicas: plan.pd_replicas,
            bootstrap_stores: plan.bootstrap_stores,
            bootstrap_regions: plan.bootstrap_regions,
            split_keys: plan.split_keys.clone(),
            bootstrapped: false,
        };
        self.put_cluster(cluster);
        self.put_node(plan.node.clone());
        for (id, identity, labels) in &plan.stores {
            self.put_store(StoreInfo {
                id: *id,
                node: plan.node.id,
                identity: *identity,
                state: StoreState::Up,
                labels: labels.clone(),
                bootstrapped: false,
            });
        }
    }

    fn put_cluster(&mut self, cluster: ClusterRow) {
        self.writer.stage(put(CLUSTER, &cluster));
        self.state.cluster = Some(cluster);
    }

    /// Plans the first data Regions once enough Stores are there.
    pub(super) fn bootstrap_regions(&mut self, turn: &mut Turn<'_>) {
        let Some(cluster) = self.state.cluster.clone().filter(|c| !c.bootstrapped) else { return };
        let stores = self.state.stores.values().filter(|store| store.state == StoreState::Up);
        let heard = stores.filter(|store| self.heard.since(store.id).is_some());
        let places: Vec<Place> = heard.map(|s| Place { store: s.id, node: s.node }).collect();
        if places.is_empty() || places.len() < cluster.bootstrap_stores as usize {
            return;
        }
        let cut = |space: KeyRange| {
            if cluster.split_keys.is_empty() {
                initial_ranges(&space, cluster.bootstrap_regions.max(1))
            } else {
                cut_space(&space, cluster.split_keys.iter().cloned())
            }
        };
        let ranges = [cut(KeyRange::raw_space()), cut(KeyRange::txn_space())].concat();
        let plans = assign(ranges.len(), cluster.replicas, &places);
        turn.note(format!("makes {} data Regions on {} Stores", ranges.len(), places.len()));
        for (range, stores) in ranges.into_iter().zip(plans) {
            let region = self.new_region(range, &stores);
            self.writer.stage(put(initial_key(region.id), &region));
            self.routes.seed(&region);
            self.state.initial.insert(region.id, region);
        }
        self.put_cluster(ClusterRow { bootstrapped: true, ..cluster });
    }

    fn new_region(&mut self, range: KeyRange, stores: &[StoreId]) -> Region {
        let count = u32::try_from(stores.len()).expect("invariant: few replicas");
        let id = self.take_ids(count + 1);
        let peers = stores.iter().zip(id + 1..);
        Region {
            id: RegionId(id),
            range,
            epoch: RegionEpoch::INITIAL,
            peers: peers.map(|(store, peer)| Peer::voter(PeerId(peer), *store)).collect(),
        }
    }

    /// Initial Regions that `store` shall make.
    pub(super) fn regions_to_create(&self, store: StoreId) -> Vec<Region> {
        if self.state.stores.get(&store).is_none_or(|store| store.bootstrapped) {
            return Vec::new();
        }
        let regions = self.state.initial.values();
        regions.filter(|region| region.peer_on(store).is_some()).cloned().collect()
    }

    /// `store` has made its replicas. When the last one has, the plan is forgotten.
    pub(super) fn on_bootstrapped(&mut self, store: StoreId) {
        let Some(info) = self.state.stores.get(&store).filter(|info| !info.bootstrapped) else {
            return;
        };
        self.put_store(StoreInfo { bootstrapped: true, ..info.clone() });
        let waits = |region: &Region| {
            let stores = region.peers.iter().filter_map(|peer| self.state.stores.get(&peer.store));
            stores.into_iter().any(|s| !s.bootstrapped && s.state != StoreState::Removed)
        };
        if self.state.initial.values().any(waits) {
            return;
        }
        for id in std::mem::take(&mut self.state.initial).into_keys() {
            let removed: RowChange = (initial_key(id), None);
            self.writer.stage(removed);
        }
    }
}
