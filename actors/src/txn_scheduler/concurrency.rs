//! What readers and committing transactions of a Store tell each other: the largest timestamp that was
//! read at, and locks that are on their way into the engine.
//!
//! An asynchronous or one-phase commit takes its commit timestamp from here, without asking PD. It must
//! not land below a snapshot that was read already and showed the key without it. Both sides write
//! first and look then, so that at least one of them sees the other:
//!
//! ```text
//!   reader at ts                            prewrite that chooses its commit timestamp
//!   1. max_ts = max(max_ts, ts)             1. publish a lock on each key: blocks from start_ts on
//!   2. look at published locks              2. read max_ts
//!   3. take the engine's snapshot           3. execute with it: min_commit_ts > max_ts
//!                                           4. published locks now block from min_commit_ts on
//!                                           5. withdraw them when the changes are in the engine
//! ```
//! If the reader's step 1 comes before the writer's step 2, the commit lands above `ts`. Otherwise the
//! lock was published before the reader's step 2: it is blocked, or the lock says by then that it
//! commits above `ts`, or it is withdrawn, and the snapshot of step 3 holds the stored lock or the
//! commit. All four accesses are sequentially consistent.
//!
//! A lock whose outcome is unknown stays until nobody reads here in its term; see `flights.rs`.
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use troupe_types::txn::{LockInfo, ReadIsolation, ReadView};
use troupe_types::{Key, KeyRange, Timestamp};

/// See the module. One for each Store, shared by its readers and its transactional commands.
#[derive(Debug, Default)]
pub struct ConcurrencyManager {
    max_ts: AtomicU64,
    /// Published locks: what a reader needs to see that there are none.
    count: AtomicUsize,
    locks: Mutex<BTreeMap<Key, LockInfo>>,
}

impl ConcurrencyManager {
    /// The largest timestamp that was read at, or that PD had given when a replica here began to lead.
    #[must_use]
    pub fn max_ts(&self) -> Timestamp {
        Timestamp(self.max_ts.load(Ordering::SeqCst))
    }

    /// No commit timestamp that is chosen from now on is `ts` or below. [`Timestamp::MAX`] is no
    /// snapshot and leaves no trace.
    pub fn raise(&self, ts: Timestamp) {
        if ts != Timestamp::MAX {
            self.max_ts.fetch_max(ts.get(), Ordering::SeqCst);
        }
    }

    /// The reader's step 1.
    pub fn note_read(&self, view: &ReadView) {
        match view.isolation {
            ReadIsolation::Snapshot => self.raise(view.ts),
            ReadIsolation::ReadCommitted => {}
        }
    }

    /// Publishes `locks`, in place of what was published for their keys.
    pub fn publish(&self, locks: impl IntoIterator<Item = LockInfo>) {
        let mut published = self.lock();
        for lock in locks {
            published.insert(lock.key.clone(), lock);
        }
        self.count.store(published.len(), Ordering::SeqCst);
    }

    /// Publishes `locks` in place of all that was published for `keys`.
    pub fn replace(&self, keys: &[Key], locks: Vec<LockInfo>) {
        let mut published = self.lock();
        for key in keys {
            published.remove(key);
        }
        published.extend(locks.into_iter().map(|lock| (lock.key.clone(), lock)));
        self.count.store(published.len(), Ordering::SeqCst);
    }

    /// Withdraws what was published for `keys`.
    pub fn withdraw(&self, keys: &[Key]) {
        self.replace(keys, Vec::new());
    }

    /// The published lock on `key` that blocks a read with `view`.
    #[must_use]
    pub fn blocking(&self, key: &Key, view: &ReadView) -> Option<LockInfo> {
        if self.count.load(Ordering::SeqCst) == 0 {
            return None;
        }
        self.lock().get(key).filter(|lock| blocks(lock, view)).cloned()
    }

    /// The first published lock in `range`, from its end if `reverse`, that blocks a read with `view`.
    #[must_use]
    pub fn first_blocking(
        &self,
        range: &KeyRange,
        reverse: bool,
        view: &ReadView,
    ) -> Option<LockInfo> {
        if self.count.load(Ordering::SeqCst) == 0 || range.is_empty() {
            return None;
        }
        let end = match range.end.is_empty() {
            true => Bound::Unbounded,
            false => Bound::Excluded(range.end.clone()),
        };
        let published = self.lock();
        let mut inside = published.range((Bound::Included(range.start.clone()), end));
        let is_in_the_way = |entry: &(&Key, &LockInfo)| blocks(entry.1, view);
        let found = if reverse { inside.rfind(is_in_the_way) } else { inside.find(is_in_the_way) };
        found.map(|(_, lock)| lock.clone())
    }

    /// Locks that are published now.
    #[must_use]
    pub fn published(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, LockInfo>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Must a read with `view` wait for `lock`? A read of the newest waits for every lock, since it has no
/// timestamp that a commit could be compared with.
#[must_use]
pub fn blocks(lock: &LockInfo, view: &ReadView) -> bool {
    if view.isolation == ReadIsolation::ReadCommitted {
        return false;
    }
    if view.bypass.contains(&lock.start_ts) || view.access.contains(&lock.start_ts) {
        return false;
    }
    view.ts == Timestamp::MAX || (lock.start_ts <= view.ts && lock.min_commit_ts <= view.ts)
}
