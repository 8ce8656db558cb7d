//! B20: a prewrite that is sent again chooses a second commit timestamp (tikv#10600, tikv#12369).
//!
//! A commit in one phase or asynchronously takes effect with its prewrite; its answer is lost, and somebody
//! else may have found and committed the transaction meanwhile. What is sent again must hear the same
//! timestamp, and change nothing.
//!
//! The first test loses only answers: of the first prewrites of each transaction, while readers resolve what
//! they meet. The second sends a prewrite again after others have committed the transaction.
use super::cluster::{SECOND, in_cluster, plan, sleep};
use super::transactions::{key, prewrite, under_load};
use std::collections::BTreeMap;
use troupe_tests::sim::net::CallVerdict;
use troupe_types::request::RegionBody;
use troupe_types::txn::{Prewrite, TxnCommand};
use troupe_types::{NodeId, Timestamp};

#[test]
fn b20_only_answers_of_prewrites_are_lost() {
    let verdict = under_load(1_620, None, |cluster| async move {
        let mut seen: BTreeMap<Timestamp, u32> = BTreeMap::new();
        cluster.world.net.judge_calls(move |request| match &request.body {
            RegionBody::Txn(command) if matches!(**command, TxnCommand::Prewrite(_)) => {
                let times = seen.entry(command.start_ts().unwrap_or_default()).or_default();
                *times += 1;
                if *times < 3 { CallVerdict::LoseAnswer } else { CallVerdict::Deliver }
            }
            _ => CallVerdict::Deliver,
        });
        sleep(20 * SECOND).await;
    });
    assert!(verdict.lists.counted > 50, "{}", verdict.lists.counted);
}

#[test]
fn b20_the_same_timestamp_after_others_have_committed() {
    in_cluster(plan(1_220), |cluster| async move {
        let keys = [key(0), key(1)];
        let start_ts = cluster.timestamp().await;
        let first = Prewrite { async_commit: Some(vec![key(1)]), ..prewrite(&keys, 0, start_ts) };
        let second = Prewrite { async_commit: Some(Vec::new()), ..prewrite(&keys, 1, start_ts) };
        let (one, _) = cluster.prewritten(&keys[0], first.clone()).await;
        let (two, _) = cluster.prewritten(&keys[1], second.clone()).await;
        let commit_ts = one.max(two);
        sleep(SECOND).await;
        // Its client is gone, as far as readers know.
        let (rows, _) = cluster.values(NodeId(3), &keys, None).await;
        let commits: Vec<Timestamp> = rows.into_iter().flatten().map(|(_, at)| at).collect();
        assert_eq!(commits, [commit_ts, commit_ts]);
        for (key, command) in [(&keys[0], first), (&keys[1], second)] {
            let (again, _) = cluster.prewritten(key, command).await;
            assert_eq!(again, commit_ts, "it is committed, and nothing else will be");
        }
        assert_eq!(cluster.locks().await, 0);
    });
}
