//! RocksDB behind [`KvEngine`].
//!
//! The write-ahead log is off for every write: with it on for some, recovery would bring back those
//! and lose others in between. What makes applied data durable is a flush. `atomic_flush` flushes
//! all column families to one point in time, so that what a power cut leaves is always a prefix of
//! the batches, with the apply state of each Region in step with its data. Therefore:
//!
//! | operation | what RocksDB does |
//! |---|---|
//! | buffered write | memtables only |
//! | synced write | memtables, then a flush of all column families, awaited |
//! | `make_durable` | that flush |
//! | `get_persisted` | a read that skips the memtables |
//!
//! Garbage of the transactional space is dropped by compactions of the write column family (see
//! [`collect`]); what a compaction must not drop by itself is removed by ordinary writes.
//!
//! Every error of a write or flush is fatal for the Store: RocksDB may have stopped writing.
use super::{
    Cf, Collected, Durability, ExportedFile, KvEngine, KvSnapshot, Modify, Visit, WriteBatch,
};
use crate::error::StorageError;
use crate::failure::StorageCall;
use bytes::Bytes;
use collect::Garbage;
use rocksdb::{
    ColumnFamily, DB, DBPinnableSlice, DBRawIteratorWithThreadMode, FlushOptions, Range,
    ReadOptions, ReadTier, WriteOptions, properties,
};
use snapshot::OwnedSnapshot;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use troupe_types::{KeyRange, Timestamp};

mod collect;
mod files;
mod options;
mod snapshot;

pub use options::RocksOptions;

/// Stands for "no end" where RocksDB wants one. Every data key starts with the byte of its space
/// and every other key with a tag, all of them below `0xff`.
const BEHIND_ALL_KEYS: &[u8] = &[u8::MAX; 32];

/// See the module.
pub struct RocksEngine {
    db: Arc<DB>,
    options: RocksOptions,
    garbage: Arc<Garbage>,
    /// Held from a look at records to the write that rests on it.
    looking: Mutex<()>,
}

impl RocksEngine {
    /// Opens the database in the folder `path`, or creates it there.
    ///
    /// # Errors
    /// The folder cannot be made, another process has the database open, or its files are damaged.
    pub fn open(path: &Path, options: &RocksOptions) -> Result<Self, StorageError> {
        std::fs::create_dir_all(path)
            .map_err(|e| StorageError::io("creating the folder", path, e))?;
        let database = options.database().map_err(StorageError::Engine)?;
        let garbage = Arc::new(Garbage::default());
        let db = DB::open_cf_descriptors(&database, path, options.column_families(&garbage))
            .map_err(StorageError::Engine)?;
        let engine =
            Self { db: Arc::new(db), options: options.clone(), garbage, looking: Mutex::default() };
        engine.expect_garbage_of_a_small_family();
        Ok(engine)
    }

    fn cf(&self, cf: Cf) -> &ColumnFamily {
        handle(&self.db, cf)
    }

    fn look_at_records(&self) -> MutexGuard<'_, ()> {
        self.looking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`RocksEngine::write_buffered`], with changes that depend on records.
    fn write_conditional(&self, batch: WriteBatch) -> Result<(), StorageError> {
        let _look = self.look_at_records();
        let batch = batch.settled(|key| Ok(self.get(Cf::Write, key)?.is_some()))?;
        self.write_buffered(batch)
    }

    fn write_buffered(&self, batch: WriteBatch) -> Result<(), StorageError> {
        let mut writes = rocksdb::WriteBatch::with_capacity_bytes(batch_bytes(&batch));
        let mut records = 0;
        for change in batch.changes {
            match change {
                Modify::Put(cf, key, value) => {
                    records += u64::from(cf == Cf::Write);
                    writes.put_cf(self.cf(cf), key, value);
                }
                Modify::Delete(cf, key) => writes.delete_cf(self.cf(cf), key),
                Modify::DeleteRange(cf, range) => self.stage_delete_range(&mut writes, cf, &range),
                Modify::ReplaceRecord(..) => unreachable!("the batch was settled"),
            }
        }
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.garbage.written(records);
        self.db.write_opt(writes, &options).map_err(StorageError::Engine)
    }

    /// RocksDB refuses a range that ends before it starts.
    fn stage_delete_range(&self, to: &mut rocksdb::WriteBatch, cf: Cf, range: &KeyRange) {
        if !range.is_empty() {
            to.delete_range_cf(self.cf(cf), range.start.as_ref(), end_of(range));
        }
    }

    fn delete_ranges(&self, cfs: &[Cf], range: &KeyRange) -> Result<(), StorageError> {
        let changes = cfs.iter().map(|cf| Modify::DeleteRange(*cf, range.clone())).collect();
        self.write_buffered(WriteBatch { changes })
    }

    fn flush(&self) -> Result<(), StorageError> {
        let mut options = FlushOptions::default();
        options.set_wait(true);
        let cfs = Cf::ALL.map(|cf| self.cf(cf));
        self.db.flush_cfs_opt(&cfs, &options).map_err(StorageError::Engine)
    }

    fn figure(&self, name: &properties::PropName) -> Result<u64, StorageError> {
        let value = self.db.property_int_value(name).map_err(StorageError::Engine)?;
        Ok(value.unwrap_or_default())
    }

    fn figure_sum(&self, name: &properties::PropName) -> Result<u64, StorageError> {
        let mut sum = 0;
        for cf in Cf::ALL {
            let value = self.db.property_int_value_cf(self.cf(cf), name);
            sum += value.map_err(StorageError::Engine)?.unwrap_or_default();
        }
        Ok(sum)
    }
}

fn handle(db: &DB, cf: Cf) -> &ColumnFamily {
    db.cf_handle(cf.name()).expect("invariant: opening names all column families")
}

