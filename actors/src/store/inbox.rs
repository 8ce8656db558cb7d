//! Hands what the network brings to the replicas of this node's Stores. Runs on the network's threads.
use super::core::{Addressee, addressee};
use super::{SnapshotArrived, StoreHandle, UnroutedRaft};
use crate::node::{RaftInbox, SessionService};
use crate::region_peer::{Expelled, RaftReceived, StoreUnreachable};
use crate::trace;
use crate::transport::OutgoingSnapshot;
use protobuf::Message as _;
use raft::eraftpb;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use troupe_types::raft_message::RaftEnvelope;
use troupe_types::{StoreId, TraceTags};

/// The Stores of this node.
#[derive(Clone, Default)]
pub struct LocalStores(Arc<Inner>);

#[derive(Default)]
struct Inner {
    stores: BTreeMap<StoreId, StoreHandle>,
    /// Messages that did not decode or were for another cluster or replica.
    misdirected: AtomicU64,
    /// Interactive transactions. Whoever serves them holds this in turn.
    sessions: OnceLock<Weak<dyn SessionService>>,
}

/// The Stores of this node, for those that its Stores hold themselves: filled when all are started.
#[derive(Clone, Default)]
pub struct WeakStores(Arc<OnceLock<Weak<Inner>>>);

impl WeakStores {
    /// The Stores, while they run.
    #[must_use]
    pub fn get(&self) -> Option<LocalStores> {
        self.0.get().and_then(Weak::upgrade).map(LocalStores)
    }
}

impl LocalStores {
    /// Of these.
    #[must_use]
    pub fn new(stores: impl IntoIterator<Item = StoreHandle>) -> Self {
        let stores = stores.into_iter().map(|handle| (handle.id, handle)).collect();
        let all = Self(Arc::new(Inner { stores, ..Inner::default() }));
        for store in all.iter() {
            let _ = store.siblings.0.set(Arc::downgrade(&all.0));
        }
        all
    }

    /// From now on `sessions` serves interactive transactions, as long as somebody holds it.
    pub fn serve_sessions(&self, sessions: &Arc<dyn SessionService>) {
        let _ = self.0.sessions.set(Arc::downgrade(sessions));
    }

    /// Who serves interactive transactions, if anybody does.
    #[must_use]
    pub fn sessions(&self) -> Option<Arc<dyn SessionService>> {
        self.0.sessions.get().and_then(Weak::upgrade)
    }

    /// The Store with `id`.
    #[must_use]
    pub fn get(&self, id: StoreId) -> Option<&StoreHandle> {
        self.0.stores.get(&id)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &StoreHandle> {
        self.0.stores.values()
    }

    /// Messages that did not decode or were for another cluster or replica.
    #[must_use]
    pub fn misdirected(&self) -> u64 {
        self.0.misdirected.load(Ordering::Relaxed)
    }

    fn deliver_one(&self, store: &StoreHandle, envelope: RaftEnvelope) {
        let is_ours = envelope.cluster == store.cluster && envelope.to.store == store.id;
        if !is_ours {
            self.0.misdirected.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let Some(handle) = store.router.get(envelope.region) else {
            let _ = store.mailbox.tell(UnroutedRaft { envelope });
            return;
        };
        match addressee(handle.peer.id, &envelope) {
            Addressee::Here => {}
            Addressee::Successor => {
                let _ = handle.mailbox.tell(Expelled { epoch: envelope.epoch });
                return;
            }
            Addressee::Nobody => {
                self.0.misdirected.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        let (from, epoch) = (envelope.from, envelope.epoch);
        if envelope.is_tombstone {
            let _ = handle.mailbox.tell(Expelled { epoch });
            return;
        }
        match parse(&envelope) {
            Some(message) => {
                let _ = handle.mailbox.tell(RaftReceived { from, epoch, message });
            }
            None => {
                self.0.misdirected.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Decodes the Raft message without copying its entries.
fn parse(envelope: &RaftEnvelope) -> Option<eraftpb::Message> {
    let mut message = eraftpb::Message::default();
    let mut stream = protobuf::CodedInputStream::from_carllerche_bytes(&envelope.message);
    message.merge_from(&mut stream).ok()?;
    Some(message)
}

impl RaftInbox for LocalStores {
    fn deliver(&self, to: StoreId, messages: Vec<RaftEnvelope>, tags: TraceTags) {
        let Some(store) = self.0.stores.get(&to) else {
            self.0.misdirected.fetch_add(messages.len() as u64, Ordering::Relaxed);
            return;
        };
        trace::with_tags(tags, || {
            for envelope in messages {
                self.deliver_one(store, envelope);
            }
        });
    }

    fn deliver_snapshot(&self, to: StoreId, snapshot: OutgoingSnapshot) {
        if let Some(store) = self.0.stores.get(&to) {
            // A snapshot that is not taken lies in its folder until the folder is swept.
            let _ = store.mailbox.tell(SnapshotArrived { snapshot });
        }
    }

    fn snapshot_folder(&self, to: StoreId) -> Option<PathBuf> {
        self.0.stores.get(&to).map(|store| store.snapshot_folder.clone())
    }

    fn report_unreachable(&self, to: StoreId) {
        for store in self.0.stores.values() {
            for (_, handle) in store.router.list() {
                let talks_to_it = handle
                    .view
                    .delegate()
                    .is_some_and(|d| d.may_serve && d.region.peer_on(to).is_some());
                if talks_to_it {
                    let _ = handle.mailbox.tell(StoreUnreachable { store: to });
                }
            }
        }
    }
}
