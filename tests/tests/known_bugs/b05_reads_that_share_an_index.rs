//! B5: reads of one batch that share an old index (tikv#7971).
//!
//! Reads that arrive while a round of heartbeats is under way were added to that round, and got the index
//! that was taken when it began. A write that was acknowledged in between is missed by a read that was
//! asked for only afterwards.
//!
//! The test holds a first read's round open, has a write acknowledged, asks for a second read, and lets
//! the answers to the first round come in: they may let the first read go and must not let the second.
use super::cluster::{KEY, SECOND, in_cluster, millis, plan, sleep};
use raft::eraftpb::MessageType;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use troupe_tests::sim::filters::{Held, Verdict};
use troupe_types::LogIndex;
use troupe_types::request::{RegionBody, RegionReply, RegionResult};

fn index(answer: RegionResult) -> LogIndex {
    match answer {
        Ok(RegionReply::ReadIndex(index)) => index,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_read_asked_for_after_a_write_sees_it_though_an_older_round_is_open() {
    for seed in 1_501..=1_504 {
        in_cluster(plan(seed), |cluster| async move {
            let net = &cluster.world.net;
            let region = cluster.region_of(KEY).await;
            let leader = cluster.wait_for_leader(region).await;
            cluster.put(leader, KEY, 1).await;
            // No round to keep the lease is due soon.
            sleep(millis(50)).await;
            let (first, second) = (Held::default(), Held::default());
            let is_second = Arc::new(AtomicBool::new(false));
            let of_first: Mutex<BTreeSet<Vec<u8>>> = Mutex::default();
            let (park_first, park_second, late) =
                (first.clone(), second.clone(), is_second.clone());
            net.add_filter(move |seen| {
                let context = seen.message.context.to_vec();
                let is_round = seen.region == region
                    && seen.link.0 == leader
                    && seen.is(MessageType::MsgHeartbeat)
                    && !context.is_empty();
                if !is_round {
                    return Verdict::Deliver;
                }
                let mut of_first = of_first.lock().unwrap();
                if !late.load(Ordering::SeqCst) {
                    of_first.insert(context.clone());
                }
                let park = if of_first.contains(&context) { &park_first } else { &park_second };
                Verdict::Hold(park.clone())
            });
            let ask = || {
                actix_rt::spawn(cluster.serve(leader, (region, RegionBody::ReadIndex), 9 * SECOND))
            };
            let early = ask();
            cluster.until("the first round", SECOND, || !first.is_empty()).await;
            assert!(cluster.write_at(leader, region, (KEY, 2)).await.is_ok());
            let written = cluster.status(leader, region).await.applied;
            is_second.store(true, Ordering::SeqCst);
            let later = ask();
            cluster.until("the second round", SECOND, || !second.is_empty()).await;
            net.let_go(&first);
            assert!(index(early.await.unwrap()) <= written);
            sleep(millis(100)).await;
            assert!(!later.is_finished(), "the first round says nothing about the second read");
            net.let_go(&second);
            assert!(index(later.await.unwrap()) >= written, "the second read misses the write");
        });
    }
}
