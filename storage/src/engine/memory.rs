//! Memory twin of the key-value engine, with the crash semantics of the real one.
//!
//! A crash loses buffered batches from the end: what is left is what was durable plus, if the test
//! asks for it, some of the first batches behind. A batch is never torn.
//!
//! A snapshot shares the maps; only a write while a snapshot is alive copies a map.
//!
//! Exported files, one a column family, repeat in key order:
//!
//! ```text
//! key length u32 big endian | value length u32 big endian | key | value
//! ```
use super::{
    Cf, Collected, Durability, ExportedFile, KvEngine, KvSnapshot, Modify, Visit, WriteBatch, files,
};
use crate::error::StorageError;
use crate::gc;
use bytes::{Buf, BufMut, Bytes};
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use troupe_types::key::TXN_PREFIX;
use troupe_types::{KeyRange, Timestamp};

type Map = BTreeMap<Bytes, Bytes>;

/// See the module.
#[derive(Default)]
pub struct MemoryEngine {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    now: Maps,
    /// What a power cut would leave.
    durable: Maps,
    /// Buffered batches: `durable` and these give `now`.
    tail: Vec<WriteBatch>,
    gc_safe_point: Timestamp,
    fail_next_write: bool,
    fail_next_sync: bool,
}

#[derive(Clone, Default)]
struct Maps {
    cfs: [Arc<Map>; Cf::ALL.len()],
}

impl MemoryEngine {
    /// An empty engine.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A power cut: everything that is not durable is lost.
    pub fn crash(&self) {
        self.crash_keeping(0);
    }

    /// A power cut that finds the first `batches` of the buffered ones on disk.
    pub fn crash_keeping(&self, batches: usize) {
        let mut state = self.state();
        let kept = batches.min(state.tail.len());
        state.persist(kept);
        state.tail.clear();
        state.now = state.durable.clone();
        state.gc_safe_point = Timestamp::ZERO;
    }

    /// Batches that a crash would lose.
    #[must_use]
    pub fn buffered_batches(&self) -> usize {
        self.state().tail.len()
    }

    /// Lets the next write fail without effect.
    pub fn fail_next_write(&self) {
        self.state().fail_next_write = true;
    }

    /// Lets the next sync fail: of a synced write (whose changes stay buffered), or of
    /// [`KvEngine::make_durable`].
    pub fn fail_next_make_durable(&self) {
        self.state().fail_next_sync = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("invariant: nothing panics while the maps are locked")
    }
}

impl State {
    fn write(&mut self, batch: WriteBatch) -> Result<(), StorageError> {
        if std::mem::take(&mut self.fail_next_write) {
            return Err(StorageError::Injected { what: "write" });
        }
        let batch = match batch.is_conditional() {
            true => batch.settled(|key| Ok(self.now.of(Cf::Write).contains_key(key)))?,
            false => batch,
        };
        self.now.apply(&batch);
        self.tail.push(batch);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        if std::mem::take(&mut self.fail_next_sync) {
            return Err(StorageError::Injected { what: "sync" });
        }
        self.persist(self.tail.len());
        Ok(())
    }

    /// Makes the first `batches` of the tail durable.
    fn persist(&mut self, batches: usize) {
        for batch in self.tail.drain(..batches) {
            self.durable.apply(&batch);
        }
    }
}

impl Maps {
    fn of(&self, cf: Cf) -> &Map {
        &self.cfs[cf as usize]
    }

    fn apply(&mut self, batch: &WriteBatch) {
        for change in &batch.changes {
            match change {
                Modify::Put(cf, key, value) => {
                    self.of_mut(*cf).insert(key.clone(), value.clone());
                }
                Modify::Delete(cf, key) => {
                    self.of_mut(*cf).remove(key);
                }
                // Settled when the batch was written.
                Modify::ReplaceRecord(..) => {}
                Modify::DeleteRange(cf, range) => {
                    let doomed: Vec<_> =
                        rows(self.of(*cf), range).map(|(k, _)| k.clone()).collect();
                    let map = self.of_mut(*cf);
                    for key in doomed {
                        map.remove(&key);
                    }
                }
            }
        }
    }

    fn of_mut(&mut self, cf: Cf) -> &mut Map {
        Arc::make_mut(&mut self.cfs[cf as usize])
    }
}

fn rows<'a>(
    map: &'a Map,
    range: &'a KeyRange,
) -> impl DoubleEndedIterator<Item = (&'a Bytes, &'a Bytes)> {
    // An iterator over `start > end` panics.
    let start = if range.is_empty() { &range.end } else { &range.start };
    let end =
        if range.end.is_empty() { Bound::Unbounded } else { Bound::Excluded(range.end.as_ref()) };
    map.range::<[u8], _>((Bound::Included(start.as_ref()), end))
}

