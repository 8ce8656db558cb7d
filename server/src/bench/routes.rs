//! Regions and who leads them: for clients that go straight there, and for transfers that stay in a
//! Region or do not.
use super::data::Keys;
use super::options::{Space, TargetName};
use super::target::{Servers, counter};
use crate::error::CliError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::time::Duration;
use troupe_types::key::{raw_key, txn_key};

/// Regions of a page of the list.
const PAGE: u32 = 1000;
/// How often it is looked, while some Region's leader is not yet known.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(200);

/// The first key of each Region and the server that leads it, in the order of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regions(Vec<(Vec<u8>, u16)>);

impl Regions {
    /// The number of the Region of each key, from 0.
    #[must_use]
    pub fn of(&self, space: Space, keys: &Keys) -> Vec<u32> {
        let region = |number| {
            let stored = match space {
                Space::Raw => raw_key(0, keys.get(number)),
                Space::Kv | Space::Accounts => txn_key(0, keys.get(number)),
            };
            let behind = self.0.partition_point(|(start, _)| start[..] <= stored[..]);
            u32::try_from(behind.saturating_sub(1)).expect("invariant: a list of Regions is short")
        };
        (0..keys.count()).map(region).collect()
    }

    fn servers(&self, space: Space, keys: &Keys) -> Vec<u16> {
        let server = |region: u32| self.0.get(region as usize).map_or(0, |(_, server)| *server);
        self.of(space, keys).into_iter().map(server).collect()
    }
}

/// For each key, the number of the server that leads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes {
    raw: Vec<u16>,
    kv: Vec<u16>,
    accounts: Vec<u16>,
}

impl Routes {
    /// Where keys and accounts lead to.
    #[must_use]
    pub fn new(regions: &Regions, keys: &Keys, accounts: &Keys) -> Self {
        Self {
            raw: regions.servers(Space::Raw, keys),
            kv: regions.servers(Space::Kv, keys),
            accounts: regions.servers(Space::Accounts, accounts),
        }
    }

    /// The server for a key.
    #[must_use]
    pub fn server(&self, space: Space, key: u32) -> usize {
        let servers = match space {
            Space::Raw => &self.raw,
            Space::Kv => &self.kv,
            Space::Accounts => &self.accounts,
        };
        usize::from(servers[key as usize])
    }
}

#[derive(Deserialize)]
struct RegionList {
    items: Vec<Region>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Region {
    range: Range,
    leader: Option<Peer>,
}

#[derive(Deserialize)]
struct Range {
    start: Start,
}

#[derive(Deserialize)]
struct Start {
    hex: String,
}

#[derive(Deserialize)]
struct Peer {
    store: u64,
}

#[derive(Deserialize)]
struct StoreList {
    items: Vec<Store>,
}

#[derive(Deserialize)]
struct Store {
    id: u64,
    node: u64,
}

#[derive(Deserialize)]
struct Cluster {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: u64,
    http: String,
}

/// Regions of Troupe's `servers`.
///
/// # Errors
/// Placement does not answer, or some Region has no leader for long.
pub async fn of_troupe(servers: &Servers) -> Result<Regions, CliError> {
    let base = servers.addresses.first().cloned().unwrap_or_default();
    let by_store = servers_by_store(servers, &base).await?;
    for _ in 0..TRIES {
        if let Some(starts) = region_starts(&base, &by_store).await? {
            return Ok(Regions(starts));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(CliError::TooSlow("some Region has no leader".to_owned()))
}

async fn servers_by_store(servers: &Servers, base: &str) -> Result<BTreeMap<u64, u16>, CliError> {
    let cluster: Cluster = get(base, "/v1/cluster").await?;
    let stores: StoreList = get(base, "/v1/stores").await?;
    let mut by_store = BTreeMap::new();
    for store in stores.items {
        let node = cluster.nodes.iter().find(|node| node.id == store.node);
        let address = node.map(|node| node.http.trim_start_matches("http://"));
        let server = servers.addresses.iter().position(|known| Some(known.as_str()) == address);
        if let Some(server) = server.and_then(|server| u16::try_from(server).ok()) {
            by_store.insert(store.id, server);
        }
    }
    Ok(by_store)
}

/// `None` if the leader of some Region is not known.
async fn region_starts(
    base: &str,
    by_store: &BTreeMap<u64, u16>,
) -> Result<Option<Vec<(Vec<u8>, u16)>>, CliError> {
    let (mut starts, mut cursor) = (Vec::new(), String::new());
    loop {
        let page: RegionList = get(base, &format!("/v1/regions?limit={PAGE}{cursor}")).await?;
        for region in page.items {
            let server = region.leader.and_then(|leader| by_store.get(&leader.store).copied());
            let Some(server) = server else { return Ok(None) };
            starts.push((start_bytes(&region.range.start)?, server));
        }
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(Some(starts)),
        }
    }
}

fn start_bytes(start: &Start) -> Result<Vec<u8>, CliError> {
    let Start { hex } = start;
    let digits = |at: usize| hex.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    let bytes = (0..hex.len()).step_by(2).map(digits).collect::<Option<Vec<u8>>>();
    bytes.ok_or_else(|| CliError::BadAnswer(format!("`{hex}` is no key")))
}

/// The address of the one that leads etcd.
///
/// # Errors
/// None of them says that it does.
pub async fn of_etcd(servers: &Servers) -> Result<String, CliError> {
    for address in &servers.addresses {
        let answer =
            reqwest::get(format!("http://{address}/metrics")).await.map_err(unreachable)?;
        let metrics = answer.text().await.map_err(unreachable)?;
        if counter(&metrics, "etcd_server_is_leader") == Some(1) {
            return Ok(address.clone());
        }
    }
    Err(CliError::Failed(format!("no node of {} leads", TargetName::Etcd.as_str())))
}

async fn get<T: DeserializeOwned>(base: &str, path: &str) -> Result<T, CliError> {
    let answer = reqwest::get(format!("http://{base}{path}")).await.map_err(unreachable)?;
    let answer = answer.error_for_status().map_err(unreachable)?;
    answer.json().await.map_err(|error| CliError::BadAnswer(error.to_string()))
}

fn unreachable(error: reqwest::Error) -> CliError {
    CliError::Transport {
        what: "the cluster does not say who leads".to_owned(),
        reason: error.to_string(),
        outcome_unknown: false,
    }
}

#[cfg(test)]
mod tests;
