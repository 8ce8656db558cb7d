//! A whole Store with one replica: commands through the gateway's door down to the engine and back,
//! with a small model in place of the real commands.
use super::*;
use crate::cell::tests::{run, until};
use crate::cell::{Message, Port};
use crate::deadlock::DetectorClient;
use crate::env::{Env, FaultPoint, Faults, Job, Spawner, Worker};
use crate::node::{PdCaller, RegionService, SharedDirectory};
use crate::region_peer::core::CoreOptions;
use crate::registry::ActorId;
use crate::store::core::ChoreTimes;
use crate::store::inbox::LocalStores;
use crate::store::recovery::create_replicas;
use crate::store::{self, Found, StoreDisks, StoreHandle, StoreOptions, StoreSetup};
use crate::supervision::Policy;
use crate::transport::{OutgoingSnapshot, Transport, TransportError};
use crate::txn_scheduler::{CommandExecuted, Report, SchedulerParts};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use troupe_storage::StorageError;
use troupe_storage::engine::Cf;
use troupe_storage::engine::memory::MemoryEngine;
use troupe_storage::mvcc::Lock;
use troupe_storage::raft_log::memory::MemoryRaftLog;
use troupe_storage::region_state::StoreIdent;
use troupe_storage::txn::{Executed, TxnContext};
use troupe_types::command::{TxnCf, TxnChange};
use troupe_types::key::encode_ordered;
use troupe_types::pd::{NodeInfo, PdError, PdReply, PdRequest, PdResult};
use troupe_types::raft_message::RaftEnvelope;
use troupe_types::request::{Consistency, RegionBody, RegionRequest, RegionResult};
use troupe_types::txn::session::SessionReply;
use troupe_types::txn::{
    Assertion, LockKind, Mutation, MutationOp, PessimisticAction, Prewrite, ReadView, TxnReply,
    TxnValue,
};
use troupe_types::{
    ClusterId, KeyRange, NodeId, Peer, PeerId, ReadCommand, ReadReply, Region, SYSTEM_REGION,
    StoreId, TraceTags,
};

const STORE: StoreId = StoreId(1);

/// Commands as far as the scheduler cares: locks that exclude each other and end.
fn model(command: &TxnCommand, context: &TxnContext<'_>) -> Result<Executed, StorageError> {
    match command {
        TxnCommand::Prewrite(prewrite) => prewrite_model(prewrite, context),
        TxnCommand::PessimisticLock(lock) => lock_model(lock, context),
        TxnCommand::Commit { keys, start_ts, .. } => commit_model(keys, *start_ts, context),
        other => panic!("not in the model: {other:?}"),
    }
}

fn find(key: &Key, context: &TxnContext<'_>) -> Option<Lock> {
    let stored = || {
        let row = context.snapshot.get(Cf::Lock, &encode_ordered(key)).unwrap();
        row.map(|row| Lock::decode(&row).unwrap())
    };
    context.memory.get(key).cloned().or_else(stored)
}

fn put(key: &Key, lock: Option<&Lock>) -> TxnChange {
    TxnChange { cf: TxnCf::Lock, key: encode_ordered(key), value: lock.map(Lock::encode) }
}

fn new_lock(kind: LockKind, start_ts: Timestamp, min_commit_ts: Timestamp) -> Lock {
    Lock {
        kind,
        primary: key("p"),
        start_ts,
        ttl_ms: 3000,
        short_value: None,
        expires_at: None,
        for_update_ts: Timestamp(0),
        txn_size: 1,
        min_commit_ts,
        use_async_commit: false,
        secondaries: Vec::new(),
        rollbacks: Vec::new(),
        generation: 0,
        locked_with_conflict: false,
    }
}

fn prewrite_model(p: &Prewrite, context: &TxnContext<'_>) -> Result<Executed, StorageError> {
    let min_commit_ts = Timestamp(context.max_ts.max(p.start_ts).get() + 1);
    let lock = new_lock(LockKind::Put, p.start_ts, min_commit_ts);
    let mut executed = Executed::default();
    let mut in_the_way = Vec::new();
    for Mutation { key, .. } in &p.mutations {
        match find(key, context) {
            Some(other) if other.start_ts != p.start_ts => in_the_way.push(other.info(key.clone())),
            Some(_) | None => {
                executed.changes.push(put(key, Some(&lock)));
                executed.published.push(lock.info(key.clone()));
            }
        }
    }
    if !in_the_way.is_empty() {
        let result = Some(Ok(TxnReply::Blocked(in_the_way)));
        return Ok(Executed { result, ..Executed::default() });
    }
    let reply = TxnReply::Prewritten { min_commit_ts, one_pc_commit_ts: Timestamp(0) };
    executed.result = Some(Ok(reply));
    Ok(executed)
}

