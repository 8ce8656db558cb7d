//! Which differences count.
use super::*;
use crate::bench::groups::tests::{cell, repetition, result};
use crate::bench::options::Workload;

fn run(throughputs: &[f64]) -> RunResult {
    let put = |ops| repetition(TargetName::Troupe, vec![cell(Workload::Put, 8, ops)]);
    result(throughputs.iter().map(|&ops| put(ops)).collect())
}

fn verdicts(before: &[f64], after: &[f64]) -> Vec<(Figure, Verdict)> {
    let (before, after) = (run(before), run(after));
    let differences = differences(&groups(&before), &groups(&after));
    differences.iter().map(|found| (found.figure, found.verdict)).collect()
}

fn of_throughput(before: &[f64], after: &[f64]) -> Verdict {
    let all = verdicts(before, after);
    all.iter().find(|(figure, _)| *figure == Figure::Throughput).map(|found| found.1).expect("one")
}

#[test]
fn repetitions_that_overlap_are_noise() {
    assert_eq!(of_throughput(&[100.0, 110.0, 120.0], &[115.0, 130.0, 140.0]), Verdict::Noise);
    assert_eq!(of_throughput(&[100.0, 101.0], &[102.0, 103.0]), Verdict::Noise);
}

#[test]
fn apart_and_far_enough_counts_in_the_direction_of_the_figure() {
    let slower = verdicts(&[100.0, 110.0], &[80.0, 90.0]);
    for (figure, verdict) in slower {
        let equal = matches!(figure, Figure::Syncs | Figure::Written);
        assert_eq!(verdict, if equal { Verdict::Noise } else { Verdict::Worse }, "{figure:?}");
    }
    assert_eq!(of_throughput(&[80.0, 90.0], &[100.0, 110.0]), Verdict::Better);
}

#[test]
fn a_single_repetition_proves_only_large_differences() {
    assert_eq!(of_throughput(&[100.0], &[85.0]), Verdict::Noise);
    assert_eq!(of_throughput(&[100.0], &[75.0]), Verdict::Worse);
}

#[test]
fn what_only_one_of_them_measured_is_left_out() {
    let before = run(&[100.0]);
    let after = result(vec![repetition(TargetName::Etcd, vec![cell(Workload::Put, 8, 1.0)])]);
    assert_eq!(differences(&groups(&before), &groups(&after)), []);
}
