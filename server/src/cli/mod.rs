//! The command line: everything that can be said, with its help. What is done with it stands in
//! the modules named like the commands.
mod bench;
mod client;
mod ctl;
mod kv;
mod node;
mod scenario;
mod txn;

pub use bench::{BenchArgs, BenchCommand, BenchRunArgs, EchoProtocol};
pub use client::{ClientArgs, OutputFormat};
pub use ctl::{
    BarrierCommand, ConfigCommand, CtlArgs, CtlCommand, GcCommand, KeyRangeArgs, LockListArgs,
    LocksArgs, LocksCommand, RegionCommand, RegionTarget, RegionsArgs, StoreCommand,
};
pub use kv::{
    CasArgs, DelArgs, DeleteRangeArgs, ExportArgs, GetArgs, HistoryArgs, KvArgs, KvCommand,
    PutArgs, RangeArgs, ScanArgs, SpaceName,
};
pub use node::{DemoArgs, DoctorArgs, InitArgs, StartArgs};
pub use scenario::{ScenarioArgs, ScenarioCommand, ScenarioRunArgs};
pub use txn::{TxnArgs, TxnBeginArgs, TxnCommand, TxnOpsArgs, TxnRunArgs, TxnSettingsArgs};

use clap::{Parser, Subcommand};

const AFTER_HELP: &str = "\
Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 conflict or precondition, 5 unavailable or \
timeout, 6 partial, 7 outcome unknown, 74 input or output, 78 configuration, 130 and 143 signals.

First steps:
  troupe demo                       three nodes on this machine
  troupe kv put hello world         in another terminal
  troupe kv get hello";

/// Troupe: a distributed key-value database of supervised actors.
#[derive(Debug, Parser)]
#[command(name = "troupe", version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    /// How to reach a server and how to print.
    #[command(flatten)]
    pub client: ClientArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a node
    Start(StartArgs),
    /// Run a small cluster on this machine, to try things out
    Demo(DemoArgs),
    /// Write a configuration file with every key explained
    Init(InitArgs),
    /// Read and write keys and values
    Kv(KvArgs),
    /// Transactions over keys of space kv
    Txn(TxnArgs),
    /// Look at a cluster and change it
    Ctl(CtlArgs),
    /// Run scripts that start a cluster, do something real, and check what came out
    Scenario(ScenarioArgs),
    /// Measure speed and cost, beside etcd in the same run
    Bench(BenchArgs),
    /// Check whether this machine is fit for a node, and say what to do
    Doctor(DoctorArgs),
    /// Print a completion script for a shell
    Completions {
        /// Which shell.
        #[arg(value_parser = clap::builder::EnumValueParser::<clap_complete::Shell>::new())]
        shell: clap_complete::Shell,
    },
}

#[cfg(test)]
mod tests;
