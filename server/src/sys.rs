//! The few system calls that the standard library lacks.
#![allow(unsafe_code, reason = "kill and statvfs have no safe form in std")]
use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Sends a signal to every process of a group that this process started.
pub(crate) fn signal_group(leader: u32, signal: i32) {
    if let Ok(leader) = libc::pid_t::try_from(leader)
        && leader > 1
    {
        // SAFETY: kill takes two numbers and touches no memory of ours.
        unsafe { libc::kill(-leader, signal) };
    }
}

/// Sends a signal to one process.
pub(crate) fn signal_process(process: u32, signal: i32) {
    if let Ok(process) = libc::pid_t::try_from(process)
        && process > 1
    {
        // SAFETY: as above.
        unsafe { libc::kill(process, signal) };
    }
}

/// Bytes that an ordinary user can still write at `path`.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut stat = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path` ends with a zero byte and `stat` has room for what statvfs writes.
    let result = unsafe { libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: statvfs succeeded, so it has filled `stat`.
    let stat = unsafe { stat.assume_init() };
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
