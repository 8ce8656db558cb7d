//! `--show-curl` of every command, and what the end of a change means.
use super::{outcome, question, request, tables};
use crate::api::curl_line;
use crate::cli::{Cli, Command, CtlCommand};
use crate::exit::Exit;
use clap::Parser;
use serde_json::json;

fn parse(words: &str) -> CtlCommand {
    let all = ["troupe", "ctl"].into_iter().chain(words.split(' '));
    let Command::Ctl(args) = Cli::try_parse_from(all).unwrap().command else {
        panic!("not `ctl`");
    };
    args.command
}

#[test]
fn each_command_is_one_documented_request() {
    let golden = include_str!("testdata/curl.txt");
    let mut printed = String::new();
    for command in golden.lines().filter_map(|line| line.strip_prefix("$ troupe ctl ")) {
        let curl = curl_line("http://n:1", &request(&parse(command)).unwrap());
        printed.push_str(&format!("$ troupe ctl {command}\n{curl}\n\n"));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ctl/testdata/curl.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &printed).unwrap();
    }
    assert_eq!(printed, std::fs::read_to_string(path).unwrap(), "run `make golden-update`");
}

#[test]
fn a_change_that_was_waited_for_tells_how_it_ended() {
    let command = parse("region move-peer 7 --from 1 --to 4 --wait 5s");
    let sent = request(&command).unwrap();
    let exit = |answer| match outcome(&command, &sent, &answer) {
        Ok(()) => Exit::Ok,
        Err(error) => error.exit(),
    };
    assert_eq!(exit(json!({"state": "succeeded"})), Exit::Ok);
    assert_eq!(exit(json!({"state": "running"})), Exit::Unavailable);
    assert_eq!(exit(json!({"state": "timed_out"})), Exit::Failed);
    assert_eq!(exit(json!({})), Exit::Failed);
}

#[test]
fn a_change_that_was_not_waited_for_has_only_begun() {
    let command = parse("region move-peer 7 --from 1 --to 4");
    let sent = request(&command).unwrap();
    assert!(outcome(&command, &sent, &json!({"state": "running"})).is_ok());
}

#[test]
fn what_cannot_be_undone_is_asked_about() {
    assert!(question(&parse("store remove 4")).is_some());
    assert!(question(&parse("region remove-peer 1 --store 4")).is_some());
    assert!(question(&parse("gc advance -10m")).is_some());
    assert!(question(&parse("gc barrier remove backup")).is_none());
    assert!(question(&parse("locks resolve")).is_none());
    assert!(question(&parse("store drain 4")).is_none());
    assert!(question(&parse("region move-peer 1 --from 1 --to 2")).is_none());
}

#[test]
fn deadlocks_are_told_with_their_circles() {
    let answer = json!({
        "waits": [{"store": 2, "waiter": "30", "holder": "20", "key": "c", "waited_ms": 7}],
        "edges": [],
        "recent": [{"at_ms": 5, "victim": "10", "cycle": [
            {"waiter": "10", "holder": "20", "key": "a"},
            {"waiter": "20", "holder": "10", "key": {"hex": "00ff"}},
        ]}],
    });
    let printed = tables::deadlocks(&answer).unwrap();
    let lines: Vec<&str> = printed.lines().map(str::trim_end).collect();
    assert_eq!(lines[0], "waiting now: 1");
    assert_eq!(lines[2].split_whitespace().collect::<Vec<_>>(), ["2", "30", "20", "c", "7"]);
    assert_eq!(lines[4], "broken deadlocks: 1");
    assert!(lines[6].ends_with("10->20 (a), 20->10 (hex:00ff)"), "{}", lines[6]);
    assert_eq!(tables::deadlocks(&json!({"waits": []})).unwrap_err().exit(), Exit::Failed);
}
