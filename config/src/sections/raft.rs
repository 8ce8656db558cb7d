//! Consensus.
use crate::table::section;
use crate::units::ByteSize;
use std::time::Duration;

section! {
    /// Consensus. `tick`, `heartbeat-ticks` and `election-ticks` must be equal on all nodes.
    RaftConfig as "raft" {
        /// The clock of all Regions; timeouts count in it. 10ms to 10s.
        #[serde(with = "crate::units::duration")]
        tick: Duration = Duration::from_secs(1),
        /// A leader speaks up at least every so many ticks. At least 1.
        heartbeat_ticks: u32 = 2,
        /// A follower stands for election after so many silent ticks, at random up to twice as
        /// many. More than `heartbeat-ticks`.
        election_ticks: u32 = 10,
        /// A leader serves reads so long after a majority confirmed it, without asking again. At
        /// most 90 % of `tick` times `election-ticks`: clocks of different machines may run 10 %
        /// apart.
        #[serde(with = "crate::units::duration")]
        lease: Duration = Duration::from_secs(9),
        /// Largest entry of a Raft log. 64KiB to 64MiB, more than `limits.value`.
        max_entry_bytes: ByteSize = ByteSize::mib(8),
        /// Entries sent to a follower in one message; one entry alone may be larger.
        max_message_bytes: ByteSize = ByteSize::mib(1),
        /// Messages with entries sent to a follower before it confirms the first of them.
        max_inflight_messages: usize = 256,
        /// Entries of a Region proposed and not yet committed; more are refused as busy.
        max_uncommitted_bytes: ByteSize = ByteSize::mib(64),
        /// Commands of one mailbox batch that share a Raft entry, at most.
        batch_commands: usize = 128,
        /// Bytes of commands that share a Raft entry, at most.
        batch_bytes: ByteSize = ByteSize::kib(64),
        /// Proposals of a Region in flight; more are refused as busy.
        proposals_per_region: usize = 1024,
        /// Applied entries kept for followers that are behind. One further behind gets a snapshot.
        log_keep_entries: u64 = 4096,
        /// Newest entries of each Region kept in memory.
        log_cache_bytes: ByteSize = ByteSize::mib(8),
    }
}

impl RaftConfig {
    /// The shortest time after which a silent leader can be replaced.
    #[must_use]
    pub fn election_timeout(&self) -> Duration {
        self.tick.saturating_mul(self.election_ticks)
    }
}
