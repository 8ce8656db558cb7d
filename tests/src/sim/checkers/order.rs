//! Claims about order: timestamps, leaders, votes, leases.
use std::collections::BTreeMap;
use troupe_types::{PeerId, RegionId, StoreId, Term, Timestamp};

/// One request for timestamps that was answered. Points in time as in a history.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    /// When it was asked for.
    pub invoked: u64,
    /// When the answer came.
    pub returned: u64,
    /// The first of those given.
    pub first: Timestamp,
    /// The last of those given.
    pub last: Timestamp,
}

/// Timestamps asked for after others were answered are larger. Answers what is not so.
#[must_use]
pub fn timestamps(given: &[Given]) -> Option<String> {
    let mut by_return: Vec<&Given> = given.iter().collect();
    by_return.sort_by_key(|g| g.returned);
    let mut by_invoke: Vec<&Given> = given.iter().collect();
    by_invoke.sort_by_key(|g| g.invoked);
    let mut answered = by_return.into_iter().peekable();
    let mut largest: Option<&Given> = None;
    for later in by_invoke {
        while let Some(earlier) = answered.next_if(|g| g.returned < later.invoked) {
            if largest.is_none_or(|largest| largest.last < earlier.last) {
                largest = Some(earlier);
            }
        }
        if let Some(earlier) = largest.filter(|earlier| earlier.last >= later.first) {
            return Some(format!("timestamps went back: {earlier:?}, then {later:?}"));
        }
    }
    None
}

/// What one replica said about itself at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Which Region.
    pub region: RegionId,
    /// Which replica.
    pub peer: PeerId,
    /// On which Store.
    pub store: StoreId,
    /// Its term.
    pub term: Term,
    /// Does it say that it leads?
    pub leads: bool,
    /// Would it serve a read by its lease, by its own clock?
    pub has_lease: bool,
}

/// Watches what replicas say about themselves.
#[derive(Debug, Default)]
pub struct LeaderWatch {
    leaders: BTreeMap<(RegionId, Term), PeerId>,
    wrong: Vec<String>,
}

impl LeaderWatch {
    /// All replicas' claims at one moment of true time.
    pub fn look(&mut self, claims: &[Claim]) {
        let mut leases: BTreeMap<RegionId, Claim> = BTreeMap::new();
        for claim in claims {
            if claim.leads {
                let known = *self.leaders.entry((claim.region, claim.term)).or_insert(claim.peer);
                if known != claim.peer {
                    self.wrong.push(format!("two leaders in one term: {known} and {claim:?}"));
                }
            }
            if claim.has_lease
                && let Some(other) = leases.insert(claim.region, *claim)
            {
                self.wrong.push(format!("two leases at one time: {other:?} and {claim:?}"));
            }
        }
    }

    /// What was wrong.
    #[must_use]
    pub fn wrong(&self) -> &[String] {
        &self.wrong
    }

    /// Terms with a leader that were seen.
    #[must_use]
    pub fn terms(&self) -> usize {
        self.leaders.len()
    }
}

/// Watches whom replicas vote for.
#[derive(Debug, Default)]
pub struct VoteWatch {
    votes: BTreeMap<(RegionId, PeerId, Term), PeerId>,
    wrong: Vec<String>,
}

impl VoteWatch {
    /// `voter` told `candidate` that it has its vote in `term`. It may say so twice.
    pub fn granted(&mut self, region: RegionId, term: Term, (voter, candidate): (PeerId, PeerId)) {
        let known = *self.votes.entry((region, voter, term)).or_insert(candidate);
        if known != candidate {
            self.wrong.push(format!(
                "region {region} term {term}: replica {voter} voted for {known} and {candidate}"
            ));
        }
    }

    /// What was wrong.
    #[must_use]
    pub fn wrong(&self) -> &[String] {
        &self.wrong
    }

    /// Votes that were seen.
    #[must_use]
    pub fn votes(&self) -> usize {
        self.votes.len()
    }
}

#[cfg(test)]
mod tests;
