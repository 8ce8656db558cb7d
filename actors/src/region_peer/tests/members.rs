//! Member changes: the shapes as tables, and what the group does.
use super::cluster::{Cluster, learner, options, put, region_of, voter};
use crate::region_peer::core::Input;
use crate::region_peer::core::members::{after_entry, conf_change, conf_state, refusal};
use raft::eraftpb::{Message, MessageType};
use troupe_types::request::{AdminCommand, PeerChange, RegionReply};
use troupe_types::{Moment, Peer, PeerId, PeerRole, RegionEpoch, RegionError, StoreId};

fn with_role(store: u64, role: PeerRole) -> Peer {
    Peer { role, ..voter(store) }
}

#[test]
fn what_is_refused() {
    use PeerChange::{AddLearner, AddVoter, Remove};
    let region = region_of(vec![voter(1), voter(2), voter(3), learner(4)]);
    let same_store = Peer::learner(PeerId(999), StoreId(2));
    let twice = Some("it names a replica twice");
    let held = Some("the store already holds another replica of the Region");
    let voter_first = Some("a voter is made a learner before it is removed");
    let table: &[(&[PeerChange], Option<&str>)] = &[
        (&[], Some("it changes nothing")),
        (&[AddLearner(learner(5))], None),
        (&[AddVoter(voter(4))], None),
        (&[AddVoter(voter(4)), AddLearner(learner(3))], None),
        (&[Remove(learner(4))], None),
        (&[AddLearner(learner(3))], None),
        (&[AddVoter(voter(4)), AddLearner(learner(4))], twice),
        (&[AddLearner(same_store)], held),
        (&[Remove(voter(3))], voter_first),
        (&[Remove(learner(9))], Some("the replica is not a member")),
    ];
    for (changes, expected) in table {
        assert_eq!(refusal(&region, changes), *expected, "{changes:?}");
    }
    let alone = region_of(vec![voter(1)]);
    let none_left = Some("it would leave no voter");
    assert_eq!(refusal(&alone, &[AddLearner(learner(1))]), none_left);
    let joint = region_of(vec![voter(1), with_role(2, PeerRole::IncomingVoter)]);
    let busy = Some("another change is under way");
    assert_eq!(refusal(&joint, &[AddLearner(learner(5))]), busy);
}

#[test]
fn a_replica_is_swapped_through_a_joint_configuration() {
    let region = region_of(vec![voter(1), voter(2), voter(3), learner(4)]);
    let changes = [PeerChange::AddLearner(learner(3)), PeerChange::AddVoter(voter(4))];
    let joint = after_entry(&region, &changes);
    let demoting = with_role(3, PeerRole::DemotingVoter);
    let incoming = with_role(4, PeerRole::IncomingVoter);
    assert_eq!(joint.peers, [voter(1), voter(2), demoting, incoming]);
    assert_eq!(joint.epoch, RegionEpoch { conf_ver: 2, version: 1 });
    assert!(joint.is_joint());
    let raft = conf_state(&joint);
    assert_eq!(raft.voters, [101, 102, 104]);
    assert_eq!(raft.voters_outgoing, [101, 102, 103]);
    assert_eq!(raft.learners_next, [103]);
    assert!(raft.learners.is_empty() && raft.auto_leave);
    let after = after_entry(&joint, &[]);
    assert_eq!(after.peers, [voter(1), voter(2), learner(3), voter(4)]);
    assert_eq!(after.epoch.conf_ver, 3);
    let raft = conf_state(&after);
    assert_eq!((raft.voters, raft.learners), (vec![101, 102, 104], vec![103]));
    assert!(raft.voters_outgoing.is_empty() && !raft.auto_leave);
}

#[test]
fn one_change_alone_is_simple() {
    let region = region_of(vec![voter(1), voter(2), learner(3)]);
    let table = [
        (PeerChange::AddLearner(voter(4)), vec![voter(1), voter(2), learner(3), learner(4)]),
        (PeerChange::AddVoter(learner(3)), vec![voter(1), voter(2), voter(3)]),
        (PeerChange::AddLearner(voter(2)), vec![voter(1), learner(2), learner(3)]),
        (PeerChange::Remove(learner(3)), vec![voter(1), voter(2)]),
        (PeerChange::AddVoter(voter(1)), vec![voter(1), voter(2), learner(3)]),
    ];
    for (change, peers) in table {
        let after = after_entry(&region, &[change]);
        assert_eq!(after.peers, peers, "{change:?}");
        assert!(!after.is_joint());
        assert_eq!(conf_change(&[change]).get_changes().len(), 1);
    }
}

