//! A run from founding to verdict.
use super::cluster::{Cluster, Plan};
use super::event::{Event, Events, Kind};
use super::inject;
use super::load::{KEYS, Load, Window};
use super::recovery::{read_all, until_level, until_serving};
use super::report::{Happened, Report};
use super::txns::TxnLoad;
use super::verdict::{WindowVerdict, check_replicas, check_window, level_pairs, stored};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use troupe_actors::env::Rngs;
use troupe_actors::real_env::SeededRngs;
use troupe_config::Config;

/// Nodes of a cluster under test.
const NODES: usize = 3;
/// Regions of it, besides the system Region.
const REGIONS: u32 = 6;
/// A window ends after so many events.
const WINDOW_EVENTS: usize = 10;
/// … or with so many operations: well below what can be checked for each of its keys.
const WINDOW_OPERATIONS: usize = KEYS as usize * 5_000;
/// Longest time for clients to get their last answers.
const DRAIN: Duration = Duration::from_secs(10);

/// What to run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Decides which events happen, to whom and for how long, and what clients ask for.
    pub seed: u64,
    /// How many events.
    pub events: usize,
    /// Only these kinds, each as often; empty = all, as often as [`Kind::ROUND`] says.
    pub kinds: Vec<Kind>,
    /// Program of a node.
    pub troupe: PathBuf,
    /// Where data, configuration and logs go. Must be empty.
    pub folder: PathBuf,
}

struct Run {
    options: RunOptions,
    cluster: Cluster,
    load: Arc<Load>,
    txns: Arc<TxnLoad>,
    /// Windows that are over.
    windows: Vec<Arc<Window>>,
    report: Report,
    started: Instant,
}

/// Runs all events, or as many as go well, and checks what came of it.
pub async fn run(options: RunOptions) -> Report {
    let plan = Plan {
        troupe: options.troupe.clone(),
        folder: options.folder.clone(),
        nodes: NODES,
        regions: REGIONS,
    };
    let cluster = Cluster::found(plan).await;
    let load = Load::new(cluster.urls(), Box::new(SeededRngs::new(options.seed)));
    let txns = TxnLoad::new(cluster.urls(), Box::new(SeededRngs::new(options.seed)));
    let report = Report::new(options.seed, options.folder.clone());
    println!("three nodes serve in {}; seed {}", options.folder.display(), options.seed);
    let started = Instant::now();
    let mut run = Run { options, cluster, load, txns, windows: Vec::new(), report, started };
    run.everything().await;
    run.report
}

impl Run {
    async fn everything(&mut self) {
        let mut clients = self.load.start();
        match self.txns.start().await {
            Ok(more) => clients.extend(more),
            Err(why) => self.report.wrong.push(why),
        }
        if self.report.wrong.is_empty()
            && let Err(why) = self.events().await
        {
            self.report.wrong.push(why);
        }
        self.load.stop();
        self.txns.stop();
        for client in clients {
            if client.await.is_err() {
                self.report.wrong.push("a client met an answer that it did not expect".to_owned());
            }
        }
        self.report.load_time = self.started.elapsed();
        self.windows.push(self.load.current());
        // A cluster that does not serve any more is not asked again: what was seen is judged.
        if self.report.wrong.is_empty() {
            self.report.wrong.extend(self.txns.last_look().await.err());
        }
        if self.report.wrong.is_empty() {
            self.report.wrong.extend(self.last_reads().await.err());
        }
        self.check_all().await;
        self.check_transactions().await;
        self.report.codes = self.load.api.nodes.codes();
        if self.report.wrong.is_empty() {
            self.compare_stores().await;
        }
    }

    async fn events(&mut self) -> Result<(), String> {
        let lease = Config::default().fast_clock().raft.lease;
        let rng = SeededRngs::new(self.options.seed).rng("events");
        let mut events = if self.options.kinds.is_empty() {
            Events::new(rng, NODES, lease)
        } else {
            Events::of(&self.options.kinds, rng, NODES, lease)
        };
        until_serving(&self.load).await?;
        for number in 1..=self.options.events {
            let event = events.draw();
            self.one(number, &event)
                .await
                .map_err(|why| format!("event {number}, {event}: {why}"))?;
            let window = self.load.current();
            if number % WINDOW_EVENTS == 0 || window.len() > WINDOW_OPERATIONS {
                self.end_window().await?;
            }
        }
        Ok(())
    }

