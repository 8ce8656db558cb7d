//! Coordinators that take their time. They speak to Regions themselves, one after the other, with pauses
//! in which locks expire, readers push, leaders change and resolvers come; some go away in the middle; and
//! copies of what they sent arrive seconds later. What they promise is the same as ever.
use super::draw::Draw;
use super::lists::{list_key, list_of, to_bytes};
use super::reads::Way;
use super::tell::Told;
use super::{Heard, TxnClients, Values};
use crate::sim::checkers::txn::book::ListEnd;
use crate::sim::net::millis;
use crate::workload::txn::{Fate, Level, ListStep};
use std::rc::Rc;
use tokio::time::Instant;
use troupe_actors::kv_service::{CallOptions, KvService};
use troupe_types::txn::session::CommitProtocol;
use troupe_types::txn::{
    Assertion, Mutation, MutationOp, PessimisticAction, Prewrite, TxnCommand, TxnError, TxnReply,
};
use troupe_types::{Code, Key, NodeId, Timestamp};

/// Times that a command is sent.
const TRIES: u32 = 8;
/// The same by one who waits for a new leader: so many for each.
const EAGER: u32 = 10;

/// A transaction of such a coordinator.
struct Plan {
    start_ts: Timestamp,
    client: u32,
    lists: Vec<u32>,
    /// The first decides.
    keys: Vec<Key>,
    steps: Vec<ListStep>,
    mutations: Vec<Mutation>,
    protocol: CommitProtocol,
    lock_ttl_ms: u64,
    pace: Pace,
}

/// What a coordinator waits for between its steps.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// Nothing.
    Brisk,
    /// Some time.
    Slow,
    /// For a read of what will be written, and then until another replica leads: what is sent then is
    /// the first that the new leader hears.
    Transfer,
}

/// How far it came.
enum Prewritten {
    All {
        min_commit_ts: Timestamp,
        one_pc: Timestamp,
    },
    /// It will never commit.
    Never,
    Unsure,
}

impl TxnClients {
    pub(super) async fn slow_step(self: &Rc<Self>, draw: &mut Draw, values: &mut Values) {
        let node = self.node(draw);
        let id = self.list_txn(values.client, Level::Snapshot, Vec::new());
        let Some(plan) = self.slow_plan(node, draw, values).await else {
            return self.end_list(node, id, Fate::Failed, ListEnd::default());
        };
        self.book.borrow_mut().expect(id, plan.steps.clone());
        let (fate, commit_ts) = self.drive(draw, &plan).await;
        let read_ts = Some(plan.start_ts);
        let end = match fate {
            Fate::Committed => ListEnd { steps: None, read_ts, commit_ts },
            Fate::Failed | Fate::Unknown => ListEnd { steps: None, ..ListEnd::default() },
        };
        self.end_list(node, id, fate, end);
    }

    /// Reads lists at a timestamp of its own, and decides what to do with them.
    async fn slow_plan(&self, node: NodeId, draw: &mut Draw, values: &mut Values) -> Option<Plan> {
        let call = |service: KvService, options: CallOptions| async move {
            service.timestamp(&options).await
        };
        let start_ts = self.through(node, draw, call).await.answer()?;
        let protocol =
            draw.one_of(&[CommitProtocol::Auto, CommitProtocol::Async, CommitProtocol::TwoPhase]);
        let count = draw.one_of(&[1, 2, 3]);
        let mut lists = draw.some(count, self.mix.lists);
        if protocol == CommitProtocol::Auto {
            // One Region must hold all.
            lists.truncate(1);
        }
        let keys: Vec<Key> = lists.iter().map(|list| list_key(*list)).collect();
        let seen = self.snapshot_by(node, draw, &keys, (Way::Keys, Some(start_ts))).await?;
        let old = |key: &Key| list_of(seen.rows.get(key));
        let reads = lists.iter().zip(&keys).map(|(list, key)| ListStep::Read(*list, old(key)));
        let new: Vec<u64> = lists.iter().map(|_| values.next()).collect();
        let appends = lists.iter().zip(&new).map(|(list, value)| ListStep::Append(*list, *value));
        let put = |(key, value): (&Key, &u64)| Mutation {
            key: key.clone(),
            op: MutationOp::Put {
                value: to_bytes(&[old(key), vec![*value]].concat()),
                expires_at: None,
            },
            assertion: Assertion::None,
            pessimistic: PessimisticAction::Skip,
        };
        Some(Plan {
            start_ts,
            client: values.client,
            steps: reads.chain(appends).collect(),
            lists,
            mutations: keys.iter().zip(&new).map(put).collect(),
            keys,
            protocol,
            lock_ttl_ms: draw.one_of(&[1, 200, 1_000, 3_000]),
            pace: draw.one_of(&[Pace::Brisk, Pace::Slow, Pace::Slow, Pace::Transfer]),
        })
    }

