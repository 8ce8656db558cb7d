//! What the kernel says about processes: CPU time, bytes written, memory.
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;

/// Microseconds of a tick in `/proc/PID/stat`: Linux shows 100 a second to programs, always.
const TICK_US: u64 = 10_000;

/// Use of the machine by some processes since each started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Microseconds of CPU outside the kernel.
    pub user_us: u64,
    /// Microseconds of CPU inside the kernel.
    pub system_us: u64,
    /// Bytes sent towards the disk.
    pub written_bytes: u64,
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
        let written = field(&read("io")?, "write_bytes:").ok_or_else(unreadable)?;
        let memory = field(&read("status")?, "VmRSS:").ok_or_else(unreadable)?;
        Ok(Self {
            user_us: user * TICK_US,
            system_us: system * TICK_US,
            written_bytes: written,
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
            written_bytes: self.written_bytes + other.written_bytes,
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
            written_bytes: self.written_bytes.saturating_sub(before.written_bytes),
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
