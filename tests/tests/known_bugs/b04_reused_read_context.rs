//! B4: a read context that is used again (etcd#20418; the crate raft 0.7 has the same shape).
//!
//! A leader confirms a read by a round of heartbeats that carries the read's context, and counts an
//! answer by its context alone. If a context comes a second time (a request for it was doubled or tried
//! again) an answer to the *first* round, late on its way, counts for the *second* read: a leader that was
//! deposed in between, and does not know it, serves an old state as a linearizable one.
//!
//! The first two tests show that the crate does so, and that a fresh context alone is what helps. The
//! third plays the same to a whole cluster: contexts here are (term, number), made by the leader, and
//! never sent by followers at all.
use super::cluster::{KEY, SECOND, in_cluster, millis, plan, sleep};
use protobuf::Message as _;
use raft::eraftpb::{Entry, Message, MessageType};
use raft::storage::MemStorage;
use raft::{Config, RawNode, ReadState};
use troupe_tests::sim::filters::{Held, Verdict, isolates};
use troupe_types::NodeId;
use troupe_types::command::ReadCommand;
use troupe_types::request::{Consistency, RegionBody};

/// Three replicas of the bare crate; what they send waits until the test hands it over.
struct Crate {
    nodes: Vec<RawNode<MemStorage>>,
    wire: Vec<Message>,
    reads: Vec<ReadState>,
}

impl Crate {
    /// Replica 1 leads.
    fn led() -> Self {
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = |id| {
            let config = Config { id, check_quorum: true, pre_vote: true, ..Config::default() };
            let storage = MemStorage::new_with_conf_state((vec![1, 2, 3], vec![]));
            RawNode::new(&config, storage, &logger).unwrap()
        };
        let nodes = (1..=3).map(node).collect();
        let mut all = Self { nodes, wire: Vec::new(), reads: Vec::new() };
        all.nodes[0].campaign().unwrap();
        all.settle(|_| true);
        assert_eq!(all.nodes[0].raft.state, raft::StateRole::Leader);
        all
    }

    fn work(&mut self) {
        for node in &mut self.nodes {
            while node.has_ready() {
                let mut ready = node.ready();
                self.wire.extend(ready.take_messages());
                let store = node.raft.raft_log.store.clone();
                store.wl().append(ready.entries()).unwrap();
                if let Some(state) = ready.hs() {
                    store.wl().set_hardstate(state.clone());
                }
                self.wire.extend(ready.take_persisted_messages());
                self.reads.extend(ready.take_read_states());
                let mut light = node.advance(ready);
                self.wire.extend(light.take_messages());
                node.advance_apply();
            }
        }
    }

    /// Hands over all messages that `passes` lets through, until none is left; answers the others.
    fn settle(&mut self, passes: impl Fn(&Message) -> bool) -> Vec<Message> {
        let mut kept = Vec::new();
        loop {
            self.work();
            if self.wire.is_empty() {
                return kept;
            }
            for message in std::mem::take(&mut self.wire) {
                if passes(&message) {
                    let to = usize::try_from(message.to).unwrap() - 1;
                    let _ = self.nodes[to].step(message);
                } else {
                    kept.push(message);
                }
            }
        }
    }
}

/// A follower's request that a read with `context` be confirmed.
fn read_request(context: &[u8]) -> Message {
    let mut message = Message::default();
    message.set_msg_type(MessageType::MsgReadIndex);
    (message.from, message.to) = (3, 1);
    let entry = Entry { data: context.to_vec().into(), ..Entry::default() };
    message.entries = vec![entry].into();
    message
}

