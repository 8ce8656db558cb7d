//! What the replicas' Raft logs and applied indexes must agree on, now and over time:
//!
//! * An index and a term name one entry, and all that is before it: on every replica, for ever.
//! * What is committed stays: no replica has, or had, another entry at a committed index.
//! * What is committed or applied anywhere is on the disks of a majority.
//! * Of one replica: its term never goes back, and in one term it votes once; while its node is up, its
//!   applied and its committed index and the beginning of its log never go back.
use std::collections::{BTreeMap, BTreeSet};
use troupe_storage::engine::KvEngine;
use troupe_storage::raft_log::{LogState, RaftLog};
use troupe_storage::region_state::{ReplicaState, read_apply_state, read_replica_state};
use troupe_types::{LogIndex, PeerId, PeerRole, Region, RegionId, StoreId, Term};
use xxhash_rust::xxh3::Xxh3;

/// Faults that are told; more would say no more.
const TOLD: usize = 20;

/// One log entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryView {
    /// Its term.
    pub term: Term,
    /// Hash of its kind and payload.
    pub hash: u64,
    /// It changes the members.
    pub is_conf: bool,
}

/// One replica as its disks have it at one moment.
#[derive(Clone, Debug)]
pub struct LogView {
    /// On which Store.
    pub store: StoreId,
    /// Changes when its node starts and when it crashes.
    pub life: u64,
    /// Which replica.
    pub peer: PeerId,
    /// Shape as applied.
    pub region: Region,
    /// Last applied entry.
    pub applied: LogIndex,
    /// Its term.
    pub applied_term: Term,
    /// Term, vote and commit index, the entry in front of the first, the last.
    pub log: LogState,
    /// Entries behind the truncation point.
    pub entries: Vec<EntryView>,
}

impl LogView {
    /// Term of the entry at `index`, if this log has it.
    fn term_at(&self, index: LogIndex) -> Option<Term> {
        let (truncated, term) = self.log.truncated;
        let offset = index.get().checked_sub(truncated.get())?;
        match offset {
            0 => Some(term),
            _ => self.entries.get(usize::try_from(offset - 1).ok()?).map(|entry| entry.term),
        }
    }

    /// Last entry of this log that is known here to be committed. What is applied belongs to another
    /// log while a snapshot is installed already and the log is not yet begun anew behind it.
    fn committed(&self) -> LogIndex {
        let is_in_log = self.term_at(self.applied) == Some(self.applied_term);
        let applied = if is_in_log { self.applied } else { LogIndex(0) };
        LogIndex(self.log.hard_state.commit).max(applied)
    }

    fn numbered(&self) -> impl Iterator<Item = (LogIndex, EntryView)> {
        (self.log.truncated.0.get() + 1..).map(LogIndex).zip(self.entries.iter().copied())
    }

    fn is_changing(&self) -> bool {
        let applied = self.applied;
        self.region.is_joint()
            || self.numbered().any(|(index, entry)| entry.is_conf && index > applied)
    }
}

/// All replicas with data on the disks of one Store, in the life `life` of its node.
///
/// # Panics
/// The disks do not read.
#[must_use]
pub fn views(store: StoreId, life: u64, engine: &dyn KvEngine, log: &dyn RaftLog) -> Vec<LogView> {
    let view = |id| {
        let state = read_replica_state(engine, id).expect("the row decodes")?;
        let ReplicaState::Normal { peer, region } = state else { return None };
        let apply = read_apply_state(engine, id).expect("the row decodes")?;
        let (applied, applied_term) = (apply.applied, apply.applied_term);
        let state = log.state(id).expect("the memory twin reads")?;
        let (low, high) = (state.truncated.0.next(), state.last_index.next());
        let entries = log.entries(id, low, high, u64::MAX).expect("the memory twin reads");
        let entries = entries.iter().map(entry_view).collect();
        Some(LogView { store, life, peer, region, applied, applied_term, log: state, entries })
    };
    super::state::regions(engine).into_iter().filter_map(view).collect()
}

fn entry_view(entry: &raft::eraftpb::Entry) -> EntryView {
    let mut hash = Xxh3::new();
    hash.update(&[entry.entry_type as u8]);
    hash.update(&entry.data);
    let is_conf = entry.entry_type != raft::eraftpb::EntryType::EntryNormal;
    EntryView { term: Term(entry.term), hash: hash.digest(), is_conf }
}

/// What was seen of one replica before.
#[derive(Clone, Copy)]
struct Past {
    life: u64,
    term: u64,
    vote: u64,
    applied: LogIndex,
    committed: u64,
    truncated: LogIndex,
}

