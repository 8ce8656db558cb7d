//! One seed from start to verdict: found, let things go wrong under load, heal, check.
use super::checkers::linear;
use super::checkers::logs::LogWatch;
use super::checkers::order::{Claim, LeaderWatch, timestamps};
use super::checkers::state::{are_level, differences};
use super::checkers::txn::book::{Counts, Verdict};
use super::clients::{Clients, KEYS};
use super::faults::Kind;
use super::log::Place;
use super::net::millis;
use super::plan::Plan;
use super::rage::Rage;
use super::txn::TxnClients;
use super::world::{World, simulate};
use crate::workload::{Op, Outcome};
use futures::FutureExt;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;
use troupe_actors::supervision::life::panic_message;
use troupe_types::request::Consistency;
use troupe_types::{NodeId, RegionId};

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// Decides everything.
    pub seed: u64,
    /// Virtual time under faults.
    pub rage: Duration,
    /// Clients.
    pub clients: u32,
    /// Kinds of faults that it shall have much of.
    pub likes: &'static [Kind],
    /// Print each event.
    pub is_printing: bool,
}

impl RunOptions {
    /// The usual run of `seed`.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        Self { seed, rage: Duration::from_secs(30), clients: 5, likes: &[], is_printing: false }
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
    /// Transactions.
    pub transactions: Transactions,
    /// Timestamps drawn.
    pub timestamps: usize,
    /// Terms with a leader.
    pub terms: usize,
    /// Faults, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Milliseconds of virtual time.
    pub virtual_ms: u64,
}

/// What became of the transactions of a run, and how much was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transactions {
    /// How they ended.
    pub counts: Counts,
    /// Groups of transactions on lists with write skew, which their isolation allows.
    pub write_skews: usize,
}

impl Transactions {
    fn of(clients: &TxnClients, verdict: &Verdict) -> Self {
        Self { counts: clients.counts(), write_skews: verdict.lists.write_skews }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (answered, failed, unknown) = self.operations;
        let faults: u64 = self.faults.values().sum();
        write!(
            f,
            "seed {} hash {:016x}: {} events, {faults} faults, {} terms, {} draws of timestamps; \
             operations: {answered} answered, {failed} without effect, {unknown} unknown; \
             transactions: {}, {} write skews",
            self.seed,
            self.hash,
            self.events,
            self.terms,
            self.timestamps,
            self.transactions.counts,
            self.transactions.write_skews
        )
    }
}

/// A run that broke a promise.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which seed.
    pub seed: u64,
    /// Which promise.
    pub verdict: String,
    /// Faults in order, one a line.
    pub faults: String,
    /// What the seed made of the world.
    pub plan: Plan,
    /// The newest events, one a line.
    pub tail: String,
}

/// Events that the report of a violation shows.
const TAIL: usize = 60;

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, verdict, faults, plan, tail } = self;
        writeln!(f, "the newest events of seed {seed}:\n{tail}\n")?;
        writeln!(f, "the world of seed {seed}: {plan:?}\n")?;
        writeln!(f, "faults of seed {seed}, in order:\n{faults}\n")?;
        writeln!(f, "VIOLATION in seed {seed}: {verdict}\n")?;
        write!(f, "see all its events: make sim-one SEED={seed}")
    }
}

/// Longest virtual time until everything serves after the last fault.
const LIVENESS: Duration = Duration::from_secs(30);
/// Longest virtual time until all replicas are where they shall be: each step of a change takes up to
/// two reports to PD, and steps that were lost are taken back by PD only after a minute.
const PLACEMENT: Duration = Duration::from_secs(300);

/// Runs one seed.
///
/// # Panics
/// When a promise was broken; what is known of it is printed before.
#[must_use]
pub fn run(options: RunOptions) -> Report {
    run_or_say(options).unwrap_or_else(|violation| {
        eprintln!("{violation}");
        panic!("seed {}: {}", violation.seed, violation.verdict)
    })
}

thread_local! {
    /// Where the last panic of this thread was.
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From here on this process prints no panics: they are among the faults. The report of a violation
/// says where it was found.
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        LAST_PANIC.set(info.location().map(ToString::to_string));
    }));
}

fn verdict_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic_message(panic);
    LAST_PANIC.take().map_or_else(|| text.clone(), |place| format!("{text} ({place})"))
}

/// Runs one seed.
///
/// # Errors
/// A promise was broken.
pub fn run_or_say(options: RunOptions) -> Result<Report, Box<Violation>> {
    simulate(async move {
        let world = Rc::new(World::new(Plan::wild(options.seed), options.is_printing));
        let rage = Rage::new(&world);
        let result = AssertUnwindSafe(inside(&world, &rage, options)).catch_unwind().await;
        let result = result.map_err(|panic| verdict_of(panic.as_ref()));
        if result.is_err() && !world.up().is_empty() {
            rage.note_plans().await;
        }
        world.end().await;
        result.map_err(|verdict| {
            let ledger = rage.ledger();
            let line =
                |(ms, what): &(u64, String)| format!("{:>5}.{:03} s  {what}", ms / 1000, ms % 1000);
            Box::new(Violation {
                seed: options.seed,
                verdict,
                faults: ledger.lines.iter().map(line).collect::<Vec<_>>().join("\n"),
                plan: world.plan.clone(),
                tail: world.log.tail(TAIL),
            })
        })
    })
}

