//! RocksDB keeps the contract, and its files hold a prefix of the batches at any moment.
use super::super::contract::{self, buffered, put, range, scan};
use super::*;
use crate::region_state::{ApplyState, apply_key, read_apply_state, read_durable_apply_state};
use std::time::Duration;
use troupe_types::{LogIndex, RegionId, Term, codec};

const REGION: RegionId = RegionId(7);

fn small() -> RocksOptions {
    const KIB: u64 = 1024;
    RocksOptions {
        block_cache_bytes: 1024 * KIB,
        write_buffer_bytes: 64 * KIB,
        total_write_buffer_bytes: 1024 * KIB,
        export_file_bytes: 64 * KIB,
        ..RocksOptions::default()
    }
}

fn open() -> (RocksEngine, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (RocksEngine::open(&dir.path().join("kv"), &small()).unwrap(), dir)
}

contract::contract_tests!(open);

/// What applying entry `index` writes: a row in two column families, and the applied index.
fn apply(engine: &RocksEngine, index: u64) {
    let key = format!("{index:06}");
    let state = ApplyState { applied: LogIndex(index), applied_term: Term(1), halted: None };
    let value = "v".repeat(100);
    let changes = vec![
        put(Cf::Default, &key, &value),
        put(Cf::Write, &key, &value),
        Modify::Put(Cf::Raft, apply_key(REGION), codec::encode(&state).into()),
    ];
    buffered(engine, changes);
}

/// Waits until RocksDB neither flushes nor compacts.
fn settle(engine: &RocksEngine) {
    let busy = [
        properties::NUM_RUNNING_FLUSHES,
        properties::MEM_TABLE_FLUSH_PENDING,
        properties::NUM_RUNNING_COMPACTIONS,
        properties::COMPACTION_PENDING,
    ];
    for _ in 0..1000 {
        if busy.iter().all(|name| engine.figure_sum(name).unwrap() == 0) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("RocksDB is still busy after ten seconds");
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// The files as they lie on the disk, without closing, are what a killed process leaves.
fn crash_image(engine: &RocksEngine, dir: &Path) -> RocksEngine {
    settle(engine);
    copy_files(&dir.join("kv"), &dir.join("image"));
    RocksEngine::open(&dir.join("image"), &small()).unwrap()
}

fn assert_holds_exactly(engine: &RocksEngine, applied: u64) {
    let state = read_apply_state(engine, REGION).unwrap().unwrap();
    assert_eq!(state.applied, LogIndex(applied));
    for cf in [Cf::Default, Cf::Write] {
        let rows = scan(&*engine.snapshot(), cf, &range("", ""), false);
        let keys: Vec<_> = rows.into_iter().map(|(key, _)| key).collect();
        let expected: Vec<_> = (1..=applied).map(|i| Bytes::from(format!("{i:06}"))).collect();
        assert_eq!(keys, expected, "{cf:?}");
    }
}

#[test]
fn a_killed_process_leaves_what_was_flushed_and_nothing_else() {
    let (engine, dir) = open();
    (1..=50).for_each(|index| apply(&engine, index));
    engine.make_durable().unwrap();
    (51..=80).for_each(|index| apply(&engine, index));
    let durable = read_durable_apply_state(&engine, REGION).unwrap().unwrap();
    assert_eq!(durable.applied, LogIndex(50));
    assert_holds_exactly(&engine, 80);
    assert_holds_exactly(&crash_image(&engine, dir.path()), 50);
}

#[test]
fn background_flushes_keep_all_column_families_in_step() {
    const APPLIED: u64 = 1500;
    let (engine, dir) = open();
    (1..=APPLIED).for_each(|index| apply(&engine, index));
    settle(&engine);
    let durable = read_durable_apply_state(&engine, REGION).unwrap().unwrap().applied;
    assert!(durable > LogIndex(0) && durable < LogIndex(APPLIED), "flushed up to {durable}");
    assert_holds_exactly(&crash_image(&engine, dir.path()), durable.get());
}

#[test]
fn a_closed_database_has_lost_nothing() {
    let (engine, dir) = open();
    (1..=20).for_each(|index| apply(&engine, index));
    drop(engine);
    let again = RocksEngine::open(&dir.path().join("kv"), &small()).unwrap();
    assert_holds_exactly(&again, 20);
}

#[test]
fn a_snapshot_keeps_its_database_alive() {
    let (engine, _dir) = open();
    apply(&engine, 1);
    let snapshot = engine.snapshot();
    drop(engine);
    assert!(snapshot.get(Cf::Default, b"000001").unwrap().is_some());
}

#[test]
fn a_database_is_open_once() {
    let (_engine, dir) = open();
    let again = RocksEngine::open(&dir.path().join("kv"), &small());
    assert!(matches!(again, Err(StorageError::Engine(_))));
}

#[test]
fn a_large_range_becomes_several_files_and_leaves_its_neighbours() {
    const ROWS: u32 = 4000;
    let (from, dir) = open();
    let (to, _other) = open();
    let row = |i: u32, value: &str| put(Cf::Default, &format!("k{i:06}"), value);
    // Values that do not compress, so that the size limit of a file is met.
    let noise = |i: u32| {
        (0..16)
            .map(|n| format!("{:08x}", crc32c::crc32c(&[n, i as u8, (i >> 8) as u8])))
            .collect::<String>()
    };
    buffered(&from, (0..ROWS).map(|i| row(i, &noise(i))).collect());
    let part = range("k000100", "k003900");
    let files = from.export(&*from.snapshot(), &part, dir.path()).unwrap();
    assert!(files.len() > 1, "{} files", files.len());
    assert_eq!(files.iter().map(|file| file.meta.keys).sum::<u64>(), 3800);
    // In the target the rows lie in files of deeper levels, which are dropped whole.
    buffered(&to, (0..=ROWS).map(|i| row(i, "old")).collect());
    to.make_durable().unwrap();
    to.db.compact_range_cf(to.cf(Cf::Default), None::<&[u8]>, None::<&[u8]>);
    to.replace_range(&part, &files).unwrap();
    let rows = scan(&*to.snapshot(), Cf::Default, &range("", ""), false);
    assert_eq!(rows.len(), ROWS as usize + 1);
    for (i, (key, value)) in (0..).zip(&rows) {
        assert_eq!(key, format!("k{i:06}").as_bytes());
        let expected = if (100..3900).contains(&i) { noise(i) } else { "old".to_owned() };
        assert_eq!(value, expected.as_bytes(), "row {i}");
    }
    assert!(to.approximate_bytes(&part) > 0);
}

#[test]
fn a_file_that_ends_at_the_bound_is_not_dropped() {
    let (engine, _dir) = open();
    // One file whose last key is the first one of the next Region.
    buffered(&engine, vec![put(Cf::Default, "b", "mine"), put(Cf::Default, "d", "neighbour")]);
    engine.make_durable().unwrap();
    engine.db.compact_range_cf(engine.cf(Cf::Default), None::<&[u8]>, None::<&[u8]>);
    engine.replace_range(&range("a", "d"), &[]).unwrap();
    assert_eq!(engine.get(Cf::Default, b"b").unwrap(), None);
    assert_eq!(engine.get(Cf::Default, b"d").unwrap(), Some("neighbour".into()));
}

#[test]
fn health_names_its_figures() {
    let (engine, _dir) = open();
    apply(&engine, 1);
    let figures = engine.health().unwrap();
    let of = |name| figures.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    assert_eq!(of("background_errors"), Some(0));
    assert_eq!(of("write_stopped"), Some(0));
    assert!(of("memtable_bytes") > Some(0));
}
