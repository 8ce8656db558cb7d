//! Two nodes over loopback: a transport on one side, a server with probes on the other.
use super::{
    GrpcTransport, Identity, LinkParts, NetCounters, NetRuntime, OutgoingSnapshot, ServerHandle,
    ServerOptions, ServerParts, Transport, TransportError, TransportOptions, serve,
};
use crate::env::{CellOptions, Env};
use crate::node::{LocalPd, RaftInbox, RegionService, SharedDirectory};
use crate::real_env::real_env;
use crate::registry::ActorId;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use troupe_types::pd::{NodeInfo, PdError, PdReply, PdRequest, PdResult};
use troupe_types::raft_message::{RaftEnvelope, SnapshotFile, SnapshotManifest};
use troupe_types::request::{RegionBody, RegionReply, RegionRequest, RegionResult, RegionTarget};
use troupe_types::{
    ClusterId, KeyRange, LogIndex, Moment, NodeId, Peer, PeerId, Region, RegionEpoch, RegionError,
    RegionId, StoreId, Term, Timestamp, TraceTags,
};

const CLUSTER: ClusterId = ClusterId(77);
const REMOTE: StoreId = StoreId(2);

/// Everything that a node hands requests to.
#[derive(Default)]
struct Probe {
    raft: Mutex<Vec<(StoreId, RaftEnvelope)>>,
    snapshots: Mutex<Vec<OutgoingSnapshot>>,
    unreachable: Mutex<Vec<StoreId>>,
    served: AtomicU64,
    folder: Option<PathBuf>,
}

impl RaftInbox for Probe {
    fn deliver(&self, to: StoreId, messages: Vec<RaftEnvelope>, _: TraceTags) {
        self.raft.lock().unwrap().extend(messages.into_iter().map(|message| (to, message)));
    }

    fn deliver_snapshot(&self, _: StoreId, snapshot: OutgoingSnapshot) {
        self.snapshots.lock().unwrap().push(snapshot);
    }

    fn snapshot_folder(&self, _: StoreId) -> Option<PathBuf> {
        self.folder.clone()
    }

    fn report_unreachable(&self, to: StoreId) {
        self.unreachable.lock().unwrap().push(to);
    }
}

/// Region 1 never answers; region n answers after n milliseconds with index n.
impl RegionService for Probe {
    fn has_store(&self, store: StoreId) -> bool {
        store == REMOTE
    }

    fn serve(&self, request: RegionRequest, _: Moment) -> BoxFuture<'static, RegionResult> {
        self.served.fetch_add(1, Ordering::SeqCst);
        let region = request.target.region.get();
        async move {
            if region == 1 {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(region)).await;
            Ok(RegionReply::ReadIndex(LogIndex(region)))
        }
        .boxed()
    }
}

impl LocalPd for Probe {
    fn call(&self, request: PdRequest, _: Moment) -> BoxFuture<'static, PdResult> {
        let answer = match request {
            PdRequest::Timestamps { count } => {
                let before = self.served.fetch_add(u64::from(count), Ordering::SeqCst);
                let last = Timestamp(before + u64::from(count));
                Ok(PdReply::Timestamps { last, count })
            }
            PdRequest::Join { .. } => Ok(PdReply::Done),
            _ => Err(PdError::NotLeader { leader: None }),
        };
        std::future::ready(answer).boxed()
    }
}

/// The two sides.
struct Net {
    env: Env,
    transport: Arc<GrpcTransport>,
    here: Arc<Probe>,
    there: Arc<Probe>,
    counters_there: Arc<NetCounters>,
    server: Option<ServerHandle>,
    address: String,
    _folder: tempfile::TempDir,
}

impl Net {
    fn start() -> Self {
        Self::with(CLUSTER, CLUSTER, |_| {})
    }

