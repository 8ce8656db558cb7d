//! Keys whose newest value has ended: what the one who removes them looks for.
use super::keys::{Ordered, stored_key};
use super::reader::{Reader, Version};
use super::view::has_ended;
use super::walk::{Route, Sink, walk};
use crate::engine::KvSnapshot;
use crate::error::StorageError;
use std::ops::ControlFlow;
use troupe_types::txn::WriteKind;
use troupe_types::{Key, KeyRange, ReadReply, Timestamp, UnixMillis};

/// Unlocked keys of the range whose newest committed value has ended at `now`: at most `limit`, by
/// looking at no more than about `max_rows` records.
///
/// # Errors
/// Reading failed, or a row does not decode.
pub fn scan_expired(
    snapshot: &dyn KvSnapshot,
    range: &KeyRange,
    now: UnixMillis,
    (limit, max_rows): (u32, u32),
) -> Result<ReadReply, StorageError> {
    let reader = Reader::new(snapshot);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
    let mut page = Expired { reader, now, limit, keys: Vec::new() };
    let max_rows = u64::from(max_rows.max(1));
    let route = Route { range, newest: Timestamp::MAX, reverse: false, max_rows };
    let rest = walk(reader, &route, &mut page)?;
    Ok(ReadReply::Expired { keys: page.keys, rest })
}

struct Expired<'a> {
    reader: Reader<'a>,
    now: UnixMillis,
    limit: usize,
    keys: Vec<(Key, Timestamp)>,
}

impl Sink for Expired<'_> {
    fn take(&mut self, key: &[u8], newest: Version) -> Result<ControlFlow<()>, StorageError> {
        if self.keys.len() >= self.limit {
            return Ok(ControlFlow::Break(()));
        }
        let record = &newest.record;
        let ended = record.kind == WriteKind::Put && has_ended(record.expires_at, self.now);
        if ended && self.reader.lock(&Ordered::from_encoded(key))?.is_none() {
            self.keys.push((stored_key(key)?, newest.commit_ts));
        }
        Ok(ControlFlow::Continue(()))
    }
}
