//! Three nodes of this program.
use super::{Life, Servers, Start};
use crate::bench::client::Protocol;
use crate::bench::options::TargetName;
use crate::error::CliError;
use crate::scenario::Cluster;

const NODES: u32 = 3;
pub(super) const SYNCS: &[&str] = &["troupe_raft_log_syncs_total"];

pub(super) async fn start(start: &Start<'_>) -> Result<Servers, CliError> {
    let mut cluster = Cluster::start((NODES, start.args.regions), start.folder)?;
    cluster.ready().await?;
    let addresses = cluster.urls().iter().map(|url| address(url)).collect();
    Ok(Servers {
        name: TargetName::Troupe,
        protocol: Protocol::Http,
        addresses,
        pids: cluster.pids(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        syncs: SYNCS,
        disk: None,
        life: Life::Cluster(Box::new(cluster)),
    })
}

/// `host:port` of a URL.
pub(super) fn address(url: &str) -> String {
    url.trim_start_matches("http://").trim_end_matches('/').to_owned()
}
