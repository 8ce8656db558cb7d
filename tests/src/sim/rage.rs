//! Lets faults happen for a while, keeps the ledger of them, and puts everything right again.
use super::faults::{Draw, Fault, Kind};
use super::log::Place;
use super::net::{Weather, millis};
use super::planted::Planted;
use super::world::World;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;
use troupe_actors::env::{FaultPoint, Rngs};
use troupe_actors::kv_service::ServiceError;
use troupe_actors::node::RegionService;
use troupe_types::pd::{PdReply, PdRequest};
use troupe_types::request::{AdminCommand, RegionBody, RegionRequest, RegionTarget};
use troupe_types::{KeyRange, NodeId, Peer, Region, RegionId, StoreId, TraceTags};

/// Longest wait of a call that is part of a fault.
const PATIENCE: Duration = Duration::from_secs(5);
/// Two standstills of one monotonic clock are at least so far apart.
const FREEZE_EVERY: Duration = Duration::from_secs(2);

/// What went wrong so far.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Milliseconds of virtual time, and what, in words.
    pub lines: Vec<(u64, String)>,
    /// How often, by kind.
    pub counts: BTreeMap<&'static str, u64>,
}

/// A run's faults.
pub struct Rage {
    world: Rc<World>,
    ledger: RefCell<Ledger>,
    is_over: Cell<bool>,
    has_joined: Cell<bool>,
    /// The Store that shall leave.
    leaving: Cell<Option<StoreId>>,
    frozen: RefCell<BTreeMap<NodeId, Instant>>,
}

impl Rage {
    /// Nothing went wrong so far. From here on nodes that die from within are started again.
    #[must_use]
    pub fn new(world: &Rc<World>) -> Rc<Self> {
        let rage = Rc::new(Self {
            world: world.clone(),
            ledger: RefCell::default(),
            is_over: Cell::new(false),
            has_joined: Cell::new(false),
            leaving: Cell::new(None),
            frozen: RefCell::default(),
        });
        actix_rt::spawn(rage.clone().bury());
        rage
    }