/// The key behind `range` as RocksDB takes it.
fn end_of(range: &KeyRange) -> &[u8] {
    if range.end.is_empty() { BEHIND_ALL_KEYS } else { &range.end }
}

/// Room that the batch takes in RocksDB's format, roughly.
fn batch_bytes(batch: &WriteBatch) -> usize {
    const CHANGE_OVERHEAD: usize = 12;
    let change = |change: &Modify| match change {
        Modify::Put(_, key, value) | Modify::ReplaceRecord(key, value) => key.len() + value.len(),
        Modify::Delete(_, key) => key.len(),
        Modify::DeleteRange(_, range) => range.start.len() + end_of(range).len(),
    };
    batch.changes.iter().map(|c| change(c) + CHANGE_OVERHEAD).sum()
}

fn copied(found: Option<DBPinnableSlice<'_>>) -> Option<Bytes> {
    found.map(|value| Bytes::copy_from_slice(&value))
}

impl KvEngine for RocksEngine {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.db.get_pinned_cf(self.cf(cf), key).map(copied).map_err(StorageError::Engine)
    }

    fn get_persisted(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let mut options = ReadOptions::default();
        options.set_read_tier(ReadTier::Persisted);
        let found = self.db.get_pinned_cf_opt(self.cf(cf), key, &options);
        found.map(copied).map_err(StorageError::Engine)
    }

    fn snapshot(&self) -> Arc<dyn KvSnapshot> {
        Arc::new(OwnedSnapshot::new(Arc::clone(&self.db)))
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), StorageError> {
        let _call = StorageCall::enter();
        match batch.is_conditional() {
            true => self.write_conditional(batch)?,
            false => self.write_buffered(batch)?,
        }
        match durability {
            Durability::Buffered => Ok(()),
            Durability::Synced => self.flush(),
        }
    }

    fn make_durable(&self) -> Result<(), StorageError> {
        let _call = StorageCall::enter();
        self.flush()
    }

    fn export(
        &self,
        snapshot: &dyn KvSnapshot,
        range: &KeyRange,
        dir: &Path,
    ) -> Result<Vec<ExportedFile>, StorageError> {
        let mut exported = Vec::new();
        for cf in Cf::DATA {
            exported.extend(files::export_cf(self, snapshot, (cf, range), dir)?);
        }
        Ok(exported)
    }

    fn replace_range(&self, range: &KeyRange, files: &[ExportedFile]) -> Result<(), StorageError> {
        let verified = super::files::verify(files)?;
        let _call = StorageCall::enter();
        files::replace(self, range, &verified)
    }

    fn set_gc_safe_point(&self, safe_point: Timestamp) {
        self.garbage.set_safe_point(safe_point);
    }

    fn collect_garbage(&self) -> Result<Collected, StorageError> {
        let _call = StorageCall::enter();
        self.collect()
    }

    fn approximate_bytes(&self, range: &KeyRange) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let range = [Range::new(&range.start, end_of(range))];
        let bytes = |cf| self.db.get_approximate_sizes_cf(self.cf(cf), &range).iter().sum::<u64>();
        Cf::DATA.into_iter().map(bytes).sum()
    }

    fn health(&self) -> Result<Vec<(&'static str, u64)>, StorageError> {
        let errors = self.figure(properties::BACKGROUND_ERRORS)?;
        if errors > 0 {
            return Err(StorageError::Background { errors });
        }
        Ok(vec![
            ("background_errors", errors),
            ("write_stopped", self.figure(properties::IS_WRITE_STOPPED)?),
            ("delayed_write_bytes_per_second", self.figure(properties::ACTUAL_DELAYED_WRITE_RATE)?),
            ("level0_files", self.figure_sum(&properties::num_files_at_level(0))?),
            (
                "pending_compaction_bytes",
                self.figure_sum(properties::ESTIMATE_PENDING_COMPACTION_BYTES)?,
            ),
            ("memtable_bytes", self.figure_sum(properties::SIZE_ALL_MEM_TABLES)?),
            ("live_sst_bytes", self.figure_sum(properties::LIVE_SST_FILES_SIZE)?),
            ("block_cache_bytes", self.figure(properties::BLOCK_CACHE_USAGE)?),
            ("snapshots", self.figure(properties::NUM_SNAPSHOTS)?),
            ("gc_records_dropped", self.garbage.dropped()),
            ("gc_keys_waiting", self.garbage.waiting()),
        ])
    }
}

impl KvSnapshot for OwnedSnapshot {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let found = OwnedSnapshot::get(self).get_pinned_cf(handle(self.db(), cf), key);
        found.map(copied).map_err(StorageError::Engine)
    }

    fn scan(
        &self,
        cf: Cf,
        range: &KeyRange,
        reverse: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), StorageError> {
        if range.is_empty() {
            return Ok(());
        }
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(range.start.as_ref());
        if !range.end.is_empty() {
            options.set_iterate_upper_bound(range.end.as_ref());
        }
        let rows = OwnedSnapshot::get(self).raw_iterator_cf_opt(handle(self.db(), cf), options);
        walk(rows, reverse, visit)
    }
}

fn walk(
    mut rows: DBRawIteratorWithThreadMode<'_, DB>,
    reverse: bool,
    visit: &mut Visit<'_>,
) -> Result<(), StorageError> {
    if reverse {
        rows.seek_to_last()
    } else {
        rows.seek_to_first()
    }
    while let Some((key, value)) = rows.item() {
        if visit(key, value).is_break() {
            return Ok(());
        }
        if reverse { rows.prev() } else { rows.next() }
    }
    // An iterator ends at an error as it does behind the last row.
    rows.status().map_err(StorageError::Engine)
}

#[cfg(test)]
mod tests;
