//! The leader's lease: until when no other replica can lead.
//!
//! A majority that acknowledged something the leader sent at time `t` does not vote for anyone else
//! before `t` plus the election time-out (check-quorum), so the leader may serve reads by itself up to
//! a part of that (Raft thesis 6.4.1). Three cases need care, each with a named test:
//! * A leader transfer makes the target campaign at once, and its order may arrive late. So from the
//!   first transfer on there is no lease for the rest of the term.
//! * A replica that has just restarted has forgotten whom it acknowledged. So it takes part in no
//!   vote for one election time-out (see `votes_from`).
//! * A leader that slept (suspended process, stuck disk) looks at the clock after it has taken its
//!   snapshot of the data, never before only.
use std::time::Duration;
use troupe_types::{Moment, Term};

/// Lease of one leader in one term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    term: Term,
    until: Moment,
    /// A transfer was started in this term.
    forfeited: bool,
}

impl Lease {
    /// A leader of `term` without lease.
    #[must_use]
    pub fn of_term(term: Term) -> Self {
        Self { term, until: Moment(0), forfeited: false }
    }

    /// A majority has acknowledged what was sent at `sent` in `term`. Answers the new end if the
    /// lease grew.
    pub fn renew(&mut self, term: Term, sent: Moment, length: Duration) -> Option<Moment> {
        let until = sent.after(length);
        if term != self.term || self.forfeited || until <= self.until {
            return None;
        }
        self.until = until;
        Some(until)
    }

    /// No lease for the rest of the term.
    pub fn forfeit(&mut self) {
        self.forfeited = true;
        self.until = Moment(0);
    }

    /// Was it given up for the rest of the term?
    #[must_use]
    pub fn is_forfeited(&self) -> bool {
        self.forfeited
    }

    /// Time left at `now`.
    #[must_use]
    pub fn left(&self, now: Moment) -> Duration {
        self.until.since(now)
    }

    /// Is it valid at `now`?
    #[must_use]
    pub fn is_valid(&self, now: Moment) -> bool {
        now < self.until
    }
}
