//! `--show-curl` of every command, as the documentation of the API has it.
use super::request;
use crate::api::curl_line;
use crate::cli::{Cli, Command, KvArgs};
use clap::Parser;

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
    let cases: [&[&str]; 5] = [
        &["get", "a", "b", "--raw"],
        &["del", "a", "b", "--if-match", "00"],
        &["delete-range"],
        &["put", "k", "0g", "--hex"],
        &["put", "k", "abc", "--hex"],
    ];
    for words in cases {
        let error = request(&parse(words)).unwrap_err();
        assert_eq!(error.exit(), crate::exit::Exit::Usage, "{words:?}");
    }
}
