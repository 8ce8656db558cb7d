//! Decisions of a Store. Pure.
use std::time::Duration;
use troupe_storage::region_state::ReplicaState;
use troupe_types::raft_message::RaftEnvelope;
use troupe_types::{Moment, PeerId};

/// Something that a Store does again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chore {
    /// Tick the replicas.
    Tick,
    /// Tell PD how the Store is.
    Heartbeat,
    /// Make applied data durable and cut the logs behind it.
    CutLogs,
    /// Free files of the Raft log.
    PurgeLog,
    /// Ask the engine for background errors.
    CheckHealth,
    /// Collect garbage, if it is time to.
    Collect,
}

impl Chore {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Tick,
        Self::Heartbeat,
        Self::CutLogs,
        Self::PurgeLog,
        Self::CheckHealth,
        Self::Collect,
    ];
}

/// Times between two rounds of each chore.
#[derive(Clone, Copy, Debug)]
pub struct ChoreTimes {
    /// See [`Chore::Tick`].
    pub tick: Duration,
    /// See [`Chore::Heartbeat`].
    pub heartbeat: Duration,
    /// See [`Chore::CutLogs`].
    pub cut_logs: Duration,
    /// See [`Chore::PurgeLog`].
    pub purge_log: Duration,
    /// See [`Chore::CheckHealth`].
    pub check_health: Duration,
    /// See [`Chore::Collect`].
    pub collect: Duration,
}

impl ChoreTimes {
    fn of(&self, chore: Chore) -> Duration {
        match chore {
            Chore::Tick => self.tick,
            Chore::Heartbeat => self.heartbeat,
            Chore::CutLogs => self.cut_logs,
            Chore::PurgeLog => self.purge_log,
            Chore::CheckHealth => self.check_health,
            Chore::Collect => self.collect,
        }
    }
}

/// Which chores are due. A Store that slept does each once, not once for each round missed.
#[derive(Debug)]
pub struct Timetable {
    times: ChoreTimes,
    next: [Moment; Chore::ALL.len()],
}

impl Timetable {
    /// The first heartbeat is due at once, everything else after its time.
    #[must_use]
    pub fn new(times: ChoreTimes, now: Moment) -> Self {
        let mut next = Chore::ALL.map(|chore| now.after(times.of(chore)));
        next[1] = now;
        Self { times, next }
    }

    /// Chores due at `now`; their next rounds are set.
    pub fn due(&mut self, now: Moment) -> Vec<Chore> {
        let mut due = Vec::new();
        for (chore, next) in Chore::ALL.into_iter().zip(&mut self.next) {
            if *next <= now {
                *next = now.after(self.times.of(chore));
                due.push(chore);
            }
        }
        due
    }

    /// Makes `chore` due with the next look.
    pub fn hurry(&mut self, chore: Chore, now: Moment) {
        for (other, next) in Chore::ALL.into_iter().zip(&mut self.next) {
            if other == chore {
                *next = now;
            }
        }
    }

    /// How long until the next one.
    #[must_use]
    pub fn wait(&self, now: Moment) -> Duration {
        let next = self.next.iter().min().copied().unwrap_or(now);
        next.since(now).max(Duration::from_millis(1))
    }
}

/// What to do with a message for a replica that does not run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrouted {
    /// Start an uninitialised replica with this id and hand it the message.
    Create(PeerId),
    /// Drop it.
    Drop,
}

/// Decides on a message for a Region of which no replica runs here; `state` is what the disk knows.
#[must_use]
pub fn unrouted(state: Option<&ReplicaState>, envelope: &RaftEnvelope) -> Unrouted {
    if envelope.is_tombstone {
        return Unrouted::Drop;
    }
    match state {
        None => Unrouted::Create(envelope.to.id),
        // Ids only grow: an older one was destroyed here, or never was here.
        Some(ReplicaState::Tombstone { peer }) if envelope.to.id > *peer => {
            Unrouted::Create(envelope.to.id)
        }
        Some(
            ReplicaState::Tombstone { .. }
            | ReplicaState::Uninitialised { .. }
            | ReplicaState::Normal { .. }
            | ReplicaState::Applying { .. }
            | ReplicaState::Quarantined { .. },
        ) => Unrouted::Drop,
    }
}

/// Is there anything to keep out of service of a replica that can run no more? Not if it crashed while it was
/// destroyed: then the Region may have a new replica here.
#[must_use]
pub fn is_worth_quarantine(state: Option<&ReplicaState>) -> bool {
    match state {
        None | Some(ReplicaState::Tombstone { .. }) => false,
        Some(
            ReplicaState::Uninitialised { .. }
            | ReplicaState::Normal { .. }
            | ReplicaState::Applying { .. }
            | ReplicaState::Quarantined { .. },
        ) => true,
    }
}

/// For whom a message is that came to a replica's Store and Region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressee {
    /// For the replica that runs here.
    Here,
    /// For a newer one. Ids only grow and a Store has one replica of a Region, so the one that runs here
    /// has left the group, and must make place before the newer one can start.
    Successor,
    /// For one that is gone.
    Nobody,
}

/// Decides on a message for a Region whose replica `here` runs on this Store.
#[must_use]
pub fn addressee(here: PeerId, envelope: &RaftEnvelope) -> Addressee {
    if envelope.to.id == here {
        Addressee::Here
    } else if envelope.to.id > here && !envelope.is_tombstone {
        Addressee::Successor
    } else {
        Addressee::Nobody
    }
}
