//! Random commands and reads over a few keys, against a model that is a map: 30,000 steps, or as many
//! as asked for: `MVCC_STEPS=1000000 cargo test --workspace --lib -- like_the_model`.
use super::*;
use bytes::Bytes;
use troupe_types::txn::{ReadView, TxnRow, TxnValue};
use troupe_types::{KeyRange, ReadCommand, ReadReply, UnixMillis};

const KEYS: [&str; 4] = ["a", "b", "bb", "longer than a group"];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Does {
    Put,
    Delete,
    Lock,
    Pessimistic,
}

#[derive(Clone, Debug)]
struct ModelLock {
    start: u64,
    does: Does,
    value: Bytes,
    /// May not commit below.
    least: u64,
    /// Readers below pass by.
    min_commit: u64,
    is_async: bool,
    for_update: u64,
}

/// One key: its lock, its commits by time (who, what, value), who was rolled back.
#[derive(Clone, Debug, Default)]
struct ModelKey {
    lock: Option<ModelLock>,
    commits: BTreeMap<u64, (u64, Does, Bytes)>,
    rolled_back: std::collections::BTreeSet<u64>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Answer {
    Done,
    Prewritten(u64, u64),
    Blocked,
    Conflict,
    RolledBack,
    Committed,
    NotFound,
    TooEarly,
    Lost,
}

fn answer(result: &TxnResult) -> Answer {
    match result {
        Ok(TxnReply::Prewritten { min_commit_ts, one_pc_commit_ts }) => {
            Answer::Prewritten(min_commit_ts.get(), one_pc_commit_ts.get())
        }
        Ok(TxnReply::Blocked(_)) | Err(TxnError::Locked(_)) => Answer::Blocked,
        Ok(TxnReply::Done | TxnReply::Locked(_)) => Answer::Done,
        Err(TxnError::RolledBack { .. })
        | Err(TxnError::WriteConflict { reason: ConflictReason::SelfRolledBack, .. }) => {
            Answer::RolledBack
        }
        Err(TxnError::WriteConflict { .. }) => Answer::Conflict,
        Err(TxnError::Committed { .. }) => Answer::Committed,
        Err(TxnError::LockNotFound { .. }) => Answer::NotFound,
        Err(TxnError::CommitTsExpired { .. }) => Answer::TooEarly,
        Err(TxnError::PessimisticLockNotFound { .. }) => Answer::Lost,
        other => panic!("{other:?}"),
    }
}

impl ModelKey {
    fn committed(&self, start: u64) -> Option<u64> {
        self.commits.iter().find(|(_, (by, _, _))| *by == start).map(|(at, _)| *at)
    }

    fn newest_after(&self, ts: u64) -> bool {
        self.commits.keys().next_back().is_some_and(|at| *at > ts)
    }

    fn prewrite(&mut self, start: u64, does: (Does, Bytes), way: u64, max_ts: u64) -> Answer {
        if let Some(lock) = &self.lock {
            if lock.start != start {
                return Answer::Blocked;
            }
            if lock.does != Does::Pessimistic {
                let known = way == 1 && lock.is_async;
                return Answer::Prewritten(if known { lock.min_commit } else { 0 }, 0);
            }
        }
        if let Some(at) = self.committed(start) {
            return Answer::Prewritten(
                if way == 1 { at } else { 0 },
                if way == 2 { at } else { 0 },
            );
        }
        if self.rolled_back.contains(&start) {
            return Answer::RolledBack;
        }
        if self.newest_after(start) {
            return Answer::Conflict;
        }
        let held = self.lock.as_ref().map_or(0, |lock| lock.for_update);
        let at = (max_ts + 1).max(start + 1).max(held + 1);
        if way == 2 {
            self.lock = None;
            self.commits.insert(at, (start, does.0, does.1));
            return Answer::Prewritten(0, at);
        }
        let min_commit = if way == 1 { at } else { 0 };
        self.lock = Some(ModelLock {
            start,
            does: does.0,
            value: does.1,
            least: min_commit.max(start + 1).max(held + 1),
            min_commit,
            is_async: way == 1,
            for_update: held,
        });
        Answer::Prewritten(min_commit, 0)
    }

