//! B11: entries applied while a snapshot is being applied (tikv PR#1287).
//!
//! A replica that is far behind gets a snapshot and, at once, entries behind it. While the snapshot's files
//! are put into the engine the data is half old and half new: an entry that is applied then is overwritten
//! by the snapshot, or lies behind a gap; one that is persisted then lets the log begin behind the data.
//!
//! The first tests hand a replica's core entries and a snapshot in one batch, in both orders. The last one
//! holds a whole node's apply thread just then, lets the leader go on, and crashes the node in half of the
//! runs.
use super::cluster::{KEY, SECOND, in_cluster, millis, plan, sleep};
use super::one_replica::{One, applies, entry, message, persists, region, sends, voter};
use raft::eraftpb::{Entry, Message, MessageType};
use std::path::PathBuf;
use troupe_actors::region_peer::core::members::conf_state;
use troupe_actors::region_peer::core::{ApplyOutcome, Input, Output};
use troupe_storage::region_state::{ReplicaState, read_apply_state, read_replica_state};
use troupe_types::key::raw_key;
use troupe_types::raft_message::SnapshotManifest;
use troupe_types::{LogIndex, RegionEpoch, Term, WriteCommand};

/// Index and term of the snapshot.
const SNAPSHOT: (u64, u64) = (50, 6);

fn write(index: u64) -> Entry {
    let key = raw_key(0, format!("key-{index}").as_bytes());
    entry(index, 6, WriteCommand::RawWrite { changes: vec![(key, super::cluster::change(index))] })
}

/// The leader appends `indexes` and says how far is committed.
fn append(indexes: std::ops::RangeInclusive<u64>, commit: u64) -> Message {
    let mut append = message(MessageType::MsgAppend, 2, 6);
    append.index = indexes.start() - 1;
    append.log_term = if append.index == 5 { 5 } else { 6 };
    append.commit = commit;
    append.entries = indexes.map(write).collect::<Vec<_>>().into();
    append
}

fn raft(message: Message) -> Input<u64> {
    Input::Raft { from: voter(2), epoch: RegionEpoch::INITIAL, message }
}

fn snapshot() -> Input<u64> {
    let (index, term) = (LogIndex(SNAPSHOT.0), Term(SNAPSHOT.1));
    let manifest = SnapshotManifest { region: region(3), index, term, files: Vec::new() };
    let mut snapshot = message(MessageType::MsgSnapshot, 2, 6);
    let metadata = snapshot.mut_snapshot().mut_metadata();
    (metadata.index, metadata.term) = SNAPSHOT;
    *metadata.mut_conf_state() = conf_state(&manifest.region);
    let folder = PathBuf::from("received");
    Input::SnapshotReceived { from: voter(2), message: snapshot, manifest, folder }
}

fn installs_at(out: &[Output<u64>]) -> Option<usize> {
    out.iter().position(|output| matches!(output, Output::InstallSnapshot { .. }))
}

fn installed() -> Input<u64> {
    Input::SnapshotInstalled { index: LogIndex(SNAPSHOT.0), term: Term(SNAPSHOT.1) }
}

/// Nothing but the installation itself may be under way; the rest comes when that is done, in order.
fn check_held_back(mut one: One, out: &[Output<u64>]) {
    let at = installs_at(out).expect("the snapshot is taken");
    assert!(applies(&out[at..]).is_empty(), "applied while the snapshot is");
    assert!(persists(&out[at..]).is_empty(), "persisted before the snapshot is there");
    let more = one.batch(vec![raft(append(53..=60, 58))]);
    let later = one.ticks(3);
    for out in [&more, &later] {
        assert_eq!((applies(out), persists(out)), (vec![], vec![]));
        let answers = sends(out, MessageType::MsgAppendResponse);
        assert!(answers.is_empty(), "answered before it is durable");
    }
    let out = one.batch(vec![installed()]);
    let written = persists(&out);
    assert!(written[0].0, "the log begins anew: {written:?}");
    let indexes: Vec<u64> = written.into_iter().flat_map(|(_, indexes)| indexes).collect();
    assert_eq!(indexes, (51..=60).collect::<Vec<_>>());
    assert!(applies(&out).is_empty(), "not durable yet");
    let then = one.persist(out);
    assert_eq!(applies(&then), (51..=58).collect::<Vec<_>>());
    let answers = sends(&then, MessageType::MsgAppendResponse);
    assert_eq!(answers.last().map(|answer| answer.index), Some(60));
}

