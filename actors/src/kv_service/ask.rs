//! One request to one Region, tried until its deadline.
use super::api::{CallOptions, Inner, ServedBy, ServiceError};
use super::core::{Causes, Pauses, Reaction, Route, on_region_error, on_transport_error};
use crate::trace;
use crate::transport::TransportError;
use std::sync::PoisonError;
use std::time::Duration;
use troupe_types::error::UnknownReason;
use troupe_types::request::{RegionBody, RegionReply, RegionRequest, RegionTarget};
use troupe_types::{Code, Key, Moment, Peer, RegionError};

/// How a request to one Region ended.
pub(super) enum Answered {
    /// With this reply.
    Reply(RegionReply, ServedBy),
    /// Not at all: the keys are no longer in one Region. It had no effect.
    Moved,
}

/// Why one attempt failed.
pub(super) enum Failure {
    Region(RegionError),
    Transport(TransportError),
}

/// What a Region on this node may take beyond the deadline before it is taken for hung.
const GRACE: Duration = Duration::from_millis(500);

/// Which replica is asked next.
#[derive(Default)]
struct Turn {
    hint: Option<Peer>,
    turn: usize,
}

impl Turn {
    fn pick(&mut self, route: &Route) -> Option<Peer> {
        let peers = &route.region.peers;
        let rotated = || peers.get(self.turn % peers.len().max(1)).copied();
        self.hint.take().or(route.leader).or_else(rotated)
    }
}

impl Inner {
    /// Asks the leader of the Region that holds `anchor`. `body` must fit into that Region.
    pub(super) async fn ask(
        &self,
        anchor: &Key,
        body: &RegionBody,
        o: &CallOptions,
        causes: &mut Causes,
    ) -> Result<Answered, ServiceError> {
        let is_write = is_write(body);
        let mut pauses = Pauses::default();
        let mut turn = Turn::default();
        loop {
            if self.parts.env.now() >= o.deadline {
                return Err(self.out_of_time(causes));
            }
            let Ok(route) = self.route(anchor, o.deadline, causes).await else {
                self.pause(pauses.next(&Reaction::RefreshRoute), o.deadline).await;
                continue;
            };
            if !is_inside(body, &route) {
                return Ok(Answered::Moved);
            }
            let Some(peer) = turn.pick(&route) else {
                self.forget_route(route.region.id, route.region.epoch);
                self.pause(pauses.next(&Reaction::RefreshRoute), o.deadline).await;
                continue;
            };
            let failure = match self.send(&route, peer, body.clone(), o).await {
                Ok(reply) => {
                    let region = route.region.id;
                    if route.leader != Some(peer) {
                        self.learn_leader(region, Some(peer));
                    }
                    return Ok(Answered::Reply(reply, ServedBy { store: peer.store, region }));
                }
                Err(failure) => failure,
            };
            let reaction = note(&failure, &route, peer, is_write, causes);
            if let Reaction::Fail(code) = &reaction {
                return Err(self.failed(*code, &failure, causes));
            }
            if causes.is_tired_of_unsynced() {
                return Err(self.failed(Code::NotReady, &failure, causes));
            }
            self.react(&reaction, &route, peer, &mut turn);
            self.pause(pauses.next(&reaction), o.deadline).await;
        }
    }

    fn react(&self, reaction: &Reaction, route: &Route, peer: Peer, turn: &mut Turn) {
        let region = &route.region;
        match reaction {
            Reaction::AskLeader(leader) => {
                self.learn_leader(region.id, Some(*leader));
                turn.hint = Some(*leader);
            }
            Reaction::NextReplica => {
                if route.leader == Some(peer) {
                    self.learn_leader(region.id, None);
                }
                turn.turn += 1;
                // All replicas were asked: perhaps they live elsewhere by now.
                if turn.turn.is_multiple_of(region.peers.len().max(1)) {
                    self.forget_route(region.id, region.epoch);
                }
            }
            Reaction::NewShape(shape) => {
                self.forget_route(region.id, region.epoch);
                self.learn_shape(shape.clone());
            }
            Reaction::RefreshRoute => {
                self.forget_route(region.id, region.epoch);
                turn.turn += 1;
            }
            Reaction::BackOff { .. } | Reaction::Fail(_) => {}
        }
    }

    /// One attempt at one replica.
    pub(super) async fn send(
        &self,
        route: &Route,
        peer: Peer,
        body: RegionBody,
        o: &CallOptions,
    ) -> Result<RegionReply, Failure> {
        // What became of a command of a transaction is not known either when its time is up.
        let is_write = is_write(&body) || matches!(body, RegionBody::Txn(_));
        let target = RegionTarget { region: route.region.id, epoch: route.region.epoch };
        let traces = o.tags.clone();
        let request = RegionRequest { store: peer.store, target, body, traces };
        self.dispatch(request, is_write, o).await
    }

