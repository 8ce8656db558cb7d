//! A whole Store with one replica: commands through the gateway's door down to the engine and back.
//! Here with a small model in place of the real commands, in `real.rs` with these.
mod model;
mod real;
mod world;

use model::with_model;
use world::*;

use super::*;
use crate::cell::tests::{run, until};
use crate::cell::{Message, Port};
use crate::deadlock::DetectorClient;
use crate::env::{Env, FaultPoint, Faults, Job, Spawner, Worker};
use crate::node::{PdCaller, RegionService, SharedDirectory};
use crate::region_peer::core::CoreOptions;
use crate::registry::ActorId;
use crate::store::core::ChoreTimes;
use crate::store::inbox::LocalStores;
use crate::store::recovery::create_replicas;
use crate::store::{self, Found, StoreDisks, StoreHandle, StoreOptions, StoreSetup};
use crate::supervision::Policy;
use crate::transport::{OutgoingSnapshot, Transport, TransportError};
use crate::txn_scheduler::{CommandExecuted, Report, SchedulerParts};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use troupe_storage::StorageError;
use troupe_storage::engine::Cf;
use troupe_storage::engine::memory::MemoryEngine;
use troupe_storage::mvcc::Lock;
use troupe_storage::raft_log::memory::MemoryRaftLog;
use troupe_storage::region_state::StoreIdent;
use troupe_storage::txn::{Executed, TxnContext};
use troupe_types::command::{TxnCf, TxnChange};
use troupe_types::key::encode_ordered;
use troupe_types::pd::{NodeInfo, PdError, PdReply, PdRequest, PdResult};
use troupe_types::raft_message::RaftEnvelope;
use troupe_types::request::{Consistency, RegionBody, RegionRequest, RegionResult};
use troupe_types::txn::gc::GcState;
use troupe_types::txn::session::SessionReply;
use troupe_types::txn::{
    Assertion, LockKind, Mutation, MutationOp, PessimisticAction, Prewrite, ReadView, TxnReply,
    TxnValue,
};
use troupe_types::{
    ClusterId, KeyRange, NodeId, Peer, PeerId, ReadCommand, ReadReply, Region, SYSTEM_REGION,
    StoreId, TraceTags,
};

const STORE: StoreId = StoreId(1);

fn prewrite(names: &[&str], start_ts: u64, is_async: bool) -> TxnCommand {
    let mutation = |name: &&str| Mutation {
        key: key(name),
        op: MutationOp::Put { value: "v".into(), expires_at: None },
        assertion: Assertion::None,
        pessimistic: PessimisticAction::Skip,
    };
    TxnCommand::Prewrite(Prewrite {
        mutations: names.iter().map(mutation).collect(),
        primary: key(names[0]),
        start_ts: Timestamp(start_ts),
        lock_ttl_ms: 3000,
        txn_size: 1,
        for_update_ts: Timestamp(0),
        for_update_ts_checks: Vec::new(),
        min_commit_ts: Timestamp(0),
        max_commit_ts: Timestamp(0),
        async_commit: is_async.then(Vec::new),
        try_one_pc: false,
    })
}

#[test]
fn of_conflicting_prewrites_one_is_first() {
    run(|env| async {
        let world = World::start(env).await;
        let both = [10, 20].map(|start_ts| world.begin(prewrite(&["a", "b"], start_ts, false)));
        let mut answers = Vec::new();
        for one in both {
            answers.push(one.await.unwrap());
        }
        assert!(answers[0].starts_with("Prewritten"), "{answers:?}");
        assert!(answers[1].starts_with("Blocked"), "{answers:?}");
        assert_eq!(world.txn(commit(&["a", "b"], 10)).await, "Done");
        let again = world.txn(prewrite(&["a", "b"], 20, false)).await;
        assert!(again.starts_with("Prewritten"), "{again}");
    });
}

#[test]
fn a_released_lock_wakes_who_waits_for_it() {
    run(|env| async {
        let world = World::start(env).await;
        assert!(world.txn(lock(&["a"], 10, Some(5000))).await.starts_with("Locked"));
        let second = world.begin(lock(&["a"], 20, Some(5000)));
        world.until_waiting(1).await;
        assert_eq!(world.txn(lock(&["a"], 30, None)).await, "locked by 10");
        assert_eq!(world.txn(commit(&["a"], 10)).await, "Done");
        assert!(second.await.unwrap().starts_with("Locked"));
        assert_eq!(world.waiting().await, 0);
        // Nobody releases it: the wait ends by itself.
        let before = world.env.now();
        assert_eq!(world.txn(lock(&["a"], 30, Some(1500))).await, "locked by 20");
        let waited = world.env.now().since(before);
        assert!(waited >= Duration::from_millis(1500), "{waited:?}");
    });
}

