//! Nodes and Stores: join, register, drain, remove.
use super::Turn;
use super::bootstrap::Registration;
use super::rows::{node_key, put, store_key};
use super::serving::{Serving, refuse};
use std::collections::BTreeSet;
use troupe_types::pd::{NodeInfo, PdError, PdReply, PdResult, StoreInfo, StoreState};
use troupe_types::{Code, Moment, NodeId, StoreId};

impl Serving {
    /// Lets a node in. The identities of its Stores decide whether it is new.
    pub(super) fn on_join(&mut self, mut node: NodeInfo, identities: &[u64]) -> PdResult {
        let cluster = self.cluster()?.cluster;
        let distinct: BTreeSet<u64> = identities.iter().copied().collect();
        if distinct.len() != identities.len() || identities.is_empty() || distinct.contains(&0) {
            return refuse(Code::BadParameter, "a node joins with one distinct identity a Store");
        }
        node.id = self.joining_node(&distinct)?;
        self.check_addresses(&node)?;
        let stores = identities.iter().map(|identity| self.join_store(node.id, *identity));
        let stores: Vec<StoreId> = stores.collect();
        self.put_node(node.clone());
        let directory = self.directory();
        Ok(PdReply::Joined { cluster, node: node.id, stores, directory })
    }

    /// The node that has a Store with one of the identities, or a new number.
    fn joining_node(&self, identities: &BTreeSet<u64>) -> Result<NodeId, PdError> {
        let mut node = None;
        for store in self.state.stores.values().filter(|s| identities.contains(&s.identity)) {
            if store.state == StoreState::Removed {
                let detail = format!("store {} was removed; join with an empty disk", store.id);
                return refuse(Code::StoreNotFound, detail);
            }
            if node.is_some_and(|node| node != store.node) {
                return refuse(Code::BadParameter, "these Stores belong to different nodes");
            }
            node = Some(store.node);
        }
        let next = self.state.nodes.last_key_value().map_or(NodeId(1), |(last, _)| last.next());
        Ok(node.unwrap_or(next))
    }

    fn join_store(&mut self, node: NodeId, identity: u64) -> StoreId {
        if let Some(known) = self.state.stores.values().find(|s| s.identity == identity) {
            return known.id;
        }
        let next = self.state.stores.last_key_value().map_or(StoreId(1), |(last, _)| last.next());
        self.put_store(StoreInfo {
            id: next,
            node,
            identity,
            state: StoreState::Up,
            labels: Vec::new(),
            bootstrapped: false,
        });
        next
    }

    /// No two living nodes share an address. A node whose Stores are all removed is not living.
    fn check_addresses(&self, node: &NodeInfo) -> Result<(), PdError> {
        for other in self.state.nodes.values().filter(|other| other.id != node.id) {
            let shares =
                other.grpc_address == node.grpc_address || other.http_address == node.http_address;
            let mut stores = self.state.stores.values().filter(|store| store.node == other.id);
            if shares && stores.any(|store| store.state != StoreState::Removed) {
                let detail = format!(
                    "node {} has an address of {} or {} already",
                    other.id, node.grpc_address, node.http_address
                );
                return refuse(Code::BadParameter, detail);
            }
        }
        Ok(())
    }

    /// A node started. Nothing is written if nothing changed.
    pub(super) fn on_register(
        &mut self,
        node: NodeInfo,
        stores: Vec<Registration>,
        turn: &mut Turn<'_>,
    ) -> PdResult {
        if !self.state.nodes.contains_key(&node.id) {
            return refuse(Code::NotFound, format!("there is no node {}", node.id));
        }
        self.check_addresses(&node)?;
        for (store, identity, _) in &stores {
            self.check_registration(node.id, *store, *identity)?;
        }
        for (id, _, labels) in stores {
            self.heard.touch(id, turn.now);
            if let Some(store) = self.state.stores.get(&id).filter(|s| s.labels != labels) {
                self.put_store(StoreInfo { labels, ..store.clone() });
            }
        }
        self.put_node(node);
        self.bootstrap_regions(turn);
        Ok(PdReply::Done)
    }

    fn check_registration(
        &self,
        node: NodeId,
        store: StoreId,
        identity: u64,
    ) -> Result<(), PdError> {
        let known = self.live_store(store)?;
        if known.identity != identity {
            let detail = format!("the disk of store {store} is another one than it was");
            return refuse(Code::BadParameter, detail);
        }
        if known.node != node {
            let detail = format!("store {store} belongs to node {}", known.node);
            return refuse(Code::BadParameter, detail);
        }
        Ok(())
    }

    /// A Store that is not removed.
    ///
    /// # Errors
    /// `STORE_NOT_FOUND`.
    pub(super) fn live_store(&self, id: StoreId) -> Result<&StoreInfo, PdError> {
        match self.state.stores.get(&id) {
            None => refuse(Code::StoreNotFound, format!("there is no store {id}")),
            Some(store) if store.state == StoreState::Removed => {
                refuse(Code::StoreNotFound, format!("store {id} was removed"))
            }
            Some(store) => Ok(store),
        }
    }

    /// From now on placement moves the replicas of the Store away.
    pub(super) fn on_drain_store(&mut self, id: StoreId) -> PdResult {
        let store = self.live_store(id)?;
        if store.state == StoreState::Up {
            self.put_store(StoreInfo { state: StoreState::Leaving, ..store.clone() });
        }
        Ok(PdReply::Done)
    }

    /// Forgets a Store, if every Region has said that it has no replica there.
    pub(super) fn on_remove_store(&mut self, id: StoreId, now: Moment) -> PdResult {
        let store = self.live_store(id)?.clone();
        if !self.routes.are_complete() {
            let why = "not all Regions have reported since the lead changed; ask again".to_owned();
            return Err(PdError::Unavailable { why });
        }
        let held = self.routes.replicas_on(id);
        let said = self.heard.stats(id).map_or(0, |stats| stats.regions);
        let is_alive = self.heard.is_alive(id, now, self.options.silent_after);
        if held > 0 || (is_alive && said > 0) {
            let detail = format!("store {id} still holds {} replicas", said.max(held as u64));
            return refuse(Code::StoreNotEmpty, detail);
        }
        if self.operators.moves_to(id) {
            return refuse(
                Code::OperatorConflict,
                format!("a replica is on its way to store {id}"),
            );
        }
        self.put_store(StoreInfo { state: StoreState::Removed, ..store });
        Ok(PdReply::Done)
    }

    pub(super) fn put_node(&mut self, node: NodeInfo) {
        if self.state.nodes.get(&node.id) != Some(&node) {
            self.writer.stage_member(put(node_key(node.id), &node));
            self.state.nodes.insert(node.id, node);
        }
    }

    pub(super) fn put_store(&mut self, store: StoreInfo) {
        self.writer.stage_member(put(store_key(store.id), &store));
        self.state.stores.insert(store.id, store);
    }
}
