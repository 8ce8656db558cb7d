//! Who this node is, which cluster it belongs to, and how it logs.
use crate::table::section;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

section! {
    /// This node: addresses, data directories, labels.
    NodeConfig as "node" {
        /// Where the JSON API listens: `host:port`. A host other than a loopback address needs
        /// `insecure`.
        http_address: String = "127.0.0.1:20180".to_owned(),
        /// Where other nodes and gRPC clients reach this node: `host:port`. A host other than a
        /// loopback address needs `insecure`.
        grpc_address: String = "127.0.0.1:20160".to_owned(),
        /// The `host:port` that others are told to use for HTTP; empty: `http-address`. Needed
        /// if `http-address` listens on all interfaces (`0.0.0.0`).
        #[serde(with = "crate::units::empty_is_none")]
        advertise_http: Option<String> = None,
        /// The `host:port` that others are told to use for gRPC; empty: `grpc-address`. Needed
        /// if `grpc-address` listens on all interfaces (`0.0.0.0`).
        #[serde(with = "crate::units::empty_is_none")]
        advertise_grpc: Option<String> = None,
        /// Data directories, at least one. Each is a Store of its own: give one a disk.
        data: Vec<PathBuf> = vec![PathBuf::from("data")],
        /// Where this node stands, for example `{ zone = "a", rack = "7" }`. Replicas of a Region
        /// are told apart by it.
        labels: BTreeMap<String, String> = BTreeMap::new(),
        /// Allow addresses that other machines can reach, although nothing there is encrypted and
        /// nobody is asked who they are.
        insecure: bool = false,
    }
}

impl NodeConfig {
    /// The HTTP address that others use.
    #[must_use]
    pub fn reachable_http(&self) -> &str {
        self.advertise_http.as_deref().unwrap_or(&self.http_address)
    }

    /// The gRPC address that others use.
    #[must_use]
    pub fn reachable_grpc(&self) -> &str {
        self.advertise_grpc.as_deref().unwrap_or(&self.grpc_address)
    }
}

section! {
    /// The cluster that this node founds or joins. What is read only when a cluster is founded
    /// has no effect later.
    ClusterConfig as "cluster" {
        /// Name of the cluster, asked for as a confirmation by dangerous operations. Read when
        /// the cluster is founded. 1 to 64 characters: letters, digits, `-`, `_`, `.`
        name: String = "troupe".to_owned(),
        /// HTTP addresses (`host:port`) of nodes of the cluster to join. Empty, with an empty data
        /// directory: found a new cluster. Ignored by a node that already belongs to one.
        join: Vec<String> = Vec::new(),
        /// Create the first Regions once so many Stores have joined. Read when the cluster is
        /// founded. 1 to 1000.
        bootstrap_stores: u32 = 1,
        /// How many Regions the key space is cut into at first. Read when the cluster is founded.
        /// 1 to 100000.
        bootstrap_regions: u32 = 1,
        /// Replicas of each Region, as far as there are Stores. An odd number, 1 to 7.
        replicas: u32 = 3,
        /// Replicas of the Placement Driver's own state, as far as there are nodes. An odd number,
        /// 1 to 7.
        pd_replicas: u32 = 3,
    }
}

section! {
    /// Logs. They go to stderr.
    LogConfig as "log" {
        /// What is logged: `error`, `warn`, `info`, `debug` or `trace`, or a filter by crate such
        /// as `info,troupe_actors=debug`.
        level: String = "info".to_owned(),
        /// `human`: text for people. `json`: an object a line. `auto`: human on a terminal, JSON
        /// otherwise.
        format: LogFormat = LogFormat::Auto,
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// Text for people.
    Human,
    /// One JSON object a line.
    Json,
}