#[test]
fn a_replica_joins_as_learner_and_becomes_a_voter() {
    let mut cluster = Cluster::led();
    cluster.write(1, put("b", "1"));
    cluster.create(learner(4));
    let added = cluster.change(1, vec![PeerChange::AddLearner(learner(4))]);
    cluster.tick(&[1], 6);
    let four = vec![voter(1), voter(2), voter(3), learner(4)];
    let Some(Ok(RegionReply::Admin(region))) = cluster.reply(1, added) else { panic!("no answer") };
    assert_eq!(region.peers, four);
    assert_eq!(cluster.node(4).region.peers, four);
    let promoted = cluster.change(1, vec![PeerChange::AddVoter(voter(4))]);
    cluster.tick(&[1], 2);
    assert!(cluster.reply(1, promoted).unwrap().is_ok());
    // With 2 of the old voters gone, the new one makes the majority of 4.
    cluster.loses = Box::new(|p| p.from == voter(3) || p.to == voter(3));
    let written = cluster.write(1, put("b", "2"));
    assert!(cluster.reply(1, written).unwrap().is_ok());
    cluster.tick(&[1], 2);
    assert_eq!(cluster.node(4).commands, [put("b", "2")], "the first came with the snapshot");
}

/// Found by the simulator: a replica was elected while the entry that makes it a learner was on its way,
/// and led for ever, since a leader is not removed.
#[test]
fn a_leader_that_becomes_a_learner_hands_over() {
    let mut cluster = Cluster::led();
    // The others hear their leader and refuse to elect another: it hands over.
    cluster.admin(1, AdminCommand::TransferLeader { to: voter(2) });
    cluster.tick(&[2], 1);
    assert!(cluster.node(2).leads());
    cluster.loses = Box::new(|p| p.to == voter(2));
    cluster.change(2, vec![PeerChange::AddLearner(learner(1))]);
    cluster.isolate(2);
    cluster.tick(&[3], 12);
    cluster.elect(1);
    assert_eq!(cluster.node(1).region.peers, [learner(1), voter(2), voter(3)]);
    cluster.heal();
    cluster.tick(&[1, 2, 3], 4);
    assert!(!cluster.node(1).leads());
    assert!(cluster.node(2).leads() || cluster.node(3).leads());
}

/// Found by the simulator: PD took such a leader for a learner, tried to remove it at once, and its
/// Store was never drained.
#[test]
fn a_leader_that_was_made_as_a_learner_reports_itself_as_a_voter() {
    let mut cluster = Cluster::led();
    cluster.create(learner(4));
    cluster.change(1, vec![PeerChange::AddLearner(learner(4))]);
    cluster.tick(&[1], 6);
    cluster.change(1, vec![PeerChange::AddVoter(voter(4))]);
    cluster.tick(&[1], 2);
    cluster.admin(1, AdminCommand::TransferLeader { to: voter(4) });
    cluster.tick(&[4], 2);
    assert!(cluster.node(4).leads());
    assert_eq!(cluster.node(4).reports.last().map(|report| report.leader), Some(voter(4)));
}

/// Found by the simulator: a voter was demoted and removed while its node was cut off. As a learner it
/// stood for no election, kept its last leader, and so was never named to PD as an orphan.
#[test]
fn a_learner_that_hears_nothing_misses_its_leader() {
    let mut cluster = Cluster::led();
    cluster.create(learner(4));
    cluster.change(1, vec![PeerChange::AddLearner(learner(4))]);
    cluster.tick(&[1], 6);
    assert_eq!(cluster.status(4).leader, Some(voter(1)));
    cluster.isolate(4);
    cluster.change(1, vec![PeerChange::Remove(learner(4))]);
    cluster.tick(&[1, 2, 3, 4], 10);
    assert_eq!(cluster.status(4).leader, Some(voter(1)), "not at once");
    cluster.tick(&[1, 2, 3, 4], 20);
    assert_eq!(cluster.status(4).leader, None);
}

