//! The network of a simulated world: parcels in one queue ordered by virtual time, lost, doubled,
//! delayed and cut off by the seed.
//!
//! Raft messages keep their order on a link unless one is chosen to be late. Calls (requests, PD,
//! snapshots) travel as a parcel there and a parcel back; a lost one is told to the caller later, as a
//! broken connection would be.
use super::checkers::order::VoteWatch;
use super::filters::{FilterId, Filters, Held, Parked, Seen, Verdict};
use super::log::{EventLog, Place};
use super::transport::{Endpoint, RaftLine};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use troupe_actors::env::Rng;
use troupe_actors::node::RaftInbox;
use troupe_types::raft_message::RaftEnvelope;
use troupe_types::request::RegionRequest;
use troupe_types::{NodeId, Peer, RegionId, StoreId, Term, TraceTags};

/// How bad the network is. Chances are in a thousand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// Parcels that are lost.
    pub lost: u64,
    /// Raft messages that come twice.
    pub doubled: u64,
    /// Raft messages that are overtaken by later ones.
    pub late: u64,
    /// Raft messages of which one more copy comes seconds later.
    pub stray: u64,
    /// Shortest and longest way in milliseconds.
    pub delay_ms: (u64, u64),
}

impl Weather {
    /// Nothing is lost.
    pub const CALM: Self = Self { lost: 0, doubled: 0, late: 0, stray: 0, delay_ms: (0, 2) };
}

/// What the network did to parcels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Harm {
    /// Lost by chance.
    pub lost: u64,
    /// Lost at a cut.
    pub cut: u64,
    /// Delivered twice.
    pub doubled: u64,
    /// Overtaken by later ones.
    pub late: u64,
    /// Delivered once more, seconds later.
    pub stray: u64,
    /// Commands of transactions that were delivered twice.
    pub echoed: u64,
    /// Delivered after their receiver had been held.
    pub held: u64,
}

/// One way between two nodes.
pub type Link = (NodeId, NodeId);

pub(super) enum Load {
    Raft {
        store: StoreId,
        envelope: RaftEnvelope,
        tags: TraceTags,
    },
    /// Tells the node itself that a Store does not answer.
    Unreachable {
        store: StoreId,
    },
    /// Part of a call; whoever carries it is told whether it arrived. An answer goes to whoever holds
    /// the connection, also to a node that is not yet open to others.
    Ticket {
        what: String,
        is_answer: bool,
        arrived: oneshot::Sender<bool>,
    },
}

struct Parcel {
    link: Link,
    load: Load,
}

/// How much later a stray copy comes, in milliseconds.
const STRAY_MS: (u64, u64) = (300, 4_000);
/// Time between two reports that a Store does not answer.
const UNREACHABLE_EVERY_MS: u64 = 500;

/// What becomes of a request to a Region of another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallVerdict {
    /// What the weather says.
    Deliver,
    /// Copies of it come so many milliseconds later, too.
    Repeat(Vec<u64>),
    /// It arrives, and its answer does not.
    LoseAnswer,
}

type CallJudge = Box<dyn FnMut(&RegionRequest) -> CallVerdict + Send>;

struct State {
    calls: Option<CallJudge>,
    rng: Box<dyn Rng>,
    weather: Weather,
    ends: BTreeMap<NodeId, Endpoint>,
    homes: BTreeMap<StoreId, NodeId>,
    cuts: BTreeSet<Link>,
    queue: BTreeMap<(u64, u64), Parcel>,
    next: u64,
    /// When the last parcel in order arrives, for each link.
    last_due: BTreeMap<Link, u64>,
    reported: BTreeMap<Link, u64>,
    leaders: BTreeMap<(RegionId, Term), Peer>,
    rivals: Vec<String>,
    votes: VoteWatch,
    /// Parcels for nodes that are held.
    held: BTreeMap<NodeId, Vec<Parcel>>,
    harm: Harm,
    filters: Filters,
}

/// The network. Cheap to clone.
#[derive(Clone)]
pub struct Net(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    wake: Notify,
    log: Arc<EventLog>,
}

