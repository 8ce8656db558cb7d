//! The real actor on paused time, over a system Region in memory that two nodes share.
use crate::core::rows::RowChange;
use crate::{BootstrapPlan, PdHandle, PdOptions, PdParts, start};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use troupe_actors::env::{CellOptions, Clock, Env};
use troupe_actors::node::{LocalPd, RegionService, SharedDirectory};
use troupe_actors::real_env::real_env;
use troupe_actors::registry::ActorId;
use troupe_types::command::RawRow;
use troupe_types::pd::{NodeInfo, PdError, PdReply, PdRequest, PdResult};
use troupe_types::request::{PeerStatus, RegionBody, RegionReply, RegionRequest, RegionResult};
use troupe_types::{
    ClusterId, Key, KeyRange, LogIndex, Moment, NodeId, Peer, PeerId, ReadCommand, ReadReply,
    Region, RegionEpoch, RegionError, RegionId, StoreId, Term, Timestamp, UnixMillis, WriteCommand,
    WriteReply,
};

const TICK: Duration = Duration::from_millis(100);
const UNIX: u64 = 1_700_000_000_000;

/// Both clocks follow tokio's paused time.
struct PausedClock(tokio::time::Instant);

impl Clock for PausedClock {
    fn now(&self) -> Moment {
        Moment(3_600_000_000_000).after(self.0.elapsed())
    }

    fn unix(&self) -> UnixMillis {
        UnixMillis(UNIX + u64::try_from(self.0.elapsed().as_millis()).unwrap())
    }
}

/// Region 1 with a replica on the Stores 1 and 2.
struct SystemRegion {
    rows: Mutex<BTreeMap<Key, Bytes>>,
    leader: AtomicU64,
    term: AtomicU64,
    conf_ver: AtomicU64,
    panics: AtomicBool,
}

impl SystemRegion {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            rows: Mutex::new(BTreeMap::new()),
            leader: AtomicU64::new(1),
            term: AtomicU64::new(6),
            conf_ver: AtomicU64::new(1),
            panics: AtomicBool::new(false),
        })
    }

    fn lead(&self, store: u64) {
        self.leader.store(store, Ordering::SeqCst);
        self.term.fetch_add(1, Ordering::SeqCst);
    }

    fn peer(store: u64) -> Peer {
        Peer::voter(PeerId(store), StoreId(store))
    }

    fn region(&self) -> Region {
        Region {
            id: RegionId(1),
            range: KeyRange::system(),
            epoch: RegionEpoch { conf_ver: self.conf_ver.load(Ordering::SeqCst), version: 1 },
            peers: vec![Self::peer(1), Self::peer(2)],
        }
    }

    fn status(&self, store: StoreId, leader: Peer) -> PeerStatus {
        PeerStatus {
            region: self.region(),
            peer: Self::peer(store.get()),
            leader: Some(leader),
            term: Term(self.term.load(Ordering::SeqCst)),
            first_index: LogIndex(6),
            last_index: LogIndex(6),
            committed: LogIndex(6),
            applied: LogIndex(6),
            matched: Vec::new(),
            lease_valid: leader.store == store,
        }
    }

    fn scan(&self, range: &KeyRange) -> ReadReply {
        let rows = self.rows.lock().unwrap();
        let mut inside = rows.iter().filter(|(key, _)| range.contains(key));
        // One row a page, so that paging is needed.
        let row = inside.next().map(|(key, value)| RawRow {
            key: key.clone(),
            value: value.clone(),
            expires_at: None,
        });
        let rest = inside.next().map(|(key, _)| KeyRange::new(key.clone(), range.end.clone()));
        ReadReply::Rows { rows: row.into_iter().collect(), rest }
    }

    fn write(&self, expect: &[RowChange], rows: &[RowChange]) -> WriteReply {
        let mut all = self.rows.lock().unwrap();
        if expect.iter().any(|(key, value)| all.get(key) != value.as_ref()) {
            return WriteReply::Rejected;
        }
        for (key, value) in rows {
            match value {
                Some(value) => all.insert(key.clone(), value.clone()),
                None => all.remove(key),
            };
        }
        WriteReply::Done
    }

    fn answer(&self, request: &RegionRequest) -> RegionResult {
        assert!(!self.panics.swap(false, Ordering::SeqCst), "a planted fault");
        let leader = Self::peer(self.leader.load(Ordering::SeqCst));
        if request.body == RegionBody::Status {
            return Ok(RegionReply::Status(Box::new(self.status(request.store, leader))));
        }
        if leader.store != request.store {
            return Err(RegionError::NotLeader { region: RegionId(1), leader: Some(leader) });
        }
        if request.target.epoch != self.region().epoch {
            return Err(RegionError::EpochNotMatch { current: Box::new(self.region()) });
        }
        match &request.body {
            RegionBody::Read { command: ReadCommand::SystemScan { range }, .. } => {
                Ok(RegionReply::Read(self.scan(range)))
            }
            RegionBody::Write(WriteCommand::System { expect, rows }) => {
                Ok(RegionReply::Write(self.write(expect, rows)))
            }
            other => panic!("PD never sends {other:?}"),
        }
    }
}

struct LocalRegions(Arc<SystemRegion>, Env);

impl RegionService for LocalRegions {
    fn has_store(&self, _store: StoreId) -> bool {
        true
    }

    fn serve(&self, request: RegionRequest, _: Moment) -> BoxFuture<'static, RegionResult> {
        let (region, env) = (self.0.clone(), self.1.clone());
        async move {
            env.spawner.sleep(Duration::from_millis(2)).await;
            region.answer(&request)
        }
        .boxed()
    }
}