fn lock_model(lock: &PessimisticLock, context: &TxnContext<'_>) -> Result<Executed, StorageError> {
    let mut executed = Executed::default();
    for (key, _) in &lock.keys {
        let held = find(key, context).filter(|held| held.start_ts != lock.start_ts);
        if let Some(held) = held {
            let waits_for = Some(Box::new(held.info(key.clone())));
            return Ok(Executed { waits_for, ..Executed::default() });
        }
        let mine = new_lock(LockKind::Pessimistic, lock.start_ts, Timestamp(0));
        if context.may_remember {
            executed.remembered.push((key.clone(), mine));
        } else {
            executed.changes.push(put(key, Some(&mine)));
        }
    }
    executed.result = Some(Ok(TxnReply::Locked(vec![Default::default(); lock.keys.len()])));
    Ok(executed)
}

fn commit_model(
    keys: &[Key],
    start_ts: Timestamp,
    context: &TxnContext<'_>,
) -> Result<Executed, StorageError> {
    let is_mine = |key: &&Key| find(key, context).is_some_and(|lock| lock.start_ts == start_ts);
    let mine: Vec<Key> = keys.iter().filter(is_mine).cloned().collect();
    Ok(Executed {
        result: Some(Ok(TxnReply::Done)),
        changes: mine.iter().map(|key| put(key, None)).collect(),
        forgotten: mine.clone(),
        released: mine,
        ..Executed::default()
    })
}

/// Runs jobs on the arbiter, each as a task of its own; those of the log can be held up.
#[derive(Clone, Default)]
struct Inline {
    holds_log: Arc<AtomicBool>,
    held: Arc<Mutex<Vec<Job>>>,
}

struct InlineWorker {
    inline: Inline,
    is_log: bool,
}

impl Worker for InlineWorker {
    fn run(&self, job: Job) {
        if self.is_log && self.inline.holds_log.load(Ordering::SeqCst) {
            self.inline.held.lock().unwrap().push(job);
            return;
        }
        actix_rt::spawn(async move { job() });
    }
}

impl Spawner for Inline {
    fn worker(&self, name: &str, _: usize) -> Arc<dyn Worker> {
        Arc::new(InlineWorker { inline: self.clone(), is_log: name.contains("log") })
    }

    fn spawn_local(&self, future: Pin<Box<dyn Future<Output = ()>>>) {
        actix_rt::spawn(future);
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

impl Inline {
    fn release_log(&self) {
        self.holds_log.store(false, Ordering::SeqCst);
        for job in std::mem::take(&mut *self.held.lock().unwrap()) {
            actix_rt::spawn(async move { job() });
        }
    }
}

/// The world outside of the Store: no other node, and a PD that gives timestamps unless told not to.
#[derive(Default)]
struct Outside {
    clock: AtomicU64,
    is_deaf: AtomicBool,
}

impl PdCaller for Outside {
    fn call(&self, request: PdRequest, _: Moment) -> BoxFuture<'static, PdResult> {
        let answer = match request {
            PdRequest::Timestamps { count } if !self.is_deaf.load(Ordering::SeqCst) => {
                let last = Timestamp(self.clock.fetch_add(1, Ordering::SeqCst) + 1);
                Ok(PdReply::Timestamps { last, count })
            }
            PdRequest::GcState => Ok(PdReply::Gc(Default::default())),
            _ => Err(PdError::Unavailable { why: "not in this test".to_owned() }),
        };
        std::future::ready(answer).boxed()
    }
}

impl Transport for Outside {
    fn send_raft(&self, _: StoreId, _: Vec<RaftEnvelope>, _: TraceTags) {}

    fn send_snapshot(
        &self,
        _: StoreId,
        _: OutgoingSnapshot,
    ) -> BoxFuture<'static, Result<(), TransportError>> {
        std::future::ready(Err(TransportError::UnknownAddress)).boxed()
    }

