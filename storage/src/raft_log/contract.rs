//! What every Raft log must do, run against the real one and its twin: `contract_tests!(open)`,
//! where `open` gives an empty log and what must live as long as the test.
use super::{LogBatch, LogState, RaftLog, RegionLogWrite};
use crate::error::StorageError;
use proptest::prelude::*;
use raft::eraftpb::{Entry, HardState};
use std::ops::RangeInclusive;
use troupe_types::{LogIndex, RegionId, Term};

pub(crate) const REGION: RegionId = RegionId(2);

macro_rules! contract_tests {
    ($open:expr) => {
        #[test]
        fn a_log_remembers_what_was_appended() {
            let (log, _dir) = $open();
            $crate::raft_log::contract::a_log_remembers_what_was_appended(&log);
        }
        #[test]
        fn a_new_tail_replaces_the_old_one() {
            let (log, _dir) = $open();
            $crate::raft_log::contract::a_new_tail_replaces_the_old_one(&log);
        }
        #[test]
        fn reads_are_bounded() {
            let (log, _dir) = $open();
            $crate::raft_log::contract::reads_are_bounded(&log);
        }
        #[test]
        fn compaction_moves_the_start() {
            let (log, _dir) = $open();
            $crate::raft_log::contract::compaction_moves_the_start(&log);
        }
        #[test]
        fn a_reset_empties_the_log() {
            let (log, _dir) = $open();
            $crate::raft_log::contract::a_reset_empties_the_log(&log);
        }
        #[test]
        #[should_panic(expected = "does not follow")]
        fn a_hole_is_a_bug() {
            let (log, _dir) = $open();
            $crate::raft_log::contract::append(&log, 6..=7, 5);
            $crate::raft_log::contract::append(&log, 9..=9, 5);
        }
    };
}
pub(crate) use contract_tests;

pub(crate) fn entries(indexes: RangeInclusive<u64>, term: u64) -> Vec<Entry> {
    indexes
        .map(|index| Entry { index, term, data: vec![b'x'; 100].into(), ..Default::default() })
        .collect()
}

pub(crate) fn batch(region: RegionId, write: RegionLogWrite) -> LogBatch {
    LogBatch { regions: vec![(region, write)] }
}

pub(crate) fn hard_state(term: u64, commit: u64) -> HardState {
    HardState { term, vote: 1, commit, ..Default::default() }
}

/// Appends to [`REGION`], which starts behind index 5.
pub(crate) fn append(log: &dyn RaftLog, indexes: RangeInclusive<u64>, term: u64) {
    let is_new = log.state(REGION).unwrap().is_none();
    let write = RegionLogWrite {
        entries: entries(indexes, term),
        hard_state: is_new.then(|| hard_state(term, 5)),
        reset_to: is_new.then_some((LogIndex(5), Term(5))),
    };
    log.append(batch(REGION, write)).unwrap();
}

pub(crate) fn state(log: &dyn RaftLog) -> LogState {
    log.state(REGION).unwrap().unwrap()
}

pub(crate) fn read(log: &dyn RaftLog, low: u64, high: u64) -> Result<Vec<Entry>, StorageError> {
    log.entries(REGION, LogIndex(low), LogIndex(high), u64::MAX)
}

fn term(log: &dyn RaftLog, index: u64) -> Result<u64, StorageError> {
    log.term(REGION, LogIndex(index)).map(Term::get)
}

pub(crate) fn a_log_remembers_what_was_appended(log: &dyn RaftLog) {
    assert_eq!(log.state(REGION).unwrap(), None);
    append(log, 6..=8, 5);
    let expected = LogState {
        hard_state: hard_state(5, 5),
        truncated: (LogIndex(5), Term(5)),
        last_index: LogIndex(8),
    };
    assert_eq!(state(log), expected);
    assert_eq!(read(log, 6, 9).unwrap(), entries(6..=8, 5));
    let voted = RegionLogWrite { hard_state: Some(hard_state(6, 7)), ..Default::default() };
    log.append(batch(REGION, voted)).unwrap();
    assert_eq!(state(log), LogState { hard_state: hard_state(6, 7), ..expected });
    let others = (3..6).map(|id| {
        let reset_to = Some((LogIndex(id), Term(1)));
        (RegionId(id), RegionLogWrite { reset_to, ..Default::default() })
    });
    log.append(LogBatch { regions: others.collect() }).unwrap();
    assert_eq!(log.state(RegionId(4)).unwrap().unwrap().last_index, LogIndex(4));
    assert_eq!(log.regions(), [2, 3, 4, 5].map(RegionId));
    assert_eq!(log.figures().batches, 3);
    assert_eq!(log.figures().entries, 3);
    assert!(log.figures().syncs >= 3);
}

pub(crate) fn a_new_tail_replaces_the_old_one(log: &dyn RaftLog) {
    append(log, 6..=10, 5);
    append(log, 8..=9, 6);
    assert_eq!(state(log).last_index, LogIndex(9));
    assert_eq!(read(log, 6, 10).unwrap(), [entries(6..=7, 5), entries(8..=9, 6)].concat());
    assert_eq!(term(log, 7).unwrap(), 5);
    assert_eq!(term(log, 9).unwrap(), 6);
}

