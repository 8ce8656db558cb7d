//! Who votes, and when.
use super::cluster::{Cluster, TICK, voter};
use crate::region_peer::core::Input;
use raft::eraftpb::{Message, MessageType};
use troupe_types::{RegionEpoch, Term};

#[test]
fn a_replica_that_hears_nothing_is_elected_and_all_know_it() {
    let mut cluster = Cluster::led();
    cluster.tick(&[1], 3);
    for store in 1..=3 {
        let delegate = cluster.node(store).delegate.clone().unwrap();
        assert_eq!((delegate.leader, delegate.term), (Some(voter(1)), Term(6)), "store {store}");
        assert_eq!(delegate.may_serve, store == 1, "store {store}");
    }
}

#[test]
fn a_region_of_one_replica_leads_at_once() {
    let mut cluster = Cluster::of(1);
    cluster.node(1).core.campaign_if_alone();
    cluster.step(1, Input::Flush);
    cluster.settle();
    assert!(cluster.node(1).delegate.clone().unwrap().may_serve);
}

#[test]
fn a_leader_without_majority_steps_down() {
    let mut cluster = Cluster::led();
    cluster.isolate(1);
    cluster.tick(&[1], 30);
    assert!(!cluster.node(1).leads());
}

/// A request of store 3 for the vote of store 2, at any term above all others.
fn ask_for_vote(cluster: &mut Cluster) {
    let last = cluster.status(3).last_index.get();
    let mut message = Message::default();
    message.set_msg_type(MessageType::MsgRequestPreVote);
    message.from = voter(3).id.get();
    message.to = voter(2).id.get();
    message.term = 20;
    message.index = last;
    message.log_term = 19;
    cluster.wire.clear();
    cluster.give(2, Input::Raft { from: voter(3), epoch: RegionEpoch::INITIAL, message });
}

fn answers_vote(cluster: &Cluster) -> bool {
    cluster.wire.iter().any(|p| p.is(MessageType::MsgRequestPreVoteResponse))
}

/// It has forgotten whom it acknowledged: that leader may still serve reads by its lease.
#[test]
fn a_restarted_replica_does_not_vote_within_one_election_timeout() {
    let mut cluster = Cluster::led();
    cluster.restart(2);
    let just_before = cluster.now.after(TICK * 10 - std::time::Duration::from_nanos(1));
    for (at, answers) in [(cluster.now, false), (just_before, false)] {
        cluster.now = at;
        ask_for_vote(&mut cluster);
        assert_eq!(answers_vote(&cluster), answers);
    }
    cluster.now = cluster.now.after(TICK);
    ask_for_vote(&mut cluster);
    assert!(answers_vote(&cluster));
}

#[test]
fn a_newborn_replica_votes_at_once() {
    let mut cluster = Cluster::of(3);
    ask_for_vote(&mut cluster);
    assert!(answers_vote(&cluster));
}

/// Its random choices follow from its seed alone: the simulator relies on that.
#[test]
fn the_same_seed_gives_the_same_election() {
    let ticks = |_| {
        let mut cluster = Cluster::of(3);
        let mut ticks = 0;
        while !cluster.node(2).leads() {
            cluster.tick(&[2], 1);
            ticks += 1;
        }
        ticks
    };
    let all: Vec<u32> = (0..3).map(ticks).collect();
    assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
    assert!((10..20).contains(&all[0]), "{all:?}");
}
