//! Clients that run transactions over many Regions, and what they saw.
//!
//! | file | subject |
//! |---|---|
//! | [`mod@self`] | how a client calls through a node, and loses its patience or its interest |
//! | `draw` | what a client draws |
//! | `reads` | snapshots: of the present and the past, at leaders and followers, by keys and by scans |
//! | `once` | requests that are sent again under an idempotency key |
//! | `lists` | lists that are read and appended to |
//! | `session` | the same by interactive transactions |
//! | `bank` | transfers between accounts |
//! | `fork` | keys that are written once |
//! | `slow` | coordinators that take their time, come late, or go away |
//! | `tell` | commands straight to the leader of a key |
//! | `end` | the last look: everything is served, no lock is left, all was as promised |
mod bank;
mod draw;
mod end;
mod fork;
mod lists;
mod once;
mod reads;
mod session;
mod slow;
mod tell;

use super::checkers::txn::book::{Book, Counts};
use super::checkers::txn::stamps::Stamped;
use super::net::millis;
use super::world::World;
use crate::workload::txn::Fate;
use draw::Draw;
use futures::FutureExt;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;
use troupe_actors::env::Rngs;
use troupe_actors::kv_service::{CallOptions, KvService, ServiceError};
use troupe_actors::supervision::life::panic_message;
use troupe_types::key::txn_key;
use troupe_types::request::Consistency;
use troupe_types::txn::session::{TxnMode, TxnSettings};
use troupe_types::{Class, Key, NodeId, Timestamp};

/// First bytes of keys: neighbours lie in different Regions.
const FIRST_BYTES: [u8; 4] = [0x30, 0x41, 0x7a, 0xc3];

/// Key number `number` of a kind of data, in the Region that the number decides.
fn key(kind: &str, number: u32) -> Key {
    let first = FIRST_BYTES[number as usize % FIRST_BYTES.len()];
    txn_key(0, &[&[first][..], format!("-{kind}-{number:03}").as_bytes()].concat())
}

/// How many clients of each kind a seed has, and how many lists and accounts.
#[derive(Clone, Copy, Debug)]
struct Mix {
    lists: u32,
    accounts: u32,
    list_clients: u32,
    bank_clients: u32,
    fork_clients: u32,
    slow_clients: u32,
}

impl Mix {
    fn draw(draw: &mut Draw) -> Self {
        Self {
            lists: draw.one_of(&[3, 5, 8]),
            accounts: draw.one_of(&[4, 6]),
            list_clients: draw.one_of(&[2, 3]),
            bank_clients: draw.one_of(&[1, 2]),
            fork_clients: draw.one_of(&[1, 2]),
            slow_clients: draw.one_of(&[1, 1, 2]),
        }
    }
}

/// What the clients of a world share.
pub struct TxnClients {
    world: Rc<World>,
    book: RefCell<Book>,
    mix: Mix,
    /// All transactions are of this mode.
    mode: Option<TxnMode>,
    /// Keys written once so far, by the clients for long forks.
    forked: Cell<u32>,
    is_over: Cell<bool>,
    running: Cell<u32>,
    /// Panics of clients: what they did not expect.
    broken: RefCell<Vec<String>>,
}

/// What came of a call through a node.
enum Heard<T> {
    Answer(T),
    Refused(ServiceError),
    /// The node crashed, or the client did not wait.
    Lost,
}

/// Only an unknown outcome leaves open what a transaction did.
fn fate_of(error: &ServiceError) -> Fate {
    match error.code.class() {
        Class::Unknown => Fate::Unknown,
        Class::Retry | Class::Conflict | Class::BadInput => Fate::Failed,
        Class::Fatal => panic!("a healthy cluster answers {error}"),
    }
}

impl<T> Heard<T> {
    fn answer(self) -> Option<T> {
        match self {
            Self::Answer(answer) => Some(answer),
            // Says whether the refusal is one that a healthy cluster gives.
            Self::Refused(error) => {
                let _ = fate_of(&error);
                None
            }
            Self::Lost => None,
        }
    }
}