impl KvSnapshot for Maps {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Ok(self.of(cf).get(key).cloned())
    }

    fn scan(
        &self,
        cf: Cf,
        range: &KeyRange,
        reverse: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), StorageError> {
        let mut visit = |(key, value): (&Bytes, &Bytes)| visit(key, value);
        // A visitor that breaks is not an error.
        let _ = if reverse {
            rows(self.of(cf), range).rev().try_for_each(&mut visit)
        } else {
            rows(self.of(cf), range).try_for_each(&mut visit)
        };
        Ok(())
    }
}

impl KvEngine for MemoryEngine {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.state().now.get(cf, key)
    }

    fn get_persisted(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.state().durable.get(cf, key)
    }

    fn snapshot(&self) -> Arc<dyn KvSnapshot> {
        Arc::new(self.state().now.clone())
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), StorageError> {
        let mut state = self.state();
        state.write(batch)?;
        match durability {
            Durability::Buffered => Ok(()),
            Durability::Synced => state.sync(),
        }
    }

    fn make_durable(&self) -> Result<(), StorageError> {
        self.state().sync()
    }

    fn export(
        &self,
        snapshot: &dyn KvSnapshot,
        range: &KeyRange,
        dir: &Path,
    ) -> Result<Vec<ExportedFile>, StorageError> {
        let mut exported = Vec::new();
        for cf in Cf::DATA {
            let (mut content, mut keys) = (Vec::new(), 0);
            snapshot.scan(cf, range, false, &mut |key, value| {
                encode_row(&mut content, key, value);
                keys += 1;
                ControlFlow::Continue(())
            })?;
            if keys > 0 {
                let path = files::file_path(dir, cf, 0);
                std::fs::write(&path, content)
                    .map_err(|e| StorageError::io("writing", &path, e))?;
                exported.push(files::describe(path, cf, keys)?);
            }
        }
        Ok(exported)
    }

    fn replace_range(&self, range: &KeyRange, files: &[ExportedFile]) -> Result<(), StorageError> {
        let mut changes: Vec<_> =
            Cf::DATA.into_iter().map(|cf| Modify::DeleteRange(cf, range.clone())).collect();
        for (cf, file) in files::verify(files)? {
            let content = std::fs::read(&file.path)
                .map_err(|e| StorageError::io("reading", &file.path, e))?;
            let rows = decode_rows(content.into()).ok_or_else(|| StorageError::Inconsistent {
                detail: format!("{} ends within a row", file.path.display()),
            })?;
            changes.extend(rows.into_iter().map(|(key, value)| Modify::Put(cf, key, value)));
        }
        self.write(WriteBatch { changes }, Durability::Synced)
    }

    fn set_gc_safe_point(&self, safe_point: Timestamp) {
        let mut state = self.state();
        state.gc_safe_point = state.gc_safe_point.max(safe_point);
    }

    fn collect_garbage(&self) -> Result<Collected, StorageError> {
        let mut state = self.state();
        let all = KeyRange::prefix(&[TXN_PREFIX]);
        let garbage = gc::garbage(&state.now, &all, state.gc_safe_point)?;
        let records = garbage.len() as u64;
        if records > 0 {
            state.write(WriteBatch { changes: garbage.into_iter().flatten().collect() })?;
        }
        Ok(Collected { records, has_more: false })
    }

    fn approximate_bytes(&self, range: &KeyRange) -> u64 {
        let now = self.state().now.clone();
        let bytes = |cf| rows(now.of(cf), range).map(|(k, v)| k.len() + v.len()).sum::<usize>();
        Cf::DATA.into_iter().map(bytes).sum::<usize>() as u64
    }

    fn health(&self) -> Result<Vec<(&'static str, u64)>, StorageError> {
        let state = self.state();
        let keys: usize = Cf::ALL.into_iter().map(|cf| state.now.of(cf).len()).sum();
        Ok(vec![("keys", keys as u64), ("buffered_batches", state.tail.len() as u64)])
    }
}

fn encode_row(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    for part in [key, value] {
        out.put_u32(u32::try_from(part.len()).expect("invariant: a row is far below 4 GiB"));
    }
    out.extend_from_slice(key);
    out.extend_from_slice(value);
}

fn decode_rows(mut content: Bytes) -> Option<Vec<(Bytes, Bytes)>> {
    let mut rows = Vec::new();
    while content.has_remaining() {
        if content.remaining() < 8 {
            return None;
        }
        let (key, value) = (content.get_u32() as usize, content.get_u32() as usize);
        if content.remaining() < key.checked_add(value)? {
            return None;
        }
        rows.push((content.split_to(key), content.split_to(value)));
    }
    Some(rows)
}

#[cfg(test)]
mod tests;
