//! Faults of a node's disk: a C library that is preloaded into the node, and the file that switches it.
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The library's source is part of this program, so that it is found wherever that runs.
const SOURCE: &str = include_str!("faulty_disk.c");

/// Size of the control file; the library's source has its layout.
const SIZE: u64 = 48;
const SYNC_ERROR: u64 = 0;
const WRITE_ERROR: u64 = 4;
const SYNC_DELAY: u64 = 8;
const FIRST_FAILED: u64 = 16;
const FAILED_SYNCS: u64 = 24;
const FAILED_WRITES: u64 = 32;
const SLOW_SYNCS: u64 = 40;

/// Builds the library in `folder`.
///
/// # Panics
/// There is no C compiler (`cc`), which RocksDB needs too.
#[must_use]
pub fn build_library(folder: &Path) -> PathBuf {
    let (source, library) = (folder.join("faulty_disk.c"), folder.join("faulty_disk.so"));
    std::fs::write(&source, SOURCE).expect("the library's source is written");
    let done = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(&source)
        .arg("-ldl")
        .status()
        .expect("a C compiler, which RocksDB needs too");
    assert!(done.success(), "cc cannot build {}", source.display());
    library
}

/// The switches of one node's disk. They outlive the node.
#[derive(Debug)]
pub struct FaultyDisk {
    file: File,
    path: PathBuf,
}

impl FaultyDisk {
    /// A disk without faults, switched by a new file at `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        let file = file.expect("a control file");
        file.set_len(SIZE).expect("room for the switches");
        Self { file, path }
    }

    /// Loads the library into the node that `command` will start, with its data below `data`.
    pub fn attach(&self, command: &mut Command, library: &Path, data: &Path) {
        command
            .env("LD_PRELOAD", library)
            .env("NEMESIS_CONTROL", &self.path)
            .env("NEMESIS_DATA", data);
    }

    fn set(&self, at: u64, value: u32) {
        self.file.write_all_at(&value.to_ne_bytes(), at).expect("a switch is set");
    }

    fn number(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, at).expect("a counter is read");
        u64::from_ne_bytes(bytes)
    }

    /// Every sync fails with EIO from here on.
    pub fn fail_syncs(&self) {
        self.set(SYNC_ERROR, rustix::io::Errno::IO.raw_os_error().unsigned_abs());
    }

    /// Every write finds the disk full from here on.
    pub fn fill(&self) {
        self.set(WRITE_ERROR, rustix::io::Errno::NOSPC.raw_os_error().unsigned_abs());
    }

    /// Every sync takes `delay` longer from here on.
    pub fn slow_down(&self, delay: Duration) {
        self.set(SYNC_DELAY, u32::try_from(delay.as_millis()).unwrap_or(u32::MAX));
    }

    /// No fault from here on. A sync that waits goes on at once.
    pub fn heal(&self) {
        for switch in [SYNC_ERROR, WRITE_ERROR, SYNC_DELAY] {
            self.set(switch, 0);
        }
    }

    /// When the first sync failed, in nanoseconds of the monotonic clock.
    #[must_use]
    pub fn first_failed_sync_ns(&self) -> Option<i64> {
        let ns = self.number(FIRST_FAILED);
        (ns != 0).then(|| ns.cast_signed())
    }

    /// Faults that were met so far: failed syncs, failed writes, slow syncs.
    #[must_use]
    pub fn met(&self) -> (u64, u64, u64) {
        (self.number(FAILED_SYNCS), self.number(FAILED_WRITES), self.number(SLOW_SYNCS))
    }
}
