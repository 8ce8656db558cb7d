//! Requests of an open loop become due on time, whatever clients and servers do.
use super::{Data, Phase, Window};
use crate::bench::schedule::Schedule;
use crate::error::CliError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Longest sleep of the thread that lets requests become due, so that it sees the end.
const NAP: Duration = Duration::from_millis(20);

/// Requests that are due. A thread of its own adds them, since timers of a runtime are only good to
/// a millisecond.
#[derive(Debug)]
pub struct Arrivals {
    schedule: Schedule,
    /// A permit for each request that is due and was not taken.
    due: Semaphore,
    taken: AtomicU64,
    answered: AtomicU64,
    started: AtomicU64,
}

impl Arrivals {
    /// So many a second, none due yet.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        Self {
            schedule: Schedule::new(rate),
            due: Semaphore::new(0),
            taken: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            started: AtomicU64::new(0),
        }
    }

    /// Lets requests become due until measuring ends.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(self: &Arc<Self>, data: &Arc<Data>, window: &Arc<Window>) -> Result<(), CliError> {
        let (arrivals, data, window) = (Arc::clone(self), Arc::clone(data), Arc::clone(window));
        let started = data.now();
        self.started.store(started, Ordering::Release);
        let builder = std::thread::Builder::new().name("arrivals".to_owned());
        let spawned = builder.spawn(move || {
            let mut released = 0;
            while window.phase() < Phase::Draining {
                let elapsed = data.now() - started;
                let due = arrivals.schedule.due(elapsed);
                arrivals.due.add_permits(usize::try_from(due - released).unwrap_or(0));
                released = due;
                let wait = arrivals.schedule.at(due).saturating_sub(data.now() - started);
                std::thread::sleep(Duration::from_nanos(wait).min(NAP));
            }
        });
        spawned.map(drop).map_err(|source| CliError::io("cannot start a thread", source))
    }

    /// The next request that is due, as the time at which it was meant to start; `None` at the end.
    pub async fn next(&self) -> Option<u64> {
        self.due.acquire().await.ok()?.forget();
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        Some(self.started.load(Ordering::Relaxed) + self.schedule.at(number))
    }

    /// A request that was taken is over.
    pub fn answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that are due and not over.
    #[must_use]
    pub fn open(&self) -> u64 {
        let taken = self.taken.load(Ordering::Relaxed);
        let running = taken.saturating_sub(self.answered.load(Ordering::Relaxed));
        running + self.due.available_permits() as u64
    }

    /// Nothing is taken any more.
    pub fn close(&self) {
        self.due.close();
    }
}
