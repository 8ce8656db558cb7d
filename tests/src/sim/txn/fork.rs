//! Keys that are written once, each by a transaction of its own that knows nothing of the others; and
//! readers of whole groups of them.
use super::draw::Draw;
use super::{TxnClients, key};
use crate::sim::checkers::txn::fork::Sight;
use crate::workload::txn::Fate;
use bytes::Bytes;
use std::collections::BTreeSet;
use troupe_types::Key;
use troupe_types::txn::session::{OneShot, TxnMode, TxnOp};

/// Keys of a group: one in each Region.
const GROUP: u32 = 4;

fn group_keys(group: u32) -> Vec<(u32, Key)> {
    (group * GROUP..(group + 1) * GROUP).map(|number| (number, key("fork", number))).collect()
}

impl TxnClients {
    pub(super) async fn fork_step(&self, client: u32, draw: &mut Draw) {
        if draw.percent(40) {
            self.write_once(client, draw).await;
        } else {
            self.look_at_group(client, draw).await;
        }
    }

    async fn write_once(&self, client: u32, draw: &mut Draw) {
        let number = self.forked.replace(self.forked.get() + 1);
        let invoked = self.book.borrow_mut().tick();
        let put =
            TxnOp::Put { key: key("fork", number), value: Bytes::from_static(b"x"), ttl_ms: None };
        let mut settings = self.settings(draw);
        settings.mode = TxnMode::Optimistic;
        let request = OneShot { then: vec![put], settings, ..OneShot::default() };
        let (fate, outcome) = self.send(draw, &request).await;
        self.book.borrow_mut().count(fate);
        let commit_ts = outcome.map(|outcome| outcome.commit_ts);
        self.stamp(
            &format!("write of key {number} by client {client}"),
            invoked,
            (None, commit_ts),
        );
    }

    async fn look_at_group(&self, client: u32, draw: &mut Draw) {
        let newest = self.forked.get().saturating_sub(1) / GROUP;
        let group = newest.saturating_sub(u32::from(draw.percent(20)));
        let keys = group_keys(group);
        let asked: Vec<Key> = keys.iter().map(|(_, key)| key.clone()).collect();
        let invoked = self.book.borrow_mut().tick();
        let (node, seen) = self.snapshot(draw, &asked).await;
        let Some(seen) = seen else { return self.book.borrow_mut().count(Fate::Failed) };
        let is_there = |(_, key): &&(u32, Key)| seen.rows.contains_key(key);
        let written: BTreeSet<u32> = keys.iter().filter(is_there).map(|(n, _)| *n).collect();
        let who = format!("client {client} by node {node}, {:?} at {}", seen.level, seen.read_ts);
        self.note(node, format_args!("group {group}, {who}: {written:?}"));
        self.stamp(&who, invoked, (seen.newest_ts(), None));
        let mut book = self.book.borrow_mut();
        book.saw_group(Sight { group, written, who });
        book.count(Fate::Committed);
    }
}
