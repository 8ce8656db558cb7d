//! Mailboxes, traces and supervision.
use crate::table::section;
use crate::units::ByteSize;
use std::time::Duration;

section! {
    /// Mailboxes, traces and supervision of all actors.
    ActorsConfig as "actors" {
        /// Messages that wait for one actor; more are refused as busy.
        mailbox_messages: usize = 16_384,
        /// Bytes of the messages that wait for one actor; more are refused as busy.
        mailbox_bytes: ByteSize = ByteSize::mib(64),
        /// An actor lets others of its thread run after so many messages. At least 1.
        yield_after_messages: u32 = 64,
        /// Threads for the traffic between nodes. 0: it shares the thread of the actors, which is
        /// faster when a node has two cores or less.
        network_threads: usize = 1,
        /// Last inputs of each actor kept for the report of a crash. 0: none.
        recorder_inputs: usize = 64,
        /// Spans of message traces kept by a node, the oldest are overwritten. 0: none.
        trace_spans: usize = 65_536,
        /// One in so many requests is traced. 0: only those that ask for it.
        trace_sample: u32 = 1000,
        /// An actor that crashes more often than so within `restart-window` is quarantined.
        restarts: u32 = 3,
        /// See `restarts`.
        #[serde(with = "crate::units::duration")]
        restart_window: Duration = Duration::from_secs(600),
        /// Pause before the first restart; each further one doubles it.
        #[serde(with = "crate::units::duration")]
        backoff_min: Duration = Duration::from_millis(100),
        /// The longest pause before a restart.
        #[serde(with = "crate::units::duration")]
        backoff_max: Duration = Duration::from_secs(30),
        /// If more Region actors of a Store than this, and more than 1 % of them, crash within
        /// `storm-window`, then the fault is not in a single Region and the Store stops. At least
        /// 2.
        storm_min: u32 = 5,
        /// See `storm-min`.
        #[serde(with = "crate::units::duration")]
        storm_window: Duration = Duration::from_secs(60),
    }
}
