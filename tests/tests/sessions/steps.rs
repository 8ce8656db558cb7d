//! Steps, commits and rollbacks while everything works.
use super::cluster::{SECOND, in_cluster, sleep};
use super::talk::{get, k, options, pessimistic, plan, put, text};
use troupe_types::txn::session::{
    CommittedBy, SessionPhase, SessionReply, SessionRequest, TxnIsolation, TxnOp, TxnSettings,
};
use troupe_types::{Code, KeyRange, NodeId};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);

#[test]
fn steps_through_any_node_see_their_own_writes_and_commit_once() {
    in_cluster(plan(3_001), |cluster| async move {
        for settings in [TxnSettings::default(), pessimistic()] {
            let id = cluster.begin(N1, settings).await;
            cluster.ops(N2, id, vec![put("a", "1"), put("z", "2")]).await.unwrap();
            let seen = cluster.ops(N3, id, vec![get("a"), get("nothing")]).await.unwrap();
            assert_eq!((text(&seen[0]), text(&seen[1])), (Some("1".to_owned()), None));
            let first = cluster.commit(N3, id).await.unwrap();
            assert!(matches!(first, SessionPhase::Committed { .. }), "{first:?}");
            assert_eq!(cluster.commit(N2, id).await, Ok(first), "again, through another node");
            assert_eq!(cluster.phase(N1, id).await, Ok(first));
            assert_eq!(cluster.rollback(N1, id).await, Err(Code::TxnExpired));
            assert_eq!(cluster.value(N2, "a").await.as_deref(), Some("1"));
            assert_eq!(cluster.value(N2, "z").await.as_deref(), Some("2"));
            cluster.wait_until_unlocked(N1).await;
        }
    });
}

#[test]
fn what_is_rolled_back_or_forgotten_leaves_nothing() {
    in_cluster(plan(3_002), |cluster| async move {
        for settings in [TxnSettings::default(), pessimistic()] {
            let id = cluster.begin(N1, settings).await;
            cluster.ops(N2, id, vec![put("a", "1")]).await.unwrap();
            assert_eq!(cluster.rollback(N2, id).await, Ok(SessionPhase::RolledBack));
            assert_eq!(cluster.rollback(N3, id).await, Ok(SessionPhase::RolledBack));
            assert_eq!(cluster.ops(N1, id, vec![get("a")]).await, Err(Code::TxnRolledBack));
            assert_eq!(cluster.commit(N1, id).await, Err(Code::TxnRolledBack));
            cluster.wait_until_unlocked(N1).await;

            let id = cluster.begin_for(N1, settings, 2_000).await;
            cluster.ops(N1, id, vec![put("a", "1")]).await.unwrap();
            sleep(3 * SECOND).await;
            assert_eq!(cluster.commit(N2, id).await, Err(Code::TxnExpired));
            assert_eq!(cluster.phase(N2, id).await, Ok(SessionPhase::RolledBack));
            cluster.wait_until_unlocked(N1).await;
            assert_eq!(cluster.value(N1, "a").await, None);
        }
    });
}

#[test]
fn locks_outlive_their_time_to_live_while_the_client_is_there() {
    in_cluster(plan(3_003), |cluster| async move {
        let id = cluster.begin(N1, pessimistic()).await;
        cluster.ops(N1, id, vec![put("a", "mine")]).await.unwrap();
        for _ in 0..6 {
            sleep(10 * SECOND).await;
            let other = cluster.begin(N2, TxnSettings { lock_wait_ms: Some(0), ..pessimistic() });
            let other = other.await;
            let lock = vec![TxnOp::Lock { keys: vec![k("a")], wait_ms: None }];
            assert_eq!(cluster.ops(N2, other, lock).await, Err(Code::LockWaitTimeout));
            cluster.rollback(N2, other).await.unwrap();
            let kept = cluster.state_after(N3, SessionRequest::KeepAlive { id }).await;
            assert_eq!(kept.map(|state| state.phase), Ok(SessionPhase::Open));
        }
        assert!(matches!(cluster.commit(N1, id).await, Ok(SessionPhase::Committed { .. })));
        assert_eq!(cluster.value(N2, "a").await.as_deref(), Some("mine"));
    });
}

