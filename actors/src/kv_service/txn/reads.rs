//! Reads of one snapshot, over any number of Regions. A lock in the way is resolved, or waited for.
use super::api::TxnScanPage;
use super::resolve::Look;
use crate::kv_service::api::Inner;
use crate::kv_service::core::Causes;
use crate::kv_service::ranges::left_of;
use crate::kv_service::reads::{COMMANDS_AT_ONCE, Read};
use crate::kv_service::{CallOptions, ScanOptions, ServedBy, ServiceError, StoppedBy};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::sync::Arc;
use troupe_types::txn::{LockInfo, TxnRow, TxnValue};
use troupe_types::{Key, KeyRange, ReadCommand, ReadReply, Timestamp};

/// What came of the keys of one Region.
struct Group {
    rows: Vec<(usize, Option<TxnRow>)>,
    /// Not read: the Region has another shape.
    left: Vec<usize>,
}

/// A page of one Region.
struct Part {
    rows: Vec<TxnRow>,
    rest: Option<KeyRange>,
}

impl Inner {
    pub(super) async fn txn_get_one(
        self: &Arc<Self>,
        key: Key,
        at: Option<Timestamp>,
        o: &CallOptions,
    ) -> Result<(Option<TxnRow>, ServedBy), ServiceError> {
        let ts = match at {
            Some(at) => self.read_ts(Some(at), o).await?,
            None => Timestamp::MAX,
        };
        let mut look = self.look(ts);
        let mut causes = Causes::default();
        loop {
            let command = ReadCommand::TxnGet { keys: vec![key.clone()], view: look.view() };
            match self.read(&key, &command, o, &mut causes).await? {
                Read::Reply(ReadReply::TxnValues(mut values), by) if values.len() == 1 => {
                    match values.pop() {
                        Some(TxnValue::Locked(lock)) => self.pass(&[*lock], &mut look, o).await?,
                        Some(TxnValue::Row(row)) => return Ok((row, by)),
                        None => return Ok((None, by)),
                    }
                }
                Read::Reply(other, _) => return Err(ServiceError::unexpected(&other)),
                Read::Blocked(lock) => self.pass(&[*lock], &mut look, o).await?,
                // One key is always inside one Region; only its route was replaced meanwhile.
                Read::Moved => {}
            }
        }
    }

    pub(super) async fn txn_get_many(
        self: &Arc<Self>,
        keys: Vec<Key>,
        at: Option<Timestamp>,
        o: &CallOptions,
    ) -> Result<(Vec<Option<TxnRow>>, Timestamp), ServiceError> {
        let ts = self.read_ts(at, o).await?;
        Ok((self.snapshot_rows(&keys, &self.look(ts), o).await?, ts))
    }

