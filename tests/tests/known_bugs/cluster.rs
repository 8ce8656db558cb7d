//! A complete simulated cluster and the hands to move it. All times are virtual.
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use troupe_actors::env::Clock;
use troupe_actors::kv_service::{CallOptions, KvService, ServiceError};
use troupe_actors::node::RegionService;
use troupe_actors::router::RegionView;
use troupe_storage::engine::{Cf, KvEngine};
use troupe_tests::sim::node::Plan;
use troupe_tests::sim::world::{World, simulate};
use troupe_types::command::RawChange;
use troupe_types::pd::{PdReply, PdRequest};
use troupe_types::raw_value::RawValue;
use troupe_types::request::{
    AdminCommand, Consistency, PeerStatus, RegionBody, RegionReply, RegionRequest, RegionResult,
    RegionTarget,
};
use troupe_types::{
    NodeId, Peer, RegionError, RegionId, StoreId, TraceTags, UnixMillis, WriteCommand,
};

pub const SECOND: Duration = Duration::from_secs(1);
/// Lease of a simulated replica.
pub const LEASE: Duration = Duration::from_millis(800);
/// The key that most tests use.
pub const KEY: u32 = 0;

pub fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

pub struct Cluster {
    pub world: Rc<World>,
}

/// What a test needs to look at one replica at any moment, also from inside a filter.
#[derive(Clone)]
pub struct Eye {
    pub node: NodeId,
    pub view: Arc<RegionView>,
    pub engine: Arc<dyn KvEngine>,
    pub clock: Arc<dyn Clock>,
}

impl Eye {
    pub fn has_lease(&self) -> bool {
        self.view.leads(self.clock.now())
    }

    /// Reads as a gateway of that node would by the lease; `None` if it may not. 0 = no row.
    pub fn lease_read(&self, key: u32) -> Option<u64> {
        let snapshot = self.view.lease_snapshot(&*self.engine, &*self.clock)?;
        Some(stored_number(snapshot.get(Cf::Default, &World::key(key)).unwrap()))
    }

    /// What its engine holds, lease or not.
    pub fn applied(&self, key: u32) -> u64 {
        stored_number(self.engine.get(Cf::Default, &World::key(key)).unwrap())
    }
}

fn stored_number(row: Option<bytes::Bytes>) -> u64 {
    row.map_or(0, |stored| number(&RawValue::decode(&stored).unwrap().value))
}

fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

pub fn change(value: u64) -> RawChange {
    RawChange::Put { value: value.to_string().into(), expires_at: None }
}

/// Nothing is slow by chance.
pub fn plan(seed: u64) -> Plan {
    Plan { slow_job: 0, ..Plan::of_seed(seed) }
}

