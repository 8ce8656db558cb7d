//! The commented sample file: every key with its description and its default, all commented out,
//! so that the file as it is changes nothing.
use crate::sections::Config;
use std::fmt::Write as _;

const OPENING: &str = "\
# Configuration of a Troupe node. Every key stands here with its default: remove the # in front of
# what you want to change. Sizes: \"64MiB\" or a number of bytes. Durations: \"250ms\", \"10s\", \"5m\".
#
# Each key can also be set by an environment variable, which counts more than this file:
# TROUPE__RAFT__TICK=500ms sets tick in [raft]. Flags of the command line count more than both.
";

/// The sample file.
#[must_use]
pub fn sample() -> String {
    let defaults = crate::layers::as_table(&Config::default());
    let mut text = OPENING.to_owned();
    for section in Config::SECTIONS {
        let _ = write!(text, "\n{}[{}]\n", comment(section.doc), section.name);
        for key in section.keys {
            let value = &defaults[section.name][&key.name()];
            let _ = write!(text, "\n{}#{} = {value}\n", comment(key.doc), key.name());
        }
    }
    text
}

fn comment(doc: &[&str]) -> String {
    doc.iter().map(|line| format!("#{line}\n")).collect()
}
