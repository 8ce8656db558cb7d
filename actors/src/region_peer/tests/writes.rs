//! Writes from the proposal to their fate, and the order of what is persisted, sent and applied.
use super::cluster::{Cluster, put, voter};
use crate::region_peer::core::Input;
use raft::eraftpb::MessageType;
use troupe_types::command::EntryPayload;
use troupe_types::error::{BusyReason, NotReadyReason, UnknownReason};
use troupe_types::request::{AdminCommand, RegionReply};
use troupe_types::{RegionEpoch, RegionError, WriteReply, codec};

#[test]
fn a_write_is_answered_and_reaches_all() {
    let mut cluster = Cluster::led();
    let waiter = cluster.write(1, put("b", "1"));
    assert_eq!(cluster.reply(1, waiter), Some(Ok(RegionReply::Write(WriteReply::Done))));
    cluster.tick(&[1], 2);
    for store in 1..=3 {
        assert_eq!(cluster.node(store).commands, [put("b", "1")], "store {store}");
    }
}

#[test]
fn commands_of_a_batch_share_entries() {
    let mut cluster = Cluster::led();
    let before = cluster.status(1).last_index.get();
    let keys = ["a1", "a2", "a3", "a4", "b1", "b2", "b3", "b4", "c1", "c2"];
    let waiters: Vec<u64> = keys.iter().map(|key| cluster.propose(1, put(key, "v"))).collect();
    cluster.step(1, Input::Flush);
    cluster.settle();
    // Four commands an entry: 4, 4 and 2.
    assert_eq!(cluster.status(1).last_index.get(), before + 3);
    assert!(waiters.iter().all(|w| cluster.node(1).replies.get(w).is_some_and(Result::is_ok)));
    let all: Vec<_> = keys.iter().map(|key| put(key, "v")).collect();
    assert_eq!(cluster.node(1).commands, all);
}

#[test]
fn an_entry_is_full_by_bytes_too() {
    let mut cluster = Cluster::led();
    let before = cluster.status(1).last_index.get();
    for key in ["a", "b", "c"] {
        cluster.propose(1, put(key, &"x".repeat(900)));
    }
    cluster.step(1, Input::Flush);
    cluster.settle();
    assert_eq!(cluster.status(1).last_index.get(), before + 2);
}

/// Raft thesis 10.2.1: followers may write while the leader does; nobody answers before its own
/// disk has.
#[test]
fn a_leader_sends_before_its_sync_and_a_follower_answers_after_its_own() {
    let mut cluster = Cluster::led();
    cluster.tick(&[1], 2);
    for store in 1..=3 {
        cluster.node(store).hold_disk = true;
        cluster.node(store).kinds.clear();
    }
    cluster.propose(1, put("b", "1"));
    cluster.step(1, Input::Flush);
    assert_eq!(cluster.node(1).kinds, ["send", "persist"]);
    cluster.settle();
    assert_eq!(cluster.node(2).kinds, ["persist"], "the answer waits for the disk");
    cluster.node(2).hold_disk = false;
    cluster.settle();
    assert_eq!(cluster.node(2).kinds, ["persist", "send"]);
    // A majority without the leader's own disk is not enough: one of two disks.
    assert!(cluster.node(1).commands.is_empty());
    cluster.node(3).hold_disk = false;
    cluster.settle();
    assert!(cluster.node(1).commands.is_empty(), "the leader applies what it has itself");
    cluster.node(1).hold_disk = false;
    cluster.settle();
    assert_eq!(cluster.node(1).commands, [put("b", "1")]);
}

/// A commit index alone needs no sync, but what stands behind unwritten entries waits for them.
#[test]
fn answers_behind_an_unwritten_entry_keep_their_order() {
    let mut cluster = Cluster::led();
    cluster.node(2).hold_disk = true;
    cluster.write(1, put("b", "1"));
    cluster.node(2).kinds.clear();
    cluster.arrived.clear();
    cluster.tick(&[1], 2);
    assert_eq!(cluster.node(2).persists.len(), 1, "the commit alone is not written");
    assert!(!cluster.node(2).kinds.contains(&"send"));
    cluster.node(2).hold_disk = false;
    cluster.settle();
    let answers: Vec<_> = cluster.arrived.iter().filter(|p| p.from == voter(2)).collect();
    assert!(answers[0].is(MessageType::MsgAppendResponse), "{answers:?}");
    assert!(answers[1].is(MessageType::MsgHeartbeatResponse), "{answers:?}");
    cluster.tick(&[1], 2);
    assert_eq!(cluster.node(2).commands, [put("b", "1")]);
}

/// Losing leadership decides nothing; an entry of another term at the same index does.
#[test]
fn an_overtaken_proposal_is_known_to_have_failed() {
    let mut cluster = Cluster::led();
    cluster.isolate(1);
    let lost = cluster.write(1, put("b", "lost"));
    assert_eq!(cluster.reply(1, lost), None);
    cluster.tick(&[2, 3], 30);
    let new = if cluster.node(2).leads() { 2 } else { 3 };
    cluster.write(new, put("b", "kept"));
    cluster.heal();
    cluster.tick(&[1, 2, 3], 4);
    assert_eq!(cluster.reply(1, lost), Some(Err(RegionError::StaleCommand)));
    assert_eq!(cluster.node(1).commands, [put("b", "kept")]);
}

