//! The same Store with the real commands.
use super::*;

#[test]
fn the_real_commands_commit_in_two_phases_and_reads_see_snapshots() {
    run(|env| async {
        let world = World::with_real_commands(env).await;
        assert_eq!(world.get("a", 5).await, "nothing");
        let answer = world.txn(prewrite(&["a", "b"], 10, false)).await;
        assert!(answer.starts_with("Prewritten"), "{answer}");
        assert_eq!(world.get("a", 9).await, "nothing");
        assert_eq!(world.get("a", 20).await, "locked by 10");
        assert_eq!(world.scan(20).await, (0, Some(10)));
        assert_eq!(world.txn(commit(&["a", "b"], 10)).await, "Done");
        assert_eq!(world.get("a", 10).await, "nothing");
        assert_eq!(world.get("a", 11).await, "of 11");
        assert_eq!(world.scan(20).await, (2, None));
        let late = world.txn(prewrite(&["a"], 8, false)).await;
        assert!(late.contains("was committed at 11"), "{late}");
        world.store.safe_point.heard(Timestamp(15), world.env.now());
        assert_eq!(world.get("a", 14).await, "timestamp 14 is below the safe point 15");
        assert_eq!(world.get("a", 15).await, "of 11");
    });
}

/// B19 end to end: reads beside an asynchronous commit that is on its way into the log.
#[test]
fn reads_beside_an_asynchronous_commit_see_it_or_stay_below_it() {
    run(|env| async {
        let world = World::with_real_commands(env).await;
        world.until_prewritten("z", 1000).await;
        assert_eq!(world.get("a", 500).await, "nothing");
        world.inline.holds_log.store(true, Ordering::SeqCst);
        let under_way = world.begin(prewrite(&["a"], 100, true));
        let published = world.store.concurrency.clone();
        until("the lock is published", || published.published() == 1).await;
        assert_eq!(world.get("a", 500).await, "nothing");
        assert_eq!(world.get("a", 600).await, "locked by 100");
        assert_eq!(world.scan(600).await, (0, Some(100)));
        world.inline.release_log();
        let answer = under_way.await.unwrap();
        assert!(answer.contains("min_commit_ts: 501"), "{answer}");
        // The stored lock says the same.
        assert_eq!(world.get("a", 500).await, "nothing");
        assert_eq!(world.get("a", 600).await, "locked by 100");
    });
}

#[test]
fn one_phase_commits_at_once_above_all_reads() {
    run(|env| async {
        let world = World::with_real_commands(env).await;
        world.until_prewritten("z", 1000).await;
        assert_eq!(world.get("a", 700).await, "nothing");
        let TxnCommand::Prewrite(mut one) = prewrite(&["a", "b"], 100, false) else { panic!() };
        one.try_one_pc = true;
        let answer = world.txn(TxnCommand::Prewrite(one)).await;
        assert!(answer.contains("one_pc_commit_ts: 701"), "{answer}");
        assert_eq!(world.get("a", 700).await, "nothing");
        assert_eq!(world.get("b", 701).await, "of 701");
        assert_eq!(world.store.concurrency.published(), 0);
    });
}

/// A check that a key is absent is a read that leaves no lock: nobody may appear below it later.
#[test]
fn nothing_commits_below_a_check_that_the_key_is_absent() {
    run(|env| async {
        let world = World::with_real_commands(env).await;
        world.until_prewritten("z", 1000).await;
        let TxnCommand::Prewrite(mut check) = prewrite(&["b", "a"], 900, false) else { panic!() };
        check.mutations[1].op = MutationOp::CheckNotExists;
        let answer = world.txn(TxnCommand::Prewrite(check)).await;
        assert!(answer.starts_with("Prewritten"), "{answer}");
        let answer = world.txn(prewrite(&["a"], 100, true)).await;
        assert!(answer.contains("min_commit_ts: 901"), "{answer}");
    });
}

#[test]
fn real_pessimistic_locks_wait_wake_and_are_found_in_deadlock() {
    run(|env| async {
        let world = World::with_real_commands(env).await;
        assert!(world.txn(lock(&["a"], 10, Some(5000))).await.starts_with("Locked"));
        assert!(world.txn(lock(&["b"], 20, Some(5000))).await.starts_with("Locked"));
        // Held in memory: readers do not mind them.
        assert_eq!(world.get("a", 30).await, "nothing");
        let first = world.begin(lock(&["b"], 10, Some(9000)));
        world.until_waiting(1).await;
        assert_eq!(world.txn(lock(&["a"], 20, Some(9000))).await, "deadlock of 2");
        let gone = TxnCommand::PessimisticRollback {
            keys: keys(&["b"]),
            start_ts: Timestamp(20),
            for_update_ts: Timestamp(20),
        };
        assert_eq!(world.txn(gone).await, "Done");
        assert!(first.await.unwrap().starts_with("Locked"));
    });
}

