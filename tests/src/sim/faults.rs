//! What can go wrong in a run, in words, and how the seed draws it.
use super::disk::Mishap;
use super::net::{Weather, millis};
use super::plan::{FREEZE_MS, leases};
use super::world::World;
use std::fmt;
use std::time::Duration;
use troupe_actors::env::{FaultPoint, Rng};
use troupe_types::pd::OperatorRequest;
use troupe_types::{NodeId, Peer, PeerRole, Region, RegionId, StoreId};

/// Something that goes wrong, or right again, or that an operator does in the worst moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// One node talks to nobody.
    Isolate(NodeId),
    /// These nodes and the others do not hear each other.
    Split(Vec<NodeId>),
    /// Two halves do not hear each other; the first node hears both.
    Bridge(NodeId, Vec<NodeId>),
    /// What the first sends to the second is lost.
    OneWay(NodeId, NodeId),
    /// Nobody hears the first node; it hears the second alone.
    OneEar(NodeId, NodeId),
    /// Two nodes do not hear each other; both hear the others.
    Part(NodeId, NodeId),
    /// A way between two nodes comes and goes for so long.
    Flap(NodeId, NodeId, Duration),
    /// All cuts are mended.
    Heal,
    /// The network turns bad or good.
    Weather(Weather),
    /// A node loses what was not durable, but for some buffered writes, and starts again later.
    Crash(NodeId),
    /// All nodes crash at once and start again.
    PowerCut,
    /// A node's process is stopped for so long, and then goes on with all that came meanwhile.
    Hold(NodeId, Duration),
    /// The next hit of this point in this Region panics.
    Panic(NodeId, FaultPoint, RegionId),
    /// A write of a disk goes wrong, after so many good ones.
    Mishap(NodeId, Mishap, u64),
    /// A disk takes no log entries for so long.
    FullDisk(NodeId, Duration),
    /// Every write of a disk takes up to so much longer, for so long.
    SlowDisk(NodeId, Duration, Duration),
    /// The clocks and timers of a node run so many parts in a million too fast.
    Drift(NodeId, i64),
    /// A monotonic clock stands still for so long, and goes on from there.
    Freeze(NodeId, Duration),
    /// A wall clock steps by so many milliseconds.
    Step(NodeId, i64),
    /// A wall clock stands still for so long, then shows the right time again.
    FreezeWall(NodeId, Duration),
    /// A leader is told to hand over.
    Transfer(Region, Peer),
    /// PD is asked to change the replicas of a Region.
    Operator(RegionId, OperatorRequest),
    /// One node more joins.
    Join,
    /// A Store shall lose all its replicas.
    Drain(StoreId),
}

impl Fault {
    /// The kind of fault, for counting.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Isolate(_) => "network: node cut off",
            Self::Split(_) => "network: split in two",
            Self::Bridge(..) => "network: bridge between halves",
            Self::OneWay(..) => "network: one-way cut",
            Self::OneEar(..) => "network: node that nobody hears",
            Self::Part(..) => "network: pair cut",
            Self::Flap(..) => "network: flapping way",
            Self::Heal => "network: healed",
            Self::Weather(_) => "network: weather change",
            Self::Crash(_) => "process: crash",
            Self::PowerCut => "process: power cut of all",
            Self::Hold(..) => "process: stopped and continued",
            Self::Panic(_, FaultPoint::Apply, _) => "actor: panic while applying",
            Self::Panic(..) => "actor: panic of a replica",
            Self::Mishap(..) => "disk: mishap planned",
            Self::FullDisk(..) => "disk: full",
            Self::SlowDisk(..) => "disk: slow",
            Self::Drift(..) => "clock: pace",
            Self::Freeze(..) => "clock: monotonic stands still",
            Self::Step(..) => "clock: wall steps",
            Self::FreezeWall(..) => "clock: wall stands still",
            Self::Transfer(..) => "members: leader transfer",
            Self::Operator(..) => "members: replica change",
            Self::Join => "members: node joins",
            Self::Drain(_) => "members: node leaves",
        }
    }
}

