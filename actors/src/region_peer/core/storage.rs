//! What raft-rs reads: entries (from a cache of the tail, else from the Raft log), terms, hard and
//! configuration state, and a snapshot when one was made.
//!
//! Invariant: the cache is contiguous and ends at `last_index`; it holds at least every entry that
//! is not yet durable, so that raft-rs may go on before the log's sync returns.
use super::members::conf_state;
use raft::eraftpb::{Entry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use troupe_storage::raft_log::RaftLog;
use troupe_types::raft_message::SnapshotManifest;
use troupe_types::{LogIndex, Region, RegionId, Term, codec};

/// Durable state that a peer starts from.
#[derive(Clone, Debug)]
pub struct DurableState {
    /// Shape as applied; no peers if it was never initialised.
    pub region: Region,
    /// Term, vote, commit.
    pub hard_state: HardState,
    /// The entry in front of the first.
    pub truncated: (LogIndex, Term),
    /// Last entry.
    pub last_index: LogIndex,
    /// Last applied entry.
    pub applied: LogIndex,
    /// Its term.
    pub applied_term: Term,
}

/// See the module.
pub struct PeerStorage {
    log: Arc<dyn RaftLog>,
    region: Region,
    hard_state: HardState,
    truncated: (LogIndex, Term),
    last_index: LogIndex,
    cache: VecDeque<Entry>,
    cache_bytes: u64,
    cache_limit: u64,
    snapshot: Option<SnapshotManifest>,
    /// A replica asked for a snapshot and there was none.
    wanted: Cell<bool>,
}

/// Bytes of an entry, for limits.
#[must_use]
pub fn entry_bytes(entry: &Entry) -> u64 {
    (entry.data.len() + entry.context.len() + 24) as u64
}

impl PeerStorage {
    /// From durable state. The cache keeps about `cache_limit` bytes.
    #[must_use]
    pub fn new(log: Arc<dyn RaftLog>, state: &DurableState, cache_limit: u64) -> Self {
        Self {
            log,
            region: state.region.clone(),
            hard_state: state.hard_state.clone(),
            truncated: state.truncated,
            last_index: state.last_index,
            cache: VecDeque::new(),
            cache_bytes: 0,
            cache_limit,
            snapshot: None,
            wanted: Cell::new(false),
        }
    }

    /// Shape as applied.
    #[must_use]
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Sets the shape as applied.
    pub fn set_region(&mut self, region: Region) {
        self.region = region;
    }

    /// The hard state last handed out for persisting.
    #[must_use]
    pub fn hard_state(&self) -> &HardState {
        &self.hard_state
    }

    /// Notes the hard state of a Ready.
    pub fn set_hard_state(&mut self, hard_state: HardState) {
        self.hard_state = hard_state;
    }

    /// The entry in front of the first.
    #[must_use]
    pub fn truncated(&self) -> (LogIndex, Term) {
        self.truncated
    }

    /// Last entry.
    #[must_use]
    pub fn last(&self) -> LogIndex {
        self.last_index
    }

    /// Appends a Ready's entries, replacing what they overlap.
    pub fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        assert!(first.index <= self.last_index.get() + 1, "a gap in front of the new entries");
        assert!(first.index > self.truncated.0.get(), "new entries behind the truncation point");
        while self.cache.back().is_some_and(|last| last.index >= first.index) {
            if let Some(gone) = self.cache.pop_back() {
                self.cache_bytes -= entry_bytes(&gone);
            }
        }
        for entry in entries {
            self.cache_bytes += entry_bytes(entry);
            self.cache.push_back(entry.clone());
        }
        self.last_index = LogIndex(self.cache.back().map_or(first.index, |last| last.index));
    }

    /// Lets go of cached entries up to `through` (durable and applied) beyond the limit.
    pub fn evict(&mut self, through: LogIndex) {
        while self.cache_bytes > self.cache_limit
            && self.cache.front().is_some_and(|first| first.index <= through.get())
        {
            if let Some(gone) = self.cache.pop_front() {
                self.cache_bytes -= entry_bytes(&gone);
            }
        }
    }

    /// The log starts anew behind an accepted snapshot.
    pub fn reset_to(&mut self, manifest: &SnapshotManifest) {
        self.cache.clear();
        self.cache_bytes = 0;
        self.truncated = (manifest.index, manifest.term);
        self.last_index = manifest.index;
        self.region = manifest.region.clone();
        self.snapshot = None;
    }

    /// Forgets entries up to `through`.
    pub fn compact(&mut self, through: LogIndex) -> Result<(), StorageError> {
        assert!(through < self.last_index.next(), "the log is cut within itself");
        let term = self.term_at(through)?;
        self.truncated = (through, term);
        while self.cache.front().is_some_and(|first| first.index <= through.get()) {
            if let Some(gone) = self.cache.pop_front() {
                self.cache_bytes -= entry_bytes(&gone);
            }
        }
        Ok(())
    }

    /// A snapshot is ready to be sent.
    pub fn offer_snapshot(&mut self, manifest: SnapshotManifest) {
        self.snapshot = Some(manifest);
    }

    /// Takes the snapshot back, once it was sent.
    pub fn withdraw_snapshot(&mut self) -> Option<SnapshotManifest> {
        self.snapshot.take()
    }

    /// Did a replica ask in vain since the last call?
    pub fn take_wanted(&self) -> bool {
        self.wanted.replace(false)
    }

    /// Term of the entry at `index`.
    ///
    /// # Errors
    /// As [`Storage::term`].
    pub fn term_at(&self, index: LogIndex) -> Result<Term, StorageError> {
        if index == self.truncated.0 {
            return Ok(self.truncated.1);
        }
        if index < self.truncated.0 {
            return Err(StorageError::Compacted);
        }
        if index > self.last_index {
            return Err(StorageError::Unavailable);
        }
        match self.cached(index) {
            Some(entry) => Ok(Term(entry.term)),
            None => self.log.term(self.region_id(), index).map_err(other),
        }
    }

    fn region_id(&self) -> RegionId {
        self.region.id
    }

    fn cached(&self, index: LogIndex) -> Option<&Entry> {
        let first = self.cache.front()?.index;
        let offset = index.get().checked_sub(first)?;
        self.cache.get(usize::try_from(offset).ok()?)
    }

    fn cached_range(&self, low: u64, high: u64, max: u64, out: &mut Vec<Entry>) {
        let mut bytes: u64 = out.iter().map(entry_bytes).sum();
        for index in low..high {
            let Some(entry) = self.cached(LogIndex(index)) else { return };
            bytes += entry_bytes(entry);
            if bytes > max && !out.is_empty() {
                return;
            }
            out.push(entry.clone());
        }
    }
}

