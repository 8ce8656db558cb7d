//! B24: member changes (etcd#11284, etcd#10563, etcd-io/raft#372).
//!
//! A change of members that takes effect at the wrong moment, or two that overlap, gives two majorities
//! that share no replica: two leaders in one term, and two histories. Leaders that are removed while they
//! lead, and joint configurations that are left too early, are the same in other clothes.
//!
//! The tests change members at random in a cluster under load, cuts and crashes; follow one change through
//! a core, where only its application may count; take the leader's replica away; keep PD from hearing of a
//! new one; and run through all small Regions to see that no plan of PD ever steps between two sets of
//! voters without a common majority.
use super::cluster::{Cluster, KEY, SECOND, in_cluster, millis, plan, sleep};
use super::one_replica::{One, applies, message, region, voter};
use protobuf::Message as _;
use raft::eraftpb::{ConfChangeV2, EntryType, MessageType};
use std::collections::BTreeSet;
use std::rc::Rc;
use troupe_actors::env::{Rng, Rngs};
use troupe_actors::region_peer::core::members::after_entry;
use troupe_actors::region_peer::core::{AppliedConfChange, ApplyOutcome, Input, Output};
use troupe_pd_actor::core::plan::{self as planner, Step};
use troupe_tests::sim::checkers::linear;
use troupe_tests::sim::checkers::order::LeaderWatch;
use troupe_tests::sim::clients::Clients;
use troupe_tests::sim::filters::isolates;
use troupe_tests::sim::node::Plan;
use troupe_types::pd::{OperatorRequest, PdRequest, RegionReport};
use troupe_types::request::{AdminCommand, Consistency, PeerChange, RegionBody, RegionReply};
use troupe_types::{
    LogIndex, NodeId, Peer, PeerId, PeerRole, Region, RegionEpoch, RegionError, RegionId,
    SYSTEM_REGION, StoreId, Term, WriteCommand,
};

fn of_role(region: &Region, role: PeerRole) -> Vec<Peer> {
    region.peers.iter().copied().filter(|peer| peer.role == role).collect()
}

/// A change that the Region might take: demotions, promotions, removals, and swaps in one joint step.
fn draw_change(rng: &mut dyn Rng, region: &Region) -> Option<Vec<PeerChange>> {
    let voters = of_role(region, PeerRole::Voter);
    let learners = of_role(region, PeerRole::Learner);
    let mut pick = |from: &[Peer]| {
        let at = usize::try_from(rng.between(0, from.len().max(1) as u64)).unwrap();
        from.get(at).copied()
    };
    let demote = |peer: Peer| PeerChange::AddLearner(Peer::learner(peer.id, peer.store));
    let promote = |peer: Peer| PeerChange::AddVoter(Peer::voter(peer.id, peer.store));
    let (one, other, learner) = (pick(&voters), pick(&voters), pick(&learners));
    Some(match (rng.between(0, 5), voters.len()) {
        (0, 3..) => vec![demote(one?)],
        (1, _) => vec![promote(learner?)],
        (2, _) => vec![PeerChange::Remove(learner?)],
        (3, _) => vec![demote(one?), promote(learner?)],
        (4, 4..) if one != other => vec![demote(one?), demote(other?)],
        _ => return None,
    })
}

/// Asks the leader of a random Region for a random change, again and again.
async fn change_members(
    cluster: Rc<Cluster>,
    regions: Vec<RegionId>,
    done: Rc<std::cell::Cell<u32>>,
) {
    let mut rng = cluster.world.rngs.rng("changes");
    loop {
        sleep(millis(rng.between(50, 300))).await;
        let region = regions[usize::try_from(rng.between(0, regions.len() as u64)).unwrap()];
        let Some(leader) = cluster.newest_leader(region) else { continue };
        let Some(view) = cluster.world.with_life(leader, |life| life.store.router.get(region))
        else {
            continue;
        };
        let Some(delegate) = view.and_then(|handle| handle.view.delegate()) else { continue };
        let command = match draw_change(&mut *rng, &delegate.region) {
            Some(changes) => AdminCommand::ChangePeers { changes },
            None => {
                let voters = of_role(&delegate.region, PeerRole::Voter);
                let at = usize::try_from(rng.between(0, voters.len().max(1) as u64)).unwrap();
                let Some(to) = voters.get(at).copied() else { continue };
                AdminCommand::TransferLeader { to }
            }
        };
        let is_change = matches!(command, AdminCommand::ChangePeers { .. });
        let asked = cluster.serve(leader, (region, RegionBody::Admin(command)), 2 * SECOND);
        let done = done.clone();
        actix_rt::spawn(async move {
            if asked.await.is_ok() && is_change {
                done.set(done.get() + 1);
            }
        });
    }
}

