//! One function a rule: sources in, findings out.
use super::Finding;
use super::source::Source;

/// What a core must not touch; time, seeds and data come in as arguments.
const IMPURE: [&str; 12] = [
    "std::time::Instant",
    "Instant::now",
    "SystemTime",
    "std::thread",
    "std::fs",
    "std::net",
    "tokio::",
    "actix::",
    "actix_rt::",
    "thread_rng",
    "rand::",
    "rand_chacha::",
];

/// Methods that walk a map in its own order; what only looks up or counts is fine.
const WALKS: [&str; 8] = [
    ".iter()",
    ".iter_mut()",
    ".into_iter()",
    ".keys()",
    ".values()",
    ".values_mut()",
    ".into_values()",
    ".drain()",
];

/// Words that mean "not really done". In two halves, so that this list does not find itself.
const UNFINISHED: [&str; 8] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("for ", "now"),
    concat!("place", "holder"),
    concat!("simpli", "fied"),
    concat!("st", "ub"),
    concat!("dum", "my"),
];

/// Folders of the repository's root. Another one needs its reason in `docs/`.
const FOLDERS: [&str; 12] = [
    "types",
    "config",
    "storage",
    "coprocessor",
    "actors",
    "pd_actor",
    "http_api",
    "grpc_api",
    "server",
    "scenarios",
    "tests",
    "docs",
];

/// Lines that open a scenario: what it shows and what it needs.
const SCENARIO_HEADERS: [&str; 4] = ["# title: ", "# nodes: ", "# regions: ", "# timeout: "];

fn finding(source: &Source, line: usize, problem: impl Into<String>) -> Finding {
    Finding { path: source.path.clone(), line, problem: problem.into() }
}

fn is_test_code(source: &Source) -> bool {
    source.name() == "tests.rs" || source.path.contains("/tests/")
}

/// Must this file be pure?
#[must_use]
pub fn is_core(source: &Source) -> bool {
    let named = source.name() == "core.rs" || source.path.contains("/core/");
    let by_crate = source.path.starts_with("types/src/");
    let by_path = ["storage/src/apply", "storage/src/read"].iter().any(|path| {
        let rest = source.path.strip_prefix(path);
        rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    });
    source.has_extension("rs") && (named || by_crate || by_path) && !is_test_code(source)
}

/// Cores have no clock, thread, file, socket, runtime, random source or unordered map.
#[must_use]
pub fn impure_core(source: &Source) -> Vec<Finding> {
    if !is_core(source) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (line, code) in source.code_lines() {
        for word in IMPURE.iter().filter(|word| code.contains(**word)) {
            let problem = format!("a core is pure: `{word}` comes in as an argument or stays out");
            findings.push(finding(source, line, problem));
        }
    }
    findings.extend(unordered_walks(source));
    findings
}

/// Places that walk a hash map or set: its order differs from process to process.
fn unordered_walks(source: &Source) -> Vec<Finding> {
    let lines = source.code_lines();
    let maps: Vec<String> = lines.iter().filter_map(|(_, code)| hash_map_name(code)).collect();
    let problem = "the order of a hash map differs from run to run: use a BTreeMap, or sort";
    let walked = lines.iter().filter(|(_, code)| maps.iter().any(|map| walks(code, map)));
    walked.map(|(line, _)| finding(source, *line, problem)).collect()
}

/// The name of the field or variable that this line declares as a hash map or set.
fn hash_map_name(code: &str) -> Option<String> {
    let (before, _) = code.split_once("HashMap").or_else(|| code.split_once("HashSet"))?;
    let before = before.trim_end_matches("std::collections::").trim_end();
    let name = before.strip_suffix(':').or_else(|| before.strip_suffix('='))?.trim_end();
    let name: String = name.chars().rev().take_while(|c| is_word(*c)).collect();
    (!name.is_empty()).then(|| name.chars().rev().collect())
}

