//! What a Store persists about itself and its replicas, all in [`crate::engine::Cf::Raft`]:
//!
//! ```text
//! 'I'              StoreIdent        who this Store is (written once, synced)
//! 'R' region[8]    ReplicaState      birth, life and death of a replica (synced)
//! 'A' region[8]    ApplyState        applied index, in the same batch as the data (buffered)
//! ```
use crate::engine::{Cf, KvEngine, KvSnapshot};
use crate::error::StorageError;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use troupe_types::codec;
use troupe_types::raft_message::SnapshotManifest;
use troupe_types::{ClusterId, LogIndex, NodeId, PeerId, Region, RegionId, StoreId, Term};

/// Key of the [`StoreIdent`].
pub const STORE_IDENT_KEY: &[u8] = b"I";

/// Who a Store is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreIdent {
    /// Cluster that it belongs to for ever.
    pub cluster: ClusterId,
    /// Node that runs it.
    pub node: NodeId,
    /// Its id.
    pub store: StoreId,
    /// Random number that tells it from a replaced disk.
    pub identity: u64,
    /// Were the initial replicas of the bootstrap created?
    pub bootstrapped: bool,
}

/// Birth, life and death of a replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplicaState {
    /// Created by a message of its leader; knows no key range until its first snapshot.
    Uninitialised {
        /// Its id.
        peer: PeerId,
    },
    /// Has data.
    Normal {
        /// Its id.
        peer: PeerId,
        /// Shape as applied.
        region: Region,
    },
    /// Has accepted a snapshot and replaces its data by it; done again after a crash.
    Applying {
        /// Its id.
        peer: PeerId,
        /// What the snapshot holds; its files lie in the Store's snapshot folder.
        manifest: SnapshotManifest,
        /// Name of the folder with its files.
        folder: String,
    },
    /// Destroyed. Peer ids up to this one never come back.
    Tombstone {
        /// The last id that it had.
        peer: PeerId,
    },
    /// Out of service: it crashed too often. Keeps its data; neither votes nor serves.
    Quarantined {
        /// Its id.
        peer: PeerId,
        /// Shape as applied.
        region: Region,
        /// What happened, for people.
        reason: String,
    },
}

/// How far a replica has applied; written in the same batch as the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyState {
    /// Last applied entry.
    pub applied: LogIndex,
    /// Its term.
    pub applied_term: Term,
    /// The entry that could not be applied, if any: the replica serves no more.
    pub halted: Option<Halt>,
}

/// An entry that panics when it is applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// Which entry.
    pub index: LogIndex,
    /// Its term.
    pub term: Term,
    /// CRC-32C of its payload.
    pub crc32c: u32,
    /// The panic's message.
    pub message: String,
}

/// Key of a [`ReplicaState`].
#[must_use]
pub fn replica_key(region: RegionId) -> Bytes {
    tagged(b'R', region)
}

/// Key of an [`ApplyState`].
#[must_use]
pub fn apply_key(region: RegionId) -> Bytes {
    tagged(b'A', region)
}

fn tagged(tag: u8, region: RegionId) -> Bytes {
    let mut key = Vec::with_capacity(9);
    key.push(tag);
    key.extend_from_slice(&region.get().to_be_bytes());
    key.into()
}

/// Who this Store is; `None` on an empty disk.
///
/// # Errors
/// Reading failed, or the row does not decode.
pub fn read_store_ident(engine: &dyn KvEngine) -> Result<Option<StoreIdent>, StorageError> {
    decode("store ident", engine.get(Cf::Raft, STORE_IDENT_KEY)?)
}

/// State of a replica; `None` if this Store never had one of `region`.
///
/// # Errors
/// As [`read_store_ident`].
pub fn read_replica_state(
    engine: &dyn KvEngine,
    region: RegionId,
) -> Result<Option<ReplicaState>, StorageError> {
    decode("replica state", engine.get(Cf::Raft, &replica_key(region))?)
}

/// How far a replica has applied.
///
/// # Errors
/// As [`read_store_ident`].
pub fn read_apply_state(
    engine: &dyn KvEngine,
    region: RegionId,
) -> Result<Option<ApplyState>, StorageError> {
    decode("apply state", engine.get(Cf::Raft, &apply_key(region))?)
}

/// How far a replica had applied when `snapshot` was taken.
///
/// # Errors
/// As [`read_store_ident`].
pub fn apply_state_in(
    snapshot: &dyn KvSnapshot,
    region: RegionId,
) -> Result<Option<ApplyState>, StorageError> {
    decode("apply state", snapshot.get(Cf::Raft, &apply_key(region))?)
}

/// How far a replica's applied entries would survive a power cut now. Its Raft log may be cut up
/// to that index and no further.
///
/// # Errors
/// As [`read_store_ident`].
pub fn read_durable_apply_state(
    engine: &dyn KvEngine,
    region: RegionId,
) -> Result<Option<ApplyState>, StorageError> {
    decode("apply state", engine.get_persisted(Cf::Raft, &apply_key(region))?)
}

fn decode<T: DeserializeOwned>(
    what: &'static str,
    stored: Option<Bytes>,
) -> Result<Option<T>, StorageError> {
    stored
        .map(|bytes| codec::decode(&bytes))
        .transpose()
        .map_err(|source| StorageError::Corrupt { what, source })
}
