//! The steps of a transaction, and its state between them.
//!
//! An optimistic transaction reads its snapshot at `start_ts`. A pessimistic one locks what it will
//! change, and reads that under the lock at a newer timestamp: nobody commits there meanwhile.
use super::core::buffer::{Occupied, WriteBuffer, Written};
use super::core::reads::{RangeRead, ReadSet, version, versions};
use super::core::{eval, plan};
use super::reads::row_bytes;
use crate::kv_service::api::Inner;
use crate::kv_service::core::Causes;
use crate::kv_service::{CallOptions, ScanOptions, ServiceError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use troupe_types::key::successor;
use troupe_types::txn::session::{TxnIsolation, TxnMode, TxnOp, TxnOpResult, TxnSettings};
use troupe_types::txn::{TxnError, TxnRow};
use troupe_types::{Code, Key, KeyRange, Moment, Timestamp, UnixMillis};

/// Most bytes of the writes of a transaction in one request; gateways allow less.
const BUFFER_BYTES: usize = 64 << 20;
/// Most bytes of the rows that one scan answers.
const SCAN_BYTES: u64 = 8 << 20;

/// Rows of keys, as others committed them.
pub(crate) type Known = BTreeMap<Key, Option<TxnRow>>;

/// A transaction between its steps.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) settings: TxnSettings,
    pub(crate) start_ts: Timestamp,
    /// Commits up to this one are seen under locks; equal to `start_ts` before the first.
    pub(crate) for_update_ts: Timestamp,
    /// When `start_ts` was had, by the clock of this node.
    pub(crate) began: Moment,
    pub(crate) buffer: WriteBuffer,
    /// Most bytes of the buffer.
    pub(crate) buffer_bytes: usize,
    pub(crate) reads: ReadSet,
    /// Keys that are locked.
    pub(crate) locked: BTreeSet<Key>,
    /// These, and keys whose lock was asked for without a clear answer.
    pub(crate) may_be_locked: BTreeSet<Key>,
    /// When the time to live of the primary's lock was last set.
    pub(crate) beaten: Moment,
    /// The key that decides, once it is settled.
    pub(crate) primary: Option<Key>,
}

impl Transaction {
    pub(crate) fn new(settings: TxnSettings, start_ts: Timestamp, began: Moment) -> Self {
        Self {
            settings,
            start_ts,
            for_update_ts: start_ts,
            began,
            buffer: WriteBuffer::default(),
            buffer_bytes: BUFFER_BYTES,
            reads: ReadSet::default(),
            locked: BTreeSet::new(),
            may_be_locked: BTreeSet::new(),
            beaten: began,
            primary: None,
        }
    }

    pub(crate) fn is_pessimistic(&self) -> bool {
        self.settings.mode == TxnMode::Pessimistic
    }

    pub(crate) fn is_serializable(&self) -> bool {
        self.settings.isolation == TxnIsolation::Serializable
    }

    /// How long it waits for others' locks.
    pub(crate) fn lock_wait_ms(&self) -> u64 {
        const DEFAULT_MS: u64 = 1_000;
        self.settings.lock_wait_ms.unwrap_or(DEFAULT_MS)
    }

    /// The time to live of a lock that shall live for `ttl_ms` from `now` on: it counts from the
    /// begin of the transaction.
    pub(crate) fn ttl_from(&self, now: Moment, ttl_ms: u64) -> u64 {
        let age = u64::try_from(now.since(self.began).as_millis()).unwrap_or(u64::MAX);
        age.saturating_add(ttl_ms)
    }

    fn expiry(&self, ttl_ms: Option<u64>) -> Option<UnixMillis> {
        ttl_ms.map(|ttl| UnixMillis(self.start_ts.physical_ms().saturating_add(ttl)))
    }

    /// What is at `key`, as it sees it. Notes what it learns of others' commits.
    pub(crate) fn row(&mut self, key: &Key, known: &Known) -> Option<TxnRow> {
        if let Some(written) = self.buffer.written(key) {
            return written.row(key);
        }
        let row = known.get(key).cloned().flatten();
        if self.is_serializable() && !self.locked.contains(key) {
            self.reads.note_point(key.clone(), version(row.as_ref()));
        }
        row
    }

    fn check_size(&self) -> Result<(), ServiceError> {
        let (written, allowed) = (self.buffer.bytes(), self.buffer_bytes);
        if written <= allowed {
            return Ok(());
        }
        let detail = format!("{written} bytes are written, {allowed} are allowed");
        Err(Inner::error(Code::TooLarge, detail))
    }
}

