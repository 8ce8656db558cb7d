//! Lists that are read and appended to, by transactions of one request.
use super::draw::Draw;
use super::reads::Seen;
use super::{Heard, TxnClients, Values, fate_of, key};
use crate::sim::checkers::txn::book::{ListEnd, ListId};
use crate::workload::txn::{Fate, Level, ListStep, ListTxn};
use bytes::Bytes;
use std::collections::BTreeMap;
use troupe_types::txn::TxnRow;
use troupe_types::txn::session::{
    Comparison, Condition, Idempotency, OneShot, OneShotOutcome, TxnCompare, TxnIsolation, TxnMode,
    TxnOp, TxnOpResult, TxnSettings,
};
use troupe_types::{Key, NodeId, Timestamp};

/// What a list is under its key.
pub(super) fn to_bytes(list: &[u64]) -> Bytes {
    let numbers: Vec<String> = list.iter().map(ToString::to_string).collect();
    Bytes::from(numbers.join(","))
}

fn from_bytes(value: &[u8]) -> Vec<u64> {
    let text = std::str::from_utf8(value).expect("a client's list");
    text.split(',').map(|number| number.parse().expect("a client's number")).collect()
}

/// A list that is not there is empty.
pub(super) fn list_of(row: Option<&TxnRow>) -> Vec<u64> {
    row.map(|row| from_bytes(&row.value)).unwrap_or_default()
}

pub(super) fn list_key(number: u32) -> Key {
    key("list", number)
}

/// What a transaction of one request does: numbers of lists.
struct Order {
    /// Read, and appended to.
    appends: Vec<(u32, u64)>,
    /// Only read.
    reads: Vec<u32>,
    /// The lists as they were before.
    before: BTreeMap<u32, Vec<u64>>,
    request: OneShot,
    level: Level,
}

impl TxnClients {
    pub(super) async fn list_step(&self, draw: &mut Draw, values: &mut Values) {
        match draw.below(100) {
            0..8 => self.read_newest(draw, values.client).await,
            8..30 => {
                self.read_lists(draw, values.client).await;
            }
            30..75 => self.append_once(draw, values).await,
            _ => self.append_in_session(draw, values).await,
        }
    }

    pub(super) fn list_txn(&self, client: u32, level: Level, steps: Vec<ListStep>) -> ListId {
        self.book.borrow_mut().begin(ListTxn::begun(client, level, steps))
    }

    pub(super) fn end_list(&self, node: NodeId, id: ListId, fate: Fate, end: ListEnd) {
        let mut book = self.book.borrow_mut();
        let txn = book.end(id, fate, end);
        self.world.log.note(node, format_args!("{txn}"));
    }

    /// The newest version of one list, without a timestamp.
    async fn read_newest(&self, draw: &mut Draw, client: u32) {
        let list = draw.some(1, self.mix.lists)[0];
        let node = self.node(draw);
        let id = self.list_txn(client, Level::Snapshot, Vec::new());
        match self.newest(node, draw, list_key(list)).await {
            Heard::Answer(row) => {
                let steps = Some(vec![ListStep::Read(list, list_of(row.as_ref()))]);
                self.end_list(node, id, Fate::Committed, ListEnd { steps, ..ListEnd::default() });
            }
            Heard::Refused(error) => {
                let _ = fate_of(&error);
                self.end_list(node, id, Fate::Failed, ListEnd::default());
            }
            Heard::Lost => self.end_list(node, id, Fate::Failed, ListEnd::default()),
        }
    }

    /// A snapshot of some lists.
    async fn read_lists(&self, draw: &mut Draw, client: u32) {
        let count = draw.one_of(&[1, 2, self.mix.lists]);
        let lists = draw.some(count, self.mix.lists);
        let _ = self.look_at_lists(draw, client, &lists).await;
    }

    pub(super) async fn look_at_lists(
        &self,
        draw: &mut Draw,
        client: u32,
        lists: &[u32],
    ) -> Option<Seen> {
        let id = self.list_txn(client, Level::Snapshot, Vec::new());
        let keys: Vec<Key> = lists.iter().map(|list| list_key(*list)).collect();
        let (node, seen) = self.snapshot(draw, &keys).await;
        self.saw_lists(node, id, lists, seen.as_ref());
        seen
    }

    pub(super) fn saw_lists(&self, node: NodeId, id: ListId, lists: &[u32], seen: Option<&Seen>) {
        let Some(seen) = seen else {
            self.end_list(node, id, Fate::Failed, ListEnd::default());
            return;
        };
        let read = |list: &u32| ListStep::Read(*list, list_of(seen.rows.get(&list_key(*list))));
        let steps = Some(lists.iter().map(read).collect());
        self.book.borrow_mut().relevel(id, seen.level);
        let end = ListEnd { steps, read_ts: Some(seen.read_ts), commit_ts: None };
        self.end_list(node, id, Fate::Committed, end);
    }

