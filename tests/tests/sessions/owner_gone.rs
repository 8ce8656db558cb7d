//! Transactions whose owner dies, or cannot be reached.
use super::cluster::{Cluster, SECOND, in_cluster, millis, sleep};
use super::talk::{get, pessimistic, plan, put};
use std::rc::Rc;
use troupe_types::txn::session::{SessionPhase, SessionRequest, TxnId, TxnSettings};
use troupe_types::{Code, NodeId, StoreId};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);

async fn with_steps(cluster: &Rc<Cluster>, settings: TxnSettings) -> TxnId {
    let id = cluster.begin(N3, settings).await;
    cluster.ops(N2, id, vec![put("a", "1"), put("z", "2")]).await.unwrap();
    id
}

#[test]
fn what_was_open_is_over_when_its_owner_has_died() {
    for settings in [TxnSettings::default(), pessimistic()] {
        in_cluster(plan(3_101), |cluster| async move {
            let id = with_steps(&cluster, settings).await;
            cluster.world.crash(N3, 0);
            assert_eq!(cluster.commit(N2, id).await, Err(Code::TxnExpired));
            assert_eq!(cluster.phase(N1, id).await, Ok(SessionPhase::RolledBack));
            assert_eq!(cluster.ops(N1, id, vec![get("a")]).await, Err(Code::TxnExpired));
            cluster.world.start(N3);
            sleep(5 * SECOND).await;
            assert_eq!(cluster.commit(N1, id).await, Err(Code::TxnExpired), "also by its owner");
            assert_eq!(cluster.value(N1, "a").await, None);
            assert_eq!(cluster.value(N1, "z").await, None);
        });
    }
}

#[test]
fn a_restarted_owner_ends_what_it_left_behind() {
    for settings in [TxnSettings::default(), pessimistic()] {
        in_cluster(plan(3_102), |cluster| async move {
            let id = with_steps(&cluster, settings).await;
            cluster.world.crash(N3, 0);
            cluster.world.start(N3);
            sleep(5 * SECOND).await;
            assert_eq!(cluster.ops(N2, id, vec![get("a")]).await, Err(Code::TxnExpired));
            assert_eq!(cluster.phase(N2, id).await, Ok(SessionPhase::RolledBack));
            assert_eq!(cluster.rollback(N2, id).await, Ok(SessionPhase::RolledBack));
            assert_eq!(cluster.value(N1, "a").await, None);
        });
    }
}

#[test]
fn what_was_committed_is_told_by_everybody_when_its_owner_has_died() {
    for settings in [TxnSettings::default(), pessimistic()] {
        in_cluster(plan(3_103), |cluster| async move {
            let id = with_steps(&cluster, settings).await;
            let SessionPhase::Committed { commit_ts, .. } = cluster.commit(N1, id).await.unwrap()
            else {
                panic!("not committed");
            };
            cluster.world.crash(N3, 0);
            let told = SessionPhase::Committed { commit_ts, by: None };
            assert_eq!(cluster.commit(N2, id).await, Ok(told), "a commit may be repeated");
            assert_eq!(cluster.phase(N1, id).await, Ok(told));
            assert_eq!(cluster.rollback(N1, id).await, Err(Code::TxnExpired));
            cluster.world.start(N3);
            sleep(5 * SECOND).await;
            assert_eq!(cluster.phase(N1, id).await, Ok(told), "also by its owner");
            assert_eq!(cluster.value(N1, "z").await.as_deref(), Some("2"));
        });
    }
}

