//! Snapshots of some keys: of the present and the past, at leaders and followers, by keys, by scans, and
//! inside of transactions.
use super::draw::Draw;
use super::{Heard, TxnClients};
use crate::workload::txn::Level;
use std::collections::BTreeMap;
use troupe_actors::kv_service::{CallOptions, KvService, ScanOptions, ServiceError};
use troupe_types::txn::TxnRow;
use troupe_types::txn::session::{OneShot, TxnOp, TxnOpResult, TxnSettings};
use troupe_types::{Key, KeyRange, NodeId, Timestamp};

/// Rows that there were, as of when, and what was promised of them.
pub(super) struct Seen {
    pub(super) rows: BTreeMap<Key, TxnRow>,
    pub(super) read_ts: Timestamp,
    pub(super) level: Level,
}

impl Seen {
    /// The snapshot's timestamp, if it was of the present.
    pub(super) fn newest_ts(&self) -> Option<Timestamp> {
        (self.level != Level::Past).then_some(self.read_ts)
    }
}

/// How a snapshot is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    /// Key by key.
    Keys,
    /// All rows from the first key to the last, in pages.
    Scan { limit: u32, reverse: bool },
    /// By a transaction without changes.
    Once,
}

impl TxnClients {
    /// A snapshot of `keys` through any node, in any way.
    pub(super) async fn snapshot(&self, draw: &mut Draw, keys: &[Key]) -> (NodeId, Option<Seen>) {
        let way = match draw.below(10) {
            0..5 => Way::Keys,
            5..8 => Way::Scan { limit: draw.one_of(&[2, 5, 100]), reverse: draw.percent(50) },
            _ => Way::Once,
        };
        let at = match draw.percent(15) {
            true => self.past(draw),
            false => None,
        };
        let node = self.node(draw);
        (node, self.snapshot_by(node, draw, keys, (way, at)).await)
    }

    /// A timestamp that somebody has read or committed at.
    fn past(&self, draw: &mut Draw) -> Option<Timestamp> {
        const RECENT: usize = 60;
        let book = self.book.borrow();
        let known = book.stamps();
        let recent = &known[known.len().saturating_sub(RECENT)..];
        let all: Vec<Timestamp> = recent.iter().filter_map(|one| one.read_ts).collect();
        (!all.is_empty()).then(|| draw.one_of(&all))
    }

    pub(super) async fn snapshot_by(
        &self,
        node: NodeId,
        draw: &mut Draw,
        keys: &[Key],
        (way, at): (Way, Option<Timestamp>),
    ) -> Option<Seen> {
        let level = if at.is_some() { Level::Past } else { Level::Snapshot };
        let seen = |(rows, read_ts)| Seen { rows, read_ts, level };
        let keys = keys.to_vec();
        let heard = match way {
            Way::Once if at.is_none() => {
                let call = |service, options| by_once(service, options, keys);
                self.through(node, draw, call).await
            }
            Way::Scan { limit, reverse } => {
                let call = |service, options| by_scan(service, options, keys, (limit, reverse), at);
                self.through(node, draw, call).await
            }
            Way::Keys | Way::Once => {
                let call = |service, options| by_keys(service, options, keys, at);
                self.through(node, draw, call).await
            }
        };
        heard.answer().map(seen)
    }

    /// The newest value of one key, without a timestamp.
    pub(super) async fn newest(
        &self,
        node: NodeId,
        draw: &mut Draw,
        key: Key,
    ) -> Heard<Option<TxnRow>> {
        let call = |service: KvService, options: CallOptions| async move {
            service.txn_get(key, None, &options).await.map(|(row, _)| row)
        };
        self.through(node, draw, call).await
    }
}

type Rows = BTreeMap<Key, TxnRow>;

fn by_key(rows: impl IntoIterator<Item = TxnRow>) -> Rows {
    rows.into_iter().map(|row| (row.key.clone(), row)).collect()
}

async fn by_keys(
    service: KvService,
    options: CallOptions,
    keys: Vec<Key>,
    at: Option<Timestamp>,
) -> Result<(Rows, Timestamp), ServiceError> {
    let (rows, read_ts) = service.txn_batch_get(keys, at, &options).await?;
    Ok((by_key(rows.into_iter().flatten()), read_ts))
}

async fn by_scan(
    service: KvService,
    options: CallOptions,
    keys: Vec<Key>,
    (limit, reverse): (u32, bool),
    at: Option<Timestamp>,
) -> Result<(Rows, Timestamp), ServiceError> {
    let (first, last) = (keys.iter().min().unwrap(), keys.iter().max().unwrap());
    let mut left = Some(KeyRange::new(first.clone(), troupe_types::key::successor(last)));
    let (mut rows, mut at) = (Rows::new(), at);
    while let Some(range) = left {
        let scan = ScanOptions { limit, max_bytes: 1 << 20, reverse, keys_only: false };
        let page = service.txn_scan(range, scan, at, &options).await?;
        at = Some(page.read_ts);
        rows.extend(by_key(page.rows));
        left = page.rest;
    }
    rows.retain(|key, _| keys.contains(key));
    Ok((rows, at.unwrap()))
}

async fn by_once(
    service: KvService,
    options: CallOptions,
    keys: Vec<Key>,
) -> Result<(Rows, Timestamp), ServiceError> {
    let get = |key: Key| TxnOp::Get { key, for_update: false };
    let then = keys.into_iter().map(get).collect();
    let settings = TxnSettings::default();
    let outcome =
        service.txn_once(OneShot { then, settings, ..OneShot::default() }, &options).await?;
    let rows = outcome.results.into_iter().filter_map(|result| match result {
        TxnOpResult::Value(row) => row,
        other => panic!("a read answers {other:?}"),
    });
    Ok((by_key(rows), outcome.commit_ts))
}
