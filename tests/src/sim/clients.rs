//! Clients of a simulated cluster: the workload through the service layer of any node, and a clerk who
//! draws timestamps.
use super::checkers::order::Given;
use super::faults::pick;
use super::net::millis;
use super::world::World;
use crate::workload::{Generator, History, Op, Outcome, Record};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use troupe_actors::env::Rngs;
use troupe_actors::kv_service::{CallOptions, KvService, ServiceError};
use troupe_types::command::{RawChange, RawExpectation};
use troupe_types::pd::{PdReply, PdRequest};
use troupe_types::request::Consistency;
use troupe_types::{Class, NodeId, Timestamp};

/// What the clients of a world share.
pub struct Clients {
    world: Rc<World>,
    history: RefCell<History>,
    given: RefCell<Vec<Given>>,
    keys: u32,
    is_over: Cell<bool>,
}

/// Keys that the clients of a world use.
pub const KEYS: u32 = 8;

fn to_bytes(value: u64) -> Bytes {
    Bytes::from(value.to_string())
}

fn from_bytes(bytes: &Bytes) -> u64 {
    std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).expect("a client's value")
}

impl Clients {
    /// Starts `count` clients and the clerk.
    #[must_use]
    pub fn start(world: &Rc<World>, count: u32) -> Rc<Self> {
        let clients = Rc::new(Self {
            world: world.clone(),
            history: RefCell::default(),
            given: RefCell::default(),
            keys: KEYS,
            is_over: Cell::new(false),
        });
        for number in 0..count {
            let rng = world.rngs.rng(&format!("client {number}"));
            let generator = Generator::new(number, clients.keys, rng);
            actix_rt::spawn(clients.clone().one(number, generator));
        }
        actix_rt::spawn(clients.clone().clerk());
        clients
    }

    /// Lets the clients end after what they do now. Whatever comes later has no outcome.
    pub fn stop(&self) {
        self.is_over.set(true);
    }

    /// What they saw so far.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.history.borrow().records().to_vec()
    }

    /// See [`History::counts`].
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        self.history.borrow().counts()
    }

    /// Timestamps drawn so far.
    #[must_use]
    pub fn given(&self) -> Vec<Given> {
        self.given.borrow().clone()
    }

    async fn one(self: Rc<Self>, number: u32, mut generator: Generator) {
        while !self.is_over.get() {
            let pause = generator.between(5, 150);
            tokio::time::sleep(millis(pause)).await;
            let ids = self.world.ids();
            let node = ids[usize::try_from(generator.between(0, ids.len() as u64)).unwrap()];
            let consistency = match generator.between(0, 10) {
                0..6 => Consistency::Leader,
                6..8 => Consistency::Linearizable,
                8.. => Consistency::Follower,
            };
            let patience = millis(generator.between(300, 3_000));
            let (key, op) = generator.draw();
            let outcome = self.ask(number, node, (key, op), consistency, patience).await;
            generator.learn(key, op, outcome);
        }
    }

    /// One operation through `node`, noted in the history.
    pub async fn ask(
        &self,
        client: u32,
        node: NodeId,
        (key, op): (u32, Op),
        consistency: Consistency,
        patience: Duration,
    ) -> Outcome {
        let Some((service, gate)) = self.world.door(node) else { return Outcome::Failed };
        let options = CallOptions { consistency, ..self.world.options(&service, patience) };
        let id = self.history.borrow_mut().invoke(client, key, op);
        let crashed = service.env().power.until_cut();
        let outcome = tokio::select! {
            biased;
            () = crashed => Outcome::Unknown,
            outcome = gate.gated(perform(&service, key, op, &options)) => outcome,
            // Of a node that is held, or whose clock is slow.
            () = tokio::time::sleep(patience * 2 + millis(500)) => Outcome::Unknown,
        };
        self.history.borrow_mut().complete(id, outcome);
        let words = (OpWords(op), OutcomeWords(outcome));
        let line = format_args!("client {client}: key {key} {} = {}", words.0, words.1);
        self.world.log.note(node, line);
        outcome
    }

    /// Draws timestamps through the nodes in turn.
    async fn clerk(self: Rc<Self>) {
        let mut rng = self.world.rngs.rng("clerk");
        while !self.is_over.get() {
            tokio::time::sleep(millis(rng.between(20, 300))).await;
            let ids = self.world.ids();
            let node = ids[pick(&mut *rng, ids.len())];
            let count = u32::try_from(rng.between(1, 50)).unwrap();
            self.draw(node, count).await;
        }
    }

    async fn draw(&self, node: NodeId, count: u32) {
        let Some((service, gate)) = self.world.door(node) else { return };
        let invoked = self.history.borrow_mut().tick();
        let deadline = service.env().now().after(Duration::from_secs(2));
        let drawn = tokio::select! {
            biased;
            () = service.env().power.until_cut() => return,
            drawn = gate.gated(service.pd(PdRequest::Timestamps { count }, deadline)) => drawn,
        };
        let Ok(PdReply::Timestamps { last, count: given }) = drawn else { return };
        assert_eq!(given, count, "as many timestamps as were asked for");
        let first = Timestamp(last.get() - u64::from(count) + 1);
        let returned = self.history.borrow_mut().tick();
        self.world.log.note(node, format_args!("clerk: timestamps {first} to {last}"));
        self.given.borrow_mut().push(Given { invoked, returned, first, last });
    }
}

