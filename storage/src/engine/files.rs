//! Files of a Region snapshot on disk: naming, description and verification, for both engines.
use super::{Cf, ExportedFile};
use crate::error::StorageError;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use troupe_types::raft_message::SnapshotFile;

const READ_BUFFER_BYTES: usize = 256 * 1024;

/// Where the `number`th file of `cf` goes.
pub(super) fn file_path(dir: &Path, cf: Cf, number: usize) -> PathBuf {
    dir.join(format!("{}-{number:06}.sst", cf.name()))
}

/// Describes a file that was just written with `keys` keys.
pub(super) fn describe(path: PathBuf, cf: Cf, keys: u64) -> Result<ExportedFile, StorageError> {
    let (bytes, crc32c) = sum(&path)?;
    Ok(ExportedFile { path, meta: SnapshotFile { cf: cf.name().to_owned(), bytes, crc32c, keys } })
}

/// Checks every file against its description, and sorts them by column family.
pub(super) fn verify(files: &[ExportedFile]) -> Result<Vec<(Cf, &ExportedFile)>, StorageError> {
    files.iter().map(verify_one).collect()
}

fn verify_one(file: &ExportedFile) -> Result<(Cf, &ExportedFile), StorageError> {
    let cf = Cf::from_name(&file.meta.cf).filter(|cf| Cf::DATA.contains(cf)).ok_or_else(|| {
        StorageError::Inconsistent {
            detail: format!("{} is for an unknown column family", file.path.display()),
        }
    })?;
    let (bytes, actual) = sum(&file.path)?;
    if bytes != file.meta.bytes {
        let (path, expected) = (file.path.display(), file.meta.bytes);
        return Err(StorageError::Inconsistent {
            detail: format!("{path} has {bytes} bytes, its manifest says {expected}"),
        });
    }
    if actual != file.meta.crc32c {
        let path = file.path.display().to_string();
        return Err(StorageError::Checksum { path, expected: file.meta.crc32c, actual });
    }
    Ok((cf, file))
}

/// Length and CRC-32C of a whole file.
fn sum(path: &Path) -> Result<(u64, u32), StorageError> {
    let mut file = File::open(path).map_err(|e| StorageError::io("opening", path, e))?;
    let mut buffer = vec![0; READ_BUFFER_BYTES];
    let (mut bytes, mut crc32c) = (0, 0);
    loop {
        let read = file.read(&mut buffer).map_err(|e| StorageError::io("reading", path, e))?;
        if read == 0 {
            return Ok((bytes, crc32c));
        }
        bytes += read as u64;
        crc32c = crc32c::crc32c_append(crc32c, &buffer[..read]);
    }
}
