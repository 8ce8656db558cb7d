//! The messages that a TxnScheduler takes.
use super::core::{CommandId, Effects, Task};
use crate::cell::{Delivery, Message, ReplyTo};
use crate::trace::Current;
use troupe_types::request::{RegionResult, RegionTarget};
use troupe_types::txn::deadlock::{LockWait, WaitEdge};
use troupe_types::txn::{LockInfo, TxnCommand};
use troupe_types::{KeyRange, Moment, Peer, RegionError, RegionId, Term, Timestamp};

/// Who waits for a command, and the traces that it belongs to.
#[derive(Debug)]
pub struct Waiter {
    /// Answered once.
    pub reply: ReplyTo<RegionResult>,
    /// The actor and the traces it is executed for.
    pub current: Current,
}

/// Gateway → TxnScheduler: execute a command of a transaction. Idempotent, as all these commands are.
/// When it is refused or expires, it had no effect.
#[derive(Debug)]
pub struct SubmitTxn {
    /// What to do; [`TxnCommand::ResolveLocks`] is broken up before.
    pub command: Box<TxnCommand>,
    /// Where, and the shape that it was routed by.
    pub target: RegionTarget,
    /// Not begun after that.
    pub deadline: Moment,
    /// Answered by the worker, by Apply, or by the scheduler if it refuses.
    pub reply: ReplyTo<RegionResult>,
}

impl Message for SubmitTxn {
    const NAME: &'static str = "SubmitTxn";
    const DELIVERY: Delivery = Delivery::Ask;

    fn bytes(&self) -> usize {
        self.command.approximate_bytes()
    }

    fn detail(&self) -> [u64; 2] {
        let start_ts = self.command.start_ts().map_or(0, troupe_types::Timestamp::get);
        [self.target.region.get(), start_ts]
    }

    fn expire(self) {
        self.reply.send(Err(RegionError::DeadlineExceeded));
    }
}

/// How an execution of a command went.
#[derive(Debug)]
pub enum Report {
    /// It had its effect, or needed none, and was answered.
    Done(Box<Effects>),
    /// It ended without effect and was answered.
    NoEffect,
    /// It chooses a commit timestamp, and may not do so in this term yet. It was answered.
    NotSynced {
        /// Which Region.
        region: RegionId,
        /// The leader's term.
        term: Term,
    },
    /// It must wait for this lock.
    Blocked(Task<Waiter>, Box<LockInfo>),
    /// Its outcome is unknown, and it was answered so; see `flights.rs`.
    InDoubt,
}

/// Worker, Apply → TxnScheduler: a command was executed.
#[derive(Debug)]
pub struct CommandExecuted {
    /// Which.
    pub id: CommandId,
    /// How that went.
    pub report: Report,
}

impl Message for CommandExecuted {
    const NAME: &'static str = "CommandExecuted";
    const DELIVERY: Delivery = Delivery::Must;

    fn detail(&self) -> [u64; 2] {
        let how = match &self.report {
            Report::Done(_) => 0,
            Report::NoEffect => 1,
            Report::NotSynced { .. } => 2,
            Report::Blocked(..) => 3,
            Report::InDoubt => 4,
        };
        [self.id, how]
    }
}

/// RegionPeer → TxnScheduler: the replica began or ceased to serve as leader. What is lost is found
/// out when it matters.
#[derive(Debug)]
pub struct LeadChanged {
    /// Which Region.
    pub region: RegionId,
    /// The term in which the replica here leads and may serve; `None` = it does not.
    pub term: Option<Term>,
    /// Who leads, if known.
    pub leader: Option<Peer>,
}

impl Message for LeadChanged {
    const NAME: &'static str = "LeadChanged";
    const DELIVERY: Delivery = Delivery::Droppable;

    fn detail(&self) -> [u64; 2] {
        [self.region.get(), self.term.map_or(0, Term::get)]
    }
}

/// Detector of deadlocks → TxnScheduler: a wait would close a cycle. The wait is told again, and so is
/// this.
#[derive(Debug)]
pub struct DeadlockFound {
    /// Who waits.
    pub id: CommandId,
    /// The wait it was told of.
    pub edge: WaitEdge,
    /// From the waiter over all that it waits for back to it.
    pub cycle: Vec<WaitEdge>,
}

impl Message for DeadlockFound {
    const NAME: &'static str = "DeadlockFound";
    const DELIVERY: Delivery = Delivery::Droppable;
}

/// Gateway → TxnScheduler: which locks of a Region are only remembered? Idempotent.
#[derive(Debug)]
pub struct RememberedLocksQuery {
    /// Of this Region.
    pub region: RegionId,
    /// On keys of this part of it.
    pub range: KeyRange,
    /// Of transactions that began by then.
    pub max_ts: Timestamp,
    /// At most so many.
    pub limit: usize,
    /// Answered at once, in key order.
    pub reply: ReplyTo<Vec<LockInfo>>,
}

impl Message for RememberedLocksQuery {
    const NAME: &'static str = "RememberedLocksQuery";
    const DELIVERY: Delivery = Delivery::Ask;
}

/// Gateway → TxnScheduler: who waits for locks here? Idempotent.
#[derive(Debug)]
pub struct LockWaitsQuery {
    /// Answered at once.
    pub reply: ReplyTo<Vec<LockWait>>,
}

impl Message for LockWaitsQuery {
    const NAME: &'static str = "LockWaitsQuery";
    const DELIVERY: Delivery = Delivery::Ask;
}
