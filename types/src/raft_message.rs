//! What stores send each other about Raft groups.
use crate::ids::{ClusterId, LogIndex, RegionId, Term};
use crate::region::{Peer, Region, RegionEpoch};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// One Raft message with what its receiver needs to find, create or refuse the replica.
/// Delivery class: Droppable (Raft sends again).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaftEnvelope {
    /// Dropped and counted if it is not the receiver's.
    pub cluster: ClusterId,
    /// Which Region.
    pub region: RegionId,
    /// Who sends.
    pub from: Peer,
    /// Who shall get it; dropped if the store has another peer id for the Region.
    pub to: Peer,
    /// Shape of the Region at the sender.
    pub epoch: RegionEpoch,
    /// `eraftpb::Message`, protobuf.
    pub message: Bytes,
    /// The receiver was removed: destroy yourself unless your shape is newer than `epoch`.
    pub is_tombstone: bool,
}

/// Describes the files of a Region snapshot; travels as the data of Raft's snapshot message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotManifest {
    /// The Region's shape at `index`.
    pub region: Region,
    /// Last applied index inside.
    pub index: LogIndex,
    /// Its term.
    pub term: Term,
    /// Files, in the order sent.
    pub files: Vec<SnapshotFile>,
}

/// One SST file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotFile {
    /// Column family.
    pub cf: String,
    /// Length in bytes.
    pub bytes: u64,
    /// CRC-32C over the whole file.
    pub crc32c: u32,
    /// Keys inside.
    pub keys: u64,
}