impl Net {
    /// A calm network of Stores at their nodes; all its choices come from `rng`.
    #[must_use]
    pub fn new(rng: Box<dyn Rng>, homes: BTreeMap<StoreId, NodeId>, log: Arc<EventLog>) -> Self {
        let state = State {
            calls: None,
            rng,
            weather: Weather::CALM,
            ends: BTreeMap::new(),
            homes,
            cuts: BTreeSet::new(),
            queue: BTreeMap::new(),
            next: 0,
            last_due: BTreeMap::new(),
            reported: BTreeMap::new(),
            leaders: BTreeMap::new(),
            rivals: Vec::new(),
            votes: VoteWatch::default(),
            held: BTreeMap::new(),
            harm: Harm::default(),
            filters: Filters::default(),
        };
        Self(Arc::new(Inner { state: Mutex::new(state), wake: Notify::new(), log }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    /// The log of the world.
    #[must_use]
    pub fn log(&self) -> &Arc<EventLog> {
        &self.0.log
    }

    /// A node is up.
    pub fn plug_in(&self, node: NodeId, end: Endpoint) {
        self.state().ends.insert(node, end);
    }

    /// A node is down.
    pub fn unplug(&self, node: NodeId) {
        self.state().ends.remove(&node);
    }

    /// Sets how bad the network is from here on.
    pub fn set_weather(&self, weather: Weather) {
        self.state().weather = weather;
    }

    /// Cuts one way between two nodes; what is under way there is lost.
    pub fn cut(&self, link: Link) {
        self.state().cuts.insert(link);
    }

    /// Mends one way between two nodes.
    pub fn mend(&self, link: Link) {
        self.state().cuts.remove(&link);
    }

    /// Delivers what came for a node while it was held.
    pub fn release(&self, node: NodeId) {
        let now = self.0.log.now_ms();
        let mut state = self.state();
        for parcel in state.held.remove(&node).unwrap_or_default() {
            state.harm.held += 1;
            state.next += 1;
            let key = (now, state.next);
            state.queue.insert(key, parcel);
        }
        drop(state);
        self.0.wake.notify_one();
    }

    /// A Store has its home at a node.
    pub fn settle(&self, store: StoreId, node: NodeId) {
        self.state().homes.insert(store, node);
    }

    /// What was done to parcels so far.
    #[must_use]
    pub fn harm(&self) -> Harm {
        self.state().harm
    }

    /// Mends all cuts.
    pub fn heal(&self) {
        self.state().cuts.clear();
    }

    /// Pairs of replicas that claimed to lead one Region in one term, as seen in their messages.
    #[must_use]
    pub fn rivals(&self) -> Vec<String> {
        self.state().rivals.clone()
    }

    /// Replicas that gave two votes in one term, as seen in their messages.
    #[must_use]
    pub fn double_votes(&self) -> Vec<String> {
        self.state().votes.wrong().to_vec()
    }

    pub(super) fn home(&self, store: StoreId) -> Option<NodeId> {
        self.state().homes.get(&store).copied()
    }

    pub(super) fn end(&self, node: NodeId) -> Option<Endpoint> {
        self.state().ends.get(&node).cloned()
    }

    /// A number from the network's own source.
    pub(super) fn between(&self, low: u64, high: u64) -> u64 {
        self.state().rng.between(low, high)
    }

    /// Delivers parcels for ever.
    pub async fn run(self) {
        loop {
            let next = self.state().queue.first_key_value().map(|(key, _)| *key);
            let now = self.0.log.now_ms();
            match next {
                None => self.0.wake.notified().await,
                Some((due, _)) if due > now => {
                    let wait = tokio::time::sleep_until(Instant::now() + millis(due - now));
                    tokio::select! {
                        biased;
                        () = self.0.wake.notified() => {}
                        () = wait => {}
                    }
                }
                Some(key) => {
                    let parcel = self.state().queue.remove(&key);
                    if let Some(parcel) = parcel {
                        self.deliver(parcel);
                    }
                }
            }
        }
    }

    fn deliver(&self, parcel: Parcel) {
        let (from, to) = parcel.link;
        let (is_cut, end) = {
            let mut state = self.state();
            let is_cut = state.cuts.contains(&(from, to));
            let end = state.ends.get(&to).filter(|end| !is_cut && end.env.power.is_on()).cloned();
            if end.as_ref().is_some_and(|end| end.gate.is_shut()) {
                state.held.entry(to).or_default().push(parcel);
                return;
            }
            state.harm.cut += u64::from(is_cut);
            (is_cut, end)
        };
        let log = &self.0.log;
        match (parcel.load, end) {
            (Load::Raft { store, envelope, tags }, Some(end)) => {
                log.note((from, to), format_args!("{}", RaftLine(&envelope)));
                end.gate.within(|| end.stores.deliver(store, vec![envelope], tags));
            }
            (Load::Raft { envelope, .. }, None) => {
                log.note((from, to), format_args!("lost: {}", RaftLine(&envelope)));
            }
            (Load::Unreachable { store }, Some(end)) => {
                log.note(to, format_args!("is told that store {store} does not answer"));
                end.gate.within(|| end.stores.report_unreachable(store));
            }
            (Load::Unreachable { .. }, None) => {}
            (Load::Ticket { what, is_answer, arrived }, end) => {
                let is_there = end.is_some() || (is_answer && !is_cut);
                let fate = if is_there { "" } else { "lost: " };
                log.note(Place::Link(from, to), format_args!("{fate}{what}"));
                let _ = arrived.send(is_there);
            }
        }
    }

    pub(super) fn send_raft(
        &self,
        link: Link,
        store: StoreId,
        envelope: RaftEnvelope,
        tags: TraceTags,
    ) {
        let mut state = self.state();
        state.watch_leaders(&envelope);
        state.watch_votes(&envelope);
        let now = self.0.log.now_ms();
        let is_down = !state.ends.contains_key(&link.1) || state.cuts.contains(&link);
        let verdict = state.filters.judge(link, &envelope);
        if !matches!(verdict, Verdict::Deliver) {
            state.obey(verdict, Parked { link, store, envelope, tags }, now);
        } else if is_down {
            state.report_unreachable(link, store, now);
        } else if !state.chance(|w| w.lost) {
            let copies = if state.chance(|w| w.doubled) { 2 } else { 1 };
            state.harm.doubled += copies - 1;
            for _ in 0..copies {
                let is_late = state.chance(|w| w.late);
                state.harm.late += u64::from(is_late);
                let load = Load::Raft { store, envelope: envelope.clone(), tags: tags.clone() };
                state.push(link, load, !is_late, now);
            }
            if state.chance(|w| w.stray) {
                state.harm.stray += 1;
                let due = now + state.rng.between(STRAY_MS.0, STRAY_MS.1);
                state.push_at(due, Parcel { link, load: Load::Raft { store, envelope, tags } });
            }
        } else {
            state.harm.lost += 1;
        }
        drop(state);
        self.0.wake.notify_one();
    }

    /// Does a copy of a call come too, and how much later? Only for calls whose repetition is harmless
    /// by promise.
    pub(super) fn echo(&self) -> Option<Duration> {
        let mut state = self.state();
        if state.chance(|w| w.doubled) {
            state.harm.echoed += 1;
            return Some(millis(state.rng.between(0, 100)));
        }
        state.chance(|w| w.stray).then(|| {
            state.harm.echoed += 1;
            millis(state.rng.between(STRAY_MS.0, STRAY_MS.1))
        })
    }

    /// Asks `judge` about every Raft message from here on.
    pub fn add_filter(&self, judge: impl FnMut(&Seen<'_>) -> Verdict + Send + 'static) -> FilterId {
        self.state().filters.add(Box::new(judge))
    }

    /// Asks `judge` about every request to a Region of another node from here on.
    pub fn judge_calls(&self, judge: impl FnMut(&RegionRequest) -> CallVerdict + Send + 'static) {
        self.state().calls = Some(Box::new(judge));
    }

    pub(super) fn judge_call(&self, request: &RegionRequest) -> CallVerdict {
        self.state().calls.as_mut().map_or(CallVerdict::Deliver, |judge| judge(request))
    }

    /// Takes a filter away.
    pub fn remove_filter(&self, id: FilterId) {
        self.state().filters.remove(id);
    }

    /// Lets a copy of each held message go, past the filters; it stays held, to be sent once more.
    pub fn replay(&self, held: &Held) {
        let mut state = self.state();
        let now = self.0.log.now_ms();
        for Parked { link, store, envelope, tags } in held.all() {
            state.push(link, Load::Raft { store, envelope, tags }, false, now);
        }
        drop(state);
        self.0.wake.notify_one();
    }

    /// Puts a forged message on its way, past the filters.
    pub fn inject(&self, link: Link, envelope: RaftEnvelope) {
        let parked = Parked { link, store: envelope.to.store, envelope, tags: TraceTags::NONE };
        let held = Held::default();
        held.park(parked);
        self.let_go(&held);
    }

    /// Lets all held messages go, past the filters.
    pub fn let_go(&self, held: &Held) {
        self.replay(held);
        held.clear();
    }

    /// Carries a part of a call over `link`; answers whether it arrived.
    pub(super) async fn carry(&self, link: Link, what: String, is_answer: bool) -> bool {
        let (arrived, fate) = oneshot::channel();
        {
            let mut state = self.state();
            if state.chance(|w| w.lost) {
                state.harm.lost += 1;
                return false;
            }
            let now = self.0.log.now_ms();
            state.push(link, Load::Ticket { what, is_answer, arrived }, false, now);
        }
        self.0.wake.notify_one();
        fate.await.unwrap_or(false)
    }

    /// Can a connection over `link` be made now?
    pub(super) fn is_up(&self, (from, to): Link) -> bool {
        let state = self.state();
        state.ends.contains_key(&to)
            && !state.cuts.contains(&(from, to))
            && !state.cuts.contains(&(to, from))
    }
}

impl State {
    fn chance(&mut self, of: impl Fn(&Weather) -> u64) -> bool {
        self.rng.between(0, 1000) < of(&self.weather)
    }

    /// Does with a message what a filter said.
    fn obey(&mut self, verdict: Verdict, parked: Parked, now: u64) {
        let (copies, wait) = match &verdict {
            Verdict::Deliver => (1, 0),
            Verdict::Drop => (0, 0),
            Verdict::Hold(held) => {
                held.park(parked);
                return;
            }
            Verdict::Duplicate => (2, 0),
            Verdict::Delay(ms) => (1, *ms),
        };
        let Parked { link, store, envelope, tags } = parked;
        for _ in 0..copies {
            let load = Load::Raft { store, envelope: envelope.clone(), tags: tags.clone() };
            self.push(link, load, wait == 0, now + wait);
        }
    }

    fn push(&mut self, link: Link, load: Load, in_order: bool, now: u64) {
        let (low, high) = self.weather.delay_ms;
        let mut due = now + self.rng.between(low, high + 1);
        if in_order {
            let last = self.last_due.entry(link).or_default();
            due = due.max(*last);
            *last = due;
        } else {
            due += self.rng.between(0, 2 * high + 1);
        }
        self.push_at(due, Parcel { link, load });
    }

    fn push_at(&mut self, due: u64, parcel: Parcel) {
        self.next += 1;
        self.queue.insert((due, self.next), parcel);
    }

    fn report_unreachable(&mut self, link: Link, store: StoreId, now: u64) {
        let last = self.reported.get(&link).copied();
        if last.is_some_and(|last| now < last + UNREACHABLE_EVERY_MS) {
            return;
        }
        self.reported.insert(link, now);
        let to_itself = (link.0, link.0);
        self.push(to_itself, Load::Unreachable { store }, false, now);
    }

    /// Raft's first promise: one vote a term.
    fn watch_votes(&mut self, envelope: &RaftEnvelope) {
        if let Some((term, candidate)) = super::transport::vote_in(envelope) {
            self.votes.granted(envelope.region, term, (envelope.from.id, candidate));
        }
    }

    /// What follows from it: one leader a term.
    fn watch_leaders(&mut self, envelope: &RaftEnvelope) {
        let Some(term) = super::transport::leads_in(envelope) else { return };
        let known = *self.leaders.entry((envelope.region, term)).or_insert(envelope.from);
        if known.id != envelope.from.id {
            let (region, other) = (envelope.region, envelope.from.id);
            self.rivals
                .push(format!("region {region} term {term}: replicas {} and {other}", known.id));
        }
    }
}

pub(super) fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
