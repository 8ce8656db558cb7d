//! A cluster in memory: one node, one Store, two Regions of each space cut at the user key `m`, and a PD.
pub(crate) use super::client::{Seen, app, request, send};
use super::txn_world::TxnWorld;
use crate::state::{HttpParts, HttpState};
use crate::{Sample, SampleKind};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use troupe_actors::env::CellOptions;
use troupe_actors::kv_service::{KvService, ServiceParts};
use troupe_actors::node::{PdCaller, RegionService, SessionService, SharedDirectory};
use troupe_actors::real_env::real_env;
use troupe_actors::registry::ActorId;
use troupe_actors::trace::WireSpan;
use troupe_actors::transport::{OutgoingSnapshot, Transport, TransportError};
use troupe_actors::txn_session::{self, SessionOptions, Sessions, SessionsParts};
use troupe_config::Config;
use troupe_types::command::{
    RawChange, RawChecksum, RawExpectation, RawRow, ReadCommand, ReadReply, WriteCommand,
    WriteReply,
};
use troupe_types::key::{raw_key, txn_key, user_key};
use troupe_types::pd::{
    ClusterView, NodeInfo, OperatorState, OperatorView, PdError, PdReply, PdRequest, PdResult,
    RegionRoute, StoreInfo, StoreState, StoreStats, StoreView,
};
use troupe_types::raft_message::RaftEnvelope;
use troupe_types::raw_value::value_hash;
use troupe_types::request::{PeerStatus, RegionBody, RegionReply, RegionRequest, RegionResult};
use troupe_types::txn::TxnError;
use troupe_types::txn::deadlock::{DetectReply, DetectRequest};
use troupe_types::txn::gc::{GcRound, GcState};
use troupe_types::txn::session::SessionReply;
use troupe_types::{
    ClusterId, Code, Key, KeyRange, LogIndex, Moment, NodeId, Peer, PeerId, Region, RegionEpoch,
    RegionError, RegionId, StoreId, Term, Timestamp, TraceTags, UnixMillis,
};

/// Name of the fake cluster.
pub const NAME: &str = "test-cluster";
const STORE: StoreId = StoreId(1);

type Rows = BTreeMap<Key, (Bytes, Option<UnixMillis>)>;

/// Stores and PD in memory.
#[derive(Default)]
pub struct Fake {
    pub rows: Mutex<Rows>,
    /// What writes to the second Region answer, if they are to fail.
    pub refuse_right: Mutex<Option<RegionError>>,
    /// Makes every request to a Region panic.
    pub panics: AtomicBool,
    pub store_state: Mutex<StoreState>,
    pub operators: Mutex<Vec<OperatorView>>,
    pub pd_down: AtomicBool,
    pub writes: AtomicU64,
    /// The transactional space.
    pub txn: TxnWorld,
    pub gc: Mutex<GcState>,
    /// Interactive transactions, if they are served.
    sessions: OnceLock<Arc<Sessions>>,
    /// The collector's news.
    pub gc_round: Mutex<Option<GcRound>>,
    last_ts: AtomicU64,
}

fn region(id: u64, start: Key, end: Key) -> Region {
    let peers = vec![Peer::voter(PeerId(id * 10), STORE)];
    Region {
        id: RegionId(id),
        range: KeyRange::new(start, end),
        epoch: RegionEpoch::INITIAL,
        peers,
    }
}

/// The system Region and two of each space, in key order.
pub fn regions() -> Vec<Region> {
    let (space, middle) = (KeyRange::raw_space(), raw_key(0, b"m"));
    let (txn, txn_middle) = (KeyRange::txn_space(), txn_key(0, b"m"));
    vec![
        region(2, space.start, middle.clone()),
        region(3, middle, space.end),
        region(1, Bytes::from_static(b"s"), Bytes::from_static(b"t")),
        region(4, txn.start, txn_middle.clone()),
        region(5, txn_middle, txn.end),
    ]
}

