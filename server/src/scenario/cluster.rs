//! A fresh cluster of real processes: `troupe demo --processes`, watched and killed.
use crate::api::{ApiRequest, Client};
use crate::cli::{ClientArgs, OutputFormat};
use crate::clock::now;
use crate::error::CliError;
use crate::sys::{signal_group, signal_process};
use serde::Deserialize;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// How long a cluster may take until it serves.
const START: Duration = Duration::from_secs(90);
/// How long it may take to stop before it is killed.
const STOP: Duration = Duration::from_secs(10);
/// How often it is asked whether it serves.
const POLL: Duration = Duration::from_millis(100);

/// What the demo writes about its nodes.
#[derive(Debug, Deserialize)]
struct Control {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    pid: u32,
    http: String,
}

/// A running cluster.
pub(crate) struct Cluster {
    demo: Child,
    /// The demo leads a group of processes with its own id.
    group: u32,
    pub(crate) control: PathBuf,
    pub(crate) program: PathBuf,
    nodes: u32,
    log: PathBuf,
}

impl Cluster {
    /// Starts so many nodes and Regions, not yet ready.
    pub(crate) fn start((nodes, regions): (u32, u32), folder: &Path) -> Result<Self, CliError> {
        let failed = |source| CliError::io("cannot start a cluster", source);
        let program = std::env::current_exe().map_err(failed)?;
        let (control, log) = (folder.join("control.json"), folder.join("demo.log"));
        let output = File::create(&log).map_err(failed)?;
        let demo = Command::new(&program)
            .args(["demo", "--processes", "--nodes", &nodes.to_string()])
            .args(["--regions", &regions.to_string(), "--keep"])
            .arg(folder.join("cluster"))
            .arg("--control-file")
            .arg(&control)
            .env_remove("TROUPE_CONFIG")
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(failed)?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let group = demo.id().unwrap_or_default();
        Ok(Self { demo, group, control, program, nodes, log })
    }

    /// Waits until every node serves.
    pub(crate) async fn ready(&mut self) -> Result<(), CliError> {
        let started = now();
        let mut ready = 0;
        while started.elapsed() < START {
            if let Ok(Some(status)) = self.demo.try_wait() {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                return Err(CliError::Failed(format!("the demo ended with {status}:\n{log}")));
            }
            let urls = self.urls();
            ready = count_ready(&urls).await;
            if ready == self.nodes as usize {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        let (nodes, limit) = (self.nodes, START.as_secs());
        Err(CliError::TooSlow(format!("{ready} of {nodes} nodes are ready after {limit} s")))
    }

    /// HTTP addresses of the nodes, as far as they are known.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.nodes().into_iter().map(|node| node.http).collect()
    }

    /// Their processes.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.nodes().into_iter().map(|node| node.pid).collect()
    }

    fn nodes(&self) -> Vec<Node> {
        let text = fs::read_to_string(&self.control).unwrap_or_default();
        serde_json::from_str::<Control>(&text).map(|control| control.nodes).unwrap_or_default()
    }

    /// Asks it to stop, then kills what is left.
    pub(crate) async fn stop(mut self) {
        signal_process(self.group, libc::SIGTERM);
        let stopped = tokio::time::timeout(STOP, self.demo.wait()).await;
        if stopped.is_err() {
            eprintln!("troupe: the cluster did not stop within {} s; killing it", STOP.as_secs());
        }
    }

    /// A script may have started a node anew, outside the demo's group.
    fn kill(&self) {
        signal_group(self.group, libc::SIGKILL);
        for node in self.nodes().iter().filter(|node| self.is_ours(node.pid)) {
            signal_process(node.pid, libc::SIGKILL);
        }
    }

    /// The system gives numbers of ended processes to others.
    fn is_ours(&self, pid: u32) -> bool {
        fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program == self.program)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn count_ready(urls: &[String]) -> usize {
    let mut ready = 0;
    for url in urls {
        let args = ClientArgs {
            url: url.clone(),
            output: OutputFormat::Json,
            show_curl: false,
            yes: false,
            timeout: None,
        };
        let Ok(client) = Client::new(&args) else { continue };
        ready += usize::from(client.send(&ApiRequest::get("/readyz")).await.is_ok());
    }
    ready
}
