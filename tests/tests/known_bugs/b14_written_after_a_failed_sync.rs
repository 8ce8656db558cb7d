//! B14: writing on after a failed sync (crdb PR#37102; "fsyncgate").
//!
//! A sync that fails may have dropped the pages that it was to write. Whoever tries again gets a success
//! for data that is gone. raft-engine goes one further: the leader of a write group panics, the other
//! writers of the group are told `Ok`, and the next sync succeeds: all of them would acknowledge lost
//! entries, of whatever Region.
//!
//! The test writes in rounds, the entries of four Regions from four threads at once. One single sync of
//! them fails: the first, the second, the fifth, the ninth. The process must be dead before any of that
//! round is confirmed, and a start from its files must find all that was confirmed. (A real process with
//! a real `EIO`: `fsync_failure.rs`.)
use raft::eraftpb::{Entry, HardState};
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use troupe_storage::failure::{read_marks, set_mark_folder};
use troupe_storage::raft_log::engine::{EngineRaftLog, RaftLogOptions};
use troupe_storage::raft_log::file_system::DiskWatch;
use troupe_storage::raft_log::{LogBatch, RaftLog, RegionLogWrite};
use troupe_types::{LogIndex, RegionId, Term};

const CHILD: &str = "TROUPE_KNOWN_BUGS_CHILD";
const NAME: &str = concat!(
    "b14_written_after_a_failed_sync::",
    "one_failed_sync_ends_the_process_before_any_region_of_its_group_is_confirmed"
);
const REGIONS: std::ops::Range<u64> = 10..14;

fn open(folder: &Path, watch: &Arc<DiskWatch>) -> EngineRaftLog {
    let options = RaftLogOptions { prefill_bytes: 0, ..RaftLogOptions::default() };
    EngineRaftLog::open_watched(&folder.join("raft"), &options, watch.clone()).unwrap()
}

/// The entry `5 + round` of a Region.
fn write(round: u64) -> RegionLogWrite {
    let index = 5 + round;
    let entry = Entry { index, term: 6, data: vec![b'x'; 100].into(), ..Entry::default() };
    RegionLogWrite {
        entries: vec![entry],
        hard_state: Some(HardState { term: 6, commit: index - 1, ..HardState::default() }),
        reset_to: (round == 1).then_some((LogIndex(5), Term(5))),
    }
}

/// In the child: writes until it dies. The first sync of round `fails_in` fails, and only that one.
fn write_until_death(folder: &Path, fails_in: u64) {
    set_mark_folder(folder.to_owned());
    let watch = Arc::new(DiskWatch::default());
    let log = open(folder, &watch);
    for round in 1..=fails_in + 3 {
        if round == fails_in {
            watch.fail_next_sync();
        }
        std::thread::scope(|scope| {
            for region in REGIONS {
                let log = &log;
                scope.spawn(move || {
                    let regions = vec![(RegionId(region), write(round))];
                    if log.append(LogBatch { regions }).is_ok() {
                        println!("told: {round} {region}");
                    }
                });
            }
        });
    }
}

fn run(folder: &Path, fails_in: u64) -> Output {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([NAME, "--exact", "--nocapture", "--test-threads=1"]);
    child.env(CHILD, format!("{fails_in} {}", folder.display())).output().unwrap()
}

/// Last confirmed round of each Region.
fn confirmed(output: &Output) -> BTreeMap<u64, u64> {
    let text = String::from_utf8_lossy(&output.stdout);
    let mut last = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.split_once("told: ")) {
        let (round, region) = line.1.split_once(' ').unwrap();
        last.insert(region.parse().unwrap(), round.parse().unwrap());
    }
    last
}

#[test]
fn one_failed_sync_ends_the_process_before_any_region_of_its_group_is_confirmed() {
    if let Some(told) = std::env::var_os(CHILD) {
        let told = told.into_string().unwrap();
        let (fails_in, folder) = told.split_once(' ').unwrap();
        return write_until_death(&PathBuf::from(folder), fails_in.parse().unwrap());
    }
    for fails_in in [1, 2, 5, 9] {
        let folder = tempfile::tempdir().unwrap();
        let output = run(folder.path(), fails_in);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(6), "it aborts: {:?} {stderr}", output.status);
        let expected: BTreeMap<u64, u64> = match fails_in {
            1 => BTreeMap::new(),
            _ => REGIONS.map(|region| (region, fails_in - 1)).collect(),
        };
        assert_eq!(confirmed(&output), expected, "the sync of round {fails_in} failed");
        let marks = read_marks(folder.path()).unwrap();
        assert!(marks.len() == 1 && marks[0].reason.contains("sync of "), "{marks:?}");
        let log = open(folder.path(), &Arc::default());
        for (region, round) in expected {
            let state = log.state(RegionId(region)).unwrap().expect("a confirmed Region");
            assert!(state.last_index >= LogIndex(5 + round), "region {region}: {state:?}");
        }
    }
}
