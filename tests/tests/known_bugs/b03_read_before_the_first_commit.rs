//! B3: a new leader reads before it knows what is committed (etcd#7331).
//!
//! A new leader has all committed entries, but does not know how far they reach until an entry of its own
//! term is committed. A read index taken before that may lie in front of a write that its predecessor has
//! acknowledged. Here a read at the new leader would miss that write.
//!
//! The test hides from one follower that a write was committed, makes it the leader, and holds back the
//! first entry of its term: neither a lease nor a read index may be had until that entry comes through.
use super::cluster::{KEY, SECOND, in_cluster, millis, plan, sleep};
use raft::eraftpb::MessageType;
use troupe_tests::sim::filters::{Held, Verdict};
use troupe_types::NodeId;
use troupe_types::request::{Consistency, RegionBody, RegionReply};

#[test]
fn reads_wait_for_the_first_commit_of_the_new_leaders_term() {
    in_cluster(plan(1_301), |cluster| async move {
        let net = &cluster.world.net;
        let region = cluster.region_of(KEY).await;
        let old = cluster.wait_for_leader(region).await;
        let [new, third]: [NodeId; 2] = cluster.others(old).try_into().unwrap();
        cluster.put(old, KEY, 1).await;
        sleep(SECOND).await;
        net.add_filter(move |seen| {
            let hides_commit = seen.link == (old, new)
                && (seen.is(MessageType::MsgHeartbeat)
                    || seen.is(MessageType::MsgAppend) && seen.message.entries.is_empty());
            let is_wrong_candidate = seen.link.0 == third
                && (seen.is(MessageType::MsgRequestPreVote)
                    || seen.is(MessageType::MsgRequestVote));
            match seen.region == region && (hides_commit || is_wrong_candidate) {
                true => Verdict::Drop,
                false => Verdict::Deliver,
            }
        });
        assert!(cluster.write_at(old, region, (KEY, 2)).await.is_ok());
        let before = cluster.status(new, region).await;
        assert!(before.committed < before.last_index, "it has the write, not knowing its fate");

        let held = Held::default();
        let park = held.clone();
        let holding = net.add_filter(move |seen| {
            let is_first_of_term = seen.region == region
                && seen.link.0 == new
                && seen.is(MessageType::MsgAppend)
                && seen.term() > before.term;
            if is_first_of_term { Verdict::Hold(park.clone()) } else { Verdict::Deliver }
        });
        cluster.cut_off(old);
        assert_eq!(cluster.wait_for_other_leader(region, old).await, new);

        let eye = cluster.eye(new, region);
        let index =
            actix_rt::spawn(cluster.serve(new, (region, RegionBody::ReadIndex), 10 * SECOND));
        for _ in 0..300 {
            assert_eq!(eye.lease_read(KEY), None, "a lease before the first commit");
            assert!(!index.is_finished(), "a read index before the first commit");
            sleep(millis(10)).await;
        }
        assert_eq!(cluster.newest_leader(region), Some(new), "it led all the time");
        assert!(!held.is_empty());

        net.remove_filter(holding);
        net.let_go(&held);
        let index = match index.await.unwrap() {
            Ok(RegionReply::ReadIndex(index)) => index,
            other => panic!("{other:?}"),
        };
        assert!(index > before.last_index, "{index} is not the new leader's own entry");
        let consistency = Consistency::Linearizable;
        assert_eq!(cluster.get(new, KEY, (consistency, 5 * SECOND)).await, Ok(2));
    });
}
