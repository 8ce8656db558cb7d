//! What the command line takes and what it refuses.
use super::{Cli, Command, KvCommand, OutputFormat};
use clap::{CommandFactory, Parser};
use std::time::Duration;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_declaration_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn client_options_may_stand_anywhere() {
    let line = "troupe kv get k -o json --url http://h:1 --timeout 250ms --show-curl";
    let cli = parse(line).unwrap();
    assert_eq!(cli.client.output, OutputFormat::Json);
    assert_eq!(cli.client.url, "http://h:1");
    assert_eq!(cli.client.timeout, Some(Duration::from_millis(250)));
    assert!(cli.client.show_curl);
    let before = parse("troupe -o ndjson kv scan").unwrap();
    assert_eq!(before.client.output, OutputFormat::Ndjson);
}

#[test]
fn a_value_may_begin_with_a_dash_after_two_dashes() {
    let cli = parse("troupe kv put -- k -5").unwrap();
    let Command::Kv(args) = cli.command else { panic!("not `kv`") };
    let KvCommand::Put(put) = args.command else { panic!("not `put`") };
    assert_eq!(put.value.as_deref(), Some("-5"));
}

#[test]
fn the_demo_has_three_nodes_in_one_process_unless_told_otherwise() {
    let Command::Demo(args) = parse("troupe demo").unwrap().command else { panic!("not `demo`") };
    let options: crate::demo::DemoOptions = args.into();
    assert_eq!((options.nodes, options.processes, options.keep), (3, false, None));
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    let lines = [
        "troupe",
        "troupe nonsense",
        "troupe kv get",
        "troupe kv put k",
        "troupe kv put k v --file f",
        "troupe kv put k v --if-absent --if-match x",
        "troupe kv cas k v",
        "troupe kv cas k --expect 1",
        "troupe kv cas k v --delete --expect 1",
        "troupe kv cas k v --expect 1 --expect-absent",
        "troupe kv scan --prefix a --start b",
        "troupe kv delete-range --all",
        "troupe kv delete-range --all --confirm c --prefix a",
        "troupe kv get k -o xml",
        "troupe kv get k --timeout fast",
        "troupe ctl region move-peer 1 --from 2",
        "troupe ctl traces --mermaid",
        "troupe kv get k --space other",
        "troupe txn",
        "troupe txn run",
        "troupe txn run f --mode careful",
        "troupe txn begin --isolation none",
        "troupe txn ops tx_1-2-3",
        "troupe ctl locks --limit 5 resolve",
        "troupe ctl locks resolve --limit 5",
        "troupe ctl locks --prefix a --end b",
        "troupe ctl gc barrier set backup",
        "troupe ctl gc advance",
        "troupe demo --nodes 0",
        "troupe scenario run",
        "troupe completions tcsh",
    ];
    for line in lines {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}: {error}");
    }
}

#[test]
fn help_of_transactions_is_as_printed_here() {
    let golden = include_str!("testdata/help.txt");
    let mut printed = String::new();
    for line in golden.lines().filter(|line| line.starts_with("$ troupe ")) {
        let words = line.trim_start_matches("$ ").split(' ');
        let help = Cli::try_parse_from(words).expect_err("help ends the program");
        assert_eq!(help.kind(), clap::error::ErrorKind::DisplayHelp, "{line}");
        // Options of all clients tell of the environment, which is not the same everywhere.
        let help = help.to_string();
        let own = help.split("\nClient options:").next().unwrap_or_default();
        printed.push_str(&format!("{line}\n{own}\n"));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/testdata/help.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &printed).unwrap();
    }
    assert_eq!(printed, std::fs::read_to_string(path).unwrap(), "run `make golden-update`");
}
