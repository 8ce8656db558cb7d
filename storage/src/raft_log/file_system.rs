//! The file system under the Raft log: it counts, and it ends the process when a sync fails.
//!
//! raft-engine panics in the leader of a write group when a sync fails, and yet the other writers
//! of that group get `Ok`. Whatever unwinds then would acknowledge lost entries. So nothing
//! unwinds: a failed sync aborts inside [`Handle::sync`], before raft-engine learns of it. It is
//! never tried again either, since the kernel may have dropped the dirty pages.
//!
//! A full disk is the only failure handed on, in the form that raft-engine knows: an error whose
//! text has the word `nospace` makes it undo the write and go to a new file once. If there is no room
//! for the header of that file either, raft-engine goes on with the old one and forgets the new one,
//! which a start would then take for the last: the zeros behind the end of the old one, normal in a
//! last file, would be damage. So a file without a header is removed on the spot.
use crate::failure::end_process;
use raft_engine::env::{DefaultFileSystem, FileSystem, Handle, Permission, WriteExt};
use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

type InnerHandle = <DefaultFileSystem as FileSystem>::Handle;
type InnerReader = <DefaultFileSystem as FileSystem>::Reader;
type InnerWriter = <DefaultFileSystem as FileSystem>::Writer;

/// What the files of one Raft log did, and what they shall fail at. Shared with tests.
#[derive(Debug, Default)]
pub struct DiskWatch {
    syncs: AtomicU64,
    bytes_written: AtomicU64,
    fail_sync: AtomicBool,
    fail_next_sync: AtomicBool,
    fail_write: AtomicBool,
    disk_full: AtomicBool,
}

impl DiskWatch {
    /// Calls of fdatasync so far.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Bytes handed to the file system so far.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.bytes_written.load(Ordering::Relaxed)
    }

    /// Lets every sync fail from here on. The process will not survive one.
    pub fn fail_syncs(&self) {
        self.fail_sync.store(true, Ordering::SeqCst);
    }

    /// Lets the next sync fail, and no other. The process will not survive it.
    pub fn fail_next_sync(&self) {
        self.fail_next_sync.store(true, Ordering::SeqCst);
    }

    fn fails_this_sync(&self) -> bool {
        self.fail_next_sync.swap(false, Ordering::SeqCst) || self.fail_sync.load(Ordering::SeqCst)
    }

    /// Lets every write fail from here on. The process will not survive one.
    pub fn fail_writes(&self) {
        self.fail_write.store(true, Ordering::SeqCst);
    }

    /// Lets every write find the disk full, or not any more.
    pub fn set_disk_full(&self, full: bool) {
        self.disk_full.store(full, Ordering::SeqCst);
    }
}

/// See the module.
pub struct AbortingFileSystem {
    inner: DefaultFileSystem,
    watch: Arc<DiskWatch>,
}

impl AbortingFileSystem {
    /// Files that report to `watch`.
    #[must_use]
    pub fn new(watch: Arc<DiskWatch>) -> Self {
        Self { inner: DefaultFileSystem, watch }
    }

    fn wrap(&self, inner: InnerHandle, path: &Path, permission: Permission) -> WatchedHandle {
        let watch = Arc::clone(&self.watch);
        let file = WatchedFile { path: path.to_path_buf(), watch };
        WatchedHandle { inner: Arc::new(inner), file, permission }
    }
}

impl FileSystem for AbortingFileSystem {
    type Handle = WatchedHandle;
    type Reader = WatchedReader;
    type Writer = WatchedWriter;

    fn create<P: AsRef<Path>>(&self, path: P) -> Result<Self::Handle> {
        let inner = self.inner.create(&path)?;
        Ok(self.wrap(inner, path.as_ref(), Permission::ReadWrite))
    }

    fn open<P: AsRef<Path>>(&self, path: P, permission: Permission) -> Result<Self::Handle> {
        let inner = self.inner.open(&path, permission)?;
        Ok(self.wrap(inner, path.as_ref(), permission))
    }

    fn delete<P: AsRef<Path>>(&self, path: P) -> Result<()> {
        self.inner.delete(path)
    }

