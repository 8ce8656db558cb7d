//! What a replica's core is told, and what it wants done. Guide: `mod.rs`.
use raft::eraftpb::Message;
use std::path::PathBuf;
use troupe_storage::raft_log::RegionLogWrite;
use troupe_types::pd::RegionReport;
use troupe_types::raft_message::SnapshotManifest;
use troupe_types::request::{AdminCommand, PeerStatus, RegionResult};
use troupe_types::{
    LogIndex, Moment, Peer, PeerId, Region, RegionEpoch, StoreId, Term, WriteCommand,
};

/// What an Apply actor did for this replica.
#[derive(Clone, Debug)]
pub struct ApplyOutcome {
    /// Last applied entry.
    pub applied: LogIndex,
    /// Its term.
    pub applied_term: Term,
    /// Member changes among the entries, in order, with the shape behind each.
    pub conf_changes: Vec<AppliedConfChange>,
    /// The replica cannot apply an entry and serves no more.
    pub halted: bool,
}

/// A member change that was applied.
#[derive(Clone, Debug)]
pub struct AppliedConfChange {
    /// As raft-rs wants it.
    pub change: raft::eraftpb::ConfChangeV2,
    /// Shape behind it.
    pub region: Region,
}

/// What happens to a replica.
#[derive(Debug)]
pub enum Input<W> {
    /// A tick of the clock.
    Tick,
    /// A Raft message of another replica whose shape had `epoch`.
    Raft {
        /// Who sent it.
        from: Peer,
        /// Shape of the Region at the sender.
        epoch: RegionEpoch,
        /// The message.
        message: Message,
    },
    /// A snapshot message whose files lie in `folder`.
    SnapshotReceived {
        /// Who sent it.
        from: Peer,
        /// The `MsgSnapshot`.
        message: Message,
        /// What the files hold.
        manifest: SnapshotManifest,
        /// Where they lie.
        folder: PathBuf,
    },
    /// Replicate a write.
    Propose {
        /// Shape the sender routed by.
        epoch: RegionEpoch,
        /// Only in this term, if given.
        term: Option<Term>,
        /// What.
        command: WriteCommand,
        /// Who waits.
        waiter: W,
    },
    /// Which index must a linearizable read have applied? Answered once it is applied here.
    ReadIndex {
        /// Who waits.
        waiter: W,
    },
    /// Answer once `index` is applied here.
    AwaitApplied {
        /// Which.
        index: LogIndex,
        /// Who waits.
        waiter: W,
    },
    /// Change the group.
    Admin {
        /// How.
        command: AdminCommand,
        /// Who waits.
        waiter: W,
    },
    /// Describe yourself.
    Status {
        /// Who waits.
        waiter: W,
    },
    /// Everything up to the `Persist` with this number is durable.
    Persisted {
        /// Which.
        number: u64,
    },
    /// Entries were applied.
    Applied(ApplyOutcome),
    /// A snapshot was made, or could not be.
    SnapshotGenerated(Option<(SnapshotManifest, PathBuf)>),
    /// The accepted snapshot is installed.
    SnapshotInstalled {
        /// Its index.
        index: LogIndex,
        /// Its term.
        term: Term,
    },
    /// A snapshot was sent, or not.
    SnapshotSent {
        /// To whom.
        to: PeerId,
        /// Did it arrive?
        ok: bool,
    },
    /// Messages to a Store did not get through.
    Unreachable {
        /// Which Store.
        store: StoreId,
    },
    /// Applied data up to `durable` would survive without the log.
    CutLog {
        /// Last entry whose effect is durable in the engine.
        durable: LogIndex,
    },
    /// Hand leadership to any other voter: the node stops.
    StepAside,
    /// This replica is no member of the Region in the shape that a fellow replica, or PD, knows. An
    /// older shape than its own is from before it was added.
    Expelled {
        /// Of that shape.
        epoch: RegionEpoch,
    },
    /// End of a batch.
    Flush,
}

/// An entry to apply.
#[derive(Debug)]
pub struct CommittedEntry<W> {
    /// The entry.
    pub entry: raft::eraftpb::Entry,
    /// Who waits for its commands, in their order. Empty on followers.
    pub waiters: Vec<W>,
}

/// What others may read about a replica without asking it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegate {
    /// Shape as applied.
    pub region: Region,
    /// Term now.
    pub term: Term,
    /// Who leads, if known.
    pub leader: Option<Peer>,
    /// This replica leads and has applied an entry of its own term, so that it may serve reads
    /// while its lease lasts.
    pub may_serve: bool,
    /// It cannot apply an entry and serves nothing.
    pub halted: bool,
}

/// What the world shall do for a replica.
#[derive(Debug)]
pub enum Output<W> {
    /// Make durable, then say `Persisted { number }`. Ordered.
    Persist {
        /// Grows by at least one each time.
        number: u64,
        /// What.
        write: RegionLogWrite,
    },
    /// Send messages, in order.
    Send(Vec<(Peer, Message)>),
    /// Apply, in order, then say `Applied`.
    Apply(Vec<CommittedEntry<W>>),
    /// Replace all data by a snapshot, in order with `Apply`, then say `SnapshotInstalled`.
    InstallSnapshot {
        /// What.
        manifest: SnapshotManifest,
        /// Where its files lie.
        folder: PathBuf,
    },
    /// Make a snapshot, then say `SnapshotGenerated`.
    GenerateSnapshot,
    /// Send a snapshot, then say `SnapshotSent`.
    SendSnapshot {
        /// To whom.
        to: Peer,
        /// The `MsgSnapshot`.
        message: Message,
        /// What its files hold.
        manifest: SnapshotManifest,
        /// Where they lie.
        folder: PathBuf,
    },
    /// The files of a snapshot are no longer needed.
    DiscardSnapshot(PathBuf),
    /// Answer.
    Reply(W, RegionResult),
    /// The asker may now read what is applied: at least up to this index.
    Permit(W, LogIndex),
    /// Answer a status query.
    Describe(W, Box<PeerStatus>),
    /// Replace the delegate.
    Publish(Delegate),
    /// The lease lasts until then; 0 = there is none.
    Lease(Moment),
    /// Forget log entries up to this one.
    Compact(LogIndex),
    /// Tell PD.
    Report(RegionReport),
    /// Tell a replica that it is no member any more.
    Tombstone(Peer),
    /// This replica was removed from the group.
    Destroy,
    /// Role changed; for logs and traces.
    Role {
        /// `leader`, `follower`, `candidate` or `pre-candidate`.
        role: &'static str,
        /// Term now.
        term: Term,
    },
}