fn other(error: troupe_storage::StorageError) -> StorageError {
    StorageError::Other(Box::new(error))
}

impl Storage for PeerStorage {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.hard_state.clone(), conf_state(&self.region)))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.truncated.0.get() {
            return Err(StorageError::Compacted.into());
        }
        assert!(high <= self.last_index.get() + 1, "entries behind the last were asked for");
        let max = max_size.into().unwrap_or(u64::MAX);
        let mut out = Vec::new();
        let cached_from = self.cache.front().map_or(u64::MAX, |first| first.index);
        if low < cached_from {
            let end = LogIndex(high.min(cached_from));
            out = self.log.entries(self.region_id(), LogIndex(low), end, max).map_err(other)?;
        }
        let next = low + out.len() as u64;
        if next >= cached_from {
            self.cached_range(next, high, max, &mut out);
        }
        Ok(out)
    }

    fn term(&self, idx: u64) -> raft::Result<u64> {
        Ok(self.term_at(LogIndex(idx))?.get())
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.truncated.0.get() + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last_index.get())
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        let usable =
            |m: &&SnapshotManifest| m.index.get() >= request_index && m.index >= self.truncated.0;
        let Some(manifest) = self.snapshot.as_ref().filter(usable) else {
            self.wanted.set(true);
            return Err(StorageError::SnapshotTemporarilyUnavailable.into());
        };
        let mut snapshot = Snapshot::default();
        let metadata = snapshot.mut_metadata();
        metadata.index = manifest.index.get();
        metadata.term = manifest.term.get();
        *metadata.mut_conf_state() = conf_state(&manifest.region);
        snapshot.data = codec::encode(manifest).into();
        Ok(snapshot)
    }
}
