//! B1: a lease outlives the right to it (tikv#964, etcd#20418).
//!
//! A leader serves reads by its lease without asking anybody. A process that was stopped, or whose
//! machine slept, comes back and takes for valid what has long ended: meanwhile the others elected a
//! leader and took writes. Here a leader would serve the old value from its own memory.
//!
//! The tests stop a leader for two to five leases (none of its tasks runs, nothing reaches it), let the
//! others write, and read the moment it is back; let clocks differ by as much as is allowed and read all
//! the time; and let a reader fall asleep between its two looks at the lease.
use super::cluster::{Cluster, KEY, LEASE, SECOND, in_cluster, millis, plan, sleep};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::time::Instant;
use troupe_actors::env::Clock;
use troupe_actors::region_peer::core::Delegate;
use troupe_actors::router::RegionView;
use troupe_storage::engine::memory::MemoryEngine;
use troupe_types::request::Consistency;
use troupe_types::{
    KeyRange, Moment, Peer, PeerId, Region, RegionEpoch, RegionId, StoreId, Term, UnixMillis,
};

async fn sleep_through(cluster: &Rc<Cluster>, round: u32) {
    let region = cluster.region_of(KEY).await;
    let leader = cluster.wait_for_leader(region).await;
    let eye = cluster.eye(leader, region);
    cluster.put(leader, KEY, u64::from(2 * round + 1)).await;
    assert_eq!(eye.lease_read(KEY), Some(u64::from(2 * round + 1)));

    let stopped_at = Instant::now();
    cluster.world.hold(leader, true);
    cluster.cut_off(leader);
    let next = cluster.wait_for_other_leader(region, leader).await;
    let newer = u64::from(2 * round + 2);
    let written = cluster.write_at(next, region, (KEY, newer)).await;
    assert!(written.is_ok(), "{written:?}");
    let asleep = LEASE * (2 + round);
    sleep(asleep.saturating_sub(stopped_at.elapsed())).await;

    cluster.world.net.heal();
    cluster.world.hold(leader, false);
    assert_eq!(eye.lease_read(KEY), None, "slept {asleep:?}: its lease is over");
    let read = cluster.get(leader, KEY, (Consistency::Leader, 5 * SECOND)).await;
    assert_eq!(read, Ok(newer), "slept {asleep:?}, round {round}");
}

#[test]
fn a_leader_that_was_stopped_serves_nothing_old_when_it_is_back() {
    for seed in 1_101..=1_106 {
        in_cluster(plan(seed), |cluster| async move {
            for round in 0..4 {
                sleep_through(&cluster, round).await;
            }
        });
    }
}

/// Four in a hundred too slow and four too fast: eight between the two, ten are allowed.
#[test]
fn a_slow_clock_does_not_stretch_a_lease_into_the_next_leaders_time() {
    for seed in 1_111..=1_116 {
        in_cluster(plan(seed), |cluster| async move {
            let region = cluster.region_of(KEY).await;
            let mut value = 0;
            let watch = cluster.watch(region, KEY);
            for _ in 0..3 {
                let leader = cluster.wait_for_leader(region).await;
                cluster.world.with_node(leader, |node| node.clock.set_drift(-40_000));
                for other in cluster.others(leader) {
                    cluster.world.with_node(other, |node| node.clock.set_drift(40_000));
                }
                cluster.cut_off(leader);
                let next = cluster.wait_for_other_leader(region, leader).await;
                for _ in 0..20 {
                    value += 1;
                    let written = cluster.write_at(next, region, (KEY, value)).await;
                    assert!(written.is_ok(), "{written:?}");
                    watch.acknowledged.set(value);
                    sleep(millis(10)).await;
                }
                cluster.world.net.heal();
            }
            assert!(watch.reads.get() > 1_000, "somebody had a lease most of the time");
            watch.stop();
        });
    }
}

/// A clock that leaps by a minute when it is looked at for the `leap_at`th time.
struct Sleepy {
    looks: AtomicU32,
    leap_at: u32,
}

impl Clock for Sleepy {
    fn now(&self) -> Moment {
        let look = self.looks.fetch_add(1, Ordering::SeqCst);
        Moment(if look >= self.leap_at { 60_000_000_000 } else { 1_000 })
    }

    fn unix(&self) -> UnixMillis {
        UnixMillis(0)
    }
}

#[test]
fn a_reader_that_sleeps_between_lease_and_snapshot_gets_none() {
    let me = Peer::voter(PeerId(101), StoreId(1));
    let region = Region {
        id: RegionId(7),
        range: KeyRange::raw_space(),
        epoch: RegionEpoch::INITIAL,
        peers: vec![me],
    };
    let view = RegionView::default();
    view.publish(Delegate {
        region,
        term: Term(6),
        leader: Some(me),
        may_serve: true,
        halted: false,
    });
    view.set_lease(Moment(2_000));
    let read = |leap_at| {
        let clock = Sleepy { looks: AtomicU32::new(0), leap_at };
        view.lease_snapshot(&MemoryEngine::new(), &clock).is_some()
    };
    assert!(!read(0), "asleep before the first look");
    assert!(!read(1), "asleep between the looks");
    assert!(read(2), "awake at both looks");
}