    async fn one(&mut self, number: usize, event: &Event) -> Result<(), String> {
        let before = self.load.current().counts().0;
        let note = inject::perform(&mut self.cluster, &self.load, event).await?;
        let recovery = until_serving(&self.load).await;
        self.check_lives(event.kind)?;
        let recovery = recovery?;
        let answered = self.load.current().counts().0 - before;
        let happened = Happened { kind: event.kind, recovery };
        let (at, total) = (self.started.elapsed().as_secs(), self.options.events);
        println!(
            "[{number:>3}/{total}] {:>4} s  {event}; serves after {} ms; {answered} answers{}",
            at,
            recovery.as_millis(),
            if note.is_empty() { note } else { format!("; {note}") }
        );
        self.report.events.push(happened);
        Ok(())
    }

    /// Nobody ends behind our back.
    fn check_lives(&mut self, kind: Kind) -> Result<(), String> {
        for node in 0..self.cluster.size() {
            if let Some(status) = self.cluster.take_end(node) {
                return Err(format!("node {} ended with {status} after {}", node + 1, kind.name()));
            }
        }
        Ok(())
    }

    /// Goes on with other keys, and checks those of the window that is over.
    async fn end_window(&mut self) -> Result<(), String> {
        let window = self.load.next_window();
        self.windows.push(window.clone());
        self.drained(&window).await?;
        read_all(&self.load, &window).await?;
        let number = window.number;
        let verdict = in_background(window).await;
        println!(
            "          window {number}: {} keys linearizable, {} undecided; {} acknowledged writes, {} lost",
            verdict.linearizable, verdict.undecided, verdict.acknowledged, verdict.lost
        );
        match verdict.wrong.first() {
            Some(first) => Err(format!("window {number}: {}", headline(first))),
            None => Ok(()),
        }
    }

    async fn drained(&self, window: &Window) -> Result<(), String> {
        let deadline = Instant::now() + DRAIN;
        while window.under_way() > 0 {
            if Instant::now() > deadline {
                return Err(format!("clients still wait {} s after the end", DRAIN.as_secs()));
            }
            tokio::time::sleep(super::cluster::POLL).await;
        }
        Ok(())
    }

    /// Every key of every window once more, at the end.
    async fn last_reads(&self) -> Result<(), String> {
        for window in &self.windows {
            self.drained(window).await?;
            read_all(&self.load, window).await?;
        }
        until_level(&self.load).await
    }

    async fn check_all(&mut self) {
        for window in self.windows.clone() {
            let counts = window.counts();
            let verdict = in_background(window.clone()).await;
            if !verdict.wrong.is_empty() || verdict.undecided > 0 {
                self.report.keep_history(&window);
            }
            self.report.add_window(counts, verdict);
        }
    }

    async fn check_transactions(&mut self) {
        let txns = self.txns.clone();
        let judged = tokio::task::spawn_blocking(move || txns.verdict()).await;
        let verdict = judged.expect("the checkers do not panic");
        self.report.add_transactions(self.txns.counts(), verdict, self.txns.api().nodes.codes());
    }

    async fn compare_stores(&mut self) {
        let wrong = self.cluster.stop().await;
        let has_stopped = wrong.is_empty();
        self.report.wrong.extend(wrong);
        if !has_stopped {
            return;
        }
        let all = stored(&self.cluster);
        self.report.replicas = all.values().map(Vec::len).sum();
        self.report.level_pairs = level_pairs(&all);
        self.report.wrong.extend(check_replicas(&all, NODES));
    }
}

/// The first line of what may be many.
fn headline(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

async fn in_background(window: Arc<Window>) -> WindowVerdict {
    let checked = tokio::task::spawn_blocking(move || check_window(&window)).await;
    checked.expect("the checker does not panic")
}
