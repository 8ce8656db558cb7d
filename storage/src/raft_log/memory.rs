//! Memory twin of the Raft log, with the crash semantics of the real one.
//!
//! An append is durable when it returns, and everything lazy before it becomes durable with it. A
//! crash undoes what was lazy. A simulator that lets the crash fall *into* an append, before its
//! success was told to anybody, uses [`MemoryRaftLog::crash_losing_last_append`].
use super::{LogBatch, LogFigures, LogState, RaftLog, RegionLogWrite, check_contiguous};
use crate::error::StorageError;
use protobuf::Message;
use raft::eraftpb::{Entry, HardState};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use troupe_types::{LogIndex, RegionId, Term};

/// See the module.
#[derive(Default)]
pub struct MemoryRaftLog {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    now: Image,
    /// What is on disk without `last`.
    durable: Image,
    /// Changes up to and with the last append; durable too, but a test may choose to lose them.
    last: Vec<Change>,
    /// Lazy changes behind the last append.
    lazy: Vec<Change>,
    disk_full: bool,
    fail_next_append: bool,
    figures: LogFigures,
}

#[derive(Clone)]
enum Change {
    Append(LogBatch),
    Compact(RegionId, LogIndex, Term),
    Remove(RegionId),
}

#[derive(Clone, Default)]
struct Image {
    regions: BTreeMap<RegionId, RegionLog>,
}

#[derive(Clone, Default)]
struct RegionLog {
    hard_state: HardState,
    truncated: (LogIndex, Term),
    /// Contiguous, from the truncation point on.
    entries: Vec<Entry>,
}

impl RegionLog {
    fn last_index(&self) -> LogIndex {
        LogIndex(self.truncated.0.get() + self.entries.len() as u64)
    }

    /// Place of `index` in `entries`.
    fn position(&self, index: LogIndex) -> Result<usize, StorageError> {
        let first = self.truncated.0.next();
        let Some(offset) = index.get().checked_sub(first.get()) else {
            return Err(StorageError::Compacted { first });
        };
        if index > self.last_index() {
            return Err(StorageError::Unavailable { index });
        }
        Ok(usize::try_from(offset).expect("invariant: it is an index of `entries`"))
    }

    fn term(&self, index: LogIndex) -> Result<Term, StorageError> {
        if index == self.truncated.0 {
            return Ok(self.truncated.1);
        }
        Ok(Term(self.entries[self.position(index)?].term))
    }

    fn write(&mut self, write: &RegionLogWrite) {
        if let Some(point) = write.reset_to {
            self.truncated = point;
            self.entries.clear();
        }
        if let Some(hard_state) = &write.hard_state {
            self.hard_state = hard_state.clone();
        }
        if let Some(first) = write.entries.first() {
            let kept = first.index - self.truncated.0.next().get();
            self.entries
                .truncate(usize::try_from(kept).expect("invariant: entries are contiguous"));
            self.entries.extend_from_slice(&write.entries);
        }
    }

    fn compact(&mut self, through: LogIndex, term: Term) {
        let cut = through.get() - self.truncated.0.get();
        self.entries.drain(..usize::try_from(cut).expect("invariant: `through` is in the log"));
        self.truncated = (through, term);
    }
}

impl Image {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Append(batch) => {
                for (region, write) in &batch.regions {
                    self.regions.entry(*region).or_default().write(write);
                }
            }
            Change::Compact(region, through, term) => {
                if let Some(log) = self.regions.get_mut(region) {
                    log.compact(*through, *term);
                }
            }
            Change::Remove(region) => {
                self.regions.remove(region);
            }
        }
    }

    fn check(&self, region: RegionId, write: &RegionLogWrite) {
        let log = self.regions.get(&region);
        let span = match write.reset_to {
            Some((index, _)) => (index, index),
            None => log.map_or_else(Default::default, |log| (log.truncated.0, log.last_index())),
        };
        check_contiguous(region, span, &write.entries);
    }
}

impl State {
    /// Settles the last append for good.
    fn settle(&mut self) {
        for change in std::mem::take(&mut self.last) {
            self.durable.apply(&change);
        }
    }