#[test]
fn a_deadlock_of_two_is_broken() {
    run(|env| async {
        let world = World::start(env).await;
        assert!(world.txn(lock(&["a"], 10, Some(5000))).await.starts_with("Locked"));
        assert!(world.txn(lock(&["b"], 20, Some(5000))).await.starts_with("Locked"));
        let first = world.begin(lock(&["b"], 10, Some(9000)));
        world.until_waiting(1).await;
        assert_eq!(world.txn(lock(&["a"], 20, Some(9000))).await, "deadlock of 2");
        // The victim goes, and the other one has its lock.
        assert_eq!(world.txn(commit(&["b"], 20)).await, "Done");
        assert!(first.await.unwrap().starts_with("Locked"));
    });
}

/// B19, the half on one leader: a snapshot that was read is never changed by a commit below it.
#[test]
fn an_asynchronous_commit_lands_above_every_read_or_blocks_it() {
    run(|env| async {
        let world = World::start(env).await;
        world.until_prewritten("another", 10).await;
        assert!(!world.is_blocked("a", 500).await);
        world.inline.holds_log.store(true, Ordering::SeqCst);
        let under_way = world.begin(prewrite(&["a"], 100, true));
        let published = world.store.concurrency.clone();
        until("the lock is published", || published.published() == 1).await;
        // It commits at 501 or later, which is not in the engine yet.
        for (ts, expected) in [(99, false), (500, false), (501, true), (900, true)] {
            let found = published.blocking(&key("a"), &ReadView::at(Timestamp(ts))).is_some();
            assert_eq!(found, expected, "at {ts}");
        }
        assert!(world.is_blocked("a", 501).await);
        assert!(!world.is_blocked("b", 501).await);
        world.inline.release_log();
        let answer = under_way.await.unwrap();
        assert!(answer.contains("min_commit_ts: 501"), "{answer}");
        assert_eq!(published.published(), 0, "the stored lock says it now");
    });
}

/// B19, the other half: what was read under a former leader is not known here.
#[test]
fn a_new_leader_chooses_no_commit_timestamp_before_pd_gave_it_one() {
    run(|env| async {
        let world = World::start(env).await;
        world.until_prewritten("a", 10).await;
        let view = world.store.router.get(REGION).unwrap().view;
        let term = view.delegate().unwrap().term;
        world.outside.is_deaf.store(true, Ordering::SeqCst);
        world.outside.clock.store(7000, Ordering::SeqCst);
        world.crash.0.store(true, Ordering::SeqCst);
        until("the replica crashes", || view.delegate().is_none()).await;
        world.until_led().await;
        assert!(world.store.router.get(REGION).unwrap().view.delegate().unwrap().term > term);
        let refused = world.serve(RegionBody::Txn(Box::new(prewrite(&["b"], 20, true)))).await;
        assert_eq!(refused, Err(RegionError::MaxTimestampNotSynced { region: REGION }));
        // Two phases need none.
        assert!(world.txn(prewrite(&["c"], 30, false)).await.starts_with("Prewritten"));
        world.outside.is_deaf.store(false, Ordering::SeqCst);
        until("PD was asked again", || world.store.concurrency.max_ts().get() > 7000).await;
        let answer = world.until_prewritten("b", 20).await;
        assert!(answer.contains("min_commit_ts: 700"), "{answer}");
    });
}

/// Locks in memory do not outlive the term; the transaction's prewrite decides what that means.
#[test]
fn locks_in_memory_are_lost_with_the_term() {
    run(|env| async {
        let world = World::start(env).await;
        assert!(world.txn(lock(&["a"], 10, Some(5000))).await.starts_with("Locked"));
        assert_eq!(world.txn(lock(&["a"], 20, None)).await, "locked by 10");
        let view = world.store.router.get(REGION).unwrap().view;
        world.crash.0.store(true, Ordering::SeqCst);
        until("the replica crashes", || view.delegate().is_none()).await;
        world.until_led().await;
        assert!(world.txn(lock(&["a"], 20, None)).await.starts_with("Locked"));
    });
}

