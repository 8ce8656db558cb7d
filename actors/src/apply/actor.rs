//! Messages of Apply, and the thin actor. Guide: `mod.rs`. Decisions: `core.rs`, `executor.rs`.
use super::core::{ApplyCore, Input, Output};
use super::executor::{Adopted, Done, Executor, Task, Waiter};
use crate::cell::{Acts, Cx, Delivery, Mailbox, Message, On, ReplyTo};
use crate::env::{Worker, essential};
use crate::region_peer::core::CommittedEntry;
use crate::region_peer::{EntriesApplied, SnapshotInstalled};
use crate::router::Router;
use crate::trace;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use troupe_types::raft_message::SnapshotManifest;
use troupe_types::{Generation, PeerId, RegionId};

/// RegionPeer → Apply: apply these, in order. Answered by `EntriesApplied`.
#[derive(Debug)]
pub struct ApplyCommitted {
    /// Which Region.
    pub region: RegionId,
    /// Which life of its peer.
    pub generation: Generation,
    /// Entries and who waits for them.
    pub entries: Vec<CommittedEntry<Waiter>>,
}

impl Message for ApplyCommitted {
    const NAME: &'static str = "ApplyCommitted";
    const DELIVERY: Delivery = Delivery::Must;

    fn bytes(&self) -> usize {
        self.entries.iter().map(|one| one.entry.data.len() + 64).sum()
    }

    fn detail(&self) -> [u64; 2] {
        [self.region.get(), self.entries.last().map_or(0, |last| last.entry.index)]
    }
}

/// RegionPeer → Apply: replace the Region's data. Answered by `SnapshotInstalled`.
#[derive(Debug)]
pub struct InstallSnapshot {
    /// Which life of the peer.
    pub generation: Generation,
    /// What.
    pub manifest: SnapshotManifest,
    /// Where its files lie.
    pub folder: PathBuf,
}

impl Message for InstallSnapshot {
    const NAME: &'static str = "InstallSnapshot";
    const DELIVERY: Delivery = Delivery::Must;
}

/// RegionPeer → Apply: the replica left its group; remove its data.
#[derive(Debug)]
pub struct DestroyData {
    /// Which Region.
    pub region: RegionId,
    /// Which replica.
    pub peer: PeerId,
    /// Told when it is durable.
    pub reply: ReplyTo<()>,
}

impl Message for DestroyData {
    const NAME: &'static str = "DestroyData";
    const DELIVERY: Delivery = Delivery::Must;
}

/// A RegionPeer that starts → Apply: go on from this state.
#[derive(Debug)]
pub struct AdoptRegion(pub Adopted);

impl Message for AdoptRegion {
    const NAME: &'static str = "AdoptRegion";
    const DELIVERY: Delivery = Delivery::Must;
}

/// Supervisor → Apply: answer when nothing of the Region is queued or under way.
#[derive(Debug)]
pub struct FenceApply {
    /// Which Region.
    pub region: RegionId,
    /// Who waits.
    pub reply: ReplyTo<()>,
}

impl Message for FenceApply {
    const NAME: &'static str = "FenceApply";
    const DELIVERY: Delivery = Delivery::Must;
}

/// Apply thread → Apply: the round is over.
struct RoundDone(Vec<Done>);

impl Message for RoundDone {
    const NAME: &'static str = "RoundDone";
    const DELIVERY: Delivery = Delivery::Must;
}

/// See `mod.rs`.
pub struct Apply {
    core: ApplyCore<Task, ReplyTo<()>>,
    executor: Arc<Mutex<Executor>>,
    thread: Arc<dyn Worker>,
    router: Arc<Router>,
    me: Mailbox<Self>,
}

impl Apply {
    /// Applies on `thread`, which has one thread.
    #[must_use]
    pub fn new(
        me: &Mailbox<Self>,
        executor: Executor,
        thread: Arc<dyn Worker>,
        router: Arc<Router>,
    ) -> Self {
        let executor = Arc::new(Mutex::new(executor));
        Self { core: ApplyCore::default(), executor, thread, router, me: me.clone() }
    }

    fn step(&mut self, input: Input<Task, ReplyTo<()>>) {
        let mut out = Vec::new();
        self.core.step(input, &mut out);
        for output in out {
            match output {
                Output::Run(tasks) => self.submit(tasks),
                Output::Fenced(reply) => reply.send(()),
            }
        }
    }

    fn submit(&self, tasks: Vec<Task>) {
        let (executor, me) = (self.executor.clone(), self.me.clone());
        let current = trace::current();
        self.thread.run(essential("the apply thread", move || {
            let done = match executor.lock() {
                Ok(mut executor) => executor.run(tasks),
                Err(_) => troupe_storage::failure::end_process(
                    "a panic left the apply executor half done",
                ),
            };
            let told = trace::with(current, || me.tell(RoundDone(done)));
            assert!(told.is_ok(), "Apply outlives its thread's work");
        }));
    }

    fn tell(&self, done: Done) {
        match done {
            Done::Applied(region, generation, outcome) => {
                if let Some(peer) = self.router.get(region) {
                    let _ = peer.mailbox.tell(EntriesApplied { generation, outcome });
                }
            }
            Done::Installed(region, generation, index, term) => {
                if let Some(peer) = self.router.get(region) {
                    let _ = peer.mailbox.tell(SnapshotInstalled { generation, index, term });
                }
            }
        }
    }
}

impl Acts for Apply {
    const KIND: &'static str = "apply";

    fn flush(&mut self, _cx: &mut Cx<'_, Self>) {
        self.step(Input::Flush);
    }
}

impl On<ApplyCommitted> for Apply {
    fn on(&mut self, message: ApplyCommitted, _cx: &mut Cx<'_, Self>) {
        let ApplyCommitted { region, generation, entries } = message;
        self.step(Input::Task(region, Task::Entries { region, generation, entries }));
    }
}

impl On<InstallSnapshot> for Apply {
    fn on(&mut self, message: InstallSnapshot, _cx: &mut Cx<'_, Self>) {
        let InstallSnapshot { generation, manifest, folder } = message;
        let region = manifest.region.id;
        self.step(Input::Task(region, Task::Install { generation, manifest, folder }));
    }
}

impl On<DestroyData> for Apply {
    fn on(&mut self, message: DestroyData, _cx: &mut Cx<'_, Self>) {
        let DestroyData { region, peer, reply } = message;
        self.step(Input::Task(region, Task::Destroy { region, peer, reply }));
    }
}

impl On<AdoptRegion> for Apply {
    fn on(&mut self, message: AdoptRegion, _cx: &mut Cx<'_, Self>) {
        self.step(Input::Task(message.0.region.id, Task::Adopt(message.0)));
    }
}

impl On<FenceApply> for Apply {
    fn on(&mut self, message: FenceApply, _cx: &mut Cx<'_, Self>) {
        self.step(Input::Fence(message.region, message.reply));
    }
}

impl On<RoundDone> for Apply {
    fn on(&mut self, message: RoundDone, _cx: &mut Cx<'_, Self>) {
        self.step(Input::Done);
        for done in message.0 {
            self.tell(done);
        }
    }
}