async fn disturb(cluster: &Cluster) {
    let mut rng = cluster.world.rngs.rng("disturbances");
    for _ in 0..14 {
        sleep(millis(rng.between(300, 1_500))).await;
        let node = NodeId(rng.between(1, 6));
        match rng.between(0, 3) {
            0 => {
                cluster.world.crash(node, usize::try_from(rng.between(0, 3)).unwrap());
                sleep(millis(rng.between(50, 1_500))).await;
                cluster.world.start(node);
            }
            1 => cluster.cut_off(node),
            _ => cluster.world.net.heal(),
        }
    }
    cluster.world.net.heal();
}

#[test]
fn random_changes_under_cuts_and_crashes_keep_one_leader_a_term() {
    for seed in 2_401..=2_404 {
        in_cluster(
            Plan { nodes: 5, replicas: 5, regions: 2, ..plan(seed) },
            |cluster| async move {
                let world = &cluster.world;
                let watch = Rc::new(std::cell::RefCell::new(LeaderWatch::default()));
                let (seen, looking) = (watch.clone(), world.clone());
                let look = actix_rt::spawn(async move {
                    loop {
                        seen.borrow_mut().look(&looking.claims());
                        sleep(millis(5)).await;
                    }
                });
                let regions: Vec<RegionId> = world.replicas().into_keys().collect();
                let done = Rc::new(std::cell::Cell::new(0));
                let changing =
                    actix_rt::spawn(change_members(cluster.clone(), regions, done.clone()));
                let clients = Clients::start(world, 4);
                disturb(&cluster).await;
                changing.abort();
                for key in 0..4 {
                    let asked = (Consistency::Linearizable, 20 * SECOND);
                    assert!(
                        cluster.get(NodeId(1), key, asked).await.is_ok(),
                        "key {key} is served"
                    );
                }
                clients.stop();
                sleep(5 * SECOND).await;
                look.abort();
                assert!(done.get() >= 3, "seed {seed}: only {} changes came through", done.get());
                assert_eq!(world.net.rivals(), Vec::<String>::new(), "seed {seed}");
                assert_eq!(watch.borrow().wrong(), &[] as &[String], "seed {seed}");
                assert_eq!(linear::check(&clients.records()), None, "seed {seed}");
            },
        );
    }
}

#[test]
fn a_leader_whose_replica_is_taken_away_hands_over_first() {
    in_cluster(Plan { nodes: 5, replicas: 5, ..plan(2_411) }, |cluster| async move {
        let region = cluster.region_of(KEY).await;
        let leader = cluster.wait_for_leader(region).await;
        let me = cluster.peer(leader, region);
        for change in
            [PeerChange::Remove(me), PeerChange::AddLearner(Peer::learner(me.id, me.store))]
        {
            let command = AdminCommand::ChangePeers { changes: vec![change] };
            let asked = cluster.serve(leader, (region, RegionBody::Admin(command)), SECOND).await;
            assert!(matches!(asked, Err(RegionError::ChangeRefused { .. })), "{asked:?}");
        }
        let watch = cluster.watch(region, KEY);
        let service = cluster.service(NodeId(1));
        let request = OperatorRequest::RemovePeer { store: me.store };
        let deadline = service.env().now().after(5 * SECOND);
        let added = service.pd(PdRequest::AddOperator { region, request }, deadline).await;
        assert!(added.is_ok(), "{added:?}");
        let is_gone = || {
            cluster.newest_leader(region).is_some_and(|next| {
                let view = cluster.eye(next, region).view.delegate();
                view.is_some_and(|delegate| delegate.region.peer(me.id).is_none())
            })
        };
        for value in 1..10_000 {
            cluster.put(NodeId(2), KEY, value).await;
            watch.acknowledged.set(value);
            if is_gone() {
                break;
            }
            sleep(millis(5)).await;
        }
        assert!(is_gone(), "the operator does not end");
        watch.stop();
        assert_eq!(cluster.world.net.rivals(), Vec::<String>::new());
    });
}

