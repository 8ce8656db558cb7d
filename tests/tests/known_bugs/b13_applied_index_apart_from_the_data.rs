//! B13: the applied index saved apart from the data (etcd#13766).
//!
//! etcd wrote "applied up to here" in another transaction than the data it spoke of. A crash between the
//! two left an index ahead of its data: those entries were never applied there again.
//!
//! The test notes every batch that the executor writes while it applies random entries of three Regions in
//! random portions. After each prefix of the batches, which is what a crash may leave, the data of each
//! Region must be exactly what the entries up to its index make, and the rest of the entries must lead to
//! the same end.
use super::recording::{Recording, Rows, executor, task};
use raft::eraftpb::Entry;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use troupe_actors::env::{Rng, Rngs};
use troupe_actors::real_env::SeededRngs;
use troupe_storage::engine::memory::MemoryEngine;
use troupe_storage::engine::{Cf, Durability, KvEngine, Modify, WriteBatch};
use troupe_storage::region_state::{apply_key, read_apply_state};
use troupe_types::command::{EntryPayload, RawChange, RawExpectation};
use troupe_types::{
    Key, KeyRange, LogIndex, Peer, PeerId, Region, RegionEpoch, RegionId, StoreId, Term,
    UnixMillis, WriteCommand, codec,
};

const REGIONS: u64 = 3;
const ENTRIES: u64 = 40;

fn region(id: u64) -> Region {
    let bound = |id: u64| vec![b'r', b'0' + u8::try_from(id).unwrap()];
    Region {
        id: RegionId(id),
        range: KeyRange::new(bound(id), bound(id + 1)),
        epoch: RegionEpoch::INITIAL,
        peers: vec![Peer::voter(PeerId(100 + id), StoreId(1))],
    }
}

fn key(region: u64, number: u64) -> Key {
    format!("r{region}-{number}").into_bytes().into()
}

fn command(rng: &mut dyn Rng, region: u64, index: u64) -> WriteCommand {
    let change = RawChange::Put { value: index.to_string().into(), expires_at: None };
    let key = key(region, rng.between(0, 5));
    match rng.between(0, 8) {
        0 => WriteCommand::RawWrite { changes: vec![(key, RawChange::Delete)] },
        1 => {
            let range = KeyRange::new(key, self::key(region, 9));
            WriteCommand::RawDeleteRange { range }
        }
        2..5 => {
            let expect = match rng.between(0, 2) {
                0 => RawExpectation::Absent,
                _ => RawExpectation::Present,
            };
            WriteCommand::RawCompareAndSwap { key, expect, change, now: UnixMillis(1) }
        }
        _ => WriteCommand::RawWrite { changes: vec![(key, change)] },
    }
}

fn entries(rng: &mut dyn Rng, region: u64) -> Vec<Entry> {
    let entry = |index| {
        let commands = (0..rng.between(0, 4)).map(|_| command(rng, region, index)).collect();
        let payload = EntryPayload::Writes { epoch: RegionEpoch::INITIAL, commands };
        Entry { index, term: 6, data: codec::encode(&payload).into(), ..Entry::default() }
    };
    (6..6 + ENTRIES).map(entry).collect()
}

fn rows(engine: &dyn KvEngine, region: u64) -> Rows {
    let mut rows = Vec::new();
    let range = self::region(region).range;
    let scanned = engine.snapshot().scan(Cf::Default, &range, false, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    });
    scanned.unwrap();
    rows
}

fn applied(engine: &dyn KvEngine, region: u64) -> u64 {
    let state = read_apply_state(engine, RegionId(region)).unwrap();
    state.map_or(5, |state| state.applied.get())
}

/// Applies what is behind the applied index of each Region.
fn finish(engine: &Arc<MemoryEngine>, all: &BTreeMap<u64, Vec<Entry>>) {
    let known: Vec<_> = all
        .keys()
        .map(|id| {
            let region = region(*id);
            let peer = region.peers[0];
            (region, peer, LogIndex(applied(&**engine, *id)), Term(6))
        })
        .collect();
    let mut executor = executor(engine.clone(), &known);
    for (id, entries) in all {
        let from = applied(&**engine, *id);
        let rest = entries.iter().filter(|entry| entry.index > from).cloned().collect();
        executor.run(vec![task(RegionId(*id), rest)]);
    }
}