    async fn drive(self: &Rc<Self>, draw: &mut Draw, plan: &Plan) -> (Fate, Option<Timestamp>) {
        let (min_commit_ts, one_pc) = match self.prewrite_slowly(draw, plan).await {
            Prewritten::All { min_commit_ts, one_pc } => (min_commit_ts, one_pc),
            Prewritten::Never => return (Fate::Failed, None),
            Prewritten::Unsure => return (Fate::Unknown, None),
        };
        if one_pc > Timestamp::ZERO {
            return (Fate::Committed, Some(one_pc));
        }
        if min_commit_ts > Timestamp::ZERO {
            // Committed by its locks alone; others may find that out.
            if draw.percent(50) {
                let _ = self.commit_at(plan, plan.keys.clone(), min_commit_ts).await;
            }
            return (Fate::Committed, Some(min_commit_ts));
        }
        if draw.percent(15) {
            return (Fate::Failed, None);
        }
        self.commit_slowly(draw, plan).await
    }

    /// Key by key, the one that decides first or last.
    async fn prewrite_slowly(self: &Rc<Self>, draw: &mut Draw, plan: &Plan) -> Prewritten {
        let mut order: Vec<usize> = (0..plan.keys.len()).collect();
        if draw.percent(40) {
            order.reverse();
        }
        let (mut largest, mut is_async) =
            (Timestamp::ZERO, plan.protocol != CommitProtocol::TwoPhase);
        let (leaves, repeats) = (draw.percent(15), draw.percent(40));
        for (done, place) in order.into_iter().enumerate() {
            self.wait(draw, plan, &plan.keys[place]).await;
            if leaves && done > 0 {
                return Prewritten::Never;
            }
            let command = plan.prewrite(place);
            match self.tell(draw, plan, &plan.keys[place], &command).await {
                Told::Answer(Ok(TxnReply::Prewritten { min_commit_ts, one_pc_commit_ts })) => {
                    if repeats {
                        self.repeat_later(draw, plan.keys[place].clone(), command);
                    }
                    if one_pc_commit_ts > Timestamp::ZERO {
                        let min_commit_ts = Timestamp::ZERO;
                        return Prewritten::All { min_commit_ts, one_pc: one_pc_commit_ts };
                    }
                    is_async &= min_commit_ts > Timestamp::ZERO;
                    largest = largest.max(min_commit_ts);
                }
                // Refused, or blocked: what is missing will never be sent again.
                Told::Answer(_) | Told::NotDone => return Prewritten::Never,
                Told::Unsure => return Prewritten::Unsure,
            }
        }
        let min_commit_ts = if is_async { largest } else { Timestamp::ZERO };
        Prewritten::All { min_commit_ts, one_pc: Timestamp::ZERO }
    }

