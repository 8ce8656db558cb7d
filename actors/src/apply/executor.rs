//! Does what Apply decided, on the apply thread: entries into one write batch, then the write, then
//! the replies. Nothing is answered or published before the write has returned.
//!
//! A panic while applying an entry: the batch is thrown away, the entries are applied one by one, and
//! the one that panics again marks its Region as halted, durably. The Region applies no more; the
//! others go on.
use crate::cell::ReplyTo;
use crate::env::{FaultPoint, Faults};
use crate::region_peer::core::members::after_entry;
use crate::region_peer::core::{AppliedConfChange, ApplyOutcome, CommittedEntry};
use crate::supervision::life::panic_message;
use bytes::Bytes;
use protobuf::Message as _;
use raft::eraftpb::{ConfChangeV2, Entry, EntryType};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use troupe_storage::apply::ApplyBatch;
use troupe_storage::engine::{Cf, Durability, ExportedFile, KvEngine, Modify, WriteBatch};
use troupe_storage::failure;
use troupe_storage::region_state::{ApplyState, Halt, ReplicaState, apply_key, replica_key};
use troupe_types::command::EntryPayload;
use troupe_types::raft_message::SnapshotManifest;
use troupe_types::request::{PeerChange, RegionReply, RegionResult};
use troupe_types::{
    Generation, LogIndex, Peer, PeerId, Region, RegionError, RegionId, StoreId, Term, codec,
};

/// Who waits for a write.
pub type Waiter = ReplyTo<RegionResult>;

/// A piece of work.
#[derive(Debug)]
pub enum Task {
    /// A peer starts (again) from this state.
    Adopt(Adopted),
    /// Apply entries, in order.
    Entries {
        /// Which Region.
        region: RegionId,
        /// Which life of its peer.
        generation: Generation,
        /// Entries and who waits for them.
        entries: Vec<CommittedEntry<Waiter>>,
    },
    /// Replace a Region's data.
    Install {
        /// Which life of its peer.
        generation: Generation,
        /// What.
        manifest: SnapshotManifest,
        /// Where its files lie.
        folder: PathBuf,
    },
    /// Remove a Region's data for good and leave a tombstone.
    Destroy {
        /// Which Region.
        region: RegionId,
        /// The replica that ends.
        peer: PeerId,
        /// Told when it is durable.
        reply: ReplyTo<()>,
    },
}

/// State that a peer starts from.
#[derive(Clone, Debug)]
pub struct Adopted {
    /// Which life of the peer.
    pub generation: Generation,
    /// Which replica.
    pub peer: Peer,
    /// Shape as applied.
    pub region: Region,
    /// Last applied entry.
    pub applied: LogIndex,
    /// Its term.
    pub applied_term: Term,
    /// The entry that it cannot apply.
    pub halted: Option<Halt>,
}

/// What a round did for a Region's peer.
#[derive(Debug)]
pub enum Done {
    /// Entries were applied.
    Applied(RegionId, Generation, ApplyOutcome),
    /// A snapshot was installed.
    Installed(RegionId, Generation, LogIndex, Term),
}

/// Counters for heartbeats and metrics.
#[derive(Debug, Default)]
pub struct ApplyFigures {
    /// Commands applied.
    pub commands: AtomicU64,
    /// Entries applied.
    pub entries: AtomicU64,
    /// Write batches.
    pub batches: AtomicU64,
}

/// See the module.
pub struct Executor {
    engine: Arc<dyn KvEngine>,
    faults: Arc<dyn Faults>,
    store: StoreId,
    figures: Arc<ApplyFigures>,
    regions: BTreeMap<RegionId, Adopted>,
}

/// What applying some entries of a Region came to. Several of one Region may share a write batch, and
/// each says how far it came itself: raft-rs must hear of a member change with the index that made it.
struct Round {
    entries: Vec<Applied>,
    applied: LogIndex,
    applied_term: Term,
}

/// What applying an entry came to.
struct Applied {
    results: Vec<RegionResult>,
    conf_change: Option<AppliedConfChange>,
}

impl Executor {
    /// Applies to `engine`.
    #[must_use]
    pub fn new(
        engine: Arc<dyn KvEngine>,
        faults: Arc<dyn Faults>,
        store: StoreId,
        figures: Arc<ApplyFigures>,
    ) -> Self {
        Self { engine, faults, store, figures, regions: BTreeMap::new() }
    }

