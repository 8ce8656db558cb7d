//! A simulated cluster for transactions: commands straight to the leader of a key, and the clients of the
//! random runs without random faults.
use super::cluster::{Cluster, SECOND, in_cluster, millis, plan, sleep};
use bytes::Bytes;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;
use troupe_actors::kv_service::ServiceError;
use troupe_tests::sim::checkers::txn::book::Verdict;
use troupe_tests::sim::txn::TxnClients;
use troupe_types::key::txn_key;
use troupe_types::request::{RegionBody, RegionReply};
use troupe_types::txn::command::TxnReply;
use troupe_types::txn::session::{OneShot, OneShotOutcome, TxnMode};
use troupe_types::txn::{
    Assertion, Mutation, MutationOp, PessimisticAction, PessimisticLock, Prewrite, TxnCommand,
    TxnResult,
};
use troupe_types::{Key, KeyRange, NodeId, RegionId, Timestamp};

/// Keys in different Regions.
pub fn key(number: u8) -> Key {
    const FIRST_BYTES: [u8; 4] = [0x30, 0x41, 0x7a, 0xc3];
    txn_key(0, &[FIRST_BYTES[usize::from(number) % 4], b'-', b'0' + number])
}

/// A put of `value`.
pub fn put(key: &Key, value: &'static str) -> Mutation {
    Mutation {
        key: key.clone(),
        op: MutationOp::Put { value: Bytes::from_static(value.as_bytes()), expires_at: None },
        assertion: Assertion::None,
        pessimistic: PessimisticAction::Skip,
    }
}

/// Phase one of an optimistic transaction of `keys`, for the one at `place`. The first decides.
pub fn prewrite(keys: &[Key], place: usize, start_ts: Timestamp) -> Prewrite {
    Prewrite {
        mutations: vec![put(&keys[place], "new")],
        primary: keys[0].clone(),
        start_ts,
        lock_ttl_ms: 1,
        txn_size: keys.len() as u64,
        for_update_ts: Timestamp::ZERO,
        for_update_ts_checks: Vec::new(),
        min_commit_ts: start_ts.next(),
        max_commit_ts: Timestamp::ZERO,
        async_commit: None,
        try_one_pc: false,
    }
}

/// A lock on `key` before the prewrite.
pub fn lock(
    key: &Key,
    primary: &Key,
    (start_ts, for_update_ts): (Timestamp, Timestamp),
) -> TxnCommand {
    TxnCommand::PessimisticLock(PessimisticLock {
        keys: vec![(key.clone(), false)],
        primary: primary.clone(),
        start_ts,
        for_update_ts,
        lock_ttl_ms: 3_000,
        wait_ms: None,
        return_values: false,
        check_existence: false,
        lock_only_if_exists: false,
        allow_conflict: false,
        min_commit_ts: start_ts.next(),
    })
}

impl Cluster {
    /// The Region of a key, and the node that leads it.
    pub async fn led(&self, key: &Key) -> (RegionId, NodeId) {
        let find = || {
            let shapes = self.world.shapes().into_values();
            let region = shapes.into_iter().find(|shape| shape.range.contains(key))?.id;
            Some((region, self.holder(region)?))
        };
        self.until("a leader of the key", 10 * SECOND, || find().is_some()).await;
        find().expect("just seen")
    }

    /// Has the leader of `key` execute `command`.
    pub async fn tell(&self, key: &Key, command: TxnCommand) -> TxnResult {
        for _ in 0..50 {
            let (region, node) = self.led(key).await;
            let body = RegionBody::Txn(Box::new(command.clone()));
            match self.serve(node, (region, body), 5 * SECOND).await {
                Ok(RegionReply::Txn(answer)) => return *answer,
                Ok(other) => panic!("a command is answered {other:?}"),
                Err(_) => sleep(millis(100)).await,
            }
        }
        panic!("nobody executes {command:?}");
    }

    pub async fn prewritten(&self, key: &Key, command: Prewrite) -> (Timestamp, Timestamp) {
        match self.tell(key, TxnCommand::Prewrite(command)).await {
            Ok(TxnReply::Prewritten { min_commit_ts, one_pc_commit_ts }) => {
                (min_commit_ts, one_pc_commit_ts)
            }
            other => panic!("a prewrite is answered {other:?}"),
        }
    }

    pub async fn timestamp(&self) -> Timestamp {
        let options = self.options(NodeId(1), 10 * SECOND);
        self.service(NodeId(1)).timestamp(&options).await.expect("the oracle answers")
    }

    /// Values and commit timestamps of one snapshot.
    pub async fn values(
        &self,
        node: NodeId,
        keys: &[Key],
        at: Option<Timestamp>,
    ) -> (Vec<Option<(Bytes, Timestamp)>>, Timestamp) {
        let options = self.options(node, 20 * SECOND);
        let read = self.service(node).txn_batch_get(keys.to_vec(), at, &options).await;
        let (rows, read_ts) = read.expect("the read is served");
        (rows.into_iter().map(|row| row.map(|row| (row.value, row.commit_ts))).collect(), read_ts)
    }

    pub async fn once(
        &self,
        node: NodeId,
        request: OneShot,
        patience: Duration,
    ) -> Result<OneShotOutcome, ServiceError> {
        let options = self.options(node, patience);
        self.service(node).txn_once(request, &options).await
    }

    /// Locks that anybody would find.
    pub async fn locks(&self) -> usize {
        let options = self.options(NodeId(1), 10 * SECOND);
        let service = self.service(NodeId(1));
        let all = service.txn_locks(KeyRange::txn_space(), None, 100, &options);
        all.await.expect("locks are listed").0.len()
    }
}

/// Lets clients work while `act` runs, and judges what they saw.
pub fn under_load<F: Future<Output = ()>>(
    seed: u64,
    mode: Option<TxnMode>,
    act: impl FnOnce(Rc<Cluster>) -> F,
) -> Verdict {
    let found = Rc::new(std::cell::RefCell::new(Verdict::default()));
    let told = found.clone();
    in_cluster(plan(seed), |cluster| async move {
        let clients = TxnClients::start(&cluster.world, mode).await;
        act(cluster.clone()).await;
        clients.stop().await;
        *told.borrow_mut() = clients.finish().await;
    });
    found.take()
}