/// Reads once, deposes the leader unnoticed, and reads a second time under `again`. Answers the indexes
/// that were confirmed for the second read, and what was committed by then.
fn read_twice(again: &[u8]) -> (Vec<u64>, u64) {
    let mut all = Crate::led();
    all.nodes[0].step(read_request(b"context")).unwrap();
    let is_late =
        |m: &Message| m.get_msg_type() == MessageType::MsgHeartbeatResponse && m.from == 3;
    let late = all.settle(|message| !is_late(message));
    assert_eq!(late.len(), 1, "the third replica's answer is on its way");
    let confirmed = |all: &Crate| all.nodes[2].raft.read_states.len() + all.reads.len();
    assert!(confirmed(&all) > 0, "the first read is confirmed by the second replica");
    all.reads.clear();

    // The others elect replica 2, which commits two more entries; replica 1 hears nothing of it.
    let apart = |message: &Message| message.from != 1 && message.to != 1;
    let mut order = Message::default();
    order.set_msg_type(MessageType::MsgTimeoutNow);
    (order.from, order.to, order.term) = (1, 2, all.nodes[1].raft.term);
    all.nodes[1].step(order).unwrap();
    all.settle(apart);
    all.nodes[1].propose(vec![], b"newer".to_vec()).unwrap();
    all.settle(apart);
    let committed = all.nodes[1].raft.raft_log.committed;
    assert!(committed > all.nodes[0].raft.raft_log.committed);

    // The request comes again, and behind it the late answer to the first round.
    all.nodes[0].step(read_request(again)).unwrap();
    let mut answers = all.settle(|message| message.from != 1);
    for message in late {
        all.nodes[0].step(message).unwrap();
        answers.extend(all.settle(|message| message.from != 1));
    }
    let answers = answers.into_iter();
    let answers = answers.filter(|m| m.get_msg_type() == MessageType::MsgReadIndexResp);
    (answers.map(|message| message.index).collect(), committed)
}

#[test]
fn the_crate_confirms_a_repeated_context_by_a_late_answer() {
    let (confirmed, committed) = read_twice(b"context");
    assert_eq!(
        confirmed.len(),
        1,
        "if the crate no longer does this, say so in docs/known-bugs.md"
    );
    assert!(confirmed[0] < committed, "{} of {committed}: it is stale", confirmed[0]);
}

#[test]
fn the_crate_confirms_nothing_when_the_context_is_fresh() {
    assert_eq!(read_twice(b"another").0, Vec::<u64>::new());
}

#[test]
fn a_deposed_leader_confirms_no_later_read() {
    in_cluster(plan(1_401), |cluster| async move {
        let net = &cluster.world.net;
        let region = cluster.region_of(KEY).await;
        let old = cluster.wait_for_leader(region).await;
        cluster.put(old, KEY, 1).await;
        sleep(SECOND).await;
        let late = Held::default();
        let park = late.clone();
        let slow = cluster.others(old)[1];
        let holding = net.add_filter(move |seen| {
            let is_answer = seen.region == region
                && seen.link == (slow, old)
                && seen.is(MessageType::MsgHeartbeatResponse)
                && !seen.message.context.is_empty();
            if is_answer { Verdict::Hold(park.clone()) } else { Verdict::Deliver }
        });
        let linearizable = (Consistency::Linearizable, 2 * SECOND);
        assert_eq!(cluster.get(old, KEY, linearizable).await, Ok(1));
        cluster.until("an answer to its round", SECOND, || !late.is_empty()).await;
        net.remove_filter(holding);

        // It does not notice that it is deposed: its clock stands still, it hears nothing. The term of
        // the answer that is still on its way is its own.
        cluster.world.with_node(old, |node| node.clock.freeze(10 * SECOND));
        let alone = net.add_filter(isolates(old));
        let new = cluster.wait_for_other_leader(region, old).await;
        assert!(cluster.write_at(new, region, (KEY, 2)).await.is_ok());
        assert!(
            cluster.status(old, region).await.leader.is_some_and(|l| l.store.get() == old.get())
        );

        let keys = vec![troupe_tests::sim::world::World::key(KEY)];
        let command = ReadCommand::RawGet { keys };
        let body = RegionBody::Read { command, consistency: Consistency::Linearizable };
        let read = actix_rt::spawn(cluster.serve(old, (region, body), 3 * SECOND));
        for _ in 0..50 {
            sleep(millis(20)).await;
            net.replay(&late);
            for (link, mut envelope) in late.copies() {
                let mut message = Message::default();
                message.merge_from_bytes(&envelope.message).unwrap();
                let context = message.context.clone();
                message.set_msg_type(MessageType::MsgReadIndex);
                let entry = Entry { data: context, ..Entry::default() };
                message.entries = vec![entry].into();
                envelope.message = message.write_to_bytes().unwrap().into();
                net.inject(link, envelope);
            }
        }
        let answer = read.await.unwrap();
        assert!(answer.is_err(), "a deposed leader answers {answer:?}");

        net.remove_filter(alone);
        let nodes: [NodeId; 2] = [old, new];
        for node in nodes {
            let read = cluster.get(node, KEY, (Consistency::Linearizable, 10 * SECOND)).await;
            assert_eq!(read, Ok(2));
        }
    });
}
