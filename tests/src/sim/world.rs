//! A simulated cluster: founded, looked at, compared.
use super::checkers::logs::{self, LogView};
use super::checkers::order::Claim;
use super::checkers::state::{self, Replica};
use super::gate::{self, Death, Gate};
use super::log::EventLog;
use super::net::{Net, millis};
use super::node::{Life, Plan, SimNode};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;
use troupe_actors::env::{Clock, Rngs};
use troupe_actors::kv_service::{CallOptions, KvService};
use troupe_actors::real_env::SeededRngs;
use troupe_storage::engine::KvEngine;
use troupe_storage::failure::stand_in_for_end;
use troupe_storage::region_state::{ReplicaState, read_apply_state, read_replica_state};
use troupe_types::key::raw_key;
use troupe_types::pd::{PdReply, PdRequest};
use troupe_types::request::Consistency;
use troupe_types::{
    Key, KeyRange, NodeId, PeerRole, Region, RegionId, SYSTEM_REGION, StoreId, TraceTags,
};

/// Longest virtual time until a new cluster serves.
const FOUNDING: Duration = Duration::from_secs(120);

/// The cluster. Lives inside one run of [`simulate`].
pub struct World {
    /// What happened.
    pub log: Arc<EventLog>,
    /// The network.
    pub net: Net,
    /// What the world was made from.
    pub plan: Plan,
    /// Sources of random numbers beside those of the nodes.
    pub rngs: SeededRngs,
    nodes: RefCell<BTreeMap<NodeId, SimNode>>,
    deaths: (UnboundedSender<Death>, Mutex<Option<UnboundedReceiver<Death>>>),
    folder: tempfile::TempDir,
}

/// Runs `work` on one thread with paused time.
pub fn simulate<T>(work: impl Future<Output = T>) -> T {
    let runner = actix::System::with_tokio_rt(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().expect("a runtime starts")
    });
    stand_in_for_end(gate::end_current);
    runner.block_on(work)
}

impl World {
    /// A world of nodes that are down and have empty disks.
    #[must_use]
    pub fn new(plan: Plan, is_printing: bool) -> Self {
        let start = Instant::now();
        let log = Arc::new(EventLog::new(start, is_printing));
        let rngs = SeededRngs::new(plan.seed);
        let net = Net::new(rngs.rng("network"), BTreeMap::new(), log.clone());
        let folder = tempfile::tempdir().expect("a folder for snapshots");
        let (tell, told) = unbounded_channel();
        let deaths = (tell, Mutex::new(Some(told)));
        let nodes = RefCell::default();
        actix_rt::spawn(net.clone().run());
        let world = Self { log, net, plan, rngs, nodes, deaths, folder };
        for _ in 0..world.plan.nodes {
            let _ = world.add_node();
        }
        world
    }

    /// One node more, that is down and has empty disks.
    pub fn add_node(&self) -> NodeId {
        let mut nodes = self.nodes.borrow_mut();
        let id = nodes.last_key_value().map_or(NodeId(1), |(last, _)| last.next());
        let path = self.folder.path().join(format!("node-{id}"));
        std::fs::create_dir_all(path.join("snap")).expect("a folder for snapshots");
        let node = SimNode::new(id, &self.plan, (&self.net, &self.deaths.0), path);
        self.net.settle(node.store, id);
        nodes.insert(id, node);
        id
    }

    /// Where lives that ended from within are told. Can be taken once.
    ///
    /// # Panics
    /// It was taken before.
    pub fn take_deaths(&self) -> UnboundedReceiver<Death> {
        self.deaths.1.lock().unwrap().take().expect("deaths are taken once")
    }

    /// Node 1 founds, the others join; returns when all Regions serve with all their replicas.
    pub async fn found(&self) {
        for id in self.ids() {
            if id == NodeId(1) {
                self.with_node(id, |node| node.found());
            } else {
                let joining = self.with_node(id, |node| node.join());
                joining.await;
            }
            self.start(id);
        }
        self.until("the cluster to be complete", FOUNDING, || self.is_complete()).await;
    }

    /// All nodes.
    #[must_use]
    pub fn ids(&self) -> Vec<NodeId> {
        self.nodes.borrow().keys().copied().collect()
    }

    /// Nodes that are up.
    #[must_use]
    pub fn up(&self) -> Vec<NodeId> {
        let nodes = self.nodes.borrow();
        nodes.values().filter(|node| node.is_up()).map(|node| node.id).collect()
    }

    /// Calls `act` with a node.
    pub fn with_node<T>(&self, id: NodeId, act: impl FnOnce(&mut SimNode) -> T) -> T {
        act(self.nodes.borrow_mut().get_mut(&id).expect("a node of this world"))
    }

    /// Calls `act` with a node's present life; `None` if it is down.
    pub fn with_life<T>(&self, id: NodeId, act: impl FnOnce(&Life) -> T) -> Option<T> {
        let nodes = self.nodes.borrow();
        nodes.get(&id).filter(|node| node.is_up()).and_then(|node| node.life.as_ref()).map(act)
    }

