//! The client against scripted PDs: this node's and two others'.
use super::core::{Search, Step, Target};
use super::{PdClient, PdClientParts};
use crate::env::CellOptions;
use crate::node::{LocalPd, PdCaller, SharedDirectory};
use crate::real_env::real_env;
use crate::transport::{OutgoingSnapshot, Transport, TransportError};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use troupe_types::pd::{OperatorRequest, PdError, PdReply, PdRequest, PdResult};
use troupe_types::raft_message::RaftEnvelope;
use troupe_types::request::{RegionRequest, RegionResult};
use troupe_types::{Moment, NodeId, RegionId, StoreId, Timestamp, TraceTags};

const HERE: &str = "here:1";
const THERE: &str = "there:1";
const FAR: &str = "far:1";

#[derive(Default)]
struct World {
    leader: Option<&'static str>,
    down: Vec<&'static str>,
    log: Vec<String>,
    clock: u64,
    requests: usize,
    /// Connections break after the request was sent.
    breaks: bool,
}

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<World>>);

impl Fake {
    fn led_by(leader: &'static str) -> Self {
        let fake = Self::default();
        fake.0.lock().unwrap().leader = Some(leader);
        fake
    }

    fn client(&self) -> PdClient {
        PdClient::new(PdClientParts {
            env: real_env(CellOptions::default(), 0),
            transport: Arc::new(self.clone()),
            local: Arc::new(self.clone()),
            directory: SharedDirectory::default(),
            bootstrap: vec![HERE.to_owned(), THERE.to_owned(), FAR.to_owned()],
            own_address: HERE.to_owned(),
        })
    }

    fn answer(&self, address: &str, request: &PdRequest) -> PdResult {
        let mut world = self.0.lock().unwrap();
        world.log.push(address.to_owned());
        if world.leader != Some(address) {
            let leader = world.leader.map(str::to_owned);
            return Err(PdError::NotLeader { leader });
        }
        world.requests += 1;
        match request {
            PdRequest::Timestamps { count } => {
                world.clock += u64::from(*count);
                Ok(PdReply::Timestamps { last: Timestamp(world.clock), count: *count })
            }
            _ => Ok(PdReply::Done),
        }
    }
}

impl LocalPd for Fake {
    fn call(&self, request: PdRequest, _: Moment) -> BoxFuture<'static, PdResult> {
        std::future::ready(self.answer(HERE, &request)).boxed()
    }
}

impl Transport for Fake {
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
        address: &str,
        request: PdRequest,
        _: Moment,
    ) -> BoxFuture<'static, Result<PdResult, TransportError>> {
        let (fake, address) = (self.clone(), address.to_owned());
        async move {
            // Gives others the chance to ask meanwhile, as a network would.
            tokio::time::sleep(Duration::from_millis(1)).await;
            let (is_down, breaks) = {
                let world = fake.0.lock().unwrap();
                (world.down.iter().any(|down| *down == address), world.breaks)
            };
            if is_down {
                return Err(TransportError::Unreachable { why: "down".to_owned() });
            }
            let answer = fake.answer(&address, &request);
            if breaks {
                return Err(TransportError::Broken { why: "scripted".to_owned() });
            }
            Ok(answer)
        }
        .boxed()
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

async fn ask(client: &PdClient, request: PdRequest, ms: u64) -> PdResult {
    client.call(request, client.deadline_in(Duration::from_millis(ms))).await
}

fn operator() -> PdRequest {
    let request = OperatorRequest::TransferLeader { store: StoreId(1) };
    PdRequest::AddOperator { region: RegionId(2), request }
}

#[actix::test]
async fn follows_the_hint_and_remembers_the_leader() {
    let world = Fake::led_by(FAR);
    let client = world.client();
    assert_eq!(ask(&client, PdRequest::Operators, 2000).await, Ok(PdReply::Done));
    assert_eq!(ask(&client, PdRequest::Operators, 2000).await, Ok(PdReply::Done));
    assert_eq!(world.0.lock().unwrap().log, [HERE, FAR, FAR]);
}

