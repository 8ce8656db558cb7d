//! Regions that really execute their commands, on one engine in memory, and clients on several nodes,
//! each of which can be made to wait, or to fall silent for good, at any of its commands.
use super::*;
use crate::kv_service::ServiceError;
use troupe_storage::apply::txn_modify;
use troupe_storage::engine::memory::MemoryEngine;
use troupe_storage::engine::{Durability, KvEngine, WriteBatch};
use troupe_storage::txn::{TxnContext, execute};
use troupe_types::UnixMillis;
use troupe_types::txn::session::{
    CommitProtocol, Idempotency, OneShot, OneShotOutcome, TxnIsolation, TxnMode, TxnSettings,
};
use troupe_types::txn::{
    Assertion, Mutation, MutationOp, PessimisticAction, Prewrite, TxnCommand, TxnError, TxnResult,
};

/// Where a command of a client waits until it is let go.
#[derive(Default)]
pub(super) struct Gate {
    /// A command has come.
    pub(super) reached: tokio::sync::Notify,
    /// It may go on.
    pub(super) open: tokio::sync::Notify,
}

/// What happens to the commands of one node.
#[derive(Default)]
struct Plan {
    /// The next command with this name waits at the gate before it is executed.
    gates: Vec<(&'static str, Arc<Gate>)>,
    /// So does the one behind so many further commands.
    gate_behind: Option<(usize, Arc<Gate>)>,
    /// So many further commands are executed; the node is dead by then.
    lives_for: Option<usize>,
    /// The command that the node dies of is executed as well, and its answer lost.
    last_takes_effect: bool,
    has_died: bool,
    sent: Vec<&'static str>,
}

/// What is done with a command in place of executing it.
pub(super) type Instead = Box<dyn FnMut(&mut Engine, &TxnCommand) -> Option<RegionResult> + Send>;

/// What all Regions share.
pub(super) struct Engine {
    engine: MemoryEngine,
    clock: u64,
    max_ts: Timestamp,
    /// Commands with these names take effect, and their answers are lost.
    pub(super) lose: Vec<&'static str>,
    pub(super) log: Vec<&'static str>,
    plans: BTreeMap<usize, Plan>,
    /// Looks at each command first; what it answers is the answer.
    pub(super) instead: Option<Instead>,
    pub(super) pd_is_down: bool,
    /// What dead nodes have sent and was not executed.
    late: Vec<TxnCommand>,
    /// Somebody stores a value at this key right behind the next look for ended values.
    pub(super) after_scan: Option<Key>,
}

/// One node's way to the Regions.
#[derive(Clone)]
pub(super) struct World {
    pub(super) engine: Arc<Mutex<Engine>>,
    node: usize,
}

pub(super) fn k(text: &str) -> Key {
    txn_key(0, text.as_bytes())
}

fn regions() -> Vec<Region> {
    let space = KeyRange::txn_space();
    let cuts = [space.start.clone(), k("m"), txn_key(1, b""), space.end.clone()];
    let region = |(i, cut): (usize, &[Key])| Region {
        id: RegionId(i as u64 + 2),
        range: KeyRange::new(cut[0].clone(), cut[1].clone()),
        epoch: RegionEpoch { conf_ver: 1, version: 1 },
        peers: vec![peer(1)],
    };
    cuts.windows(2).enumerate().map(region).collect()
}

impl Engine {
    /// Executes a command; nobody waits for locks here.
    pub(super) fn execute(&mut self, command: &TxnCommand) -> TxnResult {
        let snapshot = self.engine.snapshot();
        let context = TxnContext {
            snapshot: &*snapshot,
            memory: &BTreeMap::new(),
            max_ts: self.max_ts,
            may_remember: false,
            gc_safe_point: Timestamp::ZERO,
        };
        let done = execute(command, &context).unwrap();
        let changes = done.changes.iter().map(txn_modify).collect();
        self.engine.write(WriteBatch { changes }, Durability::Buffered).unwrap();
        done.result.unwrap_or_else(|| Err(TxnError::Locked(done.waits_for.unwrap())))
    }