pub(crate) fn reads_are_bounded(log: &dyn RaftLog) {
    append(log, 6..=15, 5);
    let page = |max| log.entries(REGION, LogIndex(6), LogIndex(16), max).unwrap().len();
    assert_eq!(page(0), 1);
    assert_eq!(page(250), 2);
    assert_eq!(page(u64::MAX), 10);
    assert!(read(log, 9, 9).unwrap().is_empty());
    assert!(matches!(read(log, 6, 17), Err(StorageError::Unavailable { index: LogIndex(16) })));
    assert!(matches!(read(log, 5, 7), Err(StorageError::Compacted { first: LogIndex(6) })));
    assert!(matches!(term(log, 4), Err(StorageError::Compacted { first: LogIndex(6) })));
    assert!(matches!(term(log, 16), Err(StorageError::Unavailable { index: LogIndex(16) })));
    assert_eq!(term(log, 5).unwrap(), 5);
    assert_eq!(log.term(RegionId(99), LogIndex(0)).unwrap(), Term(0), "in front of all entries");
    let unknown = log.term(RegionId(99), LogIndex(1));
    assert!(matches!(unknown, Err(StorageError::Unavailable { .. })));
    let unknown = log.entries(RegionId(99), LogIndex(1), LogIndex(2), 1);
    assert!(matches!(unknown, Err(StorageError::Unavailable { .. })));
}

pub(crate) fn compaction_moves_the_start(log: &dyn RaftLog) {
    append(log, 6..=8, 5);
    append(log, 9..=10, 6);
    log.compact(REGION, LogIndex(8)).unwrap();
    assert_eq!(state(log).truncated, (LogIndex(8), Term(5)));
    assert_eq!(state(log).last_index, LogIndex(10));
    assert!(matches!(read(log, 8, 10), Err(StorageError::Compacted { first: LogIndex(9) })));
    log.compact(REGION, LogIndex(7)).unwrap();
    assert_eq!(state(log).truncated, (LogIndex(8), Term(5)));
    let beyond = log.compact(REGION, LogIndex(11));
    assert!(matches!(beyond, Err(StorageError::Unavailable { index: LogIndex(11) })));
    log.compact(REGION, LogIndex(10)).unwrap();
    assert_eq!(state(log).truncated, (LogIndex(10), Term(6)));
    assert_eq!(state(log).last_index, LogIndex(10));
    append(log, 11..=11, 6);
    assert_eq!(read(log, 11, 12).unwrap(), entries(11..=11, 6));
    log.compact(RegionId(99), LogIndex(3)).unwrap();
    log.remove(REGION).unwrap();
    assert_eq!(log.state(REGION).unwrap(), None);
    assert_eq!(log.regions(), []);
    log.remove(REGION).unwrap();
}

pub(crate) fn a_reset_empties_the_log(log: &dyn RaftLog) {
    append(log, 6..=10, 5);
    let write = RegionLogWrite {
        entries: entries(21..=22, 7),
        hard_state: None,
        reset_to: Some((LogIndex(20), Term(6))),
    };
    log.append(batch(REGION, write)).unwrap();
    assert_eq!(state(log).hard_state, hard_state(5, 5), "a reset keeps the vote");
    assert_eq!(state(log).truncated, (LogIndex(20), Term(6)));
    assert_eq!(state(log).last_index, LogIndex(22));
    assert!(matches!(read(log, 6, 7), Err(StorageError::Compacted { first: LogIndex(21) })));
    assert_eq!(read(log, 21, 23).unwrap(), entries(21..=22, 7));
}

/// One step of a random history.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Append so many entries, so far behind the start of the log.
    Append(u64, u64),
    /// Compact so far behind the start.
    Compact(u64),
    /// Start again so far behind the end, with so many entries.
    Reset(u64, u64),
    Remove,
    Reopen,
}

pub(crate) fn step_strategy() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..6_u64, 1..5_u64).prop_map(|(at, count)| Step::Append(at, count)),
        2 => (0..6_u64).prop_map(Step::Compact),
        1 => (0..4_u64, 0..3_u64).prop_map(|(by, count)| Step::Reset(by, count)),
        1 => Just(Step::Remove),
        2 => Just(Step::Reopen),
    ]
}

/// Does `step` to `log`; the term makes entries of different steps different.
pub(crate) fn take_step(log: &dyn RaftLog, step: &Step, term: u64) {
    let known = log.state(REGION).unwrap().unwrap_or_default();
    let (start, last) = (known.truncated.0.get(), known.last_index.get());
    match step {
        Step::Append(at, count) => {
            let first = (start + 1 + at).min(last + 1);
            let write = RegionLogWrite {
                entries: entries(first..=first + count - 1, term),
                hard_state: Some(hard_state(term, start)),
                reset_to: None,
            };
            log.append(batch(REGION, write)).unwrap();
        }
        Step::Compact(by) => log.compact(REGION, LogIndex((start + by).min(last))).unwrap(),
        Step::Reset(by, count) => {
            let point = last + by;
            let write = RegionLogWrite {
                entries: entries(point + 1..=point + count, term),
                hard_state: None,
                reset_to: Some((LogIndex(point), Term(term))),
            };
            log.append(batch(REGION, write)).unwrap();
        }
        Step::Remove => log.remove(REGION).unwrap(),
        Step::Reopen => {}
    }
}

/// Both logs know the same.
pub(crate) fn assert_same(a: &dyn RaftLog, b: &dyn RaftLog) {
    let known = a.state(REGION).unwrap();
    assert_eq!(known, b.state(REGION).unwrap());
    let Some(known) = known else {
        return;
    };
    let (low, high) = (known.truncated.0.next(), known.last_index.next());
    let of = |log: &dyn RaftLog| log.entries(REGION, low, high, u64::MAX).unwrap();
    assert_eq!(of(a), of(b));
    let term = |log: &dyn RaftLog| log.term(REGION, known.truncated.0).unwrap();
    assert_eq!(term(a), term(b));
}
