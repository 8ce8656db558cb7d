//! What a replica starts from.
//!
//! A replica's state lies in two places that are not written together: the Raft log, and the
//! engine with its data, applied index and shape. After a crash they are reconciled by these rules:
//!
//! | found | happened | mended by |
//! |---|---|---|
//! | applied index inside the log, same term | the usual case | the log is replayed from there |
//! | no log, or it ends in front of the applied index, or has another term there | a snapshot (or a first replica) was installed, the log not yet begun anew | the log begins at the applied index |
//! | the log begins behind the applied index | cannot happen: logs are cut behind durable data only | refused |
//! | row `Uninitialised`, and a log with commits | an earlier replica was destroyed, its log not yet forgotten | nothing of that log counts |
//! | row `Applying` | a snapshot was being installed | it is installed again, at the Store's start |
use crate::region_peer::core::storage::DurableState;
use raft::eraftpb::HardState;
use troupe_storage::StorageError;
use troupe_storage::engine::{Cf, Durability, KvEngine, Modify, WriteBatch};
use troupe_storage::raft_log::{LogBatch, LogState, RaftLog, RegionLogWrite};
use troupe_storage::region_state::{ApplyState, Halt, ReplicaState, apply_key, replica_key};
use troupe_types::{
    KeyRange, LogIndex, Peer, RAFT_INIT_INDEX, RAFT_INIT_TERM, Region, RegionEpoch, RegionId,
    StoreId, Term, codec,
};

/// What was found of a replica.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Which replica.
    pub peer: Peer,
    /// Where Raft goes on.
    pub state: DurableState,
    /// The entry that it cannot apply.
    pub halted: Option<Halt>,
}

fn inconsistent(detail: String) -> StorageError {
    StorageError::Inconsistent { detail }
}

/// Reads and decodes a row of [`Cf::Raft`].
///
/// # Errors
/// Reading failed, or the row does not decode.
pub fn row<T: serde::de::DeserializeOwned>(
    engine: &dyn KvEngine,
    key: &[u8],
    what: &'static str,
) -> Result<Option<T>, StorageError> {
    let Some(bytes) = engine.get(Cf::Raft, key)? else { return Ok(None) };
    codec::decode(&bytes).map(Some).map_err(|source| StorageError::Corrupt { what, source })
}

/// What the disk knows of the replica of `region`.
///
/// # Errors
/// As [`row`].
pub fn replica_state(
    engine: &dyn KvEngine,
    region: RegionId,
) -> Result<Option<ReplicaState>, StorageError> {
    row(engine, &replica_key(region), "replica state")
}

/// Finds what the replica of `region` on `store` starts from.
///
/// # Errors
/// The disk failed, or the state makes no sense.
pub fn recover(
    region: RegionId,
    store: StoreId,
    engine: &dyn KvEngine,
    log: &dyn RaftLog,
) -> Result<Recovered, StorageError> {
    let log_state = log.state(region)?;
    match replica_state(engine, region)? {
        Some(ReplicaState::Uninitialised { peer }) => {
            let peer = Peer::voter(peer, store);
            Ok(uninitialised(region, peer, log_state.unwrap_or_default()))
        }
        Some(ReplicaState::Normal { peer, region: shape }) => {
            let apply = row::<ApplyState>(engine, &apply_key(region), "applied index")?;
            let apply = apply
                .ok_or_else(|| inconsistent(format!("region {region} has no applied index")))?;
            let me = shape.peer(peer).unwrap_or(Peer::learner(peer, store));
            let state = reconcile(&shape, &apply, log_state, log)?;
            Ok(Recovered { peer: me, state, halted: apply.halted })
        }
        other => Err(inconsistent(format!("region {region} cannot start from {other:?}"))),
    }
}

