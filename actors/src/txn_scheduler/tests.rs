//! The scheduler: its pure parts by scripts, and a whole Store with it.
mod commands;
mod concurrency;
mod max_ts;
mod memory;
mod store;
mod waits;

use super::core::{CommandId, Effects, Input, Output, SchedulerCore, SchedulerOptions, Task};
use std::time::Duration;
use troupe_types::key::txn_key;
use troupe_types::request::{RegionReply, RegionTarget};
use troupe_types::txn::{LockInfo, LockKind, PessimisticLock, TxnCommand, TxnError};
use troupe_types::{Key, Moment, RegionEpoch, RegionError, RegionId, Term, Timestamp};

const REGION: RegionId = RegionId(7);
const TERM: Term = Term(6);

fn key(name: &str) -> Key {
    txn_key(0, name.as_bytes())
}

fn keys(names: &[&str]) -> Vec<Key> {
    names.iter().map(|name| key(name)).collect()
}

fn ms(millis: u64) -> Moment {
    Moment(0).after(Duration::from_millis(millis))
}

fn lock_on(name: &str, start_ts: u64) -> LockInfo {
    LockInfo {
        key: key(name),
        primary: key(name),
        start_ts: Timestamp(start_ts),
        kind: LockKind::Put,
        ttl_ms: 3000,
        txn_size: 1,
        for_update_ts: Timestamp(0),
        min_commit_ts: Timestamp(0),
        use_async_commit: false,
        secondaries: Vec::new(),
    }
}

fn commit(names: &[&str], start_ts: u64) -> TxnCommand {
    let (start_ts, commit_ts) = (Timestamp(start_ts), Timestamp(start_ts + 1));
    TxnCommand::Commit { keys: keys(names), start_ts, commit_ts }
}

fn lock(names: &[&str], start_ts: u64, wait_ms: Option<u64>) -> TxnCommand {
    TxnCommand::PessimisticLock(PessimisticLock {
        keys: keys(names).into_iter().map(|key| (key, false)).collect(),
        primary: key(names[0]),
        start_ts: Timestamp(start_ts),
        for_update_ts: Timestamp(start_ts),
        lock_ttl_ms: 3000,
        wait_ms,
        return_values: false,
        check_existence: false,
        lock_only_if_exists: false,
        allow_conflict: false,
        min_commit_ts: Timestamp(0),
    })
}

fn target() -> RegionTarget {
    RegionTarget { region: REGION, epoch: RegionEpoch::INITIAL }
}

/// A scheduler's core that a script drives; what it wants done is one line each.
struct Script {
    core: SchedulerCore<&'static str>,
    now: Moment,
    /// Commands that run, by name.
    running: Vec<(&'static str, CommandId, Task<&'static str>)>,
    lines: Vec<String>,
}

impl Script {
    fn new() -> Self {
        Self::with(SchedulerOptions::default())
    }

    fn with(options: SchedulerOptions) -> Self {
        let core = SchedulerCore::new(options, 0);
        Self { core, now: ms(1), running: Vec::new(), lines: Vec::new() }
    }

    fn step(&mut self, input: Input<&'static str>) {
        let mut out = Vec::new();
        self.core.step(self.now, input, &mut out);
        for output in out {
            self.note(output);
        }
    }

    fn note(&mut self, output: Output<&'static str>) {
        let line = match output {
            Output::Run { id, task, .. } => {
                let line = format!("run {}", task.waiter);
                self.running.push((task.waiter, id, task));
                line
            }
            Output::Answer(who, answer) => format!("answer {who}: {}", short(&answer)),
            Output::Detect { request, .. } => {
                use troupe_types::txn::deadlock::DetectRequest;
                match request {
                    DetectRequest::Wait(edge) => {
                        format!("{} waits for {}", edge.waiter, edge.holder)
                    }
                    DetectRequest::Woken(edge) => {
                        format!("{} waited for {}", edge.waiter, edge.holder)
                    }
                    DetectRequest::Ended(_) | DetectRequest::List => "?".to_owned(),
                }
            }
            Output::AskTimestamp => "ask PD".to_owned(),
            Output::CheckLeads(regions) => format!("check {regions:?}"),
        };
        self.lines.push(line);
    }

    fn submit(&mut self, name: &'static str, command: TxnCommand) {
        self.submit_by(name, command, Moment::NEVER);
    }

    fn submit_by(&mut self, name: &'static str, command: TxnCommand, deadline: Moment) {
        let command = Box::new(command);
        let task = Task { command, target: target(), deadline, wait_until: None, waiter: name };
        self.step(Input::Submit(task));
    }

    fn take(&mut self, name: &str) -> (CommandId, Task<&'static str>) {
        let at = self.running.iter().position(|(who, ..)| *who == name);
        let (_, id, task) = self.running.remove(at.expect("it runs"));
        (id, task)
    }

    fn done(&mut self, name: &str, effects: Effects) {
        let (id, _) = self.take(name);
        self.step(Input::Done(id, Box::new(effects)));
    }

    fn no_effect(&mut self, name: &str) {
        let (id, _) = self.take(name);
        self.step(Input::NoEffect(id));
    }

    fn blocked(&mut self, name: &str, lock: LockInfo) {
        let (id, task) = self.take(name);
        self.step(Input::Blocked(id, task, Box::new(lock)));
    }

    fn wake_at(&mut self, now: Moment) {
        self.now = now;
        self.step(Input::Wake);
    }

    /// What happened since the last look.
    #[track_caller]
    fn saw(&mut self, expected: &[&str]) {
        assert_eq!(std::mem::take(&mut self.lines), expected);
    }
}

fn short(answer: &Result<RegionReply, RegionError>) -> String {
    match answer {
        Ok(RegionReply::Txn(result)) => match &**result {
            Ok(reply) => format!("{reply:?}"),
            Err(TxnError::Locked(lock)) => format!("locked by {}", lock.start_ts),
            Err(TxnError::Deadlock { cycle, .. }) => format!("deadlock of {}", cycle.len()),
            Err(error) => error.to_string(),
        },
        Ok(other) => format!("{other:?}"),
        Err(RegionError::ServerIsBusy { .. }) => "busy".to_owned(),
        Err(RegionError::DeadlineExceeded) => "too late".to_owned(),
        Err(RegionError::NotLeader { .. }) => "not the leader".to_owned(),
        Err(other) => other.to_string(),
    }
}

fn effects(start_ts: u64) -> Effects {
    Effects { region: REGION, term: TERM, start_ts: Timestamp(start_ts), ..Effects::default() }
}

fn releasing(names: &[&str], start_ts: u64) -> Effects {
    Effects { released: keys(names), ..effects(start_ts) }
}

fn locking(names: &[&str], start_ts: u64) -> Effects {
    Effects { locked: keys(names), ..effects(start_ts) }
}
