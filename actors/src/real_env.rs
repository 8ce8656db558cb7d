//! The environment of a real node: system clocks, seeded generators, OS threads.
use crate::env::{CellOptions, Clock, Env, Job, NoFaults, Power, Rng, Rngs, Spawner, Worker};
use crate::registry::Registry;
use crate::trace::TraceRing;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use troupe_types::{Moment, UnixMillis};

/// The clocks of the operating system.
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Starts the monotonic clock at a moment well above 0.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock that all others ask")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

/// Distance of the first moment from 0, so that "some seconds ago" is never below it.
const OFFSET: Duration = Duration::from_secs(3600);

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that all others ask")]
    fn now(&self) -> Moment {
        Moment(0).after(OFFSET).after(Instant::now().duration_since(self.start))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock that all others ask")]
    fn unix(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// ChaCha8 generators; one seed a process, one stream a purpose.
pub struct SeededRngs {
    seed: u64,
}

impl SeededRngs {
    /// All numbers follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// A seed that the operating system made up.
    #[must_use]
    pub fn from_system() -> Self {
        use std::hash::{BuildHasher, Hasher};
        Self::new(std::collections::hash_map::RandomState::new().build_hasher().finish())
    }
}

struct ChaCha(ChaCha8Rng);

impl Rng for ChaCha {
    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

impl Rngs for SeededRngs {
    fn rng(&self, purpose: &str) -> Box<dyn Rng> {
        let stream = u64::from(crc32c::crc32c(purpose.as_bytes()));
        Box::new(ChaCha(ChaCha8Rng::seed_from_u64(self.seed ^ (stream << 32) ^ stream)))
    }
}

/// OS threads and the tokio runtime of the arbiters.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadSpawner;

struct Threads {
    jobs: Sender<Job>,
}

impl Worker for Threads {
    fn run(&self, job: Job) {
        // The threads live as long as the sender; they can only be gone while the process ends.
        let _ = self.jobs.send(job);
    }
}

impl Spawner for ThreadSpawner {
    fn worker(&self, name: &str, threads: usize) -> Arc<dyn Worker> {
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(std::sync::Mutex::new(queue));
        for i in 0..threads.max(1) {
            let queue = queue.clone();
            let built =
                std::thread::Builder::new().name(format!("{name}-{i}")).spawn(move || work(&queue));
            built.expect("invariant: the system starts a thread");
        }
        Arc::new(Threads { jobs })
    }

    fn spawn_local(&self, future: Pin<Box<dyn Future<Output = ()>>>) {
        actix_rt::spawn(future);
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

fn work(queue: &std::sync::Mutex<Receiver<Job>>) {
    loop {
        let next = queue.lock().map(|jobs| jobs.recv());
        match next {
            Ok(Ok(job)) => {
                // A panic of one job must not end the thread: its reply channel tells the caller.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            }
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

/// The environment of a real node.
#[must_use]
pub fn real_env(cells: CellOptions, trace_spans: usize) -> Env {
    Env {
        clock: Arc::new(SystemClock::new()),
        rngs: Arc::new(SeededRngs::from_system()),
        spawner: Arc::new(ThreadSpawner),
        registry: Arc::new(Registry::new()),
        traces: Arc::new(TraceRing::new(trace_spans)),
        faults: Arc::new(NoFaults),
        cells,
        power: Power::default(),
    }
}