/// The answer to the commit is lost with the owner, at any moment of the commit.
#[test]
fn a_commit_cut_by_the_death_of_its_owner_is_repeated_elsewhere_with_one_outcome() {
    let mut outcomes = [0, 0];
    for seed in 0..24 {
        let settings = [TxnSettings::default(), pessimistic()][seed as usize % 2];
        let (tell, told) = std::sync::mpsc::channel();
        in_cluster(plan(3_200 + seed), |cluster| async move {
            let id = with_steps(&cluster, settings).await;
            let committing = cluster.clone();
            let commit = async move { committing.commit(N1, id).await };
            let crash = async {
                sleep(millis(2 * seed)).await;
                cluster.world.crash(N3, 0);
            };
            let (first, ()) = futures::join!(commit, crash);
            let again = cluster.commit(N2, id).await;
            cluster.world.start(N3);
            let values = (cluster.value(N1, "a").await, cluster.value(N1, "z").await);
            let is_committed = matches!(again, Ok(SessionPhase::Committed { .. }));
            if is_committed {
                assert_eq!(values, (Some("1".to_owned()), Some("2".to_owned())));
            } else {
                assert_eq!(again, Err(Code::TxnExpired));
                assert_eq!(values, (None, None));
            }
            match first {
                Ok(SessionPhase::Committed { .. }) => assert!(is_committed),
                Err(Code::TxnOutcomeUnknown) => {}
                other => assert!(other.is_err() && !is_committed, "{other:?} and {again:?}"),
            }
            tell.send(is_committed).unwrap();
        });
        outcomes[usize::from(told.recv().unwrap())] += 1;
    }
    assert!(outcomes.iter().all(|count| *count > 0), "both outcomes are met: {outcomes:?}");
}

#[test]
fn an_owner_that_is_cut_off_loses_its_transaction_to_whoever_asks_for_the_commit() {
    in_cluster(plan(3_104), |cluster| async move {
        let id = with_steps(&cluster, TxnSettings::default()).await;
        cluster.cut_off(N3);
        sleep(5 * SECOND).await;
        assert_eq!(cluster.phase(N1, id).await, Ok(SessionPhase::Unknown), "a look ends nothing");
        assert_eq!(cluster.commit(N1, id).await, Err(Code::TxnExpired));
        cluster.world.net.heal();
        sleep(5 * SECOND).await;
        let late = cluster.commit(N3, id).await;
        assert!(late.is_err(), "it was told that it had not committed: {late:?}");
        assert_eq!(cluster.value(N1, "a").await, None);
        cluster.wait_until_unlocked(N1).await;
    });
}

/// Locks that only leaders remember go with them; the session takes its own anew, and lives on.
#[test]
fn a_leader_that_dies_takes_no_open_transaction_with_it() {
    in_cluster(plan(3_106), |cluster| async move {
        let record = troupe_types::key::txn_key(0x00FF_FFFE, b"session/");
        for _ in 0..3 {
            let leader = cluster.leader_of(&record).await;
            let owner = cluster.others(leader)[0];
            let id = cluster.begin(owner, pessimistic()).await;
            cluster.ops(owner, id, vec![put("a", "1"), put("z", "2")]).await.unwrap();
            cluster.world.crash(leader, 0);
            sleep(9 * SECOND).await;
            let end = cluster.commit(owner, id).await;
            assert!(matches!(end, Ok(SessionPhase::Committed { .. })), "{end:?}");
            cluster.world.start(leader);
            sleep(3 * SECOND).await;
            let delete = troupe_types::txn::session::TxnOp::Delete { key: super::talk::k("a") };
            let next = cluster.begin(owner, TxnSettings::default()).await;
            cluster.ops(owner, next, vec![delete]).await.unwrap();
            cluster.commit(owner, next).await.unwrap();
        }
    });
}

#[test]
fn what_never_was_is_not_found() {
    in_cluster(plan(3_105), |cluster| async move {
        let known = cluster.begin(N1, TxnSettings::default()).await;
        let other = TxnId { nonce: known.nonce ^ 1, ..known };
        assert_eq!(cluster.phase(N2, other).await, Err(Code::TxnNotFound));
        assert_eq!(cluster.ops(N2, other, vec![get("a")]).await, Err(Code::TxnNotFound));
        let nowhere = TxnId { store: StoreId(77), ..known };
        assert_eq!(cluster.phase(N2, nowhere).await, Err(Code::TxnNotFound));
        let kept = cluster.state_after(N2, SessionRequest::KeepAlive { id: known }).await;
        assert_eq!(kept.map(|state| state.phase), Ok(SessionPhase::Open));
    });
}
