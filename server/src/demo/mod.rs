//! Starts a small cluster on this machine.
use std::path::PathBuf;
use std::process::ExitCode;

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

/// Runs the demo until it is told to stop.
#[must_use]
pub fn run(options: DemoOptions) -> ExitCode {
    drop(options);
    eprintln!("troupe: the demo is not wired yet");
    ExitCode::FAILURE
}
