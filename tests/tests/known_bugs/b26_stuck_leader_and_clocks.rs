//! B26: a leader stuck in a sync, and wall clocks that step (etcd#15247, tikv#11937, tikv#13082).
//!
//! *Stuck*: a leader whose disk does not come back goes on sending heartbeats from memory. Nobody else
//! stands for election, and no write ever ends. Reads by the lease stay right (nobody else leads), but the
//! Region is lost to writers. Here a leader that alone is behind its own log for an election time-out hands
//! leadership over, and its lease ends before it does.
//!
//! *Clocks*: PD whose clock steps back an hour must neither give a timestamp twice nor stop for an hour.
//! Whether a row has expired when it is swapped is decided by the time that travels in the entry: replicas
//! whose wall clocks are an hour apart, and one that applies its log again much later, must all decide alike.
use super::cluster::{Cluster, KEY, SECOND, in_cluster, millis, plan, sleep};
use std::rc::Rc;
use troupe_tests::sim::world::World;
use troupe_types::command::{RawChange, RawExpectation};
use troupe_types::pd::{PdReply, PdRequest};
use troupe_types::{NodeId, SYSTEM_REGION, Timestamp, UnixMillis};

const HOUR_MS: i64 = 3_600_000;

/// Writes at whoever leads, one value behind the other.
async fn count_up(cluster: Rc<Cluster>, watch: Rc<super::cluster::Watch>) {
    let region = cluster.region_of(KEY).await;
    for value in 1.. {
        if let Some(leader) = cluster.newest_leader(region)
            && cluster.write_at(leader, region, (KEY, value)).await.is_ok()
        {
            watch.acknowledged.set(value);
        }
        sleep(millis(5)).await;
    }
}

#[test]
fn a_leader_stuck_in_a_sync_gives_leadership_away_and_serves_nothing_old() {
    for seed in 2_601..=2_604 {
        in_cluster(plan(seed), |cluster| async move {
            let region = cluster.region_of(KEY).await;
            let watch = cluster.watch(region, KEY);
            let writer = actix_rt::spawn(count_up(cluster.clone(), watch.clone()));
            sleep(SECOND).await;
            let stuck = cluster.wait_for_leader(region).await;
            let holds = cluster.world.with_node(stuck, |node| node.holds.clone());
            holds.hold("log");
            let next = cluster.wait_for_other_leader(region, stuck).await;
            assert_ne!(next, stuck);
            let before = watch.acknowledged.get();
            // The writer's last write at the stuck leader ends with its deadline of five seconds.
            let goes_on = || watch.acknowledged.get() > before + 20;
            cluster.until("writes to go on", 10 * SECOND, goes_on).await;
            assert!(!cluster.eye(stuck, region).has_lease());
            holds.release("log");
            sleep(SECOND).await;
            writer.abort();
            let is_level = || {
                let replicas = &cluster.world.replicas()[&region];
                replicas.len() == 3 && replicas.iter().all(|one| one.data == replicas[0].data)
            };
            cluster.until("the stuck replica to catch up", 10 * SECOND, is_level).await;
            watch.stop();
            assert!(watch.reads.get() > 1_000, "{} reads by a lease", watch.reads.get());
        });
    }
}

/// A stall shorter than an election time-out changes nothing but the time that a write takes.
#[test]
fn a_short_stall_moves_no_leader() {
    in_cluster(plan(2_611), |cluster| async move {
        let region = cluster.region_of(KEY).await;
        let leader = cluster.wait_for_leader(region).await;
        let holds = cluster.world.with_node(leader, |node| node.holds.clone());
        for value in 1..=5 {
            holds.hold("log");
            let writing = {
                let cluster = cluster.clone();
                actix_rt::spawn(async move { cluster.write_at(leader, region, (KEY, value)).await })
            };
            sleep(millis(700)).await;
            holds.release("log");
            assert!(writing.await.unwrap().is_ok());
            sleep(millis(300)).await;
        }
        assert_eq!(cluster.newest_leader(region), Some(leader));
    });
}

