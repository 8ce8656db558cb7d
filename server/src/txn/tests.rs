//! `--show-curl` of every command, and what the end of a transaction means.
use super::{outcome, request};
use crate::api::curl_line;
use crate::cli::{Cli, Command, TxnCommand};
use crate::error::CliError;
use crate::exit::Exit;
use clap::Parser;
use serde_json::{Value, json};
use std::path::Path;

/// What every file of these tests holds.
const FILE: &str = "\n{\"then\":[{\"add\":{\"key\":\"n\",\"by\":1}}]}\n";

fn parse(words: &str) -> TxnCommand {
    let all = ["troupe", "txn"].into_iter().chain(words.split(' '));
    let Command::Txn(args) = Cli::try_parse_from(all).unwrap().command else {
        panic!("not `txn`");
    };
    args.command
}

fn file(_: &Path) -> Result<String, CliError> {
    Ok(FILE.to_owned())
}

#[test]
fn each_command_is_one_documented_request() {
    let golden = include_str!("testdata/curl.txt");
    let mut printed = String::new();
    for command in golden.lines().filter_map(|line| line.strip_prefix("$ troupe txn ")) {
        let curl = curl_line("http://n:1", &request(&parse(command), &file).unwrap());
        printed.push_str(&format!("$ troupe txn {command}\n{curl}\n\n"));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/txn/testdata/curl.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &printed).unwrap();
    }
    assert_eq!(printed, std::fs::read_to_string(path).unwrap(), "run `make golden-update`");
}

#[test]
fn what_the_file_says_is_not_said_again() {
    let run = parse("run f --mode pessimistic");
    let twice = |_: &Path| Ok("{\"mode\":\"optimistic\",\"then\":[]}".to_owned());
    assert_eq!(request(&run, &twice).unwrap_err().exit(), Exit::Usage);
    let no_json = |_: &Path| Ok("[1]".to_owned());
    assert_eq!(request(&run, &no_json).unwrap_err().exit(), Exit::Usage);
}

#[test]
fn a_file_that_cannot_be_read_is_told_by_its_name() {
    let error = super::request::read(Path::new("no/such/file.json")).unwrap_err();
    assert_eq!(error.exit(), Exit::InputOutput);
    assert!(error.to_string().contains("no/such/file.json"), "{error}");
}

fn exit(command: &str, answer: &Value) -> Exit {
    match outcome(&parse(command), answer) {
        Ok(()) => Exit::Ok,
        Err(error) => error.exit(),
    }
}

#[test]
fn conditions_that_do_not_hold_are_told_by_the_exit_code() {
    assert_eq!(exit("run f", &json!({"succeeded": true})), Exit::Ok);
    assert_eq!(exit("run f", &json!({"succeeded": false})), Exit::Conflict);
    assert_eq!(exit("run f", &json!({})), Exit::Failed);
}

#[test]
fn only_a_commit_that_is_done_is_a_success() {
    let cases = [
        ("commit t", "committed", Exit::Ok),
        ("commit t", "committing", Exit::OutcomeUnknown),
        ("commit t", "unknown", Exit::OutcomeUnknown),
        ("commit t", "rolled_back", Exit::Failed),
        ("rollback t", "rolled_back", Exit::Ok),
        ("rollback t", "committed", Exit::Failed),
        ("status t", "rolled_back", Exit::Ok),
        ("keepalive t", "open", Exit::Ok),
    ];
    for (command, state, expected) in cases {
        assert_eq!(exit(command, &json!({ "state": state })), expected, "{command} {state}");
    }
    assert_eq!(exit("commit t", &json!({})), Exit::Failed);
}
