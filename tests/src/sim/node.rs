//! One simulated node with one Store: wired as a real one, on the memory twins of its disks.
use super::clock::SimClock;
use super::env::sim_env;
use super::net::{Net, millis};
use super::planted::Planted;
use super::transport::{Endpoint, SimTransport, address};
use futures::future::BoxFuture;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::Instant;
use troupe_actors::env::Env;
use troupe_actors::kv_service::{KvService, ServiceParts};
use troupe_actors::node::{LocalPd, PdCaller, SharedDirectory};
use troupe_actors::pd_client::{PdClient, PdClientParts};
use troupe_actors::region_peer::core::CoreOptions;
use troupe_actors::registry::ActorId;
use troupe_actors::snapshot::{self, SnapshotOptions, SnapshotParts};
use troupe_actors::store::core::ChoreTimes;
use troupe_actors::store::inbox::LocalStores;
use troupe_actors::store::{
    self, StoreDisks, StoreHandle, StoreOptions, StoreSetup, find_replicas, found_system_region,
};
use troupe_actors::supervision::{ChildHandle, Policy};
use troupe_pd_actor::{BootstrapPlan, PdHandle, PdOptions, PdParts};
use troupe_storage::engine::memory::MemoryEngine;
use troupe_storage::engine::{Cf, Durability, KvEngine, Modify, WriteBatch};
use troupe_storage::raft_log::memory::MemoryRaftLog;
use troupe_storage::region_state::{STORE_IDENT_KEY, StoreIdent, read_store_ident};
use troupe_types::pd::{NodeInfo, PdError, PdReply, PdRequest, PdResult};
use troupe_types::{
    ClusterId, KeyRange, Moment, NodeId, Peer, PeerId, Region, RegionEpoch, SYSTEM_REGION, StoreId,
    codec,
};

/// Time between two Raft ticks. All other times follow from it, as in the fast profile of a real node.
pub const TICK: Duration = Duration::from_millis(100);
/// Ticks without a leader before an election.
pub const ELECTION_TICKS: u64 = 10;
/// The one cluster of a world.
const CLUSTER: ClusterId = ClusterId(7);

/// What all nodes of a world have in common.
#[derive(Clone)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// Data Regions made at the start.
    pub regions: u32,
    /// Nodes, and replicas of each Region.
    pub nodes: u32,
    /// Log entries that are kept for slow replicas; fewer make more snapshots.
    pub log_keep_entries: u64,
    /// One job in so many meets a slow disk; 0 = none does.
    pub slow_job: u64,
    /// How often one replica may crash before it is quarantined.
    pub restarts: u32,
}

impl Plan {
    /// Three nodes and four data Regions; short logs, so that who was away needs a snapshot.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        Self { seed, regions: 4, nodes: 3, log_keep_entries: 20, slow_job: 200, restarts: 3 }
    }

    fn store_options(&self) -> StoreOptions {
        let core = CoreOptions {
            tick: TICK,
            heartbeat_ticks: 2,
            election_ticks: ELECTION_TICKS,
            lease: millis(800),
            max_entry_bytes: 8 << 20,
            max_message_bytes: 1 << 20,
            max_inflight_messages: 256,
            max_uncommitted_bytes: 64 << 20,
            batch_commands: 8,
            batch_bytes: 1 << 20,
            proposals: 1024,
            log_keep_entries: self.log_keep_entries,
            log_cache_bytes: 4 << 10,
            down_after: Duration::from_secs(30),
            report_every: Duration::from_secs(5),
        };
        let times = ChoreTimes {
            tick: TICK,
            heartbeat: Duration::from_secs(1),
            cut_logs: Duration::from_secs(2),
            purge_log: Duration::from_secs(10),
            check_health: Duration::from_secs(5),
        };
        StoreOptions {
            core,
            times,
            policy: Policy { restarts: self.restarts, ..Policy::default() },
            storm_min: 20,
            storm_window: Duration::from_secs(60),
            orphan_after: TICK * 50,
            read_threads: 1,
        }
    }

    fn bootstrap(&self, node: &NodeInfo, ident: &StoreIdent) -> Option<BootstrapPlan> {
        (node.id == NodeId(1)).then(|| BootstrapPlan {
            cluster: CLUSTER,
            name: "simulated".to_owned(),
            node: node.clone(),
            stores: vec![(ident.store, ident.identity, Vec::new())],
            replicas: self.nodes,
            pd_replicas: self.nodes,
            bootstrap_stores: self.nodes,
            bootstrap_regions: self.regions,
            split_keys: Vec::new(),
        })
    }
}

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
    /// Its Store.
    pub store: StoreHandle,
    /// Its Stores as the network sees them.
    pub stores: LocalStores,
    /// Its commands.
    pub service: KvService,
    _pd: PdHandle,
    _snapshots: ChildHandle,
}

/// A node and its disks.
pub struct SimNode {
    /// Which node.
    pub id: NodeId,
    /// Its one Store; nodes get Stores of the same number.
    pub store: StoreId,
    /// Applied data.
    pub engine: Arc<MemoryEngine>,
    /// Raft log.
    pub log: Arc<MemoryRaftLog>,
    /// Its clocks.
    pub clock: Arc<SimClock>,
    /// Panics planted into its actors.
    pub planted: Arc<Planted>,
    /// Files of snapshots.
    folder: PathBuf,
    plan: Plan,
    net: Net,
    starts: u64,
    /// `None` while it is down.
    pub life: Option<Life>,
}