/// Draws timestamps until some are given.
async fn draw(cluster: &Cluster, node: NodeId) -> Timestamp {
    let service = cluster.service(node);
    for _ in 0..40 {
        let deadline = service.env().now().after(SECOND);
        match service.pd(PdRequest::Timestamps { count: 3 }, deadline).await {
            Ok(PdReply::Timestamps { last, .. }) => return last,
            Ok(other) => panic!("PD answers {other:?}"),
            Err(_) => sleep(millis(100)).await,
        }
    }
    panic!("no timestamps through node {node}");
}

#[test]
fn timestamps_grow_and_keep_coming_when_pds_clock_steps_back_an_hour() {
    for seed in 2_621..=2_624 {
        in_cluster(plan(seed), |cluster| async move {
            let mut last = draw(&cluster, NodeId(1)).await;
            let mut drawn = 0;
            for round in 0_u64..6 {
                let pd = cluster.wait_for_leader(SYSTEM_REGION).await;
                match round % 3 {
                    0 => cluster.world.with_node(pd, |node| node.clock.step_unix(-HOUR_MS)),
                    1 => {
                        let next = cluster.others(pd)[0];
                        cluster.world.with_node(next, |node| node.clock.step_unix(-HOUR_MS));
                        let _ = cluster.transfer(SYSTEM_REGION, pd, next).await;
                    }
                    _ => {
                        cluster.world.crash(pd, 0);
                        sleep(SECOND).await;
                        cluster.world.start(pd);
                    }
                }
                for _ in 0..10 {
                    let node = NodeId(drawn % 3 + 1);
                    let now = draw(&cluster, node).await;
                    assert!(now > last, "seed {seed}, round {round}: {now:?} behind {last:?}");
                    last = now;
                    drawn += 1;
                    sleep(millis(20)).await;
                }
            }
        });
    }
}

/// Swaps a row that lives for five seconds, by the clock of `node`; answers what was there before.
async fn swap(cluster: &Cluster, node: NodeId, value: u64) -> Option<bytes::Bytes> {
    let (service, gate) = cluster.world.door(node).expect("the node is up");
    for _ in 0..40 {
        let expires_at = Some(UnixMillis(cluster.unix(node).get() + 5_000));
        let change = RawChange::Put { value: value.to_string().into(), expires_at };
        let options = cluster.options(node, 2 * SECOND);
        let expect = RawExpectation::Absent;
        let swapped = service.raw_cas(World::key(KEY), expect, change, &options);
        match gate.gated(swapped).await {
            Ok((_, previous, _)) => return previous,
            Err(_) => sleep(millis(100)).await,
        }
    }
    panic!("node {node} does not swap");
}

#[test]
fn replicas_whose_clocks_are_an_hour_apart_agree_on_what_has_expired() {
    in_cluster(plan(2_631), |cluster| async move {
        let region = cluster.region_of(KEY).await;
        for (node, ms) in [(1, -HOUR_MS), (2, 0), (3, HOUR_MS)] {
            cluster.world.with_node(NodeId(node), |node| node.clock.step_unix(ms));
        }
        assert_eq!(swap(&cluster, NodeId(2), 1).await, None);
        let seen = swap(&cluster, NodeId(2), 2).await;
        assert_eq!(seen.as_deref(), Some(&b"1"[..]), "it lives for five seconds");
        let seen = swap(&cluster, NodeId(3), 3).await;
        assert_eq!(seen, None, "by the time of the third node it has expired, so it is replaced");
        sleep(6 * SECOND).await;
        // A node that lost what was not flushed applies its log again, an hour later by its clock.
        for node in cluster.world.ids() {
            cluster.world.crash(node, 0);
            cluster.world.with_node(node, |node| node.clock.step_unix(HOUR_MS));
        }
        for node in cluster.world.ids() {
            cluster.world.start(node);
        }
        cluster.wait_for_leader(region).await;
        let is_level = || {
            let replicas = &cluster.world.replicas()[&region];
            replicas.len() == 3 && replicas.iter().all(|one| one.data == replicas[0].data)
        };
        cluster.until("the replicas to be level", 10 * SECOND, is_level).await;
        for eye in cluster.eyes(region) {
            assert_eq!(eye.applied(KEY), 3, "node {}", eye.node);
        }
    });
}