    /// Does all of `tasks`, in order. Entries that follow each other share a write batch.
    pub fn run(&mut self, tasks: Vec<Task>) -> Vec<Done> {
        let mut done = Vec::new();
        let mut together = Vec::new();
        for task in tasks {
            match task {
                Task::Entries { region, generation, entries } => {
                    together.push((region, generation, entries));
                }
                Task::Adopt(adopted) => {
                    self.entries(std::mem::take(&mut together), &mut done);
                    self.regions.insert(adopted.region.id, adopted);
                }
                Task::Install { generation, manifest, folder } => {
                    self.entries(std::mem::take(&mut together), &mut done);
                    done.push(self.install(generation, manifest, &folder));
                }
                Task::Destroy { region, peer, reply } => {
                    self.entries(std::mem::take(&mut together), &mut done);
                    self.destroy(region, peer);
                    reply.send(());
                }
            }
        }
        self.entries(together, &mut done);
        done
    }

    fn entries(&mut self, work: Vec<EntriesOfRegion>, done: &mut Vec<Done>) {
        if work.is_empty() {
            return;
        }
        let touched = work.iter().filter_map(|(region, ..)| self.regions.get(region).cloned());
        let before: Vec<Adopted> = touched.collect();
        let attempt = catch_unwind(AssertUnwindSafe(|| self.attempt(&work)));
        match attempt {
            Ok((batch, applied)) => {
                self.write(batch);
                self.finish(work, applied, done);
            }
            Err(_) => {
                self.regions.extend(before.into_iter().map(|state| (state.region.id, state)));
                self.one_by_one(work, done);
            }
        }
    }

    /// Applies all of `work` into one batch. Pure but for reads of the engine.
    fn attempt(&mut self, work: &[EntriesOfRegion]) -> (WriteBatch, Vec<Option<Round>>) {
        let engine = self.engine.clone();
        let base = move || engine.snapshot();
        let mut batch = ApplyBatch::new(&base);
        let mut all = Vec::with_capacity(work.len());
        for (region, _, entries) in work {
            let _scope = failure::RegionScope::enter(*region);
            let Some(state) = self.regions.get_mut(region) else {
                all.push(None);
                continue;
            };
            let mut round = Vec::with_capacity(entries.len());
            for committed in entries {
                if state.halted.is_some() || committed.entry.index <= state.applied.get() {
                    round.push(Applied { results: Vec::new(), conf_change: None });
                    continue;
                }
                self.faults.hit(FaultPoint::Apply, *region);
                let one = apply_entry(state, &committed.entry, &mut batch, self.store);
                round.push(one);
            }
            let row = codec::encode(&apply_state(state));
            batch.put_raw_cf(Cf::Raft, apply_key(*region), row.into());
            let (applied, applied_term) = (state.applied, state.applied_term);
            all.push(Some(Round { entries: round, applied, applied_term }));
        }
        (batch.finish(), all)
    }

    fn write(&self, batch: WriteBatch) {
        self.figures.batches.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.engine.write(batch, Durability::Buffered) {
            failure::fatal(&error);
        }
    }

    /// Answers the askers and says what became of each Region.
    fn finish(&self, work: Vec<EntriesOfRegion>, rounds: Vec<Option<Round>>, done: &mut Vec<Done>) {
        for ((region, generation, entries), round) in work.into_iter().zip(rounds) {
            let Some(state) = self.regions.get(&region) else { continue };
            let Some(round) = round else { continue };
            let mut conf_changes = Vec::new();
            self.figures.entries.fetch_add(entries.len() as u64, Ordering::Relaxed);
            for (committed, one) in entries.into_iter().zip(round.entries) {
                self.figures.commands.fetch_add(one.results.len() as u64, Ordering::Relaxed);
                conf_changes.extend(one.conf_change);
                // Without a result (a halted Region) the slot is dropped: the outcome is unknown.
                for (waiter, result) in committed.waiters.into_iter().zip(one.results) {
                    waiter.send(result);
                }
            }
            let outcome = ApplyOutcome {
                applied: round.applied,
                applied_term: round.applied_term,
                conf_changes,
                halted: state.halted.is_some(),
            };
            done.push(Done::Applied(region, generation, outcome));
        }
    }

