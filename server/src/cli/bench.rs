//! `troupe bench`: how fast, beside another system, in the same run.
use crate::bench::{Route, TargetName, Workload};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Measure speed and cost, beside etcd in the same run.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: BenchCommand,
}

/// What to do with measurements.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Start clusters, measure them, and write the figures to a file
    Run(Box<BenchRunArgs>),
    /// Print how two results differ; fails if something became worse, beyond noise
    Compare {
        /// The earlier result
        before: PathBuf,
        /// The later one
        after: PathBuf,
    },
    /// Write a result as a page with tables and pictures
    Report {
        /// The result
        result: PathBuf,
        /// Folder for the page, its pictures, and a copy of the result
        #[arg(long, value_name = "DIR", default_value = "docs/benchmarks")]
        out: PathBuf,
    },
    /// Answer requests at once: what the load generator is measured against
    #[command(hide = true)]
    Echo {
        /// What to speak.
        #[arg(long, value_enum)]
        protocol: EchoProtocol,
        /// Bytes of each value that is read
        #[arg(long, default_value_t = 256)]
        value_bytes: usize,
    },
}

/// What an echo server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EchoProtocol {
    /// As Troupe's JSON API.
    Http,
    /// As etcd's key-value service.
    Grpc,
}

/// Start clusters, measure them, and write the figures to a file.
#[derive(Clone, Debug, Args)]
pub struct BenchRunArgs {
    /// What to measure; one after the other, so that only one has the machine
    #[arg(long, value_enum, value_delimiter = ',', default_value = "troupe,etcd")]
    pub targets: Vec<TargetName>,
    /// A minute instead of the whole matrix: fewer clients, sizes and repetitions
    #[arg(long)]
    pub quick: bool,
    /// Clients at the same time [default: 1,64,256; quick: 1,256]
    #[arg(long, value_delimiter = ',')]
    pub clients: Vec<usize>,
    /// What clients do [default: put,get,mixed; quick: put,get]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub workloads: Vec<Workload>,
    /// Bytes of each value [default: 256,1024; quick: 256]
    #[arg(long, value_delimiter = ',')]
    pub value_bytes: Vec<usize>,
    /// Also in an open loop: so many requests a second, whether or not earlier ones are answered
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: Vec<u32>,
    /// Open loops only
    #[arg(long, requires = "rate")]
    pub open_only: bool,
    /// Fresh clusters of each target and size [default: 3; quick: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub repetitions: Option<u32>,
    /// Different keys, all written before the first measurement
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub keys: u32,
    /// In front of each measurement, not counted [default: 2s; quick: 1s]
    #[arg(long, value_parser = humantime::parse_duration)]
    pub warm_up: Option<Duration>,
    /// Of each measurement [default: 6s; quick: 3s]
    #[arg(long, value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
    /// Into how many Regions Troupe's key space is cut
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub regions: u32,
    /// Where servers keep their data; a folder in it is made and removed each time
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// File for the figures
    #[arg(long, value_name = "FILE", default_value = "bench.json")]
    pub out: PathBuf,
    /// Keys that are read back after each repetition, to see that no acknowledged write was lost
    #[arg(long, default_value_t = 2000)]
    pub verify: u32,
    /// Which server a client asks
    #[arg(long, value_enum, default_value_t)]
    pub route: Route,
    /// Threads of the load generator
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: u32,
    /// gRPC connections that clients of etcd share, at most
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..))]
    pub grpc_connections: u32,
    /// Leave out the measurement of the load generator itself
    #[arg(long)]
    pub no_ceiling: bool,
    /// Processes of the cluster at --url, if they run on this machine, for what they cost
    #[arg(long, value_delimiter = ',')]
    pub pids: Vec<u32>,
    /// Where random keys and values start from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}
