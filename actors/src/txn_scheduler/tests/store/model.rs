//! A small model in place of the real commands, and a scheduler that executes it.
use super::*;

/// Commands as far as the scheduler cares: locks that exclude each other and end.
pub(super) fn model(
    command: &TxnCommand,
    context: &TxnContext<'_>,
) -> Result<Executed, StorageError> {
    match command {
        TxnCommand::Prewrite(prewrite) => prewrite_model(prewrite, context),
        TxnCommand::PessimisticLock(lock) => lock_model(lock, context),
        TxnCommand::Commit { keys, start_ts, .. } => commit_model(keys, *start_ts, context),
        other => panic!("not in the model: {other:?}"),
    }
}

pub(super) fn find(key: &Key, context: &TxnContext<'_>) -> Option<Lock> {
    let stored = || {
        let row = context.snapshot.get(Cf::Lock, &encode_ordered(key)).unwrap();
        row.map(|row| Lock::decode(&row).unwrap())
    };
    context.memory.get(key).cloned().or_else(stored)
}

pub(super) fn put(key: &Key, lock: Option<&Lock>) -> TxnChange {
    TxnChange {
        cf: TxnCf::Lock,
        key: encode_ordered(key),
        value: lock.map(Lock::encode),
        if_present: false,
    }
}

pub(super) fn new_lock(kind: LockKind, start_ts: Timestamp, min_commit_ts: Timestamp) -> Lock {
    Lock {
        kind,
        primary: key("p"),
        start_ts,
        ttl_ms: 3000,
        short_value: None,
        expires_at: None,
        for_update_ts: Timestamp(0),
        txn_size: 1,
        min_commit_ts,
        use_async_commit: false,
        secondaries: Vec::new(),
        rollbacks: Vec::new(),
        generation: 0,
        locked_with_conflict: false,
    }
}

pub(super) fn prewrite_model(
    p: &Prewrite,
    context: &TxnContext<'_>,
) -> Result<Executed, StorageError> {
    let min_commit_ts = Timestamp(context.max_ts.max(p.start_ts).get() + 1);
    let lock = new_lock(LockKind::Put, p.start_ts, min_commit_ts);
    let mut executed = Executed::default();
    let mut in_the_way = Vec::new();
    for Mutation { key, .. } in &p.mutations {
        match find(key, context) {
            Some(other) if other.start_ts != p.start_ts => in_the_way.push(other.info(key.clone())),
            Some(_) | None => {
                executed.changes.push(put(key, Some(&lock)));
                executed.published.push(lock.info(key.clone()));
            }
        }
    }
    if !in_the_way.is_empty() {
        let result = Some(Ok(TxnReply::Blocked(in_the_way)));
        return Ok(Executed { result, ..Executed::default() });
    }
    let reply = TxnReply::Prewritten { min_commit_ts, one_pc_commit_ts: Timestamp(0) };
    executed.result = Some(Ok(reply));
    Ok(executed)
}

pub(super) fn lock_model(
    lock: &PessimisticLock,
    context: &TxnContext<'_>,
) -> Result<Executed, StorageError> {
    let mut executed = Executed::default();
    for (key, _) in &lock.keys {
        let held = find(key, context).filter(|held| held.start_ts != lock.start_ts);
        if let Some(held) = held {
            let waits_for = Some(Box::new(held.info(key.clone())));
            return Ok(Executed { waits_for, ..Executed::default() });
        }
        let mine = new_lock(LockKind::Pessimistic, lock.start_ts, Timestamp(0));
        if context.may_remember {
            executed.remembered.push((key.clone(), mine));
        } else {
            executed.changes.push(put(key, Some(&mine)));
        }
    }
    executed.result = Some(Ok(TxnReply::Locked(vec![Default::default(); lock.keys.len()])));
    Ok(executed)
}

pub(super) fn commit_model(
    keys: &[Key],
    start_ts: Timestamp,
    context: &TxnContext<'_>,
) -> Result<Executed, StorageError> {
    let is_mine = |key: &&Key| find(key, context).is_some_and(|lock| lock.start_ts == start_ts);
    let mine: Vec<Key> = keys.iter().filter(is_mine).cloned().collect();
    Ok(Executed {
        result: Some(Ok(TxnReply::Done)),
        changes: mine.iter().map(|key| put(key, None)).collect(),
        forgotten: mine.clone(),
        released: mine,
        ..Executed::default()
    })
}

/// A second scheduler of the Store, which executes the model.
pub(super) fn with_model(
    env: &Env,
    store: &StoreHandle,
    outside: &Arc<Outside>,
) -> crate::txn_scheduler::SchedulerHandle {
    let (transport, siblings) = (outside.clone(), store.siblings.clone());
    let detector = DetectorClient::new(env.clone(), transport, directory(), siblings);
    let parts = SchedulerParts {
        env: env.clone(),
        store: STORE,
        router: store.router.clone(),
        engine: store.engine.clone(),
        pd: outside.clone(),
        detector: Arc::new(detector),
        concurrency: store.concurrency.clone(),
        disk_full: store.disk_full.clone(),
        safe_point: store.safe_point.clone(),
        execute: model,
        worker: env.spawner.worker("txn", 1),
        threads: 1,
        options: SchedulerOptions::default(),
        policy: Policy::default(),
    };
    crate::txn_scheduler::start(parts, ActorId(0))
}
