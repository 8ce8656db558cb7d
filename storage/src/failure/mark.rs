//! The mark that a fatal end leaves for the next start.
//!
//! `PANIC_MARK` is a text file with one line an end, oldest first:
//!
//! ```text
//! <Unix milliseconds> <why, without line breaks>
//! ```
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Result, Write};
use std::path::{Path, PathBuf};
use troupe_types::UnixMillis;

/// Name of the file in the node's folder.
pub const PANIC_MARK: &str = "PANIC_MARK";

/// Fatal ends older than this do not count any more.
pub const WINDOW_MS: u64 = 10 * 60 * 1000;

/// With so many fatal ends in the window the node does not serve.
pub const MAX_ENDS_IN_WINDOW: usize = 3;

/// A fatal end of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FatalEnd {
    /// When.
    pub at: UnixMillis,
    /// Why, for people. Holds no user data.
    pub reason: String,
}

/// Adds an end to the mark in `folder` and syncs it.
///
/// # Errors
/// The file cannot be written.
pub fn write_mark(folder: &Path, end: &FatalEnd) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path(folder))?;
    let reason = end.reason.replace(['\n', '\r'], " ");
    file.write_all(format!("{} {reason}\n", end.at).as_bytes())?;
    file.sync_all()?;
    File::open(folder)?.sync_all()
}

/// All ends that the mark in `folder` names, oldest first; none if there is no mark. A line that
/// was torn by a power cut is left out.
///
/// # Errors
/// The file cannot be read.
pub fn read_marks(folder: &Path) -> Result<Vec<FatalEnd>> {
    match std::fs::read(path(folder)) {
        Ok(content) => {
            Ok(String::from_utf8_lossy(&content).lines().filter_map(parse_line).collect())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Removes the mark: the node has served for a while, or an operator says so.
///
/// # Errors
/// The file cannot be removed.
pub fn clear_marks(folder: &Path) -> Result<()> {
    match std::fs::remove_file(path(folder)) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// May a node with these ends behind it serve, or would it only die again?
#[must_use]
pub fn may_serve(ends: &[FatalEnd], now: UnixMillis) -> bool {
    let recent = |end: &&FatalEnd| now.get().saturating_sub(end.at.get()) < WINDOW_MS;
    ends.iter().filter(recent).count() < MAX_ENDS_IN_WINDOW
}

fn path(folder: &Path) -> PathBuf {
    folder.join(PANIC_MARK)
}

fn parse_line(line: &str) -> Option<FatalEnd> {
    let (at, reason) = line.split_once(' ')?;
    Some(FatalEnd { at: UnixMillis(at.parse().ok()?), reason: reason.to_owned() })
}
