//! Transactional requests at a Store: commands for its scheduler, snapshot reads beside commits that
//! are on their way, and what the Store as a whole is asked.
use super::{Outcome, refused_by};
use crate::cell::ReplyTo;
use crate::store::inbox::LocalStores;
use crate::store::{SafePointRefusal, StoreHandle};
use crate::txn_scheduler::{LockWaitsQuery, SubmitTxn};
use std::collections::BTreeMap;
use std::time::Duration;
use troupe_types::error::NotReadyReason;
use troupe_types::key::successor;
use troupe_types::request::{Consistency, RegionReply, RegionResult, RegionTarget};
use troupe_types::txn::deadlock::DetectRequest;
use troupe_types::txn::session::{SessionReply, SessionRequest};
use troupe_types::txn::{LockInfo, ReadView, TxnCommand, TxnReply, TxnRow, TxnValue};
use troupe_types::{
    Key, KeyRange, Moment, ReadCommand, ReadReply, RegionError, SYSTEM_REGION, Timestamp,
};

/// Time beyond the deadline that the scheduler gets to say what became of a command: most often that
/// it had no effect, where the Store itself would have to call it unknown.
const GRACE: Duration = Duration::from_millis(100);
/// Locks that are looked at in one go when a range is cleaned.
const RESOLVE_PAGE: u32 = 256;

/// What stood in the way of a snapshot read before its snapshot was taken.
#[derive(Default)]
pub(super) struct InTheWay {
    /// Of keys, by their places.
    of_keys: Vec<(usize, LockInfo)>,
    /// The first of a scan.
    of_scan: Option<LockInfo>,
}

impl StoreHandle {
    /// Steps 1 and 2 of a reader (see `txn_scheduler/concurrency.rs`).
    pub(super) fn note_read(&self, command: &ReadCommand) -> InTheWay {
        let mut found = InTheWay::default();
        let Some(view) = command.view() else { return found };
        self.concurrency.note_read(view);
        match command {
            ReadCommand::TxnGet { keys, .. } => {
                for (place, key) in keys.iter().enumerate() {
                    let lock = self.concurrency.blocking(key, view);
                    found.of_keys.extend(lock.map(|lock| (place, lock)));
                }
            }
            ReadCommand::TxnScan { range, reverse, .. } => {
                found.of_scan = self.concurrency.first_blocking(range, *reverse, view);
            }
            ReadCommand::RawGet { .. }
            | ReadCommand::RawScan { .. }
            | ReadCommand::RawChecksum { .. }
            | ReadCommand::SystemScan { .. }
            | ReadCommand::TxnBufferGet { .. }
            | ReadCommand::ScanLocks { .. }
            | ReadCommand::MvccByKey { .. }
            | ReadCommand::MvccByStart { .. }
            | ReadCommand::ScanExpired { .. } => {}
        }
        found
    }

    /// Refuses what was read at `ts` if versions that it needed may have been collected meanwhile.
    pub(super) fn check_read(
        &self,
        target: RegionTarget,
        ts: Option<Timestamp>,
        reply: RegionReply,
    ) -> RegionResult {
        let Some(ts) = ts else { return Ok(reply) };
        match self.safe_point.admit(ts, self.env.now()) {
            Ok(()) => Ok(reply),
            Err(SafePointRefusal::Gone(error)) => Ok(RegionReply::ReadRefused(Box::new(error))),
            Err(SafePointRefusal::Unknown) => {
                let (region, why) = (target.region, NotReadyReason::SafePointUnknown);
                Err(RegionError::NotReady { region, why })
            }
        }
    }

    /// Executes a command of a transaction.
    pub(super) async fn txn(
        &self,
        target: RegionTarget,
        command: TxnCommand,
        deadline: Moment,
    ) -> RegionResult {
        match command {
            TxnCommand::ResolveLocks { range, txns } => {
                self.resolve_locks(target, range, txns, deadline).await
            }
            command => self.submit(target, command, deadline).await,
        }
    }

    async fn submit(
        &self,
        target: RegionTarget,
        command: TxnCommand,
        deadline: Moment,
    ) -> RegionResult {
        // A Region that is not here at all is told without the scheduler's help.
        self.peer(target)?;
        let (reply, answer) = ReplyTo::channel();
        let message = SubmitTxn { command: Box::new(command), target, deadline, reply };
        let told = self.scheduler.submit.tell_by(message, deadline);
        told.map_err(|(refused, _)| refused_by(refused, target.region))?;
        let patience = deadline.after(GRACE);
        self.await_answer(answer, patience, Outcome::Unknown, target.region).await
    }