impl Fake {
    fn serve(&self, request: &RegionRequest) -> RegionResult {
        assert!(!self.panics.load(Ordering::Relaxed), "a planted panic");
        let right = request.target.region == RegionId(3);
        match &request.body {
            RegionBody::Read { command, .. } | RegionBody::ReadAt { command, .. } => {
                if let Some(gone) = self.gone(command) {
                    return Ok(RegionReply::ReadRefused(Box::new(gone)));
                }
                let reply = self.txn.read(command).unwrap_or_else(|| self.read(command));
                Ok(RegionReply::Read(reply))
            }
            RegionBody::Write(command) => {
                let refusal = self.refuse_right.lock().unwrap().clone().filter(|_| right);
                refusal.map_or_else(|| Ok(RegionReply::Write(self.write(command))), Err)
            }
            RegionBody::Status => Ok(RegionReply::Status(Box::new(status(request.target.region)))),
            RegionBody::ReadIndex => Ok(RegionReply::ReadIndex(LogIndex(9))),
            RegionBody::Release => Ok(RegionReply::Released),
            RegionBody::Admin(_) => panic!("the gateway changes members through PD"),
            RegionBody::Txn(command) => {
                let refusal = self.txn.refuse.lock().unwrap().clone();
                if let Some(refusal) = refusal {
                    return Err(refusal);
                }
                if let Some(answer) = self.txn.instead_of(command) {
                    return answer;
                }
                self.writes.fetch_add(1, Ordering::Relaxed);
                Ok(RegionReply::Txn(Box::new(self.txn.execute(command))))
            }
            RegionBody::Detect(DetectRequest::List) => {
                Ok(RegionReply::Detected(DetectReply::Waits { edges: vec![], recent: vec![] }))
            }
            RegionBody::LockWaits => {
                Ok(RegionReply::Session(Box::new(Ok(SessionReply::Waits(vec![])))))
            }
            RegionBody::SnapshotReadIndex { .. }
            | RegionBody::LastLocks { .. }
            | RegionBody::Detect(_)
            | RegionBody::Session(_) => panic!("no question to this world"),
        }
    }

    /// As a Store refuses what lies below the safe point.
    fn gone(&self, command: &ReadCommand) -> Option<TxnError> {
        let (ts, safe_point) = (command.view()?.ts, self.gc.lock().unwrap().txn_safe_point);
        (ts < safe_point).then_some(TxnError::SnapshotGone { ts, safe_point })
    }

    fn live(&self) -> Rows {
        let now = real_now();
        let rows = self.rows.lock().unwrap();
        let live = rows.iter().filter(|(_, (_, ends))| ends.is_none_or(|at| at > now));
        live.map(|(key, row)| (key.clone(), row.clone())).collect()
    }

    fn read(&self, command: &ReadCommand) -> ReadReply {
        let row = |key: &Key, (value, ends): &(Bytes, Option<UnixMillis>)| RawRow {
            key: key.clone(),
            value: value.clone(),
            expires_at: *ends,
        };
        match command {
            ReadCommand::RawGet { keys } => {
                let rows = self.live();
                let get = |key: &Key| rows.get(key).map(|found| row(key, found));
                ReadReply::Values(keys.iter().map(get).collect())
            }
            ReadCommand::RawScan { range, limit, max_bytes, reverse, keys_only } => {
                let rows = self.rows.lock().unwrap();
                let end = range.end.clone();
                let inside = rows
                    .range(range.start.clone()..)
                    .take_while(|(key, _)| end.is_empty() || **key < end);
                let mut all: Vec<RawRow> = inside.map(|(k, v)| row(k, v)).collect();
                if *reverse {
                    all.reverse();
                }
                let (mut bytes, mut taken) = (0, 0);
                while taken < all.len() && taken < *limit as usize {
                    bytes += (all[taken].key.len() + all[taken].value.len()) as u64;
                    taken += 1;
                    if bytes >= *max_bytes {
                        break;
                    }
                }
                let rest = all.get(taken).map(|next| match reverse {
                    true => {
                        KeyRange::new(range.start.clone(), troupe_types::key::successor(&next.key))
                    }
                    false => KeyRange::new(next.key.clone(), range.end.clone()),
                });
                all.truncate(taken);
                if *keys_only {
                    all.iter_mut().for_each(|row| row.value = Bytes::new());
                }
                ReadReply::Rows { rows: all, rest }
            }
            ReadCommand::RawChecksum { range, .. } => {
                let mut sum = RawChecksum::default();
                for (key, (value, _)) in self.live().iter().filter(|(k, _)| range.contains(k)) {
                    sum.add(&user_key(key).unwrap(), value);
                }
                ReadReply::Checksum { sum, rest: None }
            }
            ReadCommand::SystemScan { .. } => ReadReply::Rows { rows: Vec::new(), rest: None },
            ReadCommand::TxnGet { .. }
            | ReadCommand::TxnScan { .. }
            | ReadCommand::TxnBufferGet { .. }
            | ReadCommand::ScanLocks { .. }
            | ReadCommand::MvccByKey { .. }
            | ReadCommand::MvccByStart { .. }
            | ReadCommand::ScanExpired { .. } => panic!("the transactional space serves it"),
        }
    }