    /// What went wrong so far.
    pub fn ledger(&self) -> std::cell::Ref<'_, Ledger> {
        self.ledger.borrow()
    }

    fn count(&self, kind: &'static str, line: String) {
        let mut ledger = self.ledger.borrow_mut();
        *ledger.counts.entry(kind).or_default() += 1;
        ledger.lines.push((self.world.log.now_ms(), line));
    }

    /// Lives that ended from within: their disks lose what a crash loses, and they start again.
    async fn bury(self: Rc<Self>) {
        let mut rng = self.world.rngs.rng("undertaker");
        let mut deaths = self.world.take_deaths();
        while let Some((node, reason)) = deaths.recv().await {
            self.world.log.note(node, format_args!("its process ends: {reason}"));
            self.count(
                "process: ended from within",
                format!("the process of node {node}: {reason}"),
            );
            self.world.crash(node, usize::try_from(rng.between(0, 4)).unwrap());
            self.world.plan_start(node, millis(rng.between(50, 3_000)));
        }
    }

    /// Lets faults happen for `duration`, most of them of the kinds in `likes`; then everything is up and whole again.
    pub async fn run(self: &Rc<Self>, duration: Duration, likes: &[Kind]) {
        let world = &self.world;
        let mut draw = Draw::new(world.rngs.rng("faults"), likes);
        let end = Instant::now() + duration;
        while Instant::now() < end {
            tokio::time::sleep(millis(draw.between(50, 1_800))).await;
            if let Some(fault) = draw.next(world) {
                self.apply(fault, &mut draw);
            }
        }
        self.is_over.set(true);
        world.net.heal();
        world.net.set_weather(Weather::CALM);
        for id in world.ids() {
            world.hold(id, false);
            world.with_node(id, |node| {
                node.planted.clear();
                node.disk.mend();
            });
        }
        let is_up = || std::future::ready(world.up() == world.ids());
        world.until("all nodes to be up", Duration::from_secs(30), is_up).await;
        world.log.note(Place::World, format_args!("all faults are over"));
    }

    fn apply(self: &Rc<Self>, fault: Fault, draw: &mut Draw) {
        let world = &self.world;
        let (kind, line) = (fault.kind(), fault.to_string());
        if !self.begin(fault, draw) {
            return;
        }
        world.log.note(Place::World, format_args!("fault: {line}"));
        self.count(kind, line);
    }

    /// Answers whether it makes sense now.
    fn begin(self: &Rc<Self>, fault: Fault, draw: &mut Draw) -> bool {
        let world = &self.world;
        match fault {
            Fault::Isolate(node) => self.cut_between(&[node], None),
            Fault::Split(nodes) => self.cut_between(&nodes, None),
            Fault::Bridge(bridge, nodes) => self.cut_between(&nodes, Some(bridge)),
            Fault::OneWay(from, to) => world.net.cut((from, to)),
            Fault::OneEar(node, other) => {
                for one in world.ids().into_iter().filter(|one| *one != node) {
                    world.net.cut((node, one));
                    if one != other {
                        world.net.cut((one, node));
                    }
                }
            }
            Fault::Part(one, other) => {
                world.net.cut((one, other));
                world.net.cut((other, one));
            }
            Fault::Flap(one, other, time) => self.flap((one, other), time, draw),
            Fault::Heal => world.net.heal(),
            Fault::Weather(weather) => world.net.set_weather(weather),
            Fault::Crash(node) => return self.crash(node, draw),
            Fault::PowerCut => {
                for node in world.ids() {
                    self.crash(node, draw);
                }
            }
            Fault::Hold(node, time) => {
                world.hold(node, true);
                self.later(time, move |world| world.hold(node, false));
            }
            Fault::Panic(node, point, region) => {
                return world.with_node(node, |node| plant(&node.planted, point, region));
            }
            Fault::Mishap(node, mishap, after) => {
                world.with_node(node, |node| node.disk.plan(mishap, after));
            }
            Fault::FullDisk(node, time) => {
                world.with_node(node, |node| node.disk.log.set_disk_full(true));
                self.later(time, move |world| {
                    world.with_node(node, |node| node.disk.log.set_disk_full(false));
                });
            }
            Fault::SlowDisk(node, extra, time) => {
                let ms = u64::try_from(extra.as_millis()).unwrap();
                world.with_node(node, |node| node.disk.slow_ms.store(ms, Ordering::Relaxed));
                self.later(time, move |world| {
                    world.with_node(node, |node| node.disk.slow_ms.store(0, Ordering::Relaxed));
                });
            }
            Fault::Drift(node, ppm) => world.with_node(node, |node| node.clock.set_drift(ppm)),
            Fault::Freeze(node, time) => return self.freeze(node, time),
            Fault::Step(node, ms) => world.with_node(node, |node| node.clock.step_unix(ms)),
            Fault::FreezeWall(node, time) => {
                world.with_node(node, |node| node.clock.freeze_unix(time));
            }
            Fault::Transfer(region, to) => return self.transfer(&region, to),
            Fault::Operator(region, request) => {
                return self.ask_pd(PdRequest::AddOperator { region, request });
            }
            Fault::Join => return self.join(),
            Fault::Drain(store) => return self.drain(store),
        }
        true
    }

    fn later(&self, time: Duration, act: impl FnOnce(&World) + 'static) {
        let world = self.world.clone();
        actix_rt::spawn(async move {
            tokio::time::sleep(time).await;
            act(&world);
        });
    }

    /// Cuts all ways between `nodes` and the others, but for those of `bridge`.
    fn cut_between(&self, nodes: &[NodeId], bridge: Option<NodeId>) {
        for other in self.world.ids() {
            if nodes.contains(&other) || bridge == Some(other) {
                continue;
            }
            for node in nodes {
                self.world.net.cut((*node, other));
                self.world.net.cut((other, *node));
            }
        }
    }

    fn flap(self: &Rc<Self>, (one, other): (NodeId, NodeId), time: Duration, draw: &mut Draw) {
        let (pause, end) = (millis(draw.between(20, 600)), Instant::now() + time);
        let rage = self.clone();
        actix_rt::spawn(async move {
            let net = &rage.world.net;
            while Instant::now() < end && !rage.is_over.get() {
                net.cut((one, other));
                net.cut((other, one));
                tokio::time::sleep(pause).await;
                net.mend((one, other));
                net.mend((other, one));
                tokio::time::sleep(pause).await;
            }
        });
    }

    /// Crashes a node that is up, and plans its start.
    fn crash(&self, node: NodeId, draw: &mut Draw) -> bool {
        if !self.world.up().contains(&node) {
            return false;
        }
        self.world.crash(node, usize::try_from(draw.between(0, 4)).unwrap());
        self.world.plan_start(node, millis(draw.between(50, 5_000)));
        true
    }

    fn freeze(&self, node: NodeId, time: Duration) -> bool {
        let now = Instant::now();
        let mut frozen = self.frozen.borrow_mut();
        if frozen.get(&node).is_some_and(|at| now < *at + FREEZE_EVERY) {
            return false;
        }
        frozen.insert(node, now);
        self.world.with_node(node, |node| node.clock.freeze(time));
        true
    }

    /// Runs `call` inside `node` and logs what came of it.
    fn inside<T: std::fmt::Debug>(
        &self,
        node: NodeId,
        what: String,
        call: impl Future<Output = T> + 'static,
    ) {
        let Some((_, gate)) = self.world.door(node) else { return };
        let log = self.world.log.clone();
        actix_rt::spawn(async move {
            let result = format!("{:?}", gate.gated(call).await);
            let start: String = result.chars().take(100).collect();
            log.note(node, format_args!("{what}: {start}"));
        });
    }

    fn transfer(&self, region: &Region, to: Peer) -> bool {
        let leader = self.world.claims().into_iter().find(|c| c.region == region.id && c.has_lease);
        let Some(leader) = leader else { return false };
        let node = NodeId(leader.store.get());
        let target = RegionTarget { region: region.id, epoch: region.epoch };
        let body = RegionBody::Admin(AdminCommand::TransferLeader { to });
        let request = RegionRequest { store: leader.store, target, body, traces: TraceTags::NONE };
        let stores = self
            .world
            .with_life(node, |life| (life.stores.clone(), life.env.now().after(PATIENCE)));
        let Some((stores, deadline)) = stores else { return false };
        let what = format!("hand-over of region {}", region.id);
        self.inside(node, what, async move { stores.serve(request, deadline).await.is_ok() });
        true
    }

    fn ask_pd(&self, request: PdRequest) -> bool {
        let Some(node) = self.world.up().first().copied() else { return false };
        let Some((service, _)) = self.world.door(node) else { return false };
        let deadline = service.env().now().after(PATIENCE);
        let what = format!("{request:?}");
        self.inside(node, what, async move { service.pd(request, deadline).await });
        true
    }

    fn join(self: &Rc<Self>) -> bool {
        if self.has_joined.replace(true) {
            return false;
        }
        let id = self.world.add_node();
        let joining = self.world.with_node(id, |node| node.join());
        let world = self.world.clone();
        world.with_node(id, |node| node.is_start_planned = true);
        actix_rt::spawn(async move {
            joining.await;
            world.with_node(id, |node| node.is_start_planned = false);
            world.start(id);
        });
        true
    }

    /// Only while another node can take the replicas, and once.
    fn drain(&self, store: StoreId) -> bool {
        let is_enough = self.world.ids().len() > self.world.plan.replicas as usize;
        if !is_enough || self.leaving.get().is_some() {
            return false;
        }
        self.leaving.set(Some(store));
        self.ask_pd(PdRequest::DrainStore { store })
    }

    /// Once all faults are over: the Store that shall leave loses its replicas and its node goes.
    pub async fn finish_leaving(&self, within: Duration) {
        let Some(store) = self.leaving.get() else { return };
        let world = &self.world;
        let is_done = |request| async { matches!(self.ask(request).await, Ok(PdReply::Done)) };
        // The first order may have been lost.
        let drain = || is_done(PdRequest::DrainStore { store });
        world.until("PD to drain a store", within, drain).await;
        let remove = || async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            is_done(PdRequest::RemoveStore { store }).await
        };
        world.until("the store to be empty", within, remove).await;
        world.log.note(NodeId(store.get()), format_args!("has left the cluster"));
        world.forget_node(NodeId(store.get()));
    }

    async fn ask(&self, request: PdRequest) -> Result<PdReply, ServiceError> {
        let (service, gate) = self.world.door(self.world.up()[0]).expect("the node is up");
        let deadline = service.env().now().after(PATIENCE);
        gate.gated(service.pd(request, deadline)).await
    }

    /// Notes what PD knows and plans, and who is out of service, for the report of a violation.
    pub async fn note_plans(&self) {
        for (node, line) in self.world.out_of_service() {
            self.world.log.note(node, format_args!("out of service: {line}"));
        }
        let everything = PdRequest::Regions { range: KeyRange::default(), limit: 1_000 };
        for request in [PdRequest::Cluster, PdRequest::Operators, everything] {
            let reply = self.ask(request).await;
            let lines = match reply {
                Ok(PdReply::Operators(all)) => all.iter().map(|one| format!("{one:?}")).collect(),
                Ok(PdReply::Routes(all)) => all.iter().map(|one| format!("{one:?}")).collect(),
                Ok(PdReply::Cluster(view)) => {
                    view.stores.iter().map(|one| format!("{one:?}")).collect()
                }
                other => vec![format!("{other:?}")],
            };
            for line in lines {
                self.world.log.note(Place::World, format_args!("PD: {line}"));
            }
        }
    }
}

/// A second panic while applying the same entry would halt the Region for good.
fn plant(planted: &Planted, point: FaultPoint, region: RegionId) -> bool {
    if point == FaultPoint::Apply && planted.left() > 0 {
        return false;
    }
    planted.plan(point, region, 1);
    true
}