    /// Takes a timestamp, and some time before it is used.
    async fn commit_slowly(&self, draw: &mut Draw, plan: &Plan) -> (Fate, Option<Timestamp>) {
        let node = self.node(draw);
        let call = |service: KvService, options: CallOptions| async move {
            service.timestamp(&options).await
        };
        let Heard::Answer(commit_ts) = self.through(node, draw, call).await else {
            return (Fate::Failed, None);
        };
        self.wait(draw, plan, &plan.keys[0]).await;
        match self.commit_at(plan, vec![plan.keys[0].clone()], commit_ts).await {
            Told::Answer(Ok(TxnReply::Done)) => (Fate::Committed, Some(commit_ts)),
            Told::Answer(Ok(other)) => panic!("a commit is answered {other:?}"),
            // Nobody else commits it.
            Told::Answer(Err(TxnError::CommitTsExpired { .. } | TxnError::LockNotFound { .. }))
            | Told::NotDone => (Fate::Failed, None),
            // Whatever was there may be collected: nobody can tell any more.
            Told::Answer(Err(error)) if error.code() == Code::SnapshotGone => (Fate::Unknown, None),
            Told::Answer(Err(error)) => panic!("a commit is refused: {error}"),
            Told::Unsure => (Fate::Unknown, None),
        }
    }

    async fn commit_at(&self, plan: &Plan, keys: Vec<Key>, commit_ts: Timestamp) -> Told {
        let (mut told, start_ts) = (Told::NotDone, plan.start_ts);
        for key in keys {
            let command = TxnCommand::Commit { keys: vec![key.clone()], start_ts, commit_ts };
            told = self.tell_patiently(&key, &command, TRIES).await;
        }
        told
    }

    async fn wait(&self, draw: &mut Draw, plan: &Plan, key: &Key) {
        match plan.pace {
            Pace::Brisk => tokio::time::sleep(draw.ms(0, 20)).await,
            Pace::Slow => {
                let high = draw.one_of(&[50, 300, 2_500]);
                tokio::time::sleep(draw.ms(1, high)).await;
            }
            Pace::Transfer => self.hand_over(draw, plan, key).await,
        }
    }

    /// Has somebody read the lists, and leadership go to another replica.
    async fn hand_over(&self, draw: &mut Draw, plan: &Plan, key: &Key) {
        let Some(led) = self.leader(key) else { return };
        let _ = self.look_at_lists(draw, plan.client, &plan.lists).await;
        if draw.percent(70) {
            self.order_transfer(draw, &led);
        }
        let end = Instant::now() + draw.ms(200, 1_500);
        let is_same = || self.heir(key).is_none_or(|heir| heir.term <= led.term);
        while is_same() && Instant::now() < end {
            tokio::time::sleep(millis(2)).await;
        }
    }

    /// A copy that was on its way for seconds.
    fn repeat_later(self: &Rc<Self>, draw: &mut Draw, key: Key, command: TxnCommand) {
        let (clients, pause) = (self.clone(), draw.ms(100, 6_000));
        self.spawn(async move {
            tokio::time::sleep(pause).await;
            let _ = clients.tell_patiently(&key, &command, 1).await;
        });
    }

    /// As is the coordinator's pace.
    async fn tell(&self, draw: &mut Draw, plan: &Plan, key: &Key, command: &TxnCommand) -> Told {
        let tries = draw.one_of(&[1, TRIES]);
        if let Pace::Transfer = plan.pace {
            return self.tell_again(key, command, (tries * EAGER, millis(3))).await;
        }
        self.tell_patiently(key, command, tries).await
    }
}

impl Plan {
    fn prewrite(&self, place: usize) -> TxnCommand {
        let secondaries = || match place {
            0 => self.keys[1..].to_vec(),
            _ => Vec::new(),
        };
        TxnCommand::Prewrite(Prewrite {
            mutations: vec![self.mutations[place].clone()],
            primary: self.keys[0].clone(),
            start_ts: self.start_ts,
            lock_ttl_ms: self.lock_ttl_ms,
            txn_size: self.keys.len() as u64,
            for_update_ts: Timestamp::ZERO,
            for_update_ts_checks: Vec::new(),
            min_commit_ts: self.start_ts.next(),
            max_commit_ts: Timestamp::ZERO,
            async_commit: (self.protocol != CommitProtocol::TwoPhase).then(secondaries),
            try_one_pc: self.protocol == CommitProtocol::Auto,
        })
    }
}
