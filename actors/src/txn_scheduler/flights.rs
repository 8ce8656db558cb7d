//! What commands of a Store have under way outside of their scheduler: executions on the worker and
//! proposals whose fate is not known yet.
//!
//! A latch protects a key until the command's changes are in the engine, or surely never will be
//! *in the term in which they were decided*. A proposal is answered when its fate is known, and
//! without that only when
//!
//! * its replica halts: it serves no more in that term,
//! * its replica crashes, is removed, or takes a snapshot: it leads no more in that term.
//!
//! So an unknown outcome comes with the end of the term here. Whether the entry takes effect is decided
//! in a later term; and whoever executes a command in that has first applied an entry of it, and so
//! everything that survived from before. It is therefore enough to keep the latches and the published
//! locks of a command *in doubt* until the replica's view shows that it does not serve in the term any
//! more: from then on no command can execute here in it, and no reader can take a snapshot.
use super::concurrency::ConcurrencyManager;
use super::core::CommandId;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use troupe_types::{Key, RegionId, Term};

/// A command whose outcome is unknown.
#[derive(Debug)]
pub struct Doubt {
    /// Which.
    pub id: CommandId,
    /// Where.
    pub region: RegionId,
    /// The term that it was decided in.
    pub term: Term,
    /// Keys that have a published lock of it.
    pub published: Vec<Key>,
}

#[derive(Debug, Default)]
struct State {
    /// Numbers of all that flies; later ones are larger.
    flying: BTreeSet<u64>,
    next: u64,
    doubts: Vec<Doubt>,
}

/// See the module. Outlives the scheduler's lives.
#[derive(Debug, Default)]
pub struct Flights {
    state: Mutex<State>,
    landed: Notify,
}

/// One execution or proposal. Dropped when nothing of it is under way any more.
#[derive(Debug)]
pub struct Flight(Arc<Flights>, u64);

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.lock().flying.remove(&self.1);
        self.0.landed.notify_waiters();
    }
}

impl Flights {
    /// Something begins.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> Flight {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.flying.insert(number);
        Flight(self.clone(), number)
    }

    /// The outcome of a command is unknown. Must be called before its flight ends.
    pub fn doubt(&self, doubt: Doubt) {
        self.lock().doubts.push(doubt);
    }

    /// Is any outcome unknown?
    #[must_use]
    pub fn has_doubts(&self) -> bool {
        !self.lock().doubts.is_empty()
    }

    /// Ends the doubts whose term `is_over`: their locks are withdrawn. Answers their commands.
    pub fn settle_doubts(
        &self,
        concurrency: &ConcurrencyManager,
        is_over: impl Fn(RegionId, Term) -> bool,
    ) -> Vec<CommandId> {
        let mut state = self.lock();
        let all = std::mem::take(&mut state.doubts);
        let (over, open): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|doubt| is_over(doubt.region, doubt.term));
        state.doubts = open;
        drop(state);
        for doubt in &over {
            concurrency.withdraw(&doubt.published);
        }
        over.into_iter().map(|doubt| doubt.id).collect()
    }

    /// Commands of `region` whose outcome is unknown.
    #[must_use]
    pub fn doubts_of(&self, region: RegionId) -> BTreeSet<CommandId> {
        let state = self.lock();
        state.doubts.iter().filter(|doubt| doubt.region == region).map(|doubt| doubt.id).collect()
    }

    /// Completes when nothing flies.
    pub async fn until_landed(&self) {
        self.until(|state| state.flying.is_empty()).await;
    }

    /// Completes when nothing flies any more that flies now.
    pub async fn until_earlier_landed(&self) {
        let next = self.lock().next;
        self.until(|state| state.flying.first().is_none_or(|first| *first >= next)).await;
    }

    async fn until(&self, is_so: impl Fn(&State) -> bool) {
        loop {
            // Listens before it looks: an end in between is heard.
            let landed = self.landed.notified();
            if is_so(&self.lock()) {
                return;
            }
            landed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
