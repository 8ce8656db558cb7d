//! The thin actor around [`super::core::RegionCore`]. Messages: `messages.rs`. Guide: `mod.rs`.
use super::core::{CommittedEntry, Delegate, Input, Output, RegionCore};
use super::messages::*;
use crate::apply::{ApplyCommitted, DestroyData, InstallSnapshot};
use crate::cell::{Acts, Cx, Mailbox, On, Port, ReplyTo};
use crate::env::FaultPoint;
use crate::log_writer::{AppendEntries, CompactLog};
use crate::router::RegionView;
use crate::snapshot::{GenerateSnapshot, SendSnapshot};
use crate::store::{PeerDestroyed, RegionReported};
use crate::trace;
use crate::transport::{OutgoingSnapshot, Transport};
use crate::txn_scheduler::LeadChanged;
use bytes::Bytes;
use protobuf::Message as _;
use raft::eraftpb;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use troupe_storage::failure::RegionScope;
use troupe_types::key::TXN_PREFIX;
use troupe_types::raft_message::{RaftEnvelope, SnapshotManifest};
use troupe_types::request::{RegionReply, RegionResult};
use troupe_types::{ClusterId, Generation, Peer, RegionEpoch, RegionId, StoreId, Term};

/// Who waits for an answer of the core.
#[derive(Debug)]
pub enum Waiter {
    /// A write, a member change or a status query.
    Result(ReplyTo<RegionResult>),
    /// A reader.
    Permit(ReplyTo<ReadPermit>),
}

impl Waiter {
    fn answer(self, result: RegionResult) {
        match self {
            Self::Result(reply) => reply.send(result),
            Self::Permit(reply) => match result {
                Err(error) => reply.send(Err(error)),
                Ok(reply) => unreachable!("a reader gets a permit, not {reply:?}"),
            },
        }
    }
}

/// What a peer reaches. All of these live as long as its Store.
#[derive(Clone)]
pub struct PeerParts {
    /// Cluster of the Store.
    pub cluster: ClusterId,
    /// Persists.
    pub log_writer: Mailbox<crate::log_writer::LogWriter>,
    /// Applies.
    pub apply: Mailbox<crate::apply::Apply>,
    /// Sends.
    pub transport: Arc<dyn Transport>,
    /// Makes snapshots.
    pub generate_snapshot: Port<GenerateSnapshot>,
    /// Sends snapshots.
    pub send_snapshot: Port<SendSnapshot>,
    /// The Store, for reports.
    pub reported: Port<RegionReported>,
    /// The Store, for the end of a peer.
    pub destroyed: Port<PeerDestroyed>,
    /// The Store's scheduler of transactional commands.
    pub lead_changed: Port<LeadChanged>,
}

/// See `mod.rs`.
pub struct RegionPeer {
    region: RegionId,
    me: Peer,
    epoch: RegionEpoch,
    generation: Generation,
    core: RegionCore<Waiter>,
    view: Arc<RegionView>,
    parts: PeerParts,
    /// The term in which it serves as leader, as the scheduler was told.
    serves: Option<Term>,
    out: Vec<Output<Waiter>>,
}

impl RegionPeer {
    /// One life of a replica.
    #[must_use]
    pub fn new(
        (region, me, epoch): (RegionId, Peer, RegionEpoch),
        generation: Generation,
        core: RegionCore<Waiter>,
        view: Arc<RegionView>,
        parts: PeerParts,
    ) -> Self {
        Self { region, me, epoch, generation, core, view, parts, serves: None, out: Vec::new() }
    }

    /// Late news of a former life is dropped.
    fn is_own(&self, generation: Generation) -> bool {
        generation == self.generation || planted!(FenceForgotten)
    }

    fn step(&mut self, input: Input<Waiter>, point: FaultPoint, cx: &mut Cx<'_, Self>) {
        let _scope = RegionScope::enter(self.region);
        cx.env().faults.hit(point, self.region);
        let mut out = std::mem::take(&mut self.out);
        self.core.step(cx.now(), input, &mut out);
        for output in out.drain(..) {
            self.perform(output, cx);
        }
        self.out = out;
    }

