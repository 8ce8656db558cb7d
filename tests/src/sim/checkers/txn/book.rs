//! All that the clients of a run noted about their transactions, and the verdict on it.
use super::append::{self, Found};
use super::bank::{self, Balances};
use super::fork::{self, Sight};
use super::once::{self, Attempt};
use super::stamps::{self, Stamped};
use crate::workload::txn::{Fate, Level, ListStep, ListTxn};
use std::fmt;
use troupe_types::Timestamp;

/// Notes of a run. Points in time are places in its one order of events.
#[derive(Clone, Debug, Default)]
pub struct Book {
    clock: u64,
    lists: Vec<ListTxn>,
    balances: Vec<Balances>,
    sights: Vec<Sight>,
    attempts: Vec<Attempt>,
    stamps: Vec<Stamped>,
    other: Counts,
}

/// How many transactions ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Committed.
    pub committed: usize,
    /// Without effect.
    pub failed: usize,
    /// Unknown to their clients.
    pub unknown: usize,
}

impl Counts {
    fn add(&mut self, fate: Fate) {
        match fate {
            Fate::Committed => self.committed += 1,
            Fate::Failed => self.failed += 1,
            Fate::Unknown => self.unknown += 1,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { committed, failed, unknown } = self;
        write!(f, "{committed} committed, {failed} without effect, {unknown} unknown")
    }
}

/// Number of a transaction on lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListId(usize);

/// How a transaction on lists ended.
#[derive(Clone, Debug, Default)]
pub struct ListEnd {
    /// What it did and saw; `None`: what was known before.
    pub steps: Option<Vec<ListStep>>,
    /// The snapshot of its reads, if it had one that the client knows.
    pub read_ts: Option<Timestamp>,
    /// When it committed, if it wrote and the client knows.
    pub commit_ts: Option<Timestamp>,
}

/// What was wrong, and how much was looked at.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// For people.
    pub wrong: Vec<String>,
    /// What came of lists.
    pub lists: Found,
    /// Snapshots of all accounts.
    pub balances: usize,
    /// Readers of keys that are written once.
    pub sights: usize,
    /// Requests with idempotency keys.
    pub attempts: usize,
}

impl Book {
    /// The next point in time.
    pub fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// A transaction on lists is asked for. Until it ends, its outcome is unknown.
    pub fn begin(&mut self, txn: ListTxn) -> ListId {
        let invoked = self.tick();
        self.lists.push(ListTxn { invoked, returned: None, fate: Fate::Unknown, ..txn });
        ListId(self.lists.len() - 1)
    }

    /// What a transaction will have done, if its client never hears of it.
    pub fn expect(&mut self, id: ListId, steps: Vec<ListStep>) {
        self.lists[id.0].steps = steps;
    }

    /// Something else was promised about its reads than was known when it was asked for.
    pub fn relevel(&mut self, id: ListId, level: Level) {
        self.lists[id.0].level = level;
    }

    /// A transaction on lists ended for its client.
    pub fn end(&mut self, id: ListId, fate: Fate, end: ListEnd) -> &ListTxn {
        let returned = self.tick();
        let txn = &mut self.lists[id.0];
        assert!(txn.returned.is_none(), "a transaction ends once");
        (txn.returned, txn.fate) = (Some(returned), fate);
        (txn.read_ts, txn.commit_ts) = (end.read_ts, end.commit_ts);
        txn.steps = end.steps.unwrap_or_else(|| std::mem::take(&mut txn.steps));
        &self.lists[id.0]
    }

    /// One of another kind ended.
    pub fn count(&mut self, fate: Fate) {
        self.other.add(fate);
    }

    /// Somebody saw all accounts.
    pub fn saw_accounts(&mut self, balances: Balances) {
        self.balances.push(balances);
    }

    /// Somebody saw a group of keys that are written once.
    pub fn saw_group(&mut self, sight: Sight) {
        self.sights.push(sight);
    }

    /// A request with an idempotency key was sent.
    pub fn sent(&mut self, attempt: Attempt) {
        self.attempts.push(attempt);
    }

    /// A transaction of any kind ended, with timestamps.
    pub fn stamp(&mut self, stamped: Stamped) {
        if stamped.read_ts.is_some() || stamped.commit_ts.is_some() {
            self.stamps.push(stamped);
        }
    }

    /// Timestamps of transactions that ended, in the order in which they did.
    #[must_use]
    pub fn stamps(&self) -> &[Stamped] {
        &self.stamps
    }

    /// How many transactions ended how.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = self.other;
        self.lists.iter().for_each(|txn| counts.add(txn.fate));
        counts
    }

    /// Is all of it as promised, of accounts that hold `total` together?
    #[must_use]
    pub fn verdict(&self, total: i64) -> Verdict {
        let lists = append::check(&self.lists);
        let all: Vec<Stamped> = self.stamps.iter().cloned().chain(self.list_stamps()).collect();
        let mut wrong = lists.wrong.clone();
        wrong.extend(stamps::check_snapshots(&self.lists));
        wrong.extend(bank::check(&self.balances, total));
        wrong.extend(fork::check(&self.sights));
        wrong.extend(once::check(&self.attempts));
        wrong.extend(stamps::check_times(&all));
        Verdict {
            wrong,
            lists,
            balances: self.balances.len(),
            sights: self.sights.len(),
            attempts: self.attempts.len(),
        }
    }

    fn list_stamps(&self) -> impl Iterator<Item = Stamped> + '_ {
        let committed = self.lists.iter().filter(|txn| txn.fate == Fate::Committed);
        committed.filter(|txn| txn.level != Level::Past).filter_map(|txn| {
            Some(Stamped {
                who: format!("client {} on lists", txn.client),
                invoked: txn.invoked,
                returned: txn.returned?,
                read_ts: txn.read_ts,
                commit_ts: txn.commit_ts,
            })
        })
    }
}

#[cfg(test)]
mod tests;
