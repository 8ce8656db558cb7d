//! ReadIndex: what confirms a read, and what must not.
use super::cluster::{Cluster, put, voter};
use crate::region_peer::core::Input;
use raft::eraftpb::MessageType;
use std::collections::BTreeSet;
use troupe_types::request::AdminCommand;
use troupe_types::{LogIndex, RegionError};

/// Contexts of the rounds on the wire.
fn contexts(cluster: &Cluster) -> Vec<Vec<u8>> {
    let beats = cluster.wire.iter().filter(|p| p.is(MessageType::MsgHeartbeat));
    beats.map(|p| p.message.context.to_vec()).filter(|context| !context.is_empty()).collect()
}

/// etcd#7331: a new leader does not know what is committed before an entry of its own term is.
#[test]
fn a_read_waits_for_the_first_commit_of_the_term() {
    let mut cluster = Cluster::of(3);
    cluster.loses = Box::new(|p| p.is(MessageType::MsgAppend));
    for _ in 0..25 {
        cluster.tick(&[1], 1);
        if cluster.node(1).leads() {
            break;
        }
    }
    assert!(cluster.node(1).leads());
    let reader = cluster.read(1);
    cluster.step(1, Input::Flush);
    cluster.tick(&[1], 4);
    assert_eq!(cluster.node(1).permits.get(&reader), None);
    cluster.heal();
    cluster.tick(&[1], 4);
    let own_first = cluster.status(1).committed;
    assert_eq!(own_first, LogIndex(6));
    assert_eq!(cluster.node(1).permits.get(&reader), Some(&own_first));
}

#[test]
fn reads_of_a_batch_share_one_round() {
    let mut cluster = Cluster::led();
    let readers: Vec<u64> = (0..5).map(|_| cluster.read(1)).collect();
    cluster.step(1, Input::Flush);
    let contexts = contexts(&cluster);
    assert_eq!(contexts.len(), 2, "one heartbeat to each follower");
    assert_eq!(contexts[0], contexts[1]);
    cluster.settle();
    let applied = cluster.status(1).applied;
    let expected: Vec<_> = readers.iter().map(|_| Some(&applied)).collect();
    let node = cluster.node(1);
    let got: Vec<_> = readers.iter().map(|reader| node.permits.get(reader)).collect();
    assert_eq!(got, expected);
}

/// raft-rs tells rounds apart by their context alone.
#[test]
fn a_context_never_comes_twice() {
    let mut cluster = Cluster::led();
    let mut seen = BTreeSet::new();
    for leader in [1, 2, 1] {
        if !cluster.node(leader).leads() {
            cluster.admin(3 - leader, AdminCommand::TransferLeader { to: voter(leader) });
            cluster.tick(&[leader], 1);
        }
        for _ in 0..3 {
            cluster.read(leader);
            cluster.step(leader, Input::Flush);
            let round: BTreeSet<_> = contexts(&cluster).into_iter().collect();
            assert_eq!(round.len(), 1);
            assert!(seen.is_disjoint(&round), "{round:?} comes twice");
            seen.extend(round);
            cluster.settle();
        }
    }
    assert_eq!(seen.len(), 9);
}

/// etcd#20418: a leader that was deposed without knowing it must not take an answer to an earlier
/// round, or a reader's context sent again, for the confirmation of a later read.
#[test]
fn late_answers_of_an_earlier_round_confirm_nothing() {
    let mut cluster = Cluster::led();
    cluster.arrived.clear();
    let first = cluster.read(1);
    cluster.step(1, Input::Flush);
    cluster.settle();
    assert!(cluster.node(1).permits.contains_key(&first));
    let late: Vec<_> = cluster.arrived.iter().filter(|p| p.to == voter(1)).cloned().collect();
    let is_round = |p: &&super::cluster::Packet| !p.message.context.is_empty();
    assert!(late.iter().any(|p| is_round(&p)), "the round was answered");

    cluster.isolate(1);
    let second = cluster.read(1);
    cluster.step(1, Input::Flush);
    cluster.settle();
    for mut packet in late {
        cluster.give(1, packet.clone().input());
        let context = packet.message.context.clone();
        packet.message.set_msg_type(MessageType::MsgReadIndex);
        packet.message.context = context.clone();
        let entry = raft::eraftpb::Entry { data: context, ..Default::default() };
        packet.message.entries = vec![entry].into();
        cluster.give(1, packet.clone().input());
        packet.message.entries.clear();
        packet.message.set_msg_type(MessageType::MsgHeartbeatResponse);
        cluster.give(1, packet.input());
        cluster.settle();
    }
    assert_eq!(cluster.node(1).permits.get(&second), None);
    assert_eq!(cluster.reply(1, second), None, "it still waits");
}

/// tikv#7971: a reader that comes behind a write sees it, whatever batch it falls into.
#[test]
fn a_read_behind_an_answered_write_sees_it() {
    let mut cluster = Cluster::led();
    let early = cluster.read(1);
    cluster.propose(1, put("b", "1"));
    cluster.step(1, Input::Flush);
    cluster.settle();
    let written_at = cluster.status(1).applied;
    let late = cluster.read(1);
    cluster.step(1, Input::Flush);
    cluster.settle();
    let node = cluster.node(1);
    assert!(node.permits[&early] <= written_at);
    assert_eq!(node.permits[&late], written_at);
}

#[test]
fn a_reader_waits_until_its_index_is_applied() {
    let mut cluster = Cluster::led();
    cluster.node(1).hold_apply = true;
    cluster.write(1, put("b", "1"));
    let reader = cluster.read(1);
    cluster.step(1, Input::Flush);
    cluster.settle();
    assert_eq!(cluster.node(1).permits.get(&reader), None);
    cluster.node(1).hold_apply = false;
    cluster.settle();
    let applied = cluster.status(1).applied;
    assert_eq!(cluster.node(1).permits.get(&reader), Some(&applied));
}

#[test]
fn a_follower_sends_readers_away_but_waits_for_an_index() {
    let mut cluster = Cluster::led();
    cluster.tick(&[1], 2);
    let asked = cluster.read(2);
    let region = cluster.node(2).region.id;
    let error = RegionError::NotLeader { region, leader: Some(voter(1)) };
    assert_eq!(cluster.reply(2, asked), Some(Err(error)));
    let index = cluster.status(1).committed.next();
    cluster.step(2, Input::AwaitApplied { index, waiter: 700 });
    cluster.step(2, Input::AwaitApplied { index: LogIndex(index.get() - 1), waiter: 701 });
    assert_eq!(cluster.node(2).permits.keys().copied().collect::<Vec<_>>(), [701]);
    cluster.write(1, put("b", "1"));
    cluster.tick(&[1], 2);
    assert_eq!(cluster.node(2).permits.get(&700), Some(&index));
}

#[test]
fn readers_of_a_deposed_leader_are_sent_away() {
    let mut cluster = Cluster::led();
    cluster.isolate(1);
    let waiting = cluster.read(1);
    cluster.step(1, Input::Flush);
    let unsent = cluster.read(1);
    cluster.tick(&[1], 30);
    for reader in [waiting, unsent] {
        let reply = cluster.reply(1, reader);
        assert!(matches!(reply, Some(Err(RegionError::NotLeader { .. }))), "{reply:?}");
    }
}
