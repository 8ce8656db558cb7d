//! The doctor on a temporary directory, and its judgement of made-up machines.
use super::machine::{available_mib, judge_clock, port, soft_limit};
use super::{Check, Verdict, checks, disk};
use std::net::TcpListener;
use std::path::Path;
use troupe_config::Config;

fn named<'a>(checks: &'a [Check], end: &str) -> &'a Check {
    checks.iter().find(|check| check.name.ends_with(end)).unwrap()
}

#[test]
fn a_writable_directory_is_measured() {
    let directory = tempfile::tempdir().unwrap();
    let checks = disk::checks(directory.path());
    let sync = named(&checks, ", sync");
    assert!(sync.found.starts_with("p50 ") && sync.found.contains("p99 "), "{sync:?}");
    assert_ne!(sync.verdict, Verdict::Fail);
    assert!(named(&checks, ", space").found.ends_with(" MiB free"));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "left something behind");
}

#[test]
fn a_directory_that_does_not_exist_is_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let inside = directory.path().join("not/yet");
    assert_ne!(disk::checks(&inside)[0].verdict, Verdict::Fail);
    assert!(!inside.exists());
}

#[test]
fn a_directory_that_cannot_be_written_fails_with_advice() {
    let checks = disk::checks(Path::new("/proc/self"));
    assert_eq!(checks[0].verdict, Verdict::Fail);
    assert!(checks[0].advice.as_ref().unwrap().contains("--data"), "{:?}", checks[0]);
}

#[test]
fn a_port_in_use_fails_and_a_free_one_does_not() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let taken = port("HTTP port", &address, "--http");
    assert_eq!((taken.verdict, taken.found.as_str()), (Verdict::Fail, "in use"));
    assert!(taken.advice.unwrap().contains("--http"));
    drop(listener);
    assert_eq!(port("HTTP port", &address, "--http").verdict, Verdict::Ok);
    assert_eq!(port("HTTP port", "nonsense", "--http").verdict, Verdict::Fail);
}

#[test]
fn a_clock_that_is_wrong_or_uneven_fails() {
    let today = 1_795_000_000.0;
    assert_eq!(judge_clock(today, 0.3, 0.301).verdict, Verdict::Ok);
    assert_eq!(judge_clock(today, 3600.3, 0.3).verdict, Verdict::Fail);
    assert_eq!(judge_clock(today, 0.2, 0.3).verdict, Verdict::Fail);
    assert_eq!(judge_clock(12.0, 0.3, 0.3).verdict, Verdict::Fail);
}

#[test]
fn numbers_of_the_system_are_read() {
    let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files  1024  524288  files\n";
    assert_eq!(soft_limit(limits), Some(1024));
    assert_eq!(soft_limit("Max open files unlimited unlimited files"), Some(u64::MAX));
    assert_eq!(soft_limit(""), None);
    assert_eq!(available_mib("MemTotal: 1 kB\nMemAvailable:    2048 kB\n"), Some(2));
}

#[test]
fn a_wrong_configuration_is_part_of_the_diagnosis() {
    let mut config = Config::default();
    config.node.data = vec![tempfile::tempdir().unwrap().path().to_owned()];
    config.raft.tick = std::time::Duration::ZERO;
    let found = checks(&config);
    assert_eq!(found[0].verdict, Verdict::Fail);
    assert!(found[0].found.contains("raft.tick"), "{:?}", found[0]);
}