    fn perform(&mut self, output: Output<Waiter>, cx: &mut Cx<'_, Self>) {
        let (region, generation) = (self.region, self.generation);
        match output {
            Output::Persist { number, write } => {
                let message = AppendEntries { region, generation, number, write };
                must(self.parts.log_writer.tell(message), "the log writer");
            }
            Output::Send(messages) => self.send(messages),
            Output::Apply(entries) => {
                let entries = entries.into_iter().map(for_apply).collect();
                let message = ApplyCommitted { region, generation, entries };
                must(self.parts.apply.tell(message), "Apply");
            }
            Output::InstallSnapshot { manifest, folder } => {
                let message = InstallSnapshot { generation, manifest, folder };
                must(self.parts.apply.tell(message), "Apply");
            }
            Output::GenerateSnapshot => self.generate_snapshot(cx),
            Output::SendSnapshot { to, message, manifest, folder } => {
                self.send_snapshot(to, &message, (manifest, folder), cx);
            }
            Output::DiscardSnapshot(folder) => crate::store::discard_snapshot(cx.env(), folder),
            Output::Reply(waiter, result) => waiter.answer(result),
            Output::Permit(waiter, index) => match waiter {
                Waiter::Permit(reply) => reply.send(Ok(index)),
                Waiter::Result(reply) => reply.send(Ok(RegionReply::ReadIndex(index))),
            },
            Output::Describe(waiter, status) => waiter.answer(Ok(RegionReply::Status(status))),
            Output::Publish(delegate) => {
                self.epoch = delegate.region.epoch;
                self.view.publish(delegate.clone());
                self.tell_lead(&delegate);
            }
            Output::Lease(until) => self.view.set_lease(until),
            Output::Compact(through) => {
                must(self.parts.log_writer.tell(CompactLog { region, through }), "the log writer");
            }
            Output::Report(report) => {
                // Who is refused at the same point of each period would never be heard.
                if self.parts.reported.tell(RegionReported { report }).is_err() {
                    self.core.report_again();
                }
            }
            Output::Tombstone(to) => self.send_tombstone(to),
            Output::Destroy => self.destroy(cx),
            Output::Role { role, term } => {
                tracing::debug!(%region, peer = %self.me.id, role, %term, "role");
            }
        }
    }

    /// Only Regions of the transactional space have anything to schedule.
    fn tell_lead(&mut self, delegate: &Delegate) {
        let serves = delegate.may_serve.then_some(delegate.term);
        let is_txn = delegate.region.range.start.first() == Some(&TXN_PREFIX);
        if is_txn && serves != self.serves {
            self.serves = serves;
            let (region, leader) = (self.region, delegate.leader);
            self.parts.lead_changed.cast(LeadChanged { region, term: serves, leader });
        }
    }

    fn envelope(&self, to: Peer, message: &eraftpb::Message) -> RaftEnvelope {
        let bytes = message.write_to_bytes().expect("invariant: a Raft message encodes");
        RaftEnvelope {
            cluster: self.parts.cluster,
            region: self.region,
            from: self.me,
            to,
            epoch: self.epoch,
            message: Bytes::from(bytes),
            is_tombstone: false,
        }
    }

    fn send(&self, messages: Vec<(Peer, eraftpb::Message)>) {
        let mut by_store: BTreeMap<StoreId, Vec<RaftEnvelope>> = BTreeMap::new();
        for (to, message) in messages {
            by_store.entry(to.store).or_default().push(self.envelope(to, &message));
        }
        let tags = trace::current().tags.next_hop();
        for (store, envelopes) in by_store {
            self.parts.transport.send_raft(store, envelopes, tags.clone());
        }
    }

