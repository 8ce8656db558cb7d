//! Serves region-scoped requests on the Stores of this node: the one way in, for the gateways of this
//! node and for those of others.
//!
//! A read at the leader runs where it is asked, with no message to the replica, while the lease lasts
//! (see `../router.rs`). Scans and checksums run on the read pool.
use super::inbox::LocalStores;
use super::{ReleaseReplica, StoreHandle};
use crate::cell::{Message, On, Refused, ReplyTo};
use crate::node::RegionService;
use crate::region_peer::{
    AdminRequest, AppliedQuery, ProposeWrite, ReadIndexQuery, RegionPeer, StatusQuery,
};
use crate::router::PeerHandle;
use crate::trace;
use futures::future::BoxFuture;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;
use troupe_storage::engine::KvSnapshot;
use troupe_storage::region_state::apply_state_in;
use troupe_storage::{failure, read};
use troupe_types::error::{BusyReason, NotReadyReason, UnknownReason};
use troupe_types::request::{
    AdminCommand, Consistency, RegionBody, RegionReply, RegionRequest, RegionResult, RegionTarget,
};
use troupe_types::{LogIndex, Moment, ReadCommand, RegionError, StoreId, WriteCommand};

mod locks;
mod txn;

#[cfg(test)]
mod tests;

/// Point reads of at most so many keys run in place.
const KEYS_IN_PLACE: usize = 16;

impl RegionService for LocalStores {
    fn has_store(&self, store: StoreId) -> bool {
        self.get(store).is_some()
    }

    fn serve(&self, request: RegionRequest, deadline: Moment) -> BoxFuture<'static, RegionResult> {
        let Some(store) = self.get(request.store).cloned() else {
            return Box::pin(async { Err(RegionError::WrongRecipient) });
        };
        let stores = self.clone();
        let served = async move {
            let RegionRequest { target, body, .. } = request;
            match body {
                RegionBody::Read {
                    command: ReadCommand::ScanLocks { range, max_ts, limit },
                    consistency: Consistency::Leader,
                } => store.all_locks(target, (range, max_ts, limit), deadline).await,
                RegionBody::Read { command, consistency } => {
                    store.read(target, command, consistency, deadline).await
                }
                RegionBody::Write(command) => store.write(target, command, deadline).await,
                RegionBody::Admin(command) => store.admin(target, command, deadline).await,
                RegionBody::Status => {
                    let handle = store.peer(target)?;
                    store
                        .ask(&handle, deadline, Outcome::NoEffect, |reply| StatusQuery { reply })
                        .await
                }
                RegionBody::ReadIndex => {
                    let handle = store.peer(target)?;
                    let index = store.read_index(&handle, deadline).await?;
                    Ok(RegionReply::ReadIndex(index))
                }
                RegionBody::ReadAt { command, index } => {
                    store.read_at(target, command, index, deadline).await
                }
                RegionBody::Release => store.release(target, deadline).await,
                RegionBody::Txn(command) => store.txn(target, *command, deadline).await,
                RegionBody::SnapshotReadIndex { ranges, view } => {
                    store.snapshot_read_index(target, ranges, *view, deadline).await
                }
                RegionBody::Detect(request) => store.detect(target, request),
                RegionBody::Session(request) => stores.session(target, *request, deadline).await,
                RegionBody::LastLocks { range, safe_point, limit } => {
                    store.last_locks(target, (range, safe_point, limit), deadline).await
                }
                RegionBody::LockWaits => store.lock_waits(target, deadline).await,
            }
        };
        Box::pin(trace::scoped(trace::current().tags, served))
    }
}

/// What is known of a request whose answer never came.
#[derive(Clone, Copy)]
enum Outcome {
    NoEffect,
    Unknown,
}

impl Outcome {
    fn after_crash(self, region: troupe_types::RegionId) -> RegionError {
        match self {
            Self::NoEffect => RegionError::NotReady { region, why: NotReadyReason::Restarting },
            Self::Unknown => RegionError::OutcomeUnknown { why: UnknownReason::ActorCrashed },
        }
    }

    fn after_deadline(self) -> RegionError {
        match self {
            Self::NoEffect => RegionError::DeadlineExceeded,
            Self::Unknown => RegionError::OutcomeUnknown { why: UnknownReason::Deadline },
        }
    }
}