/// Runs `test` in a complete cluster. The newest events are printed if it fails.
pub fn in_cluster<F: Future<Output = ()>>(plan: Plan, test: impl FnOnce(Rc<Cluster>) -> F) {
    use futures::FutureExt;
    simulate(async {
        let world = Rc::new(World::new(plan, false));
        let inside = async {
            world.found().await;
            test(Rc::new(Cluster { world: world.clone() })).await;
        };
        let result = std::panic::AssertUnwindSafe(inside).catch_unwind().await;
        if result.is_err() {
            eprintln!("the newest events:\n{}", world.log.tail(200));
        }
        world.end().await;
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Reads the key at all replicas by their leases, over and over; see [`Cluster::watch`].
pub struct Watch {
    /// Newest value that was acknowledged; the test sets it.
    pub acknowledged: Cell<u64>,
    /// Reads that were served.
    pub reads: Cell<u64>,
    is_over: Cell<bool>,
    wrong: RefCell<Vec<String>>,
}

impl Cluster {
    pub fn service(&self, node: NodeId) -> KvService {
        self.world.service(node).expect("the node is up")
    }

    pub async fn region_of(&self, key: u32) -> RegionId {
        let service = self.service(NodeId(1));
        for _ in 0..20 {
            let deadline = service.env().now().after(SECOND);
            let request = PdRequest::RegionByKey { key: World::key(key) };
            match service.pd(request, deadline).await {
                Ok(PdReply::Routes(routes)) if !routes.is_empty() => return routes[0].region.id,
                // A new PD knows a Region once its leader has reported.
                Ok(_) | Err(_) => sleep(millis(100)).await,
            }
        }
        panic!("PD does not say where key {key} is");
    }

    /// Who says that it leads, in the newest term in which anybody does.
    pub fn newest_leader(&self, region: RegionId) -> Option<NodeId> {
        let claims = self.world.claims().into_iter().filter(|c| c.region == region && c.leads);
        claims.max_by_key(|claim| claim.term).map(|claim| NodeId(claim.store.get()))
    }

    pub fn holder(&self, region: RegionId) -> Option<NodeId> {
        let mut claims = self.world.claims().into_iter();
        let holder = claims.find(|claim| claim.region == region && claim.has_lease);
        holder.map(|claim| NodeId(claim.store.get()))
    }

    pub async fn wait_for_leader(&self, region: RegionId) -> NodeId {
        self.until("a leader", 10 * SECOND, || self.holder(region).is_some()).await;
        self.holder(region).expect("just seen")
    }

    /// Waits until another node than `old` says that it leads.
    pub async fn wait_for_other_leader(&self, region: RegionId, old: NodeId) -> NodeId {
        let other = || self.newest_leader(region).filter(|leader| *leader != old);
        self.until("another leader", 10 * SECOND, || other().is_some()).await;
        other().expect("just seen")
    }

    pub async fn until(&self, what: &str, within: Duration, is_so: impl Fn() -> bool) {
        self.world.until(what, within, || std::future::ready(is_so())).await;
    }

    pub fn others(&self, node: NodeId) -> Vec<NodeId> {
        self.world.ids().into_iter().filter(|other| *other != node).collect()
    }

    /// Nothing goes between `node` and the others.
    pub fn cut_off(&self, node: NodeId) {
        for other in self.others(node) {
            self.world.net.cut((node, other));
            self.world.net.cut((other, node));
        }
    }

    pub fn eye(&self, node: NodeId, region: RegionId) -> Eye {
        let made = self.world.with_life(node, |life| Eye {
            node,
            view: life.store.router.get(region).expect("the replica runs").view,
            engine: life.store.engine.clone(),
            clock: life.env.clock.clone(),
        });
        made.expect("the node is up")
    }

    pub fn eyes(&self, region: RegionId) -> Vec<Eye> {
        self.world.ids().into_iter().map(|node| self.eye(node, region)).collect()
    }

    pub fn peer(&self, node: NodeId, region: RegionId) -> Peer {
        let handle = self.world.with_life(node, |life| life.store.router.get(region));
        handle.flatten().expect("the replica runs").peer
    }

    pub fn options(&self, node: NodeId, patience: Duration) -> CallOptions {
        self.world.options(&self.service(node), patience)
    }

    /// Writes once.
    pub async fn try_put(
        &self,
        node: NodeId,
        (key, value): (u32, u64),
        patience: Duration,
    ) -> Result<(), ServiceError> {
        let options = self.options(node, patience);
        let changes = vec![(World::key(key), change(value))];
        let (service, gate) = self.world.door(node).expect("the node is up");
        let mut outcome = gate.gated(service.raw_write(changes, &options)).await;
        outcome.failed.pop().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Writes until it is acknowledged.
    pub async fn put(&self, node: NodeId, key: u32, value: u64) {
        for _ in 0..100 {
            if self.try_put(node, (key, value), 2 * SECOND).await.is_ok() {
                return;
            }
        }
        panic!("key {key} cannot be written through node {node}");
    }

    /// Reads through a node's service. 0 = no row.
    pub async fn get(
        &self,
        node: NodeId,
        key: u32,
        (consistency, patience): (Consistency, Duration),
    ) -> Result<u64, ServiceError> {
        let options = CallOptions { consistency, ..self.options(node, patience) };
        let (service, gate) = self.world.door(node).expect("the node is up");
        let (row, _) = gate.gated(service.raw_get(World::key(key), &options)).await?;
        Ok(row.map_or(0, |row| number(&row.value)))
    }

    /// Asks one replica, without the service's search for the leader.
    pub fn serve(
        &self,
        node: NodeId,
        (region, body): (RegionId, RegionBody),
        patience: Duration,
    ) -> impl Future<Output = RegionResult> + use<> {
        let asked = self.world.with_life(node, |life| {
            let handle = life.store.router.get(region);
            let epoch = handle.and_then(|handle| Some(handle.view.delegate()?.region.epoch));
            (life.stores.clone(), life.gate.clone(), epoch, life.env.now().after(patience))
        });
        async move {
            let (stores, gate, epoch, deadline) = asked.expect("the node is up");
            let store = StoreId(node.get());
            let epoch = epoch.ok_or(RegionError::RegionNotFound { region, store })?;
            let target = RegionTarget { region, epoch };
            let request = RegionRequest { store, target, body, traces: TraceTags::NONE };
            gate.gated(stores.serve(request, deadline)).await
        }
    }

    /// Proposes at one replica.
    pub async fn write_at(
        &self,
        node: NodeId,
        region: RegionId,
        (key, value): (u32, u64),
    ) -> RegionResult {
        let command = WriteCommand::RawWrite { changes: vec![(World::key(key), change(value))] };
        self.serve(node, (region, RegionBody::Write(command)), 5 * SECOND).await
    }

    pub async fn status(&self, node: NodeId, region: RegionId) -> PeerStatus {
        match self.serve(node, (region, RegionBody::Status), SECOND).await {
            Ok(RegionReply::Status(status)) => *status,
            other => panic!("node {node} answers {other:?}"),
        }
    }

    /// Orders a hand-over at `from`.
    pub async fn transfer(&self, region: RegionId, from: NodeId, to: NodeId) -> RegionResult {
        let to = self.peer(to, region);
        let command = AdminCommand::TransferLeader { to };
        self.serve(from, (region, RegionBody::Admin(command)), SECOND).await
    }

    pub fn unix(&self, node: NodeId) -> UnixMillis {
        self.service(node).env().clock.unix()
    }

    /// Reads `key` at every replica by its lease each millisecond: at most one may serve at a time, and
    /// none may serve less than what was acknowledged before.
    pub fn watch(&self, region: RegionId, key: u32) -> Rc<Watch> {
        let watch = Rc::new(Watch {
            acknowledged: Cell::new(0),
            reads: Cell::new(0),
            is_over: Cell::new(false),
            wrong: RefCell::default(),
        });
        let (eyes, seen) = (self.eyes(region), watch.clone());
        actix_rt::spawn(async move {
            while !seen.is_over.get() {
                seen.look(&eyes, key);
                sleep(millis(1)).await;
            }
        });
        watch
    }
}

impl Watch {
    fn look(&self, eyes: &[Eye], key: u32) {
        let least = self.acknowledged.get();
        let served: Vec<_> =
            eyes.iter().filter_map(|eye| Some((eye.node, eye.lease_read(key)?))).collect();
        if served.len() > 1 || served.iter().any(|(_, value)| *value < least) {
            let line = format!("acknowledged {least}, and by lease: {served:?}");
            self.wrong.borrow_mut().push(line);
        }
        self.reads.set(self.reads.get() + served.len() as u64);
    }

    /// Ends the reads, and says what was wrong with them.
    pub fn stop(&self) {
        self.is_over.set(true);
        let wrong = self.wrong.borrow();
        assert!(wrong.is_empty(), "{} looks, first {:?}", wrong.len(), wrong[0]);
    }
}