/// A leader that comes back into its own log: the entry that it lost sight of was committed.
#[test]
fn a_proposal_that_another_leader_commits_has_succeeded() {
    let mut cluster = Cluster::led();
    cluster.loses = Box::new(|p| p.to.store.get() == 1);
    let waiter = cluster.write(1, put("b", "1"));
    cluster.tick(&[2, 3], 30);
    assert!(cluster.node(2).leads() || cluster.node(3).leads());
    assert_eq!(cluster.reply(1, waiter), None);
    cluster.heal();
    cluster.tick(&[1, 2, 3], 4);
    assert_eq!(cluster.reply(1, waiter), Some(Ok(RegionReply::Write(WriteReply::Done))));
}

#[test]
fn a_write_that_cannot_be_taken_is_refused_at_once() {
    let mut cluster = Cluster::led();
    cluster.tick(&[1], 2);
    let region = cluster.node(1).region.clone();
    let not_leader = RegionError::NotLeader { region: region.id, leader: Some(voter(1)) };
    let outside = RegionError::KeyNotInRegion { region: region.id };
    let large = put("b", &"x".repeat(1001));
    let size = large.approximate_bytes() as u64;
    let too_large = RegionError::EntryTooLarge { actual: size, limit: 1000 };
    let table = [
        (2, put("b", "1"), not_leader),
        (1, put("n", "the end is outside"), outside.clone()),
        (1, put("Z", "in front of the start"), outside),
        (1, large, too_large),
    ];
    for (store, command, error) in table {
        let waiter = cluster.propose(store, command);
        assert_eq!(cluster.reply(store, waiter), Some(Err(error)));
    }
    let epoch = RegionEpoch { version: 2, ..region.epoch };
    cluster.step(1, Input::Propose { epoch, term: None, command: put("b", "1"), waiter: 900 });
    let current = Box::new(region);
    assert_eq!(cluster.reply(1, 900), Some(Err(RegionError::EpochNotMatch { current })));
}

#[test]
fn too_many_writes_in_flight_are_refused_until_some_are_done() {
    let mut cluster = Cluster::led();
    cluster.isolate(1);
    let taken: Vec<u64> = (0..12).map(|_| cluster.propose(1, put("b", "1"))).collect();
    let refused = cluster.propose(1, put("b", "1"));
    let busy = RegionError::ServerIsBusy { what: BusyReason::Proposals, backoff_ms: 5 };
    assert_eq!(cluster.reply(1, refused), Some(Err(busy)));
    cluster.step(1, Input::Flush);
    cluster.settle();
    cluster.heal();
    cluster.tick(&[1], 4);
    assert!(taken.iter().all(|w| cluster.node(1).replies.get(w).is_some_and(Result::is_ok)));
    let after = cluster.write(1, put("b", "2"));
    assert!(cluster.reply(1, after).unwrap().is_ok());
}

#[test]
fn no_write_is_taken_while_leadership_is_handed_over() {
    let mut cluster = Cluster::led();
    cluster.isolate(1);
    cluster.admin(1, AdminCommand::TransferLeader { to: voter(2) });
    let waiter = cluster.propose(1, put("b", "1"));
    let region = cluster.node(1).region.id;
    let why = NotReadyReason::TransferringLeader;
    assert_eq!(cluster.reply(1, waiter), Some(Err(RegionError::NotReady { region, why })));
}

/// What the executor says when an entry panics: the waiters behind it learn that nothing is known.
#[test]
fn a_halted_replica_serves_nothing_and_answers_everyone() {
    let mut cluster = Cluster::led();
    cluster.isolate(1);
    let written = cluster.write(1, put("b", "1"));
    let read = cluster.read(1);
    cluster.step(1, Input::Flush);
    let (applied, applied_term) = cluster.node(1).applied;
    let outcome = crate::region_peer::core::ApplyOutcome {
        applied,
        applied_term,
        conf_changes: Vec::new(),
        halted: true,
    };
    cluster.give(1, Input::Applied(outcome));
    let (region, store) = (cluster.node(1).region.id, voter(1).store);
    let halted = RegionError::RegionHalted { region, store };
    let unknown = RegionError::OutcomeUnknown { why: UnknownReason::ActorCrashed };
    assert_eq!(cluster.reply(1, written), Some(Err(unknown)));
    assert_eq!(cluster.reply(1, read), Some(Err(halted.clone())));
    let delegate = cluster.node(1).delegate.clone().unwrap();
    assert!(delegate.halted && !delegate.may_serve);
    assert_eq!(cluster.node(1).lease.0, 0);
    let later = cluster.propose(1, put("b", "2"));
    assert_eq!(cluster.reply(1, later), Some(Err(halted)));
}

#[test]
fn a_restarted_replica_goes_on_from_its_disks() {
    let mut cluster = Cluster::led();
    cluster.write(1, put("b", "1"));
    cluster.tick(&[1], 2);
    cluster.restart(2);
    cluster.write(1, put("b", "2"));
    cluster.tick(&[1], 4);
    assert_eq!(cluster.node(2).commands, [put("b", "1"), put("b", "2")]);
}

/// Entries carry the epoch of the proposer, by which Apply refuses them after a split.
#[test]
fn an_entry_carries_the_epoch_it_was_proposed_in() {
    let mut cluster = Cluster::led();
    cluster.propose(1, put("b", "1"));
    cluster.step(1, Input::Flush);
    let append = cluster.wire.iter().find(|p| p.is(MessageType::MsgAppend)).unwrap();
    let payload: EntryPayload = codec::decode(&append.message.entries[0].data).unwrap();
    let commands = vec![put("b", "1")];
    assert_eq!(payload, EntryPayload::Writes { epoch: RegionEpoch::INITIAL, commands });
}
