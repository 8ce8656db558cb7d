//! A world in which Regions change their shape between the entries of their logs.
//!
//! Nothing but splits and merges changes a Region's version, so this does by hand what they will do: all
//! nodes lose what they applied last, the version of some Regions is raised on all disks, at the entry
//! where all replicas stand, and the nodes start again. They replay entries that were routed by
//! the shape before; these must have no effect, and whoever comes with the old shape learns the new one.
use super::checkers::state::are_level;
use super::clients::{Clients, KEYS};
use super::net::millis;
use super::plan::Plan;
use super::world::{World, simulate};
use crate::workload::{Op, Outcome};
use std::collections::BTreeMap;
use std::future::ready;
use std::rc::Rc;
use std::time::Duration;
use troupe_actors::env::Rngs;
use troupe_storage::engine::{Cf, Durability, KvEngine, Modify, WriteBatch};
use troupe_storage::raft_log::RaftLog;
use troupe_storage::region_state::{ReplicaState, read_replica_state, replica_key};
use troupe_types::request::Consistency;
use troupe_types::{LogIndex, NodeId, RegionId, SYSTEM_REGION, codec};

/// Longest virtual time to wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the world of `seed`; answers how many entries were replayed behind a new shape.
///
/// # Panics
/// An entry of the older shape had an effect, or the Regions do not serve under the new one.
#[must_use]
pub fn run(seed: u64) -> u64 {
    simulate(async move {
        let world = Rc::new(World::new(Plan::of_seed(seed), false));
        world.found().await;
        let clients = Clients::start(&world, 4);
        tokio::time::sleep(millis(world.rngs.rng("shape").between(500, 3_000))).await;
        clients.stop();
        tokio::time::sleep(PATIENCE / 10).await;
        let count = change_shapes(&world, &clients).await;
        world.end().await;
        count
    })
}

async fn change_shapes(world: &Rc<World>, clients: &Clients) -> u64 {
    let is_level = || ready(are_level(&world.replicas()));
    world.until("all replicas to be level", PATIENCE, is_level).await;
    for node in world.ids() {
        let made = world.with_node(node, |node| node.disk.engine.make_durable());
        made.expect("the memory twin syncs");
    }
    let stood = applied(world);
    write_everywhere(world, clients, 0).await;
    for node in world.ids() {
        world.crash(node, 0);
    }
    let ends = ends(world);
    // A flush of its own may have kept a replica further on.
    let is_back = |region: &RegionId| applied(world).get(region) == stood.get(region);
    let behind: Vec<RegionId> =
        ends.keys().copied().filter(|r| *r != SYSTEM_REGION && is_back(r)).collect();
    for node in world.ids() {
        behind.iter().for_each(|region| raise_version(world, node, *region));
    }
    let before = world.replicas();
    for node in world.ids() {
        world.start(node);
    }
    let is_replayed = || {
        let at = applied(world);
        let are_all = behind.iter().all(|region| {
            at.get(region).is_some_and(|replicas| replicas.iter().all(|at| *at > ends[region]))
        });
        ready(are_all && are_level(&world.replicas()))
    };
    world.until("the logs to be replayed", PATIENCE, is_replayed).await;
    let after = world.replicas();
    for region in &behind {
        let data = |all: &BTreeMap<RegionId, Vec<_>>| all[region].iter().map(data_of).collect();
        let (before, after): (Vec<u64>, Vec<u64>) = (data(&before), data(&after));
        assert_eq!(before, after, "region {region}: entries of an older shape had an effect");
    }
    write_everywhere(world, clients, 1).await;
    behind.iter().map(|region| ends[region].get() - stood[region][0].get()).sum()
}

fn data_of(replica: &super::checkers::state::Replica) -> u64 {
    replica.data
}

/// Where the replicas of each Region stand.
fn applied(world: &World) -> BTreeMap<RegionId, Vec<LogIndex>> {
    let all = world.replicas().into_iter();
    all.map(|(region, replicas)| (region, replicas.iter().map(|r| r.applied).collect())).collect()
}

/// The last entry of each Region in any log.
fn ends(world: &World) -> BTreeMap<RegionId, LogIndex> {
    let mut ends = BTreeMap::new();
    for node in world.ids() {
        let log = world.with_node(node, |node| node.disk.log.clone());
        for region in log.regions() {
            let state = log.state(region).expect("the memory twin reads").unwrap_or_default();
            let end: &mut LogIndex = ends.entry(region).or_default();
            *end = state.last_index.max(*end);
        }
    }
    ends
}

fn raise_version(world: &World, node: NodeId, region: RegionId) {
    let engine = world.with_node(node, |node| node.disk.engine.clone());
    let state = read_replica_state(&*engine, region).expect("the row decodes");
    let Some(ReplicaState::Normal { peer, region: mut shape }) = state else {
        panic!("node {node} has no replica of region {region}: {state:?}")
    };
    shape.epoch.version += 1;
    let row = codec::encode(&ReplicaState::Normal { peer, region: shape });
    let put = Modify::Put(Cf::Raft, replica_key(region), row.into());
    let written = engine.write(WriteBatch { changes: vec![put] }, Durability::Synced);
    written.expect("the memory twin writes");
}

/// Every key is written through every node.
async fn write_everywhere(world: &World, clients: &Clients, round: u64) {
    let mut value = 800_000_000 + round * 1_000_000;
    for node in world.ids() {
        for key in 0..KEYS {
            value += 1;
            let op = (key, Op::Put(value));
            let ask = || async {
                let by = Consistency::Leader;
                clients.ask(1_000, node, op, by, PATIENCE / 3).await == Outcome::Done
            };
            world.until(&format!("{op:?} through node {node}"), PATIENCE, ask).await;
        }
    }
}
