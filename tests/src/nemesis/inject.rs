//! Making an event happen, and healing it.
use super::api::Freshness;
use super::cluster::Cluster;
use super::event::{Event, Kind};
use super::links::Flow;
use super::load::{KEYS, Load, PROBER};
use crate::workload::Op;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// A node whose disk fails has to be gone after that.
const DIES_WITHIN: Duration = Duration::from_secs(20);
/// Time between the kills of one event.
const STAGGER: Duration = Duration::from_millis(30);
/// SIGABRT: how a node ends itself.
const ABORT: i32 = 6;

/// Performs `event`, and heals it: all nodes run and reach each other afterwards. Answers what is
/// worth telling.
///
/// # Errors
/// A node ended that must not have, or did not end that must have.
pub async fn perform(
    cluster: &mut Cluster,
    load: &Arc<Load>,
    event: &Event,
) -> Result<String, String> {
    let victim = event.order[0];
    match event.kind {
        Kind::KillOne => kill(cluster, event, 1).await,
        Kind::KillTwo => kill(cluster, event, 2).await,
        Kind::KillAll => kill(cluster, event, event.order.len()).await,
        Kind::Pause => pause(cluster, load, victim, event.hold).await,
        Kind::Isolate | Kind::OneWay | Kind::Partial | Kind::SlowNetwork => {
            cut(cluster, event).await;
        }
        Kind::DiskFull => return fill_disk(cluster, event).await,
        Kind::DiskFails => return fail_disk(cluster, victim).await,
        Kind::SlowDisk => {
            cluster.disk(victim).slow_down(event.delay);
            tokio::time::sleep(event.hold).await;
            let (_, _, slow) = cluster.disk(victim).met();
            cluster.disk(victim).heal();
            return Ok(format!("{slow} slow syncs so far"));
        }
    }
    Ok(String::new())
}

async fn kill(cluster: &mut Cluster, event: &Event, count: usize) {
    for node in &event.order[..count] {
        cluster.kill(*node);
        if event.other_form {
            tokio::time::sleep(STAGGER).await;
        }
    }
    tokio::time::sleep(event.hold).await;
    for node in &event.order[..count] {
        cluster.start(*node);
    }
}

/// Reads are under way to the node before it goes on: it meets them before it hears from others.
async fn pause(cluster: &Cluster, load: &Arc<Load>, node: usize, hold: Duration) {
    cluster.pause(node);
    tokio::time::sleep(hold).await;
    let mut reads = JoinSet::new();
    burst(&mut reads, load, node);
    tokio::time::sleep(Duration::from_millis(5)).await;
    cluster.resume(node);
    burst(&mut reads, load, node);
    while let Some(read) = reads.join_next().await {
        read.expect("a read met an answer that it did not expect");
    }
}

/// Reads of every key of the window, all at once.
fn burst(reads: &mut JoinSet<()>, load: &Arc<Load>, node: usize) {
    for key in 0..KEYS {
        let load = load.clone();
        reads.spawn(async move {
            let (window, patience) = (load.current(), Duration::from_secs(3));
            let asked = (key, Op::Get);
            load.ask(&window, PROBER, node, asked, Freshness::Leader, patience).await;
        });
    }
}

async fn cut(cluster: &Cluster, event: &Event) {
    let links = &cluster.links;
    let (victim, others) = (event.order[0], &event.order[1..]);
    let slow = Flow::Slow(event.delay);
    for other in others {
        let (there, back) = match event.kind {
            Kind::OneWay if event.other_form => (Flow::Open, Flow::Cut),
            Kind::OneWay => (Flow::Cut, Flow::Open),
            Kind::Partial if *other != others[0] => (Flow::Open, Flow::Open),
            Kind::SlowNetwork => (slow, slow),
            Kind::Isolate
            | Kind::Partial
            | Kind::KillOne
            | Kind::KillTwo
            | Kind::KillAll
            | Kind::Pause
            | Kind::DiskFull
            | Kind::DiskFails
            | Kind::SlowDisk => (Flow::Cut, Flow::Cut),
        };
        links.set(victim, *other, there);
        links.set(*other, victim, back);
        if event.kind == Kind::Isolate && event.other_form {
            links.reset(victim, *other);
            links.reset(*other, victim);
        }
    }
    tokio::time::sleep(event.hold).await;
    links.heal();
}

/// A full disk may end the node, or make it refuse writes; with space again it has to work.
async fn fill_disk(cluster: &mut Cluster, event: &Event) -> Result<String, String> {
    let node = event.order[0];
    let (_, before, _) = cluster.disk(node).met();
    cluster.disk(node).fill();
    let ended = cluster.until_ended(node, event.hold).await;
    let (_, after, _) = cluster.disk(node).met();
    cluster.disk(node).heal();
    let refused = after - before;
    match ended {
        None => Ok(format!("{refused} writes refused")),
        Some(status) if status.signal() == Some(ABORT) => {
            cluster.clear_mark(node);
            cluster.start(node);
            Ok(format!("{refused} writes refused, the node ended itself"))
        }
        Some(status) => Err(format!("a full disk ended node {} with {status}", node + 1)),
    }
}

async fn fail_disk(cluster: &mut Cluster, node: usize) -> Result<String, String> {
    cluster.disk(node).fail_syncs();
    let ended = cluster.until_ended(node, DIES_WITHIN).await;
    cluster.disk(node).heal();
    match ended {
        Some(status) if status.signal() == Some(ABORT) => {
            cluster.clear_mark(node);
            cluster.start(node);
            Ok("the node ended itself".to_owned())
        }
        Some(status) => Err(format!("a failed sync ended node {} with {status}", node + 1)),
        None => Err(format!("node {} outlives a failed sync", node + 1)),
    }
}
