//! One simulated node with one Store: wired as a real one, on the memory twins of its disks.
use super::clock::SimClock;
use super::disk::{Disk, Mounted};
use super::env::{LifeParts, sim_env};
use super::gate::{Death, Gate};
use super::holds::Holds;
use super::net::{Net, millis};
use super::plan::TICK;
use super::planted::Planted;
use super::transport::{Endpoint, SimTransport, address};

pub use super::plan::Plan;
use futures::future::BoxFuture;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use troupe_actors::env::{Env, Power};
use troupe_actors::gc::{self, GcHandle, GcParts};
use troupe_actors::kv_service::{KvService, ServiceParts};
use troupe_actors::node::{LocalPd, PdCaller, SessionService, SharedDirectory};
use troupe_actors::pd_client::{PdClient, PdClientParts};
use troupe_actors::registry::ActorId;
use troupe_actors::snapshot::{self, SnapshotParts};
use troupe_actors::store::inbox::LocalStores;
use troupe_actors::store::{
    self, StoreDisks, StoreHandle, StoreSetup, find_replicas, found_system_region,
};
use troupe_actors::supervision::ChildHandle;
use troupe_actors::txn_session::{self, SessionOptions, Sessions, SessionsParts};
use troupe_pd_actor::{BootstrapPlan, PdHandle, PdOptions, PdParts};
use troupe_storage::engine::{Cf, Durability, KvEngine, Modify, WriteBatch};
use troupe_storage::failure::Ended;
use troupe_storage::raft_log::RaftLog;
use troupe_storage::region_state::{STORE_IDENT_KEY, StoreIdent, read_store_ident};
use troupe_types::pd::{NodeInfo, PdError, PdReply, PdRequest, PdResult};
use troupe_types::{
    ClusterId, KeyRange, Moment, NodeId, Peer, PeerId, Region, RegionEpoch, SYSTEM_REGION, StoreId,
    codec,
};

/// The one cluster of a world.
const CLUSTER: ClusterId = ClusterId(7);

/// Most interactive transactions that a node has open.
const OPEN_TXNS: usize = 64;

/// PD of a node, which needs its Stores, which need PD.
#[derive(Clone, Default)]
struct LatePd(Arc<OnceLock<PdHandle>>);

impl LocalPd for LatePd {
    fn call(&self, request: PdRequest, deadline: Moment) -> BoxFuture<'static, PdResult> {
        match self.0.get() {
            Some(pd) => pd.call(request, deadline),
            None => Box::pin(async { Err(PdError::NotLeader { leader: None }) }),
        }
    }
}

/// What lives from a start to the next crash.
pub struct Life {
    /// Its environment.
    pub env: Env,
    /// What holds all its tasks.
    pub gate: Arc<Gate>,
    /// Its Store.
    pub store: StoreHandle,
    /// Its Stores as the network sees them.
    pub stores: LocalStores,
    /// Its commands.
    pub service: KvService,
    /// Its collector.
    pub gc: GcHandle,
    _pd: PdHandle,
    _snapshots: ChildHandle,
    _sessions: Arc<Sessions>,
}

/// A node and its disks.
pub struct SimNode {
    /// Which node.
    pub id: NodeId,
    /// Its one Store; nodes get Stores of the same number.
    pub store: StoreId,
    /// Its disk.
    pub disk: Arc<Disk>,
    /// Its clocks.
    pub clock: Arc<SimClock>,
    /// Panics planted into its actors.
    pub planted: Arc<Planted>,
    /// Its disk threads that a test holds up.
    pub holds: Arc<Holds>,
    /// Nodes of the cluster, as a real node keeps them in a file.
    directory: SharedDirectory,
    /// Files of snapshots.
    folder: PathBuf,
    plan: Plan,
    net: Net,
    deaths: UnboundedSender<Death>,
    starts: u64,
    /// Somebody will start it again.
    pub is_start_planned: bool,
    /// `None` while it is down.
    pub life: Option<Life>,
}

impl SimNode {
    /// A node with empty disks that is down. Snapshots lie in `folder`.
    #[must_use]
    pub fn new(
        id: NodeId,
        plan: &Plan,
        (net, deaths): (&Net, &UnboundedSender<Death>),
        folder: PathBuf,
    ) -> Self {
        Self {
            id,
            store: StoreId(id.get()),
            disk: Disk::new(id, net.log().clone()),
            clock: Arc::new(SimClock::new(net.log().start())),
            planted: Arc::default(),
            holds: Arc::default(),
            directory: SharedDirectory::default(),
            folder,
            plan: plan.clone(),
            net: net.clone(),
            deaths: deaths.clone(),
            starts: 0,
            is_start_planned: false,
            life: None,
        }
    }

    fn disks(&self, engine: Arc<dyn KvEngine>, log: Arc<dyn RaftLog>) -> StoreDisks {
        // Not there: the space of the real disk is no part of a simulated world.
        StoreDisks { folder: self.folder.join("no-such-folder"), engine, log }
    }

