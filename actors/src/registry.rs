//! Every actor of a node: who it is, how it is, what it did. Read by the actors page and the
//! metrics; written by the cells with a few relaxed atomics a message.
use crate::cell::recorder::Recorder;
use dashmap::DashMap;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use troupe_types::{Generation, UnixMillis};

/// Number of an actor in its node's registry. 0 = outside of all actors (a gateway, a test).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActorId(pub u64);

impl std::fmt::Display for ActorId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// State of an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorState {
    /// Its factory runs.
    Starting,
    /// It takes messages.
    Running,
    /// It crashed and waits to be started again.
    BackingOff,
    /// It crashed too often and stays out of service.
    Quarantined,
    /// It ended as it should.
    Stopped,
}

impl ActorState {
    const ALL: [Self; 5] =
        [Self::Starting, Self::Running, Self::BackingOff, Self::Quarantined, Self::Stopped];

    /// Name in replies and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::BackingOff => "backing_off",
            Self::Quarantined => "quarantined",
            Self::Stopped => "stopped",
        }
    }
}

/// What the registry knows of one actor. Lives across restarts.
pub struct ActorEntry {
    /// Number.
    pub id: ActorId,
    /// Kind, such as `region_peer`.
    pub kind: &'static str,
    /// Name, such as `store-1/region-7`.
    pub name: String,
    /// Who supervises it.
    pub parent: ActorId,
    state: AtomicU8,
    generation: AtomicU64,
    restarts: AtomicU64,
    last_message: RwLock<&'static str>,
    /// Messages and bytes that wait.
    pub depth: AtomicUsize,
    /// See `depth`.
    pub bytes: AtomicUsize,
    /// Messages handled.
    pub handled: AtomicU64,
    /// Droppable messages dropped because the mailbox was full or the actor down.
    pub dropped: AtomicU64,
    /// Requests refused because the mailbox was full.
    pub refused: AtomicU64,
    /// Longest wait of a message in the mailbox, in microseconds, since last asked.
    pub max_wait_us: AtomicU64,
    /// Time spent in handlers, in microseconds.
    pub busy_us: AtomicU64,
    /// The last inputs.
    pub recorder: Recorder,
}

impl ActorEntry {
    /// State now.
    #[must_use]
    pub fn state(&self) -> ActorState {
        ActorState::ALL[usize::from(self.state.load(Ordering::Relaxed))]
    }

    /// Sets the state.
    pub fn set_state(&self, state: ActorState) {
        let index = ActorState::ALL.iter().position(|other| *other == state).unwrap_or_default();
        self.state.store(u8::try_from(index).unwrap_or_default(), Ordering::Relaxed);
    }

    /// Life now.
    #[must_use]
    pub fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::Relaxed))
    }

    /// Begins the next life and answers its number.
    pub fn next_generation(&self) -> Generation {
        self.depth.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
        Generation(self.generation.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Times that it was started again after a crash.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// Kind of the last message handled.
    #[must_use]
    pub fn last_message(&self) -> &'static str {
        self.last_message.read().map_or("", |name| *name)
    }

    pub(crate) fn set_last_message(&self, name: &'static str) {
        if let Ok(mut last) = self.last_message.write() {
            *last = name;
        }
    }
}

/// One crash of an actor.
#[derive(Clone, Debug)]
pub struct RestartRecord {
    /// When.
    pub at: UnixMillis,
    /// Who.
    pub actor: ActorId,
    /// Kind of actor.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Life that ended.
    pub generation: Generation,
    /// What the supervisor did: `restart`, `quarantine` or `escalate`.
    pub verdict: &'static str,
    /// Message of the panic.
    pub panic: String,
}

/// Crashes kept for people.
const RESTARTS_KEPT: usize = 256;

/// All actors of a node.
#[derive(Default)]
pub struct Registry {
    next: AtomicU64,
    actors: DashMap<ActorId, Arc<ActorEntry>>,
    restarts: Mutex<VecDeque<RestartRecord>>,
}

impl Registry {
    /// Without actors.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an actor and answers its entry.
    pub fn register(
        &self,
        kind: &'static str,
        name: String,
        parent: ActorId,
        recorder_inputs: usize,
    ) -> Arc<ActorEntry> {
        let id = ActorId(self.next.fetch_add(1, Ordering::Relaxed) + 1);
        let entry = Arc::new(ActorEntry {
            id,
            kind,
            name,
            parent,
            state: AtomicU8::new(0),
            generation: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            last_message: RwLock::new(""),
            depth: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            handled: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            max_wait_us: AtomicU64::new(0),
            busy_us: AtomicU64::new(0),
            recorder: Recorder::new(recorder_inputs),
        });
        self.actors.insert(id, entry.clone());
        entry
    }

    /// Forgets an actor that is gone for good.
    pub fn remove(&self, id: ActorId) {
        self.actors.remove(&id);
    }

    /// Forgets the quarantined actor called `name`: it starts again under a new number.
    pub fn forget_quarantined(&self, name: &str) {
        self.actors
            .retain(|_, entry| entry.name != name || entry.state() != ActorState::Quarantined);
    }

    /// The entry of `id`.
    #[must_use]
    pub fn get(&self, id: ActorId) -> Option<Arc<ActorEntry>> {
        self.actors.get(&id).map(|entry| entry.value().clone())
    }

    /// All entries, by number.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<ActorEntry>> {
        let mut all: Vec<_> = self.actors.iter().map(|entry| entry.value().clone()).collect();
        all.sort_by_key(|entry| entry.id);
        all
    }

    /// Notes a crash.
    pub fn record_restart(&self, record: RestartRecord) {
        if record.verdict == "restart"
            && let Some(entry) = self.get(record.actor)
        {
            entry.restarts.fetch_add(1, Ordering::Relaxed);
        }
        if let Ok(mut restarts) = self.restarts.lock() {
            if restarts.len() == RESTARTS_KEPT {
                restarts.pop_front();
            }
            restarts.push_back(record);
        }
    }

    /// Recent crashes, newest last.
    #[must_use]
    pub fn restarts(&self) -> Vec<RestartRecord> {
        self.restarts.lock().map(|all| all.iter().cloned().collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
