//! The configuration of a node: a typed tree, its layers, its units and its rules.
//!
//! Every key is declared once, in [`sections`], with its default and its description; the sample
//! file, the list of known keys and the suggestions for mistyped ones are made from that.
//!
//! | file | subject |
//! |---|---|
//! | [`sections`] | all keys, by section |
//! | `table` | the macro that declares a section, and what is known about each key |
//! | [`units`] | sizes (`64MiB`) and durations (`250ms`) |
//! | [`layers`] | default < file < environment < flag, and which of them set a key |
//! | [`validate`](mod@validate) | rules over several keys |
//! | [`sample`](mod@sample) | the commented sample file |
//!
//! ```
//! use troupe_config::layers::Layers;
//!
//! let mut layers = Layers::new();
//! layers.file("troupe.toml", "[raft]\ntick = \"500ms\"\nlease = \"4s\"").unwrap();
//! layers.flag("--http", "node.http-address", "127.0.0.1:8080").unwrap();
//! let loaded = layers.load().unwrap();
//! assert_eq!(loaded.config.raft.tick.as_millis(), 500);
//! assert_eq!(loaded.config.node.http_address, "127.0.0.1:8080");
//! ```
mod error;
mod fast_clock;
mod file;
pub mod layers;
pub mod sample;
pub mod sections;
mod table;
pub mod units;
pub mod validate;

pub use error::{ConfigError, Finding, UnknownKey};
pub use layers::{Layers, Loaded, Origin};
pub use sections::{
    ActorsConfig, ClusterConfig, Config, HttpConfig, LimitsConfig, LogConfig, LogFormat,
    NodeConfig, PdConfig, RaftConfig, SnapshotConfig, StorageConfig,
};
pub use table::{KeyInfo, Kind, SectionInfo};
pub use units::ByteSize;

#[cfg(test)]
mod tests;
