//! What a command line measures.
use super::{CellPlan, Options, TargetName, Workload};
use crate::cli::{BenchCommand, Cli, Command};
use clap::Parser;
use std::time::Duration;

fn options(line: &str) -> Options {
    let line = format!("troupe bench run {line}");
    let cli = Cli::try_parse_from(line.split_whitespace()).expect("a good line");
    let Command::Bench(bench) = cli.command else { panic!("not `bench`") };
    let BenchCommand::Run(args) = bench.command else { panic!("not `run`") };
    Options::new(&args)
}

fn cell(workload: Workload, clients: usize, rate: Option<u32>) -> CellPlan {
    CellPlan { workload, clients, rate }
}

#[test]
fn the_default_is_the_whole_matrix() {
    let options = options("");
    assert_eq!((options.cells.len(), options.repetitions), (9, 3));
    assert_eq!(options.value_bytes, [256, 1024]);
    assert_eq!(options.cells[0], cell(Workload::Put, 1, None));
}

#[test]
fn quick_is_shorter_and_what_is_said_still_counts() {
    let options = options("--quick --clients 8 --duration 500ms");
    let wanted = [cell(Workload::Put, 8, None), cell(Workload::Get, 8, None)];
    assert_eq!(options.cells, wanted);
    assert_eq!((options.repetitions, options.duration), (1, Duration::from_millis(500)));
    assert_eq!(options.value_bytes, [256]);
}

#[test]
fn a_rate_adds_open_loops_with_the_most_clients() {
    let both = options("--clients 1,8 --workloads put --rate 100,200");
    let closed = [cell(Workload::Put, 1, None), cell(Workload::Put, 8, None)];
    let open = [cell(Workload::Put, 8, Some(100)), cell(Workload::Put, 8, Some(200))];
    assert_eq!(both.cells, [closed, open].concat());
    let only = options("--clients 1,8 --workloads put --rate 100,200 --open-only");
    assert_eq!(only.cells, open);
}

#[test]
fn what_only_troupe_can_do_is_not_asked_of_others() {
    let is_for = |target, workload: Workload| workload.is_for(target);
    let all = [Workload::Put, Workload::KvGet, Workload::Transfer, Workload::Async];
    assert_eq!(all.map(|workload| is_for(TargetName::Troupe, workload)), [true; 4]);
    let etcd = all.map(|workload| is_for(TargetName::Etcd, workload));
    assert_eq!(etcd, [true, false, true, false]);
}