    fn commit(&mut self, start: u64, at: u64) -> Answer {
        match self.lock.take_if(|lock| lock.start == start && lock.does != Does::Pessimistic) {
            Some(lock) if at < lock.least => {
                self.lock = Some(lock);
                Answer::TooEarly
            }
            Some(lock) => {
                self.commits.insert(at, (start, lock.does, lock.value));
                Answer::Done
            }
            None if self.committed(start).is_some() => Answer::Done,
            None => Answer::NotFound,
        }
    }

    fn rollback(&mut self, start: u64) -> Answer {
        if self.committed(start).is_some() {
            return Answer::Committed;
        }
        self.lock.take_if(|lock| lock.start == start);
        self.rolled_back.insert(start);
        Answer::Done
    }

    fn lock(&mut self, start: u64, for_update: u64) -> Answer {
        match &self.lock {
            Some(lock) if lock.start != start => return Answer::Blocked,
            Some(lock) if lock.does != Does::Pessimistic => return Answer::Lost,
            Some(_) | None => {}
        }
        if self.committed(start).is_some() {
            return Answer::Committed;
        }
        if self.rolled_back.contains(&start) {
            return Answer::RolledBack;
        }
        // Commits up to the start are always seen.
        if self.newest_after(for_update.max(start)) {
            return Answer::Conflict;
        }
        let for_update = self.lock.as_ref().map_or(0, |lock| lock.for_update).max(for_update);
        self.lock = Some(ModelLock {
            start,
            does: Does::Pessimistic,
            value: Bytes::new(),
            least: 0,
            min_commit: 0,
            is_async: false,
            for_update,
        });
        Answer::Done
    }

    /// Who is in the way, or the value.
    fn read(&self, ts: u64) -> Result<Option<(u64, Bytes)>, u64> {
        if let Some(lock) = &self.lock {
            let changes = matches!(lock.does, Does::Put | Does::Delete);
            let passed = ts != u64::MAX && lock.min_commit > ts;
            if changes && lock.start <= ts && !passed {
                return Err(lock.start);
            }
        }
        let changes = |does: &Does| matches!(does, Does::Put | Does::Delete);
        let newest = self.commits.range(..=ts).rev().find(|(_, (_, does, _))| changes(does));
        Ok(newest
            .filter(|(_, (_, does, _))| *does == Does::Put)
            .map(|(at, (_, _, value))| (*at, value.clone())))
    }
}

/// A small generator (xorshift), so that a failing step is found again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn view(ts: u64) -> ReadView {
    ReadView { now: UnixMillis(0), ..ReadView::at(Timestamp(ts)) }
}

fn read(world: &World, command: &ReadCommand) -> ReadReply {
    crate::read::read(&*world.engine.snapshot(), command, UnixMillis(0)).unwrap()
}

fn compare_gets(world: &World, model: &BTreeMap<Key, ModelKey>, ts: u64) {
    let keys: Vec<Key> = model.keys().cloned().collect();
    let command = ReadCommand::TxnGet { keys, view: view(ts) };
    let ReadReply::TxnValues(found) = read(world, &command) else { panic!("no values") };
    for (found, (key, expected)) in found.into_iter().zip(model) {
        let found = match found {
            TxnValue::Row(row) => Ok(row.map(|row| (row.commit_ts.get(), row.value))),
            TxnValue::Locked(lock) => Err(lock.start_ts.get()),
        };
        assert_eq!(found, expected.read(ts), "{key:?} at {ts}: {expected:?}");
    }
}