    fn read(&mut self, command: &ReadCommand) -> ReadReply {
        if let Some(view) = command.view().filter(|view| view.ts != Timestamp::MAX) {
            self.max_ts = self.max_ts.max(view.ts);
        }
        let snapshot = self.engine.snapshot();
        let reply = troupe_storage::read::read(&*snapshot, command, UnixMillis(0)).unwrap();
        if matches!(command, ReadCommand::ScanExpired { .. })
            && let Some(key) = self.after_scan.take()
        {
            self.put_alone(&[key], true);
        }
        reply
    }

    /// Somebody else's transaction: prewritten for good, or committed in one phase.
    fn put_alone(&mut self, keys: &[Key], at_once: bool) {
        self.clock += 1;
        let start_ts = Timestamp(self.clock << 4);
        let mutation = |key: &Key| Mutation {
            key: key.clone(),
            op: MutationOp::Put { value: "meanwhile".into(), expires_at: None },
            assertion: Assertion::None,
            pessimistic: PessimisticAction::Skip,
        };
        let prewrite = Prewrite {
            primary: keys[0].clone(),
            txn_size: keys.len() as u64,
            mutations: keys.iter().map(mutation).collect(),
            start_ts,
            lock_ttl_ms: 1 << 40,
            for_update_ts: Timestamp::ZERO,
            for_update_ts_checks: Vec::new(),
            min_commit_ts: start_ts.next(),
            max_commit_ts: Timestamp::ZERO,
            async_commit: None,
            try_one_pc: at_once,
        };
        self.execute(&TxnCommand::Prewrite(prewrite)).unwrap();
    }

    fn command(&mut self, command: &TxnCommand) -> RegionResult {
        if let Some(mut instead) = self.instead.take() {
            let answer = instead(self, command);
            self.instead = Some(instead);
            if let Some(answer) = answer {
                return answer;
            }
        }
        let result = match command {
            TxnCommand::ResolveLocks { range, txns } => self.resolve(range, txns),
            _ => self.execute(command),
        };
        match self.lose.iter().position(|name| *name == command.name()) {
            Some(i) => {
                self.lose.remove(i);
                Err(RegionError::OutcomeUnknown { why: UnknownReason::ConnectionLost })
            }
            None => Ok(RegionReply::Txn(Box::new(result))),
        }
    }

    /// As the scheduler does it: key by key.
    fn resolve(&mut self, range: &KeyRange, txns: &[(Timestamp, Timestamp)]) -> TxnResult {
        let locks = self.locks();
        for (start_ts, commit_ts) in txns {
            let keys = locks.iter().filter(|lock| lock.start_ts == *start_ts);
            let keys = keys.map(|lock| lock.key.clone()).filter(|key| range.contains(key));
            let (keys, start_ts, commit_ts) = (keys.collect(), *start_ts, *commit_ts);
            self.execute(&TxnCommand::ResolveKeys { keys, start_ts, commit_ts })?;
        }
        Ok(troupe_types::txn::TxnReply::Done)
    }

    /// All locks that are stored.
    pub(super) fn locks(&mut self) -> Vec<troupe_types::txn::LockInfo> {
        let (range, max_ts) = (KeyRange::txn_space(), Timestamp::MAX);
        match self.read(&ReadCommand::ScanLocks { range, max_ts, limit: 1000 }) {
            ReadReply::Locks { locks, .. } => locks,
            other => panic!("{other:?}"),
        }
    }
}

impl World {
    pub(super) fn new() -> Self {
        let engine = Engine {
            engine: MemoryEngine::new(),
            clock: 1 << 30,
            max_ts: Timestamp(1),
            lose: Vec::new(),
            log: Vec::new(),
            plans: BTreeMap::new(),
            instead: None,
            pd_is_down: false,
            late: Vec::new(),
            after_scan: None,
        };
        Self { engine: Arc::new(Mutex::new(engine)), node: 0 }
    }

    /// The way of another node to the same Regions.
    pub(super) fn of_node(&self, node: usize) -> Self {
        Self { engine: self.engine.clone(), node }
    }

