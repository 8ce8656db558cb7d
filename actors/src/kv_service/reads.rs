//! Point reads.
use super::api::{CallOptions, Inner, KvService, ServedBy, ServiceError};
use super::ask::{Answered, note};
use super::core::{Causes, Pauses, Reaction, Route};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::collections::{BTreeMap, VecDeque};
use troupe_types::command::RawRow;
use troupe_types::key::successor;
use troupe_types::request::{Consistency, RegionBody, RegionReply};
use troupe_types::txn::LockInfo;
use troupe_types::{Key, KeyRange, LogIndex, Peer, ReadCommand, ReadReply};

/// Keys of one command.
const KEYS_AT_ONCE: usize = 1024;
/// Commands of one request that are under way at the same time.
pub(super) const COMMANDS_AT_ONCE: usize = 32;

/// How a read of one Region ended.
pub(super) enum Read {
    Reply(ReadReply, ServedBy),
    /// A lock that is not stored yet must be resolved first.
    Blocked(Box<LockInfo>),
    Moved,
}

impl Read {
    /// Of a read of the raw space, which knows no locks.
    pub(super) fn of_raw(self) -> Result<Option<(ReadReply, ServedBy)>, ServiceError> {
        match self {
            Self::Reply(reply, by) => Ok(Some((reply, by))),
            Self::Blocked(lock) => Err(ServiceError::unexpected(&lock)),
            Self::Moved => Ok(None),
        }
    }
}

/// The leader's word on a read at another replica.
enum Index {
    /// Read when this is applied.
    At(LogIndex),
    Blocked(Box<LockInfo>),
    /// The Region has another shape.
    Moved,
}

impl KvService {
    /// One raw value, and who served it.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn raw_get(
        &self,
        key: Key,
        o: &CallOptions,
    ) -> Result<(Option<RawRow>, ServedBy), ServiceError> {
        self.0.traced("raw_get", o, self.0.get_one(key, o)).await
    }

    /// Raw values, in the order asked; Regions are asked at the same time.
    ///
    /// # Errors
    /// [`ServiceError`] of the first Region that failed.
    pub async fn raw_batch_get(
        &self,
        keys: Vec<Key>,
        o: &CallOptions,
    ) -> Result<Vec<Option<RawRow>>, ServiceError> {
        self.0.traced("raw_batch_get", o, self.0.get_many(keys, o)).await
    }
}

impl Inner {
    async fn get_one(
        &self,
        key: Key,
        o: &CallOptions,
    ) -> Result<(Option<RawRow>, ServedBy), ServiceError> {
        let mut causes = Causes::default();
        let command = ReadCommand::RawGet { keys: vec![key.clone()] };
        loop {
            match self.read(&key, &command, o, &mut causes).await?.of_raw()? {
                Some((ReadReply::Values(mut values), by)) if values.len() == 1 => {
                    return Ok((values.pop().flatten(), by));
                }
                Some((other, _)) => return Err(ServiceError::unexpected(&other)),
                // One key is always inside one Region; only its route was replaced meanwhile.
                None => {}
            }
        }
    }

