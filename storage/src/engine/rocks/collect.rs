//! Garbage collection in RocksDB.
//!
//! ```text
//! compaction of `write` ─► filter ─ drops a record that stands for itself
//!                            └─ notes keys with more to do ─► waiting ─► collect(): looks at the whole
//!                                                                       key, removes by one batch
//! ```
//! The filter is called from C++: it never panics, and knows no more of a key than the files of its
//! compaction hold. RocksDB asks it without regard to snapshots, which is why it drops nothing that
//! a read at or above the safe point could want, in any snapshot.
//!
//! Compactions come by themselves where much is written. [`RocksEngine::collect`] asks for one of all
//! records when a good part of them was written since the last; that also turns up the keys that wait.
use super::RocksEngine;
use crate::engine::{Cf, Collected, KvEngine, Modify, WriteBatch};
use crate::error::StorageError;
use crate::gc::{self, Verdict, WriteFilter};
use rocksdb::compaction_filter::CompactionFilter;
use rocksdb::compaction_filter_factory::{CompactionFilterContext, CompactionFilterFactory};
use rocksdb::{BottommostLevelCompaction, CompactOptions, CompactionDecision, properties};
use std::collections::BTreeSet;
use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use troupe_types::key::TXN_PREFIX;
use troupe_types::{KeyRange, Timestamp};

/// Most keys that wait. More are noted by a later compaction, as nothing of them was dropped.
const MAX_WAITING: usize = 100_000;
/// Keys worked off by one call.
const KEYS_AT_ONCE: usize = 20_000;
/// A batch of removals is written when it has so many changes.
const BATCH_CHANGES: usize = 1000;
/// All records are compacted once this part of them (one in so many) is new.
const WORTH_A_COMPACTION: u64 = 4;
/// Below this, compacting all records costs next to nothing, and any new record is reason enough.
const SMALL_BYTES: u64 = 64 << 20;

/// What engine and filters share.
#[derive(Debug, Default)]
pub(super) struct Garbage {
    safe_point: AtomicU64,
    /// Records that may have become garbage since the last compaction of all.
    fresh: AtomicU64,
    /// Safe point of that compaction.
    compacted_at: AtomicU64,
    /// Largest number of records that one compaction met and that may be garbage by and by.
    young: AtomicU64,
    /// Records removed since the engine was opened.
    dropped: AtomicU64,
    /// What of it was reported.
    reported: AtomicU64,
    /// Encoded keys to look at.
    waiting: Mutex<BTreeSet<Box<[u8]>>>,
}

impl Garbage {
    pub(super) fn set_safe_point(&self, safe_point: Timestamp) {
        self.safe_point.fetch_max(safe_point.get(), Ordering::SeqCst);
    }

    fn safe_point(&self) -> Timestamp {
        Timestamp(self.safe_point.load(Ordering::SeqCst))
    }

