//! In which term of which Region a commit timestamp may be chosen from the Store's `max_ts`.
//!
//! A former leader may have served snapshots that this Store has never heard of. All of them had
//! timestamps that PD gave before this replica led: the former leader's lease was over by then, and a
//! read without lease was confirmed by a majority that had not voted for this replica yet. So one
//! timestamp that PD is asked for *after* the replica led lies above all of them. Until it is known,
//! commands that choose a commit timestamp are refused in that term.
use std::collections::BTreeMap;
use std::time::Duration;
use troupe_types::{Moment, RegionId, Term};

/// Pause after PD did not answer.
const RETRY: Duration = Duration::from_millis(200);

/// See the module. One request to PD serves all Regions that led before it was sent.
#[derive(Debug, Default)]
pub struct MaxTsBook {
    synced: BTreeMap<RegionId, Term>,
    /// Led, and not asked for yet.
    wanted: BTreeMap<RegionId, Term>,
    /// What the request under way will be good for.
    asking: Option<BTreeMap<RegionId, Term>>,
    retry_at: Option<Moment>,
}

/// May a command choose its commit timestamp in `term`, where `synced` is the term that is known to
/// be in order?
#[must_use]
pub fn may_choose_commit_ts(synced: Option<Term>, term: Term) -> bool {
    synced == Some(term) || planted!(MaxTsNotSynced)
}

impl MaxTsBook {
    /// A replica here leads `region` in `term` and may serve.
    pub fn on_led(&mut self, region: RegionId, term: Term) {
        let covers = |known: Option<&Term>| known.is_some_and(|known| *known >= term);
        let asked = self.asking.as_ref().and_then(|asking| asking.get(&region));
        if !covers(self.synced.get(&region)) && !covers(asked) && !covers(self.wanted.get(&region))
        {
            self.wanted.insert(region, term);
        }
    }

    /// Must PD be asked now? Then the request is to be sent at once, and nothing before it counts.
    pub fn begin(&mut self, now: Moment) -> bool {
        let waits = self.retry_at.is_some_and(|at| now < at);
        if self.wanted.is_empty() || self.asking.is_some() || waits {
            return false;
        }
        self.retry_at = None;
        self.asking = Some(std::mem::take(&mut self.wanted));
        true
    }

    /// PD has answered, and `max_ts` was raised to its timestamp; or it has not.
    pub fn on_answer(&mut self, now: Moment, is_raised: bool) {
        let asked = self.asking.take().unwrap_or_default();
        if is_raised {
            self.synced.extend(asked);
            return;
        }
        self.retry_at = Some(now.after(RETRY));
        for (region, term) in asked {
            self.on_led(region, term);
        }
    }

    /// The term of `region` for which `max_ts` is known to be in order.
    #[must_use]
    pub fn synced(&self, region: RegionId) -> Option<Term> {
        self.synced.get(&region).copied()
    }

    /// When to ask PD again.
    #[must_use]
    pub fn retry_at(&self) -> Option<Moment> {
        self.retry_at.filter(|_| !self.wanted.is_empty())
    }
}