/// Found by the simulator (seed 1244): PD knew of a Region only what was so before a replica was added. That
/// one missed its leader and asked whether it was still a member, a report of that time came late, and PD
/// had the replica destroyed: a voter, with what it had acknowledged.
#[test]
fn a_replica_that_pd_has_not_heard_of_stays() {
    in_cluster(Plan { nodes: 5, replicas: 3, ..plan(2_412) }, |cluster| async move {
        let pd = cluster.wait_for_leader(SYSTEM_REGION).await;
        let shapes = cluster.world.shapes().into_values();
        let mut elsewhere = shapes.filter(|shape| shape.peer_on(StoreId(pd.get())).is_none());
        let before = elsewhere.next().expect("a Region without a replica beside PD");
        let region = before.id;
        let leader = cluster.wait_for_leader(region).await;
        let term = cluster.status(leader, region).await.term;
        cluster.world.net.cut((leader, pd));
        let mut nodes = cluster.others(pd).into_iter();
        let new = nodes.find(|node| before.peer_on(StoreId(node.get())).is_none());
        let new = new.expect("three of five nodes have a replica");
        let (id, store) = (PeerId(9_000), StoreId(new.get()));
        for change in [
            PeerChange::AddLearner(Peer::learner(id, store)),
            PeerChange::AddVoter(Peer::voter(id, store)),
        ] {
            let command = AdminCommand::ChangePeers { changes: vec![change] };
            let asked = cluster.serve(leader, (region, RegionBody::Admin(command)), 5 * SECOND);
            asked.await.unwrap();
        }
        let seen_there = || {
            let handle = cluster.world.with_life(new, |life| life.store.router.get(region));
            handle.flatten()?.view.delegate()
        };
        let votes = || {
            let peer = seen_there().and_then(|delegate| delegate.region.peer(id));
            peer.is_some_and(|peer| peer.role == PeerRole::Voter)
        };
        cluster.until("the new voter", 10 * SECOND, votes).await;

        let alone = cluster.world.net.add_filter(isolates(new));
        let service = cluster.service(pd);
        for _ in 0..200 {
            let report = RegionReport {
                region: before.clone(),
                leader: cluster.peer(leader, region),
                term,
                down: Vec::new(),
                pending: Vec::new(),
                approximate_bytes: 0,
            };
            let request = PdRequest::RegionHeartbeat { reports: vec![report] };
            service.pd(request, service.env().now().after(SECOND)).await.unwrap();
            sleep(millis(100)).await;
            assert!(votes(), "the replica was destroyed");
        }
        assert_eq!(cluster.newest_leader(region), Some(leader), "nobody else reports");
        cluster.world.net.remove_filter(alone);
        let hears = || seen_there().is_some_and(|delegate| delegate.leader.is_some());
        cluster.until("the replica to hear its leader", 10 * SECOND, hears).await;
    });
}

fn write(waiter: u64) -> Input<u64> {
    let key = troupe_types::key::raw_key(0, b"a");
    let changes = vec![(key, super::cluster::change(waiter))];
    let command = WriteCommand::RawWrite { changes };
    Input::Propose { epoch: RegionEpoch::INITIAL, term: None, command, waiter }
}

fn add_voter(store: u64, waiter: u64) -> Input<u64> {
    let changes = vec![PeerChange::AddVoter(voter(store))];
    Input::Admin { command: AdminCommand::ChangePeers { changes }, waiter }
}

