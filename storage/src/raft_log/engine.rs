//! raft-engine behind [`RaftLog`].
//!
//! Each Region is a raft-engine group with its entries and two values:
//!
//! ```text
//! 'h'   HardState, protobuf
//! 't'   truncation point: index u64 big endian | term u64 big endian
//! ```
//! The first entry is always the one behind the truncation point. All that a batch says about a
//! Region is one raft-engine batch, which recovery takes whole or not at all.
//!
//! Group 0 is no Region: see [`EngineRaftLog::purge`].
use super::file_system::{AbortingFileSystem, DiskWatch, is_disk_full};
use super::{LogBatch, LogFigures, LogState, RaftLog, RegionLogWrite, check_contiguous};
use crate::error::StorageError;
use crate::failure::{StorageCall, fatal};
use cache::CacheOwner;
use raft::eraftpb::{Entry, HardState};
use raft_engine::{Command, Config, Engine, MessageExt, ReadableSize, RecoveryMode};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use troupe_types::{LogIndex, RegionId, Term};

mod cache;

const MIB: u64 = 1024 * 1024;
const HARD_STATE_KEY: &[u8] = b"h";
const TRUNCATED_KEY: &[u8] = b"t";
/// Group of the marker that a purge writes; no Region has this id.
const MARKER_GROUP: u64 = 0;
const MARKER_KEY: &[u8] = b"p";

/// Sizes that a deployment may want to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaftLogOptions {
    /// A file is closed when it has grown beyond this, in bytes.
    pub target_file_bytes: u64,
    /// From how many bytes of files on old ones are freed or rewritten. At least
    /// `target_file_bytes`.
    pub purge_threshold_bytes: u64,
    /// Files of about so many bytes are prepared at the first start, so that appending overwrites
    /// them instead of growing a file.
    pub prefill_bytes: u64,
    /// A batch of more bytes is compressed; 0 never.
    pub compression_threshold_bytes: u64,
    /// Threads that read the log at the start.
    pub recovery_threads: usize,
}

impl Default for RaftLogOptions {
    fn default() -> Self {
        Self {
            target_file_bytes: 64 * MIB,
            purge_threshold_bytes: 1024 * MIB,
            prefill_bytes: 64 * MIB,
            compression_threshold_bytes: 8 * 1024,
            recovery_threads: 2,
        }
    }
}

impl RaftLogOptions {
    fn to_config(&self, dir: &Path) -> Result<Config, StorageError> {
        let dir = dir.to_str().ok_or_else(|| StorageError::Inconsistent {
            detail: format!("the path {} is not UTF-8", dir.display()),
        })?;
        Ok(Config {
            dir: dir.to_owned(),
            recovery_mode: RecoveryMode::TolerateTailCorruption,
            recovery_threads: self.recovery_threads,
            target_file_size: ReadableSize(self.target_file_bytes),
            purge_threshold: ReadableSize(self.purge_threshold_bytes),
            batch_compression_threshold: ReadableSize(self.compression_threshold_bytes),
            enable_log_recycle: true,
            prefill_for_recycle: self.prefill_bytes >= self.target_file_bytes,
            prefill_limit: Some(ReadableSize(self.prefill_bytes)),
            ..Config::default()
        })
    }
}

/// How raft-engine sees an entry.
struct RaftEntry;

impl MessageExt for RaftEntry {
    type Entry = Entry;

    fn index(entry: &Entry) -> u64 {
        entry.index
    }
}

/// See the module.
pub struct EngineRaftLog {
    engine: Engine<AbortingFileSystem>,
    watch: Arc<DiskWatch>,
    cache: CacheOwner,
    batches: AtomicU64,
    entries: AtomicU64,
    lazy: Mutex<LazyWrites>,
}

/// Writes that need no sync of their own, and the purge that may not overtake them.
#[derive(Default)]
struct LazyWrites {
    /// A purge runs: it frees files by what it finds in memory, so that must be durable.
    purging: bool,
    /// Something was written since the last purge and not synced.
    unsynced: bool,
}

impl EngineRaftLog {
    /// Opens the log in the folder `dir`, or creates it there. A torn end of the last file is
    /// normal after a power cut and is cut off: it was never acknowledged.
    ///
    /// # Errors
    /// Any other damage, or another process has the log open.
    pub fn open(dir: &Path, options: &RaftLogOptions) -> Result<Self, StorageError> {
        Self::open_watched(dir, options, Arc::default())
    }

    /// [`EngineRaftLog::open`] with a watch by which a test makes the disk fail.
    ///
    /// # Errors
    /// As [`EngineRaftLog::open`].
    pub fn open_watched(
        dir: &Path,
        options: &RaftLogOptions,
        watch: Arc<DiskWatch>,
    ) -> Result<Self, StorageError> {
        std::fs::create_dir_all(dir)
            .map_err(|e| StorageError::io("creating the folder", dir, e))?;
        let files = Arc::new(AbortingFileSystem::new(Arc::clone(&watch)));
        let engine = Engine::open_with_file_system(options.to_config(dir)?, files)
            .map_err(StorageError::Log)?;
        Ok(Self {
            engine,
            watch,
            cache: CacheOwner::new(),
            batches: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            lazy: Mutex::default(),
        })
    }

