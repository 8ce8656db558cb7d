//! Which Region holds a key and who leads it: rebuilt from reports, never stored.
use std::collections::BTreeMap;
use troupe_types::ids::SYSTEM_REGION;
use troupe_types::pd::{RegionReport, RegionRoute};
use troupe_types::{Key, KeyRange, Moment, Region, RegionId, StoreId, Term};

#[derive(Clone, Debug)]
struct Entry {
    route: RegionRoute,
    term: Term,
    /// When its leader last reported to this reign; `None` = known from the bootstrap alone.
    reported: Option<Moment>,
}

/// Invariant: no two Regions overlap, and `by_start` names each Region once.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    regions: BTreeMap<RegionId, Entry>,
    by_start: BTreeMap<Key, RegionId>,
}

impl Routes {
    /// Knows the Regions of the bootstrap, without leaders.
    pub fn seeded<'a>(regions: impl Iterator<Item = &'a Region>) -> Self {
        let mut routes = Self::default();
        for region in regions {
            routes.seed(region);
        }
        routes
    }

    /// Adds a Region of the bootstrap.
    pub fn seed(&mut self, region: &Region) {
        let route = RegionRoute {
            region: region.clone(),
            leader: None,
            down: Vec::new(),
            pending: Vec::new(),
            approximate_bytes: 0,
        };
        self.insert(Entry { route, term: Term(0), reported: None });
    }

    /// Takes a report of a leader. Answers whether it was news: a report of a deposed leader or of
    /// an older shape is not.
    pub fn report(&mut self, report: &RegionReport, now: Moment) -> bool {
        if let Some(known) = self.regions.get(&report.region.id) {
            let is_older = report.region.epoch.is_stale(known.route.region.epoch);
            if is_older || report.term < known.term {
                return false;
            }
        }
        let newer = |id: &RegionId| {
            let other = &self.regions[id].route.region;
            other.id != report.region.id && other.epoch.version > report.region.epoch.version
        };
        if self.overlapping_ids(&report.region.range).iter().any(newer) {
            return false;
        }
        let route = RegionRoute {
            region: report.region.clone(),
            leader: Some(report.leader),
            down: report.down.clone(),
            pending: report.pending.clone(),
            approximate_bytes: report.approximate_bytes,
        };
        self.insert(Entry { route, term: report.term, reported: Some(now) });
        true
    }

    fn insert(&mut self, entry: Entry) {
        let id = entry.route.region.id;
        let mut gone = self.overlapping_ids(&entry.route.region.range);
        gone.push(id);
        for old in gone {
            if let Some(old) = self.regions.remove(&old) {
                self.by_start.remove(&old.route.region.range.start);
            }
        }
        self.by_start.insert(entry.route.region.range.start.clone(), id);
        self.regions.insert(id, entry);
        debug_assert_eq!(self.regions.len(), self.by_start.len(), "both name each Region once");
    }

    fn overlapping_ids(&self, range: &KeyRange) -> Vec<RegionId> {
        self.in_order(range).map(|entry| entry.route.region.id).collect()
    }

    /// Entries that overlap `range`, in key order.
    fn in_order<'a>(&'a self, range: &'a KeyRange) -> impl Iterator<Item = &'a Entry> {
        let before = self.by_start.range(..=range.start.clone()).next_back();
        let first = before.map_or_else(|| range.start.clone(), |(start, _)| start.clone());
        let entries = self.by_start.range(first..).map(|(_, id)| &self.regions[id]);
        let is_behind =
            move |e: &&Entry| range.end.is_empty() || e.route.region.range.start < range.end;
        let entries = entries.take_while(is_behind);
        entries.filter(move |entry| entry.route.region.range.intersect(range).is_some())
    }

    /// The Region that holds `key`.
    #[must_use]
    pub fn by_key(&self, key: &Key) -> Option<&RegionRoute> {
        let (_, id) = self.by_start.range(..=key.clone()).next_back()?;
        let route = &self.regions[id].route;
        route.region.range.contains(key).then_some(route)
    }

    /// The Region `id`.
    #[must_use]
    pub fn get(&self, id: RegionId) -> Option<&RegionRoute> {
        self.regions.get(&id).map(|entry| &entry.route)
    }

    /// When the leader of `id` last reported.
    #[must_use]
    pub fn reported(&self, id: RegionId) -> Option<Moment> {
        self.regions.get(&id)?.reported
    }

    /// At most `limit` Regions that overlap `range`, in key order.
    #[must_use]
    pub fn overlapping(&self, range: &KeyRange, limit: usize) -> Vec<RegionRoute> {
        self.in_order(range).take(limit).map(|entry| entry.route.clone()).collect()
    }

    /// Number of Regions known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.regions.len()
    }

    /// Is no Region known?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.regions.is_empty()
    }

    /// Replicas on `store`.
    #[must_use]
    pub fn replicas_on(&self, store: StoreId) -> usize {
        let routes = self.regions.values().map(|entry| &entry.route);
        routes.filter(|route| route.region.peer_on(store).is_some()).count()
    }

    /// Regions led by `store`.
    #[must_use]
    pub fn leaders_on(&self, store: StoreId) -> usize {
        let routes = self.regions.values().map(|entry| &entry.route);
        routes.filter(|route| route.leader.is_some_and(|leader| leader.store == store)).count()
    }

    /// Have the system Region and Regions that cover the whole raw and transactional spaces reported in
    /// this reign? Before the bootstrap there are none.
    #[must_use]
    pub fn are_complete(&self) -> bool {
        let Some(system) = self.regions.get(&SYSTEM_REGION) else { return false };
        if system.reported.is_none() {
            return false;
        }
        let spaces = [KeyRange::raw_space(), KeyRange::txn_space()];
        self.regions.len() == 1 || spaces.iter().all(|space| self.is_reported(space))
    }

    fn is_reported(&self, space: &KeyRange) -> bool {
        let mut covered = space.start.clone();
        for entry in self.in_order(space) {
            let range = &entry.route.region.range;
            if entry.reported.is_none() || range.start > covered {
                return false;
            }
            covered = range.end.clone();
        }
        covered.is_empty() || covered >= space.end
    }
}
