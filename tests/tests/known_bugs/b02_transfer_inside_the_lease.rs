//! B2: a leader transfer inside the lease (tikv#1593, openraft#1749).
//!
//! A lease rests on voters that refuse everybody else for an election time-out. The target of a transfer
//! is told to campaign at once, and voters obey it: it leads and takes writes while the old leader's lease
//! still runs. Here the old leader would go on serving its own data until its lease is over.
//!
//! The test hands leadership round a thousand times while all replicas are read by their leases each
//! millisecond and a writer counts up. No order to campaign may go out while the sender has a lease, two
//! leases must not exist at a time, and no read may miss an acknowledged write.
use super::cluster::{Cluster, KEY, in_cluster, millis, plan, sleep};
use raft::eraftpb::MessageType;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use troupe_tests::sim::filters::Verdict;
use troupe_types::{NodeId, RegionId};

const TRANSFERS: usize = 1_000;

/// Orders to campaign that were sent, and whether their sender had a lease then.
fn note_orders(cluster: &Cluster, region: RegionId) -> Arc<Mutex<Vec<bool>>> {
    let orders: Arc<Mutex<Vec<bool>>> = Arc::default();
    let (noted, eyes) = (orders.clone(), cluster.eyes(region));
    cluster.world.net.add_filter(move |seen| {
        if seen.region == region && seen.is(MessageType::MsgTimeoutNow) {
            let sender = eyes.iter().find(|eye| eye.node == seen.link.0);
            noted.lock().unwrap().push(sender.is_some_and(super::cluster::Eye::has_lease));
        }
        Verdict::Deliver
    });
    orders
}

async fn count_up(cluster: Rc<Cluster>, watch: Rc<super::cluster::Watch>, region: RegionId) {
    for value in 1.. {
        if let Some(leader) = cluster.newest_leader(region)
            && cluster.write_at(leader, region, (KEY, value)).await.is_ok()
        {
            watch.acknowledged.set(value);
        }
        sleep(millis(1)).await;
    }
}

#[test]
fn no_lease_outlives_the_order_to_campaign() {
    in_cluster(plan(1_201), |cluster| async move {
        let region = cluster.region_of(KEY).await;
        let orders = note_orders(&cluster, region);
        let watch = cluster.watch(region, KEY);
        let writer = actix_rt::spawn(count_up(cluster.clone(), watch.clone(), region));
        let mut leaders = 0;
        while orders.lock().unwrap().len() < TRANSFERS {
            let Some(leader) = cluster.newest_leader(region) else {
                sleep(millis(1)).await;
                continue;
            };
            let to = NodeId(leader.get() % 3 + 1);
            let _ = cluster.transfer(region, leader, to).await;
            for _ in 0..10 {
                sleep(millis(3)).await;
                if cluster.newest_leader(region) == Some(to) {
                    leaders += 1;
                    // Long enough for some writes, and so for a lease.
                    sleep(millis(20)).await;
                    break;
                }
            }
        }
        writer.abort();
        watch.stop();
        let with_lease = orders.lock().unwrap().iter().filter(|had| **had).count();
        assert_eq!(with_lease, 0, "orders that went out under a lease");
        assert!(leaders > TRANSFERS / 2, "only {leaders} transfers came through");
        assert!(watch.acknowledged.get() > 500, "writes went on: {}", watch.acknowledged.get());
        assert!(watch.reads.get() > 500, "reads were served: {}", watch.reads.get());
        assert_eq!(cluster.world.net.rivals(), Vec::<String>::new());
    });
}