#[test]
fn entries_behind_a_snapshot_in_the_same_batch_wait_for_it() {
    let mut one = One::of(3);
    let out = one.batch(vec![snapshot(), raft(append(51..=52, 52))]);
    check_held_back(one, &out);
}

#[test]
fn entries_committed_in_the_batch_of_the_snapshot_are_not_applied_behind_it() {
    let mut one = One::of(3);
    let out = one.batch(vec![raft(append(6..=9, 5))]);
    assert!(applies(&one.persist(out)).is_empty());
    let mut beat = message(MessageType::MsgHeartbeat, 2, 6);
    beat.commit = 8;
    let out = one.batch(vec![raft(beat), snapshot(), raft(append(51..=52, 52))]);
    check_held_back(one, &out);
}

/// What was handed to Apply before the snapshot came is done before it, and says so while it is installed.
#[test]
fn news_of_entries_in_front_of_the_snapshot_changes_nothing() {
    let mut one = One::of(3);
    let out = one.batch(vec![raft(append(6..=9, 9))]);
    assert_eq!(applies(&one.persist(out)), [6, 7, 8, 9]);
    let mut out = one.batch(vec![snapshot(), raft(append(51..=52, 52))]);
    out.extend(one.batch(vec![Input::Applied(ApplyOutcome {
        applied: LogIndex(9),
        applied_term: Term(6),
        conf_changes: Vec::new(),
        halted: false,
    })]));
    check_held_back(one, &out);
}

fn catch_up(seed: u64, crashes: bool) {
    in_cluster(plan(seed), |cluster| async move {
        let region = cluster.region_of(KEY).await;
        let leader = cluster.wait_for_leader(region).await;
        let slow = cluster.others(leader)[0];
        cluster.put(leader, KEY, 1).await;
        cluster.cut_off(slow);
        let mut value = 1;
        let mut write = async |count: u64| {
            for _ in 0..count {
                value += 1;
                let written = cluster.write_at(leader, region, (KEY, value)).await;
                assert!(written.is_ok(), "{written:?}");
            }
            value
        };
        write(60).await;
        // Logs are cut every two seconds.
        sleep(3 * SECOND).await;
        let (engine, log) = cluster
            .world
            .with_life(slow, |life| (life.store.engine.clone(), life.store.log.clone()))
            .unwrap();
        let applied = || read_apply_state(&*engine, region).unwrap().unwrap().applied;
        let (before, logged) = (applied(), log.state(region).unwrap().unwrap());
        let first = cluster.status(leader, region).await.first_index;
        assert!(first > logged.last_index.next(), "entries will not do: {first}");

        let holds = cluster.world.with_node(slow, |node| node.holds.clone());
        holds.hold("apply");
        cluster.world.net.heal();
        let accepted = || cluster.eye(slow, region).view.delegate().is_some();
        cluster.until("the replica to be there", SECOND, accepted).await;
        for _ in 0..20 {
            write(5).await;
            sleep(millis(100)).await;
            assert_eq!(applied(), before);
            let state = read_replica_state(&*engine, region).unwrap();
            assert!(matches!(state, Some(ReplicaState::Normal { .. })), "{state:?}");
            let now = log.state(region).unwrap().unwrap();
            assert!(now.last_index <= logged.last_index, "persisted too early: {now:?}");
        }
        let status = cluster.status(slow, region).await;
        assert!(status.last_index >= first, "the snapshot was accepted: {status:?}");
        if crashes {
            cluster.world.crash(slow, 0);
        }
        holds.release("apply");
        if crashes {
            cluster.world.start(slow);
        }
        let last = write(1).await;
        let is_level = || {
            let replicas = &cluster.world.replicas()[&region];
            replicas.len() == 3 && replicas.iter().all(|one| one.data == replicas[0].data)
        };
        cluster.until("the replica to catch up", 10 * SECOND, is_level).await;
        assert_eq!(cluster.eye(leader, region).lease_read(KEY), Some(last));
    });
}

#[test]
fn a_node_that_is_busy_with_a_snapshot_takes_no_entry_behind_it() {
    for seed in 1_101..=1_103 {
        catch_up(seed, false);
        catch_up(seed, true);
    }
}
