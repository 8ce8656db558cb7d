//! The disk of a simulated node as one life sees it: the memory twins of engine and log, and what goes
//! wrong in the middle of an operation on them.
use super::log::EventLog;
use bytes::Bytes;
use raft::eraftpb::Entry;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use troupe_actors::env::Power;
use troupe_storage::StorageError;
use troupe_storage::engine::memory::MemoryEngine;
use troupe_storage::engine::{
    Cf, Collected, Durability, ExportedFile, KvEngine, KvSnapshot, WriteBatch,
};
use troupe_storage::failure;
use troupe_storage::raft_log::memory::MemoryRaftLog;
use troupe_storage::raft_log::{LogBatch, LogFigures, LogState, RaftLog};
use troupe_types::{KeyRange, LogIndex, NodeId, RegionId, Term, Timestamp};

/// What goes wrong in the middle of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// The process dies before the write.
    CrashBefore,
    /// The process dies within the write: of an append nothing is left, nor of the lazy changes in
    /// front of it.
    CrashWithin,
    /// The process dies behind the write, and nobody is told of it.
    CrashBehind,
    /// The write fails, and nothing of it is on the disk.
    Fails,
    /// The write fails, yet it is on the disk.
    FailsAfterAll,
}

impl Mishap {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::CrashBefore, Self::CrashWithin, Self::CrashBehind, Self::Fails, Self::FailsAfterAll];

    /// What it is, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CrashBefore => "crash before a write",
            Self::CrashWithin => "crash within a write",
            Self::CrashBehind => "crash behind a write",
            Self::Fails => "failed sync, nothing written",
            Self::FailsAfterAll => "failed sync, yet written",
        }
    }
}

/// What a node's lives have in common: the content of its disk and its moods.
pub struct Disk {
    /// Which node.
    pub node: NodeId,
    /// Applied data.
    pub engine: Arc<MemoryEngine>,
    /// Raft log.
    pub log: Arc<MemoryRaftLog>,
    /// Longest extra time of a job in milliseconds: a slow disk.
    pub slow_ms: AtomicU64,
    events: Arc<EventLog>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The mishap that the last of so many further writes meets.
    planned: Option<(u64, Mishap)>,
    /// Mishaps that were met.
    met: Vec<Mishap>,
    loses_last_append: bool,
    wrong: Vec<String>,
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new(node: NodeId, events: Arc<EventLog>) -> Arc<Self> {
        Arc::new(Self {
            node,
            engine: Arc::new(MemoryEngine::new()),
            log: Arc::new(MemoryRaftLog::new()),
            slow_ms: AtomicU64::new(0),
            events,
            state: Mutex::default(),
        })
    }

    /// The write number `after` from now meets `mishap` (0 = the next one).
    pub fn plan(&self, mishap: Mishap, after: u64) {
        self.state.lock().unwrap().planned = Some((after, mishap));
    }

    /// It works well from here on.
    pub fn mend(&self) {
        self.state.lock().unwrap().planned = None;
        self.slow_ms.store(0, Ordering::Relaxed);
        self.log.set_disk_full(false);
    }

    /// Mishaps that were met so far.
    #[must_use]
    pub fn met(&self) -> Vec<Mishap> {
        self.state.lock().unwrap().met.clone()
    }

    /// What a life did that it must not do after its disk had failed.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        self.state.lock().unwrap().wrong.clone()
    }

    /// The power is gone: what is not durable is lost, but for the first `batches` buffered writes of
    /// the engine.
    pub fn crash(&self, batches: usize) {
        self.engine.crash_keeping(batches);
        let mut state = self.state.lock().unwrap();
        state.planned = None;
        if std::mem::take(&mut state.loses_last_append) {
            self.log.crash_losing_last_append();
        } else {
            self.log.crash();
        }
    }

    /// The disk as the life with `power` sees it.
    #[must_use]
    pub fn mount(self: &Arc<Self>, power: &Power) -> Arc<Mounted> {
        let has_failed = AtomicBool::new(false);
        Arc::new(Mounted { disk: self.clone(), power: power.clone(), has_failed })
    }

    /// Counts down to the planned mishap.
    fn next_mishap(&self) -> Option<Mishap> {
        let mut state = self.state.lock().unwrap();
        let (left, mishap) = state.planned?;
        if left > 0 {
            state.planned = Some((left - 1, mishap));
            return None;
        }
        state.planned = None;
        state.met.push(mishap);
        Some(mishap)
    }
}

/// The disk in one life. Implements engine and log; both count as one sequence of writes.
pub struct Mounted {
    disk: Arc<Disk>,
    power: Power,
    has_failed: AtomicBool,
}

