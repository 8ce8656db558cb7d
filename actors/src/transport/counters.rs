//! What the network of a node did and refused, for the metrics page.
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counters of a node's network. All only grow.
        #[derive(Debug, Default)]
        pub struct NetCounters {
            $($(#[$doc])* pub $name: AtomicU64,)*
        }

        impl NetCounters {
            /// Names and values, in order of declaration.
            #[must_use]
            pub fn list(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.load(Ordering::Relaxed)),)*]
            }
        }
    };
}

counters! {
    /// Raft messages written to a stream.
    raft_messages_sent,
    /// Frames that carried them.
    raft_frames_sent,
    /// Raft messages dropped: no connection, or a full out-box.
    raft_messages_dropped,
    /// Raft messages taken from streams.
    raft_messages_received,
    /// Frames that carried them.
    raft_frames_received,
    /// Requests forwarded to other nodes.
    calls_sent,
    /// Frames that carried them.
    call_frames_sent,
    /// Requests of other nodes.
    calls_received,
    /// Snapshots sent whole.
    snapshots_sent,
    /// Snapshots that could not be sent.
    snapshots_failed,
    /// Snapshots received whole and verified.
    snapshots_received,
    /// Snapshots refused: damaged, too many at once, or for another Store.
    snapshots_refused,
    /// Bytes of snapshots sent.
    snapshot_bytes_sent,
    /// Frames and requests of another cluster.
    wrong_cluster,
    /// Frames, messages and requests for a Store that is not on this node.
    wrong_store,
    /// Frames and messages that do not decode.
    malformed,
    /// Connections made to other nodes.
    connections_made,
    /// Connections lost or not made.
    connections_lost,
}

/// Adds one.
pub fn count(counter: &AtomicU64) {
    add(counter, 1);
}

/// Adds `by`.
pub fn add(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}