    fn write(&self, command: &WriteCommand) -> WriteReply {
        self.writes.fetch_add(1, Ordering::Relaxed);
        let live = match command {
            WriteCommand::RawCompareAndSwap { .. } => self.live(),
            _ => Rows::new(),
        };
        let mut rows = self.rows.lock().unwrap();
        match command {
            WriteCommand::RawWrite { changes } => {
                changes.iter().for_each(|(key, change)| apply(&mut rows, key, change));
                WriteReply::Done
            }
            WriteCommand::RawCompareAndSwap { key, expect, change, .. } => {
                let previous = live.get(key).map(|(value, _)| value.clone());
                let hash = previous.as_deref().map(value_hash);
                let succeeded = match expect {
                    RawExpectation::Absent => previous.is_none(),
                    RawExpectation::Present => previous.is_some(),
                    RawExpectation::Equals(value) => previous.as_ref() == Some(value),
                    RawExpectation::Hash(wanted) => hash == Some(*wanted),
                    RawExpectation::NotHash(other) => hash != Some(*other),
                };
                if succeeded {
                    apply(&mut rows, key, change);
                }
                WriteReply::Swapped { succeeded, previous }
            }
            WriteCommand::RawDeleteRange { range } => {
                rows.retain(|key, _| !range.contains(key));
                WriteReply::Done
            }
            WriteCommand::System { .. } | WriteCommand::Txn { .. } => WriteReply::Rejected,
        }
    }

    fn ask_pd(&self, request: PdRequest) -> PdResult {
        if self.pd_down.load(Ordering::Relaxed) {
            return Err(PdError::Unavailable { why: "a planted failure".to_owned() });
        }
        let store_is_known = |store: StoreId| match store == STORE {
            true => Ok(()),
            false => Err(refused(Code::StoreNotFound)),
        };
        match request {
            PdRequest::RegionByKey { key } => Ok(routes(|r| r.range.contains(&key))),
            PdRequest::RegionById { region } => Ok(routes(|r| r.id == region)),
            PdRequest::Regions { range, limit } => {
                let overlap = regions().into_iter().filter(|r| r.range.intersect(&range).is_some());
                Ok(PdReply::Routes(overlap.take(limit as usize).map(route).collect()))
            }
            PdRequest::Cluster => Ok(PdReply::Cluster(Box::new(self.cluster()))),
            PdRequest::Timestamps { count } => {
                let last = self.last_ts.fetch_add(u64::from(count), Ordering::Relaxed);
                let last = Timestamp((1 << 60) + last + u64::from(count));
                Ok(PdReply::Timestamps { last, count })
            }
            PdRequest::AddOperator { region, request } => {
                let mut operators = self.operators.lock().unwrap();
                if operators.iter().any(|operator| operator.region == region) {
                    return Err(refused(Code::OperatorConflict));
                }
                let view = OperatorView {
                    id: operators.len() as u64 + 1,
                    region,
                    request,
                    state: OperatorState::Running,
                    steps: vec![("add a learner".to_owned(), false)],
                    age_ms: 0,
                    reason: None,
                };
                operators.push(view.clone());
                Ok(PdReply::Operator(view))
            }
            PdRequest::Operators => {
                let mut operators = self.operators.lock().unwrap();
                let views = operators.clone();
                // Whoever looks a second time finds it done.
                operators.iter_mut().for_each(|view| view.state = OperatorState::Succeeded);
                Ok(PdReply::Operators(views))
            }
            PdRequest::DrainStore { store } => {
                store_is_known(store)?;
                *self.store_state.lock().unwrap() = StoreState::Leaving;
                Ok(PdReply::Done)
            }
            PdRequest::RemoveStore { store } => {
                store_is_known(store)?;
                Err(refused(Code::StoreNotEmpty))
            }
            PdRequest::Join { .. }
            | PdRequest::Register { .. }
            | PdRequest::AllocateIds { .. }
            | PdRequest::StoreHeartbeat { .. }
            | PdRequest::RegionHeartbeat { .. }
            | PdRequest::ReportGcRound(_)
            | PdRequest::AdvanceGcSafePoint { .. } => panic!("no question of a gateway"),
            PdRequest::GcRound => Ok(PdReply::GcRound(self.gc_round.lock().unwrap().clone())),
            PdRequest::GcState => Ok(PdReply::Gc(self.gc.lock().unwrap().clone())),
            PdRequest::AdvanceTxnSafePoint { target } => {
                let mut gc = self.gc.lock().unwrap();
                gc.txn_safe_point = gc.txn_safe_point.max(target);
                Ok(PdReply::Gc(gc.clone()))
            }
            PdRequest::SetGcBarrier(barrier) => {
                let mut gc = self.gc.lock().unwrap();
                gc.barriers.retain(|known| known.service != barrier.service);
                gc.barriers.push(barrier);
                Ok(PdReply::Gc(gc.clone()))
            }
            PdRequest::RemoveGcBarrier { service } => {
                let mut gc = self.gc.lock().unwrap();
                gc.barriers.retain(|known| known.service != service);
                Ok(PdReply::Gc(gc.clone()))
            }
        }
    }