    async fn get_many(
        &self,
        keys: Vec<Key>,
        o: &CallOptions,
    ) -> Result<Vec<Option<RawRow>>, ServiceError> {
        let mut rows: Vec<Option<RawRow>> = vec![None; keys.len()];
        let mut causes = Causes::default();
        let mut groups = self.group_keys(&keys, (0..keys.len()).collect(), o, &mut causes).await?;
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < COMMANDS_AT_ONCE
                && let Some(group) = groups.pop_front()
            {
                running.push(self.get_group(&keys, group, o));
            }
            let Some((group, answer)) = running.next().await else { return Ok(rows) };
            match answer?.of_raw()? {
                Some((ReadReply::Values(values), _)) if values.len() == group.len() => {
                    for (i, value) in group.into_iter().zip(values) {
                        rows[i] = value;
                    }
                }
                Some((other, _)) => return Err(ServiceError::unexpected(&other)),
                None => groups.extend(self.group_keys(&keys, group, o, &mut causes).await?),
            }
        }
    }

    async fn get_group(
        &self,
        keys: &[Key],
        group: Vec<usize>,
        o: &CallOptions,
    ) -> (Vec<usize>, Result<Read, ServiceError>) {
        let wanted: Vec<Key> = group.iter().map(|i| keys[*i].clone()).collect();
        let anchor = wanted[0].clone();
        let command = ReadCommand::RawGet { keys: wanted };
        let answer = self.read(&anchor, &command, o, &mut Causes::default()).await;
        (group, answer)
    }

    /// Groups `wanted` (places in `keys`) by Region; no group is empty or too large.
    pub(super) async fn group_keys(
        &self,
        keys: &[Key],
        wanted: Vec<usize>,
        o: &CallOptions,
        causes: &mut Causes,
    ) -> Result<VecDeque<Vec<usize>>, ServiceError> {
        let mut groups: BTreeMap<Key, Vec<usize>> = BTreeMap::new();
        let mut done = VecDeque::new();
        for i in wanted {
            let route = self.route_or_wait(&keys[i], o, causes).await?;
            let group = groups.entry(route.region.range.start.clone()).or_default();
            group.push(i);
            if group.len() == KEYS_AT_ONCE {
                done.push_back(std::mem::take(group));
            }
        }
        done.extend(groups.into_values().filter(|group| !group.is_empty()));
        Ok(done)
    }

    /// The route of `key`, asked for until the deadline.
    pub(super) async fn route_or_wait(
        &self,
        key: &Key,
        o: &CallOptions,
        causes: &mut Causes,
    ) -> Result<std::sync::Arc<Route>, ServiceError> {
        let mut pauses = Pauses::default();
        loop {
            if let Ok(route) = self.route(key, o.deadline, causes).await {
                return Ok(route);
            }
            if self.parts.env.now() >= o.deadline {
                return Err(self.out_of_time(causes));
            }
            self.pause(pauses.next(&Reaction::RefreshRoute), o.deadline).await;
        }
    }

    /// Reads in the Region that holds `anchor`, as fresh as asked for.
    pub(super) async fn read(
        &self,
        anchor: &Key,
        command: &ReadCommand,
        o: &CallOptions,
        causes: &mut Causes,
    ) -> Result<Read, ServiceError> {
        let consistency = match o.consistency {
            Consistency::Follower => return self.read_replica(anchor, command, o, causes).await,
            consistency @ (Consistency::Leader | Consistency::Linearizable) => consistency,
        };
        let body = RegionBody::Read { command: command.clone(), consistency };
        match self.ask(anchor, &body, o, causes).await? {
            Answered::Reply(RegionReply::Read(reply), by) => Ok(Read::Reply(reply, by)),
            Answered::Reply(RegionReply::ReadRefused(error), _) => {
                Err(ServiceError::of_txn(*error, causes))
            }
            Answered::Reply(other, _) => Err(ServiceError::unexpected(&other)),
            Answered::Moved => Ok(Read::Moved),
        }
    }

    /// Reads at any replica that has applied the index that the leader confirms.
    ///
    /// A replica may have applied more than the leader has. Then a later read under the leader's lease
    /// could see less than this one saw, so the answer waits until the leader has applied as much.
    ///
    /// A snapshot read of the transactional space first has the leader note its timestamp, since
    /// the leader is the one who must not let later commits land below it.
    async fn read_replica(
        &self,
        anchor: &Key,
        command: &ReadCommand,
        o: &CallOptions,
        causes: &mut Causes,
    ) -> Result<Read, ServiceError> {
        let mut pauses = Pauses::default();
        loop {
            let index = match self.leaders_index(anchor, &index_body(command), o, causes).await? {
                Index::At(index) => index,
                Index::Blocked(lock) => return Ok(Read::Blocked(lock)),
                Index::Moved => return Ok(Read::Moved),
            };
            let route = self.route_or_wait(anchor, o, causes).await?;
            if !command.is_inside(&route.region.range) {
                return Ok(Read::Moved);
            }
            for peer in self.replicas(&route) {
                let Some((read, applied)) =
                    self.read_at(&route, peer, command, index, o, causes).await?
                else {
                    continue;
                };
                if applied <= index {
                    return Ok(read);
                }
                match self.leaders_index(anchor, &RegionBody::ReadIndex, o, causes).await? {
                    Index::At(index) if applied <= index => return Ok(read),
                    Index::At(_) | Index::Blocked(_) => {}
                    Index::Moved => return Ok(Read::Moved),
                }
            }
            self.pause(pauses.next(&Reaction::NextReplica), o.deadline).await;
        }
    }

    /// What the leader had applied when a majority confirmed it.
    async fn leaders_index(
        &self,
        anchor: &Key,
        body: &RegionBody,
        o: &CallOptions,
        causes: &mut Causes,
    ) -> Result<Index, ServiceError> {
        match self.ask(anchor, body, o, causes).await? {
            Answered::Reply(RegionReply::ReadIndex(index), _) => Ok(Index::At(index)),
            Answered::Reply(RegionReply::ReadBlocked(lock), _) => Ok(Index::Blocked(lock)),
            Answered::Reply(RegionReply::ReadRefused(error), _) => {
                Err(ServiceError::of_txn(*error, causes))
            }
            Answered::Reply(other, _) => Err(ServiceError::unexpected(&other)),
            Answered::Moved => Ok(Index::Moved),
        }
    }

    /// What a replica says, and what it had applied. `None`: that replica cannot; another may.
    async fn read_at(
        &self,
        route: &Route,
        peer: Peer,
        command: &ReadCommand,
        index: LogIndex,
        o: &CallOptions,
        causes: &mut Causes,
    ) -> Result<Option<(Read, LogIndex)>, ServiceError> {
        let body = RegionBody::ReadAt { command: command.clone(), index };
        let failure = match self.send(route, peer, body, o).await {
            Ok(RegionReply::ReadAt { reply, applied }) => {
                let by = ServedBy { store: peer.store, region: route.region.id };
                return Ok(Some((Read::Reply(reply, by), applied)));
            }
            Ok(RegionReply::ReadRefused(error)) => {
                return Err(ServiceError::of_txn(*error, causes));
            }
            Ok(other) => return Err(ServiceError::unexpected(&other)),
            Err(failure) => failure,
        };
        match note(&failure, route, peer, false, causes) {
            Reaction::Fail(code) => Err(self.failed(code, &failure, causes)),
            Reaction::NewShape(shape) => {
                self.learn_shape(shape);
                Ok(None)
            }
            Reaction::AskLeader(_)
            | Reaction::NextReplica
            | Reaction::RefreshRoute
            | Reaction::BackOff { .. } => Ok(None),
        }
    }

    /// All replicas: those of this node first, the leader last.
    fn replicas(&self, route: &Route) -> Vec<Peer> {
        let mut peers = route.region.peers.clone();
        peers.sort_by_key(|peer| {
            let is_local = self.parts.local.has_store(peer.store);
            (!is_local, route.leader.is_some_and(|leader| leader.id == peer.id))
        });
        peers
    }
}

/// How the leader is asked for the index of a read.
fn index_body(command: &ReadCommand) -> RegionBody {
    let snapshot = |ranges, view: &troupe_types::txn::ReadView| RegionBody::SnapshotReadIndex {
        ranges,
        view: Box::new(view.clone()),
    };
    match command {
        ReadCommand::TxnGet { keys, view } => {
            let one = |key: &Key| KeyRange::new(key.clone(), successor(key));
            snapshot(keys.iter().map(one).collect(), view)
        }
        ReadCommand::TxnScan { range, view, .. } => snapshot(vec![range.clone()], view),
        ReadCommand::RawGet { .. }
        | ReadCommand::RawScan { .. }
        | ReadCommand::RawChecksum { .. }
        | ReadCommand::SystemScan { .. }
        | ReadCommand::TxnBufferGet { .. }
        | ReadCommand::ScanLocks { .. }
        | ReadCommand::MvccByKey { .. }
        | ReadCommand::MvccByStart { .. }
        | ReadCommand::ScanExpired { .. } => RegionBody::ReadIndex,
    }
}
