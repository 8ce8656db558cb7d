//! Pessimistic locks that a leader holds in memory only. They are lost with the term, or with the
//! actor: a prewrite that misses its lock makes it anew if nobody has committed since, so that a lost
//! lock costs a transaction at most a conflict, never its atomicity.
use std::collections::BTreeMap;
use troupe_storage::mvcc::Lock;
use troupe_types::txn::LockInfo;
use troupe_types::{Key, KeyRange, RegionId, Term, Timestamp};

/// Bytes of a lock beside its keys.
const OVERHEAD: usize = 128;

/// The locks of one Region in one term.
#[derive(Debug, Default)]
struct RegionLocks {
    term: Term,
    locks: BTreeMap<Key, Lock>,
    bytes: usize,
}

/// See the module.
#[derive(Debug)]
pub struct MemoryLocks {
    regions: BTreeMap<RegionId, RegionLocks>,
    bytes: usize,
    region_limit: usize,
    store_limit: usize,
}

fn size(key: &Key, lock: &Lock) -> usize {
    key.len() + lock.primary.len() + OVERHEAD
}

impl MemoryLocks {
    /// At most so many bytes in a Region, and in all of them. What does not fit is replicated.
    #[must_use]
    pub fn new(region_limit: usize, store_limit: usize) -> Self {
        Self { regions: BTreeMap::new(), bytes: 0, region_limit, store_limit }
    }

    /// Is there room for more in `region`?
    #[must_use]
    pub fn has_room(&self, region: RegionId) -> bool {
        let held = self.regions.get(&region).map_or(0, |locks| locks.bytes);
        held < self.region_limit && self.bytes < self.store_limit
    }

    /// The locks on `keys`, and the term in which they hold.
    #[must_use]
    pub fn view<'k>(
        &self,
        region: RegionId,
        keys: impl IntoIterator<Item = &'k Key>,
    ) -> (Term, BTreeMap<Key, Lock>) {
        let Some(held) = self.regions.get(&region).filter(|held| !held.locks.is_empty()) else {
            return (Term(0), BTreeMap::new());
        };
        let of = |key: &Key| held.locks.get(key).map(|lock| (key.clone(), lock.clone()));
        (held.term, keys.into_iter().filter_map(of).collect())
    }

    /// Locks in `range` of transactions that began at or below `max_ts`, at most `limit`, in key order.
    #[must_use]
    pub fn in_range(
        &self,
        region: RegionId,
        range: &KeyRange,
        (max_ts, limit): (Timestamp, usize),
    ) -> Vec<LockInfo> {
        let Some(held) = self.regions.get(&region) else { return Vec::new() };
        let inside = held.locks.range(range.start.clone()..);
        let inside = inside.take_while(|(key, _)| range.contains(key));
        let wanted = inside.filter(|(_, lock)| lock.start_ts <= max_ts).take(limit);
        wanted.map(|(key, lock)| lock.info(key.clone())).collect()
    }

    /// Holds `locks` from now on, which were decided in `term`. Those of an earlier term go; those of
    /// a term that is over are not taken.
    pub fn remember(&mut self, region: RegionId, term: Term, locks: Vec<(Key, Lock)>) {
        if locks.is_empty() || self.regions.get(&region).is_some_and(|held| held.term > term) {
            return;
        }
        self.enter_term(region, term);
        let held = self.regions.entry(region).or_default();
        held.term = term;
        let before = held.bytes;
        for (key, lock) in locks {
            held.bytes += size(&key, &lock);
            if let Some(old) = held.locks.insert(key.clone(), lock) {
                held.bytes -= size(&key, &old);
            }
        }
        self.bytes = self.bytes - before + held.bytes;
    }

    /// The locks on `keys` have ended, as was decided in `term`.
    pub fn forget(&mut self, region: RegionId, term: Term, keys: &[Key]) {
        let Some(held) = self.regions.get_mut(&region).filter(|held| held.term == term) else {
            return;
        };
        for key in keys {
            if let Some(old) = held.locks.remove(key) {
                held.bytes -= size(key, &old);
                self.bytes -= size(key, &old);
            }
        }
    }

    /// `term` has begun: locks of earlier ones are lost.
    pub fn enter_term(&mut self, region: RegionId, term: Term) {
        if self.regions.get(&region).is_some_and(|held| held.term < term) {
            self.drop_region(region);
        }
    }

    /// The Region's leader or term has changed: its locks are lost.
    pub fn drop_region(&mut self, region: RegionId) {
        if let Some(held) = self.regions.remove(&region) {
            self.bytes -= held.bytes;
        }
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
