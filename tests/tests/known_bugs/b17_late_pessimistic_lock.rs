//! B17: a pessimistic lock request that arrives after the commit (tidb#43540, tikv#14551).
//!
//! The request was sent twice, or was on its way for long. The transaction has committed meanwhile and
//! holds nothing any more. If the request locks the key again, nobody ends that lock; and a second
//! prewrite that finds it takes the key for locked all the time.
//!
//! The test lets each lock request of pessimistic transactions come again 100 milliseconds to some seconds
//! later, while all transactions are pessimistic and leaders change: no lock may stay, no list may break.
use super::cluster::{SECOND, in_cluster, plan, sleep};
use super::transactions::{key, lock, prewrite, put, under_load};
use troupe_tests::sim::net::CallVerdict;
use troupe_types::request::RegionBody;
use troupe_types::txn::session::TxnMode;
use troupe_types::txn::{PessimisticAction, Prewrite, TxnCommand, TxnReply};
use troupe_types::{NodeId, Timestamp};

#[test]
fn b17_a_lock_request_behind_the_commit_leaves_nothing() {
    in_cluster(plan(1_217), |cluster| async move {
        let keys = [key(0), key(1)];
        let start_ts = cluster.timestamp().await;
        let requests: Vec<TxnCommand> =
            keys.iter().map(|key| lock(key, &keys[0], (start_ts, start_ts))).collect();
        for (key, request) in keys.iter().zip(&requests) {
            let answer = cluster.tell(key, request.clone()).await;
            assert!(matches!(answer, Ok(TxnReply::Locked(_))), "{answer:?}");
        }
        for place in 0..2 {
            let mut change = put(&keys[place], "new");
            change.pessimistic = PessimisticAction::Check;
            let command = Prewrite {
                mutations: vec![change],
                for_update_ts: start_ts,
                lock_ttl_ms: 10_000,
                ..prewrite(&keys, place, start_ts)
            };
            cluster.prewritten(&keys[place], command).await;
        }
        let commit_ts = cluster.timestamp().await;
        for key in &keys {
            let commit = TxnCommand::Commit { keys: vec![key.clone()], start_ts, commit_ts };
            assert_eq!(cluster.tell(key, commit).await, Ok(TxnReply::Done));
        }
        for (key, request) in keys.iter().zip(requests) {
            // Whatever it answers, the key is free.
            let _ = cluster.tell(key, request).await;
        }
        assert_eq!(cluster.locks().await, 0);
        let (rows, _) = cluster.values(NodeId(2), &keys, None).await;
        let commits: Vec<Timestamp> = rows.into_iter().flatten().map(|(_, at)| at).collect();
        assert_eq!(commits, [commit_ts, commit_ts]);
    });
}

#[test]
fn b17_all_lock_requests_come_again() {
    let mut turn = 0_u64;
    let verdict = under_load(1_717, Some(TxnMode::Pessimistic), |cluster| async move {
        cluster.world.net.judge_calls(move |request| match &request.body {
            RegionBody::Txn(command) if matches!(**command, TxnCommand::PessimisticLock(_)) => {
                turn += 1;
                CallVerdict::Repeat(vec![100 + turn * 977 % 8_000])
            }
            _ => CallVerdict::Deliver,
        });
        for _ in 0..10 {
            sleep(2 * SECOND).await;
            let (region, leader) = cluster.led(&key(0)).await;
            let to = NodeId(leader.get() % 3 + 1);
            // One that is refused changes nothing.
            let _ = cluster.transfer(region, leader, to).await;
        }
    });
    assert!(verdict.lists.counted > 30, "{}", verdict.lists.counted);
}
