//! A panic in one Region stays in that Region. A cluster of real cells on paused time, with panics
//! planted into the actors of chosen nodes; all times here are virtual.
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use troupe_actors::env::FaultPoint;
use troupe_actors::kv_service::KvService;
use troupe_actors::node::RegionService;
use troupe_actors::region_peer::EntriesPersisted;
use troupe_actors::registry::{ActorEntry, ActorState};
use troupe_storage::region_state::read_apply_state;
use troupe_tests::sim::node::Plan;
use troupe_tests::sim::planted::Planted;
use troupe_tests::sim::world::{World, simulate};
use troupe_types::command::RawChange;
use troupe_types::error::UnknownReason;
use troupe_types::pd::{PdReply, PdRequest};
use troupe_types::request::{RegionBody, RegionRequest, RegionResult, RegionTarget};
use troupe_types::{
    Class, Code, Key, Moment, NodeId, RegionError, RegionId, StoreId, TraceTags, WriteCommand,
};

/// Numbers of keys that lie in four different Regions.
const VICTIM: u32 = 0;
const NEIGHBOURS: [u32; 3] = [1, 2, 3];
const SECOND: Duration = Duration::from_secs(1);

struct Cluster {
    world: World,
    planted: BTreeMap<NodeId, Arc<Planted>>,
}

/// Runs `test` in a complete cluster of three nodes.
fn in_cluster<F: Future<Output = ()>>(seed: u64, test: impl FnOnce(std::rc::Rc<Cluster>) -> F) {
    simulate(async {
        let world = World::new(Plan { slow_job: 0, ..Plan::of_seed(seed) }, false);
        let mut planted = BTreeMap::new();
        for id in world.ids() {
            planted.insert(id, world.with_node(id, |node| node.planted.clone()));
        }
        world.found().await;
        let cluster = std::rc::Rc::new(Cluster { world, planted });
        test(cluster.clone()).await;
        cluster.world.end().await;
    });
}

fn change(text: &str) -> RawChange {
    RawChange::Put { value: text.to_owned().into(), expires_at: None }
}

impl Cluster {
    fn service(&self, node: NodeId) -> KvService {
        self.world.service(node).expect("the node is up")
    }

    async fn region_of(&self, key: u32) -> RegionId {
        let service = self.service(NodeId(1));
        let deadline = service.env().now().after(SECOND);
        let request = PdRequest::RegionByKey { key: World::key(key) };
        match service.pd(request, deadline).await {
            Ok(PdReply::Routes(routes)) => routes[0].region.id,
            other => panic!("PD answers {other:?}"),
        }
    }

    fn leader_of(&self, region: RegionId) -> Option<NodeId> {
        let claims = self.world.claims();
        let leader = claims.iter().find(|claim| claim.region == region && claim.has_lease);
        leader.map(|claim| NodeId(claim.store.get()))
    }

    async fn wait_for_leader(&self, region: RegionId) -> NodeId {
        self.until("a leader", 5 * SECOND, || self.leader_of(region).is_some()).await;
        self.leader_of(region).expect("just seen")
    }

    async fn until(&self, what: &str, within: Duration, is_so: impl Fn() -> bool) {
        self.world.until(what, within, || std::future::ready(is_so())).await;
    }

    /// Writes through `node` until it is acknowledged; answers how long that took.
    async fn put(&self, node: NodeId, key: u32) -> Duration {
        let began = Instant::now();
        let service = self.service(node);
        loop {
            let options = self.world.options(&service, 10 * SECOND);
            let changes = vec![(World::key(key), change("value"))];
            let outcome = service.raw_write(changes, &options).await;
            match outcome.failed.first() {
                None => return began.elapsed(),
                // The write that the crash caught: a client that writes the same again may do so.
                Some((_, error)) if error.code.class() == Class::Unknown => {}
                Some((_, error)) => panic!("key {key}: {error}"),
            }
        }
    }

    fn entry(&self, node: NodeId, region: RegionId) -> Arc<ActorEntry> {
        let name = format!("store-{node}/region-{region}");
        let entries = self.world.with_life(node, |life| life.env.registry.list());
        let found = entries.into_iter().flatten().find(|entry| entry.name == name);
        found.expect("the replica is in the registry")
    }

    fn verdicts(&self, node: NodeId) -> Vec<(String, &'static str)> {
        let records = self.world.with_life(node, |life| life.env.registry.restarts());
        let records = records.into_iter().flatten();
        records.map(|record| (record.name, record.verdict)).collect()
    }

    async fn serve(&self, node: NodeId, region: RegionId, body: RegionBody) -> RegionResult {
        let (stores, epoch, deadline) = self
            .world
            .with_life(node, |life| {
                let handle = life.store.router.get(region).expect("the replica runs");
                let epoch = handle.view.delegate().expect("it has published").region.epoch;
                (life.stores.clone(), epoch, life.env.now().after(5 * SECOND))
            })
            .expect("the node is up");
        let target = RegionTarget { region, epoch };
        let store = StoreId(node.get());
        let traces = TraceTags::NONE;
        stores.serve(RegionRequest { store, target, body, traces }, deadline).await
    }

