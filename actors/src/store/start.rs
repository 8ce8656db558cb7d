//! Starts a Store: mends what a crash left half done, then starts its actors in order.
use super::collector::CollectOptions;
use super::core::ChoreTimes;
use super::inbox::WeakStores;
use super::safe_point::TxnSafePoint;
use super::{Store, chores, recovery};
use crate::apply::Apply;
use crate::apply::executor::{ApplyFigures, Executor, install_snapshot};
use crate::cell::{Acts, Mailbox, Port};
use crate::deadlock::{DetectorClient, DetectorHost};
use crate::env::{Env, Worker};
use crate::log_writer::LogWriter;
use crate::node::{PdCaller, SharedDirectory};
use crate::region_peer::core::CoreOptions;
use crate::registry::ActorId;
use crate::router::Router;
use crate::snapshot::{GenerateSnapshot, SendSnapshot};
use crate::supervision::{Policy, start_essential, start_essential_as};
use crate::transport::Transport;
use crate::txn_scheduler;
use crate::txn_scheduler::{
    ConcurrencyManager, LeadChanged, SchedulerHandle, SchedulerOptions, SchedulerParts,
};
use arc_swap::ArcSwap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;
use troupe_storage::StorageError;
use troupe_storage::engine::{Cf, KvEngine};
use troupe_storage::raft_log::RaftLog;
use troupe_storage::region_state::{ReplicaState, StoreIdent};
use troupe_types::{ClusterId, KeyRange, RegionId, StoreId, codec};

/// Limits and times of a Store.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// Of its replicas.
    pub core: CoreOptions,
    /// Of its own chores.
    pub times: ChoreTimes,
    /// How often one replica may crash.
    pub policy: Policy,
    /// More crashes of replicas than this within `storm_window` end the process.
    pub storm_min: usize,
    /// See `storm_min`.
    pub storm_window: Duration,
    /// Time without a leader after which PD is asked whether a replica is still a member.
    pub orphan_after: Duration,
    /// Threads for scans.
    pub read_threads: usize,
    /// Threads for commands of transactions.
    pub txn_threads: usize,
    /// How long it trusts what it heard of the transaction safe point: on all nodes the same.
    pub trust: Duration,
    /// When it collects garbage.
    pub collect: CollectOptions,
}

/// What a Store has collected since it started.
#[derive(Debug, Default)]
pub struct GarbageFigures {
    /// Runs that are over.
    pub runs: AtomicU64,
    /// Records removed.
    pub records: AtomicU64,
}

/// Replicas found on disk.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Those to start.
    pub replicas: Vec<RegionId>,
    /// Those out of service.
    pub quarantined: Vec<RegionId>,
}

/// What a Store is made of.
#[derive(Clone)]
pub struct StoreDisks {
    /// Data directory.
    pub folder: PathBuf,
    /// Applied data.
    pub engine: Arc<dyn KvEngine>,
    /// Raft log.
    pub log: Arc<dyn RaftLog>,
}

/// What a Store is given by its node.
pub struct StoreSetup {
    /// Environment.
    pub env: Env,
    /// Who it is.
    pub ident: StoreIdent,
    /// Its disks.
    pub disks: StoreDisks,
    /// The network.
    pub transport: Arc<dyn Transport>,
    /// The cluster's nodes.
    pub directory: SharedDirectory,
    /// PD.
    pub pd: Arc<dyn PdCaller>,
    /// Makes snapshots.
    pub generate_snapshot: Port<GenerateSnapshot>,
    /// Sends snapshots.
    pub send_snapshot: Port<SendSnapshot>,
    /// Where snapshots lie.
    pub snapshot_folder: PathBuf,
    /// From [`find_replicas`], which must run before the snapshot folder is swept.
    pub found: Found,
    /// Limits and times.
    pub options: StoreOptions,
}

