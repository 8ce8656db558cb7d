//! B19: after a change of leader an asynchronous commit lands below a snapshot that was read (tikv#8468,
//! tikv#8508).
//!
//! A leader remembers the largest timestamp that it served a read at, so that no commit that chooses its
//! own timestamp lands below. A new leader knows nothing of that. If it takes a prewrite before it has
//! asked the oracle, what was read once is not what is there.
//!
//! The test reads at the old leader, hands over, and prewrites at once, with a transaction that had begun before
//! the read: in one phase and asynchronously, many times.
use super::cluster::{SECOND, in_cluster, millis, plan, sleep};
use super::transactions::{key, prewrite};
use troupe_types::NodeId;
use troupe_types::txn::Prewrite;

#[test]
fn b19_no_commit_below_what_was_read_before_the_transfer() {
    in_cluster(plan(1_219), |cluster| async move {
        let keys = [key(2)];
        for round in 0..20 {
            let start_ts = cluster.timestamp().await;
            let (before, read_ts) = cluster.values(NodeId(1), &keys, None).await;
            let (region, leader) = cluster.led(&keys[0]).await;
            let to = NodeId(leader.get() % 3 + 1);
            let _ = cluster.transfer(region, leader, to).await;
            cluster
                .until("the other leader", 10 * SECOND, || cluster.holder(region) == Some(to))
                .await;
            let command = Prewrite {
                async_commit: Some(Vec::new()),
                try_one_pc: round % 2 == 0,
                ..prewrite(&keys, 0, start_ts)
            };
            let (min_commit_ts, one_pc) = cluster.prewritten(&keys[0], command).await;
            let commit_ts = min_commit_ts.max(one_pc);
            assert!(commit_ts > read_ts, "round {round}: {commit_ts} is not above {read_ts}");
            sleep(millis(200)).await;
            let (again, _) = cluster.values(to, &keys, Some(read_ts)).await;
            assert_eq!(again, before, "round {round}: the snapshot stays as it was");
            let (now, _) = cluster.values(to, &keys, None).await;
            assert_eq!(now[0].as_ref().map(|(_, at)| *at), Some(commit_ts), "round {round}");
        }
    });
}