    fn info(&self) -> NodeInfo {
        NodeInfo {
            id: self.id,
            grpc_address: address(self.id),
            http_address: format!("node-{}:2", self.id),
            version: "simulated".to_owned(),
        }
    }

    fn identity(&self) -> u64 {
        self.plan.seed.wrapping_mul(31).wrapping_add(self.id.get())
    }

    fn write_ident(&self) {
        let (node, store, identity) = (self.id, self.store, self.identity());
        let ident = StoreIdent { cluster: CLUSTER, node, store, identity, bootstrapped: false };
        let put = Modify::Put(Cf::Raft, STORE_IDENT_KEY.into(), codec::encode(&ident).into());
        let written = self.disk.engine.write(WriteBatch { changes: vec![put] }, Durability::Synced);
        written.expect("the memory twin writes");
    }

    /// Makes this the first node of a cluster.
    pub fn found(&self) {
        self.write_ident();
        let region = Region {
            id: SYSTEM_REGION,
            range: KeyRange::system(),
            epoch: RegionEpoch::INITIAL,
            peers: vec![Peer::voter(PeerId(1), self.store)],
        };
        let disks = self.disks(self.disk.engine.clone(), self.disk.log.clone());
        let founded = found_system_region(&disks, self.store, &region);
        founded.expect("the memory twins write");
    }

    /// Asks the cluster for ids until it gives them: those that its disks expect.
    pub fn join(&self) -> impl Future<Output = ()> + use<> {
        self.write_ident();
        let env = self.env(&self.gate());
        let (transport, local) = (Arc::new(self.transport(&env)), Arc::new(LatePd::default()));
        let asker = self.pd_client(&env, transport, local, &SharedDirectory::default());
        let node = NodeInfo { id: NodeId(0), ..self.info() };
        let request = PdRequest::Join { node, identities: vec![self.identity()] };
        let expected = (self.id, vec![self.store]);
        async move {
            loop {
                let deadline = env.now().after(Duration::from_secs(5));
                match asker.call(request.clone(), deadline).await {
                    Ok(PdReply::Joined { node, stores, .. }) => {
                        assert_eq!((node, stores), expected, "ids are given in order");
                        return;
                    }
                    Ok(other) => panic!("PD answers {other:?}"),
                    Err(_) => tokio::time::sleep(millis(500)).await,
                }
            }
        }
    }

    fn gate(&self) -> Arc<Gate> {
        Gate::new(self.id, Power::default(), self.deaths.clone())
    }

    fn env(&self, gate: &Arc<Gate>) -> Env {
        sim_env(LifeParts {
            seed: self.plan.seed ^ (self.id.get() << 48) ^ (self.starts << 40),
            clock: self.clock.clone(),
            faults: self.planted.clone(),
            disk: self.disk.clone(),
            slow_job: self.plan.slow_job,
            holds: self.holds.clone(),
            gate: gate.clone(),
            cells: self.plan.cells(),
        })
    }

    fn transport(&self, env: &Env) -> SimTransport {
        SimTransport { node: self.id, env: env.clone(), net: self.net.clone() }
    }

    fn pd_client(
        &self,
        env: &Env,
        transport: Arc<SimTransport>,
        local: Arc<LatePd>,
        directory: &SharedDirectory,
    ) -> PdClient {
        let all = 1..=u64::from(self.plan.nodes);
        PdClient::new(PdClientParts {
            env: env.clone(),
            transport,
            local,
            directory: directory.clone(),
            bootstrap: all.map(|id| address(NodeId(id))).collect(),
            own_address: address(self.id),
        })
    }

    /// How often it was started.
    #[must_use]
    pub fn starts(&self) -> u64 {
        self.starts
    }

    /// Starts it from its disks. It must be down, and have an identity. It may die while it starts:
    /// then it is down as before.
    pub fn start(&mut self) {
        assert!(self.life.is_none(), "node {} is up", self.id);
        self.starts += 1;
        let gate = self.gate();
        let born = gate.within(|| catch_unwind(AssertUnwindSafe(|| self.boot(&gate))));
        match born {
            Ok(life) => self.life = Some(life),
            Err(payload) if payload.is::<Ended>() => {
                self.net.unplug(self.id);
                self.disk.crash(0);
            }
            Err(payload) => resume_unwind(payload),
        }
    }

