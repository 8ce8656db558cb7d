//! Timestamps in order and out of order.
use super::*;
use crate::workload::txn::Level;

fn one(invoked: u64, returned: u64, read: u64, commit: u64) -> Stamped {
    let known = |ts: u64| (ts > 0).then_some(Timestamp(ts));
    let who = format!("{invoked}");
    Stamped { who, invoked, returned, read_ts: known(read), commit_ts: known(commit) }
}

#[test]
fn timestamps_that_follow_real_time_pass() {
    let all = [
        one(1, 2, 10, 11),
        one(3, 4, 11, 0),
        one(3, 9, 12, 20),
        one(5, 6, 12, 13),
        one(7, 8, 0, 14),
    ];
    assert_eq!(check_times(&all), Vec::<String>::new());
}

#[test]
fn timestamps_against_real_time_are_told() {
    let cases = [
        (vec![one(1, 2, 10, 10)], "not behind its begin"),
        (vec![one(1, 2, 10, 15), one(3, 4, 14, 0)], "external consistency"),
        (vec![one(1, 2, 10, 15), one(3, 4, 0, 15)], "external consistency"),
        (vec![one(1, 2, 20, 0), one(3, 4, 0, 20)], "external consistency"),
        (vec![one(1, 2, 20, 0), one(3, 4, 19, 0)], "external consistency"),
    ];
    for (all, words) in cases {
        let wrong = check_times(&all);
        assert!(wrong.len() == 1 && wrong[0].contains(words), "{all:?}: {wrong:?}");
    }
}

fn txn(read: u64, commit: u64, steps: Vec<ListStep>) -> ListTxn {
    let known = |ts: u64| (ts > 0).then_some(Timestamp(ts));
    ListTxn {
        client: 1,
        invoked: 1,
        returned: Some(2),
        level: Level::Snapshot,
        fate: Fate::Committed,
        read_ts: known(read),
        commit_ts: known(commit),
        steps,
    }
}

#[test]
fn snapshots_are_compared_with_the_commits_that_are_known() {
    let write = |commit, value| txn(0, commit, vec![ListStep::Append(1, value)]);
    let read = |at, list: &[u64]| txn(at, 0, vec![ListStep::Read(1, list.to_vec())]);
    let unknown = ListTxn { fate: Fate::Unknown, ..write(0, 7) };
    let base = vec![write(10, 1), write(20, 2), unknown, read(90, &[1, 2, 7])];
    let with = |last: ListTxn| check_snapshots(&[base.clone(), vec![last]].concat());
    for fine in
        [read(9, &[]), read(10, &[1]), read(19, &[1]), read(20, &[1, 2]), read(30, &[1, 2, 7])]
    {
        assert_eq!(with(fine), Vec::<String>::new());
    }
    assert!(with(read(9, &[1]))[0].contains("committed after the snapshot"));
    assert!(with(read(20, &[1]))[0].contains("committed in the snapshot"));
    let swapped = [write(20, 1), write(10, 2), read(90, &[1, 2])];
    assert!(check_snapshots(&swapped)[0].contains("out of order"));
}

#[test]
fn what_a_transaction_appended_itself_is_no_part_of_its_snapshot() {
    let steps = vec![ListStep::Read(1, vec![]), ListStep::Append(1, 1), ListStep::Read(1, vec![1])];
    assert_eq!(check_snapshots(&[txn(5, 6, steps)]), Vec::<String>::new());
}
