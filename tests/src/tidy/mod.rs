//! Checks of the sources themselves: what clippy cannot see and review forgets.
//!
//! | file | subject |
//! |---|---|
//! | [`source`] | finds files; blanks comments and strings so that rules look at code alone |
//! | [`rules`] | one function a rule: sources in, findings out |
//! | [`manifest`] | rules over `Cargo.toml` and `cargo metadata` |
//! | [`messages`] | `docs/MESSAGES.md` from the sources |
//! | [`codes`] | which test provokes which code of transactions |
//! | [`sizes`] | sizes of files and functions: reported, never a gate |
//!
//! The rules run on this repository in `tests/tests/tidy.rs`, and on bad snippets in `tests.rs`.
pub mod codes;
pub mod manifest;
pub mod messages;
pub mod rules;
pub mod sizes;
pub mod source;

use std::fmt;

/// One place that breaks one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Path from the root of the repository.
    pub path: String,
    /// Line, counted from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong, and what to do instead.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.problem)
    }
}

/// Fails with all findings, one a line.
///
/// # Panics
/// If there is any finding.
pub fn assert_none(findings: &[Finding]) {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{} findings:\n{}", lines.len(), lines.join("\n"));
}

#[cfg(test)]
mod tests;
