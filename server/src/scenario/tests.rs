//! Headers of scenarios, and how they are found.
use super::find::{all, named};
use super::header::Header;
use crate::exit::Exit;
use std::path::Path;
use std::time::Duration;

const SCRIPT: &str = "#!/usr/bin/env bash\n# title: It works\n# nodes: 3\n# regions: 8\n\
                      # timeout: 1m30s\nset -eu\n# nodes: 9\n";

#[test]
fn a_header_is_read_from_the_opening_comment() {
    let header = Header::parse(SCRIPT).unwrap();
    assert_eq!(header.title, "It works");
    assert_eq!((header.nodes, header.regions), (3, 8));
    assert_eq!(header.timeout, Duration::from_secs(90));
}

#[test]
fn a_wrong_header_says_what_is_wrong() {
    let cases = [
        ("# title: It works\n", "", "the line `# title: …` is missing"),
        ("# nodes: 3", "# nodes: 0", "`# nodes: 0` is not a number above zero"),
        ("# regions: 8", "# regions: many", "`# regions: many` is not a number above zero"),
        ("# timeout: 1m30s", "# timeout: 5", "`5` is not a duration"),
    ];
    for (right, wrong, expected) in cases {
        let told = Header::parse(&SCRIPT.replace(right, wrong)).unwrap_err();
        assert!(told.starts_with(expected), "{told}");
    }
}

#[test]
fn the_scenarios_of_the_repository_are_found() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let names: Vec<String> =
        all(Some(&folder)).unwrap().into_iter().map(|scenario| scenario.name).collect();
    assert_eq!(names, ["cas-race", "hello", "join-and-leave", "leader-kill", "unicode"]);
    let one = named(Some(&folder), &["hello".to_owned()]).unwrap();
    assert!(one[0].path.is_absolute());
}

#[test]
fn an_unknown_scenario_names_the_known_ones() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("lib.sh"), "").unwrap();
    std::fs::write(folder.path().join("one.sh"), SCRIPT).unwrap();
    let error = named(Some(folder.path()), &["two".to_owned()]).unwrap_err();
    assert_eq!(error.to_string(), "no scenario `two`; there are one");
    assert_eq!(error.exit(), Exit::NotFound);
}
