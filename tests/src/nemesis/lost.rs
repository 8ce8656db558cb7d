//! Acknowledged writes that are gone.
//!
//! A key's last read shows one value. Whoever wrote it came after every write that is not there any
//! more; so an acknowledged write that was asked for after *that* one had returned is lost. This says
//! less than linearizability, and says it as a number.
use crate::workload::{Op, Outcome, Record};

/// What became of the acknowledged writes of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// Writes, deletions and swaps that were acknowledged.
    pub acknowledged: u64,
    /// Those among them that are lost.
    pub lost: Vec<Record>,
    /// The last read showed a value that nobody wrote.
    pub is_ghost: bool,
}

fn is_acknowledged(record: &Record) -> bool {
    match (record.op, record.outcome) {
        (Op::Put(_) | Op::Delete, Outcome::Done) => true,
        (Op::Cas { .. }, Outcome::Swapped { succeeded, .. }) => succeeded,
        (
            Op::Get | Op::Put(_) | Op::Delete | Op::Cas { .. },
            Outcome::Read(_)
            | Outcome::Done
            | Outcome::Swapped { .. }
            | Outcome::Failed
            | Outcome::Unknown,
        ) => false,
    }
}

fn leaves(record: &Record) -> Option<u64> {
    match record.op {
        Op::Put(value) | Op::Cas { new: value, .. } => Some(value),
        Op::Get | Op::Delete => None,
    }
}

/// When the effect of `record` was surely over: never, if its outcome is unknown.
fn over(record: &Record) -> u64 {
    match record.outcome {
        Outcome::Unknown => u64::MAX,
        Outcome::Read(_) | Outcome::Done | Outcome::Swapped { .. } | Outcome::Failed => {
            record.returned.unwrap_or(u64::MAX)
        }
    }
}

/// Judges all operations of one key by the last read of it.
#[must_use]
pub fn fate(records: &[Record]) -> Fate {
    let acknowledged: Vec<&Record> = records.iter().filter(|r| is_acknowledged(r)).collect();
    let mut fate = Fate { acknowledged: acknowledged.len() as u64, ..Fate::default() };
    let reads = records.iter().filter_map(|record| match record.outcome {
        Outcome::Read(value) => Some((record.invoked, value)),
        Outcome::Done | Outcome::Swapped { .. } | Outcome::Failed | Outcome::Unknown => None,
    });
    let Some((read_at, value)) = reads.max_by_key(|(invoked, _)| *invoked) else { return fate };
    let could_leave = |record: &&Record| {
        let writes = record.op != Op::Get && leaves(record) == value;
        writes && (is_acknowledged(record) || record.outcome == Outcome::Unknown)
    };
    let writer = records.iter().filter(could_leave).map(over).max();
    fate.is_ghost = value.is_some() && writer.is_none();
    let since = writer.unwrap_or(0);
    let is_lost = |record: &&&Record| record.invoked > since && over(record) < read_at;
    fate.lost = acknowledged.iter().filter(is_lost).map(|record| **record).collect();
    fate
}

#[cfg(test)]
mod tests;