    /// Forgets a node that has left the cluster for good.
    pub fn forget_node(&self, id: NodeId) {
        self.crash(id, 0);
        self.nodes.borrow_mut().remove(&id);
    }

    /// Commands of a node that is up.
    #[must_use]
    pub fn service(&self, id: NodeId) -> Option<KvService> {
        self.with_life(id, |life| life.service.clone())
    }

    /// Commands of a node that is up, and what holds the calls of its clients.
    #[must_use]
    pub fn door(&self, id: NodeId) -> Option<(KvService, Arc<Gate>)> {
        self.with_life(id, |life| (life.service.clone(), life.gate.clone()))
    }

    /// Starts a node that is down.
    pub fn start(&self, id: NodeId) {
        self.log.note(id, format_args!("starts"));
        self.with_node(id, SimNode::start);
    }

    /// Starts a node that is down after `wait`, if nobody else plans that.
    pub fn plan_start(self: &Rc<Self>, id: NodeId, wait: Duration) {
        if self.with_node(id, |node| std::mem::replace(&mut node.is_start_planned, true)) {
            return;
        }
        let world = self.clone();
        actix_rt::spawn(async move {
            tokio::time::sleep(wait).await;
            world.with_node(id, |node| node.is_start_planned = false);
            world.start(id);
        });
    }

    /// Holds a node as if its process were stopped, or lets it go on.
    pub fn hold(&self, id: NodeId, is_held: bool) {
        let Some((_, gate)) = self.door(id) else { return };
        if is_held {
            gate.shut();
        } else {
            gate.open();
            self.net.release(id);
        }
    }

    /// Crashes a node; its engine keeps the first `batches` of its buffered writes.
    pub fn crash(&self, id: NodeId, batches: usize) {
        self.log.note(id, format_args!("crashes; {batches} buffered writes are on its disk"));
        self.with_node(id, |node| node.crash(batches));
        self.net.release(id);
    }

    /// Waits until `is_so`, which is looked at every few milliseconds.
    pub async fn until<F: Future<Output = bool>>(
        &self,
        what: &str,
        within: Duration,
        is_so: impl Fn() -> F,
    ) {
        let deadline = Instant::now() + within;
        while !is_so().await {
            assert!(Instant::now() < deadline, "waited {within:?} of virtual time for {what}");
            tokio::time::sleep(millis(20)).await;
        }
    }

    /// Do all Regions serve, with a voter on each node?
    async fn is_complete(&self) -> bool {
        let Some(service) = self.service(NodeId(1)) else { return false };
        let deadline = service.env().now().after(Duration::from_secs(2));
        let range = KeyRange::raw_space();
        let asked = service.pd(PdRequest::Regions { range, limit: 1000 }, deadline).await;
        let Ok(PdReply::Routes(routes)) = asked else { return false };
        let nodes = self.plan.replicas as usize;
        let is_whole = |region: &troupe_types::Region| {
            region.peers.iter().filter(|peer| peer.role == PeerRole::Voter).count() == nodes
        };
        if routes.len() != self.plan.regions as usize {
            return false;
        }
        let options = self.options(&service, Duration::from_secs(2));
        let system = service.status(SYSTEM_REGION, StoreId(1), &options).await;
        let regions = routes.iter().map(|route| &route.region);
        system.is_ok_and(|status| is_whole(&status.region))
            && regions.into_iter().all(is_whole)
            && self.all_have_leaders()
    }

    fn all_have_leaders(&self) -> bool {
        let claims = self.claims();
        let nodes = self.plan.replicas as usize;
        let regions: BTreeSet<RegionId> = claims.iter().map(|claim| claim.region).collect();
        regions.len() == 2 * self.plan.regions as usize + 1
            && regions.iter().all(|region| {
                let of_it: Vec<_> = claims.iter().filter(|c| c.region == *region).collect();
                of_it.len() == nodes && of_it.iter().any(|claim| claim.has_lease)
            })
    }

    /// Options of a call through `service` that waits for `patience`.
    #[must_use]
    pub fn options(&self, service: &KvService, patience: Duration) -> CallOptions {
        CallOptions {
            deadline: service.env().now().after(patience),
            consistency: Consistency::Leader,
            tags: TraceTags::NONE,
        }
    }

    /// What all replicas say about themselves now.
    #[must_use]
    pub fn claims(&self) -> Vec<Claim> {
        let nodes = self.nodes.borrow();
        let up = nodes.values().filter(|node| node.is_up());
        let lives = up.filter_map(|node| Some((node, node.life.as_ref()?)));
        let claims = lives.flat_map(|(node, life)| {
            let now = node.clock.now();
            life.store.router.list().into_iter().filter_map(move |(region, handle)| {
                let delegate = handle.view.delegate()?;
                let leads = delegate.leader.is_some_and(|leader| leader.id == handle.peer.id);
                let has_lease = handle.view.leads(now);
                let (peer, store, term) = (handle.peer.id, node.store, delegate.term);
                Some(Claim { region, peer, store, term, leads, has_lease })
            })
        });
        claims.collect()
    }

