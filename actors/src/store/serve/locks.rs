//! Locks as a leader knows them: those that are stored, and those that it only remembers.
use super::{Outcome, refused_by};
use crate::cell::ReplyTo;
use crate::store::StoreHandle;
use crate::txn_scheduler::RememberedLocksQuery;
use std::collections::BTreeMap;
use troupe_types::key::successor;
use troupe_types::request::{Consistency, RegionReply, RegionResult, RegionTarget};
use troupe_types::txn::LockInfo;
use troupe_types::{
    Key, KeyRange, Moment, ReadCommand, ReadReply, RegionError, RegionId, Timestamp,
};

/// Locks in key order, and what is left to look at.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    locks: Vec<LockInfo>,
    rest: Option<KeyRange>,
}

impl StoreHandle {
    /// All locks of a part of a Region that this Store leads.
    pub(super) async fn all_locks(
        &self,
        target: RegionTarget,
        (range, max_ts, limit): (KeyRange, Timestamp, u32),
        deadline: Moment,
    ) -> RegionResult {
        let most = limit as usize;
        // In this order: a lock that is remembered may be stored at any moment, never the other way.
        // One more than fits, so that it shows when there are more.
        let wanted = (max_ts, most.saturating_add(1));
        let remembered =
            self.remembered_locks(target.region, (range.clone(), wanted), deadline).await?;
        let scan = ReadCommand::ScanLocks { range: range.clone(), max_ts, limit };
        let reply = self.read(target, scan, Consistency::Leader, deadline).await?;
        let RegionReply::Read(ReadReply::Locks { locks, rest }) = reply else { return Ok(reply) };
        let Found { locks, rest } = Found { locks, rest }.with(remembered, &range, most);
        Ok(RegionReply::Read(ReadReply::Locks { locks, rest }))
    }

    async fn remembered_locks(
        &self,
        region: RegionId,
        (range, (max_ts, limit)): (KeyRange, (Timestamp, usize)),
        deadline: Moment,
    ) -> Result<Vec<LockInfo>, RegionError> {
        let (reply, answer) = ReplyTo::channel();
        let ask = RememberedLocksQuery { region, range, max_ts, limit, reply };
        let told = self.scheduler.remembered.tell_by(ask, deadline);
        told.map_err(|(refused, _)| refused_by(refused, region))?;
        match self.within(deadline, answer).await {
            Some(Ok(remembered)) => Ok(remembered),
            Some(Err(_)) => Err(Outcome::NoEffect.after_crash(region)),
            None => Err(RegionError::DeadlineExceeded),
        }
    }
}

impl Found {
    /// Together with the locks of `range` that are only remembered (the first ones, more than `limit` if
    /// there are more), at most `limit` of all. One that is stored counts before one that is remembered.
    fn with(self, remembered: Vec<LockInfo>, range: &KeyRange, limit: usize) -> Self {
        let is_seen = |key: &Key| self.rest.as_ref().is_none_or(|rest| *key < rest.start);
        let remembered = remembered.into_iter().filter(|lock| is_seen(&lock.key));
        let mut all: BTreeMap<Key, LockInfo> =
            remembered.map(|lock| (lock.key.clone(), lock)).collect();
        all.extend(self.locks.into_iter().map(|lock| (lock.key.clone(), lock)));
        let mut locks: Vec<LockInfo> = all.into_values().collect();
        if locks.len() <= limit {
            return Self { locks, rest: self.rest };
        }
        locks.truncate(limit);
        let start = locks.last().map_or_else(|| range.start.clone(), |lock| successor(&lock.key));
        Self { locks, rest: Some(KeyRange::new(start, range.end.clone())) }
    }
}

#[cfg(test)]
mod tests;
