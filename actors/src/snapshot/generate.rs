//! Makes a snapshot: rows and files from one view of the engine. Blocks: runs on a worker.
use super::actor::GeneratedSnapshot;
use super::core::GENERATED;
use super::folders::Folder;
use std::path::Path;
use troupe_storage::StorageError;
use troupe_storage::engine::{Cf, ExportedFile, KvEngine, KvSnapshot};
use troupe_storage::region_state::{ApplyState, ReplicaState, apply_key, replica_key};
use troupe_types::codec;
use troupe_types::raft_message::{SnapshotFile, SnapshotManifest};
use troupe_types::{Region, RegionId};

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The replica has no data to give.
    #[error("region {region} has no snapshot to give: {why}")]
    NotServing {
        /// Which Region.
        region: RegionId,
        /// Why.
        why: &'static str,
    },
    /// The engine or the disk failed.
    #[error("cannot make a snapshot: {0}")]
    Storage(#[from] StorageError),
    /// A file operation failed.
    #[error("cannot arrange the files of a snapshot")]
    Io(#[from] std::io::Error),
}

/// Makes the snapshot of `region` in a new folder of `parent`.
///
/// # Errors
/// [`GenerateError`]; nothing is left in `parent`.
pub fn generate(
    engine: &dyn KvEngine,
    parent: &Path,
    region: RegionId,
) -> Result<GeneratedSnapshot, GenerateError> {
    let view = engine.snapshot();
    let shape = shape(view.as_ref(), region)?;
    let applied = applied(view.as_ref(), region)?;
    let folder = Folder::create(parent, GENERATED, region, applied.applied)?;
    // A folder of its own, so that the engine's names cannot collide with ours.
    let raw = folder.path().join("export");
    std::fs::create_dir(&raw)?;
    let exported = engine.export(view.as_ref(), &shape.range.data_range(), &raw)?;
    drop(view);
    let files = number(folder.path(), exported)?;
    std::fs::remove_dir_all(&raw)?;
    let (index, term) = (applied.applied, applied.applied_term);
    let manifest = SnapshotManifest { region: shape, index, term, files };
    Ok(GeneratedSnapshot { manifest, folder: folder.keep() })
}

fn number(folder: &Path, exported: Vec<ExportedFile>) -> std::io::Result<Vec<SnapshotFile>> {
    let mut files = Vec::with_capacity(exported.len());
    for (i, file) in exported.into_iter().enumerate() {
        std::fs::rename(&file.path, folder.join(i.to_string()))?;
        files.push(file.meta);
    }
    Ok(files)
}

fn shape(view: &dyn KvSnapshot, region: RegionId) -> Result<Region, GenerateError> {
    let not_serving = |why| GenerateError::NotServing { region, why };
    let row = view.get(Cf::Raft, &replica_key(region))?;
    let row = row.ok_or_else(|| not_serving("it is not on this store"))?;
    let state = codec::decode(&row)
        .map_err(|source| StorageError::Corrupt { what: "replica state", source })?;
    match state {
        ReplicaState::Normal { region, .. } => Ok(region),
        ReplicaState::Uninitialised { .. } => Err(not_serving("it has no data yet")),
        ReplicaState::Applying { .. } => Err(not_serving("it takes a snapshot in")),
        ReplicaState::Tombstone { .. } => Err(not_serving("it was destroyed")),
        ReplicaState::Quarantined { .. } => Err(not_serving("it is in quarantine")),
    }
}

fn applied(view: &dyn KvSnapshot, region: RegionId) -> Result<ApplyState, GenerateError> {
    let not_serving = |why| GenerateError::NotServing { region, why };
    let row = view.get(Cf::Raft, &apply_key(region))?;
    let row = row.ok_or_else(|| not_serving("it has applied nothing"))?;
    let state: ApplyState = codec::decode(&row)
        .map_err(|source| StorageError::Corrupt { what: "apply state", source })?;
    match state.halted {
        None => Ok(state),
        Some(_) => Err(not_serving("it is halted at an entry")),
    }
}