    /// Rows of `keys`, in their order; Regions are asked at the same time.
    pub(super) async fn snapshot_rows(
        self: &Arc<Self>,
        keys: &[Key],
        look: &Look,
        o: &CallOptions,
    ) -> Result<Vec<Option<TxnRow>>, ServiceError> {
        let mut rows: Vec<Option<TxnRow>> = vec![None; keys.len()];
        let mut causes = Causes::default();
        let mut groups = self.group_keys(keys, (0..keys.len()).collect(), o, &mut causes).await?;
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < COMMANDS_AT_ONCE
                && let Some(group) = groups.pop_front()
            {
                running.push(self.snapshot_group(keys, group, look.clone(), o));
            }
            let Some(group) = running.next().await else { return Ok(rows) };
            let group = group?;
            for (i, row) in group.rows {
                rows[i] = row;
            }
            if !group.left.is_empty() {
                groups.extend(self.group_keys(keys, group.left, o, &mut causes).await?);
            }
        }
    }

    async fn snapshot_group(
        self: &Arc<Self>,
        keys: &[Key],
        mut left: Vec<usize>,
        mut look: Look,
        o: &CallOptions,
    ) -> Result<Group, ServiceError> {
        let mut rows = Vec::with_capacity(left.len());
        let mut causes = Causes::default();
        while let Some(first) = left.first() {
            let anchor = keys[*first].clone();
            let wanted = left.iter().map(|i| keys[*i].clone()).collect();
            let command = ReadCommand::TxnGet { keys: wanted, view: look.view() };
            let mut locks: Vec<LockInfo> = Vec::new();
            match self.read(&anchor, &command, o, &mut causes).await? {
                Read::Reply(ReadReply::TxnValues(values), _) if values.len() == left.len() => {
                    let mut locked = Vec::new();
                    for (i, value) in left.into_iter().zip(values) {
                        match value {
                            TxnValue::Row(row) => rows.push((i, row)),
                            TxnValue::Locked(lock) => {
                                locks.push(*lock);
                                locked.push(i);
                            }
                        }
                    }
                    left = locked;
                }
                Read::Reply(other, _) => return Err(ServiceError::unexpected(&other)),
                Read::Blocked(lock) => locks.push(*lock),
                Read::Moved => break,
            }
            if !locks.is_empty() {
                self.pass(&locks, &mut look, o).await?;
            }
        }
        Ok(Group { rows, left })
    }

    pub(super) async fn txn_scan_page(
        self: &Arc<Self>,
        range: KeyRange,
        scan: ScanOptions,
        at: Option<Timestamp>,
        o: &CallOptions,
    ) -> Result<TxnScanPage, ServiceError> {
        let ts = self.read_ts(at, o).await?;
        self.snapshot_scan(range, scan, &mut self.look(ts), o).await
    }

    /// A page of rows of `range` as `look` sees them.
    pub(super) async fn snapshot_scan(
        self: &Arc<Self>,
        range: KeyRange,
        scan: ScanOptions,
        look: &mut Look,
        o: &CallOptions,
    ) -> Result<TxnScanPage, ServiceError> {
        let read_ts = look.ts();
        let page = |rows, rest, stopped_by| TxnScanPage { rows, rest, stopped_by, read_ts };
        let space = KeyRange::txn_space();
        let Some(mut left) = range.intersect(&space).filter(|_| scan.limit > 0) else {
            return Ok(page(Vec::new(), None, StoppedBy::End));
        };
        let mut causes = Causes::default();
        let (mut rows, mut bytes) = (Vec::new(), 0);
        loop {
            let limit = scan.limit - u32::try_from(rows.len()).unwrap_or(scan.limit);
            if limit == 0 {
                return Ok(page(rows, Some(left), StoppedBy::Limit));
            }
            if bytes >= scan.max_bytes && !rows.is_empty() {
                return Ok(page(rows, Some(left), StoppedBy::Bytes));
            }
            let max_bytes = scan.max_bytes.saturating_sub(bytes).max(1);
            let options = ScanOptions { limit, max_bytes, ..scan };
            let part = self.snapshot_part(&left, options, (look, &mut causes), o).await?;
            bytes += part.rows.iter().map(row_bytes).sum::<u64>();
            rows.extend(part.rows);
            match part.rest {
                Some(rest) => left = rest,
                None => return Ok(page(rows, None, StoppedBy::End)),
            }
        }
    }

    /// Rows of the first (in scan order) Region of `range`, and what is left of the whole. Without
    /// rows if a lock had to be passed first.
    async fn snapshot_part(
        self: &Arc<Self>,
        range: &KeyRange,
        scan: ScanOptions,
        (look, causes): (&mut Look, &mut Causes),
        o: &CallOptions,
    ) -> Result<Part, ServiceError> {
        let ScanOptions { limit, max_bytes, reverse, keys_only } = scan;
        loop {
            let route = self.first_route(range, reverse, o, causes).await?;
            let Some(part) = range.intersect(&route.region.range) else {
                // The route was replaced between two looks at it.
                continue;
            };
            let command = ReadCommand::TxnScan {
                range: part.clone(),
                view: look.view(),
                limit,
                max_bytes,
                reverse,
                keys_only,
            };
            match self.read(&part.start, &command, o, causes).await? {
                Read::Reply(ReadReply::TxnRows { rows, rest, lock }, _) => {
                    if let Some(lock) = lock {
                        self.pass(&[*lock], look, o).await?;
                    }
                    return Ok(Part { rows, rest: left_of(range, &part, rest, reverse) });
                }
                Read::Reply(other, _) => return Err(ServiceError::unexpected(&other)),
                Read::Blocked(lock) => self.pass(&[*lock], look, o).await?,
                Read::Moved => {}
            }
        }
    }
}

/// Bytes of a row that count against a page.
pub(super) fn row_bytes(row: &TxnRow) -> u64 {
    (row.key.len() + row.value.len()) as u64
}
