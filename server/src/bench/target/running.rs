//! A cluster of Troupe that runs already. Nothing is started or ended; what is written stays.
use super::troupe::{SYNCS, address};
use super::{Life, Servers, Start};
use crate::bench::client::Protocol;
use crate::bench::options::TargetName;
use crate::error::CliError;
use serde::Deserialize;

#[derive(Deserialize)]
struct Cluster {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    http: String,
    version: String,
}

pub(super) async fn find(start: &Start<'_>) -> Result<Servers, CliError> {
    let unreachable = |error: reqwest::Error| CliError::Transport {
        what: format!("no cluster at {}", start.url),
        reason: error.to_string(),
        outcome_unknown: false,
    };
    let url = format!("http://{}/v1/cluster", address(start.url));
    let answer = reqwest::get(url).await.map_err(unreachable)?;
    let answer = answer.error_for_status().map_err(unreachable)?;
    let cluster: Cluster = answer.json().await.map_err(unreachable)?;
    Ok(Servers {
        name: TargetName::Running,
        protocol: Protocol::Http,
        addresses: cluster.nodes.iter().map(|node| address(&node.http)).collect(),
        pids: start.args.pids.clone(),
        version: cluster.nodes.first().map(|node| node.version.clone()).unwrap_or_default(),
        syncs: SYNCS,
        disk: None,
        life: Life::NotOurs,
    })
}
