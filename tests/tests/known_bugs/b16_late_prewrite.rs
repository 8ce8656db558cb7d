//! B16: a prewrite that arrives after its rollback (tikv#921, tikv#7364).
//!
//! A request that was on its way for long finds that its transaction was rolled back meanwhile. If nothing
//! is left of the rollback, it locks the key for ever, or worse: the coordinator takes the lock for a
//! success and commits half of the transaction. Rollback records that are thinned out must therefore keep
//! those that such a request can still meet.
//!
//! The first test rolls back what a reader finds expired, and lets the missing half of the transaction come
//! then. The second lets every command of every transaction come again, some twice, up to six seconds later.
use super::cluster::{SECOND, in_cluster, plan, sleep};
use super::transactions::{key, prewrite, under_load};
use troupe_tests::sim::net::CallVerdict;
use troupe_types::NodeId;
use troupe_types::request::RegionBody;
use troupe_types::txn::{Prewrite, TxnCommand};

#[test]
fn b16_what_comes_after_the_rollback_locks_nothing() {
    in_cluster(plan(1_216), |cluster| async move {
        let keys = [key(0), key(1)];
        for secondaries in [None, Some(vec![key(1)])] {
            let start_ts = cluster.timestamp().await;
            let first =
                Prewrite { async_commit: secondaries.clone(), ..prewrite(&keys, 0, start_ts) };
            let second = Prewrite {
                async_commit: secondaries.map(|_| Vec::new()),
                ..prewrite(&keys, 1, start_ts)
            };
            cluster.prewritten(&keys[0], first.clone()).await;
            sleep(SECOND).await;
            // The lock has expired: its reader ends the transaction.
            let (rows, _) = cluster.values(NodeId(2), &keys, None).await;
            assert_eq!(rows, [None, None]);
            sleep(SECOND).await;
            for (key, late) in [(&keys[0], first), (&keys[1], second)] {
                let answer = cluster.tell(key, TxnCommand::Prewrite(late.clone())).await;
                let is_primary = *key == late.primary;
                let may_lock = late.async_commit.is_none() && !is_primary;
                assert!(answer.is_err() || may_lock, "{answer:?} to {late:?}");
            }
            // A secondary of a commit in two phases may be locked: its primary says that it is void.
            let (rows, _) = cluster.values(NodeId(3), &keys, None).await;
            assert_eq!(rows, [None, None]);
            sleep(SECOND).await;
            assert_eq!(cluster.locks().await, 0);
        }
    });
}

#[test]
fn b16_every_command_comes_again() {
    let mut turn = 0_u64;
    let verdict = under_load(1_616, None, |cluster| async move {
        cluster.world.net.judge_calls(move |request| match &request.body {
            RegionBody::Txn(_) => {
                turn += 1;
                CallVerdict::Repeat(vec![turn * 7 % 50, turn * 811 % 6_000])
            }
            _ => CallVerdict::Deliver,
        });
        sleep(20 * SECOND).await;
    });
    assert!(verdict.lists.counted > 50, "{}", verdict.lists.counted);
}
