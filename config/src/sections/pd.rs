//! Placement Driver.
use crate::table::section;
use std::time::Duration;

section! {
    /// Placement Driver: what Stores tell it, and how it acts.
    PdConfig as "pd" {
        /// How often a Store reports itself.
        #[serde(with = "crate::units::duration")]
        store_heartbeat: Duration = Duration::from_secs(10),
        /// How often the leader of a Region reports it, besides at every change.
        #[serde(with = "crate::units::duration")]
        region_heartbeat: Duration = Duration::from_secs(60),
        /// A Store that is silent for so long counts as down. At least two `store-heartbeat`.
        #[serde(with = "crate::units::duration")]
        store_silent_after: Duration = Duration::from_secs(30),
        /// How far ahead of the clock the timestamp oracle reserves time in its replicated state.
        /// A new leader waits for the rest of it.
        #[serde(with = "crate::units::duration")]
        tso_window: Duration = Duration::from_secs(3),
        /// A change of a Region that is not done after so long is given up.
        #[serde(with = "crate::units::duration")]
        operator_timeout: Duration = Duration::from_secs(600),
    }
}