    fn cluster(&self) -> ClusterView {
        let info = StoreInfo {
            id: STORE,
            node: NodeId(1),
            identity: 7,
            state: *self.store_state.lock().unwrap(),
            labels: vec![("zone".to_owned(), "a".to_owned())],
            bootstrapped: true,
        };
        let stats = StoreStats { capacity_bytes: 1000, available_bytes: 400, ..Default::default() };
        ClusterView {
            cluster: ClusterId(77),
            name: NAME.to_owned(),
            pd_leader: NodeId(1),
            bootstrapped: true,
            replicas: 3,
            nodes: vec![node()],
            stores: vec![StoreView { info, stats, silent_ms: Some(12) }],
            regions: regions().len() as u64,
        }
    }
}

fn refused(code: Code) -> PdError {
    PdError::Refused { code, detail: "refused by the fake".to_owned() }
}

fn apply(rows: &mut Rows, key: &Key, change: &RawChange) {
    match change {
        RawChange::Put { value, expires_at } => {
            rows.insert(key.clone(), (value.clone(), *expires_at));
        }
        RawChange::Delete => {
            rows.remove(key);
        }
    }
}

fn route(region: Region) -> RegionRoute {
    let leader = region.peers.first().copied();
    RegionRoute { region, leader, down: Vec::new(), pending: Vec::new(), approximate_bytes: 5 }
}

fn routes(wanted: impl Fn(&Region) -> bool) -> PdReply {
    PdReply::Routes(regions().into_iter().filter(wanted).map(route).collect())
}

fn status(id: RegionId) -> PeerStatus {
    let region = regions().into_iter().find(|region| region.id == id).unwrap();
    let peer = region.peers[0];
    PeerStatus {
        region,
        peer,
        leader: Some(peer),
        term: Term(6),
        first_index: LogIndex(6),
        last_index: LogIndex(9),
        committed: LogIndex(9),
        applied: LogIndex(8),
        matched: vec![(peer, LogIndex(9))],
        lease_valid: true,
    }
}

fn node() -> NodeInfo {
    NodeInfo {
        id: NodeId(1),
        grpc_address: "127.0.0.1:20160".to_owned(),
        http_address: "127.0.0.1:20180".to_owned(),
        version: "0.1.0".to_owned(),
    }
}

fn real_now() -> UnixMillis {
    use troupe_actors::env::Clock as _;
    troupe_actors::real_env::SystemClock::new().unix()
}