    fn with(ours: ClusterId, theirs: ClusterId, edit: impl FnOnce(&mut ServerOptions)) -> Self {
        let env = real_env(CellOptions::default(), 100);
        let runtime = NetRuntime::start(2).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let there = Arc::new(Probe { folder: Some(folder.path().to_owned()), ..Probe::default() });
        let counters_there = Arc::new(NetCounters::default());
        let mut options = ServerOptions::default();
        edit(&mut options);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let parts = ServerParts {
            env: env.clone(),
            identity: Identity::of(theirs, NodeId(2)),
            inbox: there.clone(),
            regions: there.clone(),
            pd: there.clone(),
            counters: counters_there.clone(),
            options,
        };
        let server = serve(&runtime, listener, parts).unwrap();
        let address = server.address.to_string();
        let directory = SharedDirectory::default();
        let info = NodeInfo {
            id: NodeId(2),
            grpc_address: address.clone(),
            http_address: String::new(),
            version: String::new(),
        };
        directory.update(&[(info, vec![REMOTE, StoreId(3)])]);
        let here = Arc::new(Probe::default());
        let parts = LinkParts {
            env: env.clone(),
            runtime,
            identity: Identity::of(ours, NodeId(1)),
            directory,
            inbox: here.clone(),
            options: TransportOptions::default(),
            counters: Arc::default(),
        };
        let transport = GrpcTransport::start(parts, ActorId(0));
        let server = Some(server);
        Self { env, transport, here, there, counters_there, server, address, _folder: folder }
    }

    fn deadline(&self, ms: u64) -> Moment {
        self.env.now().after(Duration::from_millis(ms))
    }

    async fn call(&self, region: u64, ms: u64) -> Result<RegionResult, TransportError> {
        self.call_store(REMOTE, region, ms).await
    }

    async fn call_store(
        &self,
        store: StoreId,
        region: u64,
        ms: u64,
    ) -> Result<RegionResult, TransportError> {
        let target = RegionTarget { region: RegionId(region), epoch: RegionEpoch::INITIAL };
        let body = RegionBody::ReadIndex;
        let request = RegionRequest { store, target, body, traces: TraceTags::NONE };
        self.transport.call_region(request, self.deadline(ms)).await
    }

    /// The link is made when first needed, and Raft messages do not wait for that.
    async fn connect(&self) {
        assert!(self.call(2, 5000).await.is_ok());
    }

    fn wrong(&self, name: &str) -> u64 {
        self.counters_there.list().into_iter().find(|(n, _)| *n == name).unwrap().1
    }
}

/// Waits until `is_so`, at most some seconds.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not happen: {what}");
}

fn envelope(cluster: ClusterId, store: StoreId, number: u64) -> RaftEnvelope {
    RaftEnvelope {
        cluster,
        region: RegionId(number),
        from: Peer::voter(PeerId(1), StoreId(1)),
        to: Peer::voter(PeerId(2), store),
        epoch: RegionEpoch::INITIAL,
        message: Bytes::from(number.to_string()),
        is_tombstone: false,
    }
}

#[actix::test]
async fn raft_messages_arrive_whole_and_in_order() {
    let net = Net::start();
    net.connect().await;
    for batch in 0..50 {
        let numbers = batch * 100..(batch + 1) * 100;
        let messages = numbers.map(|n| envelope(CLUSTER, REMOTE, n)).collect();
        net.transport.send_raft(REMOTE, messages, TraceTags::NONE);
    }
    until("5000 messages", || net.there.raft.lock().unwrap().len() == 5000).await;
    let expected = (0..5000).map(|n| (REMOTE, envelope(CLUSTER, REMOTE, n)));
    assert!(expected.eq(net.there.raft.lock().unwrap().iter().cloned()));
    let frames = net.wrong("raft_frames_received");
    assert!(frames < 200, "{frames} frames are no batches");
}

#[actix::test]
async fn raft_messages_for_others_are_dropped_and_counted() {
    let net = Net::start();
    net.connect().await;
    let odd = vec![
        envelope(ClusterId(78), REMOTE, 1),
        envelope(CLUSTER, StoreId(9), 2),
        envelope(CLUSTER, REMOTE, 3),
    ];
    net.transport.send_raft(REMOTE, odd, TraceTags::NONE);
    net.transport.send_raft(StoreId(3), vec![envelope(CLUSTER, StoreId(3), 4)], TraceTags::NONE);
    until("two for a wrong store", || net.wrong("wrong_store") == 2).await;
    assert_eq!(net.wrong("wrong_cluster"), 1);
    let taken = net.there.raft.lock().unwrap().clone();
    assert_eq!(taken, [(REMOTE, envelope(CLUSTER, REMOTE, 3))]);
}