    /// Bytes of all log files.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.engine.get_used_size() as u64
    }

    fn stage(
        &self,
        to: &mut raft_engine::LogBatch,
        region: RegionId,
        write: &RegionLogWrite,
    ) -> Result<(), StorageError> {
        let group = region.get();
        let mut hard_state = write.hard_state.clone();
        if let Some(point) = write.reset_to {
            if let Some(known) = self.state(region)? {
                // Cleaning a group drops its values too.
                to.add_command(group, Command::Clean);
                hard_state = hard_state.or(Some(known.hard_state));
            }
            put_truncated(to, region, point)?;
        }
        if let Some(hard_state) = hard_state {
            to.put_message(group, HARD_STATE_KEY.to_vec(), &hard_state)
                .map_err(StorageError::Log)?;
        }
        if !write.entries.is_empty() {
            let span = match write.reset_to {
                Some((index, _)) => (index, index),
                None => self.span(region)?,
            };
            check_contiguous(region, span, &write.entries);
        }
        to.add_entries::<RaftEntry>(group, &write.entries).map_err(StorageError::Log)
    }

    /// Index of the truncation point and of the last entry.
    fn span(&self, region: RegionId) -> Result<(LogIndex, LogIndex), StorageError> {
        let group = region.get();
        if let (Some(first), Some(last)) =
            (self.engine.first_index(group), self.engine.last_index(group))
        {
            return Ok((LogIndex(first - 1), LogIndex(last)));
        }
        let (at, _) = self.truncated(region)?.unwrap_or_default();
        Ok((at, at))
    }

    /// Hands `batch` to raft-engine. It does nothing for an empty batch, not even sync.
    fn write(&self, mut batch: raft_engine::LogBatch, sync: bool) -> Result<(), StorageError> {
        let _call = StorageCall::enter();
        match self.engine.write(&mut batch, sync) {
            Ok(_) => Ok(()),
            Err(raft_engine::Error::TryAgain(_)) => Err(StorageError::DiskFull),
            Err(raft_engine::Error::Io(error)) if is_disk_full(&error) => {
                Err(StorageError::DiskFull)
            }
            Err(error) => fatal(&StorageError::Log(error)),
        }
    }

    /// Writes without a sync, save while a purge runs.
    fn write_lazily(&self, batch: raft_engine::LogBatch) -> Result<(), StorageError> {
        let mut lazy = self.lazy();
        lazy.unsynced |= !lazy.purging;
        self.write(batch, lazy.purging)
    }

    fn lazy(&self) -> MutexGuard<'_, LazyWrites> {
        self.lazy.lock().expect("invariant: a panic in the log ends the process")
    }

    fn truncated(&self, region: RegionId) -> Result<Option<(LogIndex, Term)>, StorageError> {
        let stored = self.engine.get(region.get(), TRUNCATED_KEY);
        stored.map(|bytes| decode_truncated(region, &bytes)).transpose()
    }

    fn start_purge(&self) -> Result<bool, StorageError> {
        let mut lazy = self.lazy();
        if lazy.purging {
            return Ok(false);
        }
        if lazy.unsynced {
            let mut marker = raft_engine::LogBatch::default();
            marker.put(MARKER_GROUP, MARKER_KEY.to_vec(), Vec::new()).map_err(StorageError::Log)?;
            self.write(marker, true)?;
            lazy.unsynced = false;
        }
        lazy.purging = true;
        Ok(true)
    }
}

fn put_truncated(
    to: &mut raft_engine::LogBatch,
    region: RegionId,
    (index, term): (LogIndex, Term),
) -> Result<(), StorageError> {
    let value = [index.get().to_be_bytes(), term.get().to_be_bytes()].concat();
    to.put(region.get(), TRUNCATED_KEY.to_vec(), value).map_err(StorageError::Log)
}

fn decode_truncated(region: RegionId, bytes: &[u8]) -> Result<(LogIndex, Term), StorageError> {
    let parts = bytes.first_chunk::<8>().zip(bytes.last_chunk::<8>());
    match parts {
        Some((index, term)) if bytes.len() == 16 => {
            Ok((LogIndex(u64::from_be_bytes(*index)), Term(u64::from_be_bytes(*term))))
        }
        Some(_) | None => Err(StorageError::Inconsistent {
            detail: format!("the truncation point of region {region} has {} bytes", bytes.len()),
        }),
    }
}

impl RaftLog for EngineRaftLog {
    fn append(&self, batch: LogBatch) -> Result<(), StorageError> {
        let mut staged = raft_engine::LogBatch::with_capacity(batch.regions.len() * 2);
        let mut entries = 0;
        for (region, write) in &batch.regions {
            self.stage(&mut staged, *region, write)?;
            entries += write.entries.len() as u64;
        }
        self.write(staged, true)?;
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.entries.fetch_add(entries, Ordering::Relaxed);
        Ok(())
    }

