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
use troupe_types::{KeyRange as Range, UnixMillis};

struct Engine {
    engine: MemoryEngine,
    clock: u64,
    max_ts: Timestamp,
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
            lose: Vec::new(),
            log: Vec::new(),
        })))
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
                Ok(RegionReply::Read(reply.unwrap()))
            }
            RegionBody::Txn(command) => {
                let memory = BTreeMap::new();
                let max_ts = world.max_ts;
                let context = TxnContext {
                    snapshot: &*snapshot,
                    memory: &memory,
                    max_ts,
                    may_remember: false,
                    gc_safe_point: Timestamp::ZERO,
                };
                let done = execute(&command, &context).unwrap();
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
                world.engine.write(WriteBatch { changes }, Durability::Buffered).unwrap();
                let lost = world.lose.iter().position(|name| *name == command.name());
                match (lost, done.result) {
                    (Some(i), _) => {
                        world.lose.remove(i);
                        Err(RegionError::OutcomeUnknown { why: UnknownReason::ConnectionLost })
                    }
                    (None, Some(result)) => Ok(RegionReply::Txn(Box::new(result))),
                    (None, None) => {
                        let lock = done.waits_for.unwrap();
                        let locked = troupe_types::txn::TxnError::Locked(lock);
                        Ok(RegionReply::Txn(Box::new(Err(locked))))
                    }
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