#[test]
fn a_swap_answers_once_it_is_no_longer_joint() {
    let mut cluster = Cluster::led();
    cluster.create(learner(4));
    cluster.change(1, vec![PeerChange::AddLearner(learner(4))]);
    cluster.tick(&[1], 6);
    let changes = vec![PeerChange::AddLearner(learner(3)), PeerChange::AddVoter(voter(4))];
    let swapped = cluster.change(1, changes);
    cluster.tick(&[1], 4);
    let Some(Ok(RegionReply::Admin(region))) = cluster.reply(1, swapped) else { panic!("none") };
    assert_eq!(region.peers, [voter(1), voter(2), learner(3), voter(4)]);
    let removed = cluster.change(1, vec![PeerChange::Remove(learner(3))]);
    cluster.tick(&[1], 2);
    assert!(cluster.reply(1, removed).unwrap().is_ok());
    let left = vec![voter(1), voter(2), voter(4)];
    for store in [1, 2, 4] {
        assert_eq!(cluster.node(store).region.peers, left, "store {store}");
    }
}

#[test]
fn changes_that_the_leader_cannot_take() {
    let mut cluster = Cluster::led();
    let refused = |why: &str| Some(Err(RegionError::ChangeRefused { why: why.to_owned() }));
    let me = cluster.change(1, vec![PeerChange::AddLearner(learner(1))]);
    let expected = refused("the leader hands leadership over before it leaves");
    assert_eq!(cluster.reply(1, me), expected);
    cluster.isolate(1);
    cluster.change(1, vec![PeerChange::AddLearner(learner(4))]);
    let second = cluster.change(1, vec![PeerChange::AddLearner(learner(5))]);
    assert_eq!(cluster.reply(1, second), refused("another change is under way"));
    let follower = cluster.change(2, vec![PeerChange::AddLearner(learner(4))]);
    assert!(matches!(cluster.reply(2, follower), Some(Err(RegionError::NotLeader { .. }))));
}

/// Led by 1, with 4 as a learner that was then removed while it could not be reached.
fn removed_behind_its_back() -> Cluster {
    let mut cluster = Cluster::led();
    cluster.create(learner(4));
    cluster.change(1, vec![PeerChange::AddLearner(learner(4))]);
    cluster.tick(&[1], 6);
    cluster.isolate(4);
    cluster.change(1, vec![PeerChange::Remove(learner(4))]);
    cluster.tick(&[1], 2);
    cluster.heal();
    assert!(!cluster.node(4).is_destroyed);
    cluster
}

#[test]
fn a_removed_replica_ends_when_a_member_with_a_newer_shape_says_so() {
    let mut cluster = removed_behind_its_back();
    let own = cluster.node(4).region.epoch;
    cluster.give(4, Input::Expelled { epoch: own });
    assert!(!cluster.node(4).is_destroyed, "no news");
    let newer = cluster.node(1).region.epoch;
    assert!(newer.conf_ver > own.conf_ver);
    cluster.node(4).kinds.clear();
    cluster.give(4, Input::Expelled { epoch: newer });
    assert_eq!(cluster.node(4).kinds, ["lease", "destroy"]);
    cluster.node(4).kinds.clear();
    cluster.give(4, Input::Tick);
    assert!(cluster.node(4).kinds.is_empty(), "it does nothing any more");
}

/// A client of a replica that was being taken away heard that the outcome of its write was unknown.
#[test]
fn what_comes_to_a_removed_replica_is_refused_and_had_no_effect() {
    let mut cluster = removed_behind_its_back();
    let newer = cluster.node(1).region.epoch;
    cluster.give(4, Input::Expelled { epoch: newer });
    let region = cluster.node(4).region.id;
    let refused = RegionError::RegionNotFound { region, store: StoreId(4) };
    let waiter = cluster.propose(4, put("a", "late"));
    assert_eq!(cluster.reply(4, waiter), Some(Err(refused)));
}

/// PD may know of a Region only what was so before the replica was added: its data would be lost.
#[test]
fn a_replica_stays_when_it_is_missing_in_a_shape_from_before_it_was_added() {
    let mut cluster = Cluster::led();
    let before = cluster.node(1).region.epoch;
    cluster.create(learner(4));
    cluster.change(1, vec![PeerChange::AddLearner(learner(4))]);
    cluster.tick(&[1], 6);
    cluster.give(4, Input::Expelled { epoch: before });
    assert!(!cluster.node(4).is_destroyed);
}

#[test]
fn a_replica_that_applies_its_own_removal_ends() {
    let mut cluster = Cluster::led();
    cluster.create(learner(4));
    cluster.change(1, vec![PeerChange::AddLearner(learner(4))]);
    cluster.tick(&[1], 6);
    // It learns of the commit while it is still a member: the leader's apply lags behind.
    cluster.node(1).hold_apply = true;
    cluster.change(1, vec![PeerChange::Remove(learner(4))]);
    cluster.tick(&[1], 2);
    assert!(cluster.node(4).is_destroyed);
}

