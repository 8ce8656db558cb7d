//! Logs that are cut, and replicas that need a snapshot.
use super::cluster::{Cluster, Packet, Work, learner, options, put, voter};
use crate::region_peer::core::Input;
use raft::eraftpb::MessageType;
use std::path::PathBuf;
use troupe_types::request::PeerChange;
use troupe_types::{LogIndex, RegionId};

fn cut(cluster: &mut Cluster, store: u64) -> LogIndex {
    let durable = cluster.node(store).applied.0;
    cluster.give(store, Input::CutLog { durable });
    cluster.status(store).first_index
}

/// Store 3 lacks entries that the leader has cut off.
fn far_behind() -> Cluster {
    let mut cluster = Cluster::led();
    cluster.isolate(3);
    for i in 0..20 {
        cluster.write(1, put("b", &i.to_string()));
    }
    cut(&mut cluster, 1);
    cluster
}

#[test]
fn a_leader_cuts_what_all_have_and_keeps_some_for_the_slow() {
    let mut cluster = Cluster::led();
    for i in 0..20 {
        cluster.write(1, put("b", &i.to_string()));
    }
    let applied = cluster.status(1).applied;
    assert_eq!(cut(&mut cluster, 1), applied.next(), "all have everything");
    cluster.isolate(3);
    for i in 0..20 {
        cluster.write(1, put("b", &i.to_string()));
    }
    let kept = options().log_keep_entries;
    let applied = cluster.status(1).applied;
    assert_eq!(cut(&mut cluster, 1), LogIndex(applied.get() - kept + 1));
    // Once more: nothing to cut.
    cluster.node(1).compacted = None;
    cut(&mut cluster, 1);
    assert_eq!(cluster.node(1).compacted, None);
}

#[test]
fn a_slow_replica_holds_back_the_cut_only_as_long_as_it_is_near() {
    let mut cluster = Cluster::led();
    cluster.isolate(3);
    let has = cluster.status(3).last_index;
    for i in 0..5 {
        cluster.write(1, put("b", &i.to_string()));
    }
    assert_eq!(cut(&mut cluster, 1), has.next());
}

#[test]
fn nothing_is_cut_that_is_not_applied() {
    let mut cluster = Cluster::led();
    let before = cluster.status(1).first_index;
    cluster.give(1, Input::CutLog { durable: LogIndex(0) });
    assert_eq!(cluster.status(1).first_index, before);
    cluster.give(1, Input::CutLog { durable: LogIndex(1000) });
    let status = cluster.status(1);
    assert!(status.first_index <= status.applied.next());
}

/// A follower may lead tomorrow: it cut its whole log, so that a leader change made every replica
/// that was a little behind fetch all data again.
#[test]
fn a_follower_keeps_entries_for_the_slow_too() {
    let mut cluster = Cluster::led();
    for i in 0..20 {
        cluster.write(1, put("b", &i.to_string()));
    }
    cluster.tick(&[1], 2);
    let applied = cluster.status(2).applied.get();
    assert_eq!(cut(&mut cluster, 2), LogIndex(applied - options().log_keep_entries + 1));
}

#[test]
fn a_replica_behind_the_cut_gets_a_snapshot_and_then_the_log() {
    let mut cluster = far_behind();
    cluster.heal();
    cluster.tick(&[1], 4);
    let at_leader = cluster.status(1);
    let got = cluster.status(3);
    assert_eq!((got.applied, got.term), (at_leader.applied, at_leader.term));
    assert_eq!(cluster.node(3).commands, [], "the data came with the snapshot");
    assert_eq!(got.first_index, at_leader.applied.next());
    cluster.write(1, put("c", "after"));
    cluster.tick(&[1], 2);
    assert_eq!(cluster.node(3).commands, [put("c", "after")]);
    // Its log on disk starts where the snapshot ends.
    cluster.restart(3);
    assert_eq!(cluster.status(3).first_index, at_leader.applied.next());
}

/// B11, and the order of the log behind the data: the log may begin anew only once the data is there.
#[test]
fn nothing_is_persisted_while_a_snapshot_is_installed() {
    let mut cluster = far_behind();
    cluster.heal();
    cluster.node(3).hold_apply = true;
    cluster.node(3).kinds.clear();
    cluster.tick(&[1], 4);
    cluster.write(1, put("c", "after"));
    assert!(cluster.node(3).kinds.contains(&"install"));
    assert!(!cluster.node(3).kinds.contains(&"persist"), "{:?}", cluster.node(3).kinds);
    assert_eq!(cluster.node(3).applies.len(), 1, "no entry overtakes the snapshot");
    cluster.node(3).hold_apply = false;
    cluster.settle();
    cluster.tick(&[1], 4);
    assert_eq!(cluster.status(3).applied, cluster.status(1).applied);
    assert_eq!(cluster.node(3).commands, [put("c", "after")]);
}

#[test]
fn a_snapshot_that_was_lost_is_made_and_sent_again() {
    let mut cluster = far_behind();
    cluster.loses = Box::new(|p| p.snapshot.is_some());
    cluster.tick(&[1], 6);
    assert_eq!(cluster.status(3).applied, LogIndex(6));
    cluster.heal();
    cluster.tick(&[1], 6);
    assert_eq!(cluster.status(3).applied, cluster.status(1).applied);
}

