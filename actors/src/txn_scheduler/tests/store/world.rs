//! The Store under test: its disks, its threads and the world outside of it.
use super::*;

pub(super) const STORE: StoreId = StoreId(1);

/// Runs jobs on the arbiter, each as a task of its own; those of the log can be held up.
#[derive(Clone, Default)]
pub(super) struct Inline {
    pub(super) holds_log: Arc<AtomicBool>,
    pub(super) held: Arc<Mutex<Vec<Job>>>,
}

pub(super) struct InlineWorker {
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
    pub(super) fn release_log(&self) {
        self.holds_log.store(false, Ordering::SeqCst);
        for job in std::mem::take(&mut *self.held.lock().unwrap()) {
            actix_rt::spawn(async move { job() });
        }
    }
}

/// The world outside of the Store: no other node, and a PD that gives timestamps unless told not to.
#[derive(Default)]
pub(super) struct Outside {
    pub(super) clock: AtomicU64,
    pub(super) is_deaf: AtomicBool,
    pub(super) gc: Mutex<GcState>,
}

impl PdCaller for Outside {
    fn call(&self, request: PdRequest, _: Moment) -> BoxFuture<'static, PdResult> {
        let answer = match request {
            PdRequest::Timestamps { count } if !self.is_deaf.load(Ordering::SeqCst) => {
                let last = Timestamp(self.clock.fetch_add(1, Ordering::SeqCst) + 1);
                Ok(PdReply::Timestamps { last, count })
            }
            PdRequest::GcState => Ok(PdReply::Gc(self.gc.lock().unwrap().clone())),
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
pub(super) struct OneCrash(pub(super) AtomicBool);

impl Faults for OneCrash {
    fn hit(&self, point: FaultPoint, region: RegionId) {
        let is_due = point == FaultPoint::PeerTick && region == REGION;
        assert!(!(is_due && self.0.swap(false, Ordering::SeqCst)), "planted in a tick");
    }
}

pub(super) struct World {
    pub(super) env: Env,
    pub(super) store: StoreHandle,
    pub(super) stores: LocalStores,
    pub(super) own_stores: Option<LocalStores>,
    pub(super) outside: Arc<Outside>,
    pub(super) inline: Inline,
    pub(super) crash: Arc<OneCrash>,
    _folder: tempfile::TempDir,
}

pub(super) fn core_options() -> CoreOptions {
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

pub(super) fn store_options() -> StoreOptions {
    let long = Duration::from_secs(1000);
    let times = ChoreTimes {
        tick: Duration::from_millis(100),
        heartbeat: Duration::from_secs(10),
        cut_logs: long,
        purge_log: long,
        check_health: long,
        collect: Duration::from_millis(100),
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
        trust: Duration::from_secs(60),
        collect: crate::store::collector::CollectOptions {
            rest: Duration::from_millis(1),
            again_after: long,
        },
    }
}

pub(super) fn shape(id: RegionId, range: KeyRange) -> Region {
    let peers = vec![Peer::voter(PeerId(100 + id.get()), STORE)];
    Region { id, range, epoch: RegionEpoch::INITIAL, peers }
}

impl World {
    /// A Store that leads the system Region and one of the transactional space.
    pub(super) async fn start(env: Env) -> Self {
        let mut world = Self::with_real_commands(env).await;
        world.store.scheduler = with_model(&world.env, &world.store, &world.outside);
        // The Store's own detector goes on asking those that it was started with.
        let stores = LocalStores::new([world.store.clone()]);
        world.own_stores = Some(std::mem::replace(&mut world.stores, stores));
        world.until_scheduled().await;
        world
    }

    pub(super) async fn with_real_commands(mut env: Env) -> Self {
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
    pub(super) async fn until_scheduled(&self) {
        for _ in 0..5000 {
            if self.serve(RegionBody::LockWaits).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("the scheduler never starts");
    }

    pub(super) async fn until_led(&self) {
        let (router, safe) = (self.store.router.clone(), self.store.safe_point.clone());
        let leads = |region| {
            let delegate = router.get(region).and_then(|peer| peer.view.delegate());
            delegate.is_some_and(|delegate| delegate.may_serve)
        };
        until("the Store leads", || leads(REGION) && leads(SYSTEM_REGION)).await;
        until("the safe point is known", || safe.is_trusted(self.env.now())).await;
    }

    pub(super) fn serve(&self, body: RegionBody) -> BoxFuture<'static, RegionResult> {
        let target = match body {
            RegionBody::Detect(_) => RegionTarget { region: SYSTEM_REGION, ..target() },
            _ => target(),
        };
        let request = RegionRequest { store: STORE, target, body, traces: TraceTags::NONE };
        self.stores.serve(request, self.env.now().after(Duration::from_secs(20)))
    }

    /// Begins a command; its answer comes through the task.
    pub(super) fn begin(&self, command: TxnCommand) -> actix_rt::task::JoinHandle<String> {
        let answer = self.serve(RegionBody::Txn(Box::new(command)));
        actix_rt::spawn(async move { short(&answer.await) })
    }

    pub(super) async fn txn(&self, command: TxnCommand) -> String {
        self.begin(command).await.unwrap()
    }

    /// Prewrites for an asynchronous commit until that is allowed.
    pub(super) async fn until_prewritten(&self, name: &str, start_ts: u64) -> String {
        for _ in 0..1000 {
            let answer = self.txn(prewrite(&[name], start_ts, true)).await;
            if answer.starts_with("Prewritten") {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("a commit timestamp may never be chosen");
    }

    pub(super) async fn get(&self, name: &str, ts: u64) -> String {
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
    pub(super) async fn scan(&self, ts: u64) -> (usize, Option<u64>) {
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

    pub(super) async fn waiting(&self) -> usize {
        match self.serve(RegionBody::LockWaits).await.unwrap() {
            RegionReply::Session(reply) => match *reply {
                Ok(SessionReply::Waits(waits)) => waits.len(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn until_waiting(&self, count: usize) {
        for _ in 0..5000 {
            if self.waiting().await == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("{count} commands never wait");
    }

    /// Which locks block a snapshot at `ts`, as the leader tells another replica.
    pub(super) async fn is_blocked(&self, name: &str, ts: u64) -> bool {
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
pub(super) fn nowhere<M: Message>() -> Port<M> {
    Port::from_fn(|_, _| Ok(()))
}

pub(super) fn directory() -> SharedDirectory {
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
