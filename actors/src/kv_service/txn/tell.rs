//! One command to one Region, or one to each Region of many keys; and work that outlives its caller.
use crate::kv_service::api::Inner;
use crate::kv_service::ask::Answered;
use crate::kv_service::core::Causes;
use crate::kv_service::reads::COMMANDS_AT_ONCE;
use crate::kv_service::{CallOptions, ServiceError};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::future::Future;
use std::sync::Arc;
use troupe_types::request::{Consistency, RegionBody, RegionReply};
use troupe_types::txn::{TxnCommand, TxnReply, TxnResult};
use troupe_types::{Key, Timestamp};

/// How a command ended.
pub(super) enum Told {
    /// The Region replied or refused.
    Answer(TxnResult),
    /// Its keys are no longer in one Region. It had no effect.
    Moved,
}

/// Makes the command for some of the keys.
pub(super) type Make<'a> = &'a (dyn Fn(Vec<Key>) -> TxnCommand + Send + Sync);

impl Inner {
    /// Has the leader of the Region of `anchor` execute `command`.
    pub(super) async fn tell(
        &self,
        anchor: &Key,
        command: TxnCommand,
        o: &CallOptions,
        causes: &mut Causes,
    ) -> Result<Told, ServiceError> {
        let body = RegionBody::Txn(Box::new(command));
        match self.ask(anchor, &body, o, causes).await? {
            Answered::Reply(RegionReply::Txn(answer), _) => Ok(Told::Answer(*answer)),
            Answered::Reply(other, _) => Err(ServiceError::unexpected(&other)),
            Answered::Moved => Ok(Told::Moved),
        }
    }

    /// Has the Region of one key execute `command`, which is about that key alone.
    pub(super) async fn tell_one(
        &self,
        key: &Key,
        command: TxnCommand,
        o: &CallOptions,
        causes: &mut Causes,
    ) -> Result<TxnResult, ServiceError> {
        loop {
            match self.tell(key, command.clone(), o, causes).await? {
                Told::Answer(answer) => return Ok(answer),
                // One key is always inside one Region; only its route was replaced meanwhile.
                Told::Moved => {}
            }
        }
    }

    /// Has each Region of `keys` execute what `make` makes of its part, many at the same time, and
    /// hands the answers to `take`.
    pub(super) async fn tell_all(
        &self,
        keys: &[Key],
        make: Make<'_>,
        o: &CallOptions,
        mut take: impl FnMut(&[Key], TxnResult) -> Result<(), ServiceError>,
    ) -> Result<(), ServiceError> {
        let mut causes = Causes::default();
        let mut groups = self.group_keys(keys, (0..keys.len()).collect(), o, &mut causes).await?;
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < COMMANDS_AT_ONCE
                && let Some(group) = groups.pop_front()
            {
                running.push(self.tell_group(keys, group, make, o));
            }
            let Some((group, told)) = running.next().await else { return Ok(()) };
            match told? {
                Told::Answer(answer) => {
                    let part: Vec<Key> = group.iter().map(|i| keys[*i].clone()).collect();
                    take(&part, answer)?;
                }
                Told::Moved => groups.extend(self.group_keys(keys, group, o, &mut causes).await?),
            }
        }
    }

    async fn tell_group(
        &self,
        keys: &[Key],
        group: Vec<usize>,
        make: Make<'_>,
        o: &CallOptions,
    ) -> (Vec<usize>, Result<Told, ServiceError>) {
        let part: Vec<Key> = group.iter().map(|i| keys[*i].clone()).collect();
        let anchor = part[0].clone();
        let told = self.tell(&anchor, make(part), o, &mut Causes::default()).await;
        (group, told)
    }

    /// Runs `work` beside the caller, who may go away. It ends with the node's power.
    pub(super) fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + 'static) {
        let until_cut = self.parts.env.power.until_cut();
        self.parts.env.spawner.spawn_local(Box::pin(async move {
            tokio::select! {
                biased;
                () = until_cut => {}
                () = work => {}
            }
        }));
    }
}

/// The same request, at leaders. What a lock is about only they know.
pub(super) fn at_leaders(o: &CallOptions) -> CallOptions {
    CallOptions { consistency: Consistency::Leader, ..o.clone() }
}

/// Was the command done? Other replies were not asked for.
pub(super) fn expect_done(reply: TxnReply) -> Result<(), ServiceError> {
    match reply {
        TxnReply::Done => Ok(()),
        other @ (TxnReply::Prewritten { .. }
        | TxnReply::Blocked(_)
        | TxnReply::Locked(_)
        | TxnReply::Alive { .. }
        | TxnReply::Status(_)
        | TxnReply::Secondaries { .. }) => Err(ServiceError::unexpected(&other)),
    }
}

/// Commits or (0) rolls back what is left of a transaction.
pub(super) fn resolve_keys(
    start_ts: Timestamp,
    commit_ts: Timestamp,
) -> impl Fn(Vec<Key>) -> TxnCommand + Send + Sync {
    move |keys| TxnCommand::ResolveKeys { keys, start_ts, commit_ts }
}