impl SimNode {
    /// A node with empty disks that is down. Snapshots lie in `folder`.
    #[must_use]
    pub fn new(id: NodeId, plan: &Plan, net: &Net, start: Instant, folder: PathBuf) -> Self {
        Self {
            id,
            store: StoreId(id.get()),
            engine: Arc::new(MemoryEngine::new()),
            log: Arc::new(MemoryRaftLog::new()),
            clock: Arc::new(SimClock::new(start)),
            planted: Arc::default(),
            folder,
            plan: plan.clone(),
            net: net.clone(),
            starts: 0,
            life: None,
        }
    }

    fn disks(&self) -> StoreDisks {
        StoreDisks {
            // Not there: the space of the real disk is no part of a simulated world.
            folder: self.folder.join("no-such-folder"),
            engine: self.engine.clone(),
            log: self.log.clone(),
        }
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
        let written = self.engine.write(WriteBatch { changes: vec![put] }, Durability::Synced);
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
        let founded = found_system_region(&self.disks(), self.store, &region);
        founded.expect("the memory twins write");
    }

    /// Asks the cluster for ids until it gives them: those that its disks expect.
    pub fn join(&self) -> impl Future<Output = ()> + use<> {
        self.write_ident();
        let env = self.env();
        let (transport, local) = (Arc::new(self.transport(&env)), Arc::new(LatePd::default()));
        let asker = self.pd_client(&env, transport, local, &SharedDirectory::default());
        let node = NodeInfo { id: NodeId(0), ..self.info() };
        let request = PdRequest::Join { node, identities: vec![self.identity()] };
        let expected = (self.id, vec![self.store]);
        let patience = env.now().after(Duration::from_secs(60));
        async move {
            loop {
                assert!(env.now() < patience, "the cluster does not let the node in");
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

    fn env(&self) -> Env {
        let seed = self.plan.seed ^ (self.id.get() << 48) ^ (self.starts << 40);
        sim_env(seed, self.clock.clone(), self.planted.clone(), self.plan.slow_job)
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

    /// Starts it from its disks. It must be down, and have an identity.
    pub fn start(&mut self) {
        assert!(self.life.is_none(), "node {} is up", self.id);
        self.starts += 1;
        let env = self.env();
        let ident = read_store_ident(&*self.engine).expect("the row decodes");
        let ident = ident.expect("the node has founded or joined");
        let transport = Arc::new(self.transport(&env));
        let (late, directory) = (LatePd::default(), SharedDirectory::default());
        directory.update(&[(self.info(), vec![self.store])]);
        let caller: Arc<dyn PdCaller> =
            Arc::new(self.pd_client(&env, transport.clone(), Arc::new(late.clone()), &directory));
        let (store, snapshots) = self.start_store(&env, &ident, &directory, &caller);
        let stores = LocalStores::new([store.clone()]);
        let pd = troupe_pd_actor::start(
            PdParts {
                env: env.clone(),
                node: self.info(),
                system_stores: vec![self.store],
                regions: Arc::new(stores.clone()),
                directory: directory.clone(),
                options: PdOptions::for_tick(TICK),
                bootstrap: self.plan.bootstrap(&self.info(), &ident),
            },
            ActorId(0),
        );
        let _ = late.0.set(pd.clone());
        let end = Endpoint { env: env.clone(), stores: stores.clone(), pd: Arc::new(pd.clone()) };
        self.net.plug_in(self.id, end);
        self.register(&env, &caller, ident.identity);
        let service = KvService::new(ServiceParts {
            env: env.clone(),
            local: Arc::new(stores.clone()),
            transport,
            pd: caller,
            directory,
        });
        self.life = Some(Life { env, store, stores, service, _pd: pd, _snapshots: snapshots });
    }

    fn start_store(
        &self,
        env: &Env,
        ident: &StoreIdent,
        directory: &SharedDirectory,
        pd: &Arc<dyn PdCaller>,
    ) -> (StoreHandle, ChildHandle) {
        let folder = self.folder.join("snap");
        let found = find_replicas(&*self.engine, &folder).expect("the rows decode");
        snapshot::folders::clean_at_start(&folder, &*self.engine).expect("the folder is there");
        let parts = SnapshotParts {
            env: env.clone(),
            store: self.store,
            engine: self.engine.clone(),
            worker: env.spawner.worker("snap", 1),
            transport: Arc::new(self.transport(env)),
            folder: folder.clone(),
            options: SnapshotOptions::default(),
        };
        let (ports, snapshots) = snapshot::start(parts, ActorId(0));
        let setup = StoreSetup {
            env: env.clone(),
            ident: ident.clone(),
            disks: self.disks(),
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
        let (env, pd) = (env.clone(), pd.clone());
        actix_rt::spawn(async move {
            while env.power.is_on() {
                let deadline = env.now().after(Duration::from_secs(5));
                if pd.call(request.clone(), deadline).await.is_ok() {
                    return;
                }
                tokio::time::sleep(millis(500)).await;
            }
        });
    }

    /// Ends it at once. Its disks keep what was durable, and the first `batches` buffered writes.
    pub fn crash(&mut self, batches: usize) {
        let Some(life) = self.life.take() else { return };
        self.net.unplug(self.id);
        life.env.power.cut();
        self.engine.crash_keeping(batches);
        self.log.crash();
    }
}
