//! Collection by compactions that see only some of a key's records.
use super::super::RocksOptions;
use super::*;
use crate::engine::contract;
use rocksdb::FlushOptions;

/// B21 with compactions of random parts: memtables are flushed now and then, so that the records of a
/// key lie in several files, and any two rows bound what is compacted, to any level. A compaction meets
/// some of them, beside dead rows and marks, while others that hide them or are hidden lie elsewhere.
#[test]
fn partial_compactions_never_drop_a_live_value() {
    let dir = tempfile::tempdir().unwrap();
    let engine = RocksEngine::open(&dir.path().join("kv"), &RocksOptions::default()).unwrap();
    let cf = || engine.cf(Cf::Write);
    let flush = || {
        let mut options = FlushOptions::default();
        options.set_wait(true);
        engine.db.flush_cfs_opt(&Cf::ALL.map(|cf| engine.cf(cf)), &options).unwrap();
    };
    contract::collects_like_a_twin_that_never_does(&engine, 12, &|random, row| {
        let level = i32::try_from(random / 8 % 5).unwrap();
        let (a, b) = (row(random / 40), row(random / 4000));
        let (from, to) = if a < b { (a, b) } else { (b, a) };
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        match random % 8 {
            0..=2 => {}
            3 | 4 => flush(),
            5 => {
                flush();
                options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
                engine.db.compact_range_cf_opt(cf(), Some(&from), Some(&to), &options);
            }
            6 => {
                flush();
                options.set_change_level(true);
                options.set_target_level(level);
                engine.db.compact_range_cf_opt(cf(), Some(&from), Some(&to), &options);
            }
            _ => {
                // What waits is cleaned behind whatever compaction noted it.
                let _ = engine.clean(engine.garbage.safe_point()).unwrap();
            }
        }
    });
    assert!(engine.garbage.dropped() > 0, "something was collected");
}
