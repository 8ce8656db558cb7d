//! What the kernel says about processes: CPU time, memory; and about the disk under a folder.
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Microseconds of a tick in `/proc/PID/stat`: Linux shows 100 a second to programs, always.
const TICK_US: u64 = 10_000;
/// The unit of a block device's `stat`, whatever its sectors are.
const SECTOR_BYTES: u64 = 512;

/// Use of the machine by some processes since each started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Microseconds of CPU outside the kernel.
    pub user_us: u64,
    /// Microseconds of CPU inside the kernel.
    pub system_us: u64,
    /// Times that threads which still run were taken off a CPU.
    pub context_switches: u64,
    /// Bytes of memory in use now.
    pub memory_bytes: u64,
}

impl Usage {
    /// Of one process.
    ///
    /// # Errors
    /// It is gone, or belongs to somebody else.
    pub fn of(pid: u32) -> io::Result<Self> {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}"));
        let unreadable = || io::Error::other(format!("/proc/{pid} is not understood"));
        let (user, system) = cpu_ticks(&read("stat")?).ok_or_else(unreadable)?;
        let memory = field(&read("status")?, "VmRSS:").ok_or_else(unreadable)?;
        Ok(Self {
            user_us: user * TICK_US,
            system_us: system * TICK_US,
            context_switches: context_switches(pid),
            memory_bytes: memory << 10,
        })
    }

    /// Of several processes together.
    ///
    /// # Errors
    /// As for [`Usage::of`].
    pub fn of_all(pids: &[u32]) -> io::Result<Self> {
        pids.iter().try_fold(Self::default(), |sum, &pid| Ok(sum.plus(Self::of(pid)?)))
    }

    fn plus(self, other: Self) -> Self {
        Self {
            user_us: self.user_us + other.user_us,
            system_us: self.system_us + other.system_us,
            context_switches: self.context_switches + other.context_switches,
            memory_bytes: self.memory_bytes + other.memory_bytes,
        }
    }

    /// What was used since `before`; memory as it is now.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            user_us: self.user_us.saturating_sub(before.user_us),
            system_us: self.system_us.saturating_sub(before.system_us),
            context_switches: self.context_switches.saturating_sub(before.context_switches),
            memory_bytes: self.memory_bytes,
        }
    }
}

fn context_switches(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of_thread = |thread: fs::DirEntry| {
        // A thread that ended meanwhile counts no more.
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        field(&status, "voluntary_ctxt_switches:").unwrap_or(0)
            + field(&status, "nonvoluntary_ctxt_switches:").unwrap_or(0)
    };
    threads.map(of_thread).sum()
}

/// The disk under a folder, as the kernel counts it.
///
/// `write_bytes` of `/proc/PID/io` would tell processes apart, but counts whole folios of the page cache
/// when a few bytes of one are written: with large folios a hundred times what goes to the disk.
#[derive(Clone, Debug)]
pub struct Disk(PathBuf);

impl Disk {
    /// Under `folder`; `None` if it has none of its own, such as a folder in memory.
    pub fn under(folder: &Path) -> Option<Self> {
        let device = fs::metadata(folder).ok()?.dev();
        let (major, minor) = (libc::major(device), libc::minor(device));
        let disk = Self(format!("/sys/dev/block/{major}:{minor}/stat").into());
        disk.written_bytes().map(|_| disk)
    }

    /// Bytes written since the machine started, by anybody.
    pub fn written_bytes(&self) -> Option<u64> {
        sectors_written(&fs::read_to_string(&self.0).ok()?).map(|sectors| sectors * SECTOR_BYTES)
    }
}

/// In the text of a block device's `stat`.
fn sectors_written(stat: &str) -> Option<u64> {
    stat.split_whitespace().nth(6)?.parse().ok()
}

/// User and system ticks in the text of `/proc/PID/stat`. The program's name, in parentheses, may
/// hold anything.
fn cpu_ticks(stat: &str) -> Option<(u64, u64)> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// The number behind a name at the start of a line.
pub(super) fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests;
