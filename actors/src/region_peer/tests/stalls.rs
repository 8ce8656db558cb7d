//! A leader whose own disk does not come back gives leadership away (etcd#15247: one that was stuck in
//! a sync went on heartbeating, so that nobody else could lead and no write ever ended).
use super::cluster::{Cluster, put};
use crate::region_peer::core::Input;
use troupe_types::Moment;

/// A leader with a write that only the others have made durable.
fn stalled() -> (Cluster, u64) {
    let mut cluster = Cluster::led();
    cluster.node(1).hold_disk = true;
    let waiter = cluster.write(1, put("b", "1"));
    (cluster, waiter)
}

fn leader(cluster: &mut Cluster) -> Option<u64> {
    (1..=3).find(|store| cluster.node(*store).leads())
}

#[test]
fn a_leader_that_alone_cannot_persist_hands_over_after_an_election_timeout() {
    let (mut cluster, waiter) = stalled();
    cluster.tick(&[1, 2, 3], 9);
    assert_eq!(leader(&mut cluster), Some(1), "a short stall is nothing");
    assert_eq!(cluster.reply(1, waiter), None, "it is not applied here");
    cluster.tick(&[1, 2, 3], 3);
    let next = leader(&mut cluster).expect("another leads");
    assert_ne!(next, 1);
    assert_eq!(cluster.node(1).lease, Moment(0));
    let later = cluster.write(next, put("b", "2"));
    assert!(matches!(cluster.reply(next, later), Some(Ok(_))), "writes go on without it");
    cluster.node(1).hold_disk = false;
    cluster.tick(&[next], 3);
    assert_eq!(cluster.node(1).commands, [put("b", "1"), put("b", "2")], "it catches up");
}

#[test]
fn the_lease_ends_before_the_order_goes_out() {
    let (mut cluster, _) = stalled();
    cluster.tick(&[1], 9);
    cluster.node(1).kinds.clear();
    cluster.now = cluster.now.after(super::cluster::TICK);
    cluster.give(1, Input::Tick);
    let kinds = cluster.node(1).kinds.clone();
    let at = |kind| kinds.iter().position(|other| *other == kind);
    assert!(at("lease").is_some() && at("lease") < at("send"), "{kinds:?}");
}

/// Without it the other cannot commit anything: to leave would help nobody.
#[test]
fn a_leader_stays_while_no_majority_does_better() {
    let mut pair = Cluster::of(2);
    pair.elect(1);
    pair.node(1).hold_disk = true;
    pair.write(1, put("b", "1"));
    pair.tick(&[1, 2], 60);
    assert!(pair.node(1).leads());
    let mut alone = Cluster::of(1);
    alone.node(1).core.campaign_if_alone();
    alone.step(1, Input::Flush);
    alone.settle();
    alone.node(1).hold_disk = true;
    alone.write(1, put("b", "1"));
    alone.tick(&[1], 60);
    assert!(alone.node(1).leads());
}
