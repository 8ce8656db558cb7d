//! Region descriptor, its peers, and the epoch rules that make stale requests visible.
use crate::ids::{PeerId, RegionId, StoreId};
use crate::key::KeyRange;
use serde::{Deserialize, Serialize};

/// Versions of a Region's shape. A request made against another epoch is answered
/// `EpochNotMatch` together with the current shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RegionEpoch {
    /// Grows by one with every change of the members.
    pub conf_ver: u64,
    /// Grows with every change of the key range (split, merge).
    pub version: u64,
}

impl RegionEpoch {
    /// The epoch of a Region that was just created.
    pub const INITIAL: Self = Self { conf_ver: 1, version: 1 };

    /// Is this shape older than `other` in either respect? (TiKV `is_epoch_stale`.)
    #[must_use]
    pub fn is_stale(self, other: Self) -> bool {
        self.conf_ver < other.conf_ver || self.version < other.version
    }
}

/// What a replica may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PeerRole {
    /// Votes and may lead.
    #[default]
    Voter,
    /// Receives the log, does not vote.
    Learner,
    /// Voter of the new half of a joint configuration only.
    IncomingVoter,
    /// Voter of the old half of a joint configuration only; becomes a learner.
    DemotingVoter,
}

/// One replica of a Region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Peer {
    /// Never used twice.
    pub id: PeerId,
    /// Where it lives.
    pub store: StoreId,
    /// What it may do.
    pub role: PeerRole,
}

impl Peer {
    /// A voting replica.
    #[must_use]
    pub fn voter(id: PeerId, store: StoreId) -> Self {
        Self { id, store, role: PeerRole::Voter }
    }

    /// A replica that only receives the log.
    #[must_use]
    pub fn learner(id: PeerId, store: StoreId) -> Self {
        Self { id, store, role: PeerRole::Learner }
    }
}

/// Descriptor of a Region. Invariant: `peers` is sorted by peer id and names each store at most once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Region {
    /// Which Region.
    pub id: RegionId,
    /// The stored keys that it holds.
    pub range: KeyRange,
    /// Version of this shape.
    pub epoch: RegionEpoch,
    /// All replicas, sorted by peer id.
    pub peers: Vec<Peer>,
}

impl Region {
    /// The replica on `store`.
    #[must_use]
    pub fn peer_on(&self, store: StoreId) -> Option<Peer> {
        self.peers.iter().copied().find(|peer| peer.store == store)
    }

    /// The replica with `id`.
    #[must_use]
    pub fn peer(&self, id: PeerId) -> Option<Peer> {
        self.peers.iter().copied().find(|peer| peer.id == id)
    }

    /// Is the configuration joint (two halves that must both agree)?
    #[must_use]
    pub fn is_joint(&self) -> bool {
        self.peers
            .iter()
            .any(|peer| matches!(peer.role, PeerRole::IncomingVoter | PeerRole::DemotingVoter))
    }
}
