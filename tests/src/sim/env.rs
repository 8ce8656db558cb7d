//! The environment of a simulated node: numbers from the seed, blocking work as jobs in virtual time.
use super::clock::SimClock;
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use troupe_actors::env::{CellOptions, Env, Faults, Job, Power, Rng, Rngs, Spawner, Worker};
use troupe_actors::real_env::SeededRngs;
use troupe_actors::registry::Registry;
use troupe_actors::trace::TraceRing;

/// Spans kept by a simulated node.
const TRACE_SPANS: usize = 4096;
/// Longest time of an ordinary job, in milliseconds, exclusive.
const JOB_MS: u64 = 4;
/// Time of a slow job in milliseconds.
const SLOW_JOB_MS: (u64, u64) = (20, 120);

/// The environment of one life of a node. All its random choices follow from `seed`. One job in
/// `slow_job` meets a slow disk; 0 = none does.
#[must_use]
pub fn sim_env(seed: u64, clock: Arc<SimClock>, faults: Arc<dyn Faults>, slow_job: u64) -> Env {
    let power = Power::default();
    let rngs: Arc<dyn Rngs> = Arc::new(SeededRngs::new(seed));
    let delays = Arc::new(Mutex::new(rngs.rng("disk")));
    let spawner = Arc::new(SimSpawner { power: power.clone(), delays, slow_job });
    Env {
        clock,
        rngs,
        spawner,
        registry: Arc::new(Registry::new()),
        traces: Arc::new(TraceRing::new(TRACE_SPANS)),
        faults,
        cells: CellOptions { recorder_inputs: 32, ..CellOptions::default() },
        power,
    }
}

/// Starts everything on the simulator's one thread.
struct SimSpawner {
    power: Power,
    delays: Arc<Mutex<Box<dyn Rng>>>,
    slow_job: u64,
}

impl Spawner for SimSpawner {
    fn worker(&self, _name: &str, _threads: usize) -> Arc<dyn Worker> {
        Arc::new(SimWorker {
            power: self.power.clone(),
            delays: self.delays.clone(),
            slow_job: self.slow_job,
            queue: Arc::default(),
        })
    }

    fn spawn_local(&self, future: Pin<Box<dyn Future<Output = ()>>>) {
        actix_rt::spawn(future);
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// One disk thread: jobs run in order, each some virtual time after it was queued. A job is done
/// whole or, if the power goes before its time, not at all.
struct SimWorker {
    power: Power,
    delays: Arc<Mutex<Box<dyn Rng>>>,
    slow_job: u64,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    last_due: Option<Instant>,
}

impl SimWorker {
    fn job_time(&self) -> Duration {
        let mut delays = self.delays.lock().unwrap();
        let is_slow = self.slow_job > 0 && delays.between(0, self.slow_job) == 0;
        let (low, high) = if is_slow { SLOW_JOB_MS } else { (0, JOB_MS) };
        Duration::from_millis(delays.between(low, high))
    }
}

impl Worker for SimWorker {
    fn run(&self, job: Job) {
        let wanted = Instant::now() + self.job_time();
        let mut queue = self.queue.lock().unwrap();
        let due = queue.last_due.map_or(wanted, |last| last.max(wanted));
        queue.last_due = Some(due);
        queue.jobs.push_back(job);
        drop(queue);
        let (queue, power) = (self.queue.clone(), self.power.clone());
        actix_rt::spawn(async move {
            tokio::time::sleep_until(due).await;
            let job = queue.lock().unwrap().jobs.pop_front();
            if power.is_on() {
                // As on a real thread: a panic of one job does not end the next.
                let _ = job.map(|job| catch_unwind(AssertUnwindSafe(job)));
            }
        });
    }
}
