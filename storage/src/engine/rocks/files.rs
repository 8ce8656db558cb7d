//! Region snapshots of RocksDB: exporting a range into SST files, and replacing a range by them.
use super::super::{Cf, ExportedFile, KvSnapshot, files};
use super::{RocksEngine, end_of};
use crate::error::StorageError;
use rocksdb::{IngestExternalFileOptions, Options, SstFileWriter};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use troupe_types::KeyRange;

/// How close [`last_inside`] comes to a bound: longer runs of `0xff` are left to the tombstone.
const FILL_BYTES: usize = 16;

/// SST files of one column family, of which the last is open.
struct Export<'a> {
    cf: Cf,
    dir: &'a Path,
    options: &'a Options,
    max_bytes: u64,
    open: Option<OpenFile<'a>>,
    written: Vec<ExportedFile>,
}

struct OpenFile<'a> {
    writer: SstFileWriter<'a>,
    path: PathBuf,
    keys: u64,
}

/// Writes the rows of `range` in one column family into as many files as needed.
pub(super) fn export_cf(
    engine: &RocksEngine,
    snapshot: &dyn KvSnapshot,
    (cf, range): (Cf, &KeyRange),
    dir: &Path,
) -> Result<Vec<ExportedFile>, StorageError> {
    let options = engine.options.sst_file();
    let max_bytes = engine.options.export_file_bytes;
    let mut export =
        Export { cf, dir, options: &options, max_bytes, open: None, written: Vec::new() };
    let mut failure = None;
    snapshot.scan(cf, range, false, &mut |key, value| match export.put(key, value) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    })?;
    match failure {
        Some(error) => Err(error),
        None => export.finish(),
    }
}

impl<'a> Export<'a> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StorageError> {
        if self.open.as_ref().is_some_and(|file| file.writer.file_size() >= self.max_bytes) {
            self.close()?;
        }
        let mut file = match self.open.take() {
            Some(file) => file,
            None => self.begin()?,
        };
        file.writer.put(key, value).map_err(StorageError::Engine)?;
        file.keys += 1;
        self.open = Some(file);
        Ok(())
    }

    fn begin(&self) -> Result<OpenFile<'a>, StorageError> {
        let path = files::file_path(self.dir, self.cf, self.written.len());
        let writer = SstFileWriter::create(self.options);
        writer.open(&path).map_err(StorageError::Engine)?;
        Ok(OpenFile { writer, path, keys: 0 })
    }

    fn close(&mut self) -> Result<(), StorageError> {
        if let Some(mut file) = self.open.take() {
            file.writer.finish().map_err(StorageError::Engine)?;
            self.written.push(files::describe(file.path, self.cf, file.keys)?);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<ExportedFile>, StorageError> {
        self.close()?;
        Ok(self.written)
    }
}

/// Replaces the rows of `range` by verified files. Every step may be repeated, so the caller mends
/// a crash by calling again.
pub(super) fn replace(
    engine: &RocksEngine,
    range: &KeyRange,
    files: &[(Cf, &ExportedFile)],
) -> Result<(), StorageError> {
    for cf in Cf::DATA {
        drop_whole_files(engine, cf, range)?;
    }
    engine.delete_ranges(&Cf::DATA, range)?;
    // Ingesting over keys in the memtables would flush them while all writes wait.
    engine.flush()?;
    for cf in Cf::DATA {
        let paths: Vec<_> =
            files.iter().filter(|(of, _)| *of == cf).map(|(_, file)| &file.path).collect();
        if !paths.is_empty() {
            let mut options = IngestExternalFileOptions::default();
            // The files stay for a repetition after a crash.
            options.set_move_files(false);
            engine
                .db
                .ingest_external_file_cf_opts(engine.cf(cf), &options, paths)
                .map_err(StorageError::Engine)?;
        }
    }
    engine.flush()
}

/// Frees the space of files that hold nothing but keys of `range`. What it leaves, the tombstone
/// of the range covers.
fn drop_whole_files(engine: &RocksEngine, cf: Cf, range: &KeyRange) -> Result<(), StorageError> {
    let last = last_inside(end_of(range));
    if last.as_slice() <= range.start.as_ref() {
        return Ok(());
    }
    engine
        .db
        .delete_file_in_range_cf(engine.cf(cf), range.start.as_ref(), &last)
        .map_err(StorageError::Engine)
}

/// A key just below `end`. RocksDB also drops a file whose last key *is* the bound it gets, and
/// the first key behind a range belongs to another Region.
fn last_inside(end: &[u8]) -> Vec<u8> {
    let mut last = end.to_vec();
    match last.pop() {
        None | Some(0) => {}
        Some(byte) => {
            last.push(byte - 1);
            last.extend([u8::MAX; FILL_BYTES]);
        }
    }
    last
}
