//! Collection of old versions.
use crate::table::section;
use std::time::Duration;

section! {
    /// Collection of old versions of the transactional space. The node that leads the Placement
    /// Driver moves the safe point, each Store collects behind it.
    GcConfig as "gc" {
        /// How long a version that a newer one replaced can still be read; also the longest time
        /// that a transaction may take. At least 10s.
        #[serde(with = "crate::units::duration")]
        life_time: Duration = Duration::from_secs(600),
        /// Time between two rounds.
        #[serde(with = "crate::units::duration")]
        interval: Duration = Duration::from_secs(60),
        /// How long a Store serves transactions without hearing from the Placement Driver which
        /// versions are still there. Must be equal on all nodes. At least three times
        /// `pd.store-heartbeat`.
        #[serde(with = "crate::units::duration")]
        safe_point_trust: Duration = Duration::from_secs(60),
        /// A Store collects when the safe point has moved, and after so long anyway.
        #[serde(with = "crate::units::duration")]
        compact_interval: Duration = Duration::from_secs(600),
        /// Records that a round looks through for values whose time to live has passed; the next
        /// round goes on behind them. 0: none is looked for, and such values go when their versions
        /// are collected.
        sweep_rows: u32 = 100_000,
    }
}