/// Says that everything in `out` that shall be applied is.
fn applied(shape: &Region, out: &[Output<u64>]) -> (Input<u64>, Region) {
    let mut shape = shape.clone();
    let (mut last, mut conf_changes) = ((LogIndex(0), Term(0)), Vec::new());
    for output in out {
        let Output::Apply(entries) = output else { continue };
        for one in entries {
            last = (LogIndex(one.entry.index), Term(one.entry.term));
            if one.entry.get_entry_type() == EntryType::EntryNormal {
                continue;
            }
            let mut change = ConfChangeV2::default();
            change.merge_from_bytes(&one.entry.data).unwrap();
            let changes: Vec<PeerChange> = troupe_types::codec::decode(&change.context).unwrap();
            shape = after_entry(&shape, &changes);
            conf_changes.push(AppliedConfChange { change, region: shape.clone() });
        }
    }
    let (applied, applied_term) = last;
    let outcome = ApplyOutcome { applied, applied_term, conf_changes, halted: false };
    (Input::Applied(outcome), shape)
}

#[test]
fn a_change_counts_from_its_application_on_and_only_one_is_under_way() {
    let mut one = One::of(1);
    one.core.campaign_if_alone();
    let out = one.flush();
    let out = one.persist(out);
    let (input, shape) = applied(&region(1), &out);
    one.batch(vec![input]);

    let out = one.batch(vec![add_voter(2, 1), write(2)]);
    let out = one.persist(out);
    assert_eq!(applies(&out), [7, 8], "committed by the one voter there is");
    let before = one.batch(vec![write(3), add_voter(3, 4)]);
    let is_refused =
        |o: &Output<u64>| matches!(o, Output::Reply(4, Err(RegionError::ChangeRefused { .. })));
    assert!(before.iter().any(is_refused), "a second change before the first is applied");
    let still = one.persist(before);
    assert_eq!(applies(&still), [9], "not applied, so not counted");

    let (input, shape) = applied(&shape, &out);
    assert_eq!(shape.peers.len(), 2);
    let mut after = one.batch(vec![input]);
    assert!(after.iter().any(|o| matches!(o, Output::Reply(1, Ok(RegionReply::Admin(_))))));
    after.extend(one.batch(vec![write(5)]));
    let after = one.persist(after);
    assert!(applies(&after).is_empty(), "from now on it takes both");
    let mut answer = message(MessageType::MsgAppendResponse, 2, 6);
    answer.index = 10;
    one.receive(answer, 2);
    assert_eq!(applies(&one.flush()), [10]);
}

/// A replica that knows of a change and has not applied it does not know whose votes count.
#[test]
fn a_replica_with_a_change_that_it_has_not_applied_does_not_stand_for_election() {
    let mut one = One::of(3);
    let mut entry = raft::eraftpb::Entry { index: 6, term: 6, ..Default::default() };
    entry.set_entry_type(EntryType::EntryConfChangeV2);
    let changes = [PeerChange::AddVoter(voter(4))];
    let change = troupe_actors::region_peer::core::members::conf_change(&changes);
    entry.data = change.write_to_bytes().unwrap().into();
    let mut append = message(MessageType::MsgAppend, 2, 6);
    (append.index, append.log_term, append.commit) = (5, 5, 6);
    append.entries = vec![entry].into();
    one.receive(append, 2);
    let out = one.flush();
    let committed = one.persist(out);
    assert_eq!(applies(&committed), [6]);
    let asks = |out: &[Output<u64>]| {
        let kind = MessageType::MsgRequestPreVote;
        super::one_replica::sends(out, kind).len()
    };
    assert_eq!(asks(&one.ticks(60)), 0, "it stood before it had applied the change");
    let (input, _) = applied(&region(3), &committed);
    one.batch(vec![input]);
    assert_eq!(asks(&one.ticks(20)) % 3, 0, "it asks all three others");
    assert!(asks(&one.ticks(60)) > 0);
}

/// The sets whose majorities decide: one, or two while the change is joint.
fn electorates(region: &Region) -> Vec<BTreeSet<PeerId>> {
    let of = |roles: [PeerRole; 2]| {
        let peers = region.peers.iter().filter(|peer| roles.contains(&peer.role));
        peers.map(|peer| peer.id).collect::<BTreeSet<_>>()
    };
    let old = of([PeerRole::Voter, PeerRole::DemotingVoter]);
    let new = of([PeerRole::Voter, PeerRole::IncomingVoter]);
    if region.is_joint() { vec![old, new] } else { vec![new] }
}