/// The replica crashes while a commit is in its log and not durable: the outcome is unknown, and the
/// key is free again once another term has begun.
#[test]
fn an_unknown_outcome_keeps_the_key_until_the_term_is_over() {
    run(|env| async {
        let world = World::start(env).await;
        world.inline.holds_log.store(true, Ordering::SeqCst);
        let under_way = world.begin(prewrite(&["a"], 10, false));
        until("it is in the log's queue", || !world.inline.held.lock().unwrap().is_empty()).await;
        let behind = world.begin(prewrite(&["a"], 20, false));
        world.crash.0.store(true, Ordering::SeqCst);
        let answer = under_way.await.unwrap();
        assert!(answer.contains("unknown"), "{answer}");
        world.inline.release_log();
        world.until_led().await;
        let behind = behind.await.unwrap();
        // It ran in a term behind that, whose leader knows what became of the first: it is there.
        let later = ["Blocked", "region 7 is not ready", "store 1 has no region 7"];
        let is_told = later.iter().any(|start| behind.starts_with(start));
        assert!(is_told, "{behind}");
        assert!(world.txn(prewrite(&["a"], 20, false)).await.starts_with("Blocked"));
    });
}

#[test]
fn commands_that_do_not_fit_the_region_are_refused() {
    run(|env| async {
        let world = World::start(env).await;
        let older = RegionTarget { epoch: RegionEpoch { conf_ver: 1, version: 0 }, ..target() };
        let body = RegionBody::Txn(Box::new(commit(&["a"], 1)));
        let request = RegionRequest { store: STORE, target: older, body, traces: TraceTags::NONE };
        let answer =
            world.stores.serve(request, world.env.now().after(Duration::from_secs(5))).await;
        assert!(matches!(answer, Err(RegionError::EpochNotMatch { .. })), "{answer:?}");
        let outside = TxnCommand::Commit {
            keys: vec![Key::from_static(b"r\0\0\0k")],
            start_ts: Timestamp(1),
            commit_ts: Timestamp(2),
        };
        let answer = world.serve(RegionBody::Txn(Box::new(outside))).await;
        assert_eq!(answer, Err(RegionError::KeyNotInRegion { region: REGION }));
    });
}

#[test]
fn nothing_new_begins_below_the_safe_point() {
    run(|env| async {
        let world = World::start(env).await;
        world.store.safe_point.heard(Timestamp(100), world.env.now());
        let answer = world.txn(prewrite(&["a"], 99, false)).await;
        assert_eq!(answer, "timestamp 99 is below the safe point 100");
        assert!(world.txn(prewrite(&["a"], 100, false)).await.starts_with("Prewritten"));
        // What has begun may end.
        assert_eq!(world.txn(commit(&["b"], 50)).await, "Done");
    });
}

/// The scheduler crashes: what it held is unknown, what is under way goes on, and the next life begins
/// behind that.
#[test]
fn a_scheduler_that_crashes_begins_anew_when_all_has_landed() {
    run(|env| async {
        let world = World::start(env).await;
        world.inline.holds_log.store(true, Ordering::SeqCst);
        let under_way = world.begin(prewrite(&["a"], 10, false));
        until("it is in the log's queue", || !world.inline.held.lock().unwrap().is_empty()).await;
        let queued = world.begin(prewrite(&["a"], 20, false));
        tokio::time::sleep(Duration::from_millis(1)).await;
        // A command that it has never heard of.
        world.store.scheduler.executed.cast(CommandExecuted { id: 1, report: Report::NoEffect });
        assert!(queued.await.unwrap().contains("unknown"));
        tokio::time::sleep(Duration::from_secs(3)).await;
        let meanwhile = world.txn(prewrite(&["a"], 30, false)).await;
        assert!(meanwhile.contains("not ready"), "{meanwhile}");
        world.inline.release_log();
        assert!(under_way.await.unwrap().starts_with("Prewritten"));
        let mut after = world.txn(prewrite(&["a"], 30, false)).await;
        while after.contains("not ready") {
            tokio::time::sleep(Duration::from_millis(10)).await;
            after = world.txn(prewrite(&["a"], 30, false)).await;
        }
        assert!(after.starts_with("Blocked"), "{after}");
    });
}

#[test]
fn a_command_that_panics_fails_alone() {
    run(|env| async {
        let world = World::start(env).await;
        let unknown = TxnCommand::Rollback { keys: keys(&["a"]), start_ts: Timestamp(10) };
        assert_eq!(world.txn(unknown).await, "cannot decode: rollback panicked");
        assert!(world.txn(prewrite(&["a"], 10, false)).await.starts_with("Prewritten"));
    });
}
