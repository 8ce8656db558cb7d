//! Keeps the block caches of several logs in one process apart.
//!
//! raft-engine 0.4.2 remembers, for each thread, the last block of entries that the thread read,
//! under the block's file number and offset alone. Every log counts its files from 1. So a thread
//! that reads two logs may get entries of the one for the other, and a purge on such a thread would
//! even write them down. Here a thread belongs to the first log that it reads; for any other log it
//! reads on a thread that has read nothing yet.
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    /// The log whose blocks this thread's cache holds; 0 = none.
    static OWNER: Cell<u64> = const { Cell::new(0) };
}

static NEXT: AtomicU64 = AtomicU64::new(1);

/// An open log. No two of a process are equal, not even before and after a log is opened again.
#[derive(Debug)]
pub(super) struct CacheOwner(u64);

impl CacheOwner {
    pub(super) fn new() -> Self {
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs `read` on a thread whose cache holds no block of another log.
    pub(super) fn run<T: Send>(&self, read: impl FnOnce() -> T + Send) -> T {
        let owner = OWNER.get();
        if owner == 0 {
            OWNER.set(self.0);
        }
        if owner == 0 || owner == self.0 {
            return read();
        }
        std::thread::scope(|scope| scope.spawn(read).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