    /// So many records were written.
    pub(super) fn written(&self, records: u64) {
        if records > 0 {
            self.fresh.fetch_add(records, Ordering::Relaxed);
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn waiting(&self) -> u64 {
        self.keys().len() as u64
    }

    /// Never panics: the filter calls this from C++.
    fn keys(&self) -> MutexGuard<'_, BTreeSet<Box<[u8]>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a filter for each compaction.
pub(super) struct FilterFactory(Arc<Garbage>);

impl FilterFactory {
    pub(super) fn new(garbage: Arc<Garbage>) -> Self {
        Self(garbage)
    }
}

impl CompactionFilterFactory for FilterFactory {
    type Filter = Filter;

    fn create(&mut self, _context: CompactionFilterContext) -> Filter {
        let core = WriteFilter::new(self.0.safe_point());
        Filter { core, garbage: self.0.clone(), dropped: 0 }
    }

    fn name(&self) -> &CStr {
        c"troupe.gc"
    }
}

/// The filter of one compaction.
pub(super) struct Filter {
    core: WriteFilter,
    garbage: Arc<Garbage>,
    dropped: u64,
}

impl CompactionFilter for Filter {
    fn filter(&mut self, _level: u32, key: &[u8], value: &[u8]) -> CompactionDecision {
        match self.core.row(key, value) {
            Verdict::Keep => CompactionDecision::Keep,
            Verdict::Drop => {
                self.dropped += 1;
                CompactionDecision::Remove
            }
            Verdict::Clean => {
                if let Some(key) = gc::key_of_row(key) {
                    let mut keys = self.garbage.keys();
                    if keys.len() < MAX_WAITING {
                        keys.insert(key.into());
                    }
                }
                CompactionDecision::Keep
            }
        }
    }

    fn name(&self) -> &CStr {
        c"troupe.gc"
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        self.garbage.dropped.fetch_add(self.dropped, Ordering::Relaxed);
        self.garbage.young.fetch_max(self.core.young(), Ordering::Relaxed);
    }
}

impl RocksEngine {
    /// What was written before the engine was opened is not counted. Of a small family all of it is
    /// taken for fresh; in a large one compactions come by themselves.
    pub(super) fn expect_garbage_of_a_small_family(&self) {
        if let Ok((records, bytes)) = self.records()
            && bytes <= SMALL_BYTES
        {
            self.garbage.written(records);
        }
    }

    /// Rough number and bytes of all records.
    fn records(&self) -> Result<(u64, u64), StorageError> {
        let figure = |name: &properties::PropName| -> Result<u64, StorageError> {
            let value = self.db.property_int_value_cf(self.cf(Cf::Write), name);
            Ok(value.map_err(StorageError::Engine)?.unwrap_or_default())
        };
        Ok((figure(properties::ESTIMATE_NUM_KEYS)?, figure(properties::LIVE_SST_FILES_SIZE)?))
    }

    /// See [`crate::engine::KvEngine::collect_garbage`].
    pub(super) fn collect(&self) -> Result<Collected, StorageError> {
        let garbage = &self.garbage;
        let safe_point = garbage.safe_point();
        if safe_point == Timestamp::ZERO {
            return Ok(Collected::default());
        }
        if self.is_compaction_worth_it(safe_point)? {
            self.compact_records(safe_point);
        }
        let has_more = self.clean(safe_point)?;
        let dropped = garbage.dropped();
        let before = garbage.reported.swap(dropped, Ordering::Relaxed);
        Ok(Collected { records: dropped.saturating_sub(before), has_more })
    }

    fn is_compaction_worth_it(&self, safe_point: Timestamp) -> Result<bool, StorageError> {
        let fresh = self.garbage.fresh.load(Ordering::Relaxed);
        let moved = safe_point.get() > self.garbage.compacted_at.load(Ordering::Relaxed);
        if fresh == 0 || !moved {
            return Ok(false);
        }
        let (records, bytes) = self.records()?;
        Ok(bytes <= SMALL_BYTES || fresh.saturating_mul(WORTH_A_COMPACTION) >= records)
    }

    /// Compacts all records of the transactional space, in the memtable too.
    fn compact_records(&self, safe_point: Timestamp) {
        let garbage = &self.garbage;
        garbage.fresh.store(0, Ordering::Relaxed);
        garbage.young.store(0, Ordering::Relaxed);
        garbage.compacted_at.store(safe_point.get(), Ordering::Relaxed);
        let mut options = CompactOptions::default();
        // Others compact and flush meanwhile.
        options.set_exclusive_manual_compaction(false);
        // Without this a file that lies in the last level already would not meet the filter.
        options.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        let all = KeyRange::prefix(&[TXN_PREFIX]);
        let (from, to) = (Some(all.start.as_ref()), Some(all.end.as_ref()));
        self.db.compact_range_cf_opt(self.cf(Cf::Write), from, to, &options);
        // What was too young to be dropped may be garbage behind the next safe point.
        garbage.written(garbage.young.load(Ordering::Relaxed));
    }

    /// Looks at keys that wait; answers whether some are left.
    fn clean(&self, safe_point: Timestamp) -> Result<bool, StorageError> {
        let (keys, has_more) = {
            let mut waiting = self.garbage.keys();
            let rest = waiting.iter().nth(KEYS_AT_ONCE).cloned();
            let rest = rest.map(|first| waiting.split_off(&first)).unwrap_or_default();
            let has_more = !rest.is_empty();
            (std::mem::replace(&mut *waiting, rest), has_more)
        };
        let mut keys = keys.into_iter().peekable();
        while keys.peek().is_some() {
            self.clean_some(&mut keys, safe_point)?;
        }
        Ok(has_more)
    }

    /// Removes the garbage of keys until a batch is full. Nobody may change a record in between that
    /// was found to be garbage: that would bring it back without what hides it.
    fn clean_some(
        &self,
        keys: &mut impl Iterator<Item = Box<[u8]>>,
        safe_point: Timestamp,
    ) -> Result<(), StorageError> {
        let _look = self.look_at_records();
        let mut changes = Vec::new();
        for key in keys {
            let range = gc::rows_of_key(&key, safe_point);
            // A fresh view for each key: an old one would keep what is removed meanwhile on disk.
            for together in gc::garbage(&*self.snapshot(), &range, safe_point)? {
                changes.extend(together);
                if changes.len() >= BATCH_CHANGES {
                    self.remove(std::mem::take(&mut changes))?;
                }
            }
            if changes.is_empty() {
                break;
            }
        }
        self.remove(changes)
    }

    fn remove(&self, changes: Vec<Modify>) -> Result<(), StorageError> {
        let is_record = |change: &&Modify| matches!(change, Modify::Delete(Cf::Write, _));
        let records = changes.iter().filter(is_record).count() as u64;
        if records > 0 {
            self.garbage.dropped.fetch_add(records, Ordering::Relaxed);
            self.write_buffered(WriteBatch { changes })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
