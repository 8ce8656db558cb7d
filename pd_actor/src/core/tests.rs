//! PD's core against a system Region in memory. `Bench` is one node; several share the `Rows`.
mod bootstrap;
mod gc;
mod leadership;
mod members;
mod operators;
mod placement;
mod random;
mod timestamps;

use super::rows::RowChange;
use super::{BootstrapPlan, Core, EffectId, Input, LocalStatus, Output, PdOptions, WriteOutcome};
use crate::oracle::TsoOracle;
use bytes::Bytes;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use troupe_types::pd::{
    NodeInfo, PdError, PdReply, PdRequest, PdResult, RegionReport, StoreInstructions, StoreStats,
};
use troupe_types::{
    ClusterId, Key, KeyRange, Moment, NodeId, Peer, PeerId, Region, RegionEpoch, RegionId, StoreId,
    Term, UnixMillis,
};

const TICK: Duration = Duration::from_millis(100);
/// Where the wall clock starts.
const UNIX: u64 = 1_700_000_000_000;

/// Rows of the system Region.
#[derive(Clone, Default)]
struct Rows(Rc<RefCell<BTreeMap<Key, Bytes>>>);

impl Rows {
    fn scan(&self, range: &KeyRange) -> Vec<(Key, Bytes)> {
        let rows = self.0.borrow();
        let rows = rows.iter().filter(|(key, _)| range.contains(key));
        rows.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn write(&self, expect: &[RowChange], rows: &[RowChange]) -> WriteOutcome {
        let mut all = self.0.borrow_mut();
        if expect.iter().any(|(key, value)| all.get(key) != value.as_ref()) {
            return WriteOutcome::Rejected;
        }
        for (key, value) in rows {
            match value {
                Some(value) => all.insert(key.clone(), value.clone()),
                None => all.remove(key),
            };
        }
        WriteOutcome::Done
    }
}

/// A write that the test holds back: id, expected rows, rows.
type HeldWrite = (EffectId, Vec<RowChange>, Vec<RowChange>);

struct Bench {
    core: Core,
    oracle: Arc<TsoOracle>,
    rows: Rows,
    store: StoreId,
    term: Term,
    now: Moment,
    unix: UnixMillis,
    next_request: u64,
    replies: BTreeMap<u64, PdResult>,
    holds_writes: bool,
    held: VecDeque<HeldWrite>,
}

fn node(id: u64) -> NodeInfo {
    NodeInfo {
        id: NodeId(id),
        grpc_address: format!("n{id}:1"),
        http_address: format!("n{id}:2"),
        version: "test".to_owned(),
    }
}

fn bootstrap_plan(stores: u32, regions: u32) -> BootstrapPlan {
    BootstrapPlan {
        cluster: ClusterId(7),
        name: "test".to_owned(),
        node: node(1),
        stores: vec![(StoreId(1), 1001, Vec::new())],
        replicas: 3,
        pd_replicas: 3,
        bootstrap_stores: stores,
        bootstrap_regions: regions,
        split_keys: Vec::new(),
    }
}

impl Bench {
    fn new(id: u64, rows: &Rows, plan: Option<BootstrapPlan>) -> Self {
        let oracle = Arc::new(TsoOracle::default());
        let core = Core::new(node(id), PdOptions::for_tick(TICK), plan, oracle.clone());
        Self {
            core,
            oracle,
            rows: rows.clone(),
            store: StoreId(id),
            term: Term(6),
            now: Moment(3_600_000_000_000),
            unix: UnixMillis(UNIX),
            next_request: 0,
            replies: BTreeMap::new(),
            holds_writes: false,
            held: VecDeque::new(),
        }
    }

    /// Node 1 of a new cluster, leading.
    fn first(stores: u32, regions: u32) -> Self {
        let mut bench = Self::new(1, &Rows::default(), Some(bootstrap_plan(stores, regions)));
        bench.lead();
        bench
    }