    fn lazily(&mut self, change: Change) {
        self.now.apply(&change);
        self.lazy.push(change);
    }

    fn restart(&mut self) {
        self.last.clear();
        self.lazy.clear();
        self.now = self.durable.clone();
    }
}

impl MemoryRaftLog {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A power cut: lazy changes behind the last append are undone.
    pub fn crash(&self) {
        let mut state = self.state();
        state.settle();
        state.restart();
    }

    /// A power cut in the middle of the last append: the append and the lazy changes in front of
    /// it are undone. Only right if nobody acted on that append yet.
    pub fn crash_losing_last_append(&self) {
        self.state().restart();
    }

    /// Lets appends find the disk full, or not any more.
    pub fn set_disk_full(&self, full: bool) {
        self.state().disk_full = full;
    }

    /// Lets the next append fail without effect, with an error that ends a Store.
    pub fn fail_next_append(&self) {
        self.state().fail_next_append = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("invariant: a panic in the log ends its Store")
    }
}

impl RaftLog for MemoryRaftLog {
    fn append(&self, batch: LogBatch) -> Result<(), StorageError> {
        let mut state = self.state();
        if state.disk_full {
            return Err(StorageError::DiskFull);
        }
        if std::mem::take(&mut state.fail_next_append) {
            return Err(StorageError::Injected { what: "append" });
        }
        for (region, write) in &batch.regions {
            state.now.check(*region, write);
        }
        state.figures.syncs += 1;
        state.figures.batches += 1;
        for (_, write) in &batch.regions {
            state.figures.entries += write.entries.len() as u64;
            let bytes: u32 = write.entries.iter().map(Message::compute_size).sum();
            state.figures.bytes_written += u64::from(bytes);
        }
        let change = Change::Append(batch);
        state.now.apply(&change);
        state.settle();
        state.last = std::mem::take(&mut state.lazy);
        state.last.push(change);
        Ok(())
    }

    fn state(&self, region: RegionId) -> Result<Option<LogState>, StorageError> {
        let state = self.state();
        Ok(state.now.regions.get(&region).map(|log| LogState {
            hard_state: log.hard_state.clone(),
            truncated: log.truncated,
            last_index: log.last_index(),
        }))
    }

    fn regions(&self) -> Vec<RegionId> {
        self.state().now.regions.keys().copied().collect()
    }

    fn entries(
        &self,
        region: RegionId,
        low: LogIndex,
        high: LogIndex,
        max_bytes: u64,
    ) -> Result<Vec<Entry>, StorageError> {
        if high <= low {
            return Ok(Vec::new());
        }
        let state = self.state();
        let unknown = RegionLog::default();
        let log = state.now.regions.get(&region).unwrap_or(&unknown);
        let last = log.position(LogIndex(high.get() - 1));
        let entries = &log.entries[log.position(low)?..=last?];
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            let first = bytes == 0;
            bytes += u64::from(entry.compute_size());
            first || bytes <= max_bytes
        };
        Ok(entries.iter().take_while(fits).cloned().collect())
    }

    fn term(&self, region: RegionId, index: LogIndex) -> Result<Term, StorageError> {
        let state = self.state();
        let unknown = RegionLog::default();
        state.now.regions.get(&region).unwrap_or(&unknown).term(index)
    }

    fn compact(&self, region: RegionId, through: LogIndex) -> Result<(), StorageError> {
        let mut state = self.state();
        let Some(log) = state.now.regions.get(&region) else {
            return Ok(());
        };
        if through > log.truncated.0 {
            let term = log.term(through)?;
            state.lazily(Change::Compact(region, through, term));
        }
        Ok(())
    }

    fn remove(&self, region: RegionId) -> Result<(), StorageError> {
        let mut state = self.state();
        if state.now.regions.contains_key(&region) {
            state.lazily(Change::Remove(region));
        }
        Ok(())
    }

    fn purge(&self) -> Result<Vec<(RegionId, LogIndex)>, StorageError> {
        Ok(Vec::new())
    }

    fn figures(&self) -> LogFigures {
        self.state().figures
    }
}

#[cfg(test)]
mod tests;
