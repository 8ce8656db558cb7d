//! The graph of waits.
use super::core::{Detector, DetectorOptions, RECENT};
use super::host::DetectorHost;
use std::time::Duration;
use troupe_types::txn::deadlock::{DetectReply, DetectRequest, WaitEdge};
use troupe_types::{Key, Moment, Term, Timestamp, UnixMillis};

const WALL: UnixMillis = UnixMillis(77);

fn at(millis: u64) -> Moment {
    Moment(0).after(Duration::from_secs(100)).after(Duration::from_millis(millis))
}

fn edge(waiter: u64, holder: u64) -> WaitEdge {
    let key = Key::from(format!("x{holder}"));
    WaitEdge { waiter: Timestamp(waiter), holder: Timestamp(holder), key }
}

fn edges(list: &[(u64, u64)]) -> Vec<WaitEdge> {
    list.iter().map(|(waiter, holder)| edge(*waiter, *holder)).collect()
}

/// Tells of a wait; the cycle that it would close.
fn wait(detector: &mut Detector, now: Moment, waiter: u64, holder: u64) -> Option<Vec<WaitEdge>> {
    match detector.step(now, WALL, DetectRequest::Wait(edge(waiter, holder))) {
        DetectReply::Deadlock(cycle) => Some(cycle),
        DetectReply::Done => None,
        DetectReply::Waits { .. } => panic!("not asked for"),
    }
}

fn list(detector: &mut Detector, now: Moment) -> (Vec<WaitEdge>, usize) {
    match detector.step(now, WALL, DetectRequest::List) {
        DetectReply::Waits { edges, recent } => (edges, recent.len()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cycle_is_found_when_it_closes_and_is_not_noted() {
    // (waits noted before, the last wait, the cycle)
    type Case = (&'static [(u64, u64)], (u64, u64), Option<&'static [(u64, u64)]>);
    let table: [Case; 7] = [
        (&[], (1, 2), None),
        (&[(1, 2)], (2, 1), Some(&[(2, 1), (1, 2)])),
        (&[(1, 2), (2, 3)], (3, 1), Some(&[(3, 1), (1, 2), (2, 3)])),
        (&[(1, 2), (2, 3)], (1, 3), None),
        (&[(1, 2), (3, 2)], (2, 4), None),
        (&[(1, 2), (1, 3), (3, 4)], (4, 1), Some(&[(4, 1), (1, 3), (3, 4)])),
        (&[(1, 2)], (5, 5), None),
    ];
    for (noted, (waiter, holder), expected) in table {
        let mut detector = Detector::new(DetectorOptions::default());
        for (waiter, holder) in noted {
            assert_eq!(wait(&mut detector, at(0), *waiter, *holder), None);
        }
        let cycle = wait(&mut detector, at(0), waiter, holder);
        assert_eq!(cycle, expected.map(edges), "{noted:?} and {waiter} for {holder}");
        let is_noted = list(&mut detector, at(0)).0.contains(&edge(waiter, holder));
        assert_eq!(is_noted, expected.is_none() && waiter != holder);
    }
}

#[test]
fn a_wait_that_is_over_closes_no_cycle() {
    let ends = [
        DetectRequest::Woken(edge(1, 2)),
        DetectRequest::Ended(Timestamp(1)),
        DetectRequest::Ended(Timestamp(2)),
    ];
    for end in ends {
        let mut detector = Detector::new(DetectorOptions::default());
        assert_eq!(wait(&mut detector, at(0), 1, 2), None);
        assert_eq!(detector.step(at(0), WALL, end.clone()), DetectReply::Done);
        assert_eq!(list(&mut detector, at(0)).0, []);
        assert_eq!(wait(&mut detector, at(0), 2, 1), None, "{end:?}");
    }
}

#[test]
fn what_is_not_told_again_is_forgotten() {
    let mut detector = Detector::new(DetectorOptions::default());
    wait(&mut detector, at(0), 1, 2);
    wait(&mut detector, at(0), 3, 4);
    wait(&mut detector, at(4000), 3, 4);
    assert_eq!(wait(&mut detector, at(5000), 2, 1), None);
    assert!(wait(&mut detector, at(5000), 4, 3).is_some());
    assert_eq!(list(&mut detector, at(10_000)).0, []);
}

#[test]
fn the_last_deadlocks_are_remembered() {
    let mut detector = Detector::new(DetectorOptions::default());
    wait(&mut detector, at(0), 1, 2);
    for _ in 0..RECENT + 3 {
        assert!(wait(&mut detector, at(0), 2, 1).is_some());
    }
    assert_eq!(list(&mut detector, at(0)), (edges(&[(1, 2)]), RECENT));
}

#[test]
fn edges_are_bounded() {
    let options = DetectorOptions { max_edges: 2, ..DetectorOptions::default() };
    let mut detector = Detector::new(options);
    for waiter in 1..=3 {
        wait(&mut detector, at(0), waiter, waiter + 10);
    }
    assert_eq!(list(&mut detector, at(0)).0, edges(&[(1, 11), (2, 12)]));
    detector.step(at(0), WALL, DetectRequest::Woken(edge(1, 11)));
    wait(&mut detector, at(0), 3, 13);
    assert_eq!(list(&mut detector, at(0)).0, edges(&[(2, 12), (3, 13)]));
}

/// A long chain, and every transaction at its end: the search visits each once.
#[test]
fn a_long_chain_is_searched_once() {
    let mut detector = Detector::new(DetectorOptions::default());
    for waiter in 1..2000 {
        assert_eq!(wait(&mut detector, at(0), waiter, waiter + 1), None);
    }
    assert_eq!(wait(&mut detector, at(0), 2000, 1).map(|cycle| cycle.len()), Some(2000));
}

#[test]
fn a_leader_of_another_term_begins_anew() {
    let host = DetectorHost::default();
    let tell = |term, request| host.answer(Term(term), (at(0), WALL), request);
    assert_eq!(tell(6, DetectRequest::Wait(edge(1, 2))), DetectReply::Done);
    assert_eq!(tell(7, DetectRequest::Wait(edge(2, 1))), DetectReply::Done);
    let again = tell(7, DetectRequest::Wait(edge(1, 2)));
    assert_eq!(again, DetectReply::Deadlock(edges(&[(1, 2), (2, 1)])));
}