/// Keys that steps read one by one.
fn read_keys(ops: &[TxnOp], pessimistic: bool) -> Vec<Key> {
    let key = |op: &TxnOp| match op {
        TxnOp::Get { key, .. } | TxnOp::Add { key, .. } => Some(key.clone()),
        // Checked under the lock; without one, at the prewrite.
        TxnOp::Insert { key, .. } => pessimistic.then(|| key.clone()),
        TxnOp::Scan { .. } | TxnOp::Put { .. } | TxnOp::Delete { .. } | TxnOp::Lock { .. } => None,
    };
    ops.iter().filter_map(key).collect()
}

/// Keys that a pessimistic transaction locks for steps.
fn lock_keys(ops: &[TxnOp]) -> Vec<Key> {
    let keys = |op: &TxnOp| match op {
        TxnOp::Get { key, for_update: true }
        | TxnOp::Add { key, .. }
        | TxnOp::Insert { key, .. }
        | TxnOp::Put { key, .. }
        | TxnOp::Delete { key } => vec![key.clone()],
        TxnOp::Lock { keys, wait_ms: None } => keys.clone(),
        TxnOp::Get { .. } | TxnOp::Scan { .. } | TxnOp::Lock { .. } => Vec::new(),
    };
    ops.iter().flat_map(keys).collect()
}

impl Inner {
    /// Locks (if pessimistic) and reads, in one go, what `ops` and `conditions` need.
    pub(crate) async fn prepare(
        self: &Arc<Self>,
        txn: &mut Transaction,
        ops: &[TxnOp],
        conditions: &[Key],
        o: &CallOptions,
    ) -> Result<Known, ServiceError> {
        let pessimistic = txn.is_pessimistic();
        if pessimistic {
            let mut wanted = lock_keys(ops);
            wanted.extend(conditions.iter().cloned());
            let wait_ms = txn.lock_wait_ms();
            self.lock(txn, wanted, wait_ms, o).await?;
            for op in ops {
                if let TxnOp::Lock { keys, wait_ms: Some(wait_ms) } = op {
                    self.lock(txn, keys.clone(), *wait_ms, o).await?;
                }
            }
        }
        let mut keys = read_keys(ops, pessimistic);
        keys.extend(conditions.iter().cloned());
        keys.retain(|key| txn.buffer.written(key).is_none());
        keys.sort();
        keys.dedup();
        let (locked, free): (Vec<Key>, Vec<Key>) =
            keys.into_iter().partition(|key| txn.locked.contains(key));
        let mut known = Known::new();
        for (keys, ts) in [(locked, txn.for_update_ts), (free, txn.start_ts)] {
            if keys.is_empty() {
                continue;
            }
            let look = self.look(ts).bypassing(txn.start_ts);
            let rows = self.snapshot_rows(&keys, &look, o).await?;
            known.extend(keys.into_iter().zip(rows));
        }
        Ok(known)
    }

    /// Runs `ops`, for which `known` was prepared.
    pub(crate) async fn run_steps(
        self: &Arc<Self>,
        txn: &mut Transaction,
        ops: &[TxnOp],
        known: &Known,
        o: &CallOptions,
    ) -> Result<Vec<TxnOpResult>, ServiceError> {
        let mut results = Vec::with_capacity(ops.len());
        for op in ops {
            results.push(self.run_step(txn, op, known, o).await?);
            txn.check_size()?;
        }
        Ok(results)
    }

