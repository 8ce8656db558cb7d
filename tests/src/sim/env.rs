//! The environment of a simulated node: numbers from the seed, timers at the pace of its clock, and
//! blocking work as jobs in virtual time.
use super::clock::SimClock;
use super::disk::Disk;
use super::gate::Gate;
use super::holds::Holds;
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use troupe_actors::env::{CellOptions, Env, Faults, Job, Rng, Rngs, Spawner, Worker};
use troupe_actors::real_env::SeededRngs;
use troupe_actors::registry::Registry;
use troupe_actors::trace::TraceRing;

/// Spans kept by a simulated node.
const TRACE_SPANS: usize = 4096;
/// Longest time of an ordinary job, in milliseconds, exclusive.
const JOB_MS: u64 = 4;
/// Time of a slow job in milliseconds.
const SLOW_JOB_MS: (u64, u64) = (20, 120);

/// What the environment of one life is made of.
pub struct LifeParts {
    /// All its random choices follow from it.
    pub seed: u64,
    /// Clocks of its node.
    pub clock: Arc<SimClock>,
    /// Panics to come.
    pub faults: Arc<dyn Faults>,
    /// How slow its disk is.
    pub disk: Arc<Disk>,
    /// One job in so many meets a slow disk; 0 = none does.
    pub slow_job: u64,
    /// Its threads that a test holds up.
    pub holds: Arc<Holds>,
    /// Its life.
    pub gate: Arc<Gate>,
    /// Limits of its cells.
    pub cells: CellOptions,
}

/// The environment of one life of a node.
#[must_use]
pub fn sim_env(parts: LifeParts) -> Env {
    let LifeParts { seed, clock, faults, disk, slow_job, holds, gate, cells } = parts;
    let power = gate.power().clone();
    let rngs: Arc<dyn Rngs> = Arc::new(SeededRngs::new(seed));
    let delays = Mutex::new(rngs.rng("disk"));
    let pace = Arc::new(Pace { delays, slow_job, disk });
    let spawner = Arc::new(SimSpawner { gate, clock: clock.clone(), pace, holds });
    let (registry, traces) = (Arc::new(Registry::new()), Arc::new(TraceRing::new(TRACE_SPANS)));
    Env { clock, rngs, spawner, registry, traces, faults, cells, power }
}

/// How long jobs take.
struct Pace {
    delays: Mutex<Box<dyn Rng>>,
    slow_job: u64,
    disk: Arc<Disk>,
}

impl Pace {
    fn job_time(&self) -> Duration {
        let mut delays = self.delays.lock().unwrap();
        let is_slow = self.slow_job > 0 && delays.between(0, self.slow_job) == 0;
        let (low, high) = if is_slow { SLOW_JOB_MS } else { (0, JOB_MS) };
        let extra = delays.between(0, self.disk.slow_ms.load(Ordering::Relaxed) + 1);
        Duration::from_millis(delays.between(low, high) + extra)
    }
}

/// Starts everything on the simulator's one thread.
struct SimSpawner {
    gate: Arc<Gate>,
    clock: Arc<SimClock>,
    pace: Arc<Pace>,
    holds: Arc<Holds>,
}

impl Spawner for SimSpawner {
    fn worker(&self, name: &str, _threads: usize) -> Arc<dyn Worker> {
        let (gate, pace, holds) = (self.gate.clone(), self.pace.clone(), self.holds.clone());
        Arc::new(SimWorker { name: name.to_owned(), gate, pace, holds, queue: Arc::default() })
    }

    fn spawn_local(&self, future: Pin<Box<dyn Future<Output = ()>>>) {
        actix_rt::spawn(self.gate.gated(future));
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(self.clock.true_time(duration)))
    }
}

/// One disk thread: jobs run in order, each some virtual time after it was queued. A job is not done
/// at all if the power goes before its time; what may happen within one is the disk's to say.
struct SimWorker {
    name: String,
    holds: Arc<Holds>,
    gate: Arc<Gate>,
    pace: Arc<Pace>,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    last_due: Option<Instant>,
}

impl Worker for SimWorker {
    fn run(&self, job: Job) {
        let wanted = Instant::now() + self.pace.job_time();
        let mut queue = self.queue.lock().unwrap();
        let due = queue.last_due.map_or(wanted, |last| last.max(wanted));
        queue.last_due = Some(due);
        queue.jobs.push_back(job);
        drop(queue);
        let (queue, power) = (self.queue.clone(), self.gate.power().clone());
        let (name, holds) = (self.name.clone(), self.holds.clone());
        actix_rt::spawn(self.gate.gated(async move {
            tokio::time::sleep_until(due).await;
            holds.pass(&name).await;
            let job = queue.lock().unwrap().jobs.pop_front();
            if power.is_on() {
                // As on a real thread: a panic of one job does not end the next.
                let _ = job.map(|job| catch_unwind(AssertUnwindSafe(job)));
            }
        }));
    }
}
