//! Locks, versions and waits, as operators and garbage collection see them.
use super::api::ResolvedLocks;
use super::core::fate::{Fate, removal};
use super::tell::{at_leaders, resolve_keys};
use crate::kv_service::api::Inner;
use crate::kv_service::ask::Answered;
use crate::kv_service::core::Causes;
use crate::kv_service::ranges::left_of;
use crate::kv_service::reads::Read;
use crate::kv_service::{CallOptions, ServiceError};
use std::collections::BTreeMap;
use std::sync::Arc;
use troupe_types::request::{RegionBody, RegionReply, RegionRequest, RegionTarget};
use troupe_types::txn::deadlock::{DeadlockRecord, DetectReply, DetectRequest, LockWait, WaitEdge};
use troupe_types::txn::session::SessionReply;
use troupe_types::txn::{LockInfo, LockKind, MvccHistory};
use troupe_types::{
    Code, Key, KeyRange, ReadCommand, ReadReply, RegionEpoch, SYSTEM_REGION, Timestamp,
};

/// Locks looked at in one go.
const LOCKS_AT_ONCE: u32 = 256;

/// `locks` by transaction, pessimistic ones apart.
pub(super) fn by_txn(locks: Vec<LockInfo>) -> Vec<Vec<LockInfo>> {
    let mut by_txn: BTreeMap<(Timestamp, bool), Vec<LockInfo>> = BTreeMap::new();
    for lock in locks {
        let kind = lock.kind == LockKind::Pessimistic;
        by_txn.entry((lock.start_ts, kind)).or_default().push(lock);
    }
    by_txn.into_values().collect()
}

impl Inner {
    /// What the first Region of `range` answers to a command about its part, and that part.
    pub(super) async fn ask_first(
        &self,
        range: &KeyRange,
        make: &(dyn Fn(KeyRange) -> ReadCommand + Send + Sync),
        o: &CallOptions,
    ) -> Result<(ReadReply, KeyRange), ServiceError> {
        let mut causes = Causes::default();
        loop {
            let route = self.route_or_wait(&range.start, o, &mut causes).await?;
            let Some(part) = range.intersect(&route.region.range) else {
                // The route was replaced between two looks at it.
                continue;
            };
            match self.read(&part.start, &make(part.clone()), o, &mut causes).await? {
                Read::Reply(reply, _) => return Ok((reply, part)),
                Read::Blocked(lock) => return Err(ServiceError::unexpected(&lock)),
                Read::Moved => {}
            }
        }
    }

    pub(super) async fn list_locks(
        &self,
        range: KeyRange,
        max_ts: Option<Timestamp>,
        limit: u32,
        o: &CallOptions,
    ) -> Result<(Vec<LockInfo>, Option<KeyRange>), ServiceError> {
        let o = &at_leaders(o);
        let max_ts = max_ts.unwrap_or(Timestamp::MAX);
        let mut left = range.intersect(&KeyRange::txn_space());
        let mut locks = Vec::new();
        while let Some(range) = left.clone()
            && (locks.len() as u64) < u64::from(limit)
        {
            let limit = limit - u32::try_from(locks.len()).unwrap_or(limit);
            let make = move |range| ReadCommand::ScanLocks { range, max_ts, limit };
            let (reply, part) = self.ask_first(&range, &make, o).await?;
            let ReadReply::Locks { locks: more, rest } = reply else {
                return Err(ServiceError::unexpected(&reply));
            };
            locks.extend(more);
            left = left_of(&range, &part, rest, false);
        }
        Ok((locks, left))
    }

    pub(super) async fn resolve_range(
        self: &Arc<Self>,
        range: KeyRange,
        max_ts: Option<Timestamp>,
        o: &CallOptions,
    ) -> Result<ResolvedLocks, ServiceError> {
        let o = &at_leaders(o);
        let mut done = ResolvedLocks::default();
        let mut left = Some(range);
        while let Some(range) = left {
            let (locks, rest) = self.list_locks(range, max_ts, LOCKS_AT_ONCE, o).await?;
            for locks in by_txn(locks) {
                let count = locks.len() as u64;
                let fate = self.fate_of(&locks[0], Timestamp::ZERO, o).await?;
                if self.resolve_txn(&locks, fate, o).await? {
                    done.resolved += count;
                } else {
                    done.alive += count;
                }
            }
            left = rest;
        }
        Ok(done)
    }

