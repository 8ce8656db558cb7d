//! Transactions against Regions that really execute their commands, on one engine in memory.
use super::*;
use troupe_storage::engine::memory::MemoryEngine;
use troupe_storage::engine::{Cf, Durability, KvEngine, Modify, WriteBatch};
use troupe_storage::txn::{TxnContext, execute};
use troupe_types::Timestamp;
use troupe_types::command::TxnCf;
use troupe_types::key::txn_key;
use troupe_types::txn::session::Idempotency;
use troupe_types::txn::session::{CommittedBy, Comparison, Condition, OneShot, TxnCompare, TxnOp};
use troupe_types::txn::{
    Assertion, Mutation, MutationOp, PessimisticAction, Prewrite, TxnCommand, TxnError, TxnResult,
    WriteKind,
};
use troupe_types::{KeyRange as Range, UnixMillis};

struct Engine {
    engine: MemoryEngine,
    clock: u64,
    max_ts: Timestamp,
    /// Somebody stores a value at this key right behind the next look for ended values.
    after_scan: Option<Key>,
    /// Commands with these names take effect, and their answers are lost.
    lose: Vec<&'static str>,
    log: Vec<&'static str>,
}

#[derive(Clone)]
struct World(Arc<Mutex<Engine>>);

fn k(text: &str) -> Key {
    txn_key(0, text.as_bytes())
}

fn regions() -> Vec<Region> {
    let space = Range::txn_space();
    let cuts = [space.start.clone(), k("m"), txn_key(1, b""), space.end.clone()];
    let region = |(i, cut): (usize, &[Key])| Region {
        id: RegionId(i as u64 + 2),
        range: Range::new(cut[0].clone(), cut[1].clone()),
        epoch: RegionEpoch { conf_ver: 1, version: 1 },
        peers: vec![peer(1)],
    };
    cuts.windows(2).enumerate().map(region).collect()
}

impl World {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Engine {
            engine: MemoryEngine::new(),
            clock: 1 << 30,
            max_ts: Timestamp(1),
            after_scan: None,
            lose: Vec::new(),
            log: Vec::new(),
        })))
    }

    /// A transaction prewrites `names`, the first as primary, and is never heard of again. Its locks
    /// live long.
    fn prewrite_only(&self, names: &[&str]) {
        let mut world = self.0.lock().unwrap();
        world.clock += 1;
        let start_ts = Timestamp(world.clock << 4);
        let mutation = |name: &&str| Mutation {
            key: k(name),
            op: MutationOp::Put { value: "v".into(), expires_at: None },
            assertion: Assertion::None,
            pessimistic: PessimisticAction::Skip,
        };
        let prewrite = Prewrite {
            primary: k(names[0]),
            txn_size: names.len() as u64,
            mutations: names.iter().map(mutation).collect(),
            start_ts,
            lock_ttl_ms: 1 << 40,
            for_update_ts: Timestamp::ZERO,
            for_update_ts_checks: Vec::new(),
            min_commit_ts: Timestamp::ZERO,
            max_commit_ts: Timestamp::ZERO,
            async_commit: None,
            try_one_pc: false,
        };
        world.execute(&TxnCommand::Prewrite(prewrite)).unwrap();
    }

    fn service(&self) -> KvService {
        KvService::new(ServiceParts {
            env: real_env(CellOptions::default(), 100),
            local: Arc::new(self.clone()),
            transport: Arc::new(Fake::one_region()),
            pd: Arc::new(self.clone()),
            directory: SharedDirectory::default(),
        })
    }
}

impl Engine {
    /// Executes a command and applies it.
    fn execute(&mut self, command: &TxnCommand) -> TxnResult {
        let snapshot = self.engine.snapshot();
        let context = TxnContext {
            snapshot: &*snapshot,
            memory: &BTreeMap::new(),
            max_ts: self.max_ts,
            may_remember: false,
            gc_safe_point: Timestamp::ZERO,
        };
        let done = execute(command, &context).unwrap();
        let modify = |change: &troupe_types::command::TxnChange| {
            let cf = match change.cf {
                TxnCf::Default => Cf::Default,
                TxnCf::Lock => Cf::Lock,
                TxnCf::Write => Cf::Write,
            };
            match &change.value {
                Some(value) => Modify::Put(cf, change.key.clone(), value.clone()),
                None => Modify::Delete(cf, change.key.clone()),
            }
        };
        let changes = done.changes.iter().map(modify).collect();
        self.engine.write(WriteBatch { changes }, Durability::Buffered).unwrap();
        done.result.unwrap_or_else(|| Err(TxnError::Locked(done.waits_for.unwrap())))
    }