#[test]
fn locks_that_a_leader_only_remembers_are_listed_with_the_others() {
    in_cluster(plan(3_011), |cluster| async move {
        let id = cluster.begin(N1, pessimistic()).await;
        cluster.ops(N1, id, vec![put("a", "1"), put("b", "2"), put("z", "3")]).await.unwrap();
        let service = cluster.service(N2);
        let mut left = Some(KeyRange::new(k(""), k("zz")));
        let mut listed = Vec::new();
        while let Some(range) = left {
            let o = options(&service, 10 * SECOND);
            let (locks, rest) = service.txn_locks(range, None, 1, &o).await.unwrap();
            listed.extend(locks.into_iter().map(|lock| (lock.key, lock.start_ts)));
            left = rest;
        }
        assert_eq!(listed, ["a", "b", "z"].map(|key| (k(key), id.start_ts)));
        cluster.rollback(N2, id).await.unwrap();
        cluster.wait_until_unlocked(N1).await;
    });
}

#[test]
fn steps_that_fail_leave_nothing_of_their_request_and_the_transaction_goes_on() {
    in_cluster(plan(3_004), |cluster| async move {
        for settings in [TxnSettings::default(), pessimistic()] {
            let id = cluster.begin(N1, settings).await;
            cluster.ops(N1, id, vec![put("a", "1"), put("n", "x")]).await.unwrap();
            let add = TxnOp::Add { key: k("n"), by: 1 };
            let failed = cluster.ops(N1, id, vec![put("a", "2"), put("b", "3"), add]).await;
            assert_eq!(failed, Err(Code::NotAnInteger));
            let seen = cluster.ops(N1, id, vec![get("a"), get("b")]).await.unwrap();
            assert_eq!((text(&seen[0]), text(&seen[1])), (Some("1".to_owned()), None));
            cluster.commit(N1, id).await.unwrap();
            assert_eq!(cluster.value(N1, "a").await.as_deref(), Some("1"));
            assert_eq!(cluster.value(N1, "b").await, None);
            cluster.wait_until_unlocked(N1).await;
        }
    });
}

/// A wait for a lock that is given up holds no lock: the next try must ask for it again.
#[test]
fn a_lock_that_was_waited_for_in_vain_is_not_taken_for_held() {
    in_cluster(plan(3_005), |cluster| async move {
        let holder = cluster.begin(N1, pessimistic()).await;
        cluster.ops(N1, holder, vec![put("a", "holder")]).await.unwrap();
        let settings = TxnSettings { lock_wait_ms: Some(100), ..pessimistic() };
        let waiter = cluster.begin(N2, settings).await;
        let add = || vec![TxnOp::Add { key: k("n"), by: 1 }, put("a", "waiter")];
        assert_eq!(cluster.ops(N2, waiter, add()).await, Err(Code::LockWaitTimeout));
        assert_eq!(cluster.ops(N2, waiter, add()).await, Err(Code::LockWaitTimeout));
        cluster.commit(N1, holder).await.unwrap();
        cluster.ops(N2, waiter, add()).await.unwrap();
        cluster.commit(N2, waiter).await.unwrap();
        assert_eq!(cluster.value(N1, "a").await.as_deref(), Some("waiter"));
        assert_eq!(cluster.value(N1, "n").await.as_deref(), Some("1"));
    });
}

#[test]
fn of_two_that_wait_for_each_other_one_is_rolled_back() {
    in_cluster(plan(3_006), |cluster| async move {
        let settings = TxnSettings { lock_wait_ms: Some(5_000), ..pessimistic() };
        let (a, b) = (cluster.begin(N1, settings).await, cluster.begin(N2, settings).await);
        cluster.ops(N1, a, vec![put("a", "a")]).await.unwrap();
        cluster.ops(N2, b, vec![put("z", "b")]).await.unwrap();
        let both = futures::join!(
            cluster.ops(N1, a, vec![put("z", "a")]),
            cluster.ops(N2, b, vec![put("a", "b")])
        );
        let (winner, loser, lost) = match both {
            (Ok(_), Err(code)) => (a, b, code),
            (Err(code), Ok(_)) => (b, a, code),
            other => panic!("{other:?}"),
        };
        assert_eq!(lost, Code::Deadlock);
        assert_eq!(cluster.commit(N3, loser).await, Err(Code::Deadlock));
        assert!(matches!(cluster.commit(N3, winner).await, Ok(SessionPhase::Committed { .. })));
        let values = (cluster.value(N1, "a").await, cluster.value(N1, "z").await);
        assert_eq!(values.0, values.1, "all of one of them");
        cluster.wait_until_unlocked(N1).await;
    });
}