impl StoreHandle {
    fn peer(&self, target: RegionTarget) -> Result<PeerHandle, RegionError> {
        let RegionTarget { region, .. } = target;
        self.router.get(region).ok_or(RegionError::RegionNotFound { region, store: self.id })
    }

    /// Asks the replica and waits until the deadline.
    async fn ask<T, M: Message>(
        &self,
        handle: &PeerHandle,
        deadline: Moment,
        outcome: Outcome,
        message: impl FnOnce(ReplyTo<Result<T, RegionError>>) -> M,
    ) -> Result<T, RegionError>
    where
        RegionPeer: On<M>,
    {
        let (reply, answer) = ReplyTo::channel();
        handle
            .mailbox
            .tell_by(message(reply), deadline)
            .map_err(|(r, _)| refused(r, self, handle))?;
        let region = handle.view.delegate().map_or(troupe_types::RegionId(0), |d| d.region.id);
        self.await_answer(answer, deadline, outcome, region).await
    }

    async fn await_answer<T>(
        &self,
        answer: oneshot::Receiver<Result<T, RegionError>>,
        deadline: Moment,
        outcome: Outcome,
        region: troupe_types::RegionId,
    ) -> Result<T, RegionError> {
        match self.within(deadline, answer).await {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(outcome.after_crash(region)),
            None => Err(outcome.after_deadline()),
        }
    }

    async fn within<T>(&self, deadline: Moment, answer: impl Future<Output = T>) -> Option<T> {
        let left = deadline.since(self.env.now());
        tokio::select! {
            biased;
            answer = answer => Some(answer),
            () = self.env.spawner.sleep(left) => None,
        }
    }

    async fn write(
        &self,
        target: RegionTarget,
        command: WriteCommand,
        deadline: Moment,
    ) -> RegionResult {
        let handle = self.peer(target)?;
        // A leader with a full disk steps down. Where another leads, the replica says so: an answer
        // that names the disk would keep gateways from finding him.
        let leads = handle.view.delegate().and_then(|d| d.leader).map(|leader| leader.id);
        if self.disk_full.load(Ordering::Relaxed) && leads == Some(handle.peer.id) {
            return Err(RegionError::DiskFull { store: self.id });
        }
        let epoch = target.epoch;
        self.ask(&handle, deadline, Outcome::Unknown, |reply| ProposeWrite {
            epoch,
            term: None,
            command,
            reply,
        })
        .await
    }

    async fn admin(
        &self,
        target: RegionTarget,
        command: AdminCommand,
        deadline: Moment,
    ) -> RegionResult {
        let handle = self.peer(target)?;
        self.ask(&handle, deadline, Outcome::Unknown, |reply| AdminRequest { command, reply }).await
    }

    async fn release(&self, target: RegionTarget, deadline: Moment) -> RegionResult {
        let (reply, answer) = ReplyTo::channel();
        let message = ReleaseReplica { region: target.region, reply };
        let told = self.mailbox.tell_by(message, deadline);
        told.map_err(|_| busy(BusyReason::Mailbox))?;
        self.await_answer(answer, deadline, Outcome::Unknown, target.region).await
    }

    async fn read(
        &self,
        target: RegionTarget,
        command: ReadCommand,
        consistency: Consistency,
        deadline: Moment,
    ) -> RegionResult {
        let handle = self.peer(target)?;
        let ts = command.view().map(|view| view.ts);
        let in_the_way = self.note_read(&command);
        let asked = (!in_the_way.is_empty()).then(|| command.clone());
        let by_lease = match consistency {
            Consistency::Leader => handle.view.lease_snapshot(&*self.engine, &*self.env.clock),
            Consistency::Linearizable | Consistency::Follower => None,
        };
        let snapshot = match by_lease {
            Some(snapshot) => snapshot,
            None => {
                self.read_index(&handle, deadline).await?;
                self.engine.snapshot()
            }
        };
        let reply = self.read_snapshot(&handle, target, command, (snapshot, deadline)).await?;
        let reply = match asked {
            Some(command) => in_the_way.merge(&command, reply),
            None => reply,
        };
        self.check_read(target, ts, reply)
    }

