//! One node: its parts, started in order and stopped in reverse.
use super::disks::{self, Disk};
use super::identity::{self, Membership};
use super::late::{LatePd, LateStores};
use super::{BootError, health, options};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use troupe_actors::cell::ReplyTo;
use troupe_actors::env::Env;
use troupe_actors::gc::{self, GcHandle, GcParts};
use troupe_actors::kv_service::{KvService, ServiceParts};
use troupe_actors::node::{PdCaller, SessionService, SharedDirectory};
use troupe_actors::pd_client::{PdClient, PdClientParts};
use troupe_actors::registry::ActorId;
use troupe_actors::snapshot::{self, SnapshotParts};
use troupe_actors::store::inbox::LocalStores;
use troupe_actors::store::{StopStore, StoreHandle, StoreSetup, find_replicas};
use troupe_actors::supervision::ChildHandle;
use troupe_actors::transport::{
    GrpcTransport, Identity, LinkParts, NetCounters, NetRuntime, ServerHandle, ServerParts,
    Transport, serve,
};
use troupe_actors::txn_session::{self, SessionOptions, Sessions, SessionsParts};
use troupe_config::Config;
use troupe_http_api::{HttpParts, HttpServer};
use troupe_pd_actor::{PdHandle, PdParts};
use troupe_storage::region_state::StoreIdent;
use troupe_types::pd::PdRequest;

/// Sockets that a node listens on, bound by the caller so that a busy port is seen early.
pub struct Listeners {
    /// JSON API.
    pub http: TcpListener,
    /// Other nodes.
    pub grpc: TcpListener,
}

/// A running node. Lives on the arbiter that started it.
pub struct Node {
    /// Its environment.
    pub env: Env,
    /// Its Stores.
    pub stores: LocalStores,
    /// Its commands.
    pub service: KvService,
    progress: Arc<health::Progress>,
    http: HttpServer,
    grpc: ServerHandle,
    pd: PdHandle,
    gc: GcHandle,
    snapshots: Vec<ChildHandle>,
    _transport: Arc<GrpcTransport>,
    _sessions: Option<Arc<Sessions>>,
}

/// What the network and the Stores share while a node starts.
struct Wiring {
    env: Env,
    config: Arc<Config>,
    identity: Identity,
    directory: SharedDirectory,
    late_stores: LateStores,
    late_pd: LatePd,
    runtime: NetRuntime,
    counters: Arc<NetCounters>,
    transport: Arc<GrpcTransport>,
}

impl Wiring {
    fn new(env: &Env, config: &Arc<Config>) -> Result<Self, BootError> {
        let runtime =
            NetRuntime::start(config.actors.network_threads).map_err(BootError::Network)?;
        let identity = Identity::unknown();
        let directory = SharedDirectory::default();
        let late_stores = LateStores::default();
        let counters = Arc::new(NetCounters::default());
        let parts = LinkParts {
            env: env.clone(),
            runtime: runtime.clone(),
            identity: identity.clone(),
            directory: directory.clone(),
            inbox: Arc::new(late_stores.clone()),
            options: options::transport(config),
            counters: counters.clone(),
        };
        let transport = GrpcTransport::start(parts, ActorId(0));
        Ok(Self {
            env: env.clone(),
            config: config.clone(),
            identity,
            directory,
            late_stores,
            late_pd: LatePd::default(),
            runtime,
            counters,
            transport,
        })
    }

    fn pd_client_parts(&self) -> PdClientParts {
        PdClientParts {
            env: self.env.clone(),
            transport: self.transport.clone(),
            local: Arc::new(self.late_pd.clone()),
            directory: self.directory.clone(),
            bootstrap: Vec::new(),
            own_address: self.config.node.reachable_grpc().to_owned(),
        }
    }

    fn serve(&self, listener: TcpListener) -> Result<ServerHandle, BootError> {
        let parts = ServerParts {
            env: self.env.clone(),
            identity: self.identity.clone(),
            inbox: Arc::new(self.late_stores.clone()),
            regions: Arc::new(self.late_stores.clone()),
            pd: Arc::new(self.late_pd.clone()),
            counters: self.counters.clone(),
            options: options::server(&self.config),
        };
        serve(&self.runtime, listener, parts).map_err(BootError::Network)
    }

    fn start_store(
        &self,
        disk: &Disk,
        ident: &StoreIdent,
        pd: &Arc<dyn PdCaller>,
    ) -> Result<(StoreHandle, ChildHandle), BootError> {
        let engine = disk.disks.engine.clone();
        let folder = disks::snapshot_folder(&disk.disks.folder);
        let found = find_replicas(&*engine, &folder)?;
        snapshot::folders::clean_at_start(&folder, &*engine)?;
        let transport: Arc<dyn Transport> = self.transport.clone();
        let parts = SnapshotParts {
            env: self.env.clone(),
            store: ident.store,
            engine,
            worker: self.env.spawner.worker(&format!("s{}-snap", ident.store), 1),
            transport: transport.clone(),
            folder: folder.clone(),
            options: options::snapshots(&self.config),
        };
        let (ports, snapshots) = snapshot::start(parts, ActorId(0));
        let setup = StoreSetup {
            env: self.env.clone(),
            ident: ident.clone(),
            disks: disk.disks.clone(),
            transport,
            directory: self.directory.clone(),
            pd: pd.clone(),
            generate_snapshot: ports.generate,
            send_snapshot: ports.send,
            snapshot_folder: folder,
            found,
            options: options::store(&self.config),
        };
        Ok((troupe_actors::store::start(ActorId(0), &setup), snapshots))
    }