struct Names<'a>(&'a [NodeId]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        write!(f, "{}", names.join(", "))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Isolate(node) => write!(f, "node {node} is cut off"),
            Self::Split(nodes) => write!(f, "nodes {} and the others are split", Names(nodes)),
            Self::Bridge(node, nodes) => {
                write!(f, "only node {node} hears both nodes {} and the others", Names(nodes))
            }
            Self::OneWay(from, to) => write!(f, "what node {from} sends to node {to} is lost"),
            Self::OneEar(node, other) => {
                write!(f, "nobody hears node {node}, which hears node {other} alone")
            }
            Self::Part(one, other) => write!(f, "nodes {one} and {other} hear not each other"),
            Self::Flap(one, other, time) => {
                write!(f, "the way between nodes {one} and {other} comes and goes for {time:?}")
            }
            Self::Heal => f.write_str("all cuts are mended"),
            Self::Weather(weather) => write!(f, "the network is now {weather:?}"),
            Self::Crash(node) => write!(f, "node {node} crashes"),
            Self::PowerCut => f.write_str("all nodes crash"),
            Self::Hold(node, time) => write!(f, "node {node} is stopped for {time:?}"),
            Self::Panic(node, point, region) => {
                write!(f, "region {region} of node {node} will panic at {point:?}")
            }
            Self::Mishap(node, mishap, after) => {
                write!(f, "the disk of node {node} meets, {after} writes from now: ")?;
                f.write_str(mishap.name())
            }
            Self::FullDisk(node, time) => write!(f, "the disk of node {node} is full for {time:?}"),
            Self::SlowDisk(node, extra, time) => {
                write!(f, "writes of node {node} take up to {extra:?} longer, for {time:?}")
            }
            Self::Drift(node, ppm) => write!(f, "the clock of node {node} is {ppm} ppm too fast"),
            Self::Freeze(node, time) => {
                write!(f, "the monotonic clock of node {node} stands still for {time:?}")
            }
            Self::Step(node, ms) => write!(f, "the wall clock of node {node} steps by {ms} ms"),
            Self::FreezeWall(node, time) => {
                write!(f, "the wall clock of node {node} stands still for {time:?}")
            }
            Self::Transfer(region, to) => {
                write!(f, "region {} shall be led by replica {} on {}", region.id, to.id, to.store)
            }
            Self::Operator(region, request) => {
                write!(f, "PD shall change region {region}: {request:?}")
            }
            Self::Join => f.write_str("one node more joins"),
            Self::Drain(store) => write!(f, "store {store} shall leave"),
        }
    }
}

/// What the draw chooses from: see [`Fault`].
#[allow(missing_docs, reason = "the faults have the same names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Isolate,
    Split,
    Bridge,
    OneWay,
    OneEar,
    Part,
    Flap,
    Heal,
    Weather,
    Crash,
    PowerCut,
    Hold,
    Panic,
    Mishap,
    FullDisk,
    SlowDisk,
    Drift,
    Freeze,
    Step,
    FreezeWall,
    Transfer,
    Operator,
    Join,
    Drain,
}

/// All kinds, with the usual weight.
const KINDS: [(Kind, u64); 24] = [
    (Kind::Isolate, 10),
    (Kind::Split, 6),
    (Kind::Bridge, 4),
    (Kind::OneWay, 8),
    (Kind::OneEar, 6),
    (Kind::Part, 6),
    (Kind::Flap, 5),
    (Kind::Heal, 24),
    (Kind::Weather, 9),
    (Kind::Crash, 12),
    (Kind::PowerCut, 3),
    (Kind::Hold, 8),
    (Kind::Panic, 8),
    (Kind::Mishap, 12),
    (Kind::FullDisk, 4),
    (Kind::SlowDisk, 5),
    (Kind::Drift, 4),
    (Kind::Freeze, 4),
    (Kind::Step, 4),
    (Kind::FreezeWall, 2),
    (Kind::Transfer, 12),
    (Kind::Operator, 8),
    (Kind::Join, 2),
    (Kind::Drain, 2),
];

/// Weight of a kind that a run shall have much of.
const LIKED: u64 = 100;

/// Where panics are planted.
const POINTS: [FaultPoint; 4] =
    [FaultPoint::PeerStep, FaultPoint::PeerFlush, FaultPoint::PeerTick, FaultPoint::Apply];

pub(super) fn pick(rng: &mut dyn Rng, count: usize) -> usize {
    usize::try_from(rng.between(0, count as u64)).unwrap()
}

fn signed(rng: &mut dyn Rng, half: u64) -> i64 {
    let number = rng.between(0, 2 * half + 1);
    i64::try_from(number).unwrap() - i64::try_from(half).unwrap()
}

/// Draws faults. A seed leaves out about a third of the kinds and likes others more, so that rare ones
/// meet often in some seeds (Groce and others, "Swarm testing", 2012).
pub struct Draw {
    rng: Box<dyn Rng>,
    weights: Vec<(Kind, u64)>,
}

impl Draw {
    /// All choices come from `rng`. Most faults are of the kinds in `likes`, if there are any.
    #[must_use]
    pub fn new(mut rng: Box<dyn Rng>, likes: &[Kind]) -> Self {
        let mut liked = |(kind, weight): (Kind, u64)| match (kind, rng.between(0, 6)) {
            _ if likes.contains(&kind) => (kind, LIKED),
            (Kind::Heal, _) | (_, 2 | 3) => (kind, weight),
            (_, 0 | 1) => (kind, 0),
            (_, _) => (kind, 2 * weight),
        };
        let weights = KINDS.into_iter().map(&mut liked).collect();
        Self { rng, weights }
    }