async fn inside(world: &Rc<World>, rage: &Rc<Rage>, options: RunOptions) -> Report {
    world.found().await;
    world.log.note(Place::World, format_args!("the cluster is complete"));
    let watch = RefCell::new(Watch::default());
    tokio::select! {
        biased;
        report = under_load(world, rage, options, &watch) => report,
        () = look_on(world, &watch) => unreachable!("it looks until the run is over"),
    }
}

async fn under_load(
    world: &Rc<World>,
    rage: &Rc<Rage>,
    options: RunOptions,
    watch: &RefCell<Watch>,
) -> Report {
    let txns = TxnClients::start(world, None).await;
    let clients = Clients::start(world, options.clients);
    rage.run(options.rage, options.likes).await;
    check_liveness(world, &clients).await;
    clients.stop();
    txns.stop().await;
    rage.finish_leaving(PLACEMENT).await;
    // Nobody waits longer than that for an answer.
    tokio::time::sleep(Duration::from_secs(7)).await;
    check_claims(world, &clients);
    let verdict = txns.finish().await;
    check_replicas(world).await;
    watch.borrow_mut().look_at_logs(world);
    watch.borrow().check(world);
    let (terms, places) = (watch.borrow().leaders.terms(), watch.borrow().logs.places());
    assert!(places > 20, "few entries were compared: {places}");
    let (hash, events) = world.log.digest();
    Report {
        seed: options.seed,
        hash,
        events,
        operations: clients.counts(),
        transactions: Transactions::of(&txns, &verdict),
        timestamps: clients.given().len(),
        terms,
        faults: faults(world, rage),
        virtual_ms: world.log.now_ms(),
    }
}

/// What is looked at while a run goes on.
#[derive(Default)]
struct Watch {
    leaders: LeaderWatch,
    logs: LogWatch,
}

impl Watch {
    fn look_at_logs(&mut self, world: &World) {
        if let Some(logs) = world.logs() {
            self.logs.look(&logs);
        }
    }

    fn check(&self, world: &World) {
        assert_eq!(world.net.double_votes(), Vec::<String>::new(), "one vote a term, by messages");
        assert_eq!(world.net.rivals(), Vec::<String>::new(), "one leader a term, by messages");
        let leaders = self.leaders.wrong();
        assert_eq!(leaders, &[] as &[String], "one leader a term, one lease at a time");
        assert_eq!(self.logs.wrong(), &[] as &[String], "logs match, what is committed stays");
    }
}

/// Looks at all replicas again and again, at their logs less often.
async fn look_on(world: &World, watch: &RefCell<Watch>) {
    loop {
        watch.borrow_mut().look_at_logs(world);
        for _ in 0..10 {
            watch.borrow_mut().leaders.look(&world.claims());
            tokio::time::sleep(millis(10)).await;
        }
        watch.borrow().check(world);
    }
}

/// Every key can be written and read through every node soon after the last fault. What a leader takes
/// that has not heard yet of its successor may be lost; with the last such leader the faults are over.
async fn check_liveness(world: &Rc<World>, clients: &Rc<Clients>) {
    let is_led = || std::future::ready(is_led(&world.claims()));
    world.until("one leader with a lease for each Region", LIVENESS, is_led).await;
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

fn is_led(claims: &[Claim]) -> bool {
    let led = claims.iter().filter(|claim| claim.leads);
    let regions: BTreeSet<RegionId> = claims.iter().map(|claim| claim.region).collect();
    led.clone().count() == regions.len() && led.clone().all(|claim| claim.has_lease)
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

fn check_claims(world: &World, clients: &Clients) {
    let wrong = |node| world.with_node(node, |node| node.disk.wrong());
    let wrong: Vec<String> = world.ids().into_iter().flat_map(wrong).collect();
    assert_eq!(wrong, Vec::<String>::new(), "nobody goes on after a failed sync");
    assert_eq!(timestamps(&clients.given()), None, "timestamps grow");
    match linear::check(&clients.records()) {
        None => {}
        Some((key, linear::Verdict::Violation(why))) => {
            panic!("key {key} is not linearizable: {why}")
        }
        Some((key, verdict)) => panic!("key {key}: {verdict:?}"),
    }
    let (answered, failed, unknown) = clients.counts();
    assert!(answered * 2 > failed + unknown, "a run in which little works shows little");
}

async fn check_replicas(world: &World) {
    world
        .until("replicas where they shall be", PLACEMENT, || std::future::ready(world.is_placed()))
        .await;
    let is_level = || std::future::ready(are_level(&world.replicas()));
    world.until("all replicas to be level", LIVENESS, is_level).await;
    assert_eq!(differences(&world.replicas()), Vec::<String>::new(), "replicas are equal");
}

/// What was planned, and what else happened because of it.
fn faults(world: &World, rage: &Rage) -> BTreeMap<String, u64> {
    let ledger = rage.ledger();
    let mut counts: BTreeMap<String, u64> =
        ledger.counts.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
    for node in world.ids() {
        for mishap in world.with_node(node, |node| node.disk.met()) {
            *counts.entry(format!("disk: {}", mishap.name())).or_default() += 1;
        }
    }
    let harm = world.net.harm();
    let parcels = [
        ("message: lost", harm.lost),
        ("message: lost at a cut", harm.cut),
        ("message: delivered twice", harm.doubled),
        ("message: overtaken", harm.late),
        ("message: once more, seconds later", harm.stray),
        ("message: command of a transaction, delivered twice", harm.echoed),
        ("message: delivered to a node that was stopped", harm.held),
    ];
    for (kind, count) in parcels {
        counts.insert(kind.to_owned(), count);
    }
    counts
}