    /// Somebody else's transaction in one phase.
    fn store_meanwhile(&mut self, key: &Key) {
        self.clock += 1;
        let start_ts = Timestamp(self.clock << 4);
        let prewrite = Prewrite {
            primary: key.clone(),
            txn_size: 1,
            mutations: vec![Mutation {
                key: key.clone(),
                op: MutationOp::Put { value: "meanwhile".into(), expires_at: None },
                assertion: Assertion::None,
                pessimistic: PessimisticAction::Skip,
            }],
            start_ts,
            lock_ttl_ms: 1000,
            for_update_ts: Timestamp::ZERO,
            for_update_ts_checks: Vec::new(),
            min_commit_ts: start_ts.next(),
            max_commit_ts: Timestamp::ZERO,
            async_commit: None,
            try_one_pc: true,
        };
        self.execute(&TxnCommand::Prewrite(prewrite)).unwrap();
    }
}

impl RegionService for World {
    fn has_store(&self, _: StoreId) -> bool {
        true
    }

    fn serve(&self, request: RegionRequest, _: Moment) -> BoxFuture<'static, RegionResult> {
        let mut world = self.0.lock().unwrap();
        let world = &mut *world;
        world.log.push(fake::kind(&request.body));
        let snapshot = world.engine.snapshot();
        let answer = match request.body {
            RegionBody::Read { command, .. } => {
                if let Some(view) = command.view().filter(|view| view.ts != Timestamp::MAX) {
                    world.max_ts = world.max_ts.max(view.ts);
                }
                let reply = troupe_storage::read::read(&*snapshot, &command, UnixMillis(0));
                if matches!(command, ReadCommand::ScanExpired { .. })
                    && let Some(key) = world.after_scan.take()
                {
                    world.store_meanwhile(&key);
                }
                Ok(RegionReply::Read(reply.unwrap()))
            }
            RegionBody::Txn(command) => {
                let result = world.execute(&command);
                match world.lose.iter().position(|name| *name == command.name()) {
                    Some(i) => {
                        world.lose.remove(i);
                        Err(RegionError::OutcomeUnknown { why: UnknownReason::ConnectionLost })
                    }
                    None => Ok(RegionReply::Txn(Box::new(result))),
                }
            }
            RegionBody::LastLocks { range, safe_point, limit } => {
                let max_ts = Timestamp(safe_point.get() - 1);
                let scan = ReadCommand::ScanLocks { range, max_ts, limit };
                let reply = troupe_storage::read::read(&*snapshot, &scan, UnixMillis(0));
                Ok(RegionReply::Read(reply.unwrap()))
            }
            _ => Err(RegionError::Malformed { what: "not part of this test".to_owned() }),
        };
        std::future::ready(answer).boxed()
    }
}

