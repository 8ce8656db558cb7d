//! Which Region holds a key, and who leads it, as last heard. May be wrong: the Region itself refuses
//! what was sent by an old route, and says better.
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;
use troupe_types::{Key, KeyRange, Peer, Region, RegionEpoch, RegionId};

/// A Region and its leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its shape.
    pub region: Region,
    /// Who leads, if known.
    pub leader: Option<Peer>,
}

/// All routes that are known. Invariant: ranges do not overlap, and each Region has one route.
#[derive(Debug, Default)]
pub struct RegionCache {
    by_start: BTreeMap<Key, Arc<Route>>,
    starts: BTreeMap<RegionId, Key>,
}

impl RegionCache {
    /// The Region that holds `key`.
    #[must_use]
    pub fn lookup(&self, key: &[u8]) -> Option<Arc<Route>> {
        let (_, route) = self.by_start.range::<[u8], _>((Unbounded, Included(key))).next_back()?;
        route.region.range.contains(key).then(|| route.clone())
    }

    /// The Region that holds the largest keys below `end`. `end` must not be empty.
    #[must_use]
    pub fn lookup_below(&self, end: &[u8]) -> Option<Arc<Route>> {
        let (_, route) = self.by_start.range::<[u8], _>((Unbounded, Excluded(end))).next_back()?;
        let its_end = &route.region.range.end;
        (its_end.is_empty() || its_end.as_ref() >= end).then(|| route.clone())
    }

    /// The Region with `id`.
    #[must_use]
    pub fn by_id(&self, id: RegionId) -> Option<Arc<Route>> {
        self.by_start.get(self.starts.get(&id)?).cloned()
    }

    /// Learns a route, and forgets the older ones that it overlaps. `false` if what is known is newer.
    /// A `leader` of `None` keeps the known one.
    pub fn insert(&mut self, region: Region, leader: Option<Peer>) -> bool {
        let known = self.by_id(region.id);
        if known.as_ref().is_some_and(|known| region.epoch.is_stale(known.region.epoch)) {
            return false;
        }
        let others = self.overlapping(&region.range);
        let is_outdated = others.iter().any(|other| {
            other.region.id != region.id && other.region.epoch.version > region.epoch.version
        });
        if is_outdated {
            return false;
        }
        let leader = leader.or_else(|| known.as_ref().and_then(|known| known.leader));
        let leader = leader.filter(|leader| region.peer(leader.id).is_some());
        for other in others.iter().chain(known.iter()) {
            self.remove(other.region.id);
        }
        self.starts.insert(region.id, region.range.start.clone());
        let start = region.range.start.clone();
        self.by_start.insert(start, Arc::new(Route { region, leader }));
        true
    }

    fn overlapping(&self, range: &KeyRange) -> Vec<Arc<Route>> {
        let first = self.lookup(&range.start);
        let behind = (Excluded(range.start.as_ref()), Unbounded);
        let further = self.by_start.range::<[u8], _>(behind);
        let further = further
            .take_while(|(start, _)| range.end.is_empty() || **start < range.end)
            .map(|(_, route)| route.clone());
        first.into_iter().chain(further).collect()
    }

    fn remove(&mut self, id: RegionId) {
        if let Some(start) = self.starts.remove(&id) {
            self.by_start.remove(&start);
        }
    }

    /// Forgets the route of `id`, unless a newer one than `epoch` is known by now.
    pub fn invalidate(&mut self, id: RegionId, epoch: RegionEpoch) {
        if self.by_id(id).is_some_and(|known| known.region.epoch == epoch) {
            self.remove(id);
        }
    }

    /// Learns who leads `id`; `None` = the one that was thought to lead does not.
    pub fn set_leader(&mut self, id: RegionId, leader: Option<Peer>) {
        let Some(route) = self.starts.get(&id).and_then(|start| self.by_start.get_mut(start))
        else {
            return;
        };
        if route.leader != leader {
            *route = Arc::new(Route { region: route.region.clone(), leader });
        }
    }

    /// Number of routes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_start.len()
    }

    /// Is nothing known?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_start.is_empty()
    }
}
