//! The page says what was measured, whether bars are met, and what was left out.
use super::*;
use crate::bench::groups::groups;
use crate::bench::groups::tests::{cell, repetition, result};
use crate::bench::options::Workload;

#[test]
fn days_are_those_of_the_calendar() {
    let days = [0, 951_782_399, 951_782_400, 1_709_164_800, 4_107_542_400].map(day);
    assert_eq!(days, ["1970-01-01", "2000-02-28", "2000-02-29", "2024-02-29", "2100-03-01"]);
}

#[test]
fn a_page_has_bars_pictures_figures_and_what_was_left_out() {
    let cells = |ops| vec![cell(Workload::Put, 256, ops)];
    let mut void = repetition(TargetName::Etcd, cells(1.0));
    void.void = Some("7 of 9 requests failed".to_owned());
    let run = result(vec![
        repetition(TargetName::Troupe, cells(40_000.0)),
        repetition(TargetName::Etcd, cells(10_000.0)),
        void,
    ]);
    let page = page(&run, &groups(&run), &["throughput-256.svg"]);
    for part in [
        "| put, 256 clients (requests a second) | at least 3.00 × | 40,000 | 10,000 | 4.00 × | **met** |",
        "| put, 1 client (p50, ms) | at most 0.80 × | | | | not measured |",
        "![throughput-256](throughput-256.svg)",
        "| 256 | put, 256 clients | troupe | 40,000 |",
        "Left out: etcd 1, 256 B: 7 of 9 requests failed",
        "| day | 2023-11-14 |",
    ] {
        assert!(page.contains(part), "`{part}` is missing in:\n{page}");
    }
    let table: Vec<&str> = page.lines().skip_while(|line| !line.starts_with("| B |")).collect();
    let columns = |line: &str| line.matches('|').count();
    assert!(table[..4].iter().all(|line| columns(line) == columns(table[0])), "{table:#?}");
}