/// Pages add up to what the model holds before the first lock.
fn compare_scan(world: &World, model: &BTreeMap<Key, ModelKey>, ts: u64, reverse: bool) {
    let (mut expected, mut blocked) = (Vec::new(), None);
    let mut keys: Vec<_> = model.iter().collect();
    if reverse {
        keys.reverse();
    }
    for (key, model) in keys {
        match model.read(ts) {
            Ok(Some((at, value))) => expected.push((key.clone(), at, value)),
            Ok(None) => {}
            Err(_) => {
                blocked = Some(key.clone());
                break;
            }
        }
    }
    let (mut rows, mut left, mut at) = (Vec::<TxnRow>::new(), Some(KeyRange::txn_space()), None);
    while let Some(range) = left.filter(|_| at.is_none()) {
        let command = ReadCommand::TxnScan {
            range,
            view: view(ts),
            limit: 1 + (ts % 3) as u32,
            max_bytes: u64::MAX,
            reverse,
            keys_only: false,
        };
        let ReadReply::TxnRows { rows: page, rest, lock } = read(world, &command) else {
            panic!("no rows")
        };
        rows.extend(page);
        (left, at) = (rest, lock.map(|lock| lock.key));
    }
    let rows: Vec<_> =
        rows.into_iter().map(|row| (row.key, row.commit_ts.get(), row.value)).collect();
    assert_eq!((rows, at), (expected, blocked), "at {ts}, reverse {reverse}");
}

fn step(world: &mut World, model: &mut BTreeMap<Key, ModelKey>, dice: &mut Dice, now: u64) {
    let k = key(KEYS[dice.below(KEYS.len() as u64) as usize]);
    let start = now.saturating_sub(dice.below(24)) + 1;
    let at = start + dice.below(12);
    let key_model = model.get_mut(&k).unwrap();
    // Timestamps of the oracle are given once: nobody else commits at a transaction's start.
    let (command, expected) = match dice.below(8) {
        0..3 => {
            let way = dice.below(3);
            let long = if dice.below(4) == 0 { 300 } else { 1 };
            let value = Bytes::from(vec![(now % 251) as u8; long]);
            let (does, op) = match dice.below(4) {
                0 => (Does::Delete, MutationOp::Delete),
                1 => (Does::Lock, MutationOp::Lock),
                _ => (Does::Put, MutationOp::Put { value: value.clone(), expires_at: None }),
            };
            world.max_ts = now.saturating_sub(dice.below(20));
            let mut request = prewrite(vec![Mutation { op, ..put(&k) }], start);
            request.async_commit = (way == 1).then(Vec::new);
            request.try_one_pc = way == 2;
            let expected = key_model.prewrite(start, (does, value), way, world.max_ts);
            (TxnCommand::Prewrite(request), expected)
        }
        3 | 4 => {
            // Mostly of the transaction that holds the key.
            let start = key_model.lock.as_ref().map_or(start, |lock| lock.start);
            (commit(&k, start, at), key_model.commit(start, at))
        }
        5 => (rollback(&k, start), key_model.rollback(start)),
        6 => {
            let request = lock_request(&k, start, at);
            (TxnCommand::PessimisticLock(request), key_model.lock(start, at))
        }
        _ => {
            let held = key_model.lock.as_ref().map_or(start, |lock| lock.start);
            key_model.lock.take_if(|lock| {
                lock.start == held && lock.does == Does::Pessimistic && lock.for_update <= at
            });
            let (start_ts, for_update_ts) = (Timestamp(held), Timestamp(at));
            let keys = vec![k.clone()];
            let command = TxnCommand::PessimisticRollback { keys, start_ts, for_update_ts };
            (command, Answer::Done)
        }
    };
    let before = format!("{:?}", model[&k]);
    let result = world.run(&command);
    assert_eq!(answer(&result), expected, "{command:?} -> {result:?}; model behind it: {before}");
}

#[test]
fn commands_and_reads_are_like_the_model() {
    let steps = std::env::var("MVCC_STEPS").map_or(30_000, |steps| steps.parse().unwrap());
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut world, mut model) = (World::default(), BTreeMap::new());
    for i in 0..steps {
        if i % 400 == 0 {
            world = World { may_remember: i % 800 == 0, ..World::default() };
            model = KEYS.map(|name| (key(name), ModelKey::default())).into();
        }
        let now = 1 + (i % 400) / 3;
        step(&mut world, &mut model, &mut dice, now);
        let ts = if dice.below(8) == 0 { u64::MAX } else { now + dice.below(30) };
        compare_gets(&world, &model, ts.saturating_sub(14));
        compare_scan(&world, &model, ts, dice.below(2) == 0);
    }
}