fn walks(code: &str, map: &str) -> bool {
    code.match_indices(map).any(|(at, _)| {
        let after = &code[at + map.len()..];
        let whole = !code[..at].chars().next_back().is_some_and(is_word);
        let looped = code[..at].contains(" in ") && after.trim_start().starts_with('{');
        whole && (looped || WALKS.iter().any(|method| after.starts_with(method)))
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Every Rust file opens by saying what it is for.
#[must_use]
pub fn no_opening_doc(source: &Source) -> Vec<Finding> {
    let opens = source.text.starts_with("//!");
    if !source.has_extension("rs") || opens {
        return Vec::new();
    }
    vec![finding(source, 1, "open the file with `//!`: what is it for?")]
}

/// `do_send` ignores the mailbox's limit: only the cell may use it.
#[must_use]
pub fn bare_do_send(source: &Source) -> Vec<Finding> {
    if !source.has_extension("rs") || source.path == "actors/src/cell/mailbox.rs" {
        return Vec::new();
    }
    code_with(source, ".do_send(", "send through the cell's mailbox: `do_send` ignores its limit")
}

/// The cell is the only actor that actix sees; all others live inside it.
#[must_use]
pub fn second_actor_shell(source: &Source) -> Vec<Finding> {
    if !source.has_extension("rs") || source.path.starts_with("actors/src/cell/") {
        return Vec::new();
    }
    let problem = "implement `On<M>` and let the cell be the actix actor";
    let mut findings = code_with(source, " Actor for ", problem);
    findings.extend(code_with(source, "::Actor for ", problem));
    findings
}

/// A test that does not run proves nothing.
#[must_use]
pub fn ignored_test(source: &Source) -> Vec<Finding> {
    if !source.has_extension("rs") {
        return Vec::new();
    }
    code_with(source, "#[ignore", "run the test, or delete it")
}

fn code_with(source: &Source, word: &str, problem: &str) -> Vec<Finding> {
    let lines = source.code_lines().into_iter().filter(|(_, code)| code.contains(word));
    lines.map(|(line, _)| finding(source, line, problem)).collect()
}

/// No source says that it is unfinished.
#[must_use]
pub fn unfinished(source: &Source) -> Vec<Finding> {
    let kinds = ["rs", "sh", "toml", "proto", "js"];
    let is_script = source.path.starts_with(".ci/") || source.name() == "Makefile";
    if !is_script && !kinds.iter().any(|kind| source.has_extension(kind)) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (i, line) in source.text.lines().enumerate() {
        for word in UNFINISHED.iter().filter(|word| has_word(line, word)) {
            findings.push(finding(source, i + 1, format!("`{word}`: finish it")));
        }
    }
    findings
}

/// Does `line` contain `word` with no letter or digit next to it? Lower-case words match any case.
fn has_word(line: &str, word: &str) -> bool {
    let line = if word.chars().any(char::is_uppercase) { line.into() } else { line.to_lowercase() };
    let part_of_word = |c: char| c.is_alphanumeric();
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(part_of_word) && !after.is_some_and(part_of_word)
    })
}

/// Tests stand beside the code in `tests.rs`, never inside the file they test.
#[must_use]
pub fn inline_tests(source: &Source) -> Vec<Finding> {
    if !source.has_extension("rs") {
        return Vec::new();
    }
    code_with(source, "mod tests {", "move the tests into `tests.rs` beside the code")
}

/// Every top-level folder has its line in the README's map.
#[must_use]
pub fn folders_missing_in_readme(readme: &str, folders: &[String]) -> Vec<Finding> {
    let missing = folders.iter().filter(|name| !readme.contains(&format!("`{name}/`")));
    missing
        .map(|name| Finding {
            path: "README.md".to_owned(),
            line: 0,
            problem: format!("the map does not list `{name}/`"),
        })
        .collect()
}

/// Top-level folders that no one agreed on.
#[must_use]
pub fn unexpected_folders(folders: &[String]) -> Vec<Finding> {
    let unknown = folders.iter().filter(|name| !FOLDERS.contains(&name.as_str()));
    unknown
        .map(|name| Finding {
            path: name.clone(),
            line: 0,
            problem: "a new top-level folder needs its reason in `docs/`".to_owned(),
        })
        .collect()
}

/// Every scenario opens by saying what it shows and what it needs.
#[must_use]
pub fn scenario_without_header(source: &Source) -> Vec<Finding> {
    let is_scenario = source.path.starts_with("scenarios/") && source.has_extension("sh");
    if !is_scenario || source.name() == "lib.sh" {
        return Vec::new();
    }
    let opening: Vec<&str> = source.text.lines().take_while(|line| line.starts_with('#')).collect();
    let missing = SCENARIO_HEADERS
        .iter()
        .filter(|header| !opening.iter().any(|line| line.starts_with(**header)));
    missing.map(|header| finding(source, 1, format!("a line `{header}…` is missing"))).collect()
}

/// Nothing depends on the folders of one person's machine.
#[must_use]
pub fn private_path(source: &Source) -> Vec<Finding> {
    let private = [concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let lines = source.text.lines().enumerate();
    lines
        .filter(|(_, line)| private.iter().any(|path| line.contains(path)))
        .map(|(i, _)| finding(source, i + 1, "a path of one machine: make it relative"))
        .collect()
}