impl PdCaller for World {
    fn call(&self, request: PdRequest, _: Moment) -> BoxFuture<'static, PdResult> {
        let mut world = self.0.lock().unwrap();
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

fn store(key: &str, value: &str) -> TxnOp {
    let value = Bytes::from(value.to_owned());
    TxnOp::Put { key: k(key), value, ttl_ms: None }
}

#[actix::test]
async fn one_region_commits_in_one_phase_and_more_asynchronously() {
    let world = World::new();
    let service = world.service();
    let o = options(&service, 5000);
    let one = OneShot { then: vec![store("a", "1")], ..OneShot::default() };
    let done = service.txn_once(one, &o).await.unwrap();
    assert_eq!(done.committed_by, CommittedBy::OnePhase);
    assert_eq!(world.0.lock().unwrap().log, ["prewrite"]);
    let two = OneShot {
        conditions: vec![TxnCompare {
            key: k("a"),
            condition: Condition::Version(Comparison::Eq, done.commit_ts),
        }],
        then: vec![TxnOp::Add { key: k("a"), by: 4 }, store("z", "2")],
        ..OneShot::default()
    };
    let done = service.txn_once(two, &o).await.unwrap();
    assert!(done.succeeded);
    assert_eq!(done.committed_by, CommittedBy::Async);
    let (rows, _) = service.txn_batch_get(vec![k("a"), k("z"), k("n")], None, &o).await.unwrap();
    let values: Vec<_> = rows.into_iter().map(|row| row.map(|row| row.value)).collect();
    assert_eq!(values, [Some(Bytes::from("5")), Some(Bytes::from("2")), None]);
}

#[actix::test]
async fn a_lost_answer_never_makes_two_outcomes() {
    for lose in [vec!["prewrite"], vec!["commit"], vec!["prewrite", "commit"]] {
        for commit in [
            troupe_types::txn::session::CommitProtocol::Auto,
            troupe_types::txn::session::CommitProtocol::TwoPhase,
        ] {
            let world = World::new();
            let service = world.service();
            let o = options(&service, 5000);
            world.0.lock().unwrap().lose.clone_from(&lose);
            let mut request = OneShot {
                then: vec![TxnOp::Add { key: k("a"), by: 1 }, TxnOp::Add { key: k("z"), by: 1 }],
                idempotency: Some(Idempotency { key: "once".to_owned(), fingerprint: 1 }),
                ..OneShot::default()
            };
            request.settings.commit = commit;
            let first = service.txn_once(request.clone(), &o).await.unwrap();
            let again = service.txn_once(request, &o).await.unwrap();
            assert!(again.repeated && !first.repeated);
            assert_eq!(first.commit_ts, again.commit_ts);
            let (row, _) = service.txn_get(k("z"), None, &o).await.unwrap();
            assert_eq!(row.unwrap().value, Bytes::from("1"));
        }
    }
}

fn expiring(key: &str) -> TxnOp {
    TxnOp::Put { key: k(key), value: Bytes::from("v"), ttl_ms: Some(1) }
}

/// Kinds of the records of a key, newest first.
async fn kinds(service: &KvService, key: &str, o: &CallOptions) -> Vec<WriteKind> {
    let history = service.txn_history(k(key), o).await.unwrap();
    let history = history.map(|history| history.versions).unwrap_or_default();
    history.into_iter().map(|version| version.kind).collect()
}

#[actix::test]
async fn what_began_below_a_safe_point_is_ended_whether_it_lives_or_not() {
    use troupe_types::txn::session::CommitProtocol;
    let world = World::new();
    let service = world.service();
    let o = options(&service, 5000);
    world.prewrite_only(&["b", "y"]);
    let safe_point = service.timestamp(&o).await.unwrap();
    world.prewrite_only(&["c"]);
    let mut left = Some(Range::txn_space());
    let mut done = 0;
    while let Some(range) = left {
        let walked = service.txn_resolve_below(range, safe_point, &o).await.unwrap();
        done += walked.done;
        left = walked.rest;
    }
    assert_eq!(done, 2);
    let (locks, _) = service.txn_locks(Range::txn_space(), None, 10, &o).await.unwrap();
    let keys: Vec<_> = locks.into_iter().map(|lock| lock.key).collect();
    assert_eq!(keys, [k("c")], "what began above is left alone");
    assert_eq!(kinds(&service, "b", &o).await, [WriteKind::Rollback]);
    let two = OneShot {
        then: vec![store("b", "1"), store("y", "1")],
        settings: troupe_types::txn::session::TxnSettings {
            commit: CommitProtocol::TwoPhase,
            ..Default::default()
        },
        ..OneShot::default()
    };
    service.txn_once(two, &o).await.unwrap();
}

#[actix::test]
async fn only_values_that_have_ended_are_removed() {
    let world = World::new();
    let service = world.service();
    let o = options(&service, 5000);
    let ops = vec![expiring("a"), store("b", "stays"), expiring("z")];
    service.txn_once(OneShot { then: ops, ..OneShot::default() }, &o).await.unwrap();
    // Two milliseconds of the oracle later.
    world.0.lock().unwrap().clock += 3 << 14;
    let rewritten = OneShot { then: vec![store("z", "new")], ..OneShot::default() };
    service.txn_once(rewritten, &o).await.unwrap();
    let (mut left, mut done) = (Some(Range::txn_space()), 0);
    while let Some(range) = left {
        let walked = service.txn_remove_ended(range, &o).await.unwrap();
        done += walked.done;
        left = walked.rest;
    }
    assert_eq!(done, 1);
    assert_eq!(kinds(&service, "a", &o).await, [WriteKind::Delete, WriteKind::Put]);
    assert_eq!(kinds(&service, "b", &o).await, [WriteKind::Put]);
    assert_eq!(kinds(&service, "z", &o).await, [WriteKind::Put, WriteKind::Put]);
    let again = service.txn_remove_ended(Range::txn_space(), &o).await.unwrap();
    assert_eq!(again.done, 0, "a deleted key has no value that could end");
}

/// Values are found to have ended, and one is stored anew before they are removed.
#[actix::test]
async fn a_value_stored_between_look_and_removal_stays() {
    let world = World::new();
    let service = world.service();
    let o = options(&service, 5000);
    let ops = vec![expiring("a"), expiring("b")];
    service.txn_once(OneShot { then: ops, ..OneShot::default() }, &o).await.unwrap();
    world.0.lock().unwrap().clock += 3 << 14;
    world.0.lock().unwrap().after_scan = Some(k("b"));
    let walked = service.txn_remove_ended(Range::txn_space(), &o).await.unwrap();
    assert_eq!(walked.done, 1);
    assert_eq!(kinds(&service, "a", &o).await, [WriteKind::Delete, WriteKind::Put]);
    let (row, _) = service.txn_get(k("b"), None, &o).await.unwrap();
    assert_eq!(row.unwrap().value, Bytes::from("meanwhile"));
}
