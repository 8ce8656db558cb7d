//! Waiting for others' locks: who is woken, who gives up, what the detector of deadlocks is told.
use super::waits::Waiting;
use super::{CommandId, Output, SchedulerCore, Task};
use std::collections::BTreeSet;
use std::time::Duration;
use troupe_types::request::{RegionReply, RegionResult};
use troupe_types::txn::deadlock::{DetectRequest, WaitEdge};
use troupe_types::txn::{LockInfo, TxnCommand, TxnError};
use troupe_types::{Key, Timestamp};

/// How long a command waits for others' locks at most; `None` = not at all.
#[must_use]
pub fn patience(command: &TxnCommand) -> Option<Duration> {
    match command {
        TxnCommand::PessimisticLock(lock) => {
            lock.wait_ms.filter(|wait| *wait > 0).map(Duration::from_millis)
        }
        TxnCommand::Prewrite(_)
        | TxnCommand::Commit { .. }
        | TxnCommand::Rollback { .. }
        | TxnCommand::Cleanup { .. }
        | TxnCommand::PessimisticRollback { .. }
        | TxnCommand::HeartBeat { .. }
        | TxnCommand::CheckTxnStatus(_)
        | TxnCommand::CheckSecondaryLocks { .. }
        | TxnCommand::ResolveKeys { .. }
        | TxnCommand::ResolveLocks { .. }
        | TxnCommand::Flush { .. } => None,
    }
}

/// The refusal of a command that does not wait, or has waited long enough.
pub fn locked(lock: Box<LockInfo>) -> RegionResult {
    Ok(RegionReply::Txn(Box::new(Err(TxnError::Locked(lock)))))
}

impl<W> SchedulerCore<W> {
    /// The latches go; the command stands in the queue of the key that is locked. Its own wait for the
    /// key that it was woken for is over: whoever is next there gets his turn, unless it waits there
    /// again.
    pub(super) fn on_blocked(
        &mut self,
        id: CommandId,
        mut task: Task<W>,
        lock: Box<LockInfo>,
        out: &mut Vec<Output<W>>,
    ) {
        let entry = self.leave(id);
        if let Some(key) = entry.woken_on.filter(|key| *key != lock.key) {
            self.wake_oldest(&key, out);
        }
        let wait = patience(&task.command).unwrap_or_default();
        let until = task.wait_until.unwrap_or_else(|| self.now.after(wait).min(task.deadline));
        task.wait_until = Some(until);
        if until <= self.now {
            self.bytes -= entry.bytes;
            out.push(Output::Answer(task.waiter, locked(lock)));
            return;
        }
        let start_ts = task.command.start_ts().unwrap_or_default();
        let (since, holder) = (self.now, lock.start_ts);
        let waiting = Waiting { task, start_ts, lock, holder, since, until };
        let edge = waiting.edge();
        self.waits.add(id, waiting);
        self.retell_at.get_or_insert(self.now.after(self.options.retell));
        out.push(Output::Detect { waiter: Some(id), request: DetectRequest::Wait(edge) });
    }

    /// The oldest that waits for `key` tries again.
    pub(super) fn wake_oldest(&mut self, key: &Key, out: &mut Vec<Output<W>>) {
        let Some(id) = self.waits.oldest(key) else { return };
        let Some(waiting) = self.waits.remove(id) else { return };
        out.push(woken(waiting.edge()));
        self.enqueue(id, waiting.task, Some(key.clone()));
    }

    /// `holder` has got the lock on `key`: who waits there waits for it now, and that may be a
    /// deadlock where there was none.
    pub(super) fn pass_on_hold(&mut self, key: &Key, holder: Timestamp, out: &mut Vec<Output<W>>) {
        for (id, before, now) in self.waits.hold(key, holder) {
            out.push(woken(before));
            out.push(Output::Detect { waiter: Some(id), request: DetectRequest::Wait(now) });
        }
    }

    /// Ends a wait with an answer.
    pub(super) fn end_wait(
        &mut self,
        id: CommandId,
        answer: impl FnOnce(&Waiting<W>) -> RegionResult,
        out: &mut Vec<Output<W>>,
    ) {
        let Some(waiting) = self.waits.remove(id) else { return };
        self.bytes -= waiting.task.command.approximate_bytes();
        out.push(woken(waiting.edge()));
        let answer = answer(&waiting);
        out.push(Output::Answer(waiting.task.waiter, answer));
    }

    pub(super) fn on_judged(
        &mut self,
        id: CommandId,
        edge: &WaitEdge,
        cycle: Vec<WaitEdge>,
        out: &mut Vec<Output<W>>,
    ) {
        // It may have been woken meanwhile, or wait for somebody else.
        let is_present = self.waits.get(id).is_some_and(|waiting| waiting.edge() == *edge);
        if !is_present {
            return;
        }
        let deadlock = |waiting: &Waiting<W>| {
            let error = TxnError::Deadlock {
                start_ts: waiting.start_ts,
                lock_ts: waiting.holder,
                key: waiting.lock.key.clone(),
                cycle,
            };
            Ok(RegionReply::Txn(Box::new(Err(error))))
        };
        self.end_wait(id, deadlock, out);
    }

    pub(super) fn end_overdue_waits(&mut self, out: &mut Vec<Output<W>>) {
        while let Some(id) = self.waits.overdue(self.now) {
            self.end_wait(id, |waiting| locked(waiting.lock.clone()), out);
        }
    }

    /// The detector may have a new leader, who has heard of no wait yet; and a Region may have been
    /// lost without a word, as its replica crashed.
    pub(super) fn retell_waits(&mut self, out: &mut Vec<Output<W>>) {
        if self.retell_at.is_none_or(|at| self.now < at) {
            return;
        }
        self.retell_at = None;
        if self.waits.is_empty() {
            return;
        }
        self.retell_at = Some(self.now.after(self.options.retell));
        let mut regions = BTreeSet::new();
        for (id, waiting) in self.waits.iter() {
            regions.insert(waiting.task.target.region);
            let request = DetectRequest::Wait(waiting.edge());
            out.push(Output::Detect { waiter: Some(id), request });
        }
        out.push(Output::CheckLeads(regions.into_iter().collect()));
    }
}

fn woken<W>(edge: WaitEdge) -> Output<W> {
    Output::Detect { waiter: None, request: DetectRequest::Woken(edge) }
}
