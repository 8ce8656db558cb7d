//! B12: acknowledged before the sync (tikv#994, etcd#14370, crdb#30260).
//!
//! An entry, a vote or a term that is promised to others, or a write that is answered, before it is
//! durable: after a crash the promise is forgotten. A follower then meets a commit index behind its own log
//! (`tocommit out of range`), two leaders are elected in one term, or an acknowledged write is gone. A
//! group of one voter needs care of its own, since nobody else's answer is waited for.
//!
//! The tests look at the order of a single voter's outputs; stop the log thread of a whole node and cut
//! its power; and, while nodes crash under load, compare each promise on the network with what the log of
//! its sender holds at that moment.
use super::cluster::{KEY, SECOND, in_cluster, millis, plan, sleep};
use super::one_replica::{One, REGION, applies, persists};
use raft::eraftpb::MessageType;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use troupe_actors::env::Rngs;
use troupe_actors::region_peer::core::{Input, Output};
use troupe_storage::raft_log::{LogState, RaftLog};
use troupe_tests::sim::checkers::linear;
use troupe_tests::sim::clients::Clients;
use troupe_tests::sim::filters::{Seen, Verdict};
use troupe_tests::sim::node::Plan;
use troupe_types::key::raw_key;
use troupe_types::request::Consistency;
use troupe_types::{LogIndex, NodeId, RegionEpoch, WriteCommand};

fn propose(waiter: u64) -> Input<u64> {
    let change = super::cluster::change(waiter);
    let command = WriteCommand::RawWrite { changes: vec![(raw_key(0, b"a"), change)] };
    Input::Propose { epoch: RegionEpoch::INITIAL, term: None, command, waiter }
}

#[test]
fn a_single_voter_applies_and_answers_nothing_before_its_own_sync() {
    let mut one = One::of(1);
    one.core.campaign_if_alone();
    let out = one.flush();
    let logged: Vec<u64> = persists(&out).into_iter().flat_map(|(_, indexes)| indexes).collect();
    assert_eq!(logged, [6], "the first entry of its term");
    assert!(applies(&out).is_empty());
    let out = one.persist(out);
    assert_eq!(applies(&out), [6]);
    let mut waiting = Vec::new();
    for waiter in 1..=3 {
        waiting.extend(one.batch(vec![propose(waiter), Input::ReadIndex { waiter: 10 + waiter }]));
        waiting.extend(one.ticks(2));
    }
    let answered = |out: &[Output<u64>]| {
        out.iter().any(|o| matches!(o, Output::Reply(..) | Output::Permit(..)))
    };
    assert!(applies(&waiting).is_empty(), "applied before the sync");
    assert!(!answered(&waiting), "answered before the sync");
    assert_eq!(persists(&waiting).len(), 3);
    let then = one.persist(waiting);
    assert_eq!(applies(&then), [7, 8, 9]);
    assert_eq!(one.log.state(REGION).unwrap().unwrap().last_index, LogIndex(9));
}

#[test]
fn a_node_alone_forgets_only_what_it_never_acknowledged() {
    in_cluster(Plan { nodes: 1, replicas: 1, ..plan(1_201) }, |cluster| async move {
        let only = NodeId(1);
        for key in 0..8 {
            cluster.put(only, key, u64::from(key) + 1).await;
        }
        let holds = cluster.world.with_node(only, |node| node.holds.clone());
        holds.hold("log");
        let writes: Vec<_> = (0..8)
            .map(|key| {
                let cluster = cluster.clone();
                actix_rt::spawn(async move { cluster.try_put(only, (key, 99), 4 * SECOND).await })
            })
            .collect();
        sleep(2 * SECOND).await;
        assert!(writes.iter().all(|write| !write.is_finished()), "acknowledged before the sync");
        cluster.world.crash(only, 0);
        holds.release("log");
        sleep(millis(100)).await;
        cluster.world.start(only);
        for key in 0..8 {
            let read = cluster.get(only, key, (Consistency::Linearizable, 10 * SECOND)).await;
            assert_eq!(read, Ok(u64::from(key) + 1), "key {key}");
        }
    });
}

/// What is wrong with a promise, given what its sender's log holds.
fn broken_promise(seen: &Seen<'_>, log: &LogState) -> Option<String> {
    let (message, state) = (seen.message, &log.hard_state);
    let is_kept = match message.get_msg_type() {
        MessageType::MsgAppendResponse => message.reject || message.index <= log.last_index.get(),
        MessageType::MsgRequestVoteResponse => {
            let is_voted = state.term > message.term
                || (state.term == message.term && state.vote == message.to);
            message.reject || is_voted
        }
        MessageType::MsgRequestVote => {
            state.term > message.term || (state.term == message.term && state.vote == message.from)
        }
        _ => true,
    };
    (!is_kept).then(|| format!("{seen:?} while its log says {log:?}"))
}

#[test]
fn no_message_promises_what_its_sender_could_still_lose() {
    for seed in 1_211..=1_214 {
        in_cluster(Plan { slow_job: 20, ..plan(seed) }, |cluster| async move {
            let world = &cluster.world;
            let logs: BTreeMap<NodeId, Arc<dyn RaftLog>> = world
                .ids()
                .into_iter()
                .map(|id| (id, world.with_life(id, |life| life.store.log.clone()).unwrap()))
                .collect();
            let wrong: Arc<Mutex<Vec<String>>> = Arc::default();
            let noted = wrong.clone();
            world.net.add_filter(move |seen| {
                let log = logs[&seen.link.0].state(seen.region).unwrap().unwrap_or_default();
                noted.lock().unwrap().extend(broken_promise(seen, &log));
                Verdict::Deliver
            });
            let clients = Clients::start(world, 5);
            let mut rng = world.rngs.rng("crashes");
            for _ in 0..12 {
                sleep(millis(rng.between(300, 2_000))).await;
                let node = NodeId(rng.between(1, 4));
                world.crash(node, 0);
                sleep(millis(rng.between(50, 1_500))).await;
                world.start(node);
            }
            clients.stop();
            sleep(5 * SECOND).await;
            assert_eq!(*wrong.lock().unwrap(), Vec::<String>::new());
            assert_eq!(linear::check(&clients.records()), None);
            assert_eq!(world.net.rivals(), Vec::<String>::new());
            assert_eq!(world.net.double_votes(), Vec::<String>::new());
            for key in 0..4 {
                let asked = (Consistency::Linearizable, 10 * SECOND);
                assert!(cluster.get(NodeId(1), key, asked).await.is_ok(), "key {key} is served");
            }
        });
    }
}

/// Followers that have not synced do not count, whatever the leader has.
#[test]
fn a_write_waits_for_the_sync_of_a_majority() {
    in_cluster(plan(1_221), |cluster| async move {
        let region = cluster.region_of(KEY).await;
        let leader = cluster.wait_for_leader(region).await;
        cluster.put(leader, KEY, 1).await;
        let followers = cluster.others(leader);
        let holds: Vec<_> = followers
            .iter()
            .map(|node| cluster.world.with_node(*node, |node| node.holds.clone()))
            .collect();
        holds.iter().for_each(|holds| holds.hold("log"));
        let writing = {
            let cluster = cluster.clone();
            actix_rt::spawn(async move { cluster.write_at(leader, region, (KEY, 2)).await })
        };
        sleep(millis(500)).await;
        assert!(!writing.is_finished(), "acknowledged by the leader's sync alone");
        assert_eq!(cluster.eye(leader, region).applied(KEY), 1);
        holds[0].release("log");
        assert!(writing.await.unwrap().is_ok());
        holds[1].release("log");
    });
}