    async fn read_index(
        &self,
        handle: &PeerHandle,
        deadline: Moment,
    ) -> Result<LogIndex, RegionError> {
        self.ask(handle, deadline, Outcome::NoEffect, |reply| ReadIndexQuery { reply }).await
    }

    async fn read_at(
        &self,
        target: RegionTarget,
        command: ReadCommand,
        index: LogIndex,
        deadline: Moment,
    ) -> RegionResult {
        let handle = self.peer(target)?;
        let ts = command.view().map(|view| view.ts);
        self.ask(&handle, deadline, Outcome::NoEffect, |reply| AppliedQuery { index, reply })
            .await?;
        let snapshot = self.engine.snapshot();
        let region = target.region;
        let applied = match apply_state_in(&*snapshot, region) {
            Ok(Some(state)) => state.applied,
            Ok(None) => return Err(RegionError::RegionNotFound { region, store: self.id }),
            Err(error) => failure::fatal(&error),
        };
        let read = self.read_snapshot(&handle, target, command, (snapshot, deadline)).await?;
        match self.check_read(target, ts, read)? {
            RegionReply::Read(reply) => Ok(RegionReply::ReadAt { reply, applied }),
            other => Ok(other),
        }
    }

    /// Reads `snapshot`, if the Region still has the shape that the request was routed by.
    async fn read_snapshot(
        &self,
        handle: &PeerHandle,
        target: RegionTarget,
        command: ReadCommand,
        (snapshot, deadline): (Arc<dyn KvSnapshot>, Moment),
    ) -> RegionResult {
        let region = target.region;
        let delegate = handle
            .view
            .delegate()
            .ok_or(RegionError::NotReady { region, why: NotReadyReason::Restarting })?;
        if delegate.region.epoch.version != target.epoch.version {
            return Err(RegionError::EpochNotMatch { current: Box::new(delegate.region.clone()) });
        }
        if !command.is_inside(&delegate.region.range) {
            return Err(RegionError::KeyNotInRegion { region });
        }
        self.reads.fetch_add(1, Ordering::Relaxed);
        let now = self.env.clock.unix();
        let is_small = matches!(
            &command,
            ReadCommand::RawGet { keys } | ReadCommand::TxnGet { keys, .. }
                if keys.len() <= KEYS_IN_PLACE
        );
        if is_small {
            return finish(read::read(&*snapshot, &command, now));
        }
        let (reply, answer) = ReplyTo::channel();
        let current = trace::current();
        self.read_pool.run(Box::new(move || {
            let result = trace::with(current, || read::read(&*snapshot, &command, now));
            drop(snapshot);
            reply.send(finish(result));
        }));
        self.await_answer(answer, deadline, Outcome::NoEffect, region).await
    }
}

/// An engine that cannot read is damaged: the process ends, and other replicas serve.
fn finish(result: Result<troupe_types::ReadReply, troupe_storage::StorageError>) -> RegionResult {
    match result {
        Ok(reply) => Ok(RegionReply::Read(reply)),
        Err(error) if error.is_deterministic() => {
            Err(RegionError::Malformed { what: error.to_string() })
        }
        Err(error) => failure::fatal(&error),
    }
}

fn busy(what: BusyReason) -> RegionError {
    RegionError::ServerIsBusy { what, backoff_ms: 10 }
}

/// What a message that was not taken means for its sender: it had no effect.
fn refused_by(refused: Refused, region: troupe_types::RegionId) -> RegionError {
    match refused {
        Refused::Full { .. } => busy(BusyReason::Mailbox),
        Refused::Down { .. } => RegionError::NotReady { region, why: NotReadyReason::Restarting },
    }
}

fn refused(refused: Refused, store: &StoreHandle, handle: &PeerHandle) -> RegionError {
    match refused {
        Refused::Full { .. } => busy(BusyReason::Mailbox),
        Refused::Down { .. } => {
            let region = handle.view.delegate().map(|d| d.region.id);
            match region {
                Some(region) => RegionError::NotReady { region, why: NotReadyReason::Restarting },
                None => RegionError::RegionNotFound {
                    region: troupe_types::RegionId(0),
                    store: store.id,
                },
            }
        }
    }
}