/// What the Store's actor holds.
pub struct StoreParts {
    pub(super) env: Env,
    pub(super) ident: StoreIdent,
    pub(super) folder: PathBuf,
    pub(super) engine: Arc<dyn KvEngine>,
    pub(super) log: Arc<dyn RaftLog>,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) directory: SharedDirectory,
    pub(super) pd: Arc<dyn PdCaller>,
    pub(super) generate_snapshot: Port<GenerateSnapshot>,
    pub(super) send_snapshot: Port<SendSnapshot>,
    pub(super) log_writer: Mailbox<LogWriter>,
    pub(super) apply: Mailbox<Apply>,
    pub(super) lead_changed: Port<LeadChanged>,
    pub(super) safe_point: TxnSafePoint,
    pub(super) router: Arc<Router>,
    pub(super) chores: Arc<dyn Worker>,
    pub(super) collects: Arc<dyn Worker>,
    pub(super) garbage: Arc<GarbageFigures>,
    pub(super) figures: Arc<ApplyFigures>,
    pub(super) reads: Arc<AtomicU64>,
    pub(super) health: Arc<ArcSwap<Vec<(&'static str, u64)>>>,
    pub(super) found: Found,
    pub(super) options: StoreOptions,
}

/// A running Store, for those who ask it. Cheap to clone.
#[derive(Clone)]
pub struct StoreHandle {
    /// Which Store.
    pub id: StoreId,
    /// Which cluster.
    pub cluster: ClusterId,
    /// Its actor.
    pub mailbox: Mailbox<Store>,
    /// Its replicas.
    pub router: Arc<Router>,
    /// Its applied data.
    pub engine: Arc<dyn KvEngine>,
    /// Its Raft log.
    pub log: Arc<dyn RaftLog>,
    /// Runs its scans.
    pub read_pool: Arc<dyn Worker>,
    /// Environment.
    pub env: Env,
    /// Where its snapshots lie.
    pub snapshot_folder: PathBuf,
    /// Its disk is full.
    pub disk_full: Arc<AtomicBool>,
    /// Which versions of the transactional space it serves.
    pub safe_point: TxnSafePoint,
    /// Executes commands of transactions.
    pub scheduler: SchedulerHandle,
    /// What its readers and committing transactions tell each other.
    pub concurrency: Arc<ConcurrencyManager>,
    /// The graph of waits, where it leads the system Region.
    pub deadlocks: Arc<DetectorHost>,
    /// All Stores of the node, once they are started.
    pub siblings: WeakStores,
    /// Reads served.
    pub reads: Arc<AtomicU64>,
    /// What it applied.
    pub figures: Arc<ApplyFigures>,
    /// What it collected.
    pub garbage: Arc<GarbageFigures>,
    /// What its engine said last.
    pub health: Arc<ArcSwap<Vec<(&'static str, u64)>>>,
}

/// Finds the replicas on disk; a snapshot whose installation was cut short is installed again.
///
/// # Errors
/// The disk failed or holds rows that do not decode.
pub fn find_replicas(engine: &dyn KvEngine, snapshot_folder: &Path) -> Result<Found, StorageError> {
    let mut rows = Vec::new();
    let range = KeyRange::prefix(b"R");
    engine.snapshot().scan(Cf::Raft, &range, false, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })?;
    let mut found = Found::default();
    for (key, value) in rows {
        let region = key.get(1..9).and_then(|id| id.try_into().ok()).map(u64::from_be_bytes);
        let region = RegionId(region.ok_or_else(|| StorageError::Inconsistent {
            detail: format!("a replica's row has the key {key:?}"),
        })?);
        let state = codec::decode::<ReplicaState>(&value)
            .map_err(|source| StorageError::Corrupt { what: "replica state", source })?;
        match state {
            ReplicaState::Uninitialised { .. } | ReplicaState::Normal { .. } => {
                found.replicas.push(region);
            }
            ReplicaState::Applying { peer, manifest, folder } => {
                install_snapshot(engine, peer, &manifest, &snapshot_folder.join(folder));
                found.replicas.push(region);
            }
            ReplicaState::Quarantined { .. } => found.quarantined.push(region),
            ReplicaState::Tombstone { .. } => {}
        }
    }
    Ok(found)
}