#[test]
fn write_skew_passes_under_snapshot_isolation_and_not_under_serializable() {
    in_cluster(plan(3_007), |cluster| async move {
        for (isolation, may_both) in
            [(TxnIsolation::Snapshot, true), (TxnIsolation::Serializable, false)]
        {
            let setup = cluster.begin(N1, TxnSettings::default()).await;
            cluster.ops(N1, setup, vec![put("a", "on"), put("z", "on")]).await.unwrap();
            cluster.commit(N1, setup).await.unwrap();
            let settings = TxnSettings { isolation, ..TxnSettings::default() };
            let (x, y) = (cluster.begin(N1, settings).await, cluster.begin(N2, settings).await);
            for id in [x, y] {
                let seen = cluster.ops(N3, id, vec![get("a"), get("z")]).await.unwrap();
                assert!(seen.iter().all(|row| text(row).as_deref() == Some("on")));
            }
            cluster.ops(N1, x, vec![put("a", "off")]).await.unwrap();
            cluster.ops(N2, y, vec![put("z", "off")]).await.unwrap();
            cluster.commit(N1, x).await.unwrap();
            let second = cluster.commit(N2, y).await;
            assert_eq!(second.is_ok(), may_both, "{isolation:?}: {second:?}");
            if !may_both {
                assert_eq!(second, Err(Code::WriteConflict));
                assert_eq!(cluster.value(N1, "z").await.as_deref(), Some("on"));
            }
        }
    });
}

/// A plain read, then a locking read of the same key that sees a newer commit: no serial order has
/// both.
#[test]
fn a_serializable_pessimistic_transaction_that_read_before_it_locked_is_refused() {
    in_cluster(plan(3_008), |cluster| async move {
        let serializable = TxnSettings { isolation: TxnIsolation::Serializable, ..pessimistic() };
        for (settings, is_refused) in [(pessimistic(), false), (serializable, true)] {
            let id = cluster.begin(N1, settings).await;
            cluster.ops(N1, id, vec![get("a")]).await.unwrap();
            let other = cluster.begin(N2, TxnSettings::default()).await;
            cluster.ops(N2, other, vec![put("a", "newer")]).await.unwrap();
            cluster.commit(N2, other).await.unwrap();
            cluster.ops(N1, id, vec![put("a", "mine")]).await.unwrap();
            let end = cluster.commit(N1, id).await;
            assert_eq!(end.is_err(), is_refused, "{end:?}");
        }
    });
}

#[test]
fn a_transaction_that_changes_nothing_needs_no_commit_record() {
    in_cluster(plan(3_009), |cluster| async move {
        let id = cluster.begin(N1, TxnSettings::default()).await;
        cluster.ops(N1, id, vec![get("a")]).await.unwrap();
        let end = cluster.commit(N1, id).await.unwrap();
        let by = Some(CommittedBy::Nothing);
        assert_eq!(end, SessionPhase::Committed { commit_ts: id.start_ts, by });
    });
}

#[test]
fn open_transactions_are_listed_and_bounded() {
    in_cluster(plan(3_010), |cluster| async move {
        let mut ids = Vec::new();
        for _ in 0..64 {
            ids.push(cluster.begin(N1, TxnSettings::default()).await);
        }
        let settings = TxnSettings::default();
        let more = cluster.session(N1, SessionRequest::Begin { settings, idle_ms: 1_000 }).await;
        assert_eq!(more.unwrap_err().code, Code::ServerBusy);
        let Ok(SessionReply::Open(open)) = cluster.session(N1, SessionRequest::List).await else {
            panic!("no list");
        };
        let listed: Vec<_> = open.iter().map(|state| state.id).collect();
        assert_eq!(listed, ids);
        for id in ids {
            cluster.rollback(N2, id).await.unwrap();
        }
        cluster.begin(N1, settings).await;
    });
}