    fn send_tombstone(&self, to: Peer) {
        let mut envelope = self.envelope(to, &eraftpb::Message::default());
        envelope.is_tombstone = true;
        let tags = troupe_types::TraceTags::NONE;
        self.parts.transport.send_raft(to.store, vec![envelope], tags);
    }

    fn generate_snapshot(&mut self, cx: &mut Cx<'_, Self>) {
        let (reply, made) = ReplyTo::channel();
        let message = GenerateSnapshot { region: self.region, reply };
        let asked = self.parts.generate_snapshot.tell(message);
        let region = self.region;
        cx.spawn(
            async move {
                if asked.is_err() {
                    return None;
                }
                match made.await {
                    Ok(Ok(made)) => Some((made.manifest, made.folder)),
                    Ok(Err(why)) => {
                        tracing::warn!(%region, why, "a snapshot could not be made");
                        None
                    }
                    Err(_) => None,
                }
            },
            |peer, made, cx| peer.step(Input::SnapshotGenerated(made), FaultPoint::PeerStep, cx),
        );
    }

    fn send_snapshot(
        &mut self,
        to: Peer,
        message: &eraftpb::Message,
        (manifest, folder): (SnapshotManifest, PathBuf),
        cx: &mut Cx<'_, Self>,
    ) {
        let envelope = self.envelope(to, message);
        let (reply, sent) = ReplyTo::channel();
        let snapshot = OutgoingSnapshot { envelope, manifest, folder };
        let asked = self.parts.send_snapshot.tell(SendSnapshot { to: to.store, snapshot, reply });
        cx.spawn(
            async move { asked.is_ok() && sent.await.unwrap_or(false) },
            move |peer, ok, cx| {
                peer.step(Input::SnapshotSent { to: to.id, ok }, FaultPoint::PeerStep, cx);
            },
        );
    }

    fn destroy(&mut self, cx: &mut Cx<'_, Self>) {
        self.view.close();
        let (reply, removed) = ReplyTo::channel();
        let message = DestroyData { region: self.region, peer: self.me.id, reply };
        must(self.parts.apply.tell(message), "Apply");
        let destroyed = self.parts.destroyed.clone();
        let message = PeerDestroyed { region: self.region, generation: self.generation };
        cx.spawn(removed, move |_, _, _| {
            must(destroyed.tell(message), "the Store");
        });
    }
}

fn for_apply(entry: CommittedEntry<Waiter>) -> CommittedEntry<crate::apply::executor::Waiter> {
    let waiters = entry.waiters.into_iter().map(|waiter| match waiter {
        Waiter::Result(reply) => reply,
        Waiter::Permit(_) => unreachable!("only writes wait for entries"),
    });
    CommittedEntry { waiters: waiters.collect(), entry: entry.entry }
}

/// A message that must arrive, to an actor that outlives the sender.
fn must<M>(told: Result<(), (crate::cell::Refused, M)>, who: &str) {
    if let Err((refused, _)) = told {
        panic!("{who} does not take a message that must arrive: {refused}");
    }
}

impl Acts for RegionPeer {
    const KIND: &'static str = "region_peer";

    fn started(&mut self, _cx: &mut Cx<'_, Self>) {
        self.core.campaign_if_alone();
    }

    fn flush(&mut self, cx: &mut Cx<'_, Self>) {
        self.step(Input::Flush, FaultPoint::PeerFlush, cx);
    }
}

impl On<ProposeWrite> for RegionPeer {
    fn on(&mut self, message: ProposeWrite, cx: &mut Cx<'_, Self>) {
        let ProposeWrite { epoch, term, command, reply } = message;
        if reply.is_abandoned() {
            return;
        }
        let input = Input::Propose { epoch, term, command, waiter: Waiter::Result(reply) };
        self.step(input, FaultPoint::PeerStep, cx);
    }
}

impl On<ReadIndexQuery> for RegionPeer {
    fn on(&mut self, message: ReadIndexQuery, cx: &mut Cx<'_, Self>) {
        let waiter = Waiter::Permit(message.reply);
        self.step(Input::ReadIndex { waiter }, FaultPoint::PeerStep, cx);
    }
}