/// Rows of each Region behind each of its entries.
fn models(all: &BTreeMap<u64, Vec<Entry>>) -> BTreeMap<(u64, u64), Rows> {
    let mut models = BTreeMap::new();
    for (id, entries) in all {
        let engine = Arc::new(MemoryEngine::new());
        let start = (region(*id), region(*id).peers[0], LogIndex(5), Term(5));
        let mut executor = executor(engine.clone(), &[start]);
        models.insert((*id, 5), rows(&*engine, *id));
        for entry in entries {
            executor.run(vec![task(RegionId(*id), vec![entry.clone()])]);
            models.insert((*id, entry.index), rows(&*engine, *id));
        }
    }
    models
}

/// Applies all entries in random portions, and answers the batches.
fn record(rng: &mut dyn Rng, all: &BTreeMap<u64, Vec<Entry>>) -> Vec<WriteBatch> {
    let recording = Arc::new(Recording::new(Arc::new(MemoryEngine::new()), |_| {}));
    let known: Vec<_> =
        all.keys().map(|id| (region(*id), region(*id).peers[0], LogIndex(5), Term(5))).collect();
    let mut executor = executor(recording.clone(), &known);
    let mut rest = all.clone();
    while rest.values().any(|entries| !entries.is_empty()) {
        let mut tasks = Vec::new();
        for _ in 0..rng.between(1, 5) {
            let id = rng.between(1, REGIONS + 1);
            let entries = rest.get_mut(&id).unwrap();
            let portion = usize::try_from(rng.between(0, 5)).unwrap().min(entries.len());
            if portion > 0 {
                tasks.push(task(RegionId(id), entries.drain(..portion).collect()));
            }
        }
        executor.run(tasks);
    }
    recording.batches()
}

fn touches(batch: &WriteBatch, region: &Region) -> bool {
    batch.changes.iter().any(|change| match change {
        Modify::Put(Cf::Default, key, _) | Modify::Delete(Cf::Default, key) => {
            region.range.contains(key)
        }
        Modify::DeleteRange(Cf::Default, range) => region.range.intersect(range).is_some(),
        _ => false,
    })
}

fn has_index(batch: &WriteBatch, region: &Region) -> bool {
    let row = apply_key(region.id);
    batch.changes.iter().any(|c| matches!(c, Modify::Put(Cf::Raft, key, _) if *key == row))
}

#[test]
fn every_batch_with_data_of_a_region_has_its_applied_index() {
    for seed in 1_301..=1_320 {
        let mut rng = SeededRngs::new(seed).rng("entries");
        let all: BTreeMap<u64, Vec<Entry>> =
            (1..=REGIONS).map(|id| (id, entries(&mut *rng, id))).collect();
        let models = models(&all);
        let batches = record(&mut *rng, &all);
        assert!(batches.len() > 10, "seed {seed}");
        for (number, batch) in batches.iter().enumerate() {
            for id in 1..=REGIONS {
                let region = region(id);
                assert!(
                    !touches(batch, &region) || has_index(batch, &region),
                    "seed {seed}: batch {number} changes region {id} and not its applied index"
                );
            }
        }
        for kept in 0..=batches.len() {
            let engine = Arc::new(MemoryEngine::new());
            for batch in &batches[..kept] {
                engine.write(batch.clone(), Durability::Buffered).unwrap();
            }
            for id in 1..=REGIONS {
                let index = applied(&*engine, id);
                let found = rows(&*engine, id);
                assert_eq!(found, models[&(id, index)], "seed {seed}, {kept} batches, region {id}");
            }
            finish(&engine, &all);
            for id in 1..=REGIONS {
                let end = 5 + ENTRIES;
                assert_eq!(rows(&*engine, id), models[&(id, end)], "seed {seed}, {kept} batches");
            }
        }
    }
}
