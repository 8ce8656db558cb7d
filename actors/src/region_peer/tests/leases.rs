//! The lease: what grows it, what ends it.
use super::cluster::{Cluster, LEASE, options, put, voter};
use crate::region_peer::core::Input;
use crate::region_peer::core::lease::Lease;
use raft::eraftpb::MessageType;
use std::time::Duration;
use troupe_types::request::AdminCommand;
use troupe_types::{Moment, Term};

#[test]
fn a_lease_grows_in_its_own_term_only_and_never_shrinks() {
    let mut lease = Lease::of_term(Term(6));
    let second = Duration::from_nanos(1000);
    assert_eq!(lease.renew(Term(6), Moment(500), second), Some(Moment(1500)));
    assert_eq!(lease.renew(Term(5), Moment(900), second), None, "another term");
    assert_eq!(lease.renew(Term(7), Moment(900), second), None, "another term");
    assert_eq!(lease.renew(Term(6), Moment(400), second), None, "older");
    assert_eq!(lease.renew(Term(6), Moment(500), second), None, "no news");
    for (now, valid) in [(0, true), (1499, true), (1500, false), (u64::MAX, false)] {
        assert_eq!(lease.is_valid(Moment(now)), valid, "at {now}");
    }
    lease.forfeit();
    assert!(!lease.is_valid(Moment(0)));
    assert_eq!(lease.renew(Term(6), Moment(9000), second), None, "for the rest of the term");
}

/// A follower's election clock may be almost one tick ahead of the leader's message.
#[test]
fn the_lease_is_shorter_than_the_shortest_election() {
    assert_eq!(options().lease_length(), LEASE);
    let mut short = options();
    short.lease = Duration::from_millis(300);
    assert_eq!(short.lease_length(), Duration::from_millis(300));
    for election_ticks in [2, 3, 10, 100] {
        let options = crate::region_peer::core::CoreOptions { election_ticks, ..options() };
        let ticks = u32::try_from(election_ticks).unwrap();
        assert!(options.lease_length() < options.tick * (ticks - 1));
    }
}

#[test]
fn a_committed_write_renews_the_lease_from_when_it_was_sent() {
    let mut cluster = Cluster::led();
    let sent = cluster.now;
    cluster.node(2).hold_disk = true;
    cluster.node(3).hold_disk = true;
    cluster.write(1, put("b", "1"));
    let before = cluster.node(1).lease;
    cluster.now = cluster.now.after(Duration::from_millis(70));
    cluster.node(2).hold_disk = false;
    cluster.settle();
    assert!(before < cluster.node(1).lease);
    assert_eq!(cluster.node(1).lease, sent.after(LEASE));
}

#[test]
fn a_confirmed_read_renews_the_lease_from_when_its_round_began() {
    let mut cluster = Cluster::led();
    let sent = cluster.now;
    cluster.read(1);
    cluster.step(1, Input::Flush);
    cluster.now = cluster.now.after(Duration::from_millis(70));
    cluster.settle();
    assert_eq!(cluster.node(1).lease, sent.after(LEASE));
    assert!(cluster.status(1).lease_valid);
    cluster.now = sent.after(LEASE);
    assert!(!cluster.status(1).lease_valid);
}

#[test]
fn without_answers_there_is_no_lease() {
    let mut cluster = Cluster::led();
    cluster.write(1, put("b", "1"));
    let granted = cluster.node(1).lease;
    cluster.isolate(1);
    cluster.tick(&[1], 3);
    cluster.write(1, put("b", "2"));
    assert_eq!(cluster.node(1).lease, granted);
}

