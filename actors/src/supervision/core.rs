//! When to restart, how long to wait, when to give up. Pure.
use std::collections::VecDeque;
use std::time::Duration;
use troupe_types::Moment;

/// How often a child may crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Restarts within `window`; one crash more is too many.
    pub restarts: u32,
    /// Time that a crash counts.
    pub window: Duration,
    /// Wait before the first restart; doubles with each further one in the window.
    pub backoff_min: Duration,
    /// Longest wait.
    pub backoff_max: Duration,
}

impl Default for Policy {
    /// 3 restarts in 10 minutes, after 100 ms, 200 ms, 400 ms.
    fn default() -> Self {
        Self {
            restarts: 3,
            window: Duration::from_secs(600),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(30),
        }
    }
}

/// What to do after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start again after this wait.
    RestartAfter(Duration),
    /// It crashed too often.
    GiveUp,
}

/// Counts the crashes of one child.
#[derive(Clone, Debug)]
pub struct RestartPolicy {
    policy: Policy,
    crashes: VecDeque<Moment>,
}

impl RestartPolicy {
    /// No crash so far.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, crashes: VecDeque::new() }
    }

    /// A crash at `now`. `jitter` is a random number that spreads the waits by up to a quarter.
    pub fn on_crash(&mut self, now: Moment, jitter: u64) -> Decision {
        while self.crashes.front().is_some_and(|at| now.since(*at) > self.policy.window) {
            self.crashes.pop_front();
        }
        self.crashes.push_back(now);
        let crashes = u32::try_from(self.crashes.len()).unwrap_or(u32::MAX);
        if crashes > self.policy.restarts {
            return Decision::GiveUp;
        }
        let wait = self.policy.backoff_min.saturating_mul(1 << (crashes - 1).min(16));
        let wait = wait.min(self.policy.backoff_max);
        let spread = u64::try_from(wait.as_nanos() / 4).unwrap_or(u64::MAX).max(1);
        Decision::RestartAfter(wait + Duration::from_nanos(jitter % spread))
    }
}

/// Watches for many children of one Store crashing at once: then the fault is not theirs.
#[derive(Clone, Debug)]
pub struct StormMeter {
    window: Duration,
    minimum: usize,
    crashes: VecDeque<Moment>,
}

impl StormMeter {
    /// More than `minimum` crashes, and more than 1 % of the children, within `window` are a storm.
    #[must_use]
    pub fn new(minimum: usize, window: Duration) -> Self {
        Self { window, minimum, crashes: VecDeque::new() }
    }

    /// A crash at `now` of one of `children`. Answers whether this is a storm.
    pub fn on_crash(&mut self, now: Moment, children: usize) -> bool {
        while self.crashes.front().is_some_and(|at| now.since(*at) > self.window) {
            self.crashes.pop_front();
        }
        self.crashes.push_back(now);
        self.crashes.len() > self.minimum.max(children / 100)
    }
}