/// Is every majority of `one` in touch with every majority of `other`?
fn overlap(one: &BTreeSet<PeerId>, other: &BTreeSet<PeerId>) -> bool {
    let quorum = |set: &BTreeSet<PeerId>| set.len() / 2 + 1;
    // A majority of the one can keep away from the other by so many members that are its own.
    let common = one.intersection(other).count();
    let own = one.len() - common;
    let needed = quorum(one).saturating_sub(own);
    needed + quorum(other).saturating_sub(other.len() - common) > common
}

/// Two configurations that follow each other are safe if some electorate of the one overlaps with some
/// electorate of the other: both must agree in a joint one.
fn is_safe(before: &Region, after: &Region) -> bool {
    electorates(before).iter().any(|one| electorates(after).iter().any(|other| overlap(one, other)))
}

/// Follows a plan, a step at a time, as a leader that does what it is told.
fn follow(steps: &[Step], mut report: RegionReport) -> Vec<Region> {
    let mut shapes = vec![report.region.clone()];
    for step in steps {
        for _ in 0..4 {
            if step.is_done(&report) {
                break;
            }
            match step.command(&report, &|_| 0) {
                Some(AdminCommand::ChangePeers { changes }) => {
                    let mut shape = after_entry(&report.region, &changes);
                    shapes.push(shape.clone());
                    if shape.is_joint() {
                        shape = after_entry(&shape, &[]);
                        shapes.push(shape.clone());
                    }
                    report.region = shape;
                }
                Some(AdminCommand::TransferLeader { to }) => report.leader = to,
                None => break,
            }
        }
    }
    shapes
}

/// All Regions of up to five voters and two learners with any of them down, and all requests.
fn all_reports() -> Vec<RegionReport> {
    let mut reports = Vec::new();
    for (voters, learners) in (1..=5).flat_map(|v| (0..=2).map(move |l| (v, l))) {
        let mut shape = region(voters);
        let learner = |n| Peer::learner(PeerId(100 + n), StoreId(n));
        shape.peers.extend((voters + 1..=voters + learners).map(learner));
        for down in 0_u64..1 << (voters + learners) {
            let is_down = |peer: &&Peer| down >> (peer.store.get() - 1) & 1 == 1;
            let down = shape.peers.iter().filter(is_down).map(|peer| peer.id).collect();
            reports.push(RegionReport {
                region: shape.clone(),
                leader: voter(1),
                term: Term(6),
                down,
                pending: Vec::new(),
                approximate_bytes: 0,
            });
        }
    }
    reports
}

#[test]
fn no_plan_of_pd_steps_between_majorities_that_do_not_meet() {
    let set = |ids: &[u64]| ids.iter().copied().map(PeerId).collect::<BTreeSet<_>>();
    assert!(overlap(&set(&[1, 2, 3]), &set(&[1, 2, 3, 4])), "one added");
    assert!(!overlap(&set(&[1, 2, 3]), &set(&[2, 3, 4])), "one replaced: {{1, 2}} and {{3, 4}}");
    let (mut planned, mut shapes_seen) = (0, 0);
    for report in all_reports() {
        let stores = (1..=8).map(StoreId);
        let requests = stores.flat_map(|store| {
            let moves =
                (1..=8).map(move |to| OperatorRequest::MovePeer { from: store, to: StoreId(to) });
            [OperatorRequest::AddPeer { store }, OperatorRequest::RemovePeer { store }]
                .into_iter()
                .chain(moves)
        });
        for request in requests {
            let Ok(steps) = planner::plan(&request, &report, PeerId(999)) else { continue };
            planned += 1;
            let shapes = follow(&steps, report.clone());
            for pair in shapes.windows(2) {
                shapes_seen += 1;
                assert!(is_safe(&pair[0], &pair[1]), "{request:?} of {report:?}: {pair:?}");
                let ends = electorates(&pair[1]);
                assert!(ends.iter().all(|voters| !voters.is_empty()), "{pair:?}");
            }
        }
    }
    assert!(planned > 1_000 && shapes_seen > 2_000, "{planned} plans, {shapes_seen} changes");
}
