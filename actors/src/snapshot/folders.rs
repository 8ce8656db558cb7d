//! The snapshot folder of a Store: names, creation, what is still needed, clean-up.
use super::core::{GENERATED, RECEIVED};
use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use troupe_storage::StorageError;
use troupe_storage::engine::{Cf, KvEngine};
use troupe_storage::region_state::ReplicaState;
use troupe_types::{KeyRange, LogIndex, RegionId, codec};

/// A new folder that is removed again unless it is kept.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    is_kept: bool,
}

/// Tells folders of the same snapshot apart; names left by an earlier process are skipped.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl Folder {
    /// Creates `<prefix><region>-<index>-<n>` in `parent`, which is made if needed.
    ///
    /// # Errors
    /// The file system refused.
    pub fn create(
        parent: &Path,
        prefix: &str,
        region: RegionId,
        index: LogIndex,
    ) -> io::Result<Self> {
        std::fs::create_dir_all(parent)?;
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{prefix}{region}-{index}-{number}"));
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path, is_kept: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps it.
    #[must_use]
    pub fn keep(mut self) -> PathBuf {
        self.is_kept = true;
        std::mem::take(&mut self.path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.is_kept {
            remove(&self.path);
        }
    }
}

/// Removes a folder; one that is gone already is no error, one that stays is found again by age.
pub fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_dir_all(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "cannot remove a snapshot folder");
    }
}

/// Names of all snapshot folders in `parent`.
///
/// # Errors
/// The file system refused. A missing `parent` has none.
pub fn list(parent: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        if name.starts_with(GENERATED) || name.starts_with(RECEIVED) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Names of the folders that replicas were taking in when they were last seen.
///
/// # Errors
/// The engine cannot be read, or a row of it does not decode.
pub fn needed(engine: &dyn KvEngine) -> Result<BTreeSet<String>, StorageError> {
    let mut names = BTreeSet::new();
    let mut damaged = None;
    engine.snapshot().scan(Cf::Raft, &KeyRange::prefix(b"R"), false, &mut |_, row| {
        match codec::decode::<ReplicaState>(row) {
            Ok(ReplicaState::Applying { folder, .. }) => {
                names.insert(folder);
            }
            Ok(
                ReplicaState::Uninitialised { .. }
                | ReplicaState::Normal { .. }
                | ReplicaState::Tombstone { .. }
                | ReplicaState::Quarantined { .. },
            ) => {}
            Err(source) => {
                damaged = Some(StorageError::Corrupt { what: "replica state", source });
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    damaged.map_or(Ok(names), Err)
}

/// Removes what an earlier process left in `parent` and no replica needs. Call it before the Store
/// takes snapshots. Answers how many folders went.
///
/// # Errors
/// The engine cannot be read, or the folder not be listed.
pub fn clean_at_start(parent: &Path, engine: &dyn KvEngine) -> Result<usize, StorageError> {
    let needed = needed(engine)?;
    let names = list(parent).map_err(|source| StorageError::Io {
        what: "listing",
        path: parent.display().to_string(),
        source,
    })?;
    let stale: Vec<_> = names.iter().filter(|name| !needed.contains(*name)).collect();
    stale.iter().for_each(|name| remove(&parent.join(name)));
    Ok(stale.len())
}