fn node(id: u64) -> NodeInfo {
    NodeInfo {
        id: NodeId(id),
        grpc_address: format!("n{id}:1"),
        http_address: format!("n{id}:2"),
        version: "test".to_owned(),
    }
}

fn plan() -> BootstrapPlan {
    BootstrapPlan {
        cluster: ClusterId(7),
        name: "test".to_owned(),
        node: node(1),
        stores: vec![(StoreId(1), 1001, Vec::new())],
        replicas: 3,
        pd_replicas: 3,
        bootstrap_stores: 3,
        bootstrap_regions: 4,
        split_keys: Vec::new(),
    }
}

struct Node {
    pd: PdHandle,
    env: Env,
    directory: SharedDirectory,
}

impl Node {
    fn start(id: u64, region: &Arc<SystemRegion>) -> Self {
        let mut env = real_env(CellOptions::default(), 16);
        env.clock = Arc::new(PausedClock(tokio::time::Instant::now()));
        let directory = SharedDirectory::default();
        let parts = PdParts {
            env: env.clone(),
            node: node(id),
            system_stores: vec![StoreId(id)],
            regions: Arc::new(LocalRegions(region.clone(), env.clone())),
            directory: directory.clone(),
            options: PdOptions::for_tick(TICK),
            bootstrap: (id == 1).then(plan),
        };
        Self { pd: start(parts, ActorId(0)), env, directory }
    }

    async fn ask(&self, request: PdRequest) -> PdResult {
        self.pd.call(request, self.env.now().after(Duration::from_secs(1))).await
    }

    /// Asks until PD serves here.
    async fn until_served(&self, request: PdRequest) -> PdReply {
        for _ in 0..200 {
            if let Ok(reply) = self.ask(request.clone()).await {
                return reply;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("PD never served {request:?}")
    }

    async fn timestamp(&self) -> Timestamp {
        match self.until_served(PdRequest::Timestamps { count: 1000 }).await {
            PdReply::Timestamps { last, .. } => last,
            other => panic!("unexpected {other:?}"),
        }
    }
}

fn directory_of(joined: &PdReply) -> Vec<(NodeInfo, Vec<StoreId>)> {
    match joined {
        PdReply::Joined { directory, .. } => directory.clone(),
        other => panic!("unexpected {other:?}"),
    }
}

fn run(test: impl Future<Output = ()> + 'static) {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    actix::System::with_tokio_rt(runtime).block_on(test);
}

#[test]
fn leadership_follows_the_system_region() {
    run(async {
        let region = SystemRegion::new();
        let (first, second) = (Node::start(1, &region), Node::start(2, &region));
        let before = first.timestamp().await;
        let joins = PdRequest::Join { node: node(2), identities: vec![1002] };
        let joined = first.until_served(joins.clone()).await;
        assert_eq!(first.directory.load().nodes.len(), 2);
        second.directory.update(&directory_of(&joined));
        tokio::time::sleep(TICK * 2).await;
        let refused = second.ask(PdRequest::Cluster).await;
        assert_eq!(refused, Err(PdError::NotLeader { leader: Some("n1:1".to_owned()) }));

        region.lead(2);
        region.conf_ver.store(3, Ordering::SeqCst);
        let after = second.timestamp().await;
        assert!(after > before);
        assert_eq!(second.until_served(joins).await, joined, "the rows were loaded");
        let refused = first.ask(PdRequest::Timestamps { count: 1 }).await;
        assert_eq!(refused, Err(PdError::NotLeader { leader: Some("n2:1".to_owned()) }));
    });
}

#[test]
fn a_crash_revokes_the_window_and_the_next_life_starts_above_it() {
    run(async {
        let region = SystemRegion::new();
        let node = Node::start(1, &region);
        let before = node.timestamp().await;
        region.panics.store(true, Ordering::SeqCst);
        while node.env.registry.restarts().is_empty() {
            tokio::time::sleep(TICK).await;
        }
        let refused = node.ask(PdRequest::Timestamps { count: 1 }).await;
        assert!(matches!(refused, Err(PdError::Unavailable { .. })), "{refused:?}");
        assert!(node.timestamp().await > before);
        assert!(matches!(node.until_served(PdRequest::Cluster).await, PdReply::Cluster(_)));
    });
}

#[test]
#[expect(clippy::disallowed_methods, reason = "this measures real time")]
fn one_batched_stream_gets_a_million_timestamps_a_second() {
    run(async {
        const CALLS: u32 = 2000;
        const COUNT: u32 = 10_000;
        let region = SystemRegion::new();
        let node = Node::start(1, &region);
        let mut before = node.timestamp().await;
        let handled = node.env.registry.list()[0].handled.load(Ordering::Relaxed);
        let began = std::time::Instant::now();
        for _ in 0..CALLS {
            match node.ask(PdRequest::Timestamps { count: COUNT }).await {
                Ok(PdReply::Timestamps { last, .. }) => {
                    assert!(last.get() >= before.get() + u64::from(COUNT));
                    before = last;
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        let took = began.elapsed();
        let rate = f64::from(CALLS) * f64::from(COUNT) / took.as_secs_f64();
        assert!(rate >= 1e6, "{rate:.0} timestamps/s");
        let messages = node.env.registry.list()[0].handled.load(Ordering::Relaxed) - handled;
        assert_eq!(messages, 0, "taken without a message");
    });
}
