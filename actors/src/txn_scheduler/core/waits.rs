//! Commands that wait for others' locks: by key, the oldest transaction first.
use super::{CommandId, Task};
use std::collections::{BTreeMap, BTreeSet};
use troupe_types::txn::LockInfo;
use troupe_types::txn::deadlock::WaitEdge;
use troupe_types::{Key, Moment, RegionId, Timestamp};

/// One that waits.
#[derive(Debug)]
pub struct Waiting<W> {
    /// The command; it runs again when it is its turn.
    pub task: Task<W>,
    /// Its transaction.
    pub start_ts: Timestamp,
    /// The lock that it waits for, as it was when the wait began.
    pub lock: Box<LockInfo>,
    /// The present holder of the lock.
    pub holder: Timestamp,
    /// Since when.
    pub since: Moment,
    /// Until when at most.
    pub until: Moment,
}

impl<W> Waiting<W> {
    /// Who waits for whom.
    #[must_use]
    pub fn edge(&self) -> WaitEdge {
        WaitEdge { waiter: self.start_ts, holder: self.holder, key: self.lock.key.clone() }
    }
}

/// See the module.
#[derive(Debug)]
pub struct WaitQueues<W> {
    all: BTreeMap<CommandId, Waiting<W>>,
    by_key: BTreeMap<Key, BTreeSet<(Timestamp, CommandId)>>,
    ends: BTreeSet<(Moment, CommandId)>,
}

impl<W> Default for WaitQueues<W> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), by_key: BTreeMap::new(), ends: BTreeSet::new() }
    }
}

impl<W> WaitQueues<W> {
    /// Does nobody wait?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// `id` waits from now on.
    pub fn add(&mut self, id: CommandId, waiting: Waiting<W>) {
        let place = (waiting.start_ts, id);
        self.by_key.entry(waiting.lock.key.clone()).or_default().insert(place);
        self.ends.insert((waiting.until, id));
        let before = self.all.insert(id, waiting);
        assert!(before.is_none(), "a command waits once at a time");
    }

    /// `id` waits no more.
    pub fn remove(&mut self, id: CommandId) -> Option<Waiting<W>> {
        let waiting = self.all.remove(&id)?;
        self.ends.remove(&(waiting.until, id));
        if let Some(queue) = self.by_key.get_mut(&waiting.lock.key) {
            queue.remove(&(waiting.start_ts, id));
            if queue.is_empty() {
                self.by_key.remove(&waiting.lock.key);
            }
        }
        Some(waiting)
    }

    /// The wait of `id`.
    #[must_use]
    pub fn get(&self, id: CommandId) -> Option<&Waiting<W>> {
        self.all.get(&id)
    }

    /// Whose turn it is when `key` is released.
    #[must_use]
    pub fn oldest(&self, key: &Key) -> Option<CommandId> {
        self.by_key.get(key)?.first().map(|(_, id)| *id)
    }

    /// `holder` has locked `key`: those who wait there wait for it. Answers the edges that changed,
    /// as they were and as they are.
    pub fn hold(&mut self, key: &Key, holder: Timestamp) -> Vec<(CommandId, WaitEdge, WaitEdge)> {
        let queue = self.by_key.get(key).cloned().unwrap_or_default();
        let mut changed = Vec::new();
        for (_, id) in queue {
            let Some(waiting) = self.all.get_mut(&id) else { continue };
            let is_other = waiting.holder != holder && waiting.start_ts != holder;
            if is_other {
                let before = waiting.edge();
                waiting.holder = holder;
                changed.push((id, before, waiting.edge()));
            }
        }
        changed
    }

    /// The first whose time is over at `now`.
    #[must_use]
    pub fn overdue(&self, now: Moment) -> Option<CommandId> {
        self.ends.first().filter(|(until, _)| *until <= now).map(|(_, id)| *id)
    }

    /// When the next one's time is over.
    #[must_use]
    pub fn next_end(&self) -> Option<Moment> {
        self.ends.first().map(|(until, _)| *until)
    }

    /// Those who wait in `region`.
    #[must_use]
    pub fn in_region(&self, region: RegionId) -> Vec<CommandId> {
        let there = self.all.iter().filter(|(_, w)| w.task.target.region == region);
        there.map(|(id, _)| *id).collect()
    }

    /// All, in order of arrival.
    pub fn iter(&self) -> impl Iterator<Item = (CommandId, &Waiting<W>)> {
        self.all.iter().map(|(id, waiting)| (*id, waiting))
    }
}
