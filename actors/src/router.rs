//! Where the replicas of a Store are: their present mailboxes, and what others may read of them
//! without asking.
//!
//! A read at the leader needs no message: it looks at the *view* of the replica. The order is fixed:
//! delegate and lease, then the snapshot of the data, then the same delegate and the lease again,
//! by a clock read after the snapshot. A leader that slept in between fails the second look.
use crate::cell::Mailbox;
use crate::env::Clock;
use crate::region_peer::RegionPeer;
use crate::region_peer::core::Delegate;
use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use troupe_storage::engine::{KvEngine, KvSnapshot};
use troupe_types::{Generation, Moment, Peer, RegionId};

/// What others may read of one life of a replica.
#[derive(Debug, Default)]
pub struct RegionView {
    delegate: ArcSwapOption<Delegate>,
    lease_until: AtomicU64,
}

impl RegionView {
    /// What the replica last published; `None` before that and after its end.
    #[must_use]
    pub fn delegate(&self) -> Option<Arc<Delegate>> {
        self.delegate.load_full()
    }

    /// Publishes a new state. A delegate that may not serve ends the lease first.
    pub fn publish(&self, delegate: Delegate) {
        if !delegate.may_serve {
            self.set_lease(Moment(0));
        }
        self.delegate.store(Some(Arc::new(delegate)));
    }

    /// Sets the end of the lease.
    pub fn set_lease(&self, until: Moment) {
        self.lease_until.store(until.0, Ordering::SeqCst);
    }

    /// Ends the lease and withdraws the delegate.
    pub fn close(&self) {
        self.set_lease(Moment(0));
        self.delegate.store(None);
    }

    fn has_lease(&self, now: Moment) -> bool {
        now.0 < self.lease_until.load(Ordering::SeqCst)
    }

    /// A snapshot that a linearizable read may use, if the lease covers it; see the module.
    #[must_use]
    pub fn lease_snapshot(
        &self,
        engine: &dyn KvEngine,
        clock: &dyn Clock,
    ) -> Option<Arc<dyn KvSnapshot>> {
        let before = self.delegate()?;
        if !before.may_serve || !(self.has_lease(clock.now()) || planted!(LeaseUnchecked)) {
            return None;
        }
        let snapshot = engine.snapshot();
        let after = self.delegate()?;
        let is_same_leader = after.may_serve && after.term == before.term;
        let has_lease = self.has_lease(clock.now()) || planted!(LeaseUnchecked);
        (is_same_leader && has_lease).then_some(snapshot)
    }

    /// Is the lease valid at `now`?
    #[must_use]
    pub fn leads(&self, now: Moment) -> bool {
        self.has_lease(now) && self.delegate().is_some_and(|delegate| delegate.may_serve)
    }
}

/// One life of a replica.
#[derive(Clone)]
pub struct PeerHandle {
    /// Which replica.
    pub peer: Peer,
    /// Which life.
    pub generation: Generation,
    /// Its mailbox.
    pub mailbox: Mailbox<RegionPeer>,
    /// What others may read of it.
    pub view: Arc<RegionView>,
}

/// All replicas of a Store that take messages.
#[derive(Default)]
pub struct Router {
    peers: DashMap<RegionId, PeerHandle>,
}

impl Router {
    /// The replica of `region`.
    #[must_use]
    pub fn get(&self, region: RegionId) -> Option<PeerHandle> {
        self.peers.get(&region).map(|handle| handle.value().clone())
    }

    /// Makes a life reachable.
    pub fn install(&self, region: RegionId, handle: PeerHandle) {
        self.peers.insert(region, handle);
    }

    /// Makes `region` unreachable and closes its view, if it is still that life.
    pub fn remove(&self, region: RegionId, generation: Generation) {
        if let Some((_, handle)) =
            self.peers.remove_if(&region, |_, handle| handle.generation == generation)
        {
            handle.view.close();
        }
    }

    /// All replicas, by Region.
    #[must_use]
    pub fn list(&self) -> Vec<(RegionId, PeerHandle)> {
        let mut all: Vec<_> = self.peers.iter().map(|e| (*e.key(), e.value().clone())).collect();
        all.sort_by_key(|(region, _)| *region);
        all
    }
}

#[cfg(test)]
mod tests;