/// tikv#1593: the target of a transfer campaigns at once, however fresh the lease, and however late
/// the order arrives.
#[test]
fn a_transfer_ends_the_lease_for_the_rest_of_the_term() {
    let mut cluster = Cluster::led();
    cluster.write(1, put("b", "1"));
    assert!(cluster.status(1).lease_valid);
    cluster.loses = Box::new(|p| p.is(MessageType::MsgTimeoutNow));
    cluster.admin(1, AdminCommand::TransferLeader { to: voter(2) });
    assert_eq!(cluster.node(1).lease, Moment(0));
    cluster.read(1);
    cluster.step(1, Input::Flush);
    cluster.settle();
    cluster.write(1, put("b", "2"));
    assert_eq!(cluster.node(1).lease, Moment(0));
    // The transfer fails; its order may still be under way. Only a new term gives a new lease.
    let term = cluster.status(1).term;
    cluster.tick(&[1], 12);
    assert!(!cluster.node(1).leads());
    assert_eq!(cluster.node(1).lease, Moment(0));
    cluster.heal();
    cluster.tick(&[1, 2, 3], 45);
    let leader = (1..=3).find(|store| cluster.node(*store).leads()).expect("a leader");
    cluster.write(leader, put("b", "3"));
    let status = cluster.status(leader);
    assert!(status.term > term && status.lease_valid);
}

/// The same for the hand-over of a node that stops. It ended the core's own lease, but told nobody:
/// gateways went on reading at the old leader while the new one took writes.
#[test]
fn stepping_aside_withdraws_the_lease_before_the_order_goes_out() {
    let mut cluster = Cluster::led();
    cluster.write(1, put("b", "1"));
    assert!(cluster.status(1).lease_valid);
    cluster.node(1).kinds.clear();
    cluster.give(1, Input::StepAside);
    let kinds = cluster.node(1).kinds.clone();
    let at = |kind| kinds.iter().position(|other| *other == kind);
    assert!(at("lease").is_some() && at("lease") < at("send"), "{kinds:?}");
    assert_eq!(cluster.node(1).lease, Moment(0));
    cluster.settle();
    assert!(cluster.node(2).leads() || cluster.node(3).leads());
}

#[test]
fn a_deposed_leader_has_no_lease() {
    let mut cluster = Cluster::led();
    cluster.write(1, put("b", "1"));
    cluster.isolate(1);
    cluster.tick(&[2, 3], 30);
    cluster.heal();
    cluster.tick(&[2, 3], 2);
    assert!(!cluster.node(1).leads());
    assert_eq!(cluster.node(1).lease, Moment(0));
}

/// etcd#15247: a leader whose disk is stuck keeps its lease by heartbeats, and its Region serves no
/// write, although the others could.
#[test]
fn a_leader_whose_disk_is_stuck_lets_another_lead() {
    let mut cluster = Cluster::led();
    cluster.write(1, put("b", "1"));
    cluster.node(1).hold_disk = true;
    let stuck = cluster.write(1, put("b", "2"));
    cluster.tick(&[1, 2, 3], 9);
    assert!(cluster.node(1).leads(), "a short stall changes nothing");
    assert_eq!(cluster.reply(1, stuck), None);
    cluster.tick(&[1, 2, 3], 1);
    assert!(!cluster.node(1).leads());
    assert_eq!(cluster.node(1).lease, Moment(0));
    cluster.tick(&[1, 2, 3], 45);
    let leader = (2..=3).find(|store| cluster.node(*store).leads()).expect("a leader");
    let written = cluster.write(leader, put("b", "3"));
    assert!(matches!(cluster.reply(leader, written), Some(Ok(_))));
    cluster.node(1).hold_disk = false;
    cluster.settle();
    cluster.tick(&[1, 2, 3], 5);
    assert_eq!(cluster.node(1).commands, [put("b", "1"), put("b", "2"), put("b", "3")]);
}

#[test]
fn a_lone_leader_waits_for_its_disk() {
    let mut cluster = Cluster::of(1);
    cluster.elect(1);
    cluster.node(1).hold_disk = true;
    let written = cluster.write(1, put("b", "1"));
    cluster.tick(&[1], 50);
    assert!(cluster.node(1).leads());
    cluster.node(1).hold_disk = false;
    cluster.settle();
    assert!(matches!(cluster.reply(1, written), Some(Ok(_))));
}
