//! Each rule finds its bad snippet and leaves the good one alone.
use super::source::{Source, blank_comments_and_strings};
use super::{codes, manifest, messages, rules, sizes};
use serde_json::json;
use troupe_types::Code;

fn lines(findings: &[super::Finding]) -> Vec<usize> {
    findings.iter().map(|finding| finding.line).collect()
}

#[test]
fn blanking_keeps_code_and_line_breaks() {
    let text = "let a = \"x // y\"; // z\nlet b = 'c'; /* d /* e */\n f */ let g: &'static str = r#\"h\"i\"#;";
    let code = blank_comments_and_strings(text);
    let words: Vec<&str> = code.split_whitespace().collect();
    assert_eq!(code.lines().count(), 3);
    assert_eq!(
        words,
        ["let", "a", "=", ";", "let", "b", "=", ";", "let", "g:", "&'static", "str", "=", ";"]
    );
}

#[test]
fn blanking_knows_escapes_and_byte_strings() {
    let code = blank_comments_and_strings("a(\"\\\"\\\\\", '\\'', b'\"', br\"\\\", b\"//\"); end");
    assert_eq!(code.split_whitespace().collect::<String>(), "a(,,b,b,b);end");
}

#[test]
fn a_core_that_reads_the_clock_is_found() {
    let text =
        "//! Doc: `Instant::now` is banned.\nuse std::time::Instant;\nfn f() { rand::rng(); }\n";
    for path in ["actors/src/x/core.rs", "actors/src/x/core/read.rs", "types/src/a.rs"] {
        assert_eq!(lines(&rules::impure_core(&Source::new(path, text))), [2, 3], "{path}");
    }
    assert_eq!(lines(&rules::impure_core(&Source::new("storage/src/apply.rs", text))), [2, 3]);
    assert_eq!(lines(&rules::impure_core(&Source::new("storage/src/read/scan.rs", text))), [2, 3]);
}

#[test]
fn a_core_that_walks_a_hash_map_is_found() {
    let text = "//! Doc.\nstruct A { peers: HashMap<u8, u8> }\nself.peers.get(&1);\nfor p in &self.peers {\n}\nlet seen = std::collections::HashSet::new();\nseen.iter().max();\nself.peers_by_id.iter();";
    let source = Source::new("actors/src/x/core.rs", text);
    assert_eq!(lines(&rules::impure_core(&source)), [4, 7]);
}

#[test]
fn shells_tests_and_neighbours_of_cores_may_be_impure() {
    let text = "//! Doc.\nfn f() { tokio::spawn(x); }";
    for path in [
        "actors/src/x/actor.rs",
        "actors/src/x/core/tests.rs",
        "types/src/key/tests.rs",
        "storage/src/read_only.rs",
        "storage/src/engine/rocks.rs",
    ] {
        assert_eq!(rules::impure_core(&Source::new(path, text)), [], "{path}");
    }
}

#[test]
fn a_file_without_a_purpose_is_found() {
    assert_eq!(lines(&rules::no_opening_doc(&Source::new("a.rs", "use b;\n//! Late."))), [1]);
    assert_eq!(rules::no_opening_doc(&Source::new("a.rs", "//! Early.\nuse b;")), []);
    assert_eq!(rules::no_opening_doc(&Source::new("a.sh", "echo")), []);
}

#[test]
fn do_send_is_only_for_the_cell() {
    let text = "//! `.do_send(` in prose.\nlet s = \".do_send(\";\naddr.do_send(m);";
    assert_eq!(lines(&rules::bare_do_send(&Source::new("actors/src/store/actor.rs", text))), [3]);
    assert_eq!(rules::bare_do_send(&Source::new("actors/src/cell/mailbox.rs", text)), []);
}

#[test]
fn a_second_actix_actor_is_found() {
    let text = "//! Doc.\nimpl actix::Actor for Peer {}\nimpl<A> Actor for Box<A> {}\nimpl Reactor for B {}";
    assert_eq!(lines(&rules::second_actor_shell(&Source::new("a.rs", text))), [3, 2]);
    assert_eq!(rules::second_actor_shell(&Source::new("actors/src/cell/mod.rs", text)), []);
}