#[test]
fn a_stranger_that_campaigns_with_an_older_shape_is_told_that_it_is_out() {
    let mut cluster = removed_behind_its_back();
    let mut message = Message::default();
    message.set_msg_type(MessageType::MsgRequestPreVote);
    message.from = learner(4).id.get();
    message.term = 50;
    let epoch = cluster.node(4).region.epoch;
    let term = cluster.status(1).term;
    cluster.give(1, Input::Raft { from: learner(4), epoch, message: message.clone() });
    assert_eq!(cluster.node(1).tombstones, [learner(4)]);
    assert_eq!(cluster.status(1).term, term, "its campaign disturbs nobody");
    // One that this replica does not know yet has a newer shape.
    let epoch = RegionEpoch { conf_ver: 99, ..epoch };
    cluster.give(1, Input::Raft { from: learner(5), epoch, message });
    assert_eq!(cluster.node(1).tombstones, [learner(4)]);
}

#[test]
fn leadership_is_handed_to_a_voter_only() {
    use troupe_types::request::AdminCommand::TransferLeader;
    let mut cluster = Cluster::led();
    let refused = cluster.admin(1, TransferLeader { to: learner(9) });
    let why = "the target is not a voter".to_owned();
    assert_eq!(cluster.reply(1, refused), Some(Err(RegionError::ChangeRefused { why })));
    let to_itself = cluster.admin(1, TransferLeader { to: voter(1) });
    assert!(cluster.reply(1, to_itself).unwrap().is_ok());
    assert!(cluster.node(1).leads());
    cluster.admin(1, TransferLeader { to: voter(2) });
    cluster.tick(&[2], 1);
    assert!(cluster.node(2).leads() && !cluster.node(1).leads());
}

#[test]
fn a_leader_tells_pd_of_its_election_of_changes_and_of_silence() {
    let mut cluster = Cluster::led();
    let first = cluster.node(1).reports.clone();
    assert_eq!((first[0].leader, first[0].term.get()), (voter(1), 6));
    assert_eq!(first[0].region.peers, [voter(1), voter(2), voter(3)]);
    assert!(first[0].down.is_empty());
    cluster.node(1).reports.clear();
    cluster.isolate(3);
    let ticks = u32::try_from(options().down_after.as_millis() / 100).unwrap();
    cluster.tick(&[1], ticks - 2);
    assert!(cluster.node(1).reports.iter().all(|report| report.down.is_empty()));
    cluster.tick(&[1], 4);
    let report = cluster.node(1).reports.last().cloned().unwrap();
    assert_eq!(report.down, [voter(3).id]);
    assert_eq!(report.pending, [], "it lacks nothing: nothing was written");
    cluster.node(1).reports.clear();
    cluster.heal();
    cluster.tick(&[1], 3);
    assert!(cluster.node(1).reports.last().unwrap().down.is_empty());
    cluster.node(1).reports.clear();
    cluster.change(1, vec![PeerChange::AddLearner(learner(4))]);
    let report = cluster.node(1).reports.last().cloned().unwrap();
    assert_eq!(report.region.epoch.conf_ver, 2);
    assert_eq!(report.pending, [learner(4).id]);
    assert!(cluster.node(2).reports.is_empty(), "followers are silent");
}

#[test]
fn reports_without_news_come_now_and_then() {
    let mut cluster = Cluster::led();
    cluster.tick(&[1], 5);
    cluster.node(1).reports.clear();
    let every = u32::try_from(options().report_every.as_millis() / 100).unwrap();
    cluster.tick(&[1], 2 * every);
    assert_eq!(cluster.node(1).reports.len(), 2);
    assert!(cluster.now > Moment(0));
}

/// Found by the simulator: a report that met a full mailbox was not told again before its next turn,
/// and met the same full mailbox each time; so PD did not know the Region.
#[test]
fn a_report_that_was_not_taken_comes_again_at_once() {
    let mut cluster = Cluster::led();
    cluster.tick(&[1], 5);
    cluster.node(1).reports.clear();
    cluster.tick(&[1], 1);
    assert!(cluster.node(1).reports.is_empty());
    cluster.node(1).core.report_again();
    cluster.tick(&[1], 1);
    assert_eq!(cluster.node(1).reports.len(), 1);
}