/// The snapshot message of the leader to store 3, caught on its way.
fn catch_snapshot(cluster: &mut Cluster) -> Packet {
    cluster.heal();
    cluster.holds_snapshots = true;
    cluster.tick(&[1], 4);
    cluster.holds_snapshots = false;
    cluster.held.pop().expect("a snapshot is sent")
}

/// A leader sends one, loses touch, sends a newer one; the network delivers the newer one first. The
/// files of the older one took the place of the accepted one's, and the replica crashed.
#[test]
fn two_snapshots_of_one_batch_do_not_mix_up_their_files() {
    let mut cluster = far_behind();
    let older = catch_snapshot(&mut cluster);
    cluster.give(1, Input::SnapshotSent { to: voter(3).id, ok: false });
    cluster.write(1, put("c", "more"));
    let applied = cluster.node(1).applied.0;
    cluster.give(1, Input::CutLog { durable: applied });
    for i in 0..options().log_keep_entries {
        cluster.write(1, put("c", &i.to_string()));
    }
    cut(&mut cluster, 1);
    let newer = catch_snapshot(&mut cluster);
    let index = |packet: &Packet| packet.snapshot.clone().unwrap().0.index;
    assert!(index(&older) < index(&newer));
    cluster.step(3, newer.clone().input());
    cluster.step(3, older.clone().input());
    cluster.step(3, Input::Flush);
    let node = cluster.node(3);
    assert_eq!(node.discarded, [older.snapshot.unwrap().1]);
    let Some(Work::Install(manifest)) = node.applies.front() else { panic!("none installed") };
    assert_eq!(*manifest, newer.snapshot.unwrap().0);
    let installed = manifest.index;
    cluster.settle();
    assert_eq!(cluster.status(3).applied, installed);
}

#[test]
fn a_snapshot_of_what_is_there_already_is_discarded() {
    let mut cluster = far_behind();
    let packet = catch_snapshot(&mut cluster);
    cluster.give(3, packet.clone().input());
    cluster.settle();
    let folder = packet.snapshot.clone().unwrap().1;
    assert!(cluster.node(3).discarded.is_empty());
    cluster.give(3, packet.input());
    assert_eq!(cluster.node(3).discarded, [folder]);
}

/// A `MsgSnapshot` without files, as only a broken sender makes it, crashed the replica.
#[test]
fn a_snapshot_message_without_its_files_is_ignored() {
    let mut cluster = far_behind();
    let packet = catch_snapshot(&mut cluster);
    let before = cluster.status(3).applied;
    cluster.give(3, Packet { snapshot: None, ..packet }.input());
    assert_eq!(cluster.status(3).applied, before);
    assert!(cluster.node(3).applies.is_empty());
}

/// Apply lags: the replica has handed a member change to it when a snapshot from behind that change
/// is accepted. The change was then made a second time, on top of the snapshot's newer shape.
#[test]
fn a_member_change_that_a_snapshot_has_overtaken_is_not_made_again() {
    let mut cluster = Cluster::led();
    cluster.node(3).hold_apply = true;
    cluster.change(1, vec![PeerChange::AddLearner(learner(4))]);
    cluster.tick(&[1], 2);
    assert_eq!(cluster.node(3).applies.len(), 1, "the change waits to be applied");
    cluster.isolate(3);
    cluster.change(1, vec![PeerChange::Remove(learner(4))]);
    for i in 0..20 {
        cluster.write(1, put("b", &i.to_string()));
    }
    cut(&mut cluster, 1);
    cluster.heal();
    cluster.tick(&[1], 4);
    assert_eq!(cluster.node(3).applies.len(), 2, "and the snapshot behind it");
    cluster.node(3).hold_apply = false;
    cluster.settle();
    cluster.tick(&[1], 2);
    let expected = cluster.node(1).region.clone();
    assert_eq!(cluster.status(3).region, expected);
    assert_eq!(cluster.node(3).delegate.clone().unwrap().region, expected);
}

#[test]
fn a_snapshot_that_comes_too_late_is_thrown_away() {
    let mut cluster = far_behind();
    cluster.isolate(1);
    cluster.tick(&[1], 30);
    assert!(!cluster.node(1).leads());
    let node = cluster.node(1);
    let manifest = troupe_types::raft_message::SnapshotManifest {
        region: node.region.clone(),
        index: node.applied.0,
        term: node.applied.1,
        files: Vec::new(),
    };
    assert_eq!(manifest.region.id, RegionId(7));
    let folder = PathBuf::from("late");
    cluster.give(1, Input::SnapshotGenerated(Some((manifest, folder.clone()))));
    assert_eq!(cluster.node(1).discarded, [folder]);
}

#[test]
fn a_replica_asks_again_when_making_a_snapshot_failed() {
    let mut cluster = far_behind();
    cluster.heal();
    cluster.node(1).kinds.clear();
    cluster.node(1).hold_snapshots = true;
    cluster.tick(&[1], 4);
    assert_eq!(cluster.node(1).kinds.iter().filter(|k| **k == "generate").count(), 1);
    cluster.give(1, Input::SnapshotGenerated(None));
    cluster.tick(&[1], 4);
    assert_eq!(cluster.node(1).kinds.iter().filter(|k| **k == "generate").count(), 2);
    assert!(cluster.wire.iter().all(|p| !p.is(MessageType::MsgSnapshot)));
}