    pub(super) fn service(&self) -> KvService {
        KvService::new(ServiceParts {
            env: real_env(CellOptions::default(), 100),
            local: Arc::new(self.clone()),
            transport: Arc::new(Fake::one_region()),
            pd: Arc::new(self.clone()),
            directory: SharedDirectory::default(),
        })
    }

    /// The oracle's clock goes on by so much.
    pub(super) fn pass(&self, ms: u64) {
        self.engine.lock().unwrap().clock += Timestamp::compose(ms, 0).get() >> 4;
    }

    /// A transaction prewrites `names`, the first as primary, and is never heard of again. Its locks
    /// live long.
    pub(super) fn prewrite_only(&self, names: &[&str]) {
        let keys: Vec<Key> = names.iter().map(|name| k(name)).collect();
        self.engine.lock().unwrap().put_alone(&keys, false);
    }

    /// This node's next command with this name waits.
    pub(super) fn hold(&self, name: &'static str) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        let mut engine = self.engine.lock().unwrap();
        engine.plans.entry(self.node).or_default().gates.push((name, gate.clone()));
        gate
    }

    /// This node's command behind so many others waits.
    pub(super) fn hold_behind(&self, commands: usize) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        let mut engine = self.engine.lock().unwrap();
        engine.plans.entry(self.node).or_default().gate_behind = Some((commands, gate.clone()));
        gate
    }

    /// This node dies after so many commands.
    pub(super) fn dies_after(&self, commands: usize, last_takes_effect: bool) {
        let mut engine = self.engine.lock().unwrap();
        let plan = engine.plans.entry(self.node).or_default();
        (plan.lives_for, plan.last_takes_effect) = (Some(commands), last_takes_effect);
    }

    /// Has this node sent more than it lives for?
    pub(super) fn has_died(&self) -> bool {
        let engine = self.engine.lock().unwrap();
        engine.plans.get(&self.node).is_some_and(|plan| plan.has_died)
    }

    /// What dead nodes have sent last arrives now.
    pub(super) fn deliver_late(&self) {
        let mut engine = self.engine.lock().unwrap();
        for command in std::mem::take(&mut engine.late) {
            let _nobody_hears_it = engine.command(&command);
        }
    }

    /// Names of the commands that this node has sent.
    pub(super) fn sent(&self) -> Vec<&'static str> {
        let engine = self.engine.lock().unwrap();
        engine.plans.get(&self.node).map(|plan| plan.sent.clone()).unwrap_or_default()
    }
}

/// What becomes of a request at its arrival.
enum Arrival {
    Goes,
    Waits(Arc<Gate>),
    /// Never answered; executed or not.
    Dies(bool),
}

impl Engine {
    fn arrival(&mut self, node: usize, body: &RegionBody) -> Arrival {
        let plan = self.plans.entry(node).or_default();
        let RegionBody::Txn(command) = body else {
            plan.has_died |= plan.lives_for == Some(0);
            return if plan.has_died { Arrival::Dies(false) } else { Arrival::Goes };
        };
        match &mut plan.lives_for {
            Some(0) => {
                let takes_effect = std::mem::take(&mut plan.last_takes_effect);
                if !takes_effect {
                    self.late.push((**command).clone());
                }
                plan.has_died = true;
                return Arrival::Dies(takes_effect);
            }
            Some(left) => *left -= 1,
            None => {}
        }
        plan.sent.push(command.name());
        match &mut plan.gate_behind {
            Some((0, _)) => return Arrival::Waits(plan.gate_behind.take().expect("it is there").1),
            Some((left, _)) => *left -= 1,
            None => {}
        }
        match plan.gates.iter().position(|(name, _)| *name == command.name()) {
            Some(i) => Arrival::Waits(plan.gates.remove(i).1),
            None => Arrival::Goes,
        }
    }

    fn serve(&mut self, body: &RegionBody) -> RegionResult {
        self.log.push(fake::kind(body));
        match body {
            RegionBody::Read { command, .. } => Ok(RegionReply::Read(self.read(command))),
            RegionBody::Txn(command) => self.command(command),
            RegionBody::LastLocks { range, safe_point, limit } => {
                let max_ts = Timestamp(safe_point.get() - 1);
                let scan = ReadCommand::ScanLocks { range: range.clone(), max_ts, limit: *limit };
                Ok(RegionReply::Read(self.read(&scan)))
            }
            _ => Err(RegionError::Malformed { what: "not part of this test".to_owned() }),
        }
    }
}