    fn boot(&self, gate: &Arc<Gate>) -> Life {
        let env = self.env(gate);
        let disk = self.disk.mount(&env.power);
        let ident = read_store_ident(&*disk).expect("the row decodes");
        let ident = ident.expect("the node has founded or joined");
        let transport = Arc::new(self.transport(&env));
        let (late, directory) = (LatePd::default(), self.directory.clone());
        if directory.load().nodes.is_empty() {
            directory.update(&[(self.info(), vec![self.store])]);
        }
        let caller: Arc<dyn PdCaller> =
            Arc::new(self.pd_client(&env, transport.clone(), Arc::new(late.clone()), &directory));
        let (store, snapshots) = self.start_store(&env, (&disk, &ident), &directory, &caller);
        let stores = LocalStores::new([store.clone()]);
        let pd = troupe_pd_actor::start(
            PdParts {
                env: env.clone(),
                node: self.info(),
                system_stores: vec![self.store],
                regions: Arc::new(stores.clone()),
                directory: directory.clone(),
                options: PdOptions::for_tick(TICK),
                bootstrap: self.bootstrap(&ident),
            },
            ActorId(0),
        );
        let _ = late.0.set(pd.clone());
        let end = Endpoint {
            env: env.clone(),
            gate: gate.clone(),
            stores: stores.clone(),
            pd: Arc::new(pd.clone()),
        };
        self.net.plug_in(self.id, end);
        self.register(&env, &caller, ident.identity);
        let service = KvService::new(ServiceParts {
            env: env.clone(),
            local: Arc::new(stores.clone()),
            transport,
            pd: caller,
            directory,
        });
        let sessions = txn_session::start(
            SessionsParts {
                service: service.clone(),
                store: self.store,
                options: SessionOptions { open: OPEN_TXNS, bytes: 1 << 20 },
            },
            ActorId(0),
        );
        let served: Arc<dyn SessionService> = sessions.clone();
        stores.serve_sessions(&served);
        let collector = GcParts {
            env: env.clone(),
            pd: Arc::new(pd.clone()),
            service: service.clone(),
            options: self.plan.gc(),
        };
        let gc = gc::start(collector, ActorId(0));
        Life {
            env,
            gate: gate.clone(),
            store,
            stores,
            service,
            gc,
            _pd: pd,
            _snapshots: snapshots,
            _sessions: sessions,
        }
    }

    fn start_store(
        &self,
        env: &Env,
        (disk, ident): (&Arc<Mounted>, &StoreIdent),
        directory: &SharedDirectory,
        pd: &Arc<dyn PdCaller>,
    ) -> (StoreHandle, ChildHandle) {
        let folder = self.folder.join("snap");
        let found = find_replicas(&**disk, &folder).expect("the rows decode");
        snapshot::folders::clean_at_start(&folder, &**disk).expect("the folder is there");
        let parts = SnapshotParts {
            env: env.clone(),
            store: self.store,
            engine: disk.clone(),
            worker: env.spawner.worker("snap", 1),
            transport: Arc::new(self.transport(env)),
            folder: folder.clone(),
            options: self.plan.snapshots(),
        };
        let (ports, snapshots) = snapshot::start(parts, ActorId(0));
        let setup = StoreSetup {
            env: env.clone(),
            ident: ident.clone(),
            disks: self.disks(disk.clone(), disk.clone()),
            transport: Arc::new(self.transport(env)),
            directory: directory.clone(),
            pd: pd.clone(),
            generate_snapshot: ports.generate,
            send_snapshot: ports.send,
            snapshot_folder: folder,
            found,
            options: self.plan.store_options(),
        };
        (store::start(ActorId(0), &setup), snapshots)
    }

    /// Tells PD that the node is here, again and again until PD has heard it.
    fn register(&self, env: &Env, pd: &Arc<dyn PdCaller>, identity: u64) {
        let stores = vec![(self.store, identity, Vec::new())];
        let request = PdRequest::Register { node: self.info(), stores };
        let (power, clock, pd) = (env.power.clone(), env.clock.clone(), pd.clone());
        env.spawner.spawn_local(Box::pin(async move {
            while power.is_on() {
                let deadline = clock.now().after(Duration::from_secs(5));
                if pd.call(request.clone(), deadline).await.is_ok() {
                    return;
                }
                tokio::time::sleep(millis(500)).await;
            }
        }));
    }

    fn bootstrap(&self, ident: &StoreIdent) -> Option<BootstrapPlan> {
        (self.id == NodeId(1)).then(|| BootstrapPlan {
            cluster: CLUSTER,
            name: "simulated".to_owned(),
            node: self.info(),
            stores: vec![(ident.store, ident.identity, Vec::new())],
            replicas: self.plan.replicas,
            pd_replicas: self.plan.replicas,
            bootstrap_stores: self.plan.nodes,
            bootstrap_regions: self.plan.regions,
            split_keys: Vec::new(),
        })
    }

    /// Is it up, and has not died from within?
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.life.as_ref().is_some_and(|life| life.env.power.is_on())
    }

    /// Ends it at once. Its disks keep what was durable, and the first `batches` buffered writes.
    pub fn crash(&mut self, batches: usize) {
        let Some(life) = self.life.take() else { return };
        self.net.unplug(self.id);
        life.env.power.cut();
        life.gate.open();
        self.disk.crash(batches);
    }
}