#[actix::test]
async fn another_cluster_gets_nothing_done() {
    let net = Net::with(ClusterId(78), CLUSTER, |_| {});
    assert_eq!(net.call(2, 5000).await, Ok(Err(RegionError::WrongRecipient)));
    net.transport.send_raft(REMOTE, vec![envelope(CLUSTER, REMOTE, 1)], TraceTags::NONE);
    until("call and frame counted", || net.wrong("wrong_cluster") == 2).await;
    assert!(net.there.raft.lock().unwrap().is_empty());
    let asked = net.transport.call_pd(&net.address, PdRequest::Cluster, net.deadline(5000)).await;
    assert!(matches!(asked, Err(TransportError::Refused { .. })), "{asked:?}");
    let span = net.transport.fetch_trace(NodeId(2), 1, net.deadline(5000)).await;
    assert!(matches!(span, Err(TransportError::Refused { .. })), "{span:?}");
    assert_eq!(net.there.served.load(Ordering::SeqCst), 0);
}

#[actix::test]
async fn a_node_without_cluster_may_only_join() {
    let net = Net::with(ClusterId(0), CLUSTER, |_| {});
    let node = NodeInfo {
        id: NodeId(0),
        grpc_address: String::new(),
        http_address: String::new(),
        version: String::new(),
    };
    let join = PdRequest::Join { node, identities: Vec::new() };
    let joined = net.transport.call_pd(&net.address, join, net.deadline(5000)).await;
    assert_eq!(joined, Ok(Ok(PdReply::Done)));
    let other = net.transport.call_pd(&net.address, PdRequest::Cluster, net.deadline(5000)).await;
    assert!(matches!(other, Err(TransportError::Refused { .. })), "{other:?}");
}

#[actix::test]
async fn forwarded_requests_overtake_each_other() {
    let net = Net::start();
    net.connect().await;
    let began = net.env.now();
    let slow = net.call(400, 5000).map(|answer| (answer, net.env.now()));
    let quick = net.call(3, 5000).map(|answer| (answer, net.env.now()));
    let ((slow, slow_at), (quick, quick_at)) = futures::join!(slow, quick);
    assert_eq!(slow, Ok(Ok(RegionReply::ReadIndex(LogIndex(400)))));
    assert_eq!(quick, Ok(Ok(RegionReply::ReadIndex(LogIndex(3)))));
    assert!(quick_at.since(began) < slow_at.since(began));
    let many = futures::future::join_all((2..300).map(|region| net.call(region, 5000))).await;
    assert!(
        many.into_iter()
            .zip(2..)
            .all(|(answer, region)| { answer == Ok(Ok(RegionReply::ReadIndex(LogIndex(region)))) })
    );
}

#[actix::test]
async fn a_request_in_flight_breaks_and_a_later_one_does_not_reach() {
    let mut net = Net::start();
    net.connect().await;
    let before = net.there.served.load(Ordering::SeqCst);
    let server = net.server.take().unwrap();
    let waiting = net.call(1, 20_000);
    let stop = async {
        until("it is served", || net.there.served.load(Ordering::SeqCst) > before).await;
        server.stop(&net.env, Duration::ZERO).await;
    };
    let (broken, ()) = futures::join!(waiting, stop);
    assert!(matches!(broken, Err(TransportError::Broken { .. })), "{broken:?}");
    let refused = net.call(2, 2000).await;
    assert!(matches!(refused, Err(TransportError::Unreachable { .. })), "{refused:?}");
    net.transport.send_raft(REMOTE, vec![envelope(CLUSTER, REMOTE, 1)], TraceTags::NONE);
    until("a report", || net.here.unreachable.lock().unwrap().contains(&REMOTE)).await;
}

#[actix::test]
async fn a_request_without_answer_ends_at_its_deadline_as_broken() {
    let net = Net::start();
    net.connect().await;
    let late = net.call(1, 100).await;
    assert!(matches!(late, Err(TransportError::Broken { .. })), "{late:?}");
}

#[actix::test]
async fn an_unknown_store_has_no_address() {
    let net = Net::start();
    let nowhere = net.call_store(StoreId(42), 2, 1000).await;
    assert_eq!(nowhere, Err(TransportError::UnknownAddress));
    assert_eq!(net.call_store(StoreId(3), 2, 5000).await, Ok(Err(RegionError::WrongRecipient)));
}

