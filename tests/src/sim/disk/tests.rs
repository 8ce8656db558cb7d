//! What each mishap leaves on the disk, and what the process hears of it.
use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokio::time::Instant;
use troupe_storage::engine::Modify;
use troupe_storage::failure::Ended;
use troupe_storage::raft_log::RegionLogWrite;

const REGION: RegionId = RegionId(7);

fn append(index: u64) -> LogBatch {
    let entry = Entry { index, term: 1, ..Entry::default() };
    LogBatch {
        regions: vec![(
            REGION,
            RegionLogWrite { entries: vec![entry], ..RegionLogWrite::default() },
        )],
    }
}

/// Appends an entry, then another one that meets `mishap`. Answers what the process heard (`None`: it
/// ended), and the last entry after a restart.
fn meet(mishap: Mishap) -> (Option<bool>, u64, Vec<String>) {
    failure::stand_in_for_end(|_| {});
    let disk = Disk::new(NodeId(1), Arc::new(EventLog::new(Instant::now(), false)));
    let life = disk.mount(&Power::default());
    life.append(append(1)).unwrap();
    disk.plan(mishap, 0);
    let heard = match catch_unwind(AssertUnwindSafe(|| life.append(append(2)))) {
        Ok(result) => Some(result.is_ok()),
        Err(payload) => {
            assert!(payload.is::<Ended>());
            None
        }
    };
    assert_eq!(disk.met(), [mishap]);
    if heard.is_some() {
        let _ = life.make_durable();
    }
    disk.crash(0);
    let state = disk.log.state(REGION).unwrap().unwrap();
    (heard, state.last_index.get(), disk.wrong())
}

#[tokio::test(start_paused = true)]
async fn a_crash_takes_the_write_with_it_or_leaves_it_and_nobody_hears() {
    assert_eq!(meet(Mishap::CrashBefore), (None, 1, Vec::new()));
    assert_eq!(meet(Mishap::CrashWithin), (None, 1, Vec::new()));
    assert_eq!(meet(Mishap::CrashBehind), (None, 2, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_on_after_a_failed_sync_is_told_on() {
    for (mishap, last) in [(Mishap::Fails, 1), (Mishap::FailsAfterAll, 2)] {
        let (heard, found, wrong) = meet(mishap);
        assert_eq!((heard, found), (Some(false), last));
        assert_eq!(wrong, ["node 1 writes (flush of the engine) although its disk has failed"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_process_writes_nothing() {
    let disk = Disk::new(NodeId(1), Arc::new(EventLog::new(Instant::now(), false)));
    let power = Power::default();
    let life = disk.mount(&power);
    power.cut();
    let put = Modify::Put(Cf::Raft, "a".into(), "b".into());
    let batch = WriteBatch { changes: vec![put] };
    assert!(KvEngine::write(&*life, batch, Durability::Synced).is_err());
    assert_eq!(disk.engine.get(Cf::Raft, b"a").unwrap(), None);
}
