//! Operations on single keys and what their clients saw.
use std::fmt;

/// A value written by a client. No two writes of a history write the same one.
pub type Value = u64;

/// What a client asks for. Keys are numbers here; the driver maps them to bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Read.
    Get,
    /// Write blindly.
    Put(Value),
    /// Remove blindly.
    Delete,
    /// Write `new` if `expect` is there (`None` = nothing).
    Cas {
        /// What must be there.
        expect: Option<Value>,
        /// What is written then.
        new: Value,
    },
}

/// What the client saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Of a read.
    Read(Option<Value>),
    /// Of a put or delete that was acknowledged.
    Done,
    /// Of a compare-and-swap.
    Swapped {
        /// Was `expect` there?
        succeeded: bool,
        /// What was there.
        previous: Option<Value>,
    },
    /// It had no effect and never will.
    Failed,
    /// Perhaps it has, had, or will have its effect, once.
    Unknown,
}

/// One operation. Points in time are places in the history's one order of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who.
    pub client: u32,
    /// On which key.
    pub key: u32,
    /// What.
    pub op: Op,
    /// When it was asked for.
    pub invoked: u64,
    /// When the answer came; `None` = never.
    pub returned: Option<u64>,
    /// What came.
    pub outcome: Outcome,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let returned = self.returned.map_or_else(|| "never".to_owned(), |at| at.to_string());
        write!(
            f,
            "[{:>5} … {returned:>5}] client {} key {}: {:?} = {:?}",
            self.invoked, self.client, self.key, self.op, self.outcome
        )
    }
}

/// Number of an operation in its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpId(usize);

/// All operations of a run.
#[derive(Clone, Debug, Default)]
pub struct History {
    records: Vec<Record>,
    clock: u64,
}

impl History {
    /// The next point in time.
    pub fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// A client asks. Until it returns, its outcome is unknown.
    pub fn invoke(&mut self, client: u32, key: u32, op: Op) -> OpId {
        let (invoked, outcome) = (self.tick(), Outcome::Unknown);
        self.records.push(Record { client, key, op, invoked, returned: None, outcome });
        OpId(self.records.len() - 1)
    }

    /// The answer came.
    pub fn complete(&mut self, id: OpId, outcome: Outcome) {
        let now = self.tick();
        let record = &mut self.records[id.0];
        assert!(record.returned.is_none(), "an operation returns once");
        record.returned = Some(now);
        record.outcome = outcome;
    }

    /// All operations, in the order in which they were asked for.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Operations that were answered, that had no effect, and whose outcome is unknown.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |wanted: fn(&Outcome) -> bool| {
            self.records.iter().filter(|record| wanted(&record.outcome)).count()
        };
        let failed = count(|outcome| *outcome == Outcome::Failed);
        let unknown = count(|outcome| *outcome == Outcome::Unknown);
        (self.records.len() - failed - unknown, failed, unknown)
    }
}
