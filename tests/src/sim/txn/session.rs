//! Interactive transactions on lists. Their clients think now and then, and some never come back.
use super::draw::Draw;
use super::lists::{list_key, list_of, to_bytes};
use super::{Heard, TxnClients, Values, fate_of};
use crate::sim::checkers::txn::book::{ListEnd, ListId};
use crate::workload::txn::{Fate, Level, ListStep};
use std::collections::BTreeMap;
use troupe_actors::kv_service::{CallOptions, KvService};
use troupe_types::txn::session::{
    SessionPhase, SessionReply, SessionRequest, TxnId, TxnIsolation, TxnMode, TxnOp, TxnOpResult,
};
use troupe_types::{Code, NodeId, Timestamp};

/// What an interactive transaction does.
struct Talk {
    id: TxnId,
    lists: Vec<u32>,
    appends: Vec<(u32, u64)>,
    for_update: bool,
    is_pessimistic: bool,
}

/// How often a commit is asked for.
const COMMITS: u32 = 3;

impl TxnClients {
    pub(super) async fn append_in_session(&self, draw: &mut Draw, values: &mut Values) {
        let settings = self.settings(draw);
        let is_pessimistic = settings.mode == TxnMode::Pessimistic;
        let for_update = is_pessimistic || draw.percent(30);
        let is_serializable = settings.isolation == TxnIsolation::Serializable || for_update;
        let level = if is_serializable { Level::Serializable } else { Level::Snapshot };
        let count = draw.one_of(&[1, 2, 3]);
        let lists = draw.some(count, self.mix.lists);
        let split = 1 + usize::try_from(draw.below(lists.len() as u64)).unwrap();
        let appends: Vec<(u32, u64)> = lists[..split].iter().map(|l| (*l, values.next())).collect();
        let steps = appends.iter().map(|(list, value)| ListStep::Append(*list, *value)).collect();
        let record = self.list_txn(values.client, level, steps);
        let node = self.node(draw);
        let idle_ms = 1_000 + draw.below(4_000);
        let begun = self.talk(node, draw, SessionRequest::Begin { settings, idle_ms }).await;
        let Heard::Answer(SessionReply::State(state)) = begun else {
            // Whatever was begun has no steps.
            self.end_list(node, record, Fate::Failed, ListEnd::default());
            return;
        };
        let talk = Talk { id: state.id, lists, appends, for_update, is_pessimistic };
        self.carry_on(node, draw, record, talk).await;
    }

    async fn carry_on(&self, node: NodeId, draw: &mut Draw, record: ListId, talk: Talk) {
        let Some(before) = self.read_in_session(node, draw, &talk).await else {
            return self.give_up(node, draw, record, &talk).await;
        };
        tokio::time::sleep(draw.ms(0, 300)).await;
        let Some(own) = self.write_in_session(node, draw, &talk, &before).await else {
            return self.give_up(node, draw, record, &talk).await;
        };
        if draw.percent(8) {
            return self.give_up(node, draw, record, &talk).await;
        }
        let (fate, commit_ts) = self.commit_session(draw, talk.id).await;
        let reads = before.into_iter().map(|(list, seen)| ListStep::Read(list, seen));
        let appends = talk.appends.iter().map(|(list, value)| ListStep::Append(*list, *value));
        let steps = Some(reads.chain(appends).chain(own).collect());
        let read_ts = (!talk.is_pessimistic).then_some(talk.id.start_ts);
        // What it saw counts only if it committed; else nothing vouches for reads under a lock.
        let end = match fate {
            Fate::Committed => ListEnd { steps, read_ts, commit_ts },
            Fate::Failed | Fate::Unknown => ListEnd::default(),
        };
        self.end_list(node, record, fate, end);
    }

    async fn read_in_session(
        &self,
        node: NodeId,
        draw: &mut Draw,
        talk: &Talk,
    ) -> Option<BTreeMap<u32, Vec<u64>>> {
        let for_update = talk.for_update;
        let get = |list: &u32| TxnOp::Get { key: list_key(*list), for_update };
        let ops: Vec<TxnOp> = talk.lists.iter().map(get).collect();
        let results = self.steps_of(node, draw, talk.id, ops).await?;
        Some(talk.lists.iter().copied().zip(results.iter().map(value)).collect())
    }

