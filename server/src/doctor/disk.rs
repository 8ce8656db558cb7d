//! Data directories: can they be written, how fast do they sync, how much is free?
use super::Check;
use crate::clock::now;
use crate::sys::free_bytes;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many syncs are measured.
const SYNCS: usize = 100;
/// Bytes written in front of each, as a small Raft entry.
const BLOCK: [u8; 4096] = [0x5a; 4096];
/// Above it, every write waits noticeably.
const SLOW_SYNC: Duration = Duration::from_millis(20);
/// Below it, a disk is said to be short of space.
const LITTLE_SPACE: u64 = 10 << 30;
/// Below it, a node would soon stand still.
const NO_SPACE: u64 = 1 << 30;

pub(super) fn checks(directory: &Path) -> Vec<Check> {
    let name = format!("data directory {}", directory.display());
    let Some(existing) = existing(directory) else {
        return vec![Check::fail(name, "no folder above it exists", "choose another with --data")];
    };
    match measure(&existing) {
        Ok(latencies) => vec![sync_speed(&name, &latencies), space(&name, &existing)],
        Err(error) => {
            let advice = format!(
                "make it writable for this user (`sudo chown $USER {}`), or choose another \
                 directory with --data",
                existing.display()
            );
            vec![Check::fail(name, format!("cannot be written: {error}"), advice)]
        }
    }
}

/// The directory, or the folder in which it would be made.
fn existing(directory: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(directory).ok()?;
    absolute.ancestors().find(|path| path.is_dir()).map(Path::to_owned)
}

/// How long each of some syncs takes, sorted.
fn measure(directory: &Path) -> io::Result<Vec<Duration>> {
    let mut file: File = tempfile::tempfile_in(directory)?;
    let mut latencies = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        file.write_all(&BLOCK)?;
        let started = now();
        file.sync_data()?;
        latencies.push(started.elapsed());
    }
    latencies.sort_unstable();
    Ok(latencies)
}

fn sync_speed(name: &str, latencies: &[Duration]) -> Check {
    let name = format!("{name}, sync");
    let (median, slow) = (latencies[SYNCS / 2], latencies[SYNCS * 99 / 100]);
    let found = format!("p50 {} us, p99 {} us", median.as_micros(), slow.as_micros());
    if slow > SLOW_SYNC {
        let advice = "each write waits for a sync: use a local SSD, or a disk that others use less";
        return Check::warn(name, found, advice);
    }
    Check::ok(name, found)
}

fn space(name: &str, directory: &Path) -> Check {
    let name = format!("{name}, space");
    let free = match free_bytes(directory) {
        Ok(free) => free,
        Err(error) => {
            let found = format!("cannot be told: {error}");
            return Check::warn(name, found, "look with `df`");
        }
    };
    let found = format!("{} MiB free", free >> 20);
    match free {
        0..NO_SPACE => Check::fail(name, found, "free some space, or choose another disk"),
        NO_SPACE..LITTLE_SPACE => {
            Check::warn(name, found, "enough to try things out; plan for three times your data")
        }
        LITTLE_SPACE.. => Check::ok(name, found),
    }
}
