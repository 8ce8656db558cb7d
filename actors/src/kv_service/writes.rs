//! Writes of single keys and batches.
use super::api::{CallOptions, Inner, KvService, ServiceError, Swapped, WriteOutcome};
use super::ask::Answered;
use super::core::Causes;
use super::reads::COMMANDS_AT_ONCE;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::collections::{BTreeMap, VecDeque};
use troupe_types::command::{RawChange, RawExpectation};
use troupe_types::request::{RegionBody, RegionReply};
use troupe_types::{Key, WriteCommand, WriteReply};

/// Bytes and changes after which a batch goes into a further command. Far below what a Raft entry may
/// hold; one larger value makes a command of its own.
const COMMAND_BYTES: usize = 1 << 20;
const COMMAND_CHANGES: usize = 1024;

/// Changes that go into one command, in key order.
type Group = Vec<(Key, RawChange)>;

impl KvService {
    /// Blind writes, grouped by Region. A key named twice gets the last change.
    pub async fn raw_write(&self, changes: Vec<(Key, RawChange)>, o: &CallOptions) -> WriteOutcome {
        self.0.traced("raw_write", o, self.0.write(changes, o)).await
    }

    /// Changes `key` if it is as expected: whether it was, what was there before, who answered.
    ///
    /// # Errors
    /// [`ServiceError`]; with `OUTCOME_UNKNOWN` the change may have been made.
    pub async fn raw_cas(
        &self,
        key: Key,
        expect: RawExpectation,
        change: RawChange,
        o: &CallOptions,
    ) -> Result<Swapped, ServiceError> {
        self.0.traced("raw_cas", o, self.0.swap(key, expect, change, o)).await
    }
}

impl Inner {
    async fn swap(
        &self,
        key: Key,
        expect: RawExpectation,
        change: RawChange,
        o: &CallOptions,
    ) -> Result<Swapped, ServiceError> {
        let anchor = key.clone();
        let now = self.parts.env.clock.unix();
        let command = WriteCommand::RawCompareAndSwap { key, expect, change, now };
        let body = RegionBody::Write(command);
        let mut causes = Causes::default();
        loop {
            match self.ask(&anchor, &body, o, &mut causes).await? {
                Answered::Reply(
                    RegionReply::Write(WriteReply::Swapped { succeeded, previous }),
                    by,
                ) => {
                    return Ok((succeeded, previous, by));
                }
                Answered::Reply(other, _) => return Err(ServiceError::unexpected(&other)),
                // One key is always inside one Region; only its route was replaced meanwhile.
                Answered::Moved => {}
            }
        }
    }

    async fn write(&self, changes: Vec<(Key, RawChange)>, o: &CallOptions) -> WriteOutcome {
        match changes.first() {
            Some((key, _)) if changes.len() == 1 => self.write_one(key.clone(), changes, o).await,
            Some(_) | None => self.write_many(changes, o).await,
        }
    }

    /// Most writes are of one key: nothing to group, nothing to run at the same time.
    async fn write_one(&self, key: Key, change: Group, o: &CallOptions) -> WriteOutcome {
        let body = RegionBody::Write(WriteCommand::RawWrite { changes: change });
        let mut causes = Causes::default();
        let error = loop {
            match self.ask(&key, &body, o, &mut causes).await {
                Ok(Answered::Reply(RegionReply::Write(WriteReply::Done), by)) => {
                    return WriteOutcome { written: 1, failed: Vec::new(), served_by: Some(by) };
                }
                Ok(Answered::Reply(other, _)) => break ServiceError::unexpected(&other),
                // Its key is always inside one Region; only its route was replaced meanwhile.
                Ok(Answered::Moved) => {}
                Err(error) => break error,
            }
        };
        WriteOutcome { failed: vec![(key, error)], ..WriteOutcome::default() }
    }

    async fn write_many(&self, changes: Vec<(Key, RawChange)>, o: &CallOptions) -> WriteOutcome {
        // Commands run at the same time, so that order inside the batch must be settled here.
        let mut last: BTreeMap<Key, RawChange> = BTreeMap::new();
        let mut named: BTreeMap<Key, u64> = BTreeMap::new();
        for (key, change) in changes {
            *named.entry(key.clone()).or_default() += 1;
            last.insert(key, change);
        }
        let mut outcome = WriteOutcome::default();
        let mut servers = BTreeMap::new();
        let mut groups = VecDeque::new();
        self.group_changes(last.into_iter().collect(), o, &mut groups, &mut outcome).await;
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < COMMANDS_AT_ONCE
                && let Some(group) = groups.pop_front()
            {
                running.push(self.write_group(group, o));
            }
            let Some((group, answer)) = running.next().await else { break };
            match answer {
                Ok(Answered::Reply(RegionReply::Write(WriteReply::Done), by)) => {
                    servers.insert(by.region, by);
                    outcome.written +=
                        group.iter().filter_map(|(key, _)| named.get(key)).sum::<u64>();
                }
                Ok(Answered::Reply(other, _)) => {
                    fail(&mut outcome, group, &ServiceError::unexpected(&other));
                }
                Ok(Answered::Moved) => {
                    self.group_changes(group, o, &mut groups, &mut outcome).await;
                }
                Err(error) => fail(&mut outcome, group, &error),
            }
        }
        outcome.failed.sort_by(|a, b| a.0.cmp(&b.0));
        let mut servers = servers.into_values();
        outcome.served_by = match (servers.next(), servers.next()) {
            (Some(only), None) if outcome.failed.is_empty() => Some(only),
            (Some(_) | None, _) => None,
        };
        outcome
    }

    async fn write_group(
        &self,
        group: Group,
        o: &CallOptions,
    ) -> (Group, Result<Answered, ServiceError>) {
        let anchor = group[0].0.clone();
        let body = RegionBody::Write(WriteCommand::RawWrite { changes: group.clone() });
        let answer = self.ask(&anchor, &body, o, &mut Causes::default()).await;
        (group, answer)
    }

    /// Cuts `changes` (in key order) at Region bounds and size limits. What has no route by the
    /// deadline has failed.
    async fn group_changes(
        &self,
        changes: Group,
        o: &CallOptions,
        groups: &mut VecDeque<Group>,
        outcome: &mut WriteOutcome,
    ) {
        let mut causes = Causes::default();
        let mut changes = VecDeque::from(changes);
        while let Some((first, _)) = changes.front() {
            let route = match self.route_or_wait(first, o, &mut causes).await {
                Ok(route) => route,
                Err(error) => return fail(outcome, changes.into(), &error),
            };
            let (mut group, mut bytes) = (Group::new(), 0);
            while let Some((key, change)) = changes.front() {
                let more = change_bytes(key, change);
                let is_full = group.len() == COMMAND_CHANGES
                    || (!group.is_empty() && bytes + more > COMMAND_BYTES);
                if is_full || !route.region.range.contains(key) {
                    break;
                }
                bytes += more;
                group.extend(changes.pop_front());
            }
            groups.push_back(group);
        }
    }
}

fn change_bytes(key: &Key, change: &RawChange) -> usize {
    const OVERHEAD: usize = 16;
    let value = match change {
        RawChange::Put { value, .. } => value.len(),
        RawChange::Delete => 0,
    };
    key.len() + value + OVERHEAD
}

fn fail(outcome: &mut WriteOutcome, group: Group, error: &ServiceError) {
    outcome.failed.extend(group.into_iter().map(|(key, _)| (key, error.clone())));
}