    /// Finds the locks of `txns` page by page, and resolves those of each page by ordinary commands.
    /// Transactions that have ended make no new locks, so one pass leaves none.
    async fn resolve_locks(
        &self,
        target: RegionTarget,
        range: KeyRange,
        txns: Vec<(Timestamp, Timestamp)>,
        deadline: Moment,
    ) -> RegionResult {
        let outcomes: BTreeMap<Timestamp, Timestamp> = txns.into_iter().collect();
        let done = || Ok(RegionReply::Txn(Box::new(Ok(TxnReply::Done))));
        let Some(max_ts) = outcomes.keys().next_back().copied() else { return done() };
        let mut left = Some(range);
        while let Some(range) = left {
            let scan = ReadCommand::ScanLocks { range, max_ts, limit: RESOLVE_PAGE };
            let page = self.read(target, scan, Consistency::Leader, deadline).await?;
            let RegionReply::Read(ReadReply::Locks { locks, rest }) = page else {
                return Err(RegionError::Malformed { what: format!("{page:?} as locks") });
            };
            left = rest;
            for (start_ts, keys) in by_txn(locks, &outcomes) {
                let commit_ts = outcomes.get(&start_ts).copied().unwrap_or_default();
                let command = TxnCommand::ResolveKeys { keys, start_ts, commit_ts };
                let answer = self.submit(target, command, deadline).await?;
                if !matches!(&answer, RegionReply::Txn(reply) if reply.is_ok()) {
                    return Ok(answer);
                }
            }
        }
        done()
    }

    /// Locks below a safe point, none of which a command that is under way can add to.
    ///
    /// A command that takes locks looks at the safe point behind its look at the engine, and its flight
    /// began before. So once this Store knows the safe point, only commands that fly already can leave
    /// a lock below it. Those of earlier leaders are applied here, or never will be, when this replica
    /// serves; and later leaders know the safe point, or trust no older one, since the one who asks has
    /// waited for that.
    pub(super) async fn last_locks(
        &self,
        target: RegionTarget,
        (range, safe_point, limit): (KeyRange, Timestamp, u32),
        deadline: Moment,
    ) -> RegionResult {
        let region = target.region;
        if self.safe_point.get() < safe_point {
            let why = NotReadyReason::SafePointUnknown;
            return Err(RegionError::NotReady { region, why });
        }
        let landed = self.scheduler.until_landed(region, &self.env);
        self.within(deadline, landed).await.ok_or(RegionError::DeadlineExceeded)?;
        let max_ts = Timestamp(safe_point.get().saturating_sub(1));
        let scan = ReadCommand::ScanLocks { range, max_ts, limit };
        self.read(target, scan, Consistency::Leader, deadline).await
    }

    /// As a leader's ReadIndex, for a snapshot that another replica will read.
    pub(super) async fn snapshot_read_index(
        &self,
        target: RegionTarget,
        ranges: Vec<KeyRange>,
        view: ReadView,
        deadline: Moment,
    ) -> RegionResult {
        let handle = self.peer(target)?;
        if let Some(delegate) = handle.view.delegate() {
            let shape = &delegate.region;
            if shape.epoch.version != target.epoch.version {
                return Err(RegionError::EpochNotMatch { current: Box::new(shape.clone()) });
            }
            if ranges.iter().any(|range| !shape.range.covers(range)) {
                return Err(RegionError::KeyNotInRegion { region: target.region });
            }
        }
        self.concurrency.note_read(&view);
        let blocking =
            ranges.iter().find_map(|range| self.concurrency.first_blocking(range, false, &view));
        // Only the leader's word about locks counts, and this is what confirms that it leads.
        let index = self.read_index(&handle, deadline).await?;
        Ok(match blocking {
            Some(lock) => RegionReply::ReadBlocked(Box::new(lock)),
            None => RegionReply::ReadIndex(index),
        })
    }

