//! Disk work of a Store, on its worker's thread. Any failure of a disk here ends the process.
use super::recovery;
use std::path::Path;
use troupe_storage::StorageError;
use troupe_storage::engine::{Cf, Durability, KvEngine, Modify, WriteBatch};
use troupe_storage::failure;
use troupe_storage::raft_log::RaftLog;
use troupe_storage::region_state::{
    ApplyState, ReplicaState, STORE_IDENT_KEY, StoreIdent, apply_key, replica_key,
};
use troupe_types::{LogIndex, PeerId, Region, RegionId, StoreId, codec};

/// The value, or the end of the process.
pub fn or_fatal<T>(result: Result<T, StorageError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => failure::fatal(&error),
    }
}

/// Bytes of the file system and bytes free, 0 and 0 if it does not tell.
#[must_use]
pub fn disk_space(path: &Path) -> (u64, u64) {
    match rustix::fs::statvfs(path) {
        Ok(space) => (space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize),
        Err(_) => (0, 0),
    }
}

/// Makes applied data durable, and answers how far that is for each of `regions`.
pub fn durable_indexes(engine: &dyn KvEngine, regions: &[RegionId]) -> Vec<(RegionId, LogIndex)> {
    or_fatal(engine.make_durable());
    let durable = |region: &RegionId| {
        let row = or_fatal(engine.get_persisted(Cf::Raft, &apply_key(*region)))?;
        let state = codec::decode::<ApplyState>(&row);
        let state = state.map_err(|source| StorageError::Corrupt { what: "applied index", source });
        Some((*region, or_fatal(state).applied))
    };
    regions.iter().filter_map(durable).collect()
}

/// Creates the first replicas that PD asks for and notes that this was done.
pub fn bootstrap(
    engine: &dyn KvEngine,
    log: &dyn RaftLog,
    ident: &StoreIdent,
    regions: &[Region],
) -> Vec<RegionId> {
    let created = or_fatal(recovery::create_replicas(engine, log, ident.store, regions));
    let ident = StoreIdent { bootstrapped: true, ..ident.clone() };
    let put = Modify::Put(Cf::Raft, STORE_IDENT_KEY.into(), codec::encode(&ident).into());
    or_fatal(engine.write(WriteBatch { changes: vec![put] }, Durability::Synced));
    created
}

/// Notes that a replica is out of service, or with `back` that it is in service again.
pub fn quarantine(engine: &dyn KvEngine, region: RegionId, store: StoreId, why: Option<&str>) {
    let (peer, shape) = match or_fatal(recovery::replica_state(engine, region)) {
        Some(
            ReplicaState::Normal { peer, region } | ReplicaState::Quarantined { peer, region, .. },
        ) => (peer, region),
        // Nothing to keep out of service: it has no data.
        Some(
            ReplicaState::Uninitialised { .. }
            | ReplicaState::Applying { .. }
            | ReplicaState::Tombstone { .. },
        )
        | None => return,
    };
    tracing::warn!(%region, %store, why, "the replica's service state changes");
    let state = match why {
        Some(why) => ReplicaState::Quarantined { peer, region: shape, reason: why.to_owned() },
        None => ReplicaState::Normal { peer, region: shape },
    };
    let put = Modify::Put(Cf::Raft, replica_key(region), codec::encode(&state).into());
    or_fatal(engine.write(WriteBatch { changes: vec![put] }, Durability::Synced));
}

/// Notes the birth of a replica that knows only its id. Buffered: if it is lost, the next message of
/// its leader creates it again, and its votes lie in the Raft log.
pub fn create_uninitialised(engine: &dyn KvEngine, region: RegionId, peer: PeerId) {
    let state = ReplicaState::Uninitialised { peer };
    let put = Modify::Put(Cf::Raft, replica_key(region), codec::encode(&state).into());
    or_fatal(engine.write(WriteBatch { changes: vec![put] }, Durability::Buffered));
}

/// Removes the files of a snapshot that nobody needs, away from the arbiter.
pub fn discard_snapshot(env: &crate::env::Env, folder: std::path::PathBuf) {
    let worker = env.spawner.worker("discard", 1);
    worker.run(Box::new(move || {
        if let Err(error) = std::fs::remove_dir_all(&folder)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %folder.display(), %error, "a snapshot's files stay behind");
        }
    }));
}
