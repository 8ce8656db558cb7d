//! Waiting until every Region serves writes again, through every node.
use super::api::Freshness;
use super::cluster::POLL;
use super::load::{KEYS, Load, PROBER, PROBES, Window};
use crate::workload::{Op, Outcome};
use futures::future::join_all;
use std::time::Duration;
use tokio::time::Instant;

/// Longest time until everything serves after a fault is over.
pub const LIVENESS: Duration = Duration::from_secs(30);
/// How long one probe waits before it is asked again.
const PATIENCE: Duration = Duration::from_secs(2);

/// Writes to each Region through each node until all were acknowledged. Answers how long it took.
///
/// # Errors
/// What did not serve within [`LIVENESS`].
pub async fn until_serving(load: &Load) -> Result<Duration, String> {
    let started = Instant::now();
    let window = load.current();
    let nodes = (0..load.api.nodes.count()).map(|node| through(load, &window, node));
    let answers = join_all(nodes).await;
    let wrong: Vec<String> = answers.into_iter().filter_map(Result::err).collect();
    if wrong.is_empty() { Ok(started.elapsed()) } else { Err(wrong.join("; ")) }
}

async fn through(load: &Load, window: &Window, node: usize) -> Result<(), String> {
    let deadline = Instant::now() + LIVENESS;
    let client = PROBER + u32::try_from(node).unwrap();
    for key in KEYS..KEYS + PROBES {
        loop {
            let op = Op::Put(load.value());
            let outcome =
                load.ask(window, client, node, (key, op), Freshness::Leader, PATIENCE).await;
            if outcome == Outcome::Done {
                break;
            }
            if Instant::now() > deadline {
                let (node, limit) = (node + 1, LIVENESS.as_secs());
                return Err(format!("node {node} serves no write to key {key} after {limit} s"));
            }
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(())
}

/// Waits until every replica has applied what its leader knew to be committed: each node reads each
/// Region at its own replica.
///
/// # Errors
/// A replica that is not level within [`LIVENESS`].
pub async fn until_level(load: &Load) -> Result<(), String> {
    let window = load.current();
    let places =
        (0..load.api.nodes.count()).flat_map(|node| (KEYS..KEYS + PROBES).map(move |k| (node, k)));
    let reads = places.map(|(node, key)| read(load, &window, (key, node), Freshness::Follower));
    join_all(reads).await.into_iter().collect()
}

/// Reads every key of a window once more, with the consent of a majority.
///
/// # Errors
/// A key that cannot be read within [`LIVENESS`].
pub async fn read_all(load: &Load, window: &Window) -> Result<(), String> {
    let keys = (0..KEYS + PROBES).map(|key| {
        let node = usize::try_from(key).unwrap() % load.api.nodes.count();
        read(load, window, (key, node), Freshness::Majority)
    });
    join_all(keys).await.into_iter().collect()
}

async fn read(
    load: &Load,
    window: &Window,
    (key, node): (u32, usize),
    freshness: Freshness,
) -> Result<(), String> {
    let deadline = Instant::now() + LIVENESS;
    loop {
        let asked = (key, Op::Get);
        if let Outcome::Read(_) = load.ask(window, PROBER, node, asked, freshness, PATIENCE).await {
            return Ok(());
        }
        if Instant::now() > deadline {
            let window = window.number;
            return Err(format!("key {key} of window {window} is not read by node {}", node + 1));
        }
        tokio::time::sleep(POLL).await;
    }
}