fn uninitialised(region: RegionId, peer: Peer, log: LogState) -> Recovered {
    let region = Region {
        id: region,
        range: KeyRange::default(),
        epoch: RegionEpoch::default(),
        peers: Vec::new(),
    };
    // What knows of commits is the log of an earlier replica here, whose end was durable when its log
    // was not yet forgotten. Its term and vote bind that replica alone.
    let is_own = log.hard_state.commit == 0;
    let state = DurableState {
        region,
        hard_state: if is_own { log.hard_state } else { HardState::default() },
        truncated: (LogIndex(0), Term(0)),
        last_index: LogIndex(0),
        applied: LogIndex(0),
        applied_term: Term(0),
    };
    Recovered { peer, state, halted: None }
}

fn reconcile(
    shape: &Region,
    apply: &ApplyState,
    log_state: Option<LogState>,
    log: &dyn RaftLog,
) -> Result<DurableState, StorageError> {
    let applied = apply.applied;
    let found = log_state.unwrap_or_default();
    if found.truncated.0 > applied {
        let first = found.truncated.0.next();
        let id = shape.id;
        return Err(inconsistent(format!(
            "the log of region {id} begins at {first}, behind the applied index {applied}"
        )));
    }
    let fits = applied <= found.last_index && log.term(shape.id, applied)? == apply.applied_term;
    let mut state = DurableState {
        region: shape.clone(),
        hard_state: found.hard_state,
        truncated: found.truncated,
        last_index: found.last_index,
        applied,
        applied_term: apply.applied_term,
    };
    if !fits {
        begin_anew(&mut state, log)?;
    }
    if planted!(VoteForgotten) {
        state.hard_state.vote = 0;
    }
    let commit = state.hard_state.commit.max(applied.get());
    state.hard_state.commit = commit.min(state.last_index.get());
    Ok(state)
}

/// The log begins at the applied index. A vote in an older term is forgotten with its term; none was
/// cast in the applied term, since its term was never made durable.
fn begin_anew(state: &mut DurableState, log: &dyn RaftLog) -> Result<(), StorageError> {
    let start = (state.applied, state.applied_term);
    if state.hard_state.term < start.1.get() {
        state.hard_state = HardState { term: start.1.get(), vote: 0, ..HardState::default() };
    }
    state.hard_state.commit = start.0.get();
    state.truncated = start;
    state.last_index = start.0;
    let write = RegionLogWrite {
        entries: Vec::new(),
        hard_state: Some(state.hard_state.clone()),
        reset_to: Some(start),
    };
    log.append(LogBatch { regions: vec![(state.region.id, write)] })
}

/// Creates first replicas of Regions that have no data yet. Repeating it does no harm: replicas that
/// exist, or existed, are left alone. Answers those that are new.
///
/// # Errors
/// The disk failed.
pub fn create_replicas(
    engine: &dyn KvEngine,
    log: &dyn RaftLog,
    store: StoreId,
    regions: &[Region],
) -> Result<Vec<RegionId>, StorageError> {
    let mut rows = Vec::new();
    let mut logs = Vec::new();
    for region in regions {
        let Some(peer) = region.peer_on(store) else { continue };
        if replica_state(engine, region.id)?.is_some() {
            continue;
        }
        let replica = ReplicaState::Normal { peer: peer.id, region: region.clone() };
        let apply =
            ApplyState { applied: RAFT_INIT_INDEX, applied_term: RAFT_INIT_TERM, halted: None };
        rows.push(Modify::Put(Cf::Raft, replica_key(region.id), codec::encode(&replica).into()));
        rows.push(Modify::Put(Cf::Raft, apply_key(region.id), codec::encode(&apply).into()));
        let start = (RAFT_INIT_INDEX, RAFT_INIT_TERM);
        let hard_state = HardState {
            term: RAFT_INIT_TERM.get(),
            commit: RAFT_INIT_INDEX.get(),
            ..HardState::default()
        };
        let write = RegionLogWrite {
            entries: Vec::new(),
            hard_state: Some(hard_state),
            reset_to: Some(start),
        };
        logs.push((region.id, write));
    }
    let created = logs.iter().map(|(region, _)| *region).collect();
    if !rows.is_empty() {
        engine.write(WriteBatch { changes: rows }, Durability::Synced)?;
        log.append(LogBatch { regions: logs })?;
    }
    Ok(created)
}
