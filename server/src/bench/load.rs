//! Puts a load on servers: threads of the load generator, their clients, and the window that counts.
//!
//! The load generator's clients run on threads of their own, each with a runtime for itself; nothing
//! is shared between them on the way of a request but a few counters.
mod arrivals;
mod client_loop;
mod window;

pub use arrivals::Arrivals;
pub use window::{Phase, Window};

use super::accounts::Accounts;
use super::books::Books;
use super::client::{Channels, Client, ClientError, Protocol};
use super::data::{Keys, Random, Values};
use super::options::CellPlan;
use super::recorder::Recorder;
use super::routes::Routes;
use crate::error::CliError;
use client_loop::ClientLoop;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinSet, LocalSet};

/// How long answers may take after the end of a measurement, before they are given up.
const GRACE: Duration = Duration::from_secs(10);

/// What clients write and read, the same for all measurements of a cluster.
#[derive(Debug)]
pub struct Data {
    /// All keys of values.
    pub keys: Keys,
    /// All accounts; as many.
    pub accounts: Accounts,
    /// What values are made of.
    pub values: Values,
    /// Number of the next write.
    pub next_write: AtomicU64,
    /// Times count from here.
    pub origin: Instant,
}

impl Data {
    /// Nanoseconds since the origin.
    #[must_use]
    pub fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A number for a write that no other one has.
    pub fn write_number(&self) -> u64 {
        self.next_write.fetch_add(1, Ordering::Relaxed)
    }
}

/// Where load goes, and from how much of the load generator.
#[derive(Clone, Debug)]
pub struct Aim {
    /// What to speak.
    pub protocol: Protocol,
    /// `host:port` of each server.
    pub addresses: Vec<String>,
    /// Which of them leads which keys, for clients that go straight there.
    pub routes: Option<Arc<Routes>>,
    /// Threads of the load generator.
    pub threads: usize,
    /// gRPC connections, at most.
    pub grpc_connections: usize,
    /// Where random numbers start from.
    pub seed: u64,
}

/// A load that runs.
#[derive(Debug)]
pub struct Load {
    /// Says what counts.
    pub window: Arc<Window>,
    /// Of an open loop.
    pub arrivals: Option<Arc<Arrivals>>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<(Recorder, Books)>>,
}

/// What each thread gets.
struct Share {
    aim: Aim,
    plan: CellPlan,
    data: Arc<Data>,
    window: Arc<Window>,
    arrivals: Option<Arc<Arrivals>>,
    stopped: watch::Receiver<bool>,
    /// Numbers of its clients.
    numbers: Vec<usize>,
}

impl Load {
    /// Connects all clients, and lets them begin when all are connected.
    ///
    /// # Errors
    /// A server does not listen.
    pub async fn start(aim: &Aim, plan: CellPlan, data: &Arc<Data>) -> Result<Self, CliError> {
        let (stop, stopped) = watch::channel(false);
        let window = Arc::new(Window::default());
        let arrivals = plan.rate.map(|rate| Arc::new(Arrivals::new(rate)));
        let threads = aim.threads.min(plan.clients).max(1);
        let (mut handles, mut connected) = (Vec::new(), Vec::new());
        for thread in 0..threads {
            let share = Share {
                aim: aim.clone(),
                plan,
                data: Arc::clone(data),
                window: Arc::clone(&window),
                arrivals: arrivals.clone(),
                stopped: stopped.clone(),
                numbers: (thread..plan.clients).step_by(threads).collect(),
            };
            let (tell, told) = oneshot::channel();
            let builder = std::thread::Builder::new().name(format!("load-{thread}"));
            let handle = builder.spawn(move || run_thread(share, tell));
            handles.push(handle.map_err(|source| CliError::io("cannot start a thread", source))?);
            connected.push(told);
        }
        let load = Self { window, arrivals, stop, threads: handles };
        for told in connected {
            match told.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(cannot_connect(&error.to_string())),
                Err(_) => return Err(cannot_connect("a thread ended")),
            }
        }
        load.window.set(Phase::WarmUp);
        if let Some(arrivals) = &load.arrivals {
            arrivals.start(data, &load.window)?;
        }
        Ok(load)
    }

    /// Ends it and answers what was measured, and what was written.
    ///
    /// # Errors
    /// A thread panicked.
    pub async fn stop(mut self) -> Result<(Recorder, Books), CliError> {
        self.end();
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().map(JoinHandle::join).collect::<Result<Vec<_>, _>>()
        });
        let panicked = || CliError::Failed("a thread of the load generator panicked".to_owned());
        let parts = joined.await.map_err(|_| panicked())?.map_err(|_| panicked())?;
        let mut parts = parts.into_iter();
        let (mut recorder, mut books) = parts.next().ok_or_else(panicked)?;
        for (more, written) in parts {
            recorder.merge(&more);
            books.merge(written);
        }
        Ok((recorder, books))
    }

    fn end(&self) {
        self.window.set(Phase::Stopped);
        if let Some(arrivals) = &self.arrivals {
            arrivals.close();
        }
        let _ = self.stop.send(true);
    }
}

/// Threads end also if their load was dropped.
impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

fn cannot_connect(why: &str) -> CliError {
    CliError::Failed(format!("clients cannot connect: {why}"))
}

type Connected = oneshot::Sender<Result<(), ClientError>>;

fn run_thread(share: Share, tell: Connected) -> (Recorder, Books) {
    let measured = Rc::new(RefCell::new(Measured {
        recorder: Recorder::default(),
        books: Books::new(share.data.keys.count()),
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => LocalSet::new().block_on(&runtime, run(share, tell, Rc::clone(&measured))),
        Err(source) => drop(tell.send(Err(ClientError::Connection(source)))),
    }
    let measured = measured.take();
    (measured.recorder, measured.books)
}

/// What the clients of a thread measured.
#[derive(Default)]
struct Measured {
    recorder: Recorder,
    books: Books,
}

async fn run(share: Share, tell: Connected, measured: Rc<RefCell<Measured>>) {
    let clients = match connect(&share).await {
        Ok(clients) => clients,
        Err(error) => return drop(tell.send(Err(error))),
    };
    if tell.send(Ok(())).is_err() {
        return;
    }
    let mut tasks = JoinSet::new();
    for (&number, client) in share.numbers.iter().zip(clients) {
        let seed = share.aim.seed ^ ((number as u64 + 1) << 32);
        let client = ClientLoop {
            client,
            plan: share.plan,
            data: Arc::clone(&share.data),
            window: Arc::clone(&share.window),
            measured: Rc::clone(&measured),
            random: Random::new(seed),
        };
        match share.arrivals.clone() {
            None => tasks.spawn_local(client.closed()),
            Some(arrivals) => tasks.spawn_local(client.open(arrivals)),
        };
    }
    let mut stopped = share.stopped.clone();
    let given_up = async {
        let _ = stopped.wait_for(|stop| *stop).await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = async { while tasks.join_next().await.is_some() {} } => {}
        () = given_up => tasks.abort_all(),
    }
}

async fn connect(share: &Share) -> Result<Vec<Client>, ClientError> {
    let Aim { protocol, addresses, routes, grpc_connections, threads, .. } = &share.aim;
    let count = grpc_connections.div_ceil(*threads).min(share.numbers.len());
    let channels = Channels::open(*protocol, addresses, count).await?;
    let mut clients = Vec::new();
    for &number in &share.numbers {
        clients.push(channels.client(number, (addresses, routes)).await?);
    }
    Ok(clients)
}

#[cfg(test)]
mod tests;
