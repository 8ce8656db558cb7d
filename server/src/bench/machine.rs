//! What a result must say about the machine it was measured on, to be comparable.
use crate::clock::now;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

/// Syncs of a probe.
const SYNCS: usize = 200;
/// Bytes written in front of each.
const BLOCK: [u8; 4096] = [0x5a; 4096];

/// The machine and the build.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// CPUs that this process may use.
    pub cores: usize,
    /// What the CPU calls itself.
    pub cpu: String,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Release of the Linux kernel.
    pub kernel: String,
    /// Type of the file system that the servers write to.
    pub file_system: String,
    /// `dev` or `release`.
    pub build: String,
    /// Commit of the sources in the present folder, with `+` if they were changed; empty if unknown.
    pub commit: String,
}

impl Machine {
    /// This one; the servers write below `folder`.
    #[must_use]
    pub fn this(folder: &Path) -> Self {
        let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: cpu_model(&cpu).unwrap_or_default(),
            memory_bytes: super::process::field(&info, "MemTotal:").unwrap_or(0) << 10,
            kernel: kernel.trim().to_owned(),
            file_system: file_system(&mounts, folder).unwrap_or_default(),
            build: if cfg!(debug_assertions) { "dev" } else { "release" }.to_owned(),
            commit: commit().unwrap_or_default(),
        }
    }
}

fn cpu_model(info: &str) -> Option<String> {
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, model)| model.trim().to_owned())
}

/// Type of the file system with the longest mount point above `folder`.
fn file_system(mounts: &str, folder: &Path) -> Option<String> {
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let above = mounts.filter(|(point, _)| folder.starts_with(point));
    above.max_by_key(|(point, _)| point.len()).map(|(_, kind)| kind.to_owned())
}

fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = !git(&["status", "--porcelain"])?.is_empty();
    Some(if changed { commit + "+" } else { commit })
}

/// The load of the last minute: programs that wanted a CPU or a disk, on average.
#[must_use]
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

/// Microseconds that a sync of four overwritten KiB takes, half of the time at most.
///
/// # Errors
/// `folder` cannot be written.
pub fn probe_sync_us(folder: &Path) -> io::Result<f64> {
    let mut file: File = tempfile::tempfile_in(folder)?;
    let mut latencies = Vec::with_capacity(SYNCS);
    for round in 0..=SYNCS {
        file.seek(SeekFrom::Start(0))?;
        let started = now();
        file.write_all(&BLOCK)?;
        file.sync_data()?;
        // The first one allocates the block.
        if round > 0 {
            latencies.push(started.elapsed());
        }
    }
    latencies.sort_unstable();
    Ok((latencies[SYNCS / 2].as_secs_f64() * 1e6).round())
}

#[cfg(test)]
mod tests;
