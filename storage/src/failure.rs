//! Rules of the whole process for failures of shared storage.
//!
//! All Regions of a Store share its engine and its log. When one of those fails, nothing that is
//! in memory can be trusted, and an acknowledgement may be lost data. So the process ends at once,
//! before anything unwinds: it leaves a [`PANIC_MARK`], writes one line to the standard error and
//! aborts. It dies by SIGABRT (a shell shows status 134); a supervisor outside starts it again.
//!
//! | what | who sees to it |
//! |---|---|
//! | a sync or write of the Raft log fails | [`crate::raft_log::file_system`] calls [`end_process`] |
//! | any other error of the engine or the log | the caller calls [`fatal`] |
//! | a panic inside storage | [`install_panic_hook`] |
//! | a panic elsewhere | unwinds to the cell of its actor |
//!
//! In a simulator many processes share a thread: there [`stand_in_for_end`] takes the place of the abort.
//!
//! The next start reads the marks, says why the last run ended, and does not serve when
//! [`may_serve`] says no: a node that dies three times in ten minutes needs a person.
use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use troupe_types::UnixMillis;

mod hook;
mod mark;
mod stand_in;

pub use hook::{RegionScope, StorageCall, StoreFatal, install_panic_hook, redact};
pub use mark::{
    FatalEnd, MAX_ENDS_IN_WINDOW, PANIC_MARK, WINDOW_MS, clear_marks, may_serve, read_marks,
    write_mark,
};
pub use stand_in::{Ended, stand_in_for_end};

static MARK_FOLDER: OnceLock<PathBuf> = OnceLock::new();
static DYING: AtomicBool = AtomicBool::new(false);

/// Says where the mark of a fatal end goes: the node's data folder. The first call counts.
pub fn set_mark_folder(folder: PathBuf) {
    MARK_FOLDER.get_or_init(|| folder);
}

/// Ends the process because of a storage error that must not be survived.
pub fn fatal(error: &crate::StorageError) -> ! {
    let mut reason = error.to_string();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(inner) = cause {
        reason = format!("{reason}: {inner}");
        cause = inner.source();
    }
    end_process(&reason)
}

/// Ends the process: mark, one line on the standard error, abort. `reason` must hold no user data.
pub fn end_process(reason: &str) -> ! {
    if stand_in::takes_over(reason) {
        std::panic::resume_unwind(Box::new(Ended));
    }
    if DYING.swap(true, Ordering::SeqCst) {
        // Somebody is dying already, perhaps this thread itself in writing the mark.
        std::thread::sleep(std::time::Duration::from_secs(1));
        std::process::abort();
    }
    let marked = MARK_FOLDER.get().map(|folder| {
        write_mark(folder, &FatalEnd { at: wall_clock(), reason: reason.to_owned() })
    });
    let mut stderr = std::io::stderr();
    // The process ends in any case; there is nobody left to tell about a closed standard error.
    let _ =
        writeln!(stderr, "fatal: {reason}; the process ends so that no lost write is confirmed");
    if let Some(Err(error)) = marked {
        let _ = writeln!(stderr, "fatal: the mark cannot be written: {error}");
    }
    std::process::abort()
}

#[expect(clippy::disallowed_methods, reason = "the process dies: no clock can be handed in")]
fn wall_clock() -> UnixMillis {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
pub(crate) mod tests;
