//! Clients that work on the cluster all the time, spread over its nodes, and what they saw.
//!
//! The history is cut into *windows*, each with keys of its own, so that the operations of a key stay
//! few enough to be checked. When a window is over, nobody writes its keys any more.
use super::api::{Api, Call, Freshness};
use crate::workload::{Generator, History, Op, Outcome, Record};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use troupe_actors::env::{Rng, Rngs};

/// Keys of a window that the clients use.
pub const KEYS: u32 = 24;
/// Keys that show whether every Region serves. They lie behind those of the clients.
pub const PROBES: u32 = 8;
/// Clients of a node.
const CLIENTS_PER_NODE: usize = 8;
/// Client number of probes, bursts and last reads.
pub const PROBER: u32 = 1_000;

/// Operations on one set of keys.
pub struct Window {
    /// Which, from 0.
    pub number: u32,
    history: Mutex<History>,
    under_way: AtomicUsize,
}

impl Window {
    fn new(number: u32) -> Arc<Self> {
        Arc::new(Self { number, history: Mutex::default(), under_way: AtomicUsize::new(0) })
    }

    /// All operations so far.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.history.lock().unwrap().records().to_vec()
    }

    /// Operations so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.history.lock().unwrap().records().len()
    }

    /// Was nothing asked yet?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// See [`History::counts`].
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        self.history.lock().unwrap().counts()
    }

    /// Operations that were asked for and have not returned.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::SeqCst)
    }
}

/// The bytes of a key: keys of a window lie evenly in the key space, and so in all Regions.
#[must_use]
pub fn key_bytes(window: u32, key: u32) -> Vec<u8> {
    let (place, count) = if key < KEYS { (key, KEYS) } else { (key - KEYS, PROBES) };
    let first = (2 * place + 1) * 128 / count;
    let mut bytes = vec![u8::try_from(first).unwrap()];
    bytes.extend(format!("window {window} key {key}").bytes());
    bytes
}

/// What the clients share.
pub struct Load {
    /// How they reach the nodes.
    pub api: Api,
    rngs: Box<dyn Rngs>,
    current: Mutex<Arc<Window>>,
    values: Mutex<u64>,
    is_over: AtomicBool,
}

impl Load {
    /// Clients of nodes that listen at `urls`, with choices from `rngs`.
    #[must_use]
    pub fn new(urls: Vec<String>, rngs: Box<dyn Rngs>) -> Arc<Self> {
        Arc::new(Self {
            api: Api::new(urls),
            rngs,
            current: Mutex::new(Window::new(0)),
            values: Mutex::new(900_000_000_000),
            is_over: AtomicBool::new(false),
        })
    }

    /// Starts the clients. They end after [`Load::stop`].
    #[must_use]
    pub fn start(self: &Arc<Self>) -> Vec<JoinHandle<()>> {
        let clients = self.api.nodes.count() * CLIENTS_PER_NODE;
        (0..clients).map(|client| tokio::spawn(self.clone().one(client))).collect()
    }

    /// Lets the clients end after what they do.
    pub fn stop(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    /// The window in which the clients work.
    #[must_use]
    pub fn current(&self) -> Arc<Window> {
        self.current.lock().unwrap().clone()
    }

    /// Begins the next window, and answers the one that is over.
    pub fn next_window(&self) -> Arc<Window> {
        let mut current = self.current.lock().unwrap();
        let next = Window::new(current.number + 1);
        std::mem::replace(&mut *current, next)
    }

    /// A value that nobody has written.
    #[must_use]
    pub fn value(&self) -> u64 {
        let mut values = self.values.lock().unwrap();
        *values += 1;
        *values
    }

    async fn one(self: Arc<Self>, client: usize) {
        let number = u32::try_from(client).unwrap();
        let node = client % self.api.nodes.count();
        let mut rng = self.rngs.rng(&format!("client {client}"));
        let mut generator: Option<(u32, Generator)> = None;
        while !self.is_over.load(Ordering::SeqCst) {
            let window = self.current();
            if generator.as_ref().is_none_or(|(of, _)| *of != window.number) {
                let choices = self.rngs.rng(&format!("client {client} window {}", window.number));
                generator = Some((window.number, Generator::new(number, KEYS, choices)));
            }
            let Some((_, generator)) = &mut generator else { continue };
            let (key, op) = generator.draw();
            let patience = Duration::from_millis(rng.between(1_000, 3_000));
            let freshness = freshness(rng.as_mut());
            let outcome = self.ask(&window, number, node, (key, op), freshness, patience).await;
            generator.learn(key, op, outcome);
            // A node that is down refuses at once: do not fill the history with that.
            let slowest = if outcome == Outcome::Failed { 60 } else { 14 };
            tokio::time::sleep(Duration::from_millis(rng.between(1, slowest))).await;
        }
    }

    /// One operation through `node`, noted in the history of `window`.
    pub async fn ask(
        &self,
        window: &Window,
        client: u32,
        node: usize,
        (key, op): (u32, Op),
        freshness: Freshness,
        patience: Duration,
    ) -> Outcome {
        let call = Call { node, key: key_bytes(window.number, key), op, freshness, patience };
        window.under_way.fetch_add(1, Ordering::SeqCst);
        let id = window.history.lock().unwrap().invoke(client, key, op);
        let outcome = self.api.perform(&call).await;
        window.history.lock().unwrap().complete(id, outcome);
        window.under_way.fetch_sub(1, Ordering::SeqCst);
        outcome
    }
}

fn freshness(rng: &mut dyn Rng) -> Freshness {
    match rng.between(0, 10) {
        0..6 => Freshness::Leader,
        6..8 => Freshness::Majority,
        8.. => Freshness::Follower,
    }
}