    fn call_region(
        &self,
        _: RegionRequest,
        _: Moment,
    ) -> BoxFuture<'static, Result<RegionResult, TransportError>> {
        std::future::ready(Err(TransportError::UnknownAddress)).boxed()
    }

    fn call_pd(
        &self,
        _: &str,
        _: PdRequest,
        _: Moment,
    ) -> BoxFuture<'static, Result<PdResult, TransportError>> {
        std::future::ready(Err(TransportError::UnknownAddress)).boxed()
    }

    fn fetch_trace(
        &self,
        _: NodeId,
        _: u64,
        _: Moment,
    ) -> BoxFuture<'static, Result<Vec<crate::trace::WireSpan>, TransportError>> {
        std::future::ready(Err(TransportError::UnknownAddress)).boxed()
    }
}

/// Panics once, at the next tick of the data Region.
#[derive(Default)]
struct OneCrash(AtomicBool);

impl Faults for OneCrash {
    fn hit(&self, point: FaultPoint, region: RegionId) {
        let is_due = point == FaultPoint::PeerTick && region == REGION;
        assert!(!(is_due && self.0.swap(false, Ordering::SeqCst)), "planted in a tick");
    }
}

struct World {
    env: Env,
    store: StoreHandle,
    stores: LocalStores,
    own_stores: Option<LocalStores>,
    outside: Arc<Outside>,
    inline: Inline,
    crash: Arc<OneCrash>,
    _folder: tempfile::TempDir,
}

fn core_options() -> CoreOptions {
    CoreOptions {
        tick: Duration::from_millis(100),
        heartbeat_ticks: 2,
        election_ticks: 10,
        lease: Duration::from_secs(9),
        max_entry_bytes: 8 << 20,
        max_message_bytes: 1 << 20,
        max_inflight_messages: 256,
        max_uncommitted_bytes: 64 << 20,
        batch_commands: 256,
        batch_bytes: 1 << 20,
        proposals: 4096,
        log_keep_entries: 1024,
        log_cache_bytes: 1 << 20,
        down_after: Duration::from_secs(60),
        report_every: Duration::from_secs(60),
    }
}

fn store_options() -> StoreOptions {
    let long = Duration::from_secs(1000);
    let times = ChoreTimes {
        tick: Duration::from_millis(100),
        heartbeat: Duration::from_secs(10),
        cut_logs: long,
        purge_log: long,
        check_health: long,
    };
    StoreOptions {
        core: core_options(),
        times,
        policy: Policy::default(),
        storm_min: 20,
        storm_window: Duration::from_secs(60),
        orphan_after: long,
        read_threads: 1,
        txn_threads: 1,
    }
}

fn shape(id: RegionId, range: KeyRange) -> Region {
    let peers = vec![Peer::voter(PeerId(100 + id.get()), STORE)];
    Region { id, range, epoch: RegionEpoch::INITIAL, peers }
}

impl World {
    /// A Store that leads the system Region and one of the transactional space.
    async fn start(env: Env) -> Self {
        let mut world = Self::with_real_commands(env).await;
        world.store.scheduler = with_model(&world.env, &world.store, &world.outside);
        // The Store's own detector goes on asking those that it was started with.
        let stores = LocalStores::new([world.store.clone()]);
        world.own_stores = Some(std::mem::replace(&mut world.stores, stores));
        world.until_scheduled().await;
        world
    }

    async fn with_real_commands(mut env: Env) -> Self {
        let (inline, outside) = (Inline::default(), Arc::new(Outside::default()));
        let crash = Arc::new(OneCrash::default());
        env.spawner = Arc::new(inline.clone());
        env.faults = crash.clone();
        let folder = tempfile::tempdir().unwrap();
        let regions =
            [shape(SYSTEM_REGION, KeyRange::system()), shape(REGION, KeyRange::txn_space())];
        let (engine, log) = (Arc::new(MemoryEngine::new()), Arc::new(MemoryRaftLog::new()));
        create_replicas(&*engine, &*log, STORE, &regions).unwrap();
        let setup = StoreSetup {
            env: env.clone(),
            ident: StoreIdent {
                cluster: ClusterId(1),
                node: NodeId(1),
                store: STORE,
                identity: 1,
                bootstrapped: true,
            },
            disks: StoreDisks { folder: folder.path().to_owned(), engine, log },
            transport: outside.clone(),
            directory: directory(),
            pd: outside.clone(),
            generate_snapshot: nowhere(),
            send_snapshot: nowhere(),
            snapshot_folder: folder.path().join("snap"),
            found: Found { replicas: vec![SYSTEM_REGION, REGION], quarantined: Vec::new() },
            options: store_options(),
        };
        let store = store::start(ActorId(0), &setup);
        let stores = LocalStores::new([store.clone()]);
        let world =
            Self { env, store, stores, own_stores: None, outside, inline, crash, _folder: folder };
        world.until_led().await;
        world
    }

