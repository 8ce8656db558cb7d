//! `troupe scenario`: scripts against real clusters.
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Run scripts that start a cluster, do something real, and check what came out.
#[derive(Debug, Args)]
pub struct ScenarioArgs {
    /// Folder of the scripts; otherwise `scenarios` here or in a folder above
    #[arg(long, global = true, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: ScenarioCommand,
}

/// What to do with scenarios.
#[derive(Debug, Subcommand)]
pub enum ScenarioCommand {
    /// List them with what they show and need
    List,
    /// Run some, each against a fresh cluster
    Run(ScenarioRunArgs),
}

/// Run some, each against a fresh cluster.
#[derive(Clone, Debug, Args)]
pub struct ScenarioRunArgs {
    /// Names, files, or all
    #[arg(required = true)]
    pub names: Vec<String>,
    /// Keep data and logs also of those that pass
    #[arg(long)]
    pub keep: bool,
    /// Keep data and logs here instead of in the system's temporary directory
    #[arg(long, value_name = "DIR")]
    pub work_dir: Option<PathBuf>,
}