#[actix::test]
async fn timestamps_travel_on_one_stream() {
    let net = Net::start();
    let asks = (0..50).map(|_| {
        let request = PdRequest::Timestamps { count: 10 };
        net.transport.call_pd(&net.address, request, net.deadline(5000))
    });
    for answer in futures::future::join_all(asks).await {
        assert!(matches!(answer, Ok(Ok(PdReply::Timestamps { count: 10, .. }))), "{answer:?}");
    }
    assert_eq!(net.there.served.load(Ordering::SeqCst), 500);
}

/// A snapshot whose files lie in `folder`.
fn snapshot(folder: &Path, contents: &[&[u8]]) -> OutgoingSnapshot {
    let mut files = Vec::new();
    for (number, content) in contents.iter().enumerate() {
        std::fs::write(folder.join(number.to_string()), content).unwrap();
        files.push(SnapshotFile {
            cf: "default".to_owned(),
            bytes: content.len() as u64,
            crc32c: crc32c::crc32c(content),
            keys: 1,
        });
    }
    let region = Region {
        id: RegionId(7),
        range: KeyRange::raw_space(),
        epoch: RegionEpoch::INITIAL,
        peers: Vec::new(),
    };
    let manifest = SnapshotManifest { region, index: LogIndex(9), term: Term(6), files };
    let envelope = envelope(CLUSTER, REMOTE, 7);
    OutgoingSnapshot { envelope, manifest, folder: folder.to_owned() }
}

#[actix::test]
async fn snapshot_files_arrive_equal() {
    let net = Net::start();
    let source = tempfile::tempdir().unwrap();
    let large: Vec<u8> = (0..3_000_000_u32).map(|i| i.to_le_bytes()[i as usize % 2]).collect();
    let sent = snapshot(source.path(), &[&large, b"", b"small"]);
    assert_eq!(net.transport.send_snapshot(REMOTE, sent.clone()).await, Ok(()));
    let got = net.there.snapshots.lock().unwrap().pop().unwrap();
    assert_eq!((got.envelope, got.manifest), (sent.envelope, sent.manifest));
    for (number, content) in [&large[..], b"", b"small"].into_iter().enumerate() {
        let file = std::fs::read(got.folder.join(number.to_string())).unwrap();
        assert!(file == content, "file {number} differs");
    }
}

#[actix::test]
async fn damaged_short_and_misdirected_snapshots_are_refused_and_leave_nothing() {
    let net = Net::start();
    let source = tempfile::tempdir().unwrap();
    let good = snapshot(source.path(), &[b"first", b"second"]);
    let mut damaged = good.clone();
    damaged.manifest.files[1].crc32c ^= 1;
    let mut longer = good.clone();
    longer.manifest.files[1].bytes += 1;
    let mut shorter = good.clone();
    shorter.manifest.files[1].bytes -= 1;
    let mut of_other_region = good.clone();
    of_other_region.manifest.region.id = RegionId(8);
    for (what, bad) in [
        ("damaged", damaged),
        ("longer", longer),
        ("shorter", shorter),
        ("of another region", of_other_region),
    ] {
        let refused = net.transport.send_snapshot(REMOTE, bad).await;
        assert!(matches!(refused, Err(TransportError::Refused { .. })), "{what}: {refused:?}");
    }
    let elsewhere = net.transport.send_snapshot(StoreId(3), good).await;
    assert!(matches!(elsewhere, Err(TransportError::Refused { .. })), "{elsewhere:?}");
    assert!(net.there.snapshots.lock().unwrap().is_empty());
    let folder = net.there.folder.clone().unwrap();
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
    assert_eq!(net.wrong("snapshots_refused"), 5);
}

#[actix::test]
async fn too_many_snapshots_at_once_are_refused() {
    let net = Net::with(CLUSTER, CLUSTER, |options| options.snapshots_in_flight = 0);
    let source = tempfile::tempdir().unwrap();
    let refused = net.transport.send_snapshot(REMOTE, snapshot(source.path(), &[b"x"])).await;
    assert!(matches!(refused, Err(TransportError::Refused { .. })), "{refused:?}");
}