    fn state(&self, region: RegionId) -> Result<Option<LogState>, StorageError> {
        let group = region.get();
        let hard_state: Option<HardState> =
            self.engine.get_message(group, HARD_STATE_KEY).map_err(StorageError::Log)?;
        let truncated = self.truncated(region)?;
        let last = self.engine.last_index(group).map(LogIndex);
        if hard_state.is_none() && truncated.is_none() && last.is_none() {
            return Ok(None);
        }
        let truncated = truncated.unwrap_or_default();
        let hard_state = hard_state.unwrap_or_default();
        let last_index = last.unwrap_or(truncated.0).max(truncated.0);
        Ok(Some(LogState { hard_state, truncated, last_index }))
    }

    fn regions(&self) -> Vec<RegionId> {
        let groups = self.engine.raft_groups().into_iter();
        let mut regions: Vec<_> =
            groups.filter(|group| *group != MARKER_GROUP).map(RegionId).collect();
        regions.sort_unstable();
        regions
    }

    fn entries(
        &self,
        region: RegionId,
        low: LogIndex,
        high: LogIndex,
        max_bytes: u64,
    ) -> Result<Vec<Entry>, StorageError> {
        let mut found = Vec::new();
        if high <= low {
            return Ok(found);
        }
        let max_bytes = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        let (group, low, high) = (region.get(), low.get(), high.get());
        let fetched = self.cache.run(|| {
            let max_bytes = Some(max_bytes);
            self.engine.fetch_entries_to::<RaftEntry>(group, low, high, max_bytes, &mut found)
        });
        match fetched {
            Ok(0) | Err(raft_engine::Error::EntryCompacted | raft_engine::Error::EntryNotFound) => {
                let first = self.truncated(region)?.unwrap_or_default().0.next();
                if low < first.get() {
                    return Err(StorageError::Compacted { first });
                }
                Err(StorageError::Unavailable { index: LogIndex(high - 1) })
            }
            Ok(_) => Ok(found),
            Err(error) => Err(StorageError::Log(error)),
        }
    }

    fn term(&self, region: RegionId, index: LogIndex) -> Result<Term, StorageError> {
        let (at, term) = self.truncated(region)?.unwrap_or_default();
        if at == index {
            return Ok(term);
        }
        let read = || self.engine.get_entry::<RaftEntry>(region.get(), index.get());
        let entry = self.cache.run(read);
        if let Some(entry) = entry.map_err(StorageError::Log)? {
            return Ok(Term(entry.term));
        }
        // Read again: the entry may have been cut off meanwhile.
        let first = self.truncated(region)?.unwrap_or_default().0.next();
        if index < first {
            return Err(StorageError::Compacted { first });
        }
        Err(StorageError::Unavailable { index })
    }

    fn compact(&self, region: RegionId, through: LogIndex) -> Result<(), StorageError> {
        match self.state(region)? {
            Some(known) if through > known.truncated.0 => {}
            Some(_) | None => return Ok(()),
        }
        let term = self.term(region, through)?;
        let mut batch = raft_engine::LogBatch::with_capacity(2);
        put_truncated(&mut batch, region, (through, term))?;
        batch.add_command(region.get(), Command::Compact { index: through.next().get() });
        self.write_lazily(batch)
    }

    fn remove(&self, region: RegionId) -> Result<(), StorageError> {
        if self.state(region)?.is_none() {
            return Ok(());
        }
        let mut batch = raft_engine::LogBatch::with_capacity(1);
        batch.add_command(region.get(), Command::Clean);
        self.write_lazily(batch)
    }

    /// raft-engine frees files by its state in memory. A compaction that is in memory but not
    /// durable would come undone in a power cut, with its entries gone. So what is unsynced is
    /// synced first, by a marker (raft-engine syncs for no empty batch), and compactions that come
    /// while the purge runs are synced each.
    fn purge(&self) -> Result<Vec<(RegionId, LogIndex)>, StorageError> {
        if !self.start_purge()? {
            return Ok(Vec::new());
        }
        let purged = self.cache.run(|| {
            let _call = StorageCall::enter();
            self.engine.purge_expired_files()
        });
        self.lazy().purging = false;
        let heavy = match purged {
            Ok(heavy) => heavy,
            Err(raft_engine::Error::TryAgain(_)) => return Err(StorageError::DiskFull),
            Err(raft_engine::Error::Io(error)) if is_disk_full(&error) => {
                return Err(StorageError::DiskFull);
            }
            Err(error) => fatal(&StorageError::Log(error)),
        };
        let last = |group| Some((RegionId(group), LogIndex(self.engine.last_index(group)?)));
        Ok(heavy.into_iter().filter_map(last).collect())
    }

    fn figures(&self) -> LogFigures {
        LogFigures {
            syncs: self.watch.syncs(),
            bytes_written: self.watch.bytes_written(),
            batches: self.batches.load(Ordering::Relaxed),
            entries: self.entries.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests;
