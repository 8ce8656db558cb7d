//! What garbage collection asks of the coordinator: locks from before a safe point end, and values that
//! have ended are removed.
use super::locks::by_txn;
use super::tell::at_leaders;
use crate::kv_service::api::Inner;
use crate::kv_service::ask::Answered;
use crate::kv_service::core::Causes;
use crate::kv_service::ranges::left_of;
use crate::kv_service::{CallOptions, ServiceError};
use std::sync::Arc;
use troupe_types::request::{RegionBody, RegionReply};
use troupe_types::txn::LockInfo;
use troupe_types::txn::session::{Condition, OneShot, TxnCompare, TxnOp};
use troupe_types::{Code, Key, KeyRange, ReadCommand, ReadReply, Timestamp, UnixMillis};

/// Locks looked at in one go.
const LOCKS_AT_ONCE: u32 = 256;
/// Values removed in one go.
const VALUES_AT_ONCE: u32 = 128;
/// Records that one look for ended values passes.
pub(crate) const ROWS_AT_ONCE: u32 = 10_000;

/// What one step of a walk over the transactional space did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// Locks resolved, or values removed.
    pub done: u64,
    /// What is left of the range; `None` at its end.
    pub rest: Option<KeyRange>,
}

impl Inner {
    /// Ends the transactions that began below `safe_point` and have locks in the first part of `range`.
    /// Nobody may prewrite for them any more, so one that has not committed is rolled back, dead or not.
    pub(super) async fn resolve_below(
        self: &Arc<Self>,
        range: KeyRange,
        safe_point: Timestamp,
        o: &CallOptions,
    ) -> Result<Walked, ServiceError> {
        let o = &at_leaders(o);
        let (locks, rest) = self.last_locks(&range, safe_point, o).await?;
        let mut done = 0;
        for locks in by_txn(locks) {
            let first = &locks[0];
            let fate = self.fate_at(first, Timestamp::ZERO, Timestamp::MAX, o).await?;
            if !self.resolve_txn(&locks, fate, o).await? {
                let detail = format!("transaction {} does not end", first.start_ts);
                return Err(Self::error(Code::LockWaitTimeout, detail));
            }
            done += locks.len() as u64;
        }
        Ok(Walked { done, rest })
    }

    async fn last_locks(
        &self,
        range: &KeyRange,
        safe_point: Timestamp,
        o: &CallOptions,
    ) -> Result<(Vec<LockInfo>, Option<KeyRange>), ServiceError> {
        let mut causes = Causes::default();
        loop {
            let route = self.route_or_wait(&range.start, o, &mut causes).await?;
            let Some(part) = range.intersect(&route.region.range) else {
                // The route was replaced between two looks at it.
                continue;
            };
            let limit = LOCKS_AT_ONCE;
            let body = RegionBody::LastLocks { range: part.clone(), safe_point, limit };
            match self.ask(&part.start, &body, o, &mut causes).await? {
                Answered::Reply(RegionReply::Read(ReadReply::Locks { locks, rest }), _) => {
                    return Ok((locks, left_of(range, &part, rest, false)));
                }
                Answered::Reply(other, _) => return Err(ServiceError::unexpected(&other)),
                Answered::Moved => {}
            }
        }
    }

    /// Removes values of the first part of `range` that have ended.
    ///
    /// Each is removed by a transaction that finds no value at its snapshot. Its read keeps others from
    /// committing below that snapshot, and its prewrite fails if somebody has committed above, so a
    /// value that was stored meanwhile is not touched.
    pub(super) async fn remove_ended(
        self: &Arc<Self>,
        range: KeyRange,
        o: &CallOptions,
    ) -> Result<Walked, ServiceError> {
        let o = &at_leaders(o);
        let now = UnixMillis(self.timestamp(o).await?.physical_ms());
        let (limit, max_rows) = (VALUES_AT_ONCE, ROWS_AT_ONCE);
        let make = move |range| ReadCommand::ScanExpired { range, now, limit, max_rows };
        let (reply, part) = self.ask_first(&range, &make, o).await?;
        let ReadReply::Expired { keys, rest } = reply else {
            return Err(ServiceError::unexpected(&reply));
        };
        let rest = left_of(&range, &part, rest, false);
        let keys: Vec<Key> = keys.into_iter().map(|(key, _)| key).collect();
        let mut done = 0;
        if self.remove_absent(&keys, o).await? {
            done = keys.len() as u64;
        } else {
            for key in keys {
                done += u64::from(self.remove_absent(&[key], o).await?);
            }
        }
        Ok(Walked { done, rest })
    }

    /// Deletes `keys` if none of them has a value.
    async fn remove_absent(
        self: &Arc<Self>,
        keys: &[Key],
        o: &CallOptions,
    ) -> Result<bool, ServiceError> {
        if keys.is_empty() {
            return Ok(true);
        }
        let absent =
            |key: &Key| TxnCompare { key: key.clone(), condition: Condition::Exists(false) };
        let request = OneShot {
            conditions: keys.iter().map(absent).collect(),
            then: keys.iter().map(|key| TxnOp::Delete { key: key.clone() }).collect(),
            ..OneShot::default()
        };
        Ok(self.run_once(request, o).await?.succeeded)
    }
}