struct Shared(Arc<Fake>);

impl RegionService for Shared {
    fn has_store(&self, store: StoreId) -> bool {
        store == STORE
    }

    fn serve(&self, request: RegionRequest, _deadline: Moment) -> BoxFuture<'static, RegionResult> {
        let fake = self.0.clone();
        if let RegionBody::Session(session) = request.body {
            let sessions = fake.sessions.get().expect("this world serves them").clone();
            let far = Moment(u64::MAX / 2);
            return Box::pin(async move {
                let result = sessions.serve(*session, far).await?;
                Ok(RegionReply::Session(Box::new(result)))
            });
        }
        Box::pin(async move {
            // As in a real node the answer comes later: other requests get their turn.
            tokio::task::yield_now().await;
            fake.serve(&request)
        })
    }
}

impl PdCaller for Shared {
    fn call(&self, request: PdRequest, _deadline: Moment) -> BoxFuture<'static, PdResult> {
        let answer = self.0.ask_pd(request);
        Box::pin(async move { answer })
    }
}

/// There are no other nodes.
struct NoOthers;

impl Transport for NoOthers {
    fn send_raft(&self, _to: StoreId, _messages: Vec<RaftEnvelope>, _tags: TraceTags) {}

    fn send_snapshot(
        &self,
        _to: StoreId,
        _snapshot: OutgoingSnapshot,
    ) -> BoxFuture<'static, Result<(), TransportError>> {
        Box::pin(async { Err(TransportError::UnknownAddress) })
    }

    fn call_region(
        &self,
        _request: RegionRequest,
        _deadline: Moment,
    ) -> BoxFuture<'static, Result<RegionResult, TransportError>> {
        Box::pin(async { Err(TransportError::UnknownAddress) })
    }

    fn call_pd(
        &self,
        _address: &str,
        _request: PdRequest,
        _deadline: Moment,
    ) -> BoxFuture<'static, Result<PdResult, TransportError>> {
        Box::pin(async { Err(TransportError::UnknownAddress) })
    }

    fn fetch_trace(
        &self,
        _node: NodeId,
        _id: u64,
        _deadline: Moment,
    ) -> BoxFuture<'static, Result<Vec<WireSpan>, TransportError>> {
        Box::pin(async { Err(TransportError::UnknownAddress) })
    }
}

/// A gateway over a fresh fake.
pub fn gateway(config: Config) -> (Arc<HttpState>, Arc<Fake>) {
    let (parts, fake) = parts(config);
    (HttpState::new(parts).unwrap(), fake)
}

/// A gateway that serves interactive transactions.
pub fn gateway_with_sessions(config: Config) -> (Arc<HttpState>, Arc<Fake>) {
    let limits = &config.limits;
    let options =
        SessionOptions { open: limits.txn_open, bytes: limits.txn_session_bytes.as_usize() };
    let (parts, fake) = parts(config);
    let served = SessionsParts { service: parts.service.clone(), store: STORE, options };
    let _ = fake.sessions.set(txn_session::start(served, ActorId(0)));
    (HttpState::new(parts).unwrap(), fake)
}

/// What a gateway over a fresh fake is made of.
pub fn parts(config: Config) -> (HttpParts, Arc<Fake>) {
    let fake = Arc::new(Fake::default());
    let env = real_env(CellOptions::default(), 1024);
    let directory = SharedDirectory::default();
    directory.update(&[(node(), vec![STORE])]);
    let service = KvService::new(ServiceParts {
        env: env.clone(),
        local: Arc::new(Shared(fake.clone())),
        transport: Arc::new(NoOthers),
        pd: Arc::new(Shared(fake.clone())),
        directory,
    });
    let sample = || Sample {
        name: "troupe_test_figure",
        help: "A figure of another part.",
        kind: SampleKind::Gauge,
        labels: vec![("disk", "a\"b".to_owned())],
        value: 1.5,
    };
    let parts = HttpParts {
        env,
        service,
        config: Arc::new(config),
        node: node(),
        cluster: ClusterId(77),
        ready: Arc::new(|| vec![("store-1".to_owned(), Ok(()))]),
        extra_metrics: Arc::new(move || vec![sample()]),
    };
    (parts, fake)
}
