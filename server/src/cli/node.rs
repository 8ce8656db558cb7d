//! `troupe start`, `demo`, `init` and `doctor`: what concerns this machine.
use crate::demo::DemoOptions;
use clap::Args;
use std::path::PathBuf;
use troupe_config::{ConfigError, Layers, LogConfig};

/// Run a node.
#[derive(Clone, Debug, Default, Args)]
pub struct StartArgs {
    /// Configuration file; `troupe init` writes one
    #[arg(long, env = "TROUPE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Address of the JSON API [node.http-address]
    #[arg(long, value_name = "HOST:PORT")]
    pub http: Option<String>,
    /// Address for other nodes and gRPC clients [node.grpc-address]
    #[arg(long, value_name = "HOST:PORT")]
    pub grpc: Option<String>,
    /// Data directory; once for each disk [node.data]
    #[arg(long, value_name = "DIR")]
    pub data: Vec<PathBuf>,
    /// HTTP address of a node of the cluster to join; may be given again [cluster.join]
    #[arg(long, value_name = "HOST:PORT")]
    pub join: Vec<String>,
    /// Where this node stands, such as zone=a; may be given again [node.labels]
    #[arg(long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,
    /// Allow addresses that other machines can reach, without encryption [node.insecure]
    #[arg(long)]
    pub insecure: bool,
    /// What is logged [log.level]
    #[arg(long, value_name = "FILTER")]
    pub log_level: Option<String>,
    /// auto, human or json [log.format]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Any key of the configuration; may be given again
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// Timeouts of the demo, for nodes on one machine; under all other settings
    #[arg(long)]
    pub fast_clock: bool,
    /// Check the configuration and do not start
    #[arg(long)]
    pub check_config: bool,
}

/// Run a small cluster on this machine.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub nodes: u32,
    /// Into how many Regions the key space is cut at first
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub regions: u32,
    /// Keep data here, and start again from it; without it a temporary directory is used
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// A process a node, so that you can kill one; otherwise all in one process
    #[arg(long)]
    pub processes: bool,
    /// HTTP port of the first node; a busy port makes it the next free one
    #[arg(long, default_value_t = 20180)]
    pub http_port: u16,
    /// gRPC port of the first node; a busy port makes it the next free one
    #[arg(long, default_value_t = 20160)]
    pub grpc_port: u16,
    /// Describe the nodes in this file, as JSON, for scripts
    #[arg(long, value_name = "FILE")]
    pub control_file: Option<PathBuf>,
    /// What is logged
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    pub log_level: String,
}

impl DemoArgs {
    /// How the demo logs.
    ///
    /// # Errors
    /// The environment sets a `log` key to something that it does not take.
    pub fn log_config(&self) -> Result<LogConfig, ConfigError> {
        let mut layers = Layers::new();
        layers.environment(std::env::vars())?;
        layers.flag("--log-level", "log.level", &self.log_level)?;
        Ok(layers.load()?.config.log)
    }
}

impl From<DemoArgs> for DemoOptions {
    fn from(args: DemoArgs) -> Self {
        Self {
            nodes: args.nodes,
            regions: args.regions,
            keep: args.keep,
            processes: args.processes,
            http_port: args.http_port,
            grpc_port: args.grpc_port,
            control_file: args.control_file,
            log_level: args.log_level,
        }
    }
}

/// Write a configuration file with every key explained.
#[derive(Clone, Debug, Args)]
pub struct InitArgs {
    /// File to write; - for stdout
    #[arg(default_value = "troupe.toml")]
    pub file: PathBuf,
    /// Overwrite a file that exists
    #[arg(long)]
    pub force: bool,
}

/// Check whether this machine is fit for a node.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// Configuration file of the node
    #[arg(long, env = "TROUPE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Data directory to check, instead of the configured ones; may be given again
    #[arg(long, value_name = "DIR")]
    pub data: Vec<PathBuf>,
}
