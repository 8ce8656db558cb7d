//! Scripted Regions and a scripted PD around the service.
use super::*;

/// Regions, their stores, and what they shall answer before they do what was asked.
pub(super) struct World {
    pub(super) regions: Vec<(Region, Option<Peer>)>,
    pub(super) rows: BTreeMap<Key, Bytes>,
    pub(super) script: VecDeque<Result<(), Scripted>>,
    /// Every request that arrived: store, and what kind.
    pub(super) log: Vec<(u64, &'static str)>,
    pub(super) pd_calls: usize,
    /// Grows with each question for it.
    pub(super) applied_by_leader: u64,
    pub(super) applied_by_replica: u64,
}

#[derive(Clone)]
pub(super) enum Scripted {
    Region(RegionError),
    Transport(TransportError),
    /// The write takes effect, and its answer is lost.
    DoneButLost,
}

/// Everything around the service; store 1 is here, 2 and 3 are elsewhere.
#[derive(Clone)]
pub(super) struct Fake(pub(super) Arc<Mutex<World>>);

impl Fake {
    pub(super) fn new(regions: Vec<(Region, Option<Peer>)>) -> Self {
        let (rows, script) = (BTreeMap::new(), VecDeque::new());
        Self(Arc::new(Mutex::new(World {
            regions,
            rows,
            script,
            log: Vec::new(),
            pd_calls: 0,
            applied_by_leader: 8,
            applied_by_replica: 9,
        })))
    }

    pub(super) fn one_region() -> Self {
        Self::new(vec![(region(2, "", "", 1), Some(peer(2)))])
    }

    pub(super) fn script(self, steps: impl IntoIterator<Item = Result<(), Scripted>>) -> Self {
        self.0.lock().unwrap().script.extend(steps);
        self
    }

    pub(super) fn log(&self) -> Vec<(u64, &'static str)> {
        self.0.lock().unwrap().log.clone()
    }

    pub(super) fn service(&self) -> KvService {
        KvService::new(ServiceParts {
            env: real_env(CellOptions::default(), 100),
            local: Arc::new(self.clone()),
            transport: Arc::new(self.clone()),
            pd: Arc::new(self.clone()),
            directory: SharedDirectory::default(),
        })
    }

    pub(super) fn handle(&self, request: &RegionRequest) -> Result<RegionResult, TransportError> {
        let mut world = self.0.lock().unwrap();
        world.log.push((request.store.get(), kind(&request.body)));
        match world.script.pop_front() {
            Some(Err(Scripted::Region(error))) => return Ok(Err(error)),
            Some(Err(Scripted::Transport(error))) => return Err(error),
            Some(Err(Scripted::DoneButLost)) => {
                let _ = world.serve(request);
                return Err(TransportError::Broken { why: "scripted".to_owned() });
            }
            Some(Ok(())) | None => {}
        }
        Ok(world.serve(request))
    }
}

pub(super) fn kind(body: &RegionBody) -> &'static str {
    match body {
        RegionBody::Read { .. } => "read",
        RegionBody::Write(_) => "write",
        RegionBody::Admin(_) => "admin",
        RegionBody::Status => "status",
        RegionBody::ReadIndex => "read_index",
        RegionBody::ReadAt { .. } => "read_at",
        RegionBody::Release => "release",
        RegionBody::Txn(command) => command.name(),
        RegionBody::SnapshotReadIndex { .. } => "snapshot_read_index",
        RegionBody::Detect(_) => "detect",
        RegionBody::Session(_) => "session",
        RegionBody::LastLocks { .. } => "last_locks",
        RegionBody::LockWaits => "lock_waits",
    }
}

impl World {
    pub(super) fn serve(&mut self, request: &RegionRequest) -> RegionResult {
        let id = request.target.region;
        let found = self.regions.iter().find(|(region, _)| region.id == id).cloned();
        let Some((region, leader)) = found else {
            return Err(RegionError::RegionNotFound { region: id, store: request.store });
        };
        if request.target.epoch != region.epoch {
            return Err(RegionError::EpochNotMatch { current: Box::new(region) });
        }
        let anywhere = matches!(request.body, RegionBody::ReadAt { .. });
        if !anywhere && leader.is_none_or(|leader| leader.store != request.store) {
            return Err(RegionError::NotLeader { region: id, leader });
        }
        match &request.body {
            RegionBody::Read { command, .. } => {
                assert!(command.is_inside(&region.range), "routed by the shape it has");
                Ok(RegionReply::Read(self.read(command)))
            }
            RegionBody::ReadAt { command, .. } => {
                assert!(command.is_inside(&region.range), "routed by the shape it has");
                let applied = LogIndex(self.applied_by_replica);
                Ok(RegionReply::ReadAt { reply: self.read(command), applied })
            }
            RegionBody::Write(command) => {
                assert!(command.is_inside(&region.range), "routed by the shape it has");
                Ok(RegionReply::Write(self.write(command)))
            }
            RegionBody::ReadIndex => {
                self.applied_by_leader += 1;
                Ok(RegionReply::ReadIndex(LogIndex(self.applied_by_leader)))
            }
            RegionBody::Release => Ok(RegionReply::Released),
            RegionBody::Admin(_)
            | RegionBody::Status
            | RegionBody::Txn(_)
            | RegionBody::SnapshotReadIndex { .. }
            | RegionBody::LastLocks { .. }
            | RegionBody::Detect(_)
            | RegionBody::Session(_)
            | RegionBody::LockWaits => {
                Err(RegionError::Malformed { what: "not part of this test".to_owned() })
            }
        }
    }