    /// How all replicas with data stand, on nodes up or down.
    #[must_use]
    pub fn replicas(&self) -> BTreeMap<RegionId, Vec<Replica>> {
        let nodes = self.nodes.borrow();
        let engines: Vec<(StoreId, &dyn KvEngine)> =
            nodes.values().map(|node| (node.store, &*node.disk.engine as &dyn KvEngine)).collect();
        state::replicas(&engines)
    }

    /// Shapes of the Regions, as their leaders with a lease know them.
    #[must_use]
    pub fn shapes(&self) -> BTreeMap<RegionId, Region> {
        let nodes = self.nodes.borrow();
        let mut shapes = BTreeMap::new();
        for node in nodes.values().filter(|node| node.is_up()) {
            let Some(life) = &node.life else { continue };
            for (region, handle) in life.store.router.list() {
                let led = handle.view.delegate().filter(|_| handle.view.leads(node.clock.now()));
                if let Some(delegate) = led {
                    shapes.insert(region, delegate.region.clone());
                }
            }
        }
        shapes
    }

    /// The newest shape of the Region of `key` that any replica knows.
    #[must_use]
    pub fn shape_of(&self, key: &Key) -> Option<Region> {
        let nodes = self.nodes.borrow();
        let lives = nodes.values().filter(|node| node.is_up()).filter_map(|n| n.life.as_ref());
        let handles = lives.flat_map(|life| life.store.router.list());
        let shapes = handles.filter_map(|(_, handle)| Some(handle.view.delegate()?.region.clone()));
        let of_key = shapes.filter(|shape| shape.range.contains(key));
        of_key.max_by_key(|shape| (shape.epoch.version, shape.epoch.conf_ver))
    }

    /// Does each Region have data exactly where its shape says, on enough Stores?
    #[must_use]
    pub fn is_placed(&self) -> bool {
        let (shapes, replicas) = (self.shapes(), self.replicas());
        shapes.len() == 2 * self.plan.regions as usize + 1
            && shapes.iter().all(|(region, shape)| {
                let wanted: BTreeSet<StoreId> = shape.peers.iter().map(|peer| peer.store).collect();
                let found = replicas.get(region).into_iter().flatten();
                let found: BTreeSet<StoreId> = found.map(|replica| replica.store).collect();
                let are_voters = shape.peers.iter().all(|peer| peer.role == PeerRole::Voter);
                are_voters && wanted == found && wanted.len() >= self.plan.replicas as usize
            })
    }

    /// Replicas in quarantine or halted, and why.
    #[must_use]
    pub fn out_of_service(&self) -> Vec<(NodeId, String)> {
        let mut found = Vec::new();
        for (id, node) in self.nodes.borrow().iter() {
            for region in state::regions(&*node.disk.engine) {
                let state = read_replica_state(&*node.disk.engine, region).unwrap();
                if let Some(ReplicaState::Quarantined { reason, .. }) = state {
                    found.push((*id, format!("region {region} is in quarantine: {reason}")));
                }
                let applied = read_apply_state(&*node.disk.engine, region).unwrap();
                if let Some(halt) = applied.and_then(|applied| applied.halted) {
                    found.push((*id, format!("region {region} is halted: {halt:?}")));
                }
            }
        }
        found
    }

    /// The Raft logs of all replicas with data, on nodes up or down; `None` while a node is about to
    /// lose what it has just written.
    #[must_use]
    pub fn logs(&self) -> Option<Vec<LogView>> {
        let nodes = self.nodes.borrow();
        let is_dying = |node: &SimNode| node.life.as_ref().is_some_and(|l| !l.env.power.is_on());
        if nodes.values().any(is_dying) {
            return None;
        }
        let of_node = |node: &SimNode| {
            let life = 2 * node.starts() + u64::from(node.life.is_none());
            logs::views(node.store, life, &*node.disk.engine, &*node.disk.log)
        };
        Some(nodes.values().flat_map(of_node).collect())
    }

    /// Stored key number `number` of a workload: spread over the first bytes of the key space, so
    /// that neighbours lie in different Regions.
    #[must_use]
    pub fn key(number: u32) -> Key {
        const FIRST_BYTES: [u8; 4] = [0x30, 0x41, 0x7a, 0xc3];
        let first = FIRST_BYTES[number as usize % FIRST_BYTES.len()];
        raw_key(0, &[&[first][..], format!("-{number}").as_bytes()].concat())
    }

    /// Ends all nodes, so that nothing of this world runs on.
    pub async fn end(&self) {
        for id in self.ids() {
            self.with_node(id, |node| {
                node.is_start_planned = true;
                node.crash(0);
            });
        }
        tokio::time::sleep(millis(10)).await;
    }
}