    fn rename<P: AsRef<Path>>(&self, src_path: P, dst_path: P) -> Result<()> {
        self.inner.rename(src_path, dst_path)
    }

    fn new_reader(&self, handle: Arc<Self::Handle>) -> Result<Self::Reader> {
        Ok(WatchedReader { inner: self.inner.new_reader(Arc::clone(&handle.inner))? })
    }

    fn new_writer(&self, handle: Arc<Self::Handle>) -> Result<Self::Writer> {
        let inner = self.inner.new_writer(Arc::clone(&handle.inner))?;
        Ok(WatchedWriter { inner, file: handle.file.clone(), position: 0 })
    }
}

#[derive(Clone)]
struct WatchedFile {
    path: PathBuf,
    watch: Arc<DiskWatch>,
}

impl WatchedFile {
    fn end_process(&self, what: &str, error: &Error) -> ! {
        end_process(&format!("{what} of {} failed: {error}", self.path.display()))
    }

    /// Removes the file, durably.
    fn remove(&self) {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let removed =
            std::fs::remove_file(&self.path).and_then(|()| std::fs::File::open(folder)?.sync_all());
        if let Err(error) = removed {
            self.end_process("removal", &error);
        }
    }
}

/// An open file of the Raft log.
pub struct WatchedHandle {
    inner: Arc<InnerHandle>,
    file: WatchedFile,
    permission: Permission,
}

impl Handle for WatchedHandle {
    fn truncate(&self, offset: usize) -> Result<()> {
        // While opening, raft-engine cuts damaged ends also of files behind which others follow.
        // Entries of those files were durable: to cut them is to lose them.
        if self.permission == Permission::ReadOnly {
            let path = self.file.path.display();
            return Err(Error::new(
                ErrorKind::InvalidData,
                format!("{path} is damaged at byte {offset} and later files follow it"),
            ));
        }
        self.inner.truncate(offset).or_else(|error| self.file.end_process("truncation", &error))
    }

    fn file_size(&self) -> Result<usize> {
        self.inner.file_size()
    }

    fn sync(&self) -> Result<()> {
        let result = if self.file.watch.fails_this_sync() {
            Err(Error::other("injected failure"))
        } else {
            self.inner.sync()
        };
        match result {
            Ok(()) => {
                self.file.watch.syncs.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => self.file.end_process("sync", &error),
        }
    }
}

/// Reads a file of the Raft log.
pub struct WatchedReader {
    inner: InnerReader,
}

impl Read for WatchedReader {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.inner.read(buf)
    }
}

impl Seek for WatchedReader {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.inner.seek(to)
    }
}

/// Writes a file of the Raft log.
pub struct WatchedWriter {
    inner: InnerWriter,
    file: WatchedFile,
    /// Where the next write goes: 0 = this file has no header yet.
    position: u64,
}

impl Write for WatchedWriter {
    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        let watch = &self.file.watch;
        let result = if watch.disk_full.load(Ordering::SeqCst) {
            Err(Error::from(ErrorKind::StorageFull))
        } else if watch.fail_write.load(Ordering::SeqCst) {
            Err(Error::other("injected failure"))
        } else {
            self.inner.write(buf)
        };
        match result {
            Ok(written) => {
                watch.bytes_written.fetch_add(written as u64, Ordering::Relaxed);
                self.position += written as u64;
                Ok(written)
            }
            Err(error) if is_disk_full(&error) => {
                if self.position == 0 {
                    self.file.remove();
                }
                Err(Error::new(error.kind(), "nospace"))
            }
            Err(error) => self.file.end_process("write", &error),
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.inner.flush()
    }
}

impl Seek for WatchedWriter {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.position = self.inner.seek(to)?;
        Ok(self.position)
    }
}

impl WriteExt for WatchedWriter {
    fn truncate(&mut self, offset: usize) -> Result<()> {
        self.inner.truncate(offset).or_else(|error| self.file.end_process("truncation", &error))
    }

    fn allocate(&mut self, offset: usize, size: usize) -> Result<()> {
        // Only an optimisation: raft-engine logs a failure and goes on.
        self.inner.allocate(offset, size)
    }
}

/// Does this error mean that there is no room?
pub(super) fn is_disk_full(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests;