    /// Appends, and reads what it has appended to. Answers these reads.
    async fn write_in_session(
        &self,
        node: NodeId,
        draw: &mut Draw,
        talk: &Talk,
        before: &BTreeMap<u32, Vec<u64>>,
    ) -> Option<Vec<ListStep>> {
        let put = |(list, new): &(u32, u64)| TxnOp::Put {
            key: list_key(*list),
            value: to_bytes(&[before[list].clone(), vec![*new]].concat()),
            ttl_ms: None,
        };
        let get = |(list, _): &(u32, u64)| TxnOp::Get { key: list_key(*list), for_update: false };
        let ops = talk.appends.iter().map(put).chain(talk.appends.iter().map(get)).collect();
        let results = self.steps_of(node, draw, talk.id, ops).await?;
        let own = talk.appends.iter().zip(&results[talk.appends.len()..]);
        Some(own.map(|((list, _), result)| ListStep::Read(*list, value(result))).collect())
    }

    async fn steps_of(
        &self,
        node: NodeId,
        draw: &mut Draw,
        id: TxnId,
        ops: Vec<TxnOp>,
    ) -> Option<Vec<TxnOpResult>> {
        match self.talk(node, draw, SessionRequest::Ops { id, ops }).await {
            Heard::Answer(SessionReply::Results(results)) => Some(results),
            Heard::Answer(other) => panic!("steps are answered {other:?}"),
            Heard::Refused(error) => {
                let _ = fate_of(&error);
                self.note(node, format_args!("step of {} refused: {error}", id.start_ts));
                None
            }
            Heard::Lost => None,
        }
    }

    /// Its commit is never asked for. Some say so, others are just gone.
    async fn give_up(&self, node: NodeId, draw: &mut Draw, record: ListId, talk: &Talk) {
        if draw.percent(50) {
            let (other, id) = (self.node(draw), talk.id);
            let _ = self.talk(other, draw, SessionRequest::Rollback { id }).await.answer();
        }
        self.end_list(node, record, Fate::Failed, ListEnd::default());
    }

    /// Through any nodes, until it is clear.
    async fn commit_session(&self, draw: &mut Draw, id: TxnId) -> (Fate, Option<Timestamp>) {
        let mut may_have_arrived = false;
        for _ in 0..COMMITS {
            let node = self.node(draw);
            let request = SessionRequest::Commit { id, idempotency: None };
            match self.talk(node, draw, request).await {
                Heard::Answer(SessionReply::State(state)) => match state.phase {
                    SessionPhase::Committed { commit_ts, .. } => {
                        return (Fate::Committed, Some(commit_ts));
                    }
                    SessionPhase::RolledBack => return (Fate::Failed, None),
                    _ => may_have_arrived = true,
                },
                Heard::Answer(other) => panic!("a commit is answered {other:?}"),
                Heard::Refused(error) => {
                    self.note(node, format_args!("commit of {} refused: {error}", id.start_ts));
                    // Words about the transaction, not about this request.
                    let is_final = matches!(error.code, Code::TxnExpired | Code::TxnRolledBack);
                    if is_final || (fate_of(&error) == Fate::Failed && !may_have_arrived) {
                        return (Fate::Failed, None);
                    }
                    may_have_arrived = true;
                }
                Heard::Lost => may_have_arrived = true,
            }
            tokio::time::sleep(draw.ms(1, 500)).await;
        }
        (Fate::Unknown, None)
    }

    async fn talk(
        &self,
        node: NodeId,
        draw: &mut Draw,
        request: SessionRequest,
    ) -> Heard<SessionReply> {
        let call = |service: KvService, options: CallOptions| async move {
            service.session(request, &options).await
        };
        self.through(node, draw, call).await
    }
}

fn value(result: &TxnOpResult) -> Vec<u64> {
    match result {
        TxnOpResult::Value(row) => list_of(row.as_ref()),
        other => panic!("a read answers {other:?}"),
    }
}
