//! Engines and logs on disk, and snapshots between Stores.
use crate::table::section;
use crate::units::ByteSize;
use std::time::Duration;

section! {
    /// Engines and logs on disk. All of it once for each Store.
    StorageConfig as "storage" {
        /// Memory for blocks read from disk. At least 1MiB.
        block_cache: ByteSize = ByteSize::mib(256),
        /// Writes gathered in memory before they become a file. At least 1MiB.
        write_buffer: ByteSize = ByteSize::mib(32),
        /// Threads that write buffers out and compact files. 1 to 64.
        background_jobs: u32 = 2,
        /// Size of a file of the Raft log. 1MiB to 1GiB.
        log_file: ByteSize = ByteSize::mib(64),
        /// How often Raft log files that nobody needs are deleted.
        #[serde(with = "crate::units::duration")]
        log_purge_interval: Duration = Duration::from_secs(10),
        /// How often the engine is told to write out what it holds in memory, so that the Raft log
        /// in front of it can be cut.
        #[serde(with = "crate::units::duration")]
        flush_interval: Duration = Duration::from_secs(60),
    }
}

section! {
    /// Snapshots: whole Regions copied from Store to Store.
    SnapshotConfig as "snapshot" {
        /// Bytes a second that a Store sends at most. At least `chunk`.
        rate_per_second: ByteSize = ByteSize::mib(100),
        /// Bytes in one message. 4KiB to 8MiB.
        chunk: ByteSize = ByteSize::mib(1),
        /// Snapshots that a Store sends at the same time. At least 1.
        concurrent_send: usize = 4,
        /// Snapshots that a Store receives at the same time. At least 1.
        concurrent_receive: usize = 4,
        /// A snapshot that made no progress for so long is deleted.
        #[serde(with = "crate::units::duration")]
        stale_after: Duration = Duration::from_secs(600),
    }
}