    /// Isolates the entry that panics.
    fn one_by_one(&mut self, work: Vec<EntriesOfRegion>, done: &mut Vec<Done>) {
        for (region, generation, entries) in work {
            for committed in entries {
                let index = LogIndex(committed.entry.index);
                let term = Term(committed.entry.term);
                let crc = crc32c::crc32c(&committed.entry.data);
                let before = self.regions.get(&region).cloned();
                let one = vec![(region, generation, vec![committed])];
                match catch_unwind(AssertUnwindSafe(|| self.attempt(&one))) {
                    Ok((batch, applied)) => {
                        self.write(batch);
                        self.finish(one, applied, done);
                    }
                    Err(panic) => {
                        let message = panic_message(panic.as_ref());
                        let halt = Halt { index, term, crc32c: crc, message };
                        if let Some(state) = before {
                            self.halt(state, halt);
                        }
                        self.finish(one, Vec::new(), done);
                        self.report_halt(region, generation, done);
                    }
                }
            }
        }
    }

    fn halt(&mut self, mut state: Adopted, halt: Halt) {
        tracing::error!(
            region = %state.region.id, index = %halt.index, term = %halt.term, crc = halt.crc32c,
            panic = %halt.message,
            "an entry cannot be applied: the Region is halted on this Store"
        );
        state.halted = Some(halt);
        let row = codec::encode(&apply_state(&state));
        let put = Modify::Put(Cf::Raft, apply_key(state.region.id), row.into());
        if let Err(error) = self.engine.write(WriteBatch { changes: vec![put] }, Durability::Synced)
        {
            failure::fatal(&error);
        }
        self.regions.insert(state.region.id, state);
    }

    fn report_halt(&self, region: RegionId, generation: Generation, done: &mut Vec<Done>) {
        let Some(state) = self.regions.get(&region) else { return };
        let outcome = ApplyOutcome {
            applied: state.applied,
            applied_term: state.applied_term,
            conf_changes: Vec::new(),
            halted: true,
        };
        done.push(Done::Applied(region, generation, outcome));
    }

    fn install(
        &mut self,
        generation: Generation,
        manifest: SnapshotManifest,
        folder: &Path,
    ) -> Done {
        let (region, index, term) = (manifest.region.id, manifest.index, manifest.term);
        let peer = manifest.region.peer_on(self.store);
        let known = self.regions.get(&region).map(|state| state.peer);
        let peer = known.or(peer).expect("invariant: a snapshot is for a replica of this Store");
        install_snapshot(self.engine.as_ref(), peer.id, &manifest, folder);
        let adopted = Adopted {
            generation,
            peer,
            region: manifest.region,
            applied: index,
            applied_term: term,
            halted: None,
        };
        self.regions.insert(region, adopted);
        Done::Installed(region, generation, index, term)
    }

    fn destroy(&mut self, region: RegionId, peer: PeerId) {
        let state = self.regions.remove(&region);
        let mut changes = Vec::new();
        if let Some(state) = state.filter(|state| !state.region.peers.is_empty()) {
            let range = state.region.range.data_range();
            changes.extend(Cf::DATA.map(|cf| Modify::DeleteRange(cf, range.clone())));
        }
        let tombstone = codec::encode(&ReplicaState::Tombstone { peer });
        changes.push(Modify::Delete(Cf::Raft, apply_key(region)));
        changes.push(Modify::Put(Cf::Raft, replica_key(region), tombstone.into()));
        // Synced before the log is forgotten: a replica without its log must not come back.
        if let Err(error) = self.engine.write(WriteBatch { changes }, Durability::Synced) {
            failure::fatal(&error);
        }
    }
}

type EntriesOfRegion = (RegionId, Generation, Vec<CommittedEntry<Waiter>>);

fn apply_state(state: &Adopted) -> ApplyState {
    ApplyState {
        applied: state.applied,
        applied_term: state.applied_term,
        halted: state.halted.clone(),
    }
}