struct OpWords(Op);

impl fmt::Display for OpWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Op::Get => f.write_str("get"),
            Op::Put(value) => write!(f, "put {value}"),
            Op::Delete => f.write_str("delete"),
            Op::Cas { expect: Some(expect), new } => write!(f, "swap {expect} for {new}"),
            Op::Cas { expect: None, new } => write!(f, "put {new} if nothing is there"),
        }
    }
}

struct OutcomeWords(Outcome);

impl fmt::Display for OutcomeWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Outcome::Read(Some(value)) => write!(f, "{value}"),
            Outcome::Read(None) => f.write_str("nothing"),
            Outcome::Done => f.write_str("done"),
            Outcome::Swapped { succeeded, previous } => {
                let verdict = if succeeded { "done" } else { "refused" };
                write!(f, "{verdict}, there was {previous:?}")
            }
            Outcome::Failed => f.write_str("failed, without effect"),
            Outcome::Unknown => f.write_str("unknown"),
        }
    }
}

async fn perform(service: &KvService, key: u32, op: Op, options: &CallOptions) -> Outcome {
    let stored = World::key(key);
    let write = |change| service.raw_write(vec![(stored.clone(), change)], options);
    let put = |value| RawChange::Put { value: to_bytes(value), expires_at: None };
    let outcome = match op {
        Op::Get => match service.raw_get(stored.clone(), options).await {
            Ok((row, _)) => return Outcome::Read(row.map(|row| from_bytes(&row.value))),
            Err(_) => return Outcome::Failed,
        },
        Op::Put(value) => write(put(value)).await,
        Op::Delete => write(RawChange::Delete).await,
        Op::Cas { expect, new } => {
            let expect = match expect {
                None => RawExpectation::Absent,
                Some(value) => RawExpectation::Equals(to_bytes(value)),
            };
            return match service.raw_cas(stored.clone(), expect, put(new), options).await {
                Ok((succeeded, previous, _)) => {
                    Outcome::Swapped { succeeded, previous: previous.as_ref().map(from_bytes) }
                }
                Err(error) => of_failure(&error),
            };
        }
    };
    match outcome.failed.first() {
        None => Outcome::Done,
        Some((_, error)) => of_failure(error),
    }
}

/// Only an unknown outcome leaves open what a write did.
fn of_failure(error: &ServiceError) -> Outcome {
    match error.code.class() {
        Class::Unknown => Outcome::Unknown,
        Class::Retry | Class::Conflict | Class::BadInput => Outcome::Failed,
        Class::Fatal => panic!("a healthy cluster answers {error}"),
    }
}
