//! The profile of the demo and of tests: everything that waits, waits less.
use crate::sections::Config;
use std::time::Duration;

impl Config {
    /// The same configuration with a faster clock: leaders are replaced within about two seconds,
    /// and a silent Store is noticed after three. For nodes on one machine, where the network does
    /// not stall.
    #[must_use]
    pub fn fast_clock(mut self) -> Self {
        self.raft.tick = Duration::from_millis(100);
        self.raft.heartbeat_ticks = 2;
        self.raft.election_ticks = 10;
        self.raft.lease = Duration::from_millis(800);
        self.storage.flush_interval = Duration::from_secs(10);
        self.storage.log_purge_interval = Duration::from_secs(2);
        self.snapshot.stale_after = Duration::from_secs(60);
        self.pd.store_heartbeat = Duration::from_millis(500);
        self.pd.region_heartbeat = Duration::from_secs(2);
        self.pd.store_silent_after = Duration::from_secs(3);
        self.pd.operator_timeout = Duration::from_secs(120);
        self.gc.interval = Duration::from_secs(5);
        self.gc.safe_point_trust = Duration::from_secs(10);
        self
    }
}
