//! One seed from start to verdict: found, let things go wrong under load, heal, check.
use super::checkers::linear::{self, Verdict};
use super::checkers::logs::LogWatch;
use super::checkers::order::{LeaderWatch, timestamps};
use super::checkers::state::{are_level, differences};
use super::clients::{Clients, KEYS};
use super::faults;
use super::net::millis;
use super::node::Plan;
use super::world::{World, simulate};
use crate::workload::{Op, Outcome};
use futures::FutureExt;
use std::cell::RefCell;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;
use troupe_types::NodeId;
use troupe_types::request::Consistency;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// Decides everything.
    pub seed: u64,
    /// Virtual time under faults.
    pub rage: Duration,
    /// Clients.
    pub clients: u32,
    /// Print each event.
    pub is_printing: bool,
}

impl RunOptions {
    /// The usual run of `seed`.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        Self { seed, rage: Duration::from_secs(30), clients: 5, is_printing: false }
    }
}

/// What a run came to. Two runs of one seed give the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which seed.
    pub seed: u64,
    /// Hash over all events.
    pub hash: u64,
    /// Number of events.
    pub events: u64,
    /// Operations: answered, without effect, unknown.
    pub operations: (usize, usize, usize),
    /// Timestamps drawn.
    pub timestamps: usize,
    /// Terms with a leader.
    pub terms: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (answered, failed, unknown) = self.operations;
        write!(
            f,
            "seed {} hash {:016x}: {} events, {} terms, {} draws of timestamps; operations: {answered} \
             answered, {failed} without effect, {unknown} unknown",
            self.seed, self.hash, self.events, self.terms, self.timestamps
        )
    }
}

/// Longest virtual time until everything serves after the last fault.
const LIVENESS: Duration = Duration::from_secs(30);

/// Runs one seed.
///
/// # Panics
/// When a claim does not hold; the newest events are printed before.
#[must_use]
pub fn run(options: RunOptions) -> Report {
    simulate(async move {
        // Panics are among the faults, and at the end all replicas shall be there.
        let plan = Plan { restarts: u32::MAX, ..Plan::of_seed(options.seed) };
        let world = Rc::new(World::new(plan, options.is_printing));
        match AssertUnwindSafe(inside(&world, options)).catch_unwind().await {
            Ok(report) => {
                world.end().await;
                report
            }
            Err(panic) => {
                eprintln!("the newest events of seed {}:\n{}", options.seed, world.log.tail());
                eprintln!("run it alone: make sim-one SEED={}", options.seed);
                std::panic::resume_unwind(panic)
            }
        }
    })
}

async fn inside(world: &Rc<World>, options: RunOptions) -> Report {
    world.found().await;
    world.log.note(format_args!("the cluster is complete"));
    let watch = Rc::new(RefCell::new(Watch::default()));
    actix_rt::spawn(look_on(world.clone(), watch.clone()));
    let clients = Clients::start(world, options.clients);
    faults::rage(world, options.rage).await;
    check_liveness(world, &clients).await;
    clients.stop();
    // Nobody waits longer than that for an answer.
    tokio::time::sleep(Duration::from_secs(5)).await;
    check_claims(world, &clients, &watch.borrow());
    check_replicas(world).await;
    check_logs(world, &mut watch.borrow_mut().logs);
    let (hash, events) = world.log.digest();
    Report {
        seed: options.seed,
        hash,
        events,
        operations: clients.counts(),
        timestamps: clients.given().len(),
        terms: watch.borrow().leaders.terms(),
    }
}

/// What is looked at while a run goes on.
#[derive(Default)]
struct Watch {
    leaders: LeaderWatch,
    logs: LogWatch,
}

/// Looks at all replicas again and again, at their logs less often.
async fn look_on(world: Rc<World>, watch: Rc<RefCell<Watch>>) {
    loop {
        if let Some(logs) = world.logs() {
            watch.borrow_mut().logs.look(&logs);
        }
        for _ in 0..10 {
            watch.borrow_mut().leaders.look(&world.claims());
            tokio::time::sleep(millis(10)).await;
        }
    }
}

/// Every key can be written and read through every node soon after the last fault.
async fn check_liveness(world: &Rc<World>, clients: &Rc<Clients>) {
    let mut value = 900_000_000;
    for node in world.ids() {
        for key in 0..KEYS {
            value += 1;
            let steps = [Op::Put(value), Op::Get];
            for op in steps {
                until_answered(world, clients, (node, key), op).await;
            }
        }
    }
}

async fn until_answered(world: &World, clients: &Clients, (node, key): (NodeId, u32), op: Op) {
    let ask = || async {
        let consistency = Consistency::Linearizable;
        let outcome = clients.ask(1_000, node, (key, op), consistency, LIVENESS / 3).await;
        // An unknown outcome may not be asked for again: its value must stay unique.
        assert!(outcome != Outcome::Unknown, "no fault is left that would lose an answer");
        outcome != Outcome::Failed
    };
    let what = format!("{op:?} of key {key} through node {node}");
    world.until(&what, LIVENESS, ask).await;
}

fn check_claims(world: &World, clients: &Clients, watch: &Watch) {
    assert_eq!(world.net.rivals(), Vec::<String>::new(), "one leader a term, by messages");
    assert_eq!(world.net.double_votes(), Vec::<String>::new(), "one vote a term, by messages");
    assert_eq!(watch.leaders.wrong(), &[] as &[String], "one leader a term, one lease at a time");
    assert_eq!(watch.logs.wrong(), &[] as &[String], "logs match, what is committed stays");
    assert_eq!(timestamps(&clients.given()), None, "timestamps grow");
    match linear::check(&clients.records()) {
        None => {}
        Some((key, Verdict::Violation(why))) => panic!("key {key} is not linearizable: {why}"),
        Some((key, verdict)) => panic!("key {key}: {verdict:?}"),
    }
    let (answered, failed, unknown) = clients.counts();
    assert!(answered > failed + unknown, "a run in which little works shows little");
}

fn check_logs(world: &World, watch: &mut LogWatch) {
    let logs = world.logs().expect("all nodes are up and stay up");
    watch.look(&logs);
    assert_eq!(watch.wrong(), &[] as &[String], "logs match in the end");
    assert!(watch.places() > 100, "few entries were compared: {}", watch.places());
}

async fn check_replicas(world: &World) {
    world
        .until("all replicas to be level", LIVENESS, || {
            std::future::ready(are_level(&world.replicas()))
        })
        .await;
    let all = world.replicas();
    assert_eq!(all.len(), world.plan.regions as usize + 1, "all Regions are there: {all:?}");
    assert!(all.values().all(|replicas| replicas.len() == world.plan.nodes as usize), "{all:?}");
    assert_eq!(differences(&all), Vec::<String>::new(), "replicas are equal");
}