    /// A number in `[low, high)`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        self.rng.between(low, high)
    }

    fn kind(&mut self) -> Kind {
        let sum = self.weights.iter().map(|(_, weight)| weight).sum();
        let mut left = self.rng.between(0, sum);
        for (kind, weight) in &self.weights {
            if left < *weight {
                return *kind;
            }
            left -= weight;
        }
        unreachable!("the number is below the sum of all weights")
    }

    /// The next fault; `None` if the one that was drawn makes no sense now.
    pub fn next(&mut self, world: &World) -> Option<Fault> {
        let kind = self.kind();
        let rng = &mut *self.rng;
        let ids = world.ids();
        let mut others = ids.clone();
        let node = others.remove(pick(rng, ids.len()));
        let other = others[pick(rng, others.len())];
        let seconds = |rng: &mut dyn Rng, most: u64| millis(rng.between(200, most * 1_000));
        Some(match kind {
            Kind::Isolate => Fault::Isolate(node),
            Kind::Split => Fault::Split(half(rng, &ids)),
            Kind::Bridge => Fault::Bridge(node, half(rng, &others)),
            Kind::OneWay => Fault::OneWay(node, other),
            Kind::OneEar => Fault::OneEar(node, other),
            Kind::Part => Fault::Part(node, other),
            Kind::Flap => Fault::Flap(node, other, seconds(rng, 6)),
            Kind::Heal => Fault::Heal,
            Kind::Weather => Fault::Weather(weather(rng)),
            Kind::Crash => Fault::Crash(node),
            Kind::PowerCut => Fault::PowerCut,
            Kind::Hold => Fault::Hold(node, leases(rng, 1, 5)),
            Kind::Panic => {
                let regions: Vec<RegionId> = world.replicas().into_keys().collect();
                let region = regions[pick(rng, regions.len())];
                Fault::Panic(node, POINTS[pick(rng, POINTS.len())], region)
            }
            Kind::Mishap => {
                let mishap = Mishap::ALL[pick(rng, Mishap::ALL.len())];
                Fault::Mishap(node, mishap, rng.between(0, 20))
            }
            Kind::FullDisk => Fault::FullDisk(node, seconds(rng, 5)),
            Kind::SlowDisk => Fault::SlowDisk(node, leases(rng, 0, 2), seconds(rng, 5)),
            Kind::Drift => Fault::Drift(node, signed(rng, world.plan.drift_ppm)),
            Kind::Freeze if !world.plan.has_freezes() => return None,
            Kind::Freeze => Fault::Freeze(node, millis(rng.between(FREEZE_MS.0, FREEZE_MS.1))),
            Kind::Step => Fault::Step(node, signed(rng, 3_600_000)),
            Kind::FreezeWall => Fault::FreezeWall(node, seconds(rng, 10)),
            Kind::Transfer => return transfer(rng, world),
            Kind::Operator => return operator(rng, world),
            Kind::Join => Fault::Join,
            Kind::Drain => Fault::Drain(StoreId(node.get())),
        })
    }
}

/// Some of `ids`, but not all.
fn half(rng: &mut dyn Rng, ids: &[NodeId]) -> Vec<NodeId> {
    let mut rest = ids.to_vec();
    let count = rng.between(1, ids.len() as u64);
    (0..count).map(|_| rest.remove(pick(rng, rest.len()))).collect()
}

fn weather(rng: &mut dyn Rng) -> Weather {
    if rng.between(0, 3) == 0 {
        return Weather::CALM;
    }
    let high = [3, 20, 80, 300][pick(rng, 4)];
    Weather {
        lost: rng.between(0, 120),
        doubled: rng.between(0, 80),
        late: rng.between(0, 80),
        stray: [0, 0, 50, 300][pick(rng, 4)],
        delay_ms: (0, high),
    }
}

fn shape(rng: &mut dyn Rng, world: &World) -> Option<Region> {
    let mut shapes: Vec<Region> = world.shapes().into_values().collect();
    (!shapes.is_empty()).then(|| shapes.swap_remove(pick(rng, shapes.len())))
}

fn transfer(rng: &mut dyn Rng, world: &World) -> Option<Fault> {
    let region = shape(rng, world)?;
    let to = region.peers[pick(rng, region.peers.len())];
    Some(Fault::Transfer(region, to))
}

fn operator(rng: &mut dyn Rng, world: &World) -> Option<Fault> {
    let region = shape(rng, world)?;
    let members: Vec<StoreId> =
        region.peers.iter().filter(|p| p.role == PeerRole::Voter).map(|p| p.store).collect();
    let stores = world.ids().into_iter().map(|id| StoreId(id.get()));
    let free: Vec<StoreId> = stores.filter(|store| !members.contains(store)).collect();
    let member = members[pick(rng, members.len())];
    let request = match rng.between(0, 4) {
        0 => OperatorRequest::TransferLeader { store: member },
        _ if free.is_empty() => OperatorRequest::RemovePeer { store: member },
        1 if members.len() > world.plan.replicas as usize => {
            OperatorRequest::RemovePeer { store: member }
        }
        1 => OperatorRequest::AddPeer { store: free[pick(rng, free.len())] },
        _ => OperatorRequest::MovePeer { from: member, to: free[pick(rng, free.len())] },
    };
    Some(Fault::Operator(region.id, request))
}
