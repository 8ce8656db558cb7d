//! Who a node is: found on its disks, given by a cluster that it joins, or made with a new cluster.
use super::BootError;
use super::disks::{self, Disk};
use std::path::{Path, PathBuf};
use std::time::Duration;
use troupe_actors::env::Env;
use troupe_actors::node::{PdCaller, SharedDirectory};
use troupe_actors::pd_client::{PdClient, PdClientParts};
use troupe_actors::store::found_system_region;
use troupe_config::Config;
use troupe_pd_actor::BootstrapPlan;
use troupe_storage::region_state::StoreIdent;
use troupe_types::pd::{NodeInfo, PdReply, PdRequest};
use troupe_types::{
    ClusterId, KeyRange, NodeId, Peer, PeerId, Region, RegionEpoch, SYSTEM_REGION, StoreId,
};

/// Time that a new node tries to join before it gives up.
const JOIN_PATIENCE: Duration = Duration::from_secs(120);

/// Who the node is.
pub(super) struct Membership {
    pub cluster: ClusterId,
    pub node: NodeId,
    pub idents: Vec<StoreIdent>,
    /// Nodes and Stores, as far as known.
    pub directory: Vec<(NodeInfo, Vec<StoreId>)>,
}

/// How this node looks to others; its id is 0 until it has one.
pub(super) fn node_info(config: &Config, id: NodeId) -> NodeInfo {
    NodeInfo {
        id,
        grpc_address: config.node.reachable_grpc().to_owned(),
        http_address: config.node.reachable_http().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Who the disks say that the node is; `None` if they are all new.
pub(super) fn from_disks(disks: &[Disk]) -> Result<Option<Membership>, BootError> {
    let known: Vec<&StoreIdent> = disks.iter().filter_map(|disk| disk.ident.as_ref()).collect();
    let Some(first) = known.first() else { return Ok(None) };
    if known.len() < disks.len() {
        return Err(BootError::NewDirectoryOfOldNode);
    }
    if known.iter().any(|other| other.cluster != first.cluster || other.node != first.node) {
        return Err(BootError::MixedDirectories);
    }
    Ok(Some(Membership {
        cluster: first.cluster,
        node: first.node,
        idents: known.into_iter().cloned().collect(),
        directory: remembered_directory(disks),
    }))
}

/// Founds a cluster: the first replica of the system Region is made on the first Store.
pub(super) fn found(env: &Env, disks: &[Disk]) -> Result<Membership, BootError> {
    let mut rng = env.rngs.rng("identity");
    // JSON numbers hold 53 bits.
    let cluster = ClusterId((rng.next_u64() >> 12).max(1));
    let node = NodeId(1);
    let stores = (1..).map(StoreId).zip(disks);
    let mut idents = Vec::new();
    for (store, disk) in stores {
        let identity = rng.next_u64();
        let ident = StoreIdent { cluster, node, store, identity, bootstrapped: false };
        disks::write_ident(&*disk.disks.engine, &ident)?;
        idents.push(ident);
    }
    if let Some(first) = disks.first() {
        let region = Region {
            id: SYSTEM_REGION,
            range: KeyRange::system(),
            epoch: RegionEpoch::INITIAL,
            peers: vec![Peer::voter(PeerId(1), StoreId(1))],
        };
        found_system_region(&first.disks, StoreId(1), &region)?;
    }
    Ok(Membership { cluster, node, idents, directory: Vec::new() })
}

/// What PD writes first, on the node that founded the cluster; it is harmless later.
pub(super) fn bootstrap_plan(config: &Config, membership: &Membership) -> Option<BootstrapPlan> {
    if membership.node != NodeId(1) {
        return None;
    }
    let labels = labels(config);
    let stores = membership.idents.iter().map(|i| (i.store, i.identity, labels.clone())).collect();
    Some(BootstrapPlan {
        cluster: membership.cluster,
        name: config.cluster.name.clone(),
        node: node_info(config, membership.node),
        stores,
        replicas: config.cluster.replicas,
        pd_replicas: config.cluster.pd_replicas,
        bootstrap_stores: config.cluster.bootstrap_stores,
        bootstrap_regions: config.cluster.bootstrap_regions,
        split_keys: Vec::new(),
    })
}

/// Labels of the node's Stores.
pub(super) fn labels(config: &Config) -> Vec<(String, String)> {
    config.node.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Asks the cluster behind `config.cluster.join` for ids. Identities are written to the disks first,
/// so that a node that crashes in between gets the same ids when it asks again.
pub(super) async fn join(
    config: &Config,
    parts: PdClientParts,
    disks: &[Disk],
) -> Result<Membership, BootError> {
    let env = parts.env.clone();
    let identities = identities(&env, disks)?;
    let deadline = env.now().after(JOIN_PATIENCE);
    let mut last = String::new();
    while env.now() < deadline {
        match grpc_addresses(&config.cluster.join).await {
            Ok(bootstrap) => {
                let asker = PdClient::new(PdClientParts {
                    bootstrap,
                    directory: SharedDirectory::default(),
                    env: env.clone(),
                    transport: parts.transport.clone(),
                    local: parts.local.clone(),
                    own_address: parts.own_address.clone(),
                });
                let node = node_info(config, NodeId(0));
                let request = PdRequest::Join { node, identities: identities.clone() };
                let answer = asker.call(request, env.now().after(Duration::from_secs(5))).await;
                match answer {
                    Ok(PdReply::Joined { cluster, node, stores, directory }) => {
                        return joined(disks, (cluster, node), (&stores, &identities), directory);
                    }
                    Ok(other) => last = format!("PD answers {other:?}"),
                    Err(troupe_types::pd::PdError::Refused { code, detail }) => {
                        return Err(BootError::JoinRefused { code: code.as_str(), detail });
                    }
                    Err(error) => last = error.to_string(),
                }
            }
            Err(why) => last = why,
        }
        tracing::info!(why = %last, "the cluster does not let this node in yet; trying again");
        env.spawner.sleep(Duration::from_millis(500)).await;
    }
    Err(BootError::JoinFailed { addresses: config.cluster.join.join(", "), last })
}

fn joined(
    disks: &[Disk],
    (cluster, node): (ClusterId, NodeId),
    (stores, identities): (&[StoreId], &[u64]),
    directory: Vec<(NodeInfo, Vec<StoreId>)>,
) -> Result<Membership, BootError> {
    let mut idents = Vec::new();
    for ((disk, store), identity) in disks.iter().zip(stores).zip(identities) {
        let (store, identity) = (*store, *identity);
        let ident = StoreIdent { cluster, node, store, identity, bootstrapped: false };
        disks::write_ident(&*disk.disks.engine, &ident)?;
        idents.push(ident);
    }
    Ok(Membership { cluster, node, idents, directory })
}

/// Random numbers that stay with the disks, written before they are told to anybody.
fn identities(env: &Env, disks: &[Disk]) -> Result<Vec<u64>, BootError> {
    let mut rng = env.rngs.rng("identity");
    let one = |disk: &Disk| {
        let path = disk.disks.folder.join("identity");
        match std::fs::read_to_string(&path) {
            Ok(text) => text.trim().parse::<u64>().map_err(|_| BootError::BadIdentity { path }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let identity = rng.next_u64();
                let written = std::fs::write(&path, identity.to_string())
                    .and_then(|()| std::fs::File::open(&path)?.sync_all())
                    .and_then(|()| std::fs::File::open(&disk.disks.folder)?.sync_all());
                written.map_err(|source| BootError::Folder { folder: path, source })?;
                Ok(identity)
            }
            Err(source) => Err(BootError::Folder { folder: path, source }),
        }
    };
    let mut one = one;
    disks.iter().map(&mut one).collect()
}

/// gRPC addresses of the cluster, told by any node's `GET /v1/cluster`.
async fn grpc_addresses(http: &[String]) -> Result<Vec<String>, String> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(3))
        .build()
        .map_err(|error| error.to_string())?;
    let mut last = "no address was given".to_owned();
    for address in http {
        let base = address.trim_end_matches('/');
        let base = if base.contains("://") { base.to_owned() } else { format!("http://{base}") };
        match ask_cluster(&client, &base).await {
            Ok(addresses) if !addresses.is_empty() => return Ok(addresses),
            Ok(_) => last = format!("{base} knows no nodes"),
            Err(why) => last = format!("{base}: {why}"),
        }
    }
    Err(last)
}

async fn ask_cluster(client: &reqwest::Client, base: &str) -> Result<Vec<String>, String> {
    let text = |error: reqwest::Error| error.to_string();
    let answer = client.get(format!("{base}/v1/cluster")).send().await.map_err(text)?;
    let answer = answer.error_for_status().map_err(text)?;
    let cluster: serde_json::Value = answer.json().await.map_err(text)?;
    let nodes = cluster["nodes"].as_array().cloned().unwrap_or_default();
    Ok(nodes.iter().filter_map(|node| node["grpc"].as_str().map(str::to_owned)).collect())
}

/// Nodes and Stores as PD tells them.
type DirectoryList = Vec<(NodeInfo, Vec<StoreId>)>;

fn directory_file(folder: &Path) -> PathBuf {
    folder.join("nodes.json")
}

/// The cluster's nodes as this node last knew them. Without it, nodes that all start again at once
/// would not find each other: PD tells where they are, and PD itself is spread over them.
pub(super) fn remembered_directory(disks: &[Disk]) -> DirectoryList {
    let Some(first) = disks.first() else { return Vec::new() };
    let Ok(text) = std::fs::read_to_string(directory_file(&first.disks.folder)) else {
        return Vec::new();
    };
    serde_json::from_str(&text).unwrap_or_else(|error| {
        tracing::warn!(%error, "the list of nodes does not read; PD will tell it again");
        Vec::new()
    })
}

/// Keeps the directory in the first data directory, whenever it changes.
pub(super) async fn remember_directory(env: Env, folder: PathBuf, shared: SharedDirectory) {
    let mut written = None;
    loop {
        let directory = shared.load();
        if directory.nodes.len() > 1 && written.as_ref() != Some(&directory) {
            let list = directory.to_list();
            let text = serde_json::to_string(&list).expect("invariant: a directory is plain JSON");
            let file = directory_file(&folder);
            let aside = file.with_extension("new");
            // Renamed into place, so that a crash leaves the old list or the new one.
            match std::fs::write(&aside, text).and_then(|()| std::fs::rename(&aside, &file)) {
                Ok(()) => written = Some(directory),
                Err(error) => tracing::warn!(%error, "the list of nodes cannot be kept"),
            }
        }
        env.spawner.sleep(Duration::from_millis(500)).await;
    }
}

/// gRPC addresses of the cluster that a node without directory was told to join.
pub(super) async fn known_addresses(config: &Config) -> Vec<String> {
    if config.cluster.join.is_empty() {
        return Vec::new();
    }
    grpc_addresses(&config.cluster.join).await.unwrap_or_default()
}
