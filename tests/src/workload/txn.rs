//! Transactions on lists and what their clients saw.
use std::fmt;
use troupe_types::Timestamp;

/// A step of a transaction on lists of numbers. No two appends of a history append the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListStep {
    /// A number was put at the end of the list of a key.
    Append(u32, u64),
    /// The list of a key was read.
    Read(u32, Vec<u64>),
}

/// What a transaction was promised about its reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// They are of one snapshot, taken after the transaction was asked for.
    Snapshot,
    /// Each is still true at the commit: they were locked, or checked again.
    Serializable,
    /// They are of one snapshot, of a time that the client chose.
    Past,
}

/// What became of a transaction, as far as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Committed.
    Committed,
    /// It had no effect and never will.
    Failed,
    /// Committed, or without effect, or still on its way.
    Unknown,
}

/// One transaction. Points in time are places in the history's one order of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListTxn {
    /// Who.
    pub client: u32,
    /// When it was asked for.
    pub invoked: u64,
    /// When the answer came; `None` = never.
    pub returned: Option<u64>,
    /// What was promised.
    pub level: Level,
    /// What came.
    pub fate: Fate,
    /// The snapshot of its reads, if it had one that the client knows.
    pub read_ts: Option<Timestamp>,
    /// When it committed, if it wrote and the client knows.
    pub commit_ts: Option<Timestamp>,
    /// What it did and saw, in order. Of one that was not answered: what is known of it.
    pub steps: Vec<ListStep>,
}

impl ListTxn {
    /// One that has just begun; a book says when.
    #[must_use]
    pub fn begun(client: u32, level: Level, steps: Vec<ListStep>) -> Self {
        Self {
            client,
            invoked: 0,
            returned: None,
            level,
            fate: Fate::Unknown,
            read_ts: None,
            commit_ts: None,
            steps,
        }
    }

    /// What it appended, in order.
    pub fn appends(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.steps.iter().filter_map(|step| match step {
            ListStep::Append(key, value) => Some((*key, *value)),
            ListStep::Read(..) => None,
        })
    }

    /// What it read, in order.
    pub fn reads(&self) -> impl Iterator<Item = (u32, &[u64])> + '_ {
        self.steps.iter().filter_map(|step| match step {
            ListStep::Append(..) => None,
            ListStep::Read(key, list) => Some((*key, list.as_slice())),
        })
    }
}

/// Numbers of a list that are shown to people.
const SHOWN: usize = 6;

struct List<'a>(&'a [u64]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = self.0.len().saturating_sub(SHOWN);
        let shown: Vec<_> = self.0[hidden..].iter().map(ToString::to_string).collect();
        let front = if hidden > 0 { format!("…{hidden} more, ") } else { String::new() };
        write!(f, "[{front}{}]", shown.join(", "))
    }
}

impl fmt::Display for ListStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append(key, value) => write!(f, "append {value} to key {key}"),
            Self::Read(key, list) => write!(f, "read key {key} = {}", List(list)),
        }
    }
}

impl fmt::Display for ListTxn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let returned = self.returned.map_or_else(|| "never".to_owned(), |at| at.to_string());
        let steps: Vec<_> = self.steps.iter().map(ToString::to_string).collect();
        write!(
            f,
            "[{:>5} … {returned:>5}] client {} {:?} {:?}",
            self.invoked, self.client, self.level, self.fate
        )?;
        if let Some(read_ts) = self.read_ts {
            write!(f, " reads at {read_ts}")?;
        }
        if let Some(commit_ts) = self.commit_ts {
            write!(f, " commits at {commit_ts}")?;
        }
        write!(f, ": {}", steps.join("; "))
    }
}