    /// One attempt at one Store, here or elsewhere.
    pub(super) async fn dispatch(
        &self,
        request: RegionRequest,
        is_write: bool,
        o: &CallOptions,
    ) -> Result<RegionReply, Failure> {
        let parts = &self.parts;
        let tags = o.tags.clone();
        if !parts.local.has_store(request.store) {
            let call = trace::with_tags(tags, || parts.transport.call_region(request, o.deadline));
            let answer = call.await.map_err(Failure::Transport)?;
            return answer.map_err(Failure::Region);
        }
        let serving = trace::with_tags(tags, || parts.local.serve(request, o.deadline));
        let patience = o.deadline.since(parts.env.now()) + GRACE;
        tokio::select! {
            biased;
            answer = serving => answer.map_err(Failure::Region),
            () = parts.env.spawner.sleep(patience) => Err(Failure::Region(if is_write {
                RegionError::OutcomeUnknown { why: UnknownReason::Deadline }
            } else {
                RegionError::DeadlineExceeded
            })),
        }
    }

    /// Waits about `wait`, but not beyond `deadline`.
    pub(super) async fn pause(&self, wait: Duration, deadline: Moment) {
        if wait.is_zero() {
            return;
        }
        let nanos = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX).max(2);
        let spread = {
            let mut jitter = self.jitter.lock().unwrap_or_else(PoisonError::into_inner);
            Duration::from_nanos(nanos / 2 + jitter.between(0, nanos))
        };
        let env = &self.parts.env;
        env.spawner.sleep(spread.min(deadline.since(env.now()))).await;
    }

    /// The deadline has come, and the request had no effect.
    pub(super) fn out_of_time(&self, causes: &Causes) -> ServiceError {
        let code = causes.code_at_deadline();
        let detail = match causes.lines().last() {
            Some(last) => format!("the deadline passed; last: {last}"),
            None => "the deadline passed before the request was sent".to_owned(),
        };
        ServiceError::new(code, detail, causes)
    }

    /// Asking again is useless or not allowed.
    pub(super) fn failed(&self, code: Code, failure: &Failure, causes: &Causes) -> ServiceError {
        if code == Code::DeadlineExceeded {
            return self.out_of_time(causes);
        }
        let detail = match failure {
            Failure::Region(error) => error.to_string(),
            Failure::Transport(error) => error.to_string(),
        };
        ServiceError::new(code, detail, causes)
    }
}

/// Notes what happened and says how to go on.
pub(super) fn note(
    failure: &Failure,
    route: &Route,
    peer: Peer,
    is_write: bool,
    causes: &mut Causes,
) -> Reaction {
    match failure {
        Failure::Region(error) => {
            causes.region_error(route.region.id, error);
            on_region_error(error, is_write)
        }
        Failure::Transport(error) => {
            causes.transport_error(route.region.id, peer.store.get(), error);
            on_transport_error(error, is_write)
        }
    }
}

/// May sending it twice do harm?
pub(super) fn is_write(body: &RegionBody) -> bool {
    match body {
        RegionBody::Write(_)
        | RegionBody::Admin(_)
        | RegionBody::Release
        | RegionBody::Session(_) => true,
        // Commands of transactions find what an earlier delivery did, and answer the same.
        RegionBody::Read { .. }
        | RegionBody::Status
        | RegionBody::ReadIndex
        | RegionBody::ReadAt { .. }
        | RegionBody::Txn(_)
        | RegionBody::SnapshotReadIndex { .. }
        | RegionBody::Detect(_)
        | RegionBody::LastLocks { .. }
        | RegionBody::LockWaits => false,
    }
}

fn is_inside(body: &RegionBody, route: &Route) -> bool {
    let range = &route.region.range;
    match body {
        RegionBody::Read { command, .. } | RegionBody::ReadAt { command, .. } => {
            command.is_inside(range)
        }
        RegionBody::Write(command) => command.is_inside(range),
        RegionBody::Txn(command) => command.is_inside(range),
        RegionBody::LastLocks { range: part, .. } => range.covers(part),
        RegionBody::SnapshotReadIndex { ranges, .. } => {
            ranges.iter().all(|part| range.covers(part))
        }
        RegionBody::Admin(_)
        | RegionBody::Status
        | RegionBody::ReadIndex
        | RegionBody::Release
        | RegionBody::Detect(_)
        | RegionBody::Session(_)
        | RegionBody::LockWaits => true,
    }
}