    /// A scheduler is started beside whoever starts it.
    async fn until_scheduled(&self) {
        for _ in 0..5000 {
            if self.serve(RegionBody::LockWaits).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("the scheduler never starts");
    }

    async fn until_led(&self) {
        let (router, safe) = (self.store.router.clone(), self.store.safe_point.clone());
        let leads = |region| {
            let delegate = router.get(region).and_then(|peer| peer.view.delegate());
            delegate.is_some_and(|delegate| delegate.may_serve)
        };
        until("the Store leads", || leads(REGION) && leads(SYSTEM_REGION)).await;
        until("the safe point is known", || safe.is_trusted(self.env.now())).await;
    }

    fn serve(&self, body: RegionBody) -> BoxFuture<'static, RegionResult> {
        let target = match body {
            RegionBody::Detect(_) => RegionTarget { region: SYSTEM_REGION, ..target() },
            _ => target(),
        };
        let request = RegionRequest { store: STORE, target, body, traces: TraceTags::NONE };
        self.stores.serve(request, self.env.now().after(Duration::from_secs(20)))
    }

    /// Begins a command; its answer comes through the task.
    fn begin(&self, command: TxnCommand) -> actix_rt::task::JoinHandle<String> {
        let answer = self.serve(RegionBody::Txn(Box::new(command)));
        actix_rt::spawn(async move { short(&answer.await) })
    }

    async fn txn(&self, command: TxnCommand) -> String {
        self.begin(command).await.unwrap()
    }