    fn start_pd(&self, membership: &Membership, stores: &LocalStores) -> PdHandle {
        let parts = PdParts {
            env: self.env.clone(),
            node: identity::node_info(&self.config, membership.node),
            system_stores: membership.idents.iter().map(|ident| ident.store).collect(),
            regions: Arc::new(stores.clone()),
            directory: self.directory.clone(),
            options: options::pd(&self.config),
            bootstrap: identity::bootstrap_plan(&self.config, membership),
        };
        troupe_pd_actor::start(parts, ActorId(0))
    }
}

/// Starts what holds interactive transactions, unless the node has no Store to name it in their ids.
fn start_sessions(
    service: &KvService,
    stores: &LocalStores,
    options: SessionOptions,
) -> Option<Arc<Sessions>> {
    let store = stores.iter().next()?.id;
    let parts = SessionsParts { service: service.clone(), store, options };
    let sessions = txn_session::start(parts, ActorId(0));
    let served: Arc<dyn SessionService> = sessions.clone();
    stores.serve_sessions(&served);
    Some(sessions)
}

impl Node {
    /// Starts a node on the arbiter of the caller. Returns when it listens; `/readyz` tells when it
    /// serves.
    ///
    /// # Errors
    /// [`BootError`] says what to do.
    pub async fn start(
        env: Env,
        config: Arc<Config>,
        listeners: Listeners,
    ) -> Result<Self, BootError> {
        let opened = disks::open(&config, &env)?;
        let wiring = Wiring::new(&env, &config)?;
        let membership = match identity::from_disks(&opened)? {
            Some(known) => known,
            None if config.cluster.join.is_empty() => identity::found(&env, &opened)?,
            None => identity::join(&config, wiring.pd_client_parts(), &opened).await?,
        };
        let own_stores: Vec<_> = membership.idents.iter().map(|ident| ident.store).collect();
        let node_info = identity::node_info(&config, membership.node);
        let mut directory = membership.directory.clone();
        directory.retain(|(node, _)| node.id != membership.node);
        directory.push((node_info.clone(), own_stores));
        wiring.directory.update(&directory);
        wiring.identity.set(membership.cluster, membership.node);

        let bootstrap =
            if directory.len() > 1 { Vec::new() } else { identity::known_addresses(&config).await };
        let client = PdClientParts { bootstrap, ..wiring.pd_client_parts() };
        let pd_caller: Arc<dyn PdCaller> = Arc::new(PdClient::new(client));
        if let Some(first) = opened.first() {
            env.spawner.spawn_local(Box::pin(identity::remember_directory(
                env.clone(),
                first.disks.folder.clone(),
                wiring.directory.clone(),
            )));
        }
        let mut handles = Vec::new();
        let mut snapshots = Vec::new();
        for (disk, ident) in opened.iter().zip(&membership.idents) {
            let (handle, child) = wiring.start_store(disk, ident, &pd_caller)?;
            handles.push(handle);
            snapshots.push(child);
        }
        let stores = LocalStores::new(handles);
        wiring.late_stores.fill(stores.clone());
        let pd = wiring.start_pd(&membership, &stores);
        wiring.late_pd.fill(pd.clone());
        let grpc = wiring.serve(listeners.grpc)?;

        let labels = identity::labels(&config);
        let idents = membership.idents.iter();
        let register = PdRequest::Register {
            node: node_info.clone(),
            stores: idents.map(|i| (i.store, i.identity, labels.clone())).collect(),
        };
        let progress = Arc::new(health::Progress::default());
        env.spawner.spawn_local(Box::pin(health::become_ready(
            env.clone(),
            pd_caller.clone(),
            register,
            progress.clone(),
            config.cluster.pd_replicas,
        )));
        let service = KvService::new(ServiceParts {
            env: env.clone(),
            local: Arc::new(stores.clone()),
            transport: wiring.transport.clone(),
            pd: pd_caller,
            directory: wiring.directory.clone(),
        });
        let sessions = start_sessions(&service, &stores, options::sessions(&config));
        let gc = gc::start(
            GcParts {
                env: env.clone(),
                pd: Arc::new(pd.clone()),
                service: service.clone(),
                options: options::gc(&config),
            },
            ActorId(0),
        );
        let (measured, collector) = (stores.clone(), gc.clone());
        let http = troupe_http_api::start(
            listeners.http,
            HttpParts {
                env: env.clone(),
                service: service.clone(),
                config,
                node: node_info,
                cluster: membership.cluster,
                ready: health::checks(stores.clone(), progress.clone()),
                extra_metrics: Arc::new(move || health::figures(&measured, &collector)),
            },
        )
        .map_err(BootError::Network)?;
        let transport = wiring.transport;
        Ok(Self {
            env,
            stores,
            service,
            progress,
            http,
            grpc,
            pd,
            gc,
            snapshots,
            _transport: transport,
            _sessions: sessions,
        })
    }

    /// Stops the node: it takes no new requests, hands its leaders over, then ends its actors.
    pub async fn stop(self, patience: Duration) {
        self.progress.stopping.store(true, Ordering::Relaxed);
        let stopping: Vec<_> = self
            .stores
            .iter()
            .filter_map(|store| {
                let (reply, stopped) = ReplyTo::channel();
                let within = patience / 2;
                store.mailbox.tell(StopStore { within, reply }).ok()?;
                Some(stopped)
            })
            .collect();
        self.http.stop(true).await;
        for stopped in stopping {
            tokio::select! {
                _ = stopped => {}
                () = self.env.spawner.sleep(patience) => {}
            }
        }
        self.gc.stop();
        self.pd.stop();
        self.grpc.stop(&self.env, Duration::from_millis(100)).await;
        self.snapshots.iter().for_each(ChildHandle::stop);
    }
}
