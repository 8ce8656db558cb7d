//! A client of interactive transactions.
use super::cluster::{Cluster, SECOND, millis, sleep};
use std::time::Duration;
use troupe_actors::kv_service::{CallOptions, KvService, ServiceError};
use troupe_tests::sim::node::Plan;
use troupe_types::key::txn_key;
use troupe_types::pd::{PdReply, PdRequest};
use troupe_types::request::Consistency;
use troupe_types::txn::session::{
    SessionPhase, SessionReply, SessionRequest, SessionState, TxnId, TxnMode, TxnOp, TxnOpResult,
    TxnSettings,
};
use troupe_types::{Code, Key, KeyRange, NodeId, TraceTags};

/// A cluster that keeps old versions for as long as a real one.
pub fn plan(seed: u64) -> Plan {
    Plan { gc_life_time: 600 * SECOND, ..super::cluster::plan(seed) }
}

pub fn k(text: &str) -> Key {
    txn_key(0, text.as_bytes())
}

pub fn put(key: &str, value: &str) -> TxnOp {
    TxnOp::Put { key: k(key), value: value.to_owned().into(), ttl_ms: None }
}

pub fn get(key: &str) -> TxnOp {
    TxnOp::Get { key: k(key), for_update: false }
}

pub fn pessimistic() -> TxnSettings {
    TxnSettings { mode: TxnMode::Pessimistic, ..TxnSettings::default() }
}

/// The text of a row that a step answered.
pub fn text(result: &TxnOpResult) -> Option<String> {
    match result {
        TxnOpResult::Value(row) => {
            row.as_ref().map(|row| String::from_utf8(row.value.to_vec()).unwrap())
        }
        other => panic!("{other:?} is no row"),
    }
}

pub fn options(service: &KvService, patience: Duration) -> CallOptions {
    let deadline = service.env().now().after(patience);
    CallOptions { deadline, consistency: Consistency::Leader, tags: TraceTags::NONE }
}

impl Cluster {
    /// Asks through `node`.
    pub async fn session(
        &self,
        node: NodeId,
        request: SessionRequest,
    ) -> Result<SessionReply, ServiceError> {
        let service = self.service(node);
        service.session(request, &options(&service, 10 * SECOND)).await
    }

    pub async fn begin(&self, node: NodeId, settings: TxnSettings) -> TxnId {
        self.begin_for(node, settings, 30_000).await
    }

    pub async fn begin_for(&self, node: NodeId, settings: TxnSettings, idle_ms: u64) -> TxnId {
        match self.session(node, SessionRequest::Begin { settings, idle_ms }).await {
            Ok(SessionReply::State(state)) => state.id,
            other => panic!("{other:?}"),
        }
    }

    pub async fn ops(
        &self,
        node: NodeId,
        id: TxnId,
        ops: Vec<TxnOp>,
    ) -> Result<Vec<TxnOpResult>, Code> {
        match self.session(node, SessionRequest::Ops { id, ops }).await {
            Ok(SessionReply::Results(results)) => Ok(results),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.code),
        }
    }

    pub async fn state_after(
        &self,
        node: NodeId,
        request: SessionRequest,
    ) -> Result<SessionState, Code> {
        match self.session(node, request).await {
            Ok(SessionReply::State(state)) => Ok(state),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.code),
        }
    }

    pub async fn commit(&self, node: NodeId, id: TxnId) -> Result<SessionPhase, Code> {
        let request = SessionRequest::Commit { id, idempotency: None };
        self.state_after(node, request).await.map(|state| state.phase)
    }

    pub async fn rollback(&self, node: NodeId, id: TxnId) -> Result<SessionPhase, Code> {
        self.state_after(node, SessionRequest::Rollback { id }).await.map(|state| state.phase)
    }

    pub async fn phase(&self, node: NodeId, id: TxnId) -> Result<SessionPhase, Code> {
        self.state_after(node, SessionRequest::Status { id }).await.map(|state| state.phase)
    }

    /// The committed value, as others read it.
    pub async fn value(&self, node: NodeId, key: &str) -> Option<String> {
        let service = self.service(node);
        let (row, _) =
            service.txn_get(k(key), None, &options(&service, 60 * SECOND)).await.unwrap();
        row.map(|row| String::from_utf8(row.value.to_vec()).unwrap())
    }

    /// Who leads the Region of `key`.
    pub async fn leader_of(&self, key: &Key) -> NodeId {
        for _ in 0..50 {
            let service = self.service(NodeId(1));
            let request = PdRequest::RegionByKey { key: key.clone() };
            let deadline = service.env().now().after(SECOND);
            if let Ok(PdReply::Routes(routes)) = service.pd(request, deadline).await
                && let Some(leader) = routes.first().and_then(|route| route.leader)
            {
                return NodeId(leader.store.get());
            }
            sleep(millis(100)).await;
        }
        panic!("PD names no leader");
    }

    /// Waits until no lock is left.
    pub async fn wait_until_unlocked(&self, node: NodeId) {
        for _ in 0..600 {
            let service = self.service(node);
            let o = options(&service, 10 * SECOND);
            let locks = service.txn_locks(KeyRange::txn_space(), None, 10, &o).await;
            if locks.is_ok_and(|(locks, _)| locks.is_empty()) {
                return;
            }
            sleep(millis(100)).await;
        }
        panic!("locks stay");
    }
}
