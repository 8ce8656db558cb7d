//! How PD reaches its rows: region-scoped requests to the local replica of the system Region.
use crate::core::WriteOutcome;
use crate::core::rows::RowChange;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use troupe_actors::env::Env;
use troupe_actors::node::RegionService;
use troupe_types::ids::SYSTEM_REGION;
use troupe_types::request::{
    Consistency, RegionBody, RegionReply, RegionRequest, RegionResult, RegionTarget,
};
use troupe_types::{
    Key, KeyRange, ReadCommand, ReadReply, RegionEpoch, RegionError, StoreId, Term, TraceTags,
    WriteCommand, WriteReply,
};

/// Requests in a row that may fail because the Region's shape changed.
const EPOCH_RETRIES: u32 = 3;

/// The system Region as PD addresses it.
#[derive(Clone)]
pub struct RegionOne {
    /// Clock and sleep.
    pub env: Env,
    /// Serves requests to local Stores.
    pub regions: Arc<dyn RegionService>,
    /// Shape as last seen.
    pub epoch: RegionEpoch,
    /// How long a read or write may take.
    pub patience: Duration,
    /// Wait before the same write is tried again.
    pub pause: Duration,
}

/// How a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// Its term if it leads, and whether its lease is valid.
    pub leads: Option<(Term, bool)>,
    /// The Store that leads, if it is another one.
    pub leader: Option<StoreId>,
    /// Shape, if there is a replica.
    pub epoch: Option<RegionEpoch>,
}

impl RegionOne {
    /// Sends `body`; follows changes of the Region's shape.
    async fn ask(&mut self, store: StoreId, body: RegionBody, patience: Duration) -> RegionResult {
        let deadline = self.env.now().after(patience);
        let mut retries = 0;
        loop {
            let target = RegionTarget { region: SYSTEM_REGION, epoch: self.epoch };
            let traces = TraceTags::NONE;
            let request = RegionRequest { store, target, body: body.clone(), traces };
            match self.regions.serve(request, deadline).await {
                Err(RegionError::EpochNotMatch { current }) if retries < EPOCH_RETRIES => {
                    self.epoch = current.epoch;
                    retries += 1;
                }
                result => return result,
            }
        }
    }

    /// Asks the replica on `store` how it is; `None` = no answer.
    pub async fn status(mut self, store: StoreId, patience: Duration) -> Option<ReplicaStatus> {
        let follower = ReplicaStatus { leads: None, leader: None, epoch: None };
        match self.ask(store, RegionBody::Status, patience).await {
            Ok(RegionReply::Status(status)) => {
                let is_leader = status.leader.is_some_and(|leader| leader.id == status.peer.id);
                Some(ReplicaStatus {
                    leads: is_leader.then_some((status.term, status.lease_valid)),
                    leader: status.leader.filter(|_| !is_leader).map(|leader| leader.store),
                    epoch: Some(status.region.epoch),
                })
            }
            Err(RegionError::NotLeader { leader, .. }) => {
                Some(ReplicaStatus { leader: leader.map(|peer| peer.store), ..follower })
            }
            Err(
                RegionError::RegionNotFound { .. }
                | RegionError::RegionHalted { .. }
                | RegionError::NotReady { .. },
            ) => Some(follower),
            Ok(_) | Err(_) => None,
        }
    }

    /// Reads rows at the leader.
    pub async fn load(
        mut self,
        store: StoreId,
        range: KeyRange,
    ) -> (Result<Vec<(Key, Bytes)>, String>, RegionEpoch) {
        let mut loaded = Vec::new();
        let mut next = Some(range);
        while let Some(range) = next.take() {
            let command = ReadCommand::SystemScan { range };
            let body = RegionBody::Read { command, consistency: Consistency::Linearizable };
            match self.ask(store, body, self.patience).await {
                Ok(RegionReply::Read(ReadReply::Rows { rows, rest })) => {
                    loaded.extend(rows.into_iter().map(|row| (row.key, row.value)));
                    next = rest;
                }
                Ok(other) => return (Err(format!("unexpected reply {other:?}")), self.epoch),
                Err(error) => return (Err(error.to_string()), self.epoch),
            }
        }
        (Ok(loaded), self.epoch)
    }

    /// Writes rows if `expect` holds. A refusal without effect is told after a pause, so that the
    /// core may try again at once.
    pub async fn write(
        mut self,
        store: StoreId,
        expect: Vec<RowChange>,
        rows: Vec<RowChange>,
    ) -> (WriteOutcome, RegionEpoch) {
        let body = RegionBody::Write(WriteCommand::System { expect, rows });
        let outcome = match self.ask(store, body, self.patience).await {
            Ok(RegionReply::Write(WriteReply::Done)) => WriteOutcome::Done,
            Ok(RegionReply::Write(WriteReply::Rejected)) => WriteOutcome::Rejected,
            Ok(other) => WriteOutcome::Unknown { why: format!("unexpected reply {other:?}") },
            Err(error) => outcome_of(&error),
        };
        if outcome == WriteOutcome::TryAgain {
            self.env.spawner.sleep(self.pause).await;
        }
        (outcome, self.epoch)
    }
}

fn outcome_of(error: &RegionError) -> WriteOutcome {
    match error {
        RegionError::NotLeader { .. }
        | RegionError::RegionNotFound { .. }
        | RegionError::EpochNotMatch { .. }
        | RegionError::ServerIsBusy { .. }
        | RegionError::StaleCommand
        | RegionError::MaxTimestampNotSynced { .. }
        | RegionError::NotReady { .. }
        | RegionError::RegionHalted { .. }
        | RegionError::DiskFull { .. }
        | RegionError::DeadlineExceeded => WriteOutcome::TryAgain,
        RegionError::KeyNotInRegion { .. }
        | RegionError::EntryTooLarge { .. }
        | RegionError::OutcomeUnknown { .. }
        | RegionError::ChangeRefused { .. }
        | RegionError::WrongRecipient
        | RegionError::Malformed { .. } => WriteOutcome::Unknown { why: error.to_string() },
    }
}
