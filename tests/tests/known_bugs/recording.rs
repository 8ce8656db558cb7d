//! An engine that notes what is written to it and may die in the middle of its work, and the apply
//! executor on top of it.
use super::one_replica::REGION;
use bytes::Bytes;
use raft::eraftpb::Entry;
use std::path::Path;
use std::sync::{Arc, Mutex};
use troupe_actors::apply::executor::{Adopted, ApplyFigures, Executor, Task};
use troupe_actors::env::NoFaults;
use troupe_actors::region_peer::core::CommittedEntry;
use troupe_storage::StorageError;
use troupe_storage::engine::{Cf, Durability, ExportedFile, KvEngine, KvSnapshot, WriteBatch};
use troupe_types::{Generation, KeyRange, LogIndex, Peer, Region, StoreId, Term};

type BeforeWrite = Box<dyn Fn(usize) + Send + Sync>;

/// See the module.
pub struct Recording {
    inner: Arc<dyn KvEngine>,
    /// Called with the number of each write, flush or replacement of data, before it is done: a test
    /// panics there to die.
    before: BeforeWrite,
    batches: Mutex<Vec<WriteBatch>>,
    count: Mutex<usize>,
}

impl Recording {
    pub fn new(inner: Arc<dyn KvEngine>, before: impl Fn(usize) + Send + Sync + 'static) -> Self {
        Self { inner, before: Box::new(before), batches: Mutex::default(), count: Mutex::default() }
    }

    pub fn batches(&self) -> Vec<WriteBatch> {
        self.batches.lock().unwrap().clone()
    }

    /// Operations so far.
    pub fn count(&self) -> usize {
        *self.count.lock().unwrap()
    }

    fn next(&self) {
        let number = {
            let mut count = self.count.lock().unwrap();
            *count += 1;
            *count - 1
        };
        (self.before)(number);
    }
}

impl KvEngine for Recording {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.inner.get(cf, key)
    }

    fn get_persisted(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.inner.get_persisted(cf, key)
    }

    fn snapshot(&self) -> Arc<dyn KvSnapshot> {
        self.inner.snapshot()
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), StorageError> {
        self.next();
        self.batches.lock().unwrap().push(batch.clone());
        self.inner.write(batch, durability)
    }

    fn make_durable(&self) -> Result<(), StorageError> {
        self.next();
        self.inner.make_durable()
    }

    fn export(
        &self,
        snapshot: &dyn KvSnapshot,
        range: &KeyRange,
        dir: &Path,
    ) -> Result<Vec<ExportedFile>, StorageError> {
        self.inner.export(snapshot, range, dir)
    }

    fn replace_range(&self, range: &KeyRange, files: &[ExportedFile]) -> Result<(), StorageError> {
        self.next();
        self.inner.replace_range(range, files)
    }

    fn set_gc_safe_point(&self, safe_point: troupe_types::Timestamp) {
        self.inner.set_gc_safe_point(safe_point);
    }

    fn collect_garbage(&self) -> Result<troupe_storage::engine::Collected, StorageError> {
        self.next();
        self.inner.collect_garbage()
    }

    fn approximate_bytes(&self, range: &KeyRange) -> u64 {
        self.inner.approximate_bytes(range)
    }

    fn health(&self) -> Result<Vec<(&'static str, u64)>, StorageError> {
        self.inner.health()
    }
}

/// The executor of Store 1 over `engine`, which knows `regions` at the given applied index and term.
pub fn executor(engine: Arc<dyn KvEngine>, regions: &[(Region, Peer, LogIndex, Term)]) -> Executor {
    let figures = Arc::new(ApplyFigures::default());
    let mut executor = Executor::new(engine, Arc::new(NoFaults), StoreId(1), figures);
    let adopt = regions.iter().map(|(region, peer, applied, applied_term)| {
        Task::Adopt(Adopted {
            generation: Generation(1),
            peer: *peer,
            region: region.clone(),
            applied: *applied,
            applied_term: *applied_term,
            halted: None,
        })
    });
    executor.run(adopt.collect());
    executor
}

/// The task to apply `entries` of `region`.
pub fn task(region: troupe_types::RegionId, entries: Vec<Entry>) -> Task {
    let entries = entries.into_iter();
    let entries = entries.map(|entry| CommittedEntry { entry, waiters: Vec::new() }).collect();
    Task::Entries { region, generation: Generation(1), entries }
}

/// Keys and values, in order.
pub type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// Content of the default family, and the applied index of the Region of `one_replica`.
pub fn content(engine: &dyn KvEngine) -> (Rows, u64) {
    let mut rows = Vec::new();
    let all = KeyRange::raw_space();
    let scanned = engine.snapshot().scan(Cf::Default, &all, false, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        std::ops::ControlFlow::Continue(())
    });
    scanned.unwrap();
    let state = troupe_storage::region_state::read_apply_state(engine, REGION).unwrap();
    (rows, state.map_or(0, |state| state.applied.get()))
}
