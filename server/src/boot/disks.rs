//! The data directories of a node: opening them, and who their Stores are.
use super::BootError;
use super::options;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use troupe_actors::env::Env;
use troupe_actors::store::StoreDisks;
use troupe_config::Config;
use troupe_storage::engine::rocks::RocksEngine;
use troupe_storage::engine::{Cf, Durability, KvEngine, Modify, WriteBatch};
use troupe_storage::failure;
use troupe_storage::raft_log::engine::EngineRaftLog;
use troupe_storage::region_state::{STORE_IDENT_KEY, StoreIdent, read_store_ident};
use troupe_types::codec;

/// One opened data directory, and whose it is if that is known.
pub(super) struct Disk {
    pub disks: StoreDisks,
    pub ident: Option<StoreIdent>,
}

/// Folder of a Store's snapshots.
pub(super) fn snapshot_folder(folder: &Path) -> PathBuf {
    folder.join("snap")
}

/// Opens all data directories. A node that died of its disks three times in ten minutes does not
/// start again by itself.
pub(super) fn open(config: &Config, env: &Env) -> Result<Vec<Disk>, BootError> {
    let folders: Vec<PathBuf> = config.node.data.clone();
    for folder in &folders {
        std::fs::create_dir_all(folder)
            .map_err(|source| BootError::Folder { folder: folder.clone(), source })?;
    }
    if let Some(first) = folders.first() {
        failure::set_mark_folder(first.clone());
        check_marks(first, env)?;
    }
    folders.iter().map(|folder| open_one(config, folder)).collect()
}

fn check_marks(folder: &Path, env: &Env) -> Result<(), BootError> {
    let ends = failure::read_marks(folder)
        .map_err(|source| BootError::Folder { folder: folder.to_owned(), source })?;
    if let Some(last) = ends.last() {
        tracing::warn!(reason = %last.reason, at = %last.at, "an earlier run was ended by a failure");
    }
    if failure::may_serve(&ends, env.clock.unix()) {
        Ok(())
    } else {
        Err(BootError::DiesAgainAndAgain { mark: folder.join(failure::PANIC_MARK) })
    }
}

fn open_one(config: &Config, folder: &Path) -> Result<Disk, BootError> {
    let engine = RocksEngine::open(&folder.join("kv"), &options::rocks(config))?;
    let log = EngineRaftLog::open(&folder.join("raft"), &options::raft_log(config))?;
    let snapshots = snapshot_folder(folder);
    std::fs::create_dir_all(&snapshots)
        .map_err(|source| BootError::Folder { folder: snapshots.clone(), source })?;
    let ident = read_store_ident(&engine)?;
    let disks =
        StoreDisks { folder: folder.to_owned(), engine: Arc::new(engine), log: Arc::new(log) };
    Ok(Disk { disks, ident })
}

/// Writes who a Store is, for ever.
pub(super) fn write_ident(engine: &dyn KvEngine, ident: &StoreIdent) -> Result<(), BootError> {
    let put = Modify::Put(Cf::Raft, STORE_IDENT_KEY.into(), codec::encode(ident).into());
    Ok(engine.write(WriteBatch { changes: vec![put] }, Durability::Synced)?)
}
