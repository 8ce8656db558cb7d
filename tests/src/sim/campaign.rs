//! Many seeds: handed to child processes, one a core, with a progress line and a summary.
//!
//! A child is this test binary again, with `SIM_CHILD` set. It reads seeds from its standard input and
//! writes one line of JSON for each. With two runs a seed, two different children run it, and must see
//! the same events.
use super::run::{Report, RunOptions, Violation, quiet_panics, run_or_say};
use super::summary::Summary;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Longest real time of one seed; more is a world that stands still.
const PATIENCE: Duration = Duration::from_secs(180);
/// What a line of a child begins with, so that the test harness' own lines are no results.
const MARK: &str = "SIM ";

/// What to run.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The first seed.
    pub first: u64,
    /// How many.
    pub seeds: u64,
    /// How often each: once, or twice in different processes.
    pub runs: u64,
    /// Child processes.
    pub jobs: u64,
    /// End after the first violation.
    pub stops_early: bool,
    /// Name of the test that calls [`serve`] when it is a child.
    pub test: &'static str,
}

/// What came of a seed, told by worker threads.
type Told = (u64, Result<Value, String>);

/// Serves as a child: runs each seed that comes in.
pub fn serve() {
    quiet_panics();
    for line in std::io::stdin().lines() {
        let seed: u64 = line.expect("the parent writes").trim().parse().expect("a seed");
        // A thread of its own: nothing of one world is left for the next.
        let world = std::thread::spawn(move || run_or_say(RunOptions::of_seed(seed)));
        let result = match world.join() {
            Ok(Ok(report)) => to_json(&report),
            Ok(Err(violation)) => violation_to_json(&violation),
            Err(_) => json!({"violation": format!("seed {seed}: the world itself panicked")}),
        };
        println!("\n{MARK}{result}");
    }
}

fn violation_to_json(violation: &Violation) -> Value {
    json!({"violation": violation.to_string()})
}

fn to_json(report: &Report) -> Value {
    let (answered, failed, unknown) = report.operations;
    json!({
        "hash": format!("{:016x}", report.hash),
        "events": report.events,
        "answered": answered,
        "failed": failed,
        "unknown": unknown,
        "txn_committed": report.transactions.counts.committed,
        "txn_failed": report.transactions.counts.failed,
        "txn_unknown": report.transactions.counts.unknown,
        "txn_write_skews": report.transactions.write_skews,
        "timestamps": report.timestamps,
        "terms": report.terms,
        "virtual_ms": report.virtual_ms,
        "faults": report.faults,
    })
}

struct Worker {
    child: Child,
    lines: Receiver<String>,
}

impl Worker {
    fn start(test: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this test has a binary"))
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env("SIM_CHILD", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the test runs again");
        let output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some(result) = line.strip_prefix(MARK) {
                    let _ = tell.send(result.to_owned());
                }
            }
        });
        Self { child, lines }
    }

    fn run(&mut self, seed: u64) -> Result<Value, String> {
        let input = self.child.stdin.as_mut().expect("its input is piped");
        let asked = writeln!(input, "{seed}");
        let told = asked.map_err(|_| RecvTimeoutError::Disconnected);
        let line = told.and_then(|()| self.lines.recv_timeout(PATIENCE));
        let line = line.map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                format!("VIOLATION in seed {seed}: no end after {PATIENCE:?} of real time")
            }
            RecvTimeoutError::Disconnected => {
                format!("VIOLATION in seed {seed}: the process of the simulator died")
            }
        })?;
        let result: Value = serde_json::from_str(&line).expect("a child writes JSON");
        match result["violation"].as_str() {
            Some(violation) => Err(violation.to_owned()),
            None => Ok(result),
        }
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `seeds` in one child after the other: a new one where the last one died or stood still.
fn work(test: &str, seeds: &[u64], tell: &Sender<Told>) {
    let mut worker = Worker::start(test);
    for seed in seeds {
        let result = worker.run(*seed);
        let is_lost = result.is_err();
        if tell.send((*seed, result)).is_err() {
            break;
        }
        if is_lost {
            std::mem::replace(&mut worker, Worker::start(test)).end();
        }
    }
    worker.end();
}

impl Campaign {
    /// Seeds of worker number `worker`: each seed goes to `runs` workers that follow each other.
    fn share(&self, worker: u64) -> Vec<u64> {
        let is_mine = |seed: &u64| (0..self.runs).any(|run| (seed + run) % self.jobs == worker);
        (self.first..self.first + self.seeds).filter(is_mine).collect()
    }

    /// Runs all seeds; prints progress, each violation as it comes, and the summary.
    #[must_use]
    pub fn run(&self) -> Summary {
        assert!(self.jobs >= self.runs, "each run of a seed is in a process of its own");
        let began = now();
        let mut summary = Summary::default();
        let mut progress = Progress::new(self.seeds * self.runs, began);
        let mut hashes: BTreeMap<u64, Value> = BTreeMap::new();
        let (tell, told) = channel::<Told>();
        std::thread::scope(|scope| {
            for worker in 0..self.jobs {
                let (tell, seeds) = (tell.clone(), self.share(worker));
                scope.spawn(move || work(self.test, &seeds, &tell));
            }
            drop(tell);
            // Moved in: workers end when nobody listens any more.
            let told = told;
            for (seed, result) in &told {
                let violation = match result {
                    Ok(result) => summary.add(&result, &mut hashes, seed),
                    Err(violation) => Some(violation),
                };
                if let Some(violation) = violation {
                    eprintln!("\n{violation}\n");
                    summary.violations.push((seed, violation));
                }
                progress.step(summary.violations.len());
                if self.stops_early && !summary.violations.is_empty() {
                    break;
                }
            }
        });
        summary.wall = now() - began;
        summary
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a campaign takes is real time")]
fn now() -> Instant {
    Instant::now()
}

/// The line that says how far a campaign is.
struct Progress {
    all: u64,
    done: u64,
    began: Instant,
    last: Instant,
    is_terminal: bool,
}

impl Progress {
    fn new(all: u64, began: Instant) -> Self {
        Self { all, done: 0, began, last: began, is_terminal: std::io::stderr().is_terminal() }
    }

    fn step(&mut self, violations: usize) {
        self.done += 1;
        let every = if self.is_terminal { 1 } else { 15 };
        let at = now();
        if at - self.last < Duration::from_secs(every) && self.done < self.all {
            return;
        }
        self.last = at;
        let seconds = (at - self.began).as_secs_f64();
        let rate = self.done as f64 / seconds.max(0.001);
        let left = (self.all - self.done) as f64 / rate;
        let (start, end) = if self.is_terminal { ("\r", "   ") } else { ("", "\n") };
        eprint!(
            "{start}sim: {} of {} runs, {rate:.1} a second, {left:.0} s to go, {violations} \
             violations{end}",
            self.done, self.all
        );
        if self.is_terminal && self.done == self.all {
            eprintln!();
        }
    }
}
