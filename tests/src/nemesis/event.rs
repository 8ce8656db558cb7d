//! What may happen to the cluster, drawn from the seed.
use std::fmt;
use std::time::Duration;
use troupe_actors::env::Rng;

/// A kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `kill -9` of one node.
    KillOne,
    /// `kill -9` of two nodes, one shortly after the other.
    KillTwo,
    /// `kill -9` of all nodes.
    KillAll,
    /// SIGSTOP of one node for 2 to 5 leases, SIGCONT, and reads at once.
    Pause,
    /// One node hears nobody and is heard by nobody.
    Isolate,
    /// One node is heard and hears nothing, or the other way round.
    OneWay,
    /// Two nodes do not reach each other; both reach the third.
    Partial,
    /// All that one node sends and hears is late.
    SlowNetwork,
    /// Writes of one node find no space.
    DiskFull,
    /// Syncs of one node fail. It has to end itself.
    DiskFails,
    /// Syncs of one node take long.
    SlowDisk,
}

impl Kind {
    /// All kinds, and how often each is drawn in a round.
    pub const ROUND: [(Self, usize); 11] = [
        (Self::KillOne, 4),
        (Self::KillTwo, 2),
        (Self::KillAll, 2),
        (Self::Pause, 4),
        (Self::Isolate, 2),
        (Self::OneWay, 2),
        (Self::Partial, 2),
        (Self::SlowNetwork, 1),
        (Self::DiskFull, 2),
        (Self::DiskFails, 2),
        (Self::SlowDisk, 2),
    ];

    /// Its name in lines, tables and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KillOne => "kill-one",
            Self::KillTwo => "kill-two",
            Self::KillAll => "kill-all",
            Self::Pause => "pause",
            Self::Isolate => "isolate",
            Self::OneWay => "one-way",
            Self::Partial => "partial",
            Self::SlowNetwork => "slow-network",
            Self::DiskFull => "disk-full",
            Self::DiskFails => "disk-fails",
            Self::SlowDisk => "slow-disk",
        }
    }
}

/// One event. Nodes are numbered from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: Kind,
    /// The nodes in a random order; it hits as many from the front as its kind says.
    pub order: Vec<usize>,
    /// How long it lasts.
    pub hold: Duration,
    /// Delay of bytes or syncs, where the kind has one.
    pub delay: Duration,
    /// Of kinds that have two forms: the second?
    pub other_form: bool,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (a, b) = (self.order[0] + 1, self.order.get(1).map_or(0, |node| node + 1));
        let (name, delay, hold) = (self.kind.name(), self.delay.as_millis(), self.hold.as_millis());
        write!(f, "{name:<12} ")?;
        match self.kind {
            Kind::KillOne => write!(f, "node {a}"),
            Kind::KillTwo => write!(f, "nodes {a} and {b}"),
            Kind::KillAll => write!(f, "all nodes"),
            Kind::Pause | Kind::DiskFull => write!(f, "node {a} for {hold} ms"),
            Kind::Isolate if self.other_form => write!(f, "node {a} for {hold} ms, with resets"),
            Kind::Isolate => write!(f, "node {a} for {hold} ms"),
            Kind::OneWay if self.other_form => write!(f, "node {a} hears nothing for {hold} ms"),
            Kind::OneWay => write!(f, "node {a} is not heard for {hold} ms"),
            Kind::Partial => write!(f, "nodes {a} and {b} for {hold} ms"),
            Kind::SlowNetwork => write!(f, "node {a} by {delay} ms for {hold} ms"),
            Kind::DiskFails => write!(f, "node {a}"),
            Kind::SlowDisk => write!(f, "node {a} by {delay} ms a sync for {hold} ms"),
        }
    }
}

/// Draws events: in each round every kind comes as often as [`Kind::ROUND`] says, in random order.
pub struct Events {
    rng: Box<dyn Rng>,
    nodes: usize,
    lease: Duration,
    round: Vec<Kind>,
    left: Vec<Kind>,
}

impl Events {
    /// Of all kinds.
    #[must_use]
    pub fn new(rng: Box<dyn Rng>, nodes: usize, lease: Duration) -> Self {
        let many = Kind::ROUND.iter().flat_map(|(kind, count)| std::iter::repeat_n(*kind, *count));
        Self { rng, nodes, lease, round: many.collect(), left: Vec::new() }
    }

    /// Of these kinds, each once a round.
    #[must_use]
    pub fn of(kinds: &[Kind], rng: Box<dyn Rng>, nodes: usize, lease: Duration) -> Self {
        Self { rng, nodes, lease, round: kinds.to_vec(), left: Vec::new() }
    }

    fn pick<T>(&mut self, from: &mut Vec<T>) -> T {
        let at = self.rng.between(0, from.len() as u64);
        from.swap_remove(usize::try_from(at).unwrap())
    }

    fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.rng.between(low, high))
    }

    /// The next one.
    pub fn draw(&mut self) -> Event {
        if self.left.is_empty() {
            self.left.clone_from(&self.round);
        }
        let mut left = std::mem::take(&mut self.left);
        let kind = self.pick(&mut left);
        self.left = left;
        let mut nodes: Vec<usize> = (0..self.nodes).collect();
        let mut order = Vec::new();
        while !nodes.is_empty() {
            order.push(self.pick(&mut nodes));
        }
        let lease = u64::try_from(self.lease.as_millis()).unwrap();
        let none = Duration::ZERO;
        let (hold, delay) = match kind {
            Kind::KillOne | Kind::KillTwo | Kind::KillAll => (self.millis(0, 2_000), none),
            Kind::Pause => (self.millis(2 * lease, 5 * lease), none),
            Kind::DiskFails => (none, none),
            Kind::Isolate | Kind::OneWay | Kind::Partial | Kind::DiskFull => {
                (self.millis(1_000, 5_000), none)
            }
            Kind::SlowNetwork => (self.millis(1_000, 5_000), self.millis(5, 300)),
            Kind::SlowDisk => (self.millis(1_000, 5_000), self.millis(10, 2_000)),
        };
        let other_form = self.rng.between(0, 2) == 1;
        Event { kind, order, hold, delay, other_form }
    }
}

#[cfg(test)]
mod tests;