impl On<AppliedQuery> for RegionPeer {
    fn on(&mut self, message: AppliedQuery, cx: &mut Cx<'_, Self>) {
        let AppliedQuery { index, reply } = message;
        let input = Input::AwaitApplied { index, waiter: Waiter::Permit(reply) };
        self.step(input, FaultPoint::PeerStep, cx);
    }
}

impl On<AdminRequest> for RegionPeer {
    fn on(&mut self, message: AdminRequest, cx: &mut Cx<'_, Self>) {
        let AdminRequest { command, reply } = message;
        let input = Input::Admin { command, waiter: Waiter::Result(reply) };
        self.step(input, FaultPoint::PeerStep, cx);
    }
}

impl On<StatusQuery> for RegionPeer {
    fn on(&mut self, message: StatusQuery, cx: &mut Cx<'_, Self>) {
        let waiter = Waiter::Result(message.reply);
        self.step(Input::Status { waiter }, FaultPoint::PeerStep, cx);
    }
}

impl On<RaftReceived> for RegionPeer {
    fn on(&mut self, message: RaftReceived, cx: &mut Cx<'_, Self>) {
        let RaftReceived { from, epoch, message } = message;
        self.step(Input::Raft { from, epoch, message }, FaultPoint::PeerStep, cx);
    }
}

impl On<SnapshotReceived> for RegionPeer {
    fn on(&mut self, message: SnapshotReceived, cx: &mut Cx<'_, Self>) {
        let SnapshotReceived { from, message, manifest, folder } = message;
        let input = Input::SnapshotReceived { from, message, manifest, folder };
        self.step(input, FaultPoint::PeerStep, cx);
    }
}

impl On<EntriesPersisted> for RegionPeer {
    fn on(&mut self, message: EntriesPersisted, cx: &mut Cx<'_, Self>) {
        if self.is_own(message.generation) {
            let input = Input::Persisted { number: message.number };
            self.step(input, FaultPoint::PeerStep, cx);
        }
    }
}

impl On<EntriesApplied> for RegionPeer {
    fn on(&mut self, message: EntriesApplied, cx: &mut Cx<'_, Self>) {
        if self.is_own(message.generation) {
            self.step(Input::Applied(message.outcome), FaultPoint::PeerStep, cx);
        }
    }
}

impl On<SnapshotInstalled> for RegionPeer {
    fn on(&mut self, message: SnapshotInstalled, cx: &mut Cx<'_, Self>) {
        let SnapshotInstalled { generation, index, term } = message;
        if self.is_own(generation) {
            self.step(Input::SnapshotInstalled { index, term }, FaultPoint::PeerStep, cx);
        }
    }
}

impl On<PeerTick> for RegionPeer {
    fn on(&mut self, _: PeerTick, cx: &mut Cx<'_, Self>) {
        self.step(Input::Tick, FaultPoint::PeerTick, cx);
    }
}

impl On<LogMayBeCut> for RegionPeer {
    fn on(&mut self, message: LogMayBeCut, cx: &mut Cx<'_, Self>) {
        self.step(Input::CutLog { durable: message.durable }, FaultPoint::PeerStep, cx);
    }
}

impl On<StoreUnreachable> for RegionPeer {
    fn on(&mut self, message: StoreUnreachable, cx: &mut Cx<'_, Self>) {
        self.step(Input::Unreachable { store: message.store }, FaultPoint::PeerStep, cx);
    }
}

impl On<StepAside> for RegionPeer {
    fn on(&mut self, _: StepAside, cx: &mut Cx<'_, Self>) {
        self.step(Input::StepAside, FaultPoint::PeerStep, cx);
    }
}

impl On<Expelled> for RegionPeer {
    fn on(&mut self, message: Expelled, cx: &mut Cx<'_, Self>) {
        self.step(Input::Expelled { epoch: message.epoch }, FaultPoint::PeerStep, cx);
    }
}
