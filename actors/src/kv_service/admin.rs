//! Status of a replica, questions to PD, traces.
use super::api::{CallOptions, Inner, KvService, ServiceError};
use super::ask::Failure;
use super::core::{Causes, Reaction, on_region_error, on_transport_error};
use crate::trace::{Span, WireSpan};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::future::Future;
use troupe_types::pd::{PdError, PdReply, PdRequest};
use troupe_types::request::{PeerStatus, RegionBody, RegionReply, RegionRequest, RegionTarget};
use troupe_types::{Code, Moment, NodeId, RegionEpoch, RegionId, StoreId};

impl KvService {
    /// What the replica of `region` on `store` says about itself.
    ///
    /// # Errors
    /// [`ServiceError`]; it is asked once, since another replica's word would be no answer.
    pub async fn status(
        &self,
        region: RegionId,
        store: StoreId,
        o: &CallOptions,
    ) -> Result<PeerStatus, ServiceError> {
        match self.0.ask_replica(region, store, RegionBody::Status, o).await? {
            RegionReply::Status(status) => Ok(*status),
            other => Err(ServiceError::unexpected(&other)),
        }
    }

    /// Takes the quarantined or halted replica of `region` on `store` back into service.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn release(
        &self,
        region: RegionId,
        store: StoreId,
        o: &CallOptions,
    ) -> Result<(), ServiceError> {
        match self.0.ask_replica(region, store, RegionBody::Release, o).await? {
            RegionReply::Released => Ok(()),
            other => Err(ServiceError::unexpected(&other)),
        }
    }

    /// Asks PD's leader.
    ///
    /// # Errors
    /// [`ServiceError`] with PD's own code, or `PD_UNAVAILABLE`.
    pub async fn pd(&self, request: PdRequest, deadline: Moment) -> Result<PdReply, ServiceError> {
        self.0.parts.pd.call(request, deadline).await.map_err(|error| {
            let mut causes = Causes::default();
            match error {
                PdError::Refused { code, detail } => ServiceError::new(code, detail, &causes),
                error @ (PdError::NotLeader { .. } | PdError::Unavailable { .. }) => {
                    causes.pd_error(&error);
                    ServiceError::new(Code::PdUnavailable, error.to_string(), &causes)
                }
            }
        })
    }

    /// The spans of one trace that the nodes keep, in the order of their wall clocks. Nodes that do
    /// not answer are left out.
    pub async fn trace(&self, id: u64, deadline: Moment) -> Vec<WireSpan> {
        let parts = &self.0.parts;
        let directory = parts.directory.load();
        let is_here = |node: &NodeId| {
            let mut stores = directory.stores.iter().filter(|(_, of)| *of == node);
            stores.any(|(store, _)| parts.local.has_store(*store))
        };
        let here = directory.nodes.keys().find(|node| is_here(node)).copied().unwrap_or_default();
        let local = parts.env.traces.trace(id);
        let mut spans: Vec<WireSpan> = local.iter().map(|span| span.to_wire(here.get())).collect();
        let others = directory.nodes.keys().filter(|node| **node != here);
        let mut asked: FuturesUnordered<_> =
            others.map(|node| parts.transport.fetch_trace(*node, id, deadline)).collect();
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(more) => spans.extend(more),
                Err(error) => tracing::debug!(%error, "a node keeps its spans to itself"),
            }
        }
        spans.sort_by_key(|span| (span.handled_ms, span.node, span.seq));
        spans
    }
}

impl Inner {
    async fn ask_replica(
        &self,
        region: RegionId,
        store: StoreId,
        body: RegionBody,
        o: &CallOptions,
    ) -> Result<RegionReply, ServiceError> {
        let mut causes = Causes::default();
        let is_known = self.parts.local.has_store(store)
            || self.parts.directory.load().stores.contains_key(&store);
        if !is_known {
            let detail = format!("no node runs store {store}");
            return Err(ServiceError::new(Code::StoreNotFound, detail, &causes));
        }
        // A replica is also asked when PD does not know its Region: that is when people ask.
        let shape = self.route_by_id(region, o.deadline, &mut causes).await.ok().flatten();
        let epoch = shape.map_or(RegionEpoch::default(), |shape| shape.epoch);
        let is_write = super::ask::is_write(&body);
        let target = RegionTarget { region, epoch };
        let request = RegionRequest { store, target, body, traces: o.tags.clone() };
        let failure = match self.dispatch(request, is_write, o).await {
            Ok(reply) => return Ok(reply),
            Err(failure) => failure,
        };
        let reaction = match &failure {
            Failure::Region(error) => {
                causes.region_error(region, error);
                on_region_error(error, is_write)
            }
            Failure::Transport(error) => {
                causes.transport_error(region, store.get(), error);
                on_transport_error(error, is_write)
            }
        };
        let code = match reaction {
            Reaction::Fail(code) => code,
            Reaction::RefreshRoute => Code::RegionNotFound,
            Reaction::BackOff { .. } => Code::ServerBusy,
            Reaction::AskLeader(_) | Reaction::NextReplica | Reaction::NewShape(_) => {
                Code::RegionUnavailable
            }
        };
        Err(self.failed(code, &failure, &causes))
    }

    /// Runs `work` and notes the service step in the request's traces.
    pub(super) async fn traced<T>(
        &self,
        name: &'static str,
        o: &CallOptions,
        work: impl Future<Output = T>,
    ) -> T {
        if o.tags.is_empty() {
            return work.await;
        }
        let env = &self.parts.env;
        let began = env.now();
        let result = work.await;
        let work_us = u64::try_from(env.now().since(began).as_micros()).unwrap_or(u64::MAX);
        for tag in o.tags.tags() {
            env.traces.push(Span {
                trace: tag.id,
                seq: 0,
                from: "gateway".to_owned(),
                to: "kv_service".to_owned(),
                message: name,
                sent: began,
                handled_at: env.clock.unix(),
                wait_us: 0,
                work_us,
            });
        }
        result
    }
}
