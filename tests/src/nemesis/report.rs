//! What people and programs read about a run.
use super::event::Kind;
use super::load::Window;
use super::verdict::WindowVerdict;
use crate::sim::checkers::txn::book::{Counts, Verdict};
use crate::workload::Record;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A run with fewer answers a second shows nothing.
const LEAST_ANSWERS_PER_S: f64 = 100.0;
/// Nor does one in which more outcomes are unknown than this share.
const MOST_UNKNOWN: f64 = 0.2;

/// An event that went well.
#[derive(Clone, Copy, Debug)]
pub struct Happened {
    /// What.
    pub kind: Kind,
    /// From its end until every Region served writes through every node.
    pub recovery: Duration,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Data, configuration and logs of the nodes.
    pub folder: PathBuf,
    /// Events that went well.
    pub events: Vec<Happened>,
    /// How long the clients worked.
    pub load_time: Duration,
    /// Operations that were answered.
    pub answered: u64,
    /// Operations that had no effect.
    pub failed: u64,
    /// Operations of unknown outcome.
    pub unknown: u64,
    /// Windows of the history.
    pub windows: u64,
    /// All windows together.
    pub history: WindowVerdict,
    /// How transactions ended.
    pub transactions: Counts,
    /// What the checkers of transactions looked at.
    pub looked_at: Verdict,
    /// Errors that transactions met, by code.
    pub txn_codes: BTreeMap<String, u64>,
    /// Errors that clients met, by code.
    pub codes: BTreeMap<String, u64>,
    /// Replicas that were compared at the end.
    pub replicas: usize,
    /// Pairs among them at the same entry.
    pub level_pairs: usize,
    /// What was wrong; empty = nothing.
    pub wrong: Vec<String>,
}

/// How a run is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing was wrong.
    Passed,
    /// Too little worked, or could be checked, to say anything.
    Void,
    /// A promise was broken.
    Violated,
}

impl Report {
    /// Of a run that begins.
    #[must_use]
    pub fn new(seed: u64, folder: PathBuf) -> Self {
        Self {
            seed,
            folder,
            events: Vec::new(),
            load_time: Duration::ZERO,
            answered: 0,
            failed: 0,
            unknown: 0,
            windows: 0,
            history: WindowVerdict::default(),
            transactions: Counts::default(),
            looked_at: Verdict::default(),
            txn_codes: BTreeMap::new(),
            codes: BTreeMap::new(),
            replicas: 0,
            level_pairs: 0,
            wrong: Vec::new(),
        }
    }

    /// Adds the check of a window with so many answered, failed and unknown operations.
    pub fn add_window(&mut self, counts: (usize, usize, usize), verdict: WindowVerdict) {
        let (answered, failed, unknown) = counts;
        self.windows += 1;
        self.answered += answered as u64;
        self.failed += failed as u64;
        self.unknown += unknown as u64;
        self.history.linearizable += verdict.linearizable;
        self.history.undecided += verdict.undecided;
        self.history.acknowledged += verdict.acknowledged;
        self.history.lost += verdict.lost;
        self.history.busiest = self.history.busiest.max(verdict.busiest);
        self.wrong.extend(verdict.wrong);
    }

    /// Adds the verdict on all transactions.
    pub fn add_transactions(
        &mut self,
        counts: Counts,
        verdict: Verdict,
        codes: BTreeMap<String, u64>,
    ) {
        self.transactions = counts;
        self.wrong.extend(verdict.wrong.iter().cloned());
        self.looked_at = verdict;
        self.txn_codes = codes;
    }

    /// Writes the operations of a window beside the nodes' logs, a JSON object a line.
    pub fn keep_history(&self, window: &Window) {
        let path = self.folder.join(format!("history-{}.jsonl", window.number));
        let lines: Vec<String> = window.records().iter().map(line).collect();
        std::fs::write(path, lines.join("\n")).expect("the history is written");
    }

    /// Answered operations a second.
    #[must_use]
    pub fn answers_per_s(&self) -> f64 {
        self.answered as f64 / self.load_time.as_secs_f64().max(0.001)
    }

    /// Share of unknown outcomes among operations that may have had an effect.
    #[must_use]
    pub fn unknown_share(&self) -> f64 {
        self.unknown as f64 / (self.answered + self.unknown).max(1) as f64
    }