impl Mounted {
    fn write(
        &self,
        what: &'static str,
        act: impl FnOnce() -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let disk = &self.disk;
        if !self.power.is_on() {
            // A dead process writes nothing, whatever its last job goes on to do while it unwinds.
            return Err(StorageError::Injected { what });
        }
        if self.has_failed.load(Ordering::Relaxed) {
            let line = format!("node {} writes ({what}) although its disk has failed", disk.node);
            disk.state.lock().unwrap().wrong.push(line);
        }
        let Some(mishap) = disk.next_mishap() else { return act() };
        let node = disk.node;
        disk.events.note(node, format_args!("disk: {} ({what})", mishap.name()));
        match mishap {
            Mishap::CrashBefore => {}
            Mishap::CrashWithin if what == APPEND => {
                act()?;
                disk.state.lock().unwrap().loses_last_append = true;
            }
            Mishap::CrashWithin => {}
            Mishap::CrashBehind => act()?,
            Mishap::Fails => return self.fail(what),
            Mishap::FailsAfterAll => {
                act()?;
                return self.fail(what);
            }
        }
        failure::end_process(mishap.name())
    }

    fn fail(&self, what: &'static str) -> Result<(), StorageError> {
        self.has_failed.store(true, Ordering::Relaxed);
        Err(StorageError::Injected { what })
    }
}

const APPEND: &str = "append to the log";

impl RaftLog for Mounted {
    fn append(&self, batch: LogBatch) -> Result<(), StorageError> {
        self.write(APPEND, || self.disk.log.append(batch))
    }

    fn state(&self, region: RegionId) -> Result<Option<LogState>, StorageError> {
        self.disk.log.state(region)
    }

    fn regions(&self) -> Vec<RegionId> {
        self.disk.log.regions()
    }

    fn entries(
        &self,
        region: RegionId,
        low: LogIndex,
        high: LogIndex,
        max_bytes: u64,
    ) -> Result<Vec<Entry>, StorageError> {
        self.disk.log.entries(region, low, high, max_bytes)
    }

    fn term(&self, region: RegionId, index: LogIndex) -> Result<Term, StorageError> {
        self.disk.log.term(region, index)
    }

    fn compact(&self, region: RegionId, through: LogIndex) -> Result<(), StorageError> {
        self.write("cut of the log", || self.disk.log.compact(region, through))
    }

    fn remove(&self, region: RegionId) -> Result<(), StorageError> {
        self.write("removal of a log", || self.disk.log.remove(region))
    }

    fn purge(&self) -> Result<Vec<(RegionId, LogIndex)>, StorageError> {
        self.disk.log.purge()
    }

    fn figures(&self) -> LogFigures {
        self.disk.log.figures()
    }
}

impl KvEngine for Mounted {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.disk.engine.get(cf, key)
    }

    fn get_persisted(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.disk.engine.get_persisted(cf, key)
    }

    fn snapshot(&self) -> Arc<dyn KvSnapshot> {
        self.disk.engine.snapshot()
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), StorageError> {
        Mounted::write(self, "write of the engine", || self.disk.engine.write(batch, durability))
    }

    fn make_durable(&self) -> Result<(), StorageError> {
        Mounted::write(self, "flush of the engine", || self.disk.engine.make_durable())
    }

    fn export(
        &self,
        snapshot: &dyn KvSnapshot,
        range: &KeyRange,
        dir: &Path,
    ) -> Result<Vec<ExportedFile>, StorageError> {
        self.disk.engine.export(snapshot, range, dir)
    }

    fn replace_range(&self, range: &KeyRange, files: &[ExportedFile]) -> Result<(), StorageError> {
        Mounted::write(self, "installation of a snapshot", || {
            self.disk.engine.replace_range(range, files)
        })
    }

    fn set_gc_safe_point(&self, safe_point: Timestamp) {
        self.disk.engine.set_gc_safe_point(safe_point);
    }

    fn collect_garbage(&self) -> Result<Collected, StorageError> {
        let mut collected = Collected::default();
        Mounted::write(self, "garbage collection", || {
            collected = self.disk.engine.collect_garbage()?;
            Ok(())
        })?;
        Ok(collected)
    }

    fn approximate_bytes(&self, range: &KeyRange) -> u64 {
        self.disk.engine.approximate_bytes(range)
    }

    fn health(&self) -> Result<Vec<(&'static str, u64)>, StorageError> {
        self.disk.engine.health()
    }
}

#[cfg(test)]
mod tests;
