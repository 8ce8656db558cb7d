//! What the scheduler's core is told, and what it wants done. Guide: `mod.rs`.
use std::collections::BTreeMap;
use troupe_storage::mvcc::Lock;
use troupe_types::request::{RegionResult, RegionTarget};
use troupe_types::txn::deadlock::{DetectRequest, WaitEdge};
use troupe_types::txn::{LockInfo, TxnCommand};
use troupe_types::{Key, Moment, Peer, RegionId, Term, Timestamp};

/// A command on its way. Never used twice on a Store while the node runs.
pub type CommandId = u64;

/// A command and who waits for it.
#[derive(Debug)]
pub struct Task<W> {
    /// What to do.
    pub command: Box<TxnCommand>,
    /// Where, and the shape that it was routed by.
    pub target: RegionTarget,
    /// Not begun after that.
    pub deadline: Moment,
    /// It has waited for a lock, and does so no longer than this.
    pub wait_until: Option<Moment>,
    /// Who waits.
    pub waiter: W,
}

/// What a command may know of this Store's memory.
#[derive(Debug, Default)]
pub struct MemoryView {
    /// The term in which `locks` hold.
    pub term: Term,
    /// Pessimistic locks of the command's keys that are held in memory.
    pub locks: BTreeMap<Key, Lock>,
    /// There is room for more.
    pub may_remember: bool,
    /// The term in which a commit timestamp may be chosen.
    pub synced: Option<Term>,
}

/// What a command that has ended did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Which Region.
    pub region: RegionId,
    /// The leader's term that it was decided in.
    pub term: Term,
    /// Its transaction.
    pub start_ts: Timestamp,
    /// Pessimistic locks to hold in memory.
    pub remembered: Vec<(Key, Lock)>,
    /// Keys whose lock in memory has ended.
    pub forgotten: Vec<Key>,
    /// Keys whose lock has ended, wherever it was.
    pub released: Vec<Key>,
    /// Keys that it locked for a pessimistic transaction.
    pub locked: Vec<Key>,
}

/// What happens to a scheduler.
#[derive(Debug)]
pub enum Input<W> {
    /// A command came.
    Submit(Task<W>),
    /// A command had its effect, or needed none, and was answered.
    Done(CommandId, Box<Effects>),
    /// A command ended without effect, now and for ever, and was answered.
    NoEffect(CommandId),
    /// A command must wait for this lock and run again.
    Blocked(CommandId, Task<W>, Box<LockInfo>),
    /// The detector has looked at a wait.
    WaitJudged {
        /// Who waits.
        id: CommandId,
        /// The wait it was told of.
        edge: WaitEdge,
        /// The deadlock that it would be.
        cycle: Vec<WaitEdge>,
    },
    /// A replica here leads and may serve.
    Led {
        /// Which Region.
        region: RegionId,
        /// In which term.
        term: Term,
    },
    /// The replica here serves as leader no more.
    LeadLost {
        /// Which Region.
        region: RegionId,
        /// Who leads now, if known.
        leader: Option<Peer>,
    },
    /// PD gave a timestamp and `max_ts` was raised to it, or PD did not answer.
    TimestampAnswered {
        /// Was it raised?
        is_raised: bool,
    },
    /// The time of [`super::SchedulerCore::next_wake`] has come.
    Wake,
}

/// What the world shall do for a scheduler.
#[derive(Debug)]
pub enum Output<W> {
    /// Execute, then say [`Input::Done`], [`Input::NoEffect`] or [`Input::Blocked`].
    Run {
        /// Which command.
        id: CommandId,
        /// The command.
        task: Task<W>,
        /// What it may know of memory.
        memory: MemoryView,
    },
    /// Answer.
    Answer(W, RegionResult),
    /// Tell the detector; for a wait, say [`Input::WaitJudged`] if it would be a deadlock.
    Detect {
        /// Who waits, for a wait.
        waiter: Option<CommandId>,
        /// What to tell.
        request: DetectRequest,
    },
    /// Ask PD for a timestamp now, raise `max_ts` to it, then say [`Input::TimestampAnswered`].
    AskTimestamp,
    /// Say [`Input::LeadLost`] for those of these Regions that are not led here any more.
    CheckLeads(Vec<RegionId>),
}