/// Starts the Store's actors on the arbiter of the caller, under `parent`.
pub fn start(parent: ActorId, setup: &StoreSetup) -> StoreHandle {
    let StoreSetup { env, ident, disks, options, .. } = setup;
    let name = |part: &str| format!("store-{}/{part}", ident.store);
    let thread = |part: &str, threads: usize| {
        env.spawner.worker(&format!("s{}-{part}", ident.store), threads)
    };
    let own = format!("store-{}", ident.store);
    let entry = env.registry.register(Store::KIND, own, parent, env.cells.recorder_inputs);
    let router = Arc::new(Router::default());
    let disk_full = Arc::new(AtomicBool::new(false));
    let figures = Arc::new(ApplyFigures::default());
    let (log, engine) = (disks.log.clone(), disks.engine.clone());
    let log_writer = start_essential(env, entry.id, name("log-writer"), |me| {
        LogWriter::new(me, log, thread("log", 1), router.clone(), disk_full.clone())
    });
    let executor = Executor::new(engine, env.faults.clone(), ident.store, figures.clone());
    let apply = start_essential(env, entry.id, name("apply"), |me| {
        Apply::new(me, executor, thread("apply", 1), router.clone())
    });
    let reads = Arc::new(AtomicU64::new(0));
    let health = Arc::new(ArcSwap::from_pointee(chores::or_fatal(disks.engine.health())));
    let safe_point = TxnSafePoint::unknown(options.trust);
    let garbage = Arc::new(GarbageFigures::default());
    let concurrency = Arc::new(ConcurrencyManager::default());
    let siblings = WeakStores::default();
    let (transport, directory) = (setup.transport.clone(), setup.directory.clone());
    let detector = DetectorClient::new(env.clone(), transport, directory, siblings.clone());
    let scheduler = SchedulerParts {
        env: env.clone(),
        store: ident.store,
        router: router.clone(),
        engine: disks.engine.clone(),
        pd: setup.pd.clone(),
        detector: Arc::new(detector),
        concurrency: concurrency.clone(),
        disk_full: disk_full.clone(),
        safe_point: safe_point.clone(),
        execute: troupe_storage::txn::execute,
        worker: thread("txn", options.txn_threads),
        threads: options.txn_threads,
        options: SchedulerOptions::default(),
        policy: options.policy,
    };
    let scheduler = txn_scheduler::start(scheduler, entry.id);
    let parts = StoreParts {
        env: env.clone(),
        ident: ident.clone(),
        folder: disks.folder.clone(),
        engine: disks.engine.clone(),
        log: disks.log.clone(),
        transport: setup.transport.clone(),
        directory: setup.directory.clone(),
        pd: setup.pd.clone(),
        generate_snapshot: setup.generate_snapshot.clone(),
        send_snapshot: setup.send_snapshot.clone(),
        log_writer,
        apply,
        lead_changed: scheduler.lead_changed.clone(),
        safe_point: safe_point.clone(),
        router: router.clone(),
        chores: thread("chores", 1),
        collects: thread("gc", 1),
        garbage: garbage.clone(),
        figures: figures.clone(),
        reads: reads.clone(),
        health: health.clone(),
        found: setup.found.clone(),
        options: *options,
    };
    let mailbox = start_essential_as(env, entry, |me| Store::new(me, parts));
    StoreHandle {
        id: ident.store,
        cluster: ident.cluster,
        mailbox,
        router,
        engine: disks.engine.clone(),
        log: disks.log.clone(),
        read_pool: thread("read", options.read_threads),
        env: env.clone(),
        snapshot_folder: setup.snapshot_folder.clone(),
        disk_full,
        safe_point,
        scheduler,
        concurrency,
        deadlocks: Arc::default(),
        siblings,
        reads,
        figures,
        garbage,
        health,
    }
}

/// Creates the first replica of the system Region on a Store that founds a cluster.
///
/// # Errors
/// The disk failed.
pub fn found_system_region(
    disks: &StoreDisks,
    store: StoreId,
    region: &troupe_types::Region,
) -> Result<(), StorageError> {
    recovery::create_replicas(&*disks.engine, &*disks.log, store, std::slice::from_ref(region))
        .map(|_| ())
}
