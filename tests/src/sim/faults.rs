//! What goes wrong in a run: a schedule drawn from the seed.
use super::net::{Weather, millis};
use super::world::World;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;
use troupe_actors::env::{FaultPoint, Rng, Rngs};
use troupe_types::{NodeId, RegionId};

/// Something that goes wrong, or right again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// One node talks to nobody.
    Isolate(NodeId),
    /// What the first sends to the second is lost.
    OneWay(NodeId, NodeId),
    /// Two nodes do not hear each other; both hear the third.
    Part(NodeId, NodeId),
    /// All cuts are mended.
    Heal,
    /// A node loses what was not durable, but for some buffered batches, and starts again later.
    Crash(NodeId),
    /// All nodes crash at once and start again.
    PowerCut,
    /// The network turns bad or good.
    Weather(Weather),
    /// A monotonic clock runs so many parts in a million too fast.
    Drift(NodeId, i64),
    /// A wall clock steps by so many milliseconds.
    Step(NodeId, i64),
    /// The next hit of this point in this Region panics.
    Panic(NodeId, FaultPoint, RegionId),
}

/// Clocks may differ by a tenth in speed; any two of these stay below that.
const DRIFT_PPM: u64 = 40_000;

/// Where panics are planted. Not in Apply: that halts a Region for good.
const POINTS: [FaultPoint; 3] = [FaultPoint::PeerStep, FaultPoint::PeerFlush, FaultPoint::PeerTick];

fn draw(rng: &mut dyn Rng, world: &World) -> Fault {
    let nodes = u64::from(world.plan.nodes);
    let node = NodeId(rng.between(1, nodes + 1));
    let other = NodeId((node.get() + rng.between(0, nodes - 1)) % nodes + 1);
    let signed =
        |number: u64, half: u64| i64::try_from(number).unwrap() - i64::try_from(half).unwrap();
    match rng.between(0, 100) {
        0..14 => Fault::Isolate(node),
        14..24 => Fault::OneWay(node, other),
        24..32 => Fault::Part(node, other),
        32..52 => Fault::Heal,
        52..70 => Fault::Crash(node),
        70..73 => Fault::PowerCut,
        73..82 => Fault::Weather(draw_weather(rng)),
        82..90 => {
            let regions: Vec<RegionId> = world.replicas().into_keys().collect();
            let region = regions[pick(rng, regions.len())];
            Fault::Panic(node, POINTS[pick(rng, POINTS.len())], region)
        }
        90..95 => Fault::Drift(node, signed(rng.between(0, 2 * DRIFT_PPM), DRIFT_PPM)),
        95.. => Fault::Step(node, signed(rng.between(0, 7_200_000), 3_600_000)),
    }
}

fn pick(rng: &mut dyn Rng, count: usize) -> usize {
    usize::try_from(rng.between(0, count as u64)).unwrap()
}

fn draw_weather(rng: &mut dyn Rng) -> Weather {
    if rng.between(0, 3) == 0 {
        return Weather::CALM;
    }
    let high = [3, 20, 80, 300][pick(rng, 4)];
    Weather {
        lost: rng.between(0, 120),
        doubled: rng.between(0, 80),
        late: rng.between(0, 80),
        delay_ms: (0, high),
    }
}

/// Lets faults happen for `duration`; then everything is up and whole again.
pub async fn rage(world: &Rc<World>, duration: Duration) {
    let mut rng = world.rngs.rng("faults");
    let end = Instant::now() + duration;
    while Instant::now() < end {
        tokio::time::sleep(millis(rng.between(100, 2_500))).await;
        let fault = draw(&mut *rng, world);
        apply(world, fault, &mut *rng);
    }
    world.net.heal();
    world.net.set_weather(Weather::CALM);
    for node in world.ids() {
        world.with_node(node, |node| node.planted.clear());
    }
    // Nodes that are still down have their start already planned.
    let all = world.ids().len();
    world
        .until("all nodes to be up", Duration::from_secs(30), || {
            std::future::ready(world.up().len() == all)
        })
        .await;
    world.log.note(format_args!("all faults are over"));
}

fn apply(world: &Rc<World>, fault: Fault, rng: &mut dyn Rng) {
    world.log.note(format_args!("fault: {fault:?}"));
    match fault {
        Fault::Isolate(node) => {
            for other in world.ids().into_iter().filter(|other| *other != node) {
                world.net.cut((node, other));
                world.net.cut((other, node));
            }
        }
        Fault::OneWay(from, to) => world.net.cut((from, to)),
        Fault::Part(one, other) => {
            world.net.cut((one, other));
            world.net.cut((other, one));
        }
        Fault::Heal => world.net.heal(),
        Fault::Crash(node) => crash(world, node, rng),
        Fault::PowerCut => {
            for node in world.ids() {
                crash(world, node, rng);
            }
        }
        Fault::Weather(weather) => world.net.set_weather(weather),
        Fault::Drift(node, ppm) => world.with_node(node, |node| node.clock.set_drift(ppm)),
        Fault::Panic(node, point, region) => {
            world.with_node(node, |node| node.planted.plan(point, region, 1));
        }
        Fault::Step(node, ms) => world.with_node(node, |node| node.clock.step_unix(ms)),
    }
}

/// Crashes a node that is up, and plans its start.
fn crash(world: &Rc<World>, node: NodeId, rng: &mut dyn Rng) {
    if !world.up().contains(&node) {
        return;
    }
    let kept = usize::try_from(rng.between(0, 4)).unwrap();
    world.crash(node, kept);
    let wait = millis(rng.between(50, 5_000));
    let world = world.clone();
    actix_rt::spawn(async move {
        tokio::time::sleep(wait).await;
        world.start(node);
    });
}