    /// Asks the graph of waits, if this Store leads the system Region.
    pub(super) fn detect(&self, target: RegionTarget, request: DetectRequest) -> RegionResult {
        let region = target.region;
        if region != SYSTEM_REGION {
            return Err(RegionError::WrongRecipient);
        }
        let delegate = self.peer(target)?.view.delegate();
        let leads = delegate.as_ref().is_some_and(|delegate| delegate.may_serve);
        let Some(delegate) = delegate.filter(|_| leads) else {
            let peer = self.peer(target)?;
            let leader = peer.view.delegate().and_then(|delegate| delegate.leader);
            let leader = leader.filter(|leader| leader.id != peer.peer.id);
            return Err(RegionError::NotLeader { region, leader });
        };
        let clock = (self.env.now(), self.env.clock.unix());
        Ok(RegionReply::Detected(self.deadlocks.answer(delegate.term, clock, request)))
    }

    pub(super) async fn lock_waits(&self, target: RegionTarget, deadline: Moment) -> RegionResult {
        let (reply, answer) = ReplyTo::channel();
        let told = self.scheduler.lock_waits.tell_by(LockWaitsQuery { reply }, deadline);
        told.map_err(|(refused, _)| refused_by(refused, target.region))?;
        let waits = match self.within(deadline, answer).await {
            Some(Ok(waits)) => waits,
            Some(Err(_)) => return Err(Outcome::NoEffect.after_crash(target.region)),
            None => return Err(RegionError::DeadlineExceeded),
        };
        Ok(RegionReply::Session(Box::new(Ok(SessionReply::Waits(waits)))))
    }
}

impl LocalStores {
    pub(super) async fn session(
        &self,
        target: RegionTarget,
        request: SessionRequest,
        deadline: Moment,
    ) -> RegionResult {
        let Some(sessions) = self.sessions() else {
            let (region, why) = (target.region, NotReadyReason::Restarting);
            return Err(RegionError::NotReady { region, why });
        };
        let result = sessions.serve(request, deadline).await?;
        Ok(RegionReply::Session(Box::new(result)))
    }
}

impl InTheWay {
    /// Was the way free?
    pub(super) fn is_empty(&self) -> bool {
        self.of_keys.is_empty() && self.of_scan.is_none()
    }

    /// `reply`, as far as what stood in the way lets it be seen.
    pub(super) fn merge(self, command: &ReadCommand, reply: RegionReply) -> RegionReply {
        let Self { of_keys, of_scan } = self;
        match (reply, command) {
            (RegionReply::Read(ReadReply::TxnValues(mut values)), _) => {
                for (place, lock) in of_keys {
                    values[place] = TxnValue::Locked(Box::new(lock));
                }
                RegionReply::Read(ReadReply::TxnValues(values))
            }
            (
                RegionReply::Read(ReadReply::TxnRows { rows, rest, lock }),
                ReadCommand::TxnScan { range, reverse, .. },
            ) => {
                let page = Page { rows, rest, lock };
                let page = match of_scan {
                    Some(published) => page.cut(range, *reverse, published),
                    None => page,
                };
                let Page { rows, rest, lock } = page;
                RegionReply::Read(ReadReply::TxnRows { rows, rest, lock })
            }
            (reply, _) => reply,
        }
    }
}

/// A page of a scan.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) rows: Vec<TxnRow>,
    pub(super) rest: Option<KeyRange>,
    pub(super) lock: Option<Box<LockInfo>>,
}

impl Page {
    /// The page up to `lock`, if that lies inside.
    pub(super) fn cut(mut self, range: &KeyRange, reverse: bool, lock: LockInfo) -> Self {
        let key = lock.key.clone();
        let is_behind = match &self.rest {
            None => false,
            Some(rest) if reverse => !rest.end.is_empty() && key < rest.end,
            Some(rest) => key >= rest.start,
        };
        // A stored lock at the same place, or one before it, says as much.
        if is_behind {
            return self;
        }
        let is_before = |row: &TxnRow| if reverse { row.key > key } else { row.key < key };
        self.rows.retain(is_before);
        self.rest = Some(match reverse {
            true => KeyRange::new(range.start.clone(), successor(&key)),
            false => KeyRange::new(key.clone(), range.end.clone()),
        });
        self.lock = Some(Box::new(lock));
        self
    }
}

/// Keys of `locks` by transaction, of those whose outcome is known.
fn by_txn(
    locks: Vec<LockInfo>,
    outcomes: &BTreeMap<Timestamp, Timestamp>,
) -> BTreeMap<Timestamp, Vec<Key>> {
    let mut found: BTreeMap<Timestamp, Vec<Key>> = BTreeMap::new();
    for lock in locks.into_iter().filter(|lock| outcomes.contains_key(&lock.start_ts)) {
        found.entry(lock.start_ts).or_default().push(lock.key);
    }
    found
}