#[test]
fn locks_of_ended_transactions_are_resolved_over_a_range() {
    run(|env| async {
        let world = World::with_real_commands(env).await;
        for (names, start_ts) in [(["a", "b"], 10), (["c", "d"], 20), (["e", "f"], 30)] {
            let answer = world.txn(prewrite(&names, start_ts, false)).await;
            assert!(answer.starts_with("Prewritten"), "{answer}");
        }
        let txns = vec![(Timestamp(10), Timestamp(15)), (Timestamp(20), Timestamp(0))];
        let resolve = TxnCommand::ResolveLocks { range: KeyRange::txn_space(), txns };
        assert_eq!(world.txn(resolve.clone()).await, "Done");
        let mut seen = Vec::new();
        for name in ["a", "b", "c", "d", "e", "f"] {
            seen.push(world.get(name, 99).await);
        }
        let open = "locked by 30";
        assert_eq!(seen, ["of 15", "of 15", "nothing", "nothing", open, open]);
        assert_eq!(world.txn(resolve).await, "Done", "again");
    });
}

async fn last_locks(world: &World, safe_point: u64) -> RegionResult {
    let (range, limit) = (KeyRange::txn_space(), 10);
    let safe_point = Timestamp(safe_point);
    world.serve(RegionBody::LastLocks { range, safe_point, limit }).await
}

/// A lock from before the safe point is on its way into the log when the collector looks for the last
/// ones: had it been told that there is none, the lock would outlive its transaction's records.
#[test]
fn the_last_locks_include_those_that_are_under_way() {
    run(|env| async {
        let world = World::with_real_commands(env).await;
        let unknown = last_locks(&world, 50).await;
        assert!(matches!(unknown, Err(RegionError::NotReady { .. })), "{unknown:?}");
        world.inline.holds_log.store(true, Ordering::SeqCst);
        let under_way = world.begin(prewrite(&["a"], 10, false));
        until("it is in the log's queue", || !world.inline.held.lock().unwrap().is_empty()).await;
        world.store.safe_point.heard(Timestamp(50), world.env.now());
        let later = world.begin(prewrite(&["b"], 60, false));
        let (range, safe_point) = (KeyRange::txn_space(), Timestamp(50));
        let asked = world.serve(RegionBody::LastLocks { range, safe_point, limit: 10 });
        let asked = actix_rt::spawn(asked);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!asked.is_finished(), "it waits for what flies");
        world.inline.release_log();
        let answer = asked.await.unwrap();
        let Ok(RegionReply::Read(ReadReply::Locks { locks, rest: None })) = answer else {
            panic!("{answer:?}")
        };
        let found: Vec<_> = locks.iter().map(|lock| lock.start_ts.get()).collect();
        assert_eq!(found, [10]);
        assert!(under_way.await.unwrap().starts_with("Prewritten"));
        assert!(later.await.unwrap().starts_with("Prewritten"));
        let refused = world.txn(prewrite(&["c"], 49, false)).await;
        assert_eq!(refused, "timestamp 49 is below the safe point 50");
    });
}

/// A commit is repeated when its record may have been collected.
#[test]
fn a_commit_from_below_the_safe_point_that_finds_nothing_says_so() {
    run(|env| async {
        let world = World::with_real_commands(env).await;
        assert!(world.txn(commit(&["a"], 10)).await.contains("no lock"));
        world.store.safe_point.heard(Timestamp(50), world.env.now());
        assert_eq!(world.txn(commit(&["a"], 10)).await, "timestamp 10 is below the safe point 50");
        assert!(world.txn(commit(&["a"], 50)).await.contains("no lock"));
    });
}

/// A Store hears of the GC safe point with its heartbeats, collects by itself, and nobody who may read
/// can tell.
#[test]
fn a_store_collects_what_pd_says_and_reads_stay_as_they_were() {
    run(|env| async {
        let world = World::with_real_commands(env).await;
        for start_ts in [10, 20, 30, 40] {
            assert!(world.txn(prewrite(&["a", "b"], start_ts, false)).await.starts_with("Pre"));
            assert_eq!(world.txn(commit(&["a", "b"], start_ts)).await, "Done");
        }
        let rows = || {
            let mut rows = 0;
            let all = KeyRange::txn_space().data_range();
            let counted =
                world.store.engine.snapshot().scan(Cf::Write, &all, false, &mut |_, _| {
                    rows += 1;
                    ControlFlow::Continue(())
                });
            counted.unwrap();
            rows
        };
        assert_eq!(rows(), 8);
        let before = (world.get("a", 35).await, world.get("b", 99).await);
        *world.outside.gc.lock().unwrap() = GcState {
            txn_safe_point: Timestamp(35),
            gc_safe_point: Timestamp(35),
            barriers: Vec::new(),
        };
        for _ in 0..300 {
            if rows() == 4 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(rows(), 4, "within three heartbeats");
        assert_eq!((world.get("a", 35).await, world.get("b", 99).await), before);
        assert_eq!(before, ("of 31".to_owned(), "of 41".to_owned()));
        assert_eq!(world.get("a", 34).await, "timestamp 34 is below the safe point 35");
        assert_eq!(world.store.garbage.records.load(Ordering::SeqCst), 4);
    });
}