    pub(super) fn read(&self, command: &ReadCommand) -> ReadReply {
        let row = |key: &Key, value: &Bytes| RawRow {
            key: key.clone(),
            value: value.clone(),
            expires_at: None,
        };
        match command {
            ReadCommand::RawGet { keys } => ReadReply::Values(
                keys.iter().map(|key| self.rows.get(key).map(|value| row(key, value))).collect(),
            ),
            ReadCommand::RawScan { range, limit, reverse, .. } => {
                let inside = self.rows.iter().filter(|(key, _)| range.contains(key));
                let mut rows: Vec<RawRow> = inside.map(|(key, value)| row(key, value)).collect();
                if *reverse {
                    rows.reverse();
                }
                let is_cut = rows.len() > *limit as usize;
                rows.truncate(*limit as usize);
                let last = rows.last().map(|row| row.key.clone()).filter(|_| is_cut);
                let rest = last.map(|last| match reverse {
                    true => KeyRange::new(range.start.clone(), last),
                    false => KeyRange::new(troupe_types::key::successor(&last), range.end.clone()),
                });
                ReadReply::Rows { rows, rest }
            }
            ReadCommand::RawChecksum { range, .. } => {
                let mut sum = troupe_types::command::RawChecksum::default();
                for (key, value) in self.rows.iter().filter(|(key, _)| range.contains(key)) {
                    sum.add(key, value);
                }
                ReadReply::Checksum { sum, rest: None }
            }
            ReadCommand::SystemScan { .. } => ReadReply::Rows { rows: Vec::new(), rest: None },
            ReadCommand::TxnGet { .. }
            | ReadCommand::TxnScan { .. }
            | ReadCommand::TxnBufferGet { .. }
            | ReadCommand::ScanLocks { .. }
            | ReadCommand::MvccByKey { .. }
            | ReadCommand::MvccByStart { .. }
            | ReadCommand::ScanExpired { .. } => unreachable!("this world has raw rows only"),
        }
    }

    pub(super) fn write(&mut self, command: &WriteCommand) -> WriteReply {
        match command {
            WriteCommand::RawWrite { changes } => {
                for (key, change) in changes {
                    match change {
                        RawChange::Put { value, .. } => {
                            self.rows.insert(key.clone(), value.clone())
                        }
                        RawChange::Delete => self.rows.remove(key),
                    };
                }
                WriteReply::Done
            }
            WriteCommand::RawDeleteRange { range } => {
                self.rows.retain(|key, _| !range.contains(key));
                WriteReply::Done
            }
            WriteCommand::RawCompareAndSwap { key, .. } => {
                let previous = self.rows.get(key).cloned();
                WriteReply::Swapped { succeeded: true, previous }
            }
            WriteCommand::System { .. } | WriteCommand::Txn { .. } => WriteReply::Rejected,
        }
    }
}

impl RegionService for Fake {
    fn has_store(&self, store: StoreId) -> bool {
        store == StoreId(1)
    }

    fn serve(&self, request: RegionRequest, _: Moment) -> BoxFuture<'static, RegionResult> {
        let answer = self.handle(&request);
        let lost = |_| RegionError::OutcomeUnknown { why: UnknownReason::ActorCrashed };
        std::future::ready(answer.unwrap_or_else(|error| Err(lost(error)))).boxed()
    }
}

impl Transport for Fake {
    fn send_raft(&self, _: StoreId, _: Vec<RaftEnvelope>, _: TraceTags) {}

    fn send_snapshot(
        &self,
        _: StoreId,
        _: OutgoingSnapshot,
    ) -> BoxFuture<'static, Result<(), TransportError>> {
        std::future::ready(Err(TransportError::UnknownAddress)).boxed()
    }

    fn call_region(
        &self,
        request: RegionRequest,
        _: Moment,
    ) -> BoxFuture<'static, Result<RegionResult, TransportError>> {
        std::future::ready(self.handle(&request)).boxed()
    }

    fn call_pd(
        &self,
        _: &str,
        _: PdRequest,
        _: Moment,
    ) -> BoxFuture<'static, Result<PdResult, TransportError>> {
        std::future::ready(Err(TransportError::UnknownAddress)).boxed()
    }

    fn fetch_trace(
        &self,
        _: NodeId,
        _: u64,
        _: Moment,
    ) -> BoxFuture<'static, Result<Vec<crate::trace::WireSpan>, TransportError>> {
        std::future::ready(Ok(Vec::new())).boxed()
    }
}

impl PdCaller for Fake {
    fn call(&self, request: PdRequest, _: Moment) -> BoxFuture<'static, PdResult> {
        let mut world = self.0.lock().unwrap();
        world.pd_calls += 1;
        let PdRequest::Regions { range, limit } = request else {
            return std::future::ready(Err(PdError::NotLeader { leader: None })).boxed();
        };
        let inside = world.regions.iter().filter(|(r, _)| r.range.intersect(&range).is_some());
        let route = |(region, leader): &(Region, Option<Peer>)| RegionRoute {
            region: region.clone(),
            leader: *leader,
            down: Vec::new(),
            pending: Vec::new(),
            approximate_bytes: 0,
        };
        let routes = inside.take(limit as usize).map(route).collect();
        std::future::ready(Ok(PdReply::Routes(routes))).boxed()
    }
}
