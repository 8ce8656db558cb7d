//! The repository keeps its own rules. Guide: `tests/src/tidy/mod.rs`.
use std::process::Command;
use troupe_tests::tidy::source::{Source, root, sources, top_level_folders};
use troupe_tests::tidy::{Finding, assert_none, codes, manifest, messages, rules, sizes};

fn check(rule: fn(&Source) -> Vec<Finding>) {
    let all = sources(&root());
    assert!(all.len() > 50, "the sources were not found");
    assert_none(&all.iter().flat_map(rule).collect::<Vec<_>>());
}

fn metadata() -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo prints JSON")
}

#[test]
fn every_file_says_what_it_is_for() {
    check(rules::no_opening_doc);
}

#[test]
fn cores_are_pure() {
    check(rules::impure_core);
}

#[test]
fn some_cores_exist() {
    let cores = sources(&root()).into_iter().filter(rules::is_core).count();
    assert!(cores > 10, "only {cores} files are taken for cores: has their name changed?");
}

#[test]
fn only_the_cell_sends_past_the_limit() {
    check(rules::bare_do_send);
}

#[test]
fn the_cell_is_the_only_actix_actor() {
    check(rules::second_actor_shell);
}

#[test]
fn no_test_is_ignored() {
    check(rules::ignored_test);
}

#[test]
fn no_test_stands_inside_the_code() {
    check(rules::inline_tests);
}

#[test]
fn nothing_is_marked_unfinished() {
    check(rules::unfinished);
}

#[test]
fn dependencies_point_down() {
    assert_none(&manifest::wrong_direction(&metadata()));
}

#[test]
fn storage_knows_no_runtime() {
    assert_none(&manifest::runtime_below_actors(&metadata()));
}

#[test]
fn every_profile_unwinds() {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).expect("the workspace manifest");
    let table = text.parse().expect("the manifest is TOML");
    assert_none(&manifest::profiles_that_abort(&table));
}

fn folders() -> Vec<String> {
    let mut folders = top_level_folders(&root());
    folders.retain(|name| !name.starts_with('.'));
    folders
}

#[test]
fn the_readme_lists_every_folder() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("a README");
    assert_none(&rules::folders_missing_in_readme(&readme, &folders()));
}

#[test]
fn every_folder_was_agreed_on() {
    assert_none(&rules::unexpected_folders(&folders()));
}

#[test]
fn every_scenario_says_what_it_needs() {
    check(rules::scenario_without_header);
}

#[test]
fn nothing_names_folders_of_one_machine() {
    check(rules::private_path);
}

#[test]
fn every_message_is_described_and_taken() {
    assert_none(&messages::problems(&sources(&root())));
}

#[test]
fn the_list_of_messages_is_what_the_sources_say() {
    let all = sources(&root());
    let (path, expected) = (root().join("docs/MESSAGES.md"), messages::markdown(&all));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &expected).expect("docs/MESSAGES.md can be written");
    }
    let rows = messages::actors(&all).0.values().map(|actor| actor.messages.len()).sum::<usize>();
    assert!(rows > 30, "only {rows} messages were found: has the shape of their `impl` changed?");
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "docs/MESSAGES.md is stale: run `make golden-update`");
}

#[test]
fn every_code_of_transactions_is_provoked_by_a_test() {
    assert_none(&codes::problems(&sources(&root())));
}

#[test]
fn shell_scripts_parse() {
    let scripts = sources(&root()).into_iter().filter(|source| {
        source.has_extension("sh") || source.text.starts_with("#!/usr/bin/env bash")
    });
    for script in scripts {
        let output = Command::new("bash")
            .arg("-n")
            .arg(root().join(&script.path))
            .output()
            .expect("bash runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {complaint}", script.path);
    }
}

#[test]
fn sizes_are_reported() {
    let all = sources(&root());
    for size in sizes::long_files(&all, 500) {
        println!("long file: {} lines {}", size.lines, size.what);
    }
    for size in sizes::long_functions(&all, 70) {
        println!("long function: {} lines {}", size.lines, size.what);
    }
    let functions =
        all.iter().filter(|source| source.has_extension("rs")).flat_map(sizes::functions);
    assert!(functions.count() > 100, "the functions were not found");
}
