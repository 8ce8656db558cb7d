//! Commands against a memory engine: retries, late deliveries, and the known bugs of this protocol.
use super::*;
use crate::engine::memory::MemoryEngine;
use crate::engine::{Cf, Durability, KvEngine, Modify, WriteBatch};
use bytes::Bytes;
use troupe_types::key::txn_key;
use troupe_types::txn::error::ConflictReason;
use troupe_types::txn::{
    Assertion, CheckTxnStatus, LockInfo, Mutation, MutationOp, MvccHistory, PessimisticAction,
    PessimisticLock, Prewrite, ReadView, TxnError, TxnStatus, TxnValue,
};

mod collect;
mod flush;
mod model;
mod secondaries;
mod status;
mod values;
mod views;

/// A timestamp of this millisecond, for what depends on clocks.
fn at(ms: u64) -> u64 {
    Timestamp::compose(ms, 0).get()
}

/// A Store with one key range, without a scheduler.
#[derive(Default)]
struct World {
    engine: MemoryEngine,
    memory: BTreeMap<Key, Lock>,
    max_ts: u64,
    may_remember: bool,
    gc_safe_point: u64,
}

impl World {
    /// Executes and applies.
    fn run(&mut self, command: &TxnCommand) -> TxnResult {
        let snapshot = self.engine.snapshot();
        let context = TxnContext {
            snapshot: &*snapshot,
            memory: &self.memory,
            max_ts: Timestamp(self.max_ts),
            may_remember: self.may_remember,
            gc_safe_point: Timestamp(self.gc_safe_point),
        };
        let done = execute(command, &context).unwrap();
        drop(snapshot);
        let changes = done.changes.into_iter().map(|change| {
            let cf = match change.cf {
                troupe_types::command::TxnCf::Default => Cf::Default,
                troupe_types::command::TxnCf::Lock => Cf::Lock,
                troupe_types::command::TxnCf::Write => Cf::Write,
            };
            match change.value {
                Some(value) if change.if_present => Modify::ReplaceRecord(change.key, value),
                Some(value) => Modify::Put(cf, change.key, value),
                None => Modify::Delete(cf, change.key),
            }
        });
        let batch = WriteBatch { changes: changes.collect() };
        self.engine.write(batch, Durability::Buffered).unwrap();
        for key in done.forgotten {
            self.memory.remove(&key);
        }
        self.memory.extend(done.remembered);
        done.result.unwrap_or_else(|| Err(TxnError::Locked(done.waits_for.unwrap())))
    }

    /// All that is stored about a key.
    fn stored(&self, key: &Key) -> Option<MvccHistory> {
        crate::mvcc::history::by_key(&*self.engine.snapshot(), key).unwrap().map(|found| *found)
    }

    /// Its stored lock.
    fn locked(&self, key: &Key) -> Option<LockInfo> {
        self.stored(key).and_then(|stored| stored.lock)
    }

    fn get(&self, key: &Key, view: &ReadView) -> TxnValue {
        let snapshot = self.engine.snapshot();
        crate::mvcc::view::get(&*snapshot, std::slice::from_ref(key), view).unwrap().remove(0)
    }

    /// The value that a snapshot read sees; a lock in its way is an error of the test.
    fn value(&self, key: &Key, ts: u64) -> Option<Bytes> {
        match self.get(key, &ReadView::at(Timestamp(ts))) {
            TxnValue::Row(row) => row.map(|row| row.value),
            TxnValue::Locked(lock) => panic!("{lock:?}"),
        }
    }

    /// Stores a value in two phases.
    fn store(&mut self, mutation: Mutation, start_ts: u64, commit_ts: u64) {
        let key = mutation.key.clone();
        self.run(&TxnCommand::Prewrite(prewrite(vec![mutation], start_ts))).unwrap();
        self.run(&commit(&key, start_ts, commit_ts)).unwrap();
    }
}

fn key(name: &str) -> Key {
    txn_key(0, name.as_bytes())
}

fn put(key: &Key) -> Mutation {
    mutation(key, MutationOp::Put { value: "v".into(), expires_at: None })
}

fn mutation(key: &Key, op: MutationOp) -> Mutation {
    Mutation {
        key: key.clone(),
        op,
        assertion: Assertion::None,
        pessimistic: PessimisticAction::Skip,
    }
}

fn put_value(key: &Key, value: &str) -> Mutation {
    let value = Bytes::from(value.to_owned());
    mutation(key, MutationOp::Put { value, expires_at: None })
}

/// A prewrite that comes after the transaction was rolled back.
fn is_refused_as_rolled_back(result: &TxnResult) -> bool {
    let reason = ConflictReason::SelfRolledBack;
    matches!(result, Err(TxnError::WriteConflict { reason: found, .. }) if *found == reason)
}

fn prewrite(mutations: Vec<Mutation>, start_ts: u64) -> Prewrite {
    Prewrite {
        primary: mutations[0].key.clone(),
        txn_size: mutations.len() as u64,
        mutations,
        start_ts: Timestamp(start_ts),
        lock_ttl_ms: 1,
        for_update_ts: Timestamp::ZERO,
        for_update_ts_checks: Vec::new(),
        min_commit_ts: Timestamp::ZERO,
        max_commit_ts: Timestamp::ZERO,
        async_commit: None,
        try_one_pc: false,
    }
}

fn lock_request(key: &Key, start_ts: u64, for_update_ts: u64) -> PessimisticLock {
    PessimisticLock {
        keys: vec![(key.clone(), false)],
        primary: key.clone(),
        start_ts: Timestamp(start_ts),
        for_update_ts: Timestamp(for_update_ts),
        lock_ttl_ms: 1,
        wait_ms: None,
        return_values: false,
        check_existence: false,
        lock_only_if_exists: false,
        allow_conflict: false,
        min_commit_ts: Timestamp::ZERO,
    }
}

