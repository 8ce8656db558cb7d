//! The life of an operator, against a Region that does what it is told.
use super::*;
use troupe_types::pd::{OperatorRequest, OperatorState, OperatorView, RegionInstruction};
use troupe_types::request::{AdminCommand, PeerChange};
use troupe_types::{PeerRole, key::raw_key};

/// A Raft group that obeys at once.
pub(super) struct Group {
    pub region: Region,
    pub leader: StoreId,
    pub pending: Vec<PeerId>,
    pub down: Vec<PeerId>,
}

impl Group {
    pub fn new(stores: &[u64], leader: u64) -> Self {
        let range = KeyRange::new(raw_key(0, b"a"), raw_key(0, b"z"));
        Self::of(region(50, range, stores), leader)
    }

    pub fn of(region: Region, leader: u64) -> Self {
        Self { region, leader: StoreId(leader), pending: Vec::new(), down: Vec::new() }
    }

    /// Reports, obeys the answer, and says what it was told.
    pub fn report(&mut self, pd: &mut Bench) -> Option<AdminCommand> {
        let mut report = report(&self.region, self.leader.get());
        report.pending.clone_from(&self.pending);
        report.down.clone_from(&self.down);
        let reports = vec![report];
        let Ok(PdReply::RegionHeartbeat(told)) = pd.ask(PdRequest::RegionHeartbeat { reports })
        else {
            panic!("heartbeat")
        };
        let (_, RegionInstruction::Do(command)) = told.into_iter().next()?;
        self.obey(&command);
        Some(command)
    }

    pub fn obey(&mut self, command: &AdminCommand) {
        match command {
            AdminCommand::TransferLeader { to } => {
                assert_eq!(self.region.peer(to.id).unwrap().role, PeerRole::Voter);
                self.leader = to.store;
            }
            AdminCommand::ChangePeers { changes } => changes.iter().for_each(|c| self.change(c)),
        }
    }

    fn change(&mut self, change: &PeerChange) {
        self.region.epoch.conf_ver += 1;
        let (peer, role) = match change {
            PeerChange::AddVoter(peer) => (peer, Some(PeerRole::Voter)),
            PeerChange::AddLearner(peer) => (peer, Some(PeerRole::Learner)),
            PeerChange::Remove(peer) => (peer, None),
        };
        if role != Some(PeerRole::Voter) {
            assert_ne!(peer.store, self.leader, "a leader never loses its vote");
        }
        self.region.peers.retain(|other| other.id != peer.id);
        self.region.peers.extend(role.map(|role| Peer { role, ..*peer }));
        self.region.peers.sort_by_key(|peer| peer.id);
    }

    pub fn stores(&self) -> Vec<u64> {
        let mut stores: Vec<u64> = self.region.peers.iter().map(|peer| peer.store.get()).collect();
        stores.sort_unstable();
        stores
    }
}

/// Node 1 leads a cluster of `nodes` nodes that will never bootstrap data Regions.
pub(super) fn cluster(nodes: u64) -> Bench {
    let mut pd = Bench::first(99, 4);
    pd.register(1, StoreId(1));
    for id in 2..=nodes {
        pd.join(id);
    }
    pd
}

pub(super) fn views(pd: &mut Bench) -> Vec<OperatorView> {
    match pd.ask(PdRequest::Operators) {
        Ok(PdReply::Operators(views)) => views,
        other => panic!("unexpected {other:?}"),
    }
}

fn add(region: u64, request: OperatorRequest) -> PdRequest {
    PdRequest::AddOperator { region: RegionId(region), request }
}

fn move_peer(from: u64, to: u64) -> OperatorRequest {
    OperatorRequest::MovePeer { from: StoreId(from), to: StoreId(to) }
}

#[test]
fn a_move_hands_leadership_over_first_and_swaps_in_one_joint_change() {
    let mut pd = cluster(4);
    let mut group = Group::new(&[1, 2, 3], 1);
    group.report(&mut pd);
    assert_eq!(pd.code(add(50, move_peer(1, 4))), "ok");

    let Some(AdminCommand::ChangePeers { changes }) = group.report(&mut pd) else { panic!("add") };
    let [PeerChange::AddLearner(new)] = changes[..] else { panic!("a learner: {changes:?}") };
    assert_eq!(new.store, StoreId(4));
    assert!(new.id >= PeerId(100));
    group.pending = vec![new.id];
    assert_eq!(group.report(&mut pd), None, "it has not caught up");
    assert_eq!(group.report(&mut pd), None);
    group.pending.clear();
    assert!(matches!(group.report(&mut pd), Some(AdminCommand::TransferLeader { .. })));
    assert_ne!(group.leader, StoreId(1));
    let Some(AdminCommand::ChangePeers { changes }) = group.report(&mut pd) else { panic!("swap") };
    assert!(matches!(changes[..], [PeerChange::AddVoter(_), PeerChange::AddLearner(_)]));
    let Some(AdminCommand::ChangePeers { changes }) = group.report(&mut pd) else { panic!("rm") };
    assert!(matches!(changes[..], [PeerChange::Remove(old)] if old.store == StoreId(1)));
    assert_eq!(group.report(&mut pd), None);

    assert_eq!(group.stores(), [2, 3, 4]);
    assert!(group.region.peers.iter().all(|peer| peer.role == PeerRole::Voter));
    let [view] = &views(&mut pd)[..] else { panic!("one operator") };
    assert_eq!(view.state, OperatorState::Succeeded);
    assert!(view.steps.iter().all(|(_, is_done)| *is_done));
}