    /// See [`Judgement`].
    #[must_use]
    pub fn judgement(&self) -> Judgement {
        let shows_little = self.answers_per_s() < LEAST_ANSWERS_PER_S
            || self.unknown_share() > MOST_UNKNOWN
            || self.history.undecided > 0;
        match (self.wrong.is_empty(), shows_little) {
            (false, _) => Judgement::Violated,
            (true, true) => Judgement::Void,
            (true, false) => Judgement::Passed,
        }
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Json {
        let kinds = self.by_kind().into_iter().map(|(kind, times)| {
            let figures = json!({
                "events": times.len(),
                "recovery_ms_p50": middle(&times).as_millis(),
                "recovery_ms_max": longest(&times).as_millis(),
            });
            (kind.name().to_owned(), figures)
        });
        json!({
            "seed": self.seed,
            "verdict": format!("{:?}", self.judgement()).to_lowercase(),
            "events": self.events.len(),
            "kinds": kinds.collect::<serde_json::Map<_, _>>(),
            "load_s": self.load_time.as_secs_f64(),
            "answered": self.answered,
            "failed": self.failed,
            "unknown": self.unknown,
            "transactions_committed": self.transactions.committed,
            "transactions_failed": self.transactions.failed,
            "transactions_unknown": self.transactions.unknown,
            "list_transactions_compared": self.looked_at.lists.counted,
            "write_skews": self.looked_at.lists.write_skews,
            "bank_snapshots": self.looked_at.balances,
            "idempotent_sendings": self.looked_at.attempts,
            "transaction_errors": self.txn_codes,
            "errors": self.codes,
            "acknowledged_writes": self.history.acknowledged,
            "acknowledged_lost": self.history.lost,
            "windows": self.windows,
            "keys_linearizable": self.history.linearizable,
            "keys_undecided": self.history.undecided,
            "operations_of_busiest_key": self.history.busiest,
            "replicas_compared": self.replicas,
            "replica_pairs_at_equal_index": self.level_pairs,
            "wrong": self.wrong,
            "folder": self.folder,
        })
    }

    /// Writes [`Report::json`] to `path`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_json(&self, path: &Path) -> std::io::Result<()> {
        std::fs::write(path, format!("{:#}\n", self.json()))
    }

    fn by_kind(&self) -> BTreeMap<Kind, Vec<Duration>> {
        let mut kinds: BTreeMap<Kind, Vec<Duration>> = BTreeMap::new();
        for event in &self.events {
            kinds.entry(event.kind).or_default().push(event.recovery);
        }
        for times in kinds.values_mut() {
            times.sort_unstable();
        }
        kinds
    }
}

fn line(record: &Record) -> String {
    json!({
        "client": record.client,
        "key": record.key,
        "op": format!("{:?}", record.op),
        "invoked": record.invoked,
        "returned": record.returned,
        "outcome": format!("{:?}", record.outcome),
    })
    .to_string()
}

/// The middle one of sorted times.
fn middle(times: &[Duration]) -> Duration {
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn longest(times: &[Duration]) -> Duration {
    times.last().copied().unwrap_or_default()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{:<14}{:>7}{:>16}{:>16}", "event", "count", "recovery p50", "recovery max")?;
        for (kind, times) in self.by_kind() {
            let (p50, max) = (middle(&times).as_millis(), longest(&times).as_millis());
            writeln!(f, "{:<14}{:>7}{p50:>13} ms{max:>13} ms", kind.name(), times.len())?;
        }
        let mut all: Vec<Duration> = self.events.iter().map(|event| event.recovery).collect();
        all.sort_unstable();
        let (p50, max) = (middle(&all).as_millis(), longest(&all).as_millis());
        writeln!(f, "{:<14}{:>7}{p50:>13} ms{max:>13} ms\n", "all", all.len())?;
        writeln!(
            f,
            "operations          {} answered ({:.0} a second), {} without effect, {} unknown ({:.2} %)",
            self.answered,
            self.answers_per_s(),
            self.failed,
            self.unknown,
            self.unknown_share() * 100.0
        )?;
        let seen = &self.looked_at;
        writeln!(f, "transactions        {}", self.transactions)?;
        writeln!(
            f,
            "                    compared: {} on lists ({} write skews where allowed), {} sums of all \
             accounts, {} sendings under idempotency keys",
            seen.lists.counted, seen.lists.write_skews, seen.balances, seen.attempts
        )?;
        let errors: Vec<_> = self.txn_codes.iter().map(|(code, n)| format!("{code} {n}")).collect();
        writeln!(f, "                    errors met: {}", errors.join(", "))?;
        let errors: Vec<_> = self.codes.iter().map(|(code, n)| format!("{code} {n}")).collect();
        writeln!(f, "errors met          {}", errors.join(", "))?;
        let history = &self.history;
        writeln!(f, "acknowledged lost   {} of {}", history.lost, history.acknowledged)?;
        writeln!(
            f,
            "history             {} keys linearizable, {} undecided, in {} windows; at most {} \
             operations a key",
            history.linearizable, history.undecided, self.windows, history.busiest
        )?;
        writeln!(
            f,
            "replicas            {} compared, {} pairs at the same entry",
            self.replicas, self.level_pairs
        )?;
        for wrong in &self.wrong {
            writeln!(f, "WRONG: {wrong}")?;
        }
        match self.judgement() {
            Judgement::Passed => write!(f, "passed (seed {})", self.seed),
            Judgement::Void => write!(
                f,
                "void (seed {}): it takes {LEAST_ANSWERS_PER_S} answers a second, at most {} % unknown, \
                 and no key undecided; logs are in {}",
                self.seed,
                MOST_UNKNOWN * 100.0,
                self.folder.display()
            ),
            Judgement::Violated => write!(
                f,
                "violated (seed {}): data, logs and history are in {}",
                self.seed,
                self.folder.display()
            ),
        }
    }
}