fn commit(key: &Key, start_ts: u64, commit_ts: u64) -> TxnCommand {
    TxnCommand::Commit {
        keys: vec![key.clone()],
        start_ts: Timestamp(start_ts),
        commit_ts: Timestamp(commit_ts),
    }
}

fn rollback(key: &Key, start_ts: u64) -> TxnCommand {
    TxnCommand::Rollback { keys: vec![key.clone()], start_ts: Timestamp(start_ts) }
}

fn prewritten(min_commit_ts: u64, one_pc_commit_ts: u64) -> TxnResult {
    Ok(TxnReply::Prewritten {
        min_commit_ts: Timestamp(min_commit_ts),
        one_pc_commit_ts: Timestamp(one_pc_commit_ts),
    })
}

/// B16: a prewrite that comes after the rollback is refused, even behind later rollbacks.
#[test]
fn b16_a_prewrite_behind_its_rollback_is_refused() {
    let (mut world, a) = (World::default(), key("a"));
    let late = TxnCommand::Prewrite(prewrite(vec![put(&a)], 10));
    world.run(&TxnCommand::PessimisticLock(lock_request(&a, 10, 10))).unwrap();
    world.run(&rollback(&a, 10)).unwrap();
    world.run(&rollback(&a, 20)).unwrap();
    let refused = world.run(&late).unwrap_err();
    let self_rolled_back =
        matches!(refused, TxnError::WriteConflict { reason: ConflictReason::SelfRolledBack, .. });
    assert!(self_rolled_back, "{refused:?}");
}

/// B17: a pessimistic lock that is asked for again after the commit takes no lock.
#[test]
fn b17_a_late_lock_behind_the_commit_is_refused() {
    for may_remember in [false, true] {
        let (mut world, a) = (World { may_remember, ..World::default() }, key("a"));
        let request = TxnCommand::PessimisticLock(lock_request(&a, 10, 10));
        world.run(&request).unwrap();
        let mut phase_one = prewrite(vec![put(&a)], 10);
        phase_one.mutations[0].pessimistic = PessimisticAction::Check;
        phase_one.for_update_ts = Timestamp(10);
        world.run(&TxnCommand::Prewrite(phase_one)).unwrap();
        assert!(world.memory.is_empty());
        world.run(&commit(&a, 10, 20)).unwrap();
        assert!(matches!(world.run(&request), Err(TxnError::Committed { .. })));
        assert_eq!(world.run(&commit(&a, 10, 20)), Ok(TxnReply::Done));
    }
}

/// B18: a status check at a key that is not the primary any more names the one that is.
#[test]
fn b18_a_status_check_at_another_primary_is_refused() {
    let (mut world, a, b) = (World::default(), key("a"), key("b"));
    world.run(&TxnCommand::Prewrite(prewrite(vec![put(&b), put(&a)], 10))).unwrap();
    let check = CheckTxnStatus {
        primary: a,
        start_ts: Timestamp(10),
        caller_start_ts: Timestamp(30),
        current_ts: Timestamp::MAX,
        rollback_if_not_exist: true,
        force_sync_commit: false,
        resolving_pessimistic_lock: false,
        verify_is_primary: true,
    };
    match world.run(&TxnCommand::CheckTxnStatus(check)) {
        Err(TxnError::PrimaryMismatch(lock)) => assert_eq!(lock.primary, b),
        other => panic!("{other:?}"),
    }
}

/// B20: a prewrite that is sent again answers as the first time, before and after the commit.
#[test]
fn b20_a_repeated_prewrite_never_chooses_another_timestamp() {
    let (mut world, a) = (World { max_ts: 14, ..World::default() }, key("a"));
    let mut request = prewrite(vec![put(&a)], 10);
    request.async_commit = Some(Vec::new());
    let request = TxnCommand::Prewrite(request);
    assert_eq!(world.run(&request), prewritten(15, 0));
    world.max_ts = 99;
    assert_eq!(world.run(&request), prewritten(15, 0));
    world.run(&commit(&a, 10, 15)).unwrap();
    assert_eq!(world.run(&request), prewritten(15, 0));

    let mut request = prewrite(vec![put(&key("b"))], 10);
    request.try_one_pc = true;
    let request = TxnCommand::Prewrite(request);
    assert_eq!(world.run(&request), prewritten(0, 100));
    world.max_ts = 200;
    assert_eq!(world.run(&request), prewritten(0, 100));
}

#[test]
fn a_status_check_pushes_a_living_transaction_behind_the_reader() {
    let (mut world, a) = (World::default(), key("a"));
    let mut request = prewrite(vec![put(&a)], 10);
    request.lock_ttl_ms = 1_000;
    world.run(&TxnCommand::Prewrite(request)).unwrap();
    let check = CheckTxnStatus {
        primary: a.clone(),
        start_ts: Timestamp(10),
        caller_start_ts: Timestamp(30),
        current_ts: Timestamp(31),
        rollback_if_not_exist: true,
        force_sync_commit: false,
        resolving_pessimistic_lock: false,
        verify_is_primary: true,
    };
    let status = world.run(&TxnCommand::CheckTxnStatus(check));
    assert!(matches!(status, Ok(TxnReply::Status(TxnStatus::Alive { .. }))), "{status:?}");
    let early = world.run(&commit(&a, 10, 30));
    assert!(matches!(early, Err(TxnError::CommitTsExpired { .. })), "{early:?}");
    assert_eq!(world.run(&commit(&a, 10, 31)), Ok(TxnReply::Done));
}