    async fn run_step(
        self: &Arc<Self>,
        txn: &mut Transaction,
        op: &TxnOp,
        known: &Known,
        o: &CallOptions,
    ) -> Result<TxnOpResult, ServiceError> {
        match op {
            TxnOp::Get { key, for_update } => {
                let row = txn.row(key, known);
                if *for_update {
                    txn.buffer.guard(key.clone());
                }
                Ok(TxnOpResult::Value(row))
            }
            TxnOp::Scan { range, limit, reverse, keys_only } => {
                let scan = ScanOptions {
                    limit: *limit,
                    max_bytes: SCAN_BYTES,
                    reverse: *reverse,
                    keys_only: *keys_only,
                };
                self.scan_step(txn, range.clone(), scan, o).await
            }
            TxnOp::Put { key, value, ttl_ms } => {
                let expires_at = txn.expiry(*ttl_ms);
                let written = Written::Value { value: value.clone(), expires_at };
                txn.buffer.write(key.clone(), written);
                Ok(TxnOpResult::Done)
            }
            TxnOp::Insert { key, value, ttl_ms } => {
                let expires_at = txn.expiry(*ttl_ms);
                let is_taken = txn.is_pessimistic()
                    && txn.buffer.written(key).is_none()
                    && known.get(key).is_some_and(Option::is_some);
                let inserted = if is_taken {
                    Err(Occupied)
                } else {
                    txn.buffer.insert(key.clone(), value.clone(), expires_at)
                };
                inserted.map_err(|Occupied| exists(txn, key))?;
                Ok(TxnOpResult::Done)
            }
            TxnOp::Delete { key } => {
                txn.buffer.write(key.clone(), Written::Deleted);
                Ok(TxnOpResult::Done)
            }
            TxnOp::Add { key, by } => {
                let row = txn.row(key, known);
                let value = eval::sum(row.as_ref(), *by)
                    .map_err(|error| Self::error(Code::NotAnInteger, error.to_string()))?;
                let expires_at = row.and_then(|row| row.expires_at);
                let written = Written::Value { value, expires_at };
                let sum = written.row(key);
                txn.buffer.write(key.clone(), written);
                Ok(TxnOpResult::Value(sum))
            }
            TxnOp::Lock { keys, .. } => {
                keys.iter().for_each(|key| txn.buffer.guard(key.clone()));
                Ok(TxnOpResult::Done)
            }
        }
    }

    /// Rows of a range as the transaction sees them: what others committed, under what it wrote.
    async fn scan_step(
        self: &Arc<Self>,
        txn: &mut Transaction,
        range: KeyRange,
        scan: ScanOptions,
        o: &CallOptions,
    ) -> Result<TxnOpResult, ServiceError> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        let mut left = Some(range);
        let mut look = self.look(txn.start_ts).bypassing(txn.start_ts);
        while let Some(range) = left.clone() {
            let page = self.snapshot_scan(range.clone(), scan, &mut look, o).await?;
            let covered = covered(&range, page.rest.as_ref(), scan.reverse);
            if txn.is_serializable() {
                let rows = versions(&page.rows, scan.reverse);
                txn.reads.note_range(RangeRead { range: covered.clone(), rows });
            }
            left = page.rest;
            for mut row in txn.buffer.overlay(page.rows, &covered, scan.reverse) {
                if rows.len() == scan.limit as usize || bytes >= SCAN_BYTES {
                    let rest = beyond(&rows, left, &covered, scan.reverse);
                    return Ok(TxnOpResult::Rows { rows, rest });
                }
                if scan.keys_only {
                    row.value.clear();
                }
                bytes += row_bytes(&row);
                rows.push(row);
            }
            if rows.len() >= scan.limit as usize {
                break;
            }
        }
        Ok(TxnOpResult::Rows { rows, rest: left })
    }
}

/// The part of `range` that a page with this `rest` has seen.
fn covered(range: &KeyRange, rest: Option<&KeyRange>, reverse: bool) -> KeyRange {
    match rest {
        None => range.clone(),
        Some(rest) if reverse => KeyRange::new(rest.end.clone(), range.end.clone()),
        Some(rest) => KeyRange::new(range.start.clone(), rest.start.clone()),
    }
}

/// What is left behind the last of `rows`, when more of `covered` was seen than was wanted.
fn beyond(
    rows: &[TxnRow],
    left: Option<KeyRange>,
    covered: &KeyRange,
    reverse: bool,
) -> Option<KeyRange> {
    let Some(last) = rows.last() else { return left };
    let rest = if reverse {
        let start = left.map_or_else(|| covered.start.clone(), |left| left.start);
        KeyRange::new(start, last.key.clone())
    } else {
        let end = left.map_or_else(|| covered.end.clone(), |left| left.end);
        KeyRange::new(successor(&last.key), end)
    };
    (!rest.is_empty()).then_some(rest)
}

fn exists(txn: &Transaction, key: &Key) -> ServiceError {
    let error = TxnError::AlreadyExists { key: key.clone(), existing_start_ts: txn.start_ts };
    ServiceError::of_txn(error, &Causes::default())
}

/// How long a lock lives at first, and after each heartbeat.
pub(crate) const LOCK_TTL_MS: u64 = plan::LONGEST_TTL_MS;
