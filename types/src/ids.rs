//! Newtypes for every id and quantity, so that a term is never passed where an index is meant.
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The bare number, for codecs and display.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The number that follows. Ids and indexes never reach the end of `u64`.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl From<u64> for $name {
            fn from(raw: u64) -> Self {
                Self(raw)
            }
        }
    };
}

id! {
    /// Identifies a cluster: a message of another cluster is dropped and counted. Never 0.
    ClusterId
}
id! {
    /// A process of the cluster. A node runs one or more Stores. Never 0.
    NodeId
}
id! {
    /// A Store: one data directory with its own RocksDB and Raft log. Never 0.
    StoreId
}
id! {
    /// A Region: one Raft group over one key range. 1 is the system Region, which holds PD's rows.
    RegionId
}
id! {
    /// One replica of one Region. Never used twice in the life of a cluster. Never 0.
    PeerId
}
id! {
    /// Position in a Raft log. The first entry of a Region has index 6 (`RAFT_INIT_INDEX` + 1).
    LogIndex
}
id! {
    /// Raft term.
    Term
}
id! {
    /// Life of an actor: grows by one at every (re)start, so that late messages of an earlier life
    /// are recognised and dropped.
    Generation
}
id! {
    /// Hybrid timestamp of the oracle: physical milliseconds since 1970 in the upper 46 bits, a
    /// logical counter in the lower 18.
    Timestamp
}
id! {
    /// Wall-clock milliseconds since 1970, only for expiry of values and for people; never for
    /// leases or time-outs.
    UnixMillis
}

/// Bits of a [`Timestamp`] that count within one millisecond.
pub const TIMESTAMP_LOGICAL_BITS: u32 = 18;

impl Timestamp {
    /// None: no transaction, or not known.
    pub const ZERO: Self = Self(0);
    /// Behind all: reads with it see the newest commit.
    pub const MAX: Self = Self(u64::MAX);

    /// Builds a timestamp. `logical` must be below 2^18.
    #[must_use]
    pub const fn compose(physical_ms: u64, logical: u64) -> Self {
        assert!(logical < (1 << TIMESTAMP_LOGICAL_BITS));
        Self((physical_ms << TIMESTAMP_LOGICAL_BITS) | logical)
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn physical_ms(self) -> u64 {
        self.0 >> TIMESTAMP_LOGICAL_BITS
    }

    /// Counter within the millisecond.
    #[must_use]
    pub const fn logical(self) -> u64 {
        self.0 & ((1 << TIMESTAMP_LOGICAL_BITS) - 1)
    }
}

/// The Region whose rows are PD's own state. It lies outside every user key range.
pub const SYSTEM_REGION: RegionId = RegionId(1);

/// Index and term at which every new Region's log starts. Starting above 0 makes the state of a
/// freshly created replica different from that of an empty disk (as in TiKV).
pub const RAFT_INIT_INDEX: LogIndex = LogIndex(5);
/// See [`RAFT_INIT_INDEX`].
pub const RAFT_INIT_TERM: Term = Term(5);