/// Applies one entry to `state` and `batch`.
fn apply_entry(
    state: &mut Adopted,
    entry: &Entry,
    batch: &mut ApplyBatch<'_>,
    store: StoreId,
) -> Applied {
    assert!(entry.index == state.applied.get() + 1, "entries are applied without a gap");
    let applied = match entry.get_entry_type() {
        EntryType::EntryNormal => {
            Applied { results: normal(state, &entry.data, batch), conf_change: None }
        }
        EntryType::EntryConfChangeV2 | EntryType::EntryConfChange => {
            Applied { results: Vec::new(), conf_change: Some(members(state, entry, batch, store)) }
        }
    };
    state.applied = LogIndex(entry.index);
    state.applied_term = Term(entry.term);
    applied
}

fn normal(state: &Adopted, data: &Bytes, batch: &mut ApplyBatch<'_>) -> Vec<RegionResult> {
    if data.is_empty() {
        return Vec::new();
    }
    let (epoch, commands) = match codec::decode::<EntryPayload>(data) {
        Ok(EntryPayload::Writes { epoch, commands }) => (epoch, commands),
        // The same on every replica of this build: an entry without effect.
        Err(error) => return vec![Err(RegionError::Malformed { what: error.to_string() })],
    };
    let region = &state.region;
    let is_stale = epoch.version != region.epoch.version && !planted!(EpochUnchecked);
    let one = |command: &troupe_types::WriteCommand| {
        if is_stale {
            return Err(RegionError::EpochNotMatch { current: Box::new(region.clone()) });
        }
        if !command.is_inside(&region.range) {
            return Err(RegionError::KeyNotInRegion { region: region.id });
        }
        match batch.apply(command) {
            Ok(reply) => Ok(RegionReply::Write(reply)),
            Err(error) if error.is_deterministic() => {
                Err(RegionError::Malformed { what: error.to_string() })
            }
            Err(error) => failure::fatal(&error),
        }
    };
    commands.iter().map(one).collect()
}

fn members(
    state: &mut Adopted,
    entry: &Entry,
    batch: &mut ApplyBatch<'_>,
    store: StoreId,
) -> AppliedConfChange {
    let mut change = ConfChangeV2::default();
    if !entry.data.is_empty() {
        let merged = change.merge_from_bytes(&entry.data);
        assert!(merged.is_ok(), "a member change that does not decode: {merged:?}");
    }
    let changes: Vec<PeerChange> = if change.context.is_empty() {
        Vec::new()
    } else {
        codec::decode(&change.context).expect("invariant: written by `conf_change`")
    };
    state.region = after_entry(&state.region, &changes);
    if let Some(me) = state.region.peer_on(store) {
        state.peer = me;
        let row = ReplicaState::Normal { peer: me.id, region: state.region.clone() };
        batch.put_raw_cf(Cf::Raft, replica_key(state.region.id), codec::encode(&row).into());
    }
    AppliedConfChange { change, region: state.region.clone() }
}

/// Replaces a Region's data by a snapshot's, so that a crash at any point is mended by doing it
/// again (the `Applying` row says so).
pub fn install_snapshot(
    engine: &dyn KvEngine,
    peer: PeerId,
    manifest: &SnapshotManifest,
    folder: &Path,
) {
    let region = manifest.region.id;
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let applying = ReplicaState::Applying {
        peer,
        manifest: manifest.clone(),
        folder: name.unwrap_or_default(),
    };
    let put = |key: Bytes, row: Vec<u8>| Modify::Put(Cf::Raft, key, row.into());
    let changes = vec![put(replica_key(region), codec::encode(&applying))];
    let files: Vec<ExportedFile> = manifest
        .files
        .iter()
        .enumerate()
        .map(|(i, meta)| ExportedFile { path: folder.join(i.to_string()), meta: meta.clone() })
        .collect();
    let normal = ReplicaState::Normal { peer, region: manifest.region.clone() };
    let applied = ApplyState { applied: manifest.index, applied_term: manifest.term, halted: None };
    let finish = vec![
        put(replica_key(region), codec::encode(&normal)),
        put(apply_key(region), codec::encode(&applied)),
    ];
    let result = engine
        .write(WriteBatch { changes }, Durability::Synced)
        .and_then(|()| engine.replace_range(&manifest.region.range.data_range(), &files))
        .and_then(|()| engine.write(WriteBatch { changes: finish }, Durability::Synced));
    if let Err(error) = result {
        failure::fatal(&error);
    }
}
