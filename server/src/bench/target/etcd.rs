//! Three nodes of etcd. How they are started stands in `tests/peers/etcd.sh`, for people too.
use super::{Life, Servers};
use crate::bench::client::Protocol;
use crate::bench::options::TargetName;
use crate::error::CliError;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const SCRIPT: &str = include_str!("../../../../tests/peers/etcd.sh");
/// Of the write-ahead log, and of commits of the database behind it.
const SYNCS: &[&str] = &[
    "etcd_disk_wal_fsync_duration_seconds_count",
    "etcd_disk_backend_commit_duration_seconds_count",
];

/// What the script says about the nodes.
#[derive(Deserialize)]
struct Started {
    endpoints: Vec<String>,
    pids: Vec<u32>,
    version: String,
}

/// Is there a program of that name to start?
#[must_use]
pub fn is_installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join("etcd").is_file())
}

/// Nodes that are ended when this is dropped.
pub(super) struct Nodes {
    folder: PathBuf,
}

impl Drop for Nodes {
    fn drop(&mut self) {
        let script = std::process::Command::new("bash")
            .args(["-c", SCRIPT, "etcd.sh", "stop"])
            .arg(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        if !script.is_ok_and(|status| status.success()) {
            eprintln!("troupe: etcd may still run; its data is in {}", self.folder.display());
        }
    }
}

pub(super) async fn start(folder: &Path) -> Result<Servers, CliError> {
    let failed = |source| CliError::io("cannot run bash", source);
    // Also for nodes that started although the script failed.
    let nodes = Nodes { folder: folder.to_owned() };
    let mut script = Command::new("bash")
        .args(["-s", "start"])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = script.stdin.take() {
        input.write_all(SCRIPT.as_bytes()).await.map_err(failed)?;
    }
    let output = script.wait_with_output().await.map_err(failed)?;
    if !output.status.success() {
        return Err(CliError::Failed("etcd does not start; see above".to_owned()));
    }
    let started: Started = serde_json::from_slice(&output.stdout)
        .map_err(|error| CliError::BadAnswer(format!("tests/peers/etcd.sh: {error}")))?;
    Ok(Servers {
        name: TargetName::Etcd,
        protocol: Protocol::Grpc,
        addresses: started.endpoints,
        pids: started.pids,
        version: started.version,
        syncs: SYNCS,
        disk: None,
        life: Life::Etcd(nodes),
    })
}