    fn step(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut out = Vec::new();
            self.core.step(self.now, self.unix, input, &mut out);
            for output in out {
                match output {
                    Output::LoadRows { id, range, .. } => {
                        let rows = Ok(self.rows.scan(&range));
                        inputs.push_back(Input::RowsLoaded { id, rows });
                    }
                    Output::WriteRows { id, expect, rows, .. } if self.holds_writes => {
                        self.held.push_back((id, expect, rows));
                    }
                    Output::WriteRows { id, expect, rows, .. } => {
                        let outcome = self.rows.write(&expect, &rows);
                        inputs.push_back(Input::WriteDone { id, outcome });
                    }
                    Output::Reply { id, result } => {
                        assert!(self.replies.insert(id, result).is_none(), "answered twice");
                    }
                    Output::UpdateDirectory(_) | Output::Note(_) => {}
                }
            }
        }
    }

    /// Carries the oldest held write out and tells its outcome.
    fn release(&mut self) -> WriteOutcome {
        let (id, expect, rows) = self.held.pop_front().expect("a held write");
        let outcome = self.rows.write(&expect, &rows);
        self.step(Input::WriteDone { id, outcome: outcome.clone() });
        outcome
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.unix.0 += u64::try_from(time.as_millis()).unwrap();
    }

    /// One tick later the local replica says that it leads (or not).
    fn tick(&mut self, leads: bool) {
        self.pass(TICK);
        self.step(Input::Tick);
        self.status(leads.then_some((self.term, true)), None);
    }

    fn status(&mut self, leads: Option<(Term, bool)>, leader: Option<&str>) {
        let leader = leader.map(str::to_owned);
        let status = LocalStatus { store: self.store, asked: self.now, leads, leader };
        self.step(Input::LocalStatus(status));
    }

    /// Leads, and has waited for its predecessor.
    fn lead(&mut self) {
        for _ in 0..7 {
            self.tick(true);
        }
        assert!(self.core.is_serving());
    }

    /// Asks, and answers the request's number.
    fn send(&mut self, request: PdRequest) -> u64 {
        self.next_request += 1;
        self.step(Input::Request { id: self.next_request, request });
        self.next_request
    }

    fn ask(&mut self, request: PdRequest) -> PdResult {
        let id = self.send(request);
        self.replies.remove(&id).expect("answered at once")
    }

    fn code(&mut self, request: PdRequest) -> &'static str {
        match self.ask(request) {
            Err(PdError::Refused { code, .. }) => code.as_str(),
            Err(PdError::Unavailable { .. }) => "unavailable",
            Err(PdError::NotLeader { .. }) => "not leader",
            Ok(_) => "ok",
        }
    }

    /// Node `id` joins with one Store and registers it.
    fn join(&mut self, id: u64) -> StoreId {
        let joins = PdRequest::Join {
            node: NodeInfo { id: NodeId(0), ..node(id) },
            identities: vec![1000 + id],
        };
        let Ok(PdReply::Joined { node: given, stores, .. }) = self.ask(joins) else {
            panic!("refused")
        };
        assert_eq!(given, NodeId(id));
        self.register(id, stores[0]);
        stores[0]
    }

    fn register(&mut self, id: u64, store: StoreId) {
        let stores = vec![(store, 1000 + id, Vec::new())];
        let registered = self.ask(PdRequest::Register { node: node(id), stores });
        assert_eq!(registered, Ok(PdReply::Done));
    }

    fn heartbeat(&mut self, store: u64, bootstrapped: bool) -> StoreInstructions {
        let request = PdRequest::StoreHeartbeat {
            store: StoreId(store),
            stats: StoreStats::default(),
            bootstrapped,
            orphans: Vec::new(),
        };
        match self.ask(request) {
            Ok(PdReply::StoreHeartbeat(instructions)) => instructions,
            other => panic!("unexpected {other:?}"),
        }
    }
}

/// A Region with voters on `stores`; peer ids are ten times the Store's.
fn region(id: u64, range: KeyRange, stores: &[u64]) -> Region {
    let peers = stores.iter().map(|s| Peer::voter(PeerId(id * 1000 + s * 10), StoreId(*s)));
    let (epoch, peers) = (RegionEpoch::INITIAL, peers.collect());
    Region { id: RegionId(id), range, epoch, peers }
}

fn report(region: &Region, leader: u64) -> RegionReport {
    RegionReport {
        region: region.clone(),
        leader: region.peer_on(StoreId(leader)).expect("a replica there"),
        term: Term(6),
        down: Vec::new(),
        pending: Vec::new(),
        approximate_bytes: 0,
    }
}
