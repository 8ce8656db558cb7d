//! What is measured: starts servers, says where they are, and ends them.
//!
//! | file | servers |
//! |---|---|
//! | `troupe.rs` | three nodes of this program, as `troupe demo --processes` starts them |
//! | `etcd.rs` | three nodes of etcd, started by `tests/peers/etcd.sh` |
//! | `running.rs` | a cluster of Troupe that runs already |
//! | `echo.rs` | a server that answers at once, in another process |
mod echo;
mod etcd;
mod running;
mod troupe;

pub use etcd::is_installed as etcd_is_installed;

use super::client::Protocol;
use super::options::TargetName;
use super::process::{Disk, Usage};
use crate::cli::BenchRunArgs;
use crate::error::CliError;
use std::path::Path;
use std::time::Duration;

/// Servers that are measured.
pub struct Servers {
    /// Which.
    pub name: TargetName,
    /// What they speak.
    pub protocol: Protocol,
    /// `host:port` of each.
    pub addresses: Vec<String>,
    /// Their processes; none if these are not known.
    pub pids: Vec<u32>,
    /// Their version.
    pub version: String,
    /// Names of counters of syncs in their metrics.
    syncs: &'static [&'static str],
    /// Where they write.
    disk: Option<Disk>,
    /// Ends them when it is dropped.
    life: Life,
}

enum Life {
    Cluster(Box<crate::scenario::Cluster>),
    Etcd(etcd::Nodes),
    Echo(echo::Echo),
    NotOurs,
}

/// What servers have used since they started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// All processes together.
    pub usage: Usage,
    /// Syncs of all servers; `None` if they do not tell.
    pub syncs: Option<u64>,
    /// Bytes that went to the disk; `None` if the kernel does not tell.
    pub written_bytes: Option<u64>,
}

/// What is needed to start servers.
pub struct Start<'a> {
    /// The command line.
    pub args: &'a BenchRunArgs,
    /// Address of a cluster that runs already.
    pub url: &'a str,
    /// An empty folder for their data.
    pub folder: &'a Path,
    /// Bytes of the values that an echo server answers.
    pub value_bytes: usize,
}

impl Servers {
    /// Starts them, and waits until they serve.
    ///
    /// # Errors
    /// They do not start.
    pub async fn start(name: TargetName, start: &Start<'_>) -> Result<Self, CliError> {
        let servers = match name {
            TargetName::Troupe => troupe::start(start).await,
            TargetName::Etcd => etcd::start(start.folder).await,
            TargetName::Running => return running::find(start).await,
            TargetName::EchoHttp => echo::start(name, Protocol::Http, start.value_bytes).await,
            TargetName::EchoGrpc => echo::start(name, Protocol::Grpc, start.value_bytes).await,
        }?;
        Ok(Self { disk: Disk::under(start.folder), ..servers })
    }

    /// What they have used so far; `None` if their processes are not known.
    ///
    /// # Errors
    /// A process is gone.
    pub async fn sample(&self) -> Result<Option<Sample>, CliError> {
        if self.pids.is_empty() {
            return Ok(None);
        }
        let usage = Usage::of_all(&self.pids)
            .map_err(|source| CliError::io("a server cannot be looked at", source))?;
        let written_bytes = self.disk.as_ref().and_then(Disk::written_bytes);
        Ok(Some(Sample { usage, syncs: self.count_syncs().await, written_bytes }))
    }

    async fn count_syncs(&self) -> Option<u64> {
        if self.syncs.is_empty() {
            return None;
        }
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().ok()?;
        let mut sum = 0;
        for address in &self.addresses {
            let answer = client.get(format!("http://{address}/metrics")).send().await.ok()?;
            let text = answer.text().await.ok()?;
            sum += self.syncs.iter().map(|name| counter(&text, name)).sum::<Option<u64>>()?;
        }
        Some(sum)
    }

    /// Ends them in good order.
    pub async fn stop(self) {
        match self.life {
            Life::Cluster(cluster) => cluster.stop().await,
            Life::Etcd(nodes) => drop(nodes),
            Life::Echo(echo) => drop(echo),
            Life::NotOurs => {}
        }
    }
}

/// Sum of a counter over its labels, in Prometheus' text; `None` if it is not there.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters of events")]
pub fn counter(text: &str, name: &str) -> Option<u64> {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let rest = match rest.strip_prefix('{') {
            Some(labels) => labels.split_once('}')?.1,
            None => rest,
        };
        rest.strip_prefix(' ')?.trim().parse::<f64>().ok()
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0) + value as u64))
}

#[cfg(test)]
mod tests;
