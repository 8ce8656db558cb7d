//! Which part of a load counts.
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// How far a load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Clients connect.
    Connecting,
    /// Requests run and do not count.
    WarmUp,
    /// What is answered counts.
    Measuring,
    /// No new request of an open loop is due; what was due is still answered.
    Draining,
    /// Clients end.
    Stopped,
}

/// The present phase, and from when to when was measured.
#[derive(Debug)]
pub struct Window {
    phase: AtomicU8,
    from: AtomicU64,
    until: AtomicU64,
}

impl Default for Window {
    fn default() -> Self {
        let phase = AtomicU8::new(Phase::Connecting as u8);
        Self { phase, from: AtomicU64::new(u64::MAX), until: AtomicU64::new(u64::MAX) }
    }
}

impl Window {
    /// The present phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        let phases = [Phase::Connecting, Phase::WarmUp, Phase::Measuring, Phase::Draining];
        let phase = self.phase.load(Ordering::Acquire);
        phases.into_iter().find(|known| *known as u8 == phase).unwrap_or(Phase::Stopped)
    }

    /// Enters a phase.
    pub fn set(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// Measuring begins, at this time.
    pub fn open(&self, now: u64) {
        self.from.store(now, Ordering::Release);
        self.set(Phase::Measuring);
    }

    /// Measuring ends, at this time.
    pub fn close(&self, now: u64) {
        self.until.store(now, Ordering::Release);
        self.set(Phase::Draining);
    }

    /// Does the latency of a request that was due at `time` count?
    #[must_use]
    pub fn contains(&self, time: u64) -> bool {
        self.from.load(Ordering::Acquire) <= time && time < self.until.load(Ordering::Acquire)
    }
}