#[test]
fn an_ignored_test_is_found() {
    let text = "//! Doc.\n#[ignore = \"slow\"]\n#[test]\nfn f() {}\n// #[ignore]";
    assert_eq!(lines(&rules::ignored_test(&Source::new("a.rs", text))), [2]);
}

#[test]
fn inline_tests_are_found() {
    let text = "//! Doc.\n#[cfg(test)]\nmod tests {\n}";
    assert_eq!(lines(&rules::inline_tests(&Source::new("a.rs", text))), [3]);
    assert_eq!(rules::inline_tests(&Source::new("a.rs", "//! Doc.\nmod tests;")), []);
}

#[test]
fn words_of_unfinished_work_are_found_whole() {
    let text = format!("# {}: later\n# {}born, tests{}", "TO\u{44}O", "stu\u{62}", "XX\u{58}");
    assert_eq!(lines(&rules::unfinished(&Source::new("a.sh", &text))), [1]);
    assert_eq!(rules::unfinished(&Source::new("notes.txt", &text)), []);
}

#[test]
fn a_folder_that_the_map_forgets_is_found() {
    let folders = ["types".to_owned(), "tools".to_owned()];
    let found = rules::folders_missing_in_readme("| `types/` | ids |", &folders);
    assert_eq!(found.len(), 1);
    assert!(found[0].problem.contains("`tools/`"));
}

#[test]
fn a_folder_that_no_one_agreed_on_is_found() {
    let folders = ["types".to_owned(), "tools".to_owned()];
    let found = rules::unexpected_folders(&folders);
    assert_eq!(found.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["tools"]);
}

#[test]
fn a_scenario_without_its_header_is_found() {
    let text = "#!/usr/bin/env bash\n# title: A\n# nodes: 3\n# timeout: 9s\necho\n# regions: 1";
    assert_eq!(rules::scenario_without_header(&Source::new("scenarios/a.sh", text)).len(), 1);
    assert_eq!(rules::scenario_without_header(&Source::new("scenarios/lib.sh", "")), []);
    assert_eq!(rules::scenario_without_header(&Source::new(".ci/a.sh", "")), []);
}

#[test]
fn a_path_of_one_machine_is_found() {
    let text = format!("cd {}someone/x\ncd $HOME/x", concat!("/ho", "me/"));
    assert_eq!(lines(&rules::private_path(&Source::new("a.sh", &text))), [1]);
}

#[test]
fn a_dependency_that_points_up_is_found() {
    let package = |name: &str, on: &[&str]| {
        let on: Vec<_> = on.iter().map(|name| json!({ "name": name })).collect();
        json!({ "name": name, "dependencies": on })
    };
    let good = json!({ "packages": [package("troupe-actors", &["troupe-types", "actix"])] });
    assert_eq!(manifest::wrong_direction(&good), []);
    assert_eq!(manifest::runtime_below_actors(&good), []);
    let up = json!({ "packages": [package("troupe-types", &["troupe-config"])] });
    assert_eq!(manifest::wrong_direction(&up).len(), 1);
    let unknown = json!({ "packages": [package("troupe-extra", &["serde"])] });
    assert_eq!(manifest::wrong_direction(&unknown).len(), 1);
    let runtime = json!({ "packages": [package("troupe-storage", &["tokio"])] });
    assert_eq!(manifest::runtime_below_actors(&runtime).len(), 1);
}

#[test]
fn a_profile_that_aborts_is_found() {
    let parse = |text: &str| text.parse::<toml::Table>().expect("valid TOML");
    let good = parse("[profile.dev]\npanic = \"unwind\"\n[profile.release]\npanic = \"unwind\"");
    assert_eq!(manifest::profiles_that_abort(&good), []);
    let bad = parse("[profile.dev]\npanic = \"abort\"");
    assert_eq!(manifest::profiles_that_abort(&bad).len(), 2);
}