#[actix::test]
async fn asks_this_node_first_and_finds_a_new_leader() {
    let world = Fake::led_by(HERE);
    let client = world.client();
    assert!(ask(&client, PdRequest::Operators, 2000).await.is_ok());
    world.0.lock().unwrap().leader = Some(THERE);
    assert!(ask(&client, PdRequest::Operators, 2000).await.is_ok());
    assert_eq!(world.0.lock().unwrap().log, [HERE, HERE, THERE]);
}

#[actix::test]
async fn waits_for_a_leader_until_the_deadline() {
    let world = Fake::default();
    let client = world.client();
    let answer = ask(&client, PdRequest::Operators, 60).await;
    assert!(matches!(answer, Err(PdError::Unavailable { .. })), "{answer:?}");
    let late = world.clone();
    actix::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        late.0.lock().unwrap().leader = Some(THERE);
    });
    assert!(ask(&client, PdRequest::Operators, 5000).await.is_ok());
}

#[actix::test]
async fn goes_on_when_a_node_is_down() {
    let world = Fake::led_by(FAR);
    world.0.lock().unwrap().down.push(THERE);
    assert!(ask(&world.client(), PdRequest::Operators, 5000).await.is_ok());
}

#[actix::test]
async fn what_may_have_happened_is_repeated_only_if_that_is_harmless() {
    let world = Fake::led_by(FAR);
    world.0.lock().unwrap().breaks = true;
    let client = world.client();
    assert!(ask(&client, operator(), 2000).await.is_err());
    assert_eq!(world.0.lock().unwrap().requests, 1, "not a second operator");
    let repeated = ask(&client, PdRequest::Operators, 100).await;
    assert!(repeated.is_err());
    assert!(world.0.lock().unwrap().requests > 2);
}

#[actix::test]
async fn concurrent_timestamp_requests_become_few_and_no_timestamp_is_given_twice() {
    let world = Fake::led_by(THERE);
    let client = world.client();
    let asks = (1..=100).map(|count| ask(&client, PdRequest::Timestamps { count }, 5000));
    let answers = futures::future::join_all(asks).await;
    let mut given = std::collections::BTreeSet::new();
    for (answer, wanted) in answers.into_iter().zip(1..=100) {
        let Ok(PdReply::Timestamps { last, count }) = answer else { panic!("{answer:?}") };
        assert_eq!(count, wanted);
        for at in 0..u64::from(count) {
            assert!(given.insert(last.get() - at), "given twice");
        }
    }
    assert_eq!(given.len(), 5050);
    assert!(world.0.lock().unwrap().requests <= 10, "merged");
}

#[actix::test]
async fn an_asker_that_goes_away_leaves_the_others_served() {
    let world = Fake::led_by(THERE);
    let client = world.client();
    let deadline = client.deadline_in(Duration::from_secs(5));
    let gone = client.call(PdRequest::Timestamps { count: 5 }, deadline);
    let stays = client.call(PdRequest::Timestamps { count: 7 }, deadline);
    drop(gone);
    let answer = stays.await;
    assert!(matches!(answer, Ok(PdReply::Timestamps { count: 7, .. })), "{answer:?}");
}

#[actix::test]
async fn impossible_counts_are_refused() {
    let client = Fake::led_by(HERE).client();
    for count in [0, 262_145] {
        let answer = ask(&client, PdRequest::Timestamps { count }, 1000).await;
        assert!(matches!(answer, Err(PdError::Refused { .. })), "{answer:?}");
    }
}

#[test]
fn two_nodes_that_name_each_other_end_a_round() {
    let mut search = Search::new(&PdRequest::Operators, HERE);
    let mut step = search.again(None, &[THERE.to_owned(), FAR.to_owned()]);
    let mut asked = 0;
    while let Step::Ask(target) = step {
        asked += 1;
        assert!(asked < 20, "they would go on for ever");
        let other = if target == Target::Remote(FAR.to_owned()) { THERE } else { FAR };
        let leader = Some(other.to_owned());
        step = search.answered(&target, Err(PdError::NotLeader { leader }));
    }
    assert!(matches!(step, Step::Wait(_)));
}
