//! How the command line of `troupe start` becomes a configuration.
use super::load;
use crate::cli::{Cli, Command, StartArgs};
use crate::exit::Exit;
use clap::Parser;
use std::time::Duration;

fn args(line: &str) -> StartArgs {
    let words = ["troupe", "start"].into_iter().chain(line.split_whitespace());
    let Command::Start(args) = Cli::try_parse_from(words).unwrap().command else {
        panic!("not `start`");
    };
    args
}

fn variables(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

#[test]
fn flags_count_more_than_the_environment_and_the_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[node]\nhttp-address = \"127.0.0.1:1\"\n[raft]\ntick = \"2s\"")
        .unwrap();
    let line = format!(
        "--config {} --http 127.0.0.1:3 --data /a --data /b --label zone=z --set raft.lease=1s",
        file.path().display()
    );
    let loaded = load(&args(&line), variables("TROUPE__NODE__HTTP_ADDRESS", "127.0.0.1:2"));
    let loaded = loaded.unwrap();
    let node = &loaded.config.node;
    assert_eq!(node.http_address, "127.0.0.1:3");
    assert_eq!(node.data.len(), 2);
    assert_eq!(node.labels["zone"], "z");
    assert_eq!(loaded.config.raft.tick, Duration::from_secs(2));
    assert_eq!(loaded.origin("raft.lease").to_string(), "flag --set raft.lease");
}

#[test]
fn the_fast_clock_lies_under_everything_else() {
    let loaded = load(&args("--fast-clock"), variables("TROUPE__RAFT__TICK", "200ms")).unwrap();
    assert_eq!(loaded.config.raft.tick, Duration::from_millis(200));
    assert_eq!(loaded.config.raft.lease, Duration::from_millis(800));
    assert_eq!(loaded.origin("raft.lease").to_string(), "profile --fast-clock");
    assert_eq!(loaded.origin("storage.block-cache").to_string(), "default");
}

#[test]
fn an_address_that_others_can_reach_needs_insecure() {
    let open = load(&args("--http 10.0.0.1:1"), []).unwrap();
    let error: crate::CliError = open.config.validate().unwrap_err().into();
    assert_eq!(error.exit(), Exit::Config);
    assert!(error.to_string().contains("--insecure"), "{error}");
    let allowed = load(&args("--http 10.0.0.1:1 --insecure"), []).unwrap();
    allowed.config.validate().unwrap();
}

#[test]
fn a_wrong_setting_is_named() {
    let error = load(&args("--set raft.tikc=1s"), []).unwrap_err();
    assert!(error.to_string().contains("did you mean `raft.tick`?"), "{error}");
    assert_eq!(error.exit(), Exit::Config);
    assert_eq!(load(&args("--set nonsense"), []).unwrap_err().exit(), Exit::Usage);
}