    /// Removes locks of one transaction, all pessimistic or none, if it is over.
    pub(super) async fn resolve_txn(
        self: &Arc<Self>,
        locks: &[LockInfo],
        fate: Fate,
        o: &CallOptions,
    ) -> Result<bool, ServiceError> {
        let first = &locks[0];
        if removal(first, fate).is_none() {
            return Ok(false);
        }
        if first.kind == LockKind::Pessimistic {
            for lock in locks {
                self.remove(lock, fate, o).await?;
            }
            return Ok(true);
        }
        let commit_ts = match fate {
            Fate::Committed(commit_ts) => commit_ts,
            Fate::RolledBack | Fate::LocksVoid | Fate::Pushed | Fate::Alive => Timestamp::ZERO,
        };
        let keys: Vec<Key> = locks.iter().map(|lock| lock.key.clone()).collect();
        let make = resolve_keys(first.start_ts, commit_ts);
        self.tell_all(&keys, &make, o, |_, answer| {
            answer.map(|_| ()).map_err(|e| ServiceError::of_txn(e, &Causes::default()))
        })
        .await?;
        Ok(true)
    }

    pub(super) async fn history_of_key(
        &self,
        key: Key,
        o: &CallOptions,
    ) -> Result<Option<MvccHistory>, ServiceError> {
        let o = &at_leaders(o);
        let mut causes = Causes::default();
        loop {
            let command = ReadCommand::MvccByKey { key: key.clone() };
            match self.read(&key, &command, o, &mut causes).await? {
                Read::Reply(ReadReply::Mvcc(history), _) => return Ok(history.map(|h| *h)),
                Read::Reply(other, _) => return Err(ServiceError::unexpected(&other)),
                Read::Blocked(lock) => return Err(ServiceError::unexpected(&lock)),
                Read::Moved => {}
            }
        }
    }

    pub(super) async fn history_of_txn(
        &self,
        start_ts: Timestamp,
        range: KeyRange,
        o: &CallOptions,
    ) -> Result<Option<MvccHistory>, ServiceError> {
        let o = &at_leaders(o);
        let mut left = range.intersect(&KeyRange::txn_space());
        while let Some(range) = left {
            let make = move |range| ReadCommand::MvccByStart { range, start_ts };
            let (reply, part) = self.ask_first(&range, &make, o).await?;
            match reply {
                ReadReply::Mvcc(Some(history)) => return Ok(Some(*history)),
                ReadReply::Mvcc(None) => left = left_of(&range, &part, None, false),
                other => return Err(ServiceError::unexpected(&other)),
            }
        }
        Ok(None)
    }

    pub(super) async fn list_deadlocks(
        &self,
        o: &CallOptions,
    ) -> Result<(Vec<WaitEdge>, Vec<DeadlockRecord>), ServiceError> {
        let anchor = KeyRange::system().start;
        let body = RegionBody::Detect(DetectRequest::List);
        match self.ask(&anchor, &body, o, &mut Causes::default()).await? {
            Answered::Reply(RegionReply::Detected(DetectReply::Waits { edges, recent }), _) => {
                Ok((edges, recent))
            }
            Answered::Reply(other, _) => Err(ServiceError::unexpected(&other)),
            Answered::Moved => Err(Self::error(Code::RegionUnavailable, "the Region moved")),
        }
    }

    pub(super) async fn list_lock_waits(
        &self,
        o: &CallOptions,
    ) -> Result<Vec<LockWait>, ServiceError> {
        let stores: Vec<_> = self.parts.directory.load().stores.keys().copied().collect();
        let (mut waits, mut answered) = (Vec::new(), false);
        for store in stores {
            let target = RegionTarget { region: SYSTEM_REGION, epoch: RegionEpoch::default() };
            let body = RegionBody::LockWaits;
            let request = RegionRequest { store, target, body, traces: o.tags.clone() };
            // A Store that does not answer has nobody who waits there for long.
            let Ok(RegionReply::Session(reply)) = self.dispatch(request, false, o).await else {
                continue;
            };
            if let Ok(SessionReply::Waits(more)) = *reply {
                answered = true;
                waits.extend(more);
            }
        }
        if answered {
            return Ok(waits);
        }
        Err(Self::error(Code::RegionUnavailable, "no store answered"))
    }
}
