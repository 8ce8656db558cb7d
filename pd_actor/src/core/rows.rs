//! PD's rows in the system Region, and the state that they make.
//!
//! ```text
//! s/leader            Claim: who leads PD, and the how manieth reign it is
//! s/cluster           ClusterRow
//! s/ids               u64: no id at or above it was ever given
//! s/tso               u64: no timestamp of this millisecond or later was ever given
//! s/gc                GcState: safe points and barriers
//! s/node/<id>         NodeInfo            (ids: 8 bytes, big endian)
//! s/store/<id>        StoreInfo
//! s/initial/<id>      Region of the bootstrap, until every Store has made its replicas
//! ```
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use troupe_types::codec::{self, CodecError};
use troupe_types::pd::{NodeInfo, StoreInfo};
use troupe_types::txn::gc::GcState;
use troupe_types::{ClusterId, Key, KeyRange, NodeId, Region, RegionId, StoreId};

/// Row of the [`Claim`].
pub const LEADER: &[u8] = b"s/leader";
/// Row of the [`ClusterRow`].
pub const CLUSTER: &[u8] = b"s/cluster";
/// Row of the id allocator's bound.
pub const IDS: &[u8] = b"s/ids";
/// Row of the timestamp oracle's bound.
pub const TSO: &[u8] = b"s/tso";
/// Row of the safe points and barriers.
pub const GC: &[u8] = b"s/gc";
const NODE: &[u8] = b"s/node/";
const STORE: &[u8] = b"s/store/";
const INITIAL: &[u8] = b"s/initial/";

/// Who leads PD. Every write expects it unchanged, so that a deposed leader's writes fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The leader.
    pub node: NodeId,
    /// Grows by one with each reign.
    pub number: u64,
}

/// What is fixed when a cluster is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRow {
    /// Which cluster.
    pub cluster: ClusterId,
    /// Its name.
    pub name: String,
    /// Voters that a data Region shall have.
    pub replicas: u32,
    /// Voters that the system Region shall have.
    pub pd_replicas: u32,
    /// Stores that must be there before the first data Regions are made.
    pub bootstrap_stores: u32,
    /// How many data Regions are made.
    pub bootstrap_regions: u32,
    /// Stored keys that cut the raw space; empty = computed from `bootstrap_regions`.
    pub split_keys: Vec<Key>,
    /// Were the first data Regions planned?
    pub bootstrapped: bool,
}

/// A row to write; `None` removes it.
pub type RowChange = (Key, Option<Bytes>);

/// Row of a node.
#[must_use]
pub fn node_key(id: NodeId) -> Key {
    id_key(NODE, id.get())
}

/// Row of a Store.
#[must_use]
pub fn store_key(id: StoreId) -> Key {
    id_key(STORE, id.get())
}

/// Row of a Region of the bootstrap.
#[must_use]
pub fn initial_key(id: RegionId) -> Key {
    id_key(INITIAL, id.get())
}

fn id_key(prefix: &[u8], id: u64) -> Key {
    [prefix, &id.to_be_bytes()].concat().into()
}

/// A row that sets `key` to `value`.
#[must_use]
pub fn put<T: Serialize>(key: impl Into<Key>, value: &T) -> RowChange {
    (key.into(), Some(codec::encode(value).into()))
}

/// The range of the claim's row alone.
#[must_use]
pub fn leader_range() -> KeyRange {
    KeyRange::new(LEADER, troupe_types::key::successor(LEADER))
}

/// A row that this build cannot read.
#[derive(Debug, thiserror::Error)]
#[error("row {key:?} of the Placement Driver cannot be read")]
pub struct BadRow {
    /// Which row.
    pub key: Key,
    /// Why.
    #[source]
    pub source: CodecError,
}

/// What the rows say, with the changes that are on their way to disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// `None` before the initial rows are written.
    pub cluster: Option<ClusterRow>,
    /// All nodes that ever joined.
    pub nodes: BTreeMap<NodeId, NodeInfo>,
    /// All Stores that ever joined, also removed ones: their ids are never used again.
    pub stores: BTreeMap<StoreId, StoreInfo>,
    /// Regions of the bootstrap, while some Store has not made its replicas.
    pub initial: BTreeMap<RegionId, Region>,
    /// See [`IDS`].
    pub ids: u64,
    /// See [`TSO`], in milliseconds since 1970.
    pub tso_ms: u64,
    /// See [`GC`].
    pub gc: GcState,
}

impl State {
    /// Reads rows. Rows of a kind that this build does not know are left alone.
    ///
    /// # Errors
    /// [`BadRow`].
    pub fn load(rows: &[(Key, Bytes)]) -> Result<Self, BadRow> {
        let mut state = Self::default();
        for (key, value) in rows {
            let read = state.load_row(key, value);
            read.map_err(|source| BadRow { key: key.clone(), source })?;
        }
        Ok(state)
    }

    fn load_row(&mut self, key: &Key, value: &Bytes) -> Result<(), CodecError> {
        if key == CLUSTER {
            self.cluster = Some(codec::decode(value)?);
        } else if key == IDS {
            self.ids = codec::decode(value)?;
        } else if key == TSO {
            self.tso_ms = codec::decode(value)?;
        } else if key == GC {
            self.gc = codec::decode(value)?;
        } else if key.starts_with(NODE) {
            let node: NodeInfo = codec::decode(value)?;
            self.nodes.insert(node.id, node);
        } else if key.starts_with(STORE) {
            let store: StoreInfo = codec::decode(value)?;
            self.stores.insert(store.id, store);
        } else if key.starts_with(INITIAL) {
            let region: Region = codec::decode(value)?;
            self.initial.insert(region.id, region);
        }
        Ok(())
    }
}

/// The claim among `rows`.
///
/// # Errors
/// [`BadRow`].
pub fn claim_of(rows: &[(Key, Bytes)]) -> Result<Option<(Claim, Bytes)>, BadRow> {
    let Some((key, value)) = rows.iter().find(|(key, _)| key == LEADER) else { return Ok(None) };
    let claim = codec::decode(value).map_err(|source| BadRow { key: key.clone(), source })?;
    Ok(Some((claim, value.clone())))
}
