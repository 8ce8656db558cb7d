//! A leader whose own disk does not come back gives leadership away, by the rules of any hand-over, and
//! only if that helps. (That another leads then: `leases.rs`.)
use super::cluster::{Cluster, put};
use crate::region_peer::core::Input;

/// A leader with a write that only the others have made durable.
fn stalled() -> Cluster {
    let mut cluster = Cluster::led();
    cluster.node(1).hold_disk = true;
    cluster.write(1, put("b", "1"));
    cluster
}

#[test]
fn the_lease_ends_before_the_order_goes_out() {
    let mut cluster = stalled();
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
}