    fn write(key: Key) -> RegionBody {
        RegionBody::Write(WriteCommand::RawWrite { changes: vec![(key, change("direct"))] })
    }
}

/// How long writes to other Regions take while `act` goes on.
async fn beside<T>(
    cluster: &std::rc::Rc<Cluster>,
    act: impl Future<Output = T>,
) -> (T, Vec<Duration>) {
    let times = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let tasks: Vec<_> = NEIGHBOURS
        .into_iter()
        .map(|key| {
            let (cluster, times) = (cluster.clone(), times.clone());
            actix_rt::spawn(async move {
                loop {
                    let took = cluster.put(NodeId(1), key).await;
                    times.borrow_mut().push(took);
                    tokio::time::sleep(Duration::from_millis(7)).await;
                }
            })
        })
        .collect();
    let result = act.await;
    tasks.iter().for_each(|task| task.abort());
    let mut times = times.borrow().clone();
    times.sort();
    (result, times)
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

#[test]
fn a_panic_pauses_only_its_region_for_less_than_a_second() {
    in_cluster(11, |cluster| async move {
        let region = cluster.region_of(VICTIM).await;
        let (_, quiet) = beside(&cluster, tokio::time::sleep(3 * SECOND)).await;
        let points = [FaultPoint::PeerStep, FaultPoint::PeerFlush, FaultPoint::PeerTick];
        let mut crashes = BTreeMap::<NodeId, u64>::new();
        for point in points {
            let leader = cluster.wait_for_leader(region).await;
            cluster.planted[&leader].plan(point, region, 1);
            let back = async {
                cluster.until("the panic", SECOND, || cluster.planted[&leader].left() == 0).await;
                let took = cluster.put(NodeId(1), VICTIM).await;
                tokio::time::sleep(2 * SECOND).await;
                took
            };
            let (took, disturbed) = beside(&cluster, back).await;
            assert!(took < SECOND, "{point:?}: served again after {took:?}");
            assert!(disturbed.len() > 100, "the neighbours were written to");
            for percent in [50, 99] {
                let (before, while_down) =
                    (percentile(&quiet, percent), percentile(&disturbed, percent));
                let allowed = before + before / 2 + Duration::from_millis(2);
                assert!(
                    while_down <= allowed,
                    "{point:?}: p{percent} of the neighbours was {before:?}, is {while_down:?}"
                );
            }
            let restarts = crashes.entry(leader).or_default();
            *restarts += 1;
            let entry = cluster.entry(leader, region);
            assert_eq!((entry.state(), entry.restarts()), (ActorState::Running, *restarts));
        }
        let name = |node| format!("store-{node}/region-{region}");
        for node in cluster.world.ids() {
            let expected = crashes.get(&node).copied().unwrap_or(0);
            let verdicts = cluster.verdicts(node);
            assert_eq!(verdicts.len() as u64, expected, "{verdicts:?}");
            assert!(verdicts.iter().all(|record| *record == (name(node), "restart")));
        }
    });
}

#[test]
fn the_fourth_panic_quarantines_the_replica_until_it_is_released() {
    in_cluster(12, |cluster| async move {
        let region = cluster.region_of(VICTIM).await;
        let sick = cluster.wait_for_leader(region).await;
        cluster.planted[&sick].plan(FaultPoint::PeerTick, region, 4);
        let is_out = || cluster.entry(sick, region).state() == ActorState::Quarantined;
        cluster.until("the quarantine", 30 * SECOND, is_out).await;
        assert_eq!(cluster.entry(sick, region).restarts(), 3);
        let verdicts: Vec<_> = cluster.verdicts(sick).into_iter().map(|(_, what)| what).collect();
        assert_eq!(verdicts, ["restart", "restart", "restart", "quarantine"]);

        let took = cluster.put(sick, VICTIM).await;
        assert!(took < 10 * SECOND, "two of three replicas serve after {took:?}");
        assert_ne!(cluster.wait_for_leader(region).await, sick);
        for key in NEIGHBOURS {
            assert!(cluster.put(sick, key).await < SECOND, "neighbours of the quarantined serve");
        }

        cluster.world.crash(sick, 0);
        cluster.world.start(sick);
        tokio::time::sleep(3 * SECOND).await;
        let runs = || cluster.world.with_life(sick, |life| life.store.router.get(region).is_some());
        assert_eq!(runs(), Some(false), "a quarantine outlives the process");

        let service = cluster.service(sick);
        let options = cluster.world.options(&service, 5 * SECOND);
        let released = service.release(region, StoreId(sick.get()), &options).await;
        assert_eq!(released, Ok(()));
        cluster.until("the replica to run", SECOND, || runs() == Some(true)).await;
        let is_level = || {
            let replicas = &cluster.world.replicas()[&region];
            replicas.len() == 3 && replicas.iter().all(|one| one.data == replicas[0].data)
        };
        cluster.until("the replica to catch up", 10 * SECOND, is_level).await;
    });
}

#[test]
fn an_entry_that_cannot_be_applied_halts_its_region_alone_and_for_good() {
    in_cluster(13, |cluster| async move {
        let region = cluster.region_of(VICTIM).await;
        cluster.wait_for_leader(region).await;
        // Once for the batch, once for the entry alone: on every replica, as a real one would.
        for planted in cluster.planted.values() {
            planted.plan(FaultPoint::Apply, region, 2);
        }
        let service = cluster.service(NodeId(1));
        let options = cluster.world.options(&service, 3 * SECOND);
        let changes = vec![(World::key(VICTIM), change("poison"))];
        let outcome = service.raw_write(changes, &options).await;
        let (_, error) = outcome.failed.first().expect("a write that was not applied");
        assert_eq!(error.code.class(), Class::Unknown, "it is in the log: {error}");
        let halts = || -> Vec<_> {
            let of = |id| {
                cluster
                    .world
                    .with_node(id, |node| read_apply_state(&*node.disk.engine, region).unwrap())
            };
            let states = cluster.world.ids().into_iter().filter_map(of);
            states.filter_map(|state| state.halted).map(|halt| halt.index).collect()
        };
        cluster.until("all replicas to halt", 5 * SECOND, || halts().len() == 3).await;
        assert!(halts().windows(2).all(|pair| pair[0] == pair[1]), "{:?}", halts());
        check_halted(&cluster, region).await;

        for id in cluster.world.ids() {
            cluster.world.crash(id, 0);
        }
        for id in cluster.world.ids() {
            cluster.world.start(id);
        }
        for key in NEIGHBOURS {
            cluster.put(NodeId(2), key).await;
        }
        check_halted(&cluster, region).await;
    });
}

/// The Region refuses with a clear error, on each replica and through the service; others serve.
async fn check_halted(cluster: &Cluster, region: RegionId) {
    for id in cluster.world.ids() {
        let answer = cluster.serve(id, region, Cluster::write(World::key(VICTIM))).await;
        let store = StoreId(id.get());
        assert_eq!(answer, Err(RegionError::RegionHalted { region, store }));
    }
    let service = cluster.service(NodeId(1));
    let options = cluster.world.options(&service, 2 * SECOND);
    let read = service.raw_get(World::key(VICTIM), &options).await;
    assert_eq!(read.expect_err("it is halted").code, Code::RegionUnavailable);
    for key in NEIGHBOURS {
        assert!(cluster.put(NodeId(1), key).await < SECOND);
    }
}

#[test]
fn a_write_in_a_crashed_replica_has_an_unknown_outcome() {
    in_cluster(14, |cluster| async move {
        let region = cluster.region_of(VICTIM).await;
        for point in [FaultPoint::PeerStep, FaultPoint::PeerFlush] {
            let leader = cluster.wait_for_leader(region).await;
            cluster.planted[&leader].plan(point, region, 1);
            let answer = cluster.serve(leader, region, Cluster::write(World::key(VICTIM))).await;
            let why = UnknownReason::ActorCrashed;
            assert_eq!(answer, Err(RegionError::OutcomeUnknown { why }), "{point:?}");
            assert_eq!(cluster.planted[&leader].left(), 0);
        }
    });
}

#[test]
fn news_for_an_earlier_life_is_ignored() {
    in_cluster(15, |cluster| async move {
        let region = cluster.region_of(VICTIM).await;
        let node = cluster.wait_for_leader(region).await;
        let handle =
            || cluster.world.with_life(node, |life| life.store.router.get(region)).flatten();
        let old = handle().expect("it runs").generation;
        cluster.planted[&node].plan(FaultPoint::PeerTick, region, 1);
        let is_new = || handle().is_some_and(|handle| handle.generation > old);
        cluster.until("the next life", 5 * SECOND, is_new).await;
        let tell = |generation| {
            let told = handle()
                .expect("it runs")
                .mailbox
                .tell(EntriesPersisted { generation, number: 1 << 40 });
            assert!(told.is_ok());
        };
        tell(old);
        cluster.put(NodeId(1), VICTIM).await;
        tokio::time::sleep(2 * SECOND).await;
        assert_eq!(cluster.entry(node, region).restarts(), 1, "the late message did nothing");

        // The same message in the present life is believed, and what it says is impossible.
        tell(handle().expect("it runs").generation);
        cluster.put(NodeId(1), VICTIM).await;
        let has_crashed = || cluster.entry(node, region).restarts() == 2;
        cluster.until("the crash", 5 * SECOND, has_crashed).await;
    });
}

#[test]
fn a_dead_leader_serves_no_read() {
    in_cluster(16, |cluster| async move {
        let region = cluster.region_of(VICTIM).await;
        let leader = cluster.wait_for_leader(region).await;
        let view = cluster
            .world
            .with_life(leader, |life| life.store.router.get(region).expect("it runs").view);
        let view = view.expect("the node is up");
        let now =
            || cluster.world.with_life(leader, |life| life.env.now()).unwrap_or(Moment::NEVER);
        assert!(view.leads(now()));
        cluster.planted[&leader].plan(FaultPoint::PeerTick, region, 1);
        let has_crashed = || cluster.planted[&leader].left() == 0;
        while !has_crashed() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(!view.leads(now()), "its lease ended with it");
        assert!(view.delegate().is_none());
    });
}