impl RegionService for World {
    fn has_store(&self, _: StoreId) -> bool {
        true
    }

    fn serve(&self, request: RegionRequest, _: Moment) -> BoxFuture<'static, RegionResult> {
        let (engine, body) = (self.engine.clone(), request.body);
        let arrival = engine.lock().unwrap().arrival(self.node, &body);
        async move {
            match arrival {
                Arrival::Goes => {}
                Arrival::Waits(gate) => {
                    gate.reached.notify_one();
                    gate.open.notified().await;
                }
                Arrival::Dies(takes_effect) => {
                    if takes_effect {
                        let _lost = engine.lock().unwrap().serve(&body);
                    }
                    std::future::pending::<()>().await;
                }
            }
            engine.lock().unwrap().serve(&body)
        }
        .boxed()
    }
}

impl PdCaller for World {
    fn call(&self, request: PdRequest, _: Moment) -> BoxFuture<'static, PdResult> {
        let mut world = self.engine.lock().unwrap();
        if world.pd_is_down {
            let why = "a planted failure".to_owned();
            return std::future::ready(Err(PdError::Unavailable { why })).boxed();
        }
        let reply = match request {
            PdRequest::Timestamps { count } => {
                world.clock += 1;
                PdReply::Timestamps { last: Timestamp(world.clock << 4), count }
            }
            _ => PdReply::Routes(
                regions()
                    .into_iter()
                    .map(|region| RegionRoute {
                        region,
                        leader: Some(peer(1)),
                        down: Vec::new(),
                        pending: Vec::new(),
                        approximate_bytes: 0,
                    })
                    .collect(),
            ),
        };
        std::future::ready(Ok(reply)).boxed()
    }
}

/// Time for everything that waits for nothing but its turn.
pub(super) async fn everything_runs() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

pub(super) fn store(key: &str, value: &str) -> TxnOp {
    let value = Bytes::from(value.to_owned());
    TxnOp::Put { key: k(key), value, ttl_ms: None }
}

pub(super) fn get(key: &str, for_update: bool) -> TxnOp {
    TxnOp::Get { key: k(key), for_update }
}

/// A client beside the test.
pub(super) type Running = tokio::task::JoinHandle<Result<OneShotOutcome, ServiceError>>;

/// Sends `request` and does not wait for its answer.
pub(super) fn begin(service: &KvService, request: OneShot, ms: u64) -> Running {
    let (service, o) = (service.clone(), options(service, ms));
    actix::spawn(async move { service.txn_once(request, &o).await })
}

/// Values of keys, as a snapshot read by `service` sees them.
pub(super) async fn values(service: &KvService, keys: &[&str]) -> Vec<Option<String>> {
    let keys = keys.iter().map(|key| k(key)).collect();
    let o = options(service, 5000);
    let (rows, _) = service.txn_batch_get(keys, None, &o).await.unwrap();
    let text = |row: troupe_types::txn::TxnRow| String::from_utf8(row.value.to_vec()).unwrap();
    rows.into_iter().map(|row| row.map(text)).collect()
}

pub(super) fn once(key: &str, fingerprint: u64) -> Option<Idempotency> {
    Some(Idempotency { key: key.to_owned(), fingerprint })
}

/// Every way to run a transaction, with a name.
pub(super) fn all_settings() -> Vec<(String, TxnSettings)> {
    let mut all = Vec::new();
    for mode in [TxnMode::Optimistic, TxnMode::Pessimistic] {
        for isolation in [TxnIsolation::Snapshot, TxnIsolation::Serializable] {
            for commit in [CommitProtocol::Auto, CommitProtocol::Async, CommitProtocol::TwoPhase] {
                let settings = TxnSettings { mode, isolation, commit, ..TxnSettings::default() };
                all.push((format!("{mode:?} {isolation:?} {commit:?}"), settings));
            }
        }
    }
    all
}
