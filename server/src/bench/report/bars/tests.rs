//! Bars are judged by the medians of both systems.
use super::*;
use crate::bench::groups::groups;
use crate::bench::groups::tests::{cell, repetition, result};
use crate::bench::result::RunResult;

/// Requests a second of Troupe and etcd, with 256 clients and, for puts, with one.
fn run(troupe: f64, etcd: f64) -> RunResult {
    let cells = |ops: f64| {
        vec![
            cell(Workload::Put, 1, ops / 10.0),
            cell(Workload::Put, 256, ops),
            cell(Workload::Get, 256, ops),
            cell(Workload::Transfer, 64, ops),
        ]
    };
    result(vec![
        repetition(TargetName::Troupe, cells(troupe)),
        repetition(TargetName::Etcd, cells(etcd)),
    ])
}

fn met(run: &RunResult) -> Vec<bool> {
    let groups = groups(run);
    BARS.iter().filter_map(|bar| bar.reached(&groups)).map(|reached| reached.met).collect()
}

#[test]
fn each_bar_is_met_from_its_ratio_on() {
    // In these results latency and CPU are the inverse of throughput.
    assert_eq!(met(&run(400.0, 100.0)), [true; 6]);
    assert_eq!(met(&run(310.0, 100.0)), [true, true, false, true, true, true]);
    assert_eq!(met(&run(190.0, 100.0)), [false, false, false, true, false, false]);
    assert_eq!(met(&run(100.0, 100.0)), [false; 6]);
}

#[test]
fn what_was_not_measured_is_not_judged() {
    let only_troupe =
        result(vec![repetition(TargetName::Troupe, vec![cell(Workload::Put, 256, 9.0)])]);
    assert_eq!(met(&only_troupe), [false; 0]);
    let concerned = BARS.map(|bar| bar.concerns(&groups(&only_troupe)));
    assert_eq!(concerned, [true, true, false, true, true, false]);
    assert_eq!(BARS[0].wanted(), "at least 3.00 ×");
    assert_eq!(BARS[4].wanted(), "at most 0.33 ×");
}