    /// Prewrites for an asynchronous commit until that is allowed.
    async fn until_prewritten(&self, name: &str, start_ts: u64) -> String {
        for _ in 0..1000 {
            let answer = self.txn(prewrite(&[name], start_ts, true)).await;
            if answer.starts_with("Prewritten") {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("a commit timestamp may never be chosen");
    }

    async fn get(&self, name: &str, ts: u64) -> String {
        let view = ReadView::at(Timestamp(ts));
        let command = ReadCommand::TxnGet { keys: keys(&[name]), view };
        match self.serve(RegionBody::Read { command, consistency: Consistency::Leader }).await {
            Ok(RegionReply::Read(ReadReply::TxnValues(values))) => match &values[0] {
                TxnValue::Row(None) => "nothing".to_owned(),
                TxnValue::Row(Some(row)) => format!("of {}", row.commit_ts),
                TxnValue::Locked(lock) => format!("locked by {}", lock.start_ts),
            },
            Ok(RegionReply::ReadRefused(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    }

    /// Rows of the whole space, and the lock that ended the page.
    async fn scan(&self, ts: u64) -> (usize, Option<u64>) {
        let view = ReadView::at(Timestamp(ts));
        let (limit, max_bytes) = (100, 1 << 20);
        let (range, reverse, keys_only) = (KeyRange::txn_space(), false, false);
        let command = ReadCommand::TxnScan { range, view, limit, max_bytes, reverse, keys_only };
        match self.serve(RegionBody::Read { command, consistency: Consistency::Leader }).await {
            Ok(RegionReply::Read(ReadReply::TxnRows { rows, lock, .. })) => {
                (rows.len(), lock.map(|lock| lock.start_ts.get()))
            }
            other => panic!("{other:?}"),
        }
    }

    async fn waiting(&self) -> usize {
        match self.serve(RegionBody::LockWaits).await.unwrap() {
            RegionReply::Session(reply) => match *reply {
                Ok(SessionReply::Waits(waits)) => waits.len(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    async fn until_waiting(&self, count: usize) {
        for _ in 0..5000 {
            if self.waiting().await == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("{count} commands never wait");
    }

    /// Which locks block a snapshot at `ts`, as the leader tells another replica.
    async fn is_blocked(&self, name: &str, ts: u64) -> bool {
        let range = KeyRange::new(key(name), troupe_types::key::successor(&key(name)));
        let view = Box::new(ReadView::at(Timestamp(ts)));
        let body = RegionBody::SnapshotReadIndex { ranges: vec![range], view };
        match self.serve(body).await.unwrap() {
            RegionReply::ReadBlocked(_) => true,
            RegionReply::ReadIndex(_) => false,
            other => panic!("{other:?}"),
        }
    }
}

/// A single replica needs no snapshots.
#[allow(clippy::result_large_err, reason = "what a port's refusal is")]
fn nowhere<M: Message>() -> Port<M> {
    Port::from_fn(|_, _| Ok(()))
}

fn directory() -> SharedDirectory {
    let node = NodeInfo {
        id: NodeId(1),
        grpc_address: "here:1".to_owned(),
        http_address: "here:2".to_owned(),
        version: String::new(),
    };
    let directory = SharedDirectory::default();
    directory.update(&[(node, vec![STORE])]);
    directory
}

/// A second scheduler of the Store, which executes the model.
fn with_model(
    env: &Env,
    store: &StoreHandle,
    outside: &Arc<Outside>,
) -> crate::txn_scheduler::SchedulerHandle {
    let (transport, siblings) = (outside.clone(), store.siblings.clone());
    let detector = DetectorClient::new(env.clone(), transport, directory(), siblings);
    let parts = SchedulerParts {
        env: env.clone(),
        store: STORE,
        router: store.router.clone(),
        engine: store.engine.clone(),
        pd: outside.clone(),
        detector: Arc::new(detector),
        concurrency: store.concurrency.clone(),
        disk_full: store.disk_full.clone(),
        safe_point: store.safe_point.clone(),
        execute: model,
        worker: env.spawner.worker("txn", 1),
        threads: 1,
        options: SchedulerOptions::default(),
        policy: Policy::default(),
    };
    crate::txn_scheduler::start(parts, ActorId(0))
}

fn prewrite(names: &[&str], start_ts: u64, is_async: bool) -> TxnCommand {
    let mutation = |name: &&str| Mutation {
        key: key(name),
        op: MutationOp::Put { value: "v".into(), expires_at: None },
        assertion: Assertion::None,
        pessimistic: PessimisticAction::Skip,
    };
    TxnCommand::Prewrite(Prewrite {
        mutations: names.iter().map(mutation).collect(),
        primary: key(names[0]),
        start_ts: Timestamp(start_ts),
        lock_ttl_ms: 3000,
        txn_size: 1,
        for_update_ts: Timestamp(0),
        for_update_ts_checks: Vec::new(),
        min_commit_ts: Timestamp(0),
        max_commit_ts: Timestamp(0),
        async_commit: is_async.then(Vec::new),
        try_one_pc: false,
    })
}

#[test]
fn of_conflicting_prewrites_one_is_first() {
    run(|env| async {
        let world = World::start(env).await;
        let both = [10, 20].map(|start_ts| world.begin(prewrite(&["a", "b"], start_ts, false)));
        let mut answers = Vec::new();
        for one in both {
            answers.push(one.await.unwrap());
        }
        assert!(answers[0].starts_with("Prewritten"), "{answers:?}");
        assert!(answers[1].starts_with("Blocked"), "{answers:?}");
        assert_eq!(world.txn(commit(&["a", "b"], 10)).await, "Done");
        let again = world.txn(prewrite(&["a", "b"], 20, false)).await;
        assert!(again.starts_with("Prewritten"), "{again}");
    });
}

#[test]
fn a_released_lock_wakes_who_waits_for_it() {
    run(|env| async {
        let world = World::start(env).await;
        assert!(world.txn(lock(&["a"], 10, Some(5000))).await.starts_with("Locked"));
        let second = world.begin(lock(&["a"], 20, Some(5000)));
        world.until_waiting(1).await;
        assert_eq!(world.txn(lock(&["a"], 30, None)).await, "locked by 10");
        assert_eq!(world.txn(commit(&["a"], 10)).await, "Done");
        assert!(second.await.unwrap().starts_with("Locked"));
        assert_eq!(world.waiting().await, 0);
        // Nobody releases it: the wait ends by itself.
        let before = world.env.now();
        assert_eq!(world.txn(lock(&["a"], 30, Some(1500))).await, "locked by 20");
        let waited = world.env.now().since(before);
        assert!(waited >= Duration::from_millis(1500), "{waited:?}");
    });
}

#[test]
fn a_deadlock_of_two_is_broken() {
    run(|env| async {
        let world = World::start(env).await;
        assert!(world.txn(lock(&["a"], 10, Some(5000))).await.starts_with("Locked"));
        assert!(world.txn(lock(&["b"], 20, Some(5000))).await.starts_with("Locked"));
        let first = world.begin(lock(&["b"], 10, Some(9000)));
        world.until_waiting(1).await;
        assert_eq!(world.txn(lock(&["a"], 20, Some(9000))).await, "deadlock of 2");
        // The victim goes, and the other one has its lock.
        assert_eq!(world.txn(commit(&["b"], 20)).await, "Done");
        assert!(first.await.unwrap().starts_with("Locked"));
    });
}

/// B19, the half on one leader: a snapshot that was read is never changed by a commit below it.
#[test]
fn an_asynchronous_commit_lands_above_every_read_or_blocks_it() {
    run(|env| async {
        let world = World::start(env).await;
        world.until_prewritten("another", 10).await;
        assert!(!world.is_blocked("a", 500).await);
        world.inline.holds_log.store(true, Ordering::SeqCst);
        let under_way = world.begin(prewrite(&["a"], 100, true));
        let published = world.store.concurrency.clone();
        until("the lock is published", || published.published() == 1).await;
        // It commits at 501 or later, which is not in the engine yet.
        for (ts, expected) in [(99, false), (500, false), (501, true), (900, true)] {
            let found = published.blocking(&key("a"), &ReadView::at(Timestamp(ts))).is_some();
            assert_eq!(found, expected, "at {ts}");
        }
        assert!(world.is_blocked("a", 501).await);
        assert!(!world.is_blocked("b", 501).await);
        world.inline.release_log();
        let answer = under_way.await.unwrap();
        assert!(answer.contains("min_commit_ts: 501"), "{answer}");
        assert_eq!(published.published(), 0, "the stored lock says it now");
    });
}

/// B19, the other half: what was read under a former leader is not known here.
#[test]
fn a_new_leader_chooses_no_commit_timestamp_before_pd_gave_it_one() {
    run(|env| async {
        let world = World::start(env).await;
        world.until_prewritten("a", 10).await;
        let view = world.store.router.get(REGION).unwrap().view;
        let term = view.delegate().unwrap().term;
        world.outside.is_deaf.store(true, Ordering::SeqCst);
        world.outside.clock.store(7000, Ordering::SeqCst);
        world.crash.0.store(true, Ordering::SeqCst);
        until("the replica crashes", || view.delegate().is_none()).await;
        world.until_led().await;
        assert!(world.store.router.get(REGION).unwrap().view.delegate().unwrap().term > term);
        let refused = world.serve(RegionBody::Txn(Box::new(prewrite(&["b"], 20, true)))).await;
        assert_eq!(refused, Err(RegionError::MaxTimestampNotSynced { region: REGION }));
        // Two phases need none.
        assert!(world.txn(prewrite(&["c"], 30, false)).await.starts_with("Prewritten"));
        world.outside.is_deaf.store(false, Ordering::SeqCst);
        until("PD was asked again", || world.store.concurrency.max_ts().get() > 7000).await;
        let answer = world.until_prewritten("b", 20).await;
        assert!(answer.contains("min_commit_ts: 700"), "{answer}");
    });
}

/// Locks in memory do not outlive the term; the transaction's prewrite decides what that means.
#[test]
fn locks_in_memory_are_lost_with_the_term() {
    run(|env| async {
        let world = World::start(env).await;
        assert!(world.txn(lock(&["a"], 10, Some(5000))).await.starts_with("Locked"));
        assert_eq!(world.txn(lock(&["a"], 20, None)).await, "locked by 10");
        let view = world.store.router.get(REGION).unwrap().view;
        world.crash.0.store(true, Ordering::SeqCst);
        until("the replica crashes", || view.delegate().is_none()).await;
        world.until_led().await;
        assert!(world.txn(lock(&["a"], 20, None)).await.starts_with("Locked"));
    });
}

/// The replica crashes while a commit is in its log and not durable: the outcome is unknown, and the
/// key is free again once another term has begun.
#[test]
fn an_unknown_outcome_keeps_the_key_until_the_term_is_over() {
    run(|env| async {
        let world = World::start(env).await;
        world.inline.holds_log.store(true, Ordering::SeqCst);
        let under_way = world.begin(prewrite(&["a"], 10, false));
        until("it is in the log's queue", || !world.inline.held.lock().unwrap().is_empty()).await;
        let behind = world.begin(prewrite(&["a"], 20, false));
        world.crash.0.store(true, Ordering::SeqCst);
        let answer = under_way.await.unwrap();
        assert!(answer.contains("unknown"), "{answer}");
        world.inline.release_log();
        world.until_led().await;
        let behind = behind.await.unwrap();
        // It ran in a term behind that, whose leader knows what became of the first: it is there.
        let later = ["Blocked", "region 7 is not ready", "store 1 has no region 7"];
        let is_told = later.iter().any(|start| behind.starts_with(start));
        assert!(is_told, "{behind}");
        assert!(world.txn(prewrite(&["a"], 20, false)).await.starts_with("Blocked"));
    });
}

#[test]
fn commands_that_do_not_fit_the_region_are_refused() {
    run(|env| async {
        let world = World::start(env).await;
        let older = RegionTarget { epoch: RegionEpoch { conf_ver: 1, version: 0 }, ..target() };
        let body = RegionBody::Txn(Box::new(commit(&["a"], 1)));
        let request = RegionRequest { store: STORE, target: older, body, traces: TraceTags::NONE };
        let answer =
            world.stores.serve(request, world.env.now().after(Duration::from_secs(5))).await;
        assert!(matches!(answer, Err(RegionError::EpochNotMatch { .. })), "{answer:?}");
        let outside = TxnCommand::Commit {
            keys: vec![Key::from_static(b"r\0\0\0k")],
            start_ts: Timestamp(1),
            commit_ts: Timestamp(2),
        };
        let answer = world.serve(RegionBody::Txn(Box::new(outside))).await;
        assert_eq!(answer, Err(RegionError::KeyNotInRegion { region: REGION }));
    });
}

#[test]
fn nothing_new_begins_below_the_safe_point() {
    run(|env| async {
        let world = World::start(env).await;
        world.store.safe_point.heard(Timestamp(100), world.env.now());
        let answer = world.txn(prewrite(&["a"], 99, false)).await;
        assert_eq!(answer, "timestamp 99 is below the safe point 100");
        assert!(world.txn(prewrite(&["a"], 100, false)).await.starts_with("Prewritten"));
        // What has begun may end.
        assert_eq!(world.txn(commit(&["b"], 50)).await, "Done");
    });
}

/// The scheduler crashes: what it held is unknown, what is under way goes on, and the next life begins
/// behind that.
#[test]
fn a_scheduler_that_crashes_begins_anew_when_all_has_landed() {
    run(|env| async {
        let world = World::start(env).await;
        world.inline.holds_log.store(true, Ordering::SeqCst);
        let under_way = world.begin(prewrite(&["a"], 10, false));
        until("it is in the log's queue", || !world.inline.held.lock().unwrap().is_empty()).await;
        let queued = world.begin(prewrite(&["a"], 20, false));
        tokio::time::sleep(Duration::from_millis(1)).await;
        // A command that it has never heard of.
        world.store.scheduler.executed.cast(CommandExecuted { id: 1, report: Report::NoEffect });
        assert!(queued.await.unwrap().contains("unknown"));
        tokio::time::sleep(Duration::from_secs(3)).await;
        let meanwhile = world.txn(prewrite(&["a"], 30, false)).await;
        assert!(meanwhile.contains("not ready"), "{meanwhile}");
        world.inline.release_log();
        assert!(under_way.await.unwrap().starts_with("Prewritten"));
        let mut after = world.txn(prewrite(&["a"], 30, false)).await;
        while after.contains("not ready") {
            tokio::time::sleep(Duration::from_millis(10)).await;
            after = world.txn(prewrite(&["a"], 30, false)).await;
        }
        assert!(after.starts_with("Blocked"), "{after}");
    });
}

#[test]
fn a_command_that_panics_fails_alone() {
    run(|env| async {
        let world = World::start(env).await;
        let unknown = TxnCommand::Rollback { keys: keys(&["a"]), start_ts: Timestamp(10) };
        assert_eq!(world.txn(unknown).await, "cannot decode: rollback panicked");
        assert!(world.txn(prewrite(&["a"], 10, false)).await.starts_with("Prewritten"));
    });
}

#[test]
fn the_real_commands_commit_in_two_phases_and_reads_see_snapshots() {
    run(|env| async {
        let world = World::with_real_commands(env).await;
        assert_eq!(world.get("a", 5).await, "nothing");
        let answer = world.txn(prewrite(&["a", "b"], 10, false)).await;
        assert!(answer.starts_with("Prewritten"), "{answer}");
        assert_eq!(world.get("a", 9).await, "nothing");
        assert_eq!(world.get("a", 20).await, "locked by 10");
        assert_eq!(world.scan(20).await, (0, Some(10)));
        assert_eq!(world.txn(commit(&["a", "b"], 10)).await, "Done");
        assert_eq!(world.get("a", 10).await, "nothing");
        assert_eq!(world.get("a", 11).await, "of 11");
        assert_eq!(world.scan(20).await, (2, None));
        let late = world.txn(prewrite(&["a"], 8, false)).await;
        assert!(late.contains("was committed at 11"), "{late}");
        world.store.safe_point.heard(Timestamp(15), world.env.now());
        assert_eq!(world.get("a", 14).await, "timestamp 14 is below the safe point 15");
        assert_eq!(world.get("a", 15).await, "of 11");
    });
}

/// B19 end to end: reads beside an asynchronous commit that is on its way into the log.
#[test]
fn reads_beside_an_asynchronous_commit_see_it_or_stay_below_it() {
    run(|env| async {
        let world = World::with_real_commands(env).await;
        world.until_prewritten("z", 1000).await;
        assert_eq!(world.get("a", 500).await, "nothing");
        world.inline.holds_log.store(true, Ordering::SeqCst);
        let under_way = world.begin(prewrite(&["a"], 100, true));
        let published = world.store.concurrency.clone();
        until("the lock is published", || published.published() == 1).await;
        assert_eq!(world.get("a", 500).await, "nothing");
        assert_eq!(world.get("a", 600).await, "locked by 100");
        assert_eq!(world.scan(600).await, (0, Some(100)));
        world.inline.release_log();
        let answer = under_way.await.unwrap();
        assert!(answer.contains("min_commit_ts: 501"), "{answer}");
        // The stored lock says the same.
        assert_eq!(world.get("a", 500).await, "nothing");
        assert_eq!(world.get("a", 600).await, "locked by 100");
    });
}

#[test]
fn one_phase_commits_at_once_above_all_reads() {
    run(|env| async {
        let world = World::with_real_commands(env).await;
        world.until_prewritten("z", 1000).await;
        assert_eq!(world.get("a", 700).await, "nothing");
        let TxnCommand::Prewrite(mut one) = prewrite(&["a", "b"], 100, false) else { panic!() };
        one.try_one_pc = true;
        let answer = world.txn(TxnCommand::Prewrite(one)).await;
        assert!(answer.contains("one_pc_commit_ts: 701"), "{answer}");
        assert_eq!(world.get("a", 700).await, "nothing");
        assert_eq!(world.get("b", 701).await, "of 701");
        assert_eq!(world.store.concurrency.published(), 0);
    });
}

#[test]
fn real_pessimistic_locks_wait_wake_and_are_found_in_deadlock() {
    run(|env| async {
        let world = World::with_real_commands(env).await;
        assert!(world.txn(lock(&["a"], 10, Some(5000))).await.starts_with("Locked"));
        assert!(world.txn(lock(&["b"], 20, Some(5000))).await.starts_with("Locked"));
        // Held in memory: readers do not mind them.
        assert_eq!(world.get("a", 30).await, "nothing");
        let first = world.begin(lock(&["b"], 10, Some(9000)));
        world.until_waiting(1).await;
        assert_eq!(world.txn(lock(&["a"], 20, Some(9000))).await, "deadlock of 2");
        let gone = TxnCommand::PessimisticRollback {
            keys: keys(&["b"]),
            start_ts: Timestamp(20),
            for_update_ts: Timestamp(20),
        };
        assert_eq!(world.txn(gone).await, "Done");
        assert!(first.await.unwrap().starts_with("Locked"));
    });
}

#[test]
fn locks_of_ended_transactions_are_resolved_over_a_range() {
    run(|env| async {
        let world = World::with_real_commands(env).await;
        for (names, start_ts) in [(["a", "b"], 10), (["c", "d"], 20), (["e", "f"], 30)] {
            let answer = world.txn(prewrite(&names, start_ts, false)).await;
            assert!(answer.starts_with("Prewritten"), "{answer}");
        }
        let txns = vec![(Timestamp(10), Timestamp(15)), (Timestamp(20), Timestamp(0))];
        let resolve = TxnCommand::ResolveLocks { range: KeyRange::txn_space(), txns };
        assert_eq!(world.txn(resolve.clone()).await, "Done");
        let mut seen = Vec::new();
        for name in ["a", "b", "c", "d", "e", "f"] {
            seen.push(world.get(name, 99).await);
        }
        let open = "locked by 30";
        assert_eq!(seen, ["of 15", "of 15", "nothing", "nothing", open, open]);
        assert_eq!(world.txn(resolve).await, "Done", "again");
    });
}
