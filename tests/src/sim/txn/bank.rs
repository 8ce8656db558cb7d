//! Transfers between accounts. All accounts together always hold the same.
use super::draw::Draw;
use super::{Heard, TxnClients, fate_of, key};
use crate::sim::checkers::txn::bank::Balances;
use crate::sim::checkers::txn::book::Verdict;
use crate::sim::net::millis;
use crate::workload::txn::Fate;
use bytes::Bytes;
use std::time::Duration;
use troupe_actors::kv_service::{CallOptions, KvService};
use troupe_types::request::Consistency;
use troupe_types::txn::session::{
    Comparison, Condition, Idempotency, OneShot, TxnCompare, TxnMode, TxnOp,
};
use troupe_types::{Key, NodeId, Timestamp};

/// What each account holds at first.
const EACH: i64 = 100;

fn account(number: u32) -> Key {
    key("account", number)
}

fn balance(value: &[u8]) -> i64 {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).expect("a balance")
}

fn put(number: u32, balance: i64) -> TxnOp {
    TxnOp::Put { key: account(number), value: Bytes::from(balance.to_string()), ttl_ms: None }
}

impl TxnClients {
    fn total(&self) -> i64 {
        i64::from(self.mix.accounts) * EACH
    }

    /// Are all notes as promised?
    pub(super) fn verdict(&self) -> Verdict {
        self.book.borrow().verdict(self.total())
    }

    /// All accounts get their money at once. Before any fault.
    pub(super) async fn open_accounts(&self, draw: &mut Draw) {
        let request = OneShot {
            then: (0..self.mix.accounts).map(|number| put(number, EACH)).collect(),
            settings: self.settings(draw),
            idempotency: Some(Idempotency { key: "bank".to_owned(), fingerprint: 1 }),
            ..OneShot::default()
        };
        let node = NodeId(1);
        let is_done = || async {
            let request = request.clone();
            let call = |service: KvService, options: CallOptions| async move {
                service.txn_once(request, &options).await
            };
            let times = (millis(5_000), millis(5_000));
            matches!(self.call(node, times, Consistency::Leader, call).await, Heard::Answer(_))
        };
        self.world.until("accounts to be opened", Duration::from_secs(60), is_done).await;
    }

    pub(super) async fn bank_step(&self, client: u32, draw: &mut Draw) {
        match draw.below(100) {
            0..40 => self.count_money(draw).await,
            40..75 => self.transfer_by_add(client, draw).await,
            _ => self.transfer_by_version(client, draw).await,
        }
    }

    async fn count_money(&self, draw: &mut Draw) {
        let keys: Vec<Key> = (0..self.mix.accounts).map(account).collect();
        let invoked = self.book.borrow_mut().tick();
        let (node, seen) = self.snapshot(draw, &keys).await;
        let Some(seen) = seen else { return self.book.borrow_mut().count(Fate::Failed) };
        let how = format!("{:?} at {} by node {node}", seen.level, seen.read_ts);
        let holds = |key| seen.rows.get(key).map(|row| balance(&row.value));
        let accounts: Vec<Option<i64>> = keys.iter().map(holds).collect();
        self.note(node, format_args!("accounts, {how}: {accounts:?}"));
        self.stamp(&format!("accounts, {how}"), invoked, (seen.newest_ts(), None));
        let mut book = self.book.borrow_mut();
        book.saw_accounts(Balances { how, accounts });
        book.count(Fate::Committed);
    }

    /// Moves money if there is enough.
    async fn transfer_by_add(&self, client: u32, draw: &mut Draw) {
        let (pair, amount) = (draw.some(2, self.mix.accounts), 1 + draw.below(30));
        let amount = i64::try_from(amount).unwrap();
        let (from, to) = (account(pair[0]), account(pair[1]));
        let is_enough =
            TxnCompare { key: from.clone(), condition: Condition::Int(Comparison::Ge, amount) };
        let request = OneShot {
            conditions: vec![is_enough],
            then: vec![TxnOp::Add { key: from, by: -amount }, TxnOp::Add { key: to, by: amount }],
            settings: self.settings(draw),
            ..OneShot::default()
        };
        self.transfer(client, draw, request).await;
    }

    /// Reads two accounts, and replaces both if they are still as they were read.
    async fn transfer_by_version(&self, client: u32, draw: &mut Draw) {
        let (pair, amount) = (draw.some(2, self.mix.accounts), 1 + draw.below(30));
        let keys: Vec<Key> = pair.iter().map(|number| account(*number)).collect();
        let (_, Some(seen)) = self.snapshot(draw, &keys).await else { return };
        let row = |key: &Key| &seen.rows[key];
        let amount = balance(&row(&keys[0]).value).min(i64::try_from(amount).unwrap());
        let unchanged = |key: &Key| TxnCompare {
            key: key.clone(),
            condition: Condition::Version(Comparison::Eq, row(key).commit_ts),
        };
        let held = |key: &Key| balance(&row(key).value);
        let request = OneShot {
            conditions: keys.iter().map(unchanged).collect(),
            then: vec![
                put(pair[0], held(&keys[0]) - amount),
                put(pair[1], held(&keys[1]) + amount),
            ],
            settings: self.settings(draw),
            ..OneShot::default()
        };
        self.transfer(client, draw, request).await;
    }

    async fn transfer(&self, client: u32, draw: &mut Draw, mut request: OneShot) {
        let invoked = self.book.borrow_mut().tick();
        request.idempotency = draw.percent(30).then(|| Idempotency {
            key: format!("transfer-{client}-{invoked}"),
            fingerprint: invoked,
        });
        let (fate, outcome) = self.send(draw, &request).await;
        self.book.borrow_mut().count(fate);
        let Some(outcome) = outcome else { return };
        let wrote = outcome.succeeded || request.idempotency.is_some();
        let is_snapshot = request.settings.mode == TxnMode::Optimistic;
        let at: Timestamp = outcome.commit_ts;
        let times = match (wrote, is_snapshot) {
            (true, _) => (None, Some(at)),
            (false, true) => (Some(at), None),
            (false, false) => (None, None),
        };
        self.stamp(&format!("transfer by client {client}"), invoked, times);
    }

    /// All accounts through `node`, without a fault any more; answers whether it served.
    pub(super) async fn count_money_at_last(&self, node: NodeId, patience: Duration) -> bool {
        let keys: Vec<Key> = (0..self.mix.accounts).map(account).collect();
        let asked = keys.clone();
        let call = |service: KvService, options: CallOptions| async move {
            service.txn_batch_get(asked, None, &options).await
        };
        match self.call(node, (patience, patience * 2), Consistency::Leader, call).await {
            Heard::Answer((rows, read_ts)) => {
                let accounts =
                    rows.iter().map(|row| row.as_ref().map(|row| balance(&row.value))).collect();
                let how = format!("the end at {read_ts} by node {node}");
                self.book.borrow_mut().saw_accounts(Balances { how, accounts });
                true
            }
            Heard::Refused(error) => {
                let _ = fate_of(&error);
                false
            }
            Heard::Lost => false,
        }
    }
}