    /// Appends to lists, on the condition that they are as they were a moment ago; otherwise reads them.
    async fn append_once(&self, draw: &mut Draw, values: &mut Values) {
        let count = draw.one_of(&[1, 2, 2, 3]);
        let lists = draw.some(count, self.mix.lists);
        let Some(before) = self.look_at_lists(draw, values.client, &lists).await else { return };
        let order = self.order(draw, values, &lists, &before);
        let appends = order.appends.iter().map(|(list, value)| ListStep::Append(*list, *value));
        let id = self.list_txn(values.client, order.level, appends.collect());
        let node = self.node(draw);
        let (fate, outcome) = self.send(draw, &order.request).await;
        let end = outcome.map_or_else(ListEnd::default, |outcome| order.end(outcome));
        self.end_list(node, id, fate, end);
    }

    fn order(&self, draw: &mut Draw, values: &mut Values, lists: &[u32], seen: &Seen) -> Order {
        let split = 1 + usize::try_from(draw.below(lists.len() as u64)).unwrap();
        let (written, reads) = lists.split_at(split);
        let appends: Vec<(u32, u64)> = written.iter().map(|l| (*l, values.next())).collect();
        let settings = self.settings(draw);
        let pessimistic = settings.mode == TxnMode::Pessimistic;
        // A pessimistic transaction does not mix reads under locks with others.
        let for_update = pessimistic || draw.percent(30);
        let is_serializable = settings.isolation == TxnIsolation::Serializable || for_update;
        let row = |list: u32| seen.rows.get(&list_key(list));
        let condition = |list: &u32| TxnCompare {
            key: list_key(*list),
            condition: Condition::Version(
                Comparison::Eq,
                row(*list).map_or(Timestamp::ZERO, |row| row.commit_ts),
            ),
        };
        let get = |list: &u32| TxnOp::Get { key: list_key(*list), for_update };
        let put = |(list, value): &(u32, u64)| TxnOp::Put {
            key: list_key(*list),
            value: to_bytes(&[list_of(row(*list)), vec![*value]].concat()),
            ttl_ms: None,
        };
        let own = |(list, _): &(u32, u64)| get(list);
        let then: Vec<TxnOp> = reads.iter().map(get).chain(appends.iter().map(put)).collect();
        let idempotency = draw.percent(40).then(|| Idempotency {
            key: format!("append-{}", appends[0].1),
            fingerprint: appends[0].1,
        });
        Order {
            before: written.iter().map(|list| (*list, list_of(row(*list)))).collect(),
            reads: reads.to_vec(),
            request: OneShot {
                conditions: written.iter().map(condition).collect(),
                then: then.into_iter().chain(appends.iter().map(own)).collect(),
                otherwise: written.iter().map(get).collect(),
                settings,
                idempotency,
            },
            level: if is_serializable { Level::Serializable } else { Level::Snapshot },
            appends,
        }
    }
}

fn read_by(list: u32, result: &TxnOpResult) -> ListStep {
    match result {
        TxnOpResult::Value(row) => ListStep::Read(list, list_of(row.as_ref())),
        other => panic!("a read answers {other:?}"),
    }
}

impl Order {
    fn end(&self, outcome: OneShotOutcome) -> ListEnd {
        let commit_ts = outcome.commit_ts;
        let results = &outcome.results;
        if outcome.succeeded {
            // The conditions held: so the lists were as before.
            let known = self.before.iter().map(|(list, old)| ListStep::Read(*list, old.clone()));
            let read = self.reads.iter().zip(results).map(|(list, result)| read_by(*list, result));
            let appended = self.appends.iter().map(|(list, v)| ListStep::Append(*list, *v));
            let own = results[self.reads.len() + self.appends.len()..].iter();
            let seen = self.appends.iter().zip(own).map(|((list, _), own)| read_by(*list, own));
            let steps = known.chain(read).chain(appended).chain(seen).collect();
            return ListEnd { steps: Some(steps), read_ts: None, commit_ts: Some(commit_ts) };
        }
        let lists = self.appends.iter().map(|(list, _)| *list);
        let steps = lists.zip(results).map(|(list, result)| read_by(list, result)).collect();
        let OneShot { idempotency, settings: TxnSettings { mode, .. }, .. } = &self.request;
        // It had nothing to commit but a record of the request; without that, what it tells is its
        // snapshot, unless it read under locks.
        let (read_ts, commit_ts) = match (idempotency, mode) {
            (Some(_), _) => (None, Some(commit_ts)),
            (None, TxnMode::Optimistic) => (Some(commit_ts), None),
            (None, TxnMode::Pessimistic) => (None, None),
        };
        ListEnd { steps: Some(steps), read_ts, commit_ts }
    }
}