/// Watches the logs of all replicas.
#[derive(Default)]
pub struct LogWatch {
    /// Entry and term of the one before, for each place in the log.
    entries: BTreeMap<(RegionId, LogIndex, Term), (EntryView, Term)>,
    committed: BTreeMap<(RegionId, LogIndex), Term>,
    pasts: BTreeMap<(RegionId, PeerId), Past>,
    /// Members that all replicas agree on, and behind which entry that is so.
    settled: BTreeMap<RegionId, (u64, LogIndex)>,
    wrong: Vec<String>,
}

impl LogWatch {
    /// All replicas at one moment of true time, also those of nodes that are down.
    pub fn look(&mut self, views: &[LogView]) {
        let mut regions: BTreeMap<RegionId, Vec<&LogView>> = BTreeMap::new();
        for view in views {
            regions.entry(view.region.id).or_default().push(view);
            self.look_at_entries(view);
        }
        for view in views {
            self.look_at_committed(view);
            self.look_at_past(view);
        }
        for (region, views) in regions {
            self.look_at_majority(region, &views);
        }
    }

    /// What was wrong.
    #[must_use]
    pub fn wrong(&self) -> &[String] {
        &self.wrong
    }

    /// Places in logs that were compared.
    #[must_use]
    pub fn places(&self) -> usize {
        self.entries.len()
    }

    fn tell(&mut self, view: &LogView, what: &str) {
        if self.wrong.len() < TOLD {
            let (region, store) = (view.region.id, view.store);
            let (state, applied) = (&view.log, view.applied);
            self.wrong
                .push(format!("region {region} store {store}: {what} ({state:?}, {applied})"));
        }
    }

    fn look_at_entries(&mut self, view: &LogView) {
        let mut before = view.log.truncated.1;
        for (index, entry) in view.numbered() {
            let here = (entry, before);
            before = entry.term;
            let place = (view.region.id, index, entry.term);
            let known = *self.entries.entry(place).or_insert(here);
            if known != here {
                self.tell(view, &format!("entry {index} is {here:?}, elsewhere {known:?}"));
            }
        }
    }

    fn look_at_committed(&mut self, view: &LogView) {
        let (first, last) = (view.log.truncated.0, view.committed().min(view.log.last_index));
        for index in (first.get()..=last.get()).map(LogIndex) {
            let Some(term) = view.term_at(index) else { continue };
            let known = *self.committed.entry((view.region.id, index)).or_insert(term);
            if known != term {
                let what = format!("entry {index} of term {known} was committed, here is {term}");
                self.tell(view, &what);
            }
        }
    }

    fn look_at_past(&mut self, view: &LogView) {
        let state = &view.log.hard_state;
        let now = Past {
            life: view.life,
            term: state.term,
            vote: state.vote,
            applied: view.applied,
            committed: state.commit,
            truncated: view.log.truncated.0,
        };
        let Some(past) = self.pasts.insert((view.region.id, view.peer), now) else { return };
        let changed_vote = now.term == past.term && past.vote != 0 && now.vote != past.vote;
        let is_same_life = now.life == past.life;
        let faults = [
            (now.term < past.term, "the term went back"),
            (changed_vote, "another vote in one term"),
            (is_same_life && now.applied < past.applied, "the applied index went back"),
            (is_same_life && now.committed < past.committed, "the commit index went back"),
            (is_same_life && now.truncated < past.truncated, "the log's beginning went back"),
        ];
        for (_, what) in faults.into_iter().filter(|(is_wrong, _)| *is_wrong) {
            self.tell(view, what);
        }
    }

    /// A member change moves the majority while it is under way: such Regions are looked at again from
    /// the entries on that come when it is over.
    fn look_at_majority(&mut self, region: RegionId, views: &[&LogView]) {
        let versions: BTreeSet<u64> = views.iter().map(|v| v.region.epoch.conf_ver).collect();
        let is_settled = versions.len() == 1 && views.iter().all(|view| !view.is_changing());
        let (Some(version), true) = (versions.first(), is_settled) else {
            self.settled.remove(&region);
            return;
        };
        let behind = match self.settled.get(&region) {
            Some((known, behind)) if known == version => *behind,
            Some(_) | None => {
                let last = views.iter().map(|view| view.log.last_index).max();
                self.settled.insert(region, (*version, last.unwrap_or_default()));
                return;
            }
        };
        let Some(first) = views.iter().max_by_key(|view| view.committed()) else { return };
        let index = first.committed();
        let term = self.committed.get(&(region, index)).copied();
        let is_held = |view: &&&LogView| term.is_some() && view.term_at(index) == term;
        let voters = first.region.peers.iter().filter(|peer| peer.role == PeerRole::Voter);
        let voters: BTreeSet<PeerId> = voters.map(|peer| peer.id).collect();
        let holders = views.iter().filter(is_held).filter(|view| voters.contains(&view.peer));
        let holders = holders.count();
        if index > behind && holders * 2 <= voters.len() {
            self.tell(first, &format!("{index} is committed and on {holders} disks only"));
        }
    }
}

#[cfg(test)]
mod tests;
