//! What the snapshot actor decides: who may work now, who waits, and which folders go. Pure.
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use troupe_types::Moment;

/// Limits of a Store's snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// Snapshots made at the same time.
    pub generating: usize,
    /// Snapshots sent at the same time.
    pub sending: usize,
    /// Requests of each kind that may wait for their turn; further ones are refused, and Raft asks
    /// again.
    pub waiting: usize,
    /// A made snapshot that nobody sends is removed after this time.
    pub keep_generated: Duration,
    /// A received snapshot that no replica has taken in is removed after this time.
    pub keep_received: Duration,
    /// Time between two looks at the folders.
    pub clean_every: Duration,
}

impl Default for SnapshotOptions {
    fn default() -> Self {
        Self {
            generating: 2,
            sending: 32,
            waiting: 1024,
            keep_generated: Duration::from_secs(600),
            keep_received: Duration::from_secs(3600),
            clean_every: Duration::from_secs(60),
        }
    }
}

/// Number of a request.
pub type Ticket = u64;

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Someone asks for a snapshot.
    Generate(Ticket),
    /// It was made, or could not be.
    Generated(Ticket),
    /// Someone asks to send what lies in `folder`.
    Send {
        /// Number of the request.
        ticket: Ticket,
        /// Name of the folder.
        folder: String,
    },
    /// It was sent, or could not be.
    Sent(Ticket),
    /// A look at the folders.
    Listed {
        /// All that are there.
        names: Vec<String>,
        /// Those that a replica still needs.
        needed: BTreeSet<String>,
    },
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Make the snapshot.
    Generate(Ticket),
    /// Send the snapshot.
    Send(Ticket),
    /// Too many wait.
    Refuse(Ticket),
    /// Remove the folder.
    Remove(String),
}

/// A limited number of running jobs and a queue.
#[derive(Debug, Default)]
struct Slots {
    running: BTreeSet<Ticket>,
    waiting: VecDeque<Ticket>,
}

impl Slots {
    /// `false`: too many wait.
    fn enter(&mut self, ticket: Ticket, limit: usize) -> bool {
        let has_room = self.waiting.len() < limit;
        if has_room {
            self.waiting.push_back(ticket);
        }
        has_room
    }

    fn next(&mut self, limit: usize) -> Option<Ticket> {
        if self.running.len() >= limit {
            return None;
        }
        let ticket = self.waiting.pop_front()?;
        self.running.insert(ticket);
        Some(ticket)
    }
}

/// The pure part.
#[derive(Debug)]
pub struct SnapshotCore {
    options: SnapshotOptions,
    generate: Slots,
    send: Slots,
    /// Folder of each send that waits or runs.
    users: BTreeMap<Ticket, String>,
    /// When a folder was first seen.
    seen: BTreeMap<String, Moment>,
}

/// Prefix of the folders of made snapshots.
pub const GENERATED: &str = "gen-";
/// Prefix of the folders of received snapshots.
pub const RECEIVED: &str = "recv-";

impl SnapshotCore {
    /// Nothing to do yet.
    #[must_use]
    pub fn new(options: SnapshotOptions) -> Self {
        Self {
            options,
            generate: Slots::default(),
            send: Slots::default(),
            users: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    /// Takes `input` at `now`.
    pub fn step(&mut self, now: Moment, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Generate(ticket) => {
                if !self.generate.enter(ticket, self.options.waiting) {
                    out.push(Output::Refuse(ticket));
                }
            }
            Input::Generated(ticket) => {
                self.generate.running.remove(&ticket);
            }
            Input::Send { ticket, folder } => {
                if self.send.enter(ticket, self.options.waiting) {
                    self.users.insert(ticket, folder);
                } else {
                    out.push(Output::Refuse(ticket));
                }
            }
            Input::Sent(ticket) => self.on_sent(ticket, out),
            Input::Listed { names, needed } => self.on_listed(now, names, &needed, out),
        }
        while let Some(ticket) = self.generate.next(self.options.generating) {
            out.push(Output::Generate(ticket));
        }
        while let Some(ticket) = self.send.next(self.options.sending) {
            out.push(Output::Send(ticket));
        }
        assert!(self.send.running.len() <= self.options.sending, "no more sends than slots");
    }

    fn on_sent(&mut self, ticket: Ticket, out: &mut Vec<Output>) {
        self.send.running.remove(&ticket);
        let Some(folder) = self.users.remove(&ticket) else { return };
        // Nothing but what was made here is removed, whatever a sender names.
        if folder.starts_with(GENERATED) && !self.is_used(&folder) {
            self.seen.remove(&folder);
            out.push(Output::Remove(folder));
        }
    }

    fn is_used(&self, folder: &str) -> bool {
        self.users.values().any(|used| used == folder)
    }

    fn on_listed(
        &mut self,
        now: Moment,
        names: Vec<String>,
        needed: &BTreeSet<String>,
        out: &mut Vec<Output>,
    ) {
        let before = std::mem::take(&mut self.seen);
        for name in names {
            let keep = if name.starts_with(GENERATED) {
                self.options.keep_generated
            } else if name.starts_with(RECEIVED) {
                self.options.keep_received
            } else {
                continue;
            };
            let since = before.get(&name).copied().unwrap_or(now);
            let is_old = now.since(since) >= keep;
            if is_old && !needed.contains(&name) && !self.is_used(&name) {
                out.push(Output::Remove(name));
            } else {
                self.seen.insert(name, since);
            }
        }
    }
}