#[test]
fn functions_are_measured_from_signature_to_brace() {
    let text = "//! Doc.\ntrait T { }\npub const fn one() -> [u8; 2] {\n    [1, 2]\n}\nfn declared();\n    async fn two(\n        a: u8,\n    ) {\n        if a { \"}\" }\n    }\nlet f: fn (u8);";
    let source = Source::new("a.rs", text);
    let found: Vec<_> = sizes::functions(&source).into_iter().map(|s| (s.what, s.lines)).collect();
    assert_eq!(found, [("a.rs:3 one".to_owned(), 3), ("a.rs:7 two".to_owned(), 5)]);
    assert_eq!(sizes::long_functions(&[source], 4).len(), 1);
}

/// An actor that takes `Go`, described by `doc`, and not `Stay`.
fn messenger(doc: &str) -> Vec<Source> {
    let text = format!(
        "//! `impl Message for` in prose.\n{doc}\n#[derive(Debug)]\npub struct Go {{\n    /// A field.\n    a: u8,\n}}\n\n\
         impl Message for Go {{\n    const NAME: &'static str = \"Gone\";\n    const DELIVERY: Delivery = Delivery::Must;\n}}\n\
         impl Acts for Walker {{\n    const KIND: &'static str = \"walker\";\n}}\n\
         impl On<Go> for Walker {{\n}}\n"
    );
    vec![Source::new("a/src/walker.rs", &text)]
}

#[test]
fn a_message_is_read_from_its_sources() {
    let sources = messenger("/// [`crate::Boss`] → Walker. Must: walk a | b.\n/// Idempotent.");
    assert_eq!(messages::problems(&sources), []);
    let markdown = messages::markdown(&sources);
    assert!(markdown.contains("## Walker\n\nKind `walker`, in `a/src/walker.rs`."), "{markdown}");
    let row = "| `Gone` | `Boss` | Must | Walk a \\| b. Idempotent. |";
    assert!(markdown.contains(row), "{markdown}");
}

#[test]
fn a_message_without_sender_meaning_or_receiver_is_found() {
    let problems = |doc| messages::problems(&messenger(doc)).len();
    assert_eq!(problems("/// Boss → Walker: go."), 0);
    assert_eq!(problems("/// Go."), 1);
    assert_eq!(problems("/// Boss → Walker."), 1);
    assert_eq!(problems("/// Boss → Walker. Must."), 1);
    assert_eq!(problems(""), 2);
    let mut deaf = messenger("/// Boss → Walker: go.");
    deaf[0].text = deaf[0].text.replace("impl On<Go>", "impl On<Come>");
    let found = messages::problems(&deaf);
    assert_eq!(lines(&found), [9]);
    assert!(found[0].problem.contains("no actor takes it"), "{}", found[0]);
}

#[test]
fn messages_of_tests_are_not_listed() {
    let mut sources = messenger("");
    sources[0].path = "a/src/walker/tests.rs".to_owned();
    assert_eq!(messages::problems(&sources), []);
    assert!(!messages::markdown(&sources).contains("Walker"));
}

#[test]
fn a_code_without_its_test_is_found() {
    let found = |text: &str| {
        let by = codes::Provoked::By("a/tests.rs", "it_is_refused");
        codes::problems_of(Code::Deadlock, by, &[Source::new("a/tests.rs", text)]).len()
    };
    assert_eq!(found("#[test]\nfn it_is_refused() {\n    is(\"DEADLOCK\");\n}\n"), 0);
    assert_eq!(found("#[x::test]\nasync fn it_is_refused() {\n    is(Code::Deadlock);\n}\n"), 0);
    assert_eq!(found("#[test]\nfn it_is_refused() {\n}\n// \"DEADLOCK\"\n"), 1, "elsewhere");
    assert_eq!(found("#[test]\nfn it_was_refused() {\n    is(\"DEADLOCK\");\n}\n"), 1, "renamed");
    assert_eq!(found("\nfn it_is_refused() {\n    is(\"DEADLOCK\");\n}\n"), 1, "not a test");
}

#[test]
fn a_code_that_is_raised_though_nothing_is_to_raise_it_is_found() {
    let found = |path: &str| {
        let source = Source::new(path, "fn f() -> Code { Code::DataNotReady }");
        codes::problems_of(Code::DataNotReady, codes::Provoked::Nowhere, &[source]).len()
    };
    assert_eq!((found("actors/src/a.rs"), found("types/src/error.rs")), (1, 0));
}
