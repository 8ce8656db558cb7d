//! `--show-curl` of every command, as the documentation of the API has it.
use super::history::locked;
use super::request;
use crate::api::curl_line;
use crate::cli::{Cli, Command, KvArgs};
use clap::Parser;
use serde_json::json;

fn parse(words: &[&str]) -> KvArgs {
    let all = ["troupe", "kv"].into_iter().chain(words.iter().copied());
    let Command::Kv(args) = Cli::try_parse_from(all).unwrap().command else { panic!("not `kv`") };
    args
}

fn curl(words: &[&str]) -> String {
    curl_line("http://n:1", &request(&parse(words)).unwrap())
}

#[test]
fn each_command_is_one_documented_request() {
    let golden = include_str!("testdata/curl.txt");
    let mut printed = String::new();
    for command in golden.lines().filter_map(|line| line.strip_prefix("$ troupe kv ")) {
        let words: Vec<&str> = command.split(' ').collect();
        printed.push_str(&format!("$ troupe kv {command}\n{}\n\n", curl(&words)));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/kv/testdata/curl.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &printed).unwrap();
    }
    assert_eq!(printed, std::fs::read_to_string(path).unwrap(), "run `make golden-update`");
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_sent() {
    let cases: [&[&str]; 13] = [
        &["get", "a", "b", "--raw"],
        &["del", "a", "b", "--if-match", "00"],
        &["delete-range"],
        &["put", "k", "0g", "--hex"],
        &["put", "k", "abc", "--hex"],
        &["get", "k", "--at", "-5s"],
        &["scan", "--at", "-5s"],
        &["export", "--at", "-5s"],
        &["put", "k", "v", "--idempotency-key", "i"],
        &["del", "k", "--idempotency-key", "i"],
        &["history", "k", "--space", "raw"],
        &["checksum", "--space", "kv"],
        &["cas", "k", "2", "--expect", "1", "--space", "kv"],
    ];
    for words in cases {
        let error = request(&parse(words)).unwrap_err();
        assert_eq!(error.exit(), crate::exit::Exit::Usage, "{words:?}");
    }
}

#[test]
fn the_space_is_raw_unless_it_is_named_or_there_is_only_one() {
    let path = |words: &[&str]| request(&parse(words)).unwrap().path;
    assert_eq!(path(&["get", "k"]), "/v1/raw/keys/k");
    assert_eq!(path(&["get", "k", "--space", "raw"]), "/v1/raw/keys/k");
    assert_eq!(path(&["--space", "kv", "get", "k"]), "/v1/kv/keys/k");
    assert_eq!(path(&["history", "k"]), "/v1/kv/history/k");
}

#[test]
fn a_lock_is_told_with_its_holder_and_what_to_do_when_it_has_expired() {
    let lock = json!({"start_ts": "77", "kind": "put", "age_ms": 5, "expired": false});
    assert_eq!(locked(&lock), "locked by the transaction that began at 77 (put, for 5 ms)");
    let expired = json!({"start_ts": "77", "kind": "put", "age_ms": 5000, "expired": true});
    assert!(locked(&expired).contains("troupe ctl locks resolve"), "{}", locked(&expired));
}
