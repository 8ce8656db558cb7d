//! Starts a small cluster on this machine: all nodes in this process, or with `--processes` a
//! process a node, so that one can be killed.
//!
//! | file | subject |
//! |---|---|
//! | `plan.rs` | ports, folders and configuration of each node |
//! | `inside.rs` | nodes as threads of this process |
//! | `processes.rs` | nodes as processes, and the file that describes them for scripts |
//! | `banner.rs` | what a person is told |
mod banner;
mod inside;
mod plan;
mod processes;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// What kind of demo to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoOptions {
    /// How many nodes, at least 1.
    pub nodes: u32,
    /// Into how many Regions the key space is cut at first, at least 1.
    pub regions: u32,
    /// Where data, configuration and logs of the nodes go, and stay; `None`: into a temporary
    /// directory that is deleted at the end.
    pub keep: Option<PathBuf>,
    /// A process a node, so that one can be killed; otherwise all in this process.
    pub processes: bool,
    /// HTTP port of the first node; a busy port makes it the next free one.
    pub http_port: u16,
    /// gRPC port of the first node; a busy port makes it the next free one.
    pub grpc_port: u16,
    /// Where to describe the nodes for scripts, as JSON.
    pub control_file: Option<PathBuf>,
    /// Log level of the nodes.
    pub log_level: String,
}

/// Time for the whole cluster to become ready.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Why the demo does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// Files of the demo.
    #[error("cannot use {}: {source}", path.display())]
    Files {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No free ports.
    #[error("no free port from {from} on; choose another with --http-port or --grpc-port")]
    NoPort {
        /// The first one tried.
        from: u16,
    },
    /// A node does not start.
    #[error("node {node} does not start: {why}")]
    Node {
        /// Which.
        node: u32,
        /// Why.
        why: String,
    },
    /// The cluster does not become ready.
    #[error("the cluster was not ready within {} s: {why}", READY_WITHIN.as_secs())]
    NotReady {
        /// Failing checks.
        why: String,
    },
}

/// Runs the demo until it is told to stop.
#[must_use]
pub fn run(options: DemoOptions) -> ExitCode {
    match start(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("troupe: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(options: &DemoOptions) -> Result<(), DemoError> {
    let temporary = match &options.keep {
        Some(_) => None,
        None => Some(
            tempfile::tempdir()
                .map_err(|source| DemoError::Files { path: std::env::temp_dir(), source })?,
        ),
    };
    let folder = match (&options.keep, &temporary) {
        (Some(folder), _) => folder.clone(),
        (None, Some(folder)) => folder.path().to_owned(),
        (None, None) => std::env::temp_dir(),
    };
    let plans = plan::make(options, &folder)?;
    if options.processes { processes::run(options, plans) } else { inside::run(plans) }
}