impl TxnClients {
    /// Opens the accounts, then starts the clients. All transactions are of `mode`, if there is one.
    pub async fn start(world: &Rc<World>, mode: Option<TxnMode>) -> Rc<Self> {
        let mut draw = Draw::new(world.rngs.rng("mix of transactions"));
        let clients = Rc::new(Self {
            world: world.clone(),
            book: RefCell::default(),
            mix: Mix::draw(&mut draw),
            mode,
            forked: Cell::new(0),
            is_over: Cell::new(false),
            running: Cell::new(0),
            broken: RefCell::default(),
        });
        clients.open_accounts(&mut draw).await;
        let mix = clients.mix;
        let mut number = 0;
        let mut start = |count: u32, kind: Kind| {
            for _ in 0..count {
                number += 1;
                let draw = Draw::new(world.rngs.rng(&format!("transactions {number}")));
                clients.spawn(clients.clone().run(number, kind, draw));
            }
        };
        start(mix.list_clients, Kind::Lists);
        start(mix.bank_clients, Kind::Bank);
        start(mix.fork_clients, Kind::Fork);
        start(mix.slow_clients, Kind::Slow);
        clients
    }

    /// How many transactions ended how.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.book.borrow().counts()
    }

    async fn run(self: Rc<Self>, number: u32, kind: Kind, mut draw: Draw) {
        let mut values = Values { client: number, written: 0 };
        while !self.is_over.get() {
            tokio::time::sleep(draw.ms(20, 500)).await;
            match kind {
                Kind::Lists => self.list_step(&mut draw, &mut values).await,
                Kind::Bank => self.bank_step(number, &mut draw).await,
                Kind::Fork => self.fork_step(number, &mut draw).await,
                Kind::Slow => self.slow_step(&mut draw, &mut values).await,
            }
        }
    }

    /// Runs `work` beside the others; what is wrong with it is said in the end.
    fn spawn(self: &Rc<Self>, work: impl Future<Output = ()> + 'static) {
        let clients = self.clone();
        clients.running.set(clients.running.get() + 1);
        actix_rt::spawn(async move {
            if let Err(panic) = AssertUnwindSafe(work).catch_unwind().await {
                clients.broken.borrow_mut().push(panic_message(panic.as_ref()));
            }
            clients.running.set(clients.running.get() - 1);
        });
    }

    /// How a transaction runs.
    fn settings(&self, draw: &mut Draw) -> TxnSettings {
        let drawn = draw.settings();
        TxnSettings { mode: self.mode.unwrap_or(drawn.mode), ..drawn }
    }

    /// Any node.
    fn node(&self, draw: &mut Draw) -> NodeId {
        draw.one_of(&self.world.ids())
    }

    /// Calls through `node`, which has some time for the answer. Now and then the client goes away
    /// before that.
    async fn through<T, F: Future<Output = Result<T, ServiceError>>>(
        &self,
        node: NodeId,
        draw: &mut Draw,
        call: impl FnOnce(KvService, CallOptions) -> F,
    ) -> Heard<T> {
        let patience = draw.ms(300, 3_000);
        let leaves = match draw.percent(4) {
            true => draw.ms(1, 200),
            // Of a node that is held, or whose clock is slow.
            false => patience * 2 + millis(500),
        };
        let consistency = match draw.below(10) {
            0..6 => Consistency::Leader,
            6 => Consistency::Linearizable,
            _ => Consistency::Follower,
        };
        self.call(node, (patience, leaves), consistency, call).await
    }

    async fn call<T, F: Future<Output = Result<T, ServiceError>>>(
        &self,
        node: NodeId,
        (patience, leaves): (Duration, Duration),
        consistency: Consistency,
        call: impl FnOnce(KvService, CallOptions) -> F,
    ) -> Heard<T> {
        let Some((service, gate)) = self.world.door(node) else { return Heard::Lost };
        let options = CallOptions { consistency, ..self.world.options(&service, patience) };
        let crashed = service.env().power.until_cut();
        tokio::select! {
            biased;
            () = crashed => Heard::Lost,
            result = gate.gated(call(service, options)) => match result {
                Ok(answer) => Heard::Answer(answer),
                Err(error) => Heard::Refused(error),
            },
            () = tokio::time::sleep(leaves) => Heard::Lost,
        }
    }

    fn note(&self, node: NodeId, what: fmt::Arguments<'_>) {
        self.world.log.note(node, what);
    }

    /// Notes timestamps of something that was asked for at `invoked` and has just ended.
    fn stamp(&self, who: &str, invoked: u64, times: (Option<Timestamp>, Option<Timestamp>)) {
        let mut book = self.book.borrow_mut();
        let returned = book.tick();
        let (read_ts, commit_ts) = times;
        book.stamp(Stamped { who: who.to_owned(), invoked, returned, read_ts, commit_ts });
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Lists,
    Bank,
    Fork,
    Slow,
}

/// Numbers that no other client appends.
struct Values {
    client: u32,
    written: u64,
}

impl Values {
    fn next(&mut self) -> u64 {
        self.written += 1;
        u64::from(self.client) * 1_000_000 + self.written
    }
}