#[test]
fn a_step_is_repeated_until_the_report_shows_it() {
    let mut pd = cluster(4);
    let mut group = Group::new(&[1, 2, 3], 1);
    group.report(&mut pd);
    pd.ask(add(50, OperatorRequest::AddPeer { store: StoreId(4) })).unwrap();
    let before = group.region.clone();
    let first = group.report(&mut pd);
    group.region = before;
    assert_eq!(group.report(&mut pd), first, "the same peer id, too");
}

#[test]
fn the_only_voter_can_move() {
    let plan = BootstrapPlan { replicas: 1, ..bootstrap_plan(99, 1) };
    let mut pd = Bench::new(1, &Rows::default(), Some(plan));
    pd.lead();
    pd.join(2);
    let mut group = Group::new(&[1], 1);
    group.report(&mut pd);
    pd.ask(add(50, move_peer(1, 2))).unwrap();
    for _ in 0..6 {
        group.report(&mut pd);
    }
    assert_eq!(group.stores(), [2]);
    assert_eq!(group.leader, StoreId(2));
    assert_eq!(views(&mut pd)[0].state, OperatorState::Succeeded);
}

#[test]
fn removal_below_quorum_is_refused() {
    let request = |store| OperatorRequest::RemovePeer { store: StoreId(store) };
    // Voters, down, Store to remove: what happens.
    let cases: [(&[u64], &[u64], u64, &str); 6] = [
        (&[1, 2, 3, 4], &[], 4, "ok"),
        (&[1, 2, 3], &[], 3, "OPERATOR_CONFLICT"),
        (&[1, 2, 3], &[3], 3, "ok"),
        (&[1, 2, 3, 4], &[3], 4, "OPERATOR_CONFLICT"),
        (&[1, 2, 3], &[2, 3], 3, "OPERATOR_CONFLICT"),
        (&[1, 2, 3], &[], 5, "OPERATOR_CONFLICT"),
    ];
    for (voters, down, store, expected) in cases {
        let mut pd = cluster(5);
        let mut group = Group::new(voters, 1);
        group.down = down.iter().map(|s| group.region.peer_on(StoreId(*s)).unwrap().id).collect();
        group.report(&mut pd);
        let code = pd.code(add(50, request(store)));
        assert_eq!(code, expected, "{voters:?} down {down:?} remove {store}");
    }
}

#[test]
fn what_an_operator_cannot_do() {
    let mut pd = cluster(4);
    let mut group = Group::new(&[1, 2, 3], 1);
    let lead = |store| OperatorRequest::TransferLeader { store: StoreId(store) };
    assert_eq!(pd.code(add(50, lead(2))), "REGION_NOT_FOUND");
    group.pending = vec![group.region.peer_on(StoreId(3)).unwrap().id];
    group.report(&mut pd);
    assert_eq!(pd.code(add(50, lead(3))), "OPERATOR_CONFLICT", "behind");
    assert_eq!(pd.code(add(50, lead(4))), "OPERATOR_CONFLICT", "no replica");
    assert_eq!(pd.code(add(50, move_peer(1, 2))), "OPERATOR_CONFLICT", "has one");
    assert_eq!(pd.code(add(50, move_peer(1, 9))), "STORE_NOT_FOUND");
    assert_eq!(pd.code(add(50, lead(2))), "ok");
    assert_eq!(pd.code(add(50, move_peer(1, 4))), "OPERATOR_CONFLICT", "one at a time");
    group.report(&mut pd);
    group.report(&mut pd);
    assert_eq!(group.leader, StoreId(2));
    assert_eq!(pd.code(add(50, move_peer(1, 4))), "ok");
}

#[test]
fn another_change_cancels_and_time_runs_out() {
    let mut pd = cluster(5);
    let mut group = Group::new(&[1, 2, 3], 1);
    group.report(&mut pd);
    pd.ask(add(50, move_peer(3, 4))).unwrap();
    group.change(&PeerChange::AddLearner(Peer::learner(PeerId(99), StoreId(5))));
    group.report(&mut pd);
    let view = views(&mut pd).remove(0);
    assert_eq!(view.state, OperatorState::Cancelled);
    assert!(view.reason.is_some());

    pd.ask(add(50, move_peer(3, 4))).unwrap();
    pd.pass(Duration::from_secs(601));
    pd.tick(true);
    assert_eq!(views(&mut pd).remove(0).state, OperatorState::TimedOut);
}

#[test]
fn the_history_is_bounded() {
    let mut pd = cluster(4);
    let mut group = Group::new(&[1, 2, 3], 1);
    group.report(&mut pd);
    for i in 0..120 {
        let store = StoreId(if i % 2 == 0 { 2 } else { 1 });
        pd.ask(add(50, OperatorRequest::TransferLeader { store })).unwrap();
        group.report(&mut pd);
        group.report(&mut pd);
    }
    let views = views(&mut pd);
    assert_eq!(views.len(), 100);
    assert!(views.is_sorted_by(|a, b| a.id > b.id), "newest first");
}
