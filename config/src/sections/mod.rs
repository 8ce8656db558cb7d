//! All keys, by section. A new key is one entry here; sample file, suggestions, environment and
//! `explain` follow by themselves.
mod actors;
mod gc;
mod limits;
mod node;
mod pd;
mod raft;
mod storage;

pub use actors::ActorsConfig;
pub use gc::GcConfig;
pub use limits::{HttpConfig, LimitsConfig};
pub use node::{ClusterConfig, LogConfig, LogFormat, NodeConfig};
pub use pd::PdConfig;
pub use raft::RaftConfig;
pub use storage::{SnapshotConfig, StorageConfig};

use crate::table::SectionInfo;
use serde::{Deserialize, Serialize};

/// The whole configuration of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Config {
    /// This node: addresses, data directories, labels.
    pub node: NodeConfig,
    /// The cluster that it founds or joins.
    pub cluster: ClusterConfig,
    /// Consensus.
    pub raft: RaftConfig,
    /// Engines and logs on disk.
    pub storage: StorageConfig,
    /// Snapshots between Stores.
    pub snapshot: SnapshotConfig,
    /// What a single request may ask for.
    pub limits: LimitsConfig,
    /// Mailboxes, traces and supervision.
    pub actors: ActorsConfig,
    /// Placement Driver.
    pub pd: PdConfig,
    /// Collection of old versions.
    pub gc: GcConfig,
    /// HTTP gateway.
    pub http: HttpConfig,
    /// Logs.
    pub log: LogConfig,
}

impl Config {
    /// All sections, in the order of the sample file.
    pub const SECTIONS: [SectionInfo; 11] = [
        NodeConfig::INFO,
        ClusterConfig::INFO,
        RaftConfig::INFO,
        StorageConfig::INFO,
        SnapshotConfig::INFO,
        LimitsConfig::INFO,
        ActorsConfig::INFO,
        PdConfig::INFO,
        GcConfig::INFO,
        HttpConfig::INFO,
        LogConfig::INFO,
    ];

    /// The text of a file that has this configuration, every key present.
    #[must_use]
    pub fn to_toml(&self) -> String {
        crate::layers::as_table(self).to_string()
    }

    /// The section with this name.
    #[must_use]
    pub fn section(name: &str) -> Option<SectionInfo> {
        Self::SECTIONS.into_iter().find(|section| section.name == name)
    }
}
