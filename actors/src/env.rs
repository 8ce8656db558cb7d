//! What every actor gets from outside: clock, randomness, workers for blocking work, the registry,
//! the trace ring and (in tests) planted faults. The simulator brings its own of each.
use crate::registry::Registry;
use crate::trace::TraceRing;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;
use troupe_types::{Moment, RegionId, UnixMillis};

/// The time.
pub trait Clock: Send + Sync + 'static {
    /// Monotonic; never goes back.
    fn now(&self) -> Moment;
    /// Wall clock, for expiry and for people.
    fn unix(&self) -> UnixMillis;
}

/// A source of random numbers, made by [`Rngs`].
pub trait Rng: Send + 'static {
    /// 64 random bits.
    fn next_u64(&mut self) -> u64;

    /// A number in `[low, high)`. `low` must be below `high`.
    fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low < high, "an empty interval has no number");
        low + self.next_u64() % (high - low)
    }
}

/// Makes sources of random numbers.
pub trait Rngs: Send + Sync + 'static {
    /// A source for `purpose`. In the simulator, the seed and the purpose decide all its numbers.
    fn rng(&self, purpose: &str) -> Box<dyn Rng>;
}

/// A piece of blocking work.
pub type Job = Box<dyn FnOnce() + Send>;

/// A job that its Store cannot live without: a panic in it ends the process.
pub fn essential(name: &'static str, work: impl FnOnce() + Send + 'static) -> Job {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    Box::new(move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
            let message = crate::supervision::life::panic_message(panic.as_ref());
            troupe_storage::failure::end_process(&format!("{name} panicked: {message}"));
        }
    })
}

/// Runs blocking work away from the arbiters.
pub trait Worker: Send + Sync + 'static {
    /// Queues `job`. A worker with one thread runs jobs in order.
    fn run(&self, job: Job);
}

/// Starts what runs beside the cells.
pub trait Spawner: Send + Sync + 'static {
    /// A worker with `threads` threads.
    fn worker(&self, name: &str, threads: usize) -> Arc<dyn Worker>;

    /// Runs `future` on the arbiter of the caller.
    fn spawn_local(&self, future: Pin<Box<dyn Future<Output = ()>>>);

    /// Completes after `duration`.
    fn sleep(&self, duration: std::time::Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Where tests plant faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultPoint {
    /// While a Region peer handles a message.
    PeerStep,
    /// While a Region peer works off its batch.
    PeerFlush,
    /// While a Region peer handles its tick.
    PeerTick,
    /// While an entry of a Region is applied.
    Apply,
}

/// Planted faults. In production there are none.
pub trait Faults: Send + Sync + 'static {
    /// Called at each fault point: may panic.
    fn hit(&self, point: FaultPoint, region: RegionId);
}

/// No faults.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFaults;

impl Faults for NoFaults {
    fn hit(&self, _point: FaultPoint, _region: RegionId) {}
}

/// Limits and habits of all cells of a node.
#[derive(Clone, Copy, Debug)]
pub struct CellOptions {
    /// Messages that may wait in one mailbox before requests are refused.
    pub mailbox_messages: usize,
    /// Bytes that may wait in one mailbox before requests are refused.
    pub mailbox_bytes: usize,
    /// Messages handled in a row before the arbiter serves its other actors.
    pub yield_after_messages: u32,
    /// Inputs that the flight recorder of each actor keeps.
    pub recorder_inputs: usize,
}

impl Default for CellOptions {
    fn default() -> Self {
        Self {
            mailbox_messages: 16_384,
            mailbox_bytes: 64 << 20,
            yield_after_messages: 64,
            recorder_inputs: 64,
        }
    }
}

/// The environment of a node. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rngs: Arc<dyn Rngs>,
    /// Workers and tasks.
    pub spawner: Arc<dyn Spawner>,
    /// All actors of the node.
    pub registry: Arc<Registry>,
    /// Recent traces of the node.
    pub traces: Arc<TraceRing>,
    /// Planted faults.
    pub faults: Arc<dyn Faults>,
    /// Limits and habits of the cells.
    pub cells: CellOptions,
    /// Ends every actor of the node at once, as a crash of its process would.
    pub power: Power,
}

/// The power switch of a node's actors. Cheap to clone.
///
/// Not a `watch` channel: that wakes those who wait in an order of its own chance, and a crash in the
/// simulator must look the same each time.
#[derive(Clone, Debug, Default)]
pub struct Power(Arc<Switch>);

#[derive(Debug, Default)]
struct Switch {
    is_cut: AtomicBool,
    told: Notify,
}

impl Power {
    /// Ends all actors: no further message is handled.
    pub fn cut(&self) {
        self.0.is_cut.store(true, Ordering::SeqCst);
        self.0.told.notify_waiters();
    }

    /// Is it still on?
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.0.is_cut.load(Ordering::SeqCst)
    }

    /// Completes when it is cut.
    pub fn until_cut(&self) -> impl Future<Output = ()> + use<> {
        let switch = self.0.clone();
        async move {
            // Listens before it looks: a cut in between is heard.
            let told = switch.told.notified();
            if !switch.is_cut.load(Ordering::SeqCst) {
                told.await;
            }
        }
    }
}

impl Env {
    /// The monotonic time.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.clock.now()
    }
}
