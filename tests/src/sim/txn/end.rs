//! The last look: all faults are over, so everything is served, no lock is left, and all that the
//! clients saw was as promised.
use super::lists::{list_key, list_of, to_bytes};
use super::{Heard, TxnClients, fate_of};
use crate::sim::checkers::txn::book::{ListEnd, Verdict};
use crate::sim::world::World;
use crate::workload::txn::{Fate, Level, ListStep};
use std::future::ready;
use std::ops::ControlFlow;
use std::time::Duration;
use troupe_actors::kv_service::{CallOptions, KvService};
use troupe_storage::engine::{Cf, KvEngine};
use troupe_types::request::Consistency;
use troupe_types::txn::session::{Comparison, Condition, OneShot, TxnCompare, TxnOp};
use troupe_types::{Key, KeyRange, NodeId, Timestamp};

/// Longest virtual time until everything serves.
const LIVENESS: Duration = Duration::from_secs(30);
/// Longest virtual time until no lock is left: one lives for twenty seconds, and an interactive
/// transaction whose client is gone keeps its locks until it has idled for long enough.
const NO_LOCKS: Duration = Duration::from_secs(90);
/// A run with fewer committed transactions shows little.
const LEAST: usize = 40;
/// The client of the last look.
const LAST: u32 = 1_000;

impl TxnClients {
    /// Lets the clients end after what they do now, once enough has been done: many are refused under
    /// faults, and all work when those are over.
    ///
    /// # Panics
    /// Transactions do not work.
    pub async fn stop(&self) {
        let has_enough = || ready(self.counts().committed > LEAST);
        self.world.until("transactions to commit", LIVENESS, has_enough).await;
        self.is_over.set(true);
    }

    /// Waits until all clients have ended, then looks at everything through every node.
    ///
    /// # Panics
    /// A promise was broken.
    pub async fn finish(&self) -> Verdict {
        let is_idle = || ready(self.running.get() == 0);
        self.world.until("clients of transactions to end", LIVENESS, is_idle).await;
        assert_eq!(*self.broken.borrow(), Vec::<String>::new(), "clients expect what they hear");
        for node in self.world.ids() {
            self.serve_everything(node).await;
        }
        self.until_no_lock_is_left().await;
        let verdict = self.verdict();
        assert_eq!(verdict.wrong, Vec::<String>::new(), "transactions are as promised");
        verdict
    }

    async fn serve_everything(&self, node: NodeId) {
        let money = || self.count_money_at_last(node, LIVENESS / 3);
        self.world.until(&format!("accounts through node {node}"), LIVENESS, money).await;
        let lists = || self.read_all_lists(node);
        self.world.until(&format!("lists through node {node}"), LIVENESS, lists).await;
        for list in 0..self.mix.lists {
            let value = u64::from(LAST) * 1_000_000 + node.get() * 1_000 + u64::from(list);
            let append = || self.append_at_last(node, list, value);
            let what = format!("an append to list {list} through node {node}");
            self.world.until(&what, LIVENESS, append).await;
        }
    }

    async fn at_last<T, F: Future<Output = Result<T, troupe_actors::kv_service::ServiceError>>>(
        &self,
        node: NodeId,
        call: impl FnOnce(KvService, CallOptions) -> F,
    ) -> Option<T> {
        let patience = (LIVENESS / 3, LIVENESS / 2);
        match self.call(node, patience, Consistency::Leader, call).await {
            Heard::Answer(answer) => Some(answer),
            Heard::Refused(error) => {
                assert_eq!(fate_of(&error), Fate::Failed, "no fault is left: {error}");
                None
            }
            Heard::Lost => panic!("no fault is left that would lose an answer of node {node}"),
        }
    }

    async fn read_all_lists(&self, node: NodeId) -> bool {
        let lists: Vec<u32> = (0..self.mix.lists).collect();
        let keys: Vec<Key> = lists.iter().map(|list| list_key(*list)).collect();
        let id = self.list_txn(LAST, Level::Snapshot, Vec::new());
        let call = |service: KvService, options: CallOptions| async move {
            service.txn_batch_get(keys, None, &options).await
        };
        let Some((rows, read_ts)) = self.at_last(node, call).await else {
            self.end_list(node, id, Fate::Failed, ListEnd::default());
            return false;
        };
        let read = |(list, row): (&u32, &Option<_>)| ListStep::Read(*list, list_of(row.as_ref()));
        let steps = Some(lists.iter().zip(&rows).map(read).collect());
        let end = ListEnd { steps, read_ts: Some(read_ts), commit_ts: None };
        self.end_list(node, id, Fate::Committed, end);
        true
    }

    async fn append_at_last(&self, node: NodeId, list: u32, value: u64) -> bool {
        let key = list_key(list);
        let get = key.clone();
        let id = self.list_txn(LAST, Level::Serializable, Vec::new());
        let call = |service: KvService, options: CallOptions| async move {
            let (row, _) = service.txn_get(get.clone(), None, &options).await?;
            let version = row.as_ref().map_or(Timestamp::ZERO, |row| row.commit_ts);
            let old = list_of(row.as_ref());
            let is_unchanged = Condition::Version(Comparison::Eq, version);
            let put = TxnOp::Put {
                key: get.clone(),
                value: to_bytes(&[old.clone(), vec![value]].concat()),
                ttl_ms: None,
            };
            let request = OneShot {
                conditions: vec![TxnCompare { key: get, condition: is_unchanged }],
                then: vec![put],
                ..OneShot::default()
            };
            Ok((service.txn_once(request, &options).await?, old))
        };
        let done = self.at_last(node, call).await.filter(|(outcome, _)| outcome.succeeded);
        let Some((outcome, old)) = done else {
            self.end_list(node, id, Fate::Failed, ListEnd::default());
            return false;
        };
        let steps = vec![ListStep::Read(list, old), ListStep::Append(list, value)];
        let commit_ts = Some(outcome.commit_ts);
        let end = ListEnd { steps: Some(steps), read_ts: None, commit_ts };
        self.end_list(node, id, Fate::Committed, end);
        true
    }

    /// Everybody may remove what dead transactions left.
    async fn until_no_lock_is_left(&self) {
        let is_clean = || async {
            let node = self.world.ids()[0];
            let call = |service: KvService, options: CallOptions| async move {
                let space = KeyRange::txn_space();
                service.txn_resolve_locks(space.clone(), None, &options).await?;
                service.txn_locks(space, None, 10, &options).await
            };
            let listed = self.at_last(node, call).await;
            let is_clean = listed.is_some_and(|(locks, rest)| locks.is_empty() && rest.is_none());
            if !is_clean {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            is_clean && locks_on_disk(&self.world) == 0
        };
        self.world.until("locks to be resolved", NO_LOCKS, is_clean).await;
    }
}

/// Rows of locks on the disks of all nodes.
fn locks_on_disk(world: &World) -> u64 {
    let range = KeyRange::txn_space().data_range();
    let count = |node: NodeId| {
        let snapshot = world.with_node(node, |node| node.disk.engine.snapshot());
        let mut rows = 0;
        let scanned = snapshot.scan(Cf::Lock, &range, false, &mut |_, _| {
            rows += 1;
            ControlFlow::Continue(())
        });
        scanned.expect("the memory twin reads");
        rows
    };
    world.ids().into_iter().map(count).sum()
}
