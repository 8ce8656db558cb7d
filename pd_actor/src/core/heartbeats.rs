//! What Stores and Regions report, and what they are told.
use super::Turn;
use super::serving::Serving;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use troupe_types::pd::{
    Expulsion, PdReply, PdResult, RegionInstruction, RegionReport, StoreInfo, StoreInstructions,
    StoreStats, StoreView,
};
use troupe_types::{Moment, Peer, PeerId, RegionId, StoreId};

/// What was heard in this reign.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    stores: BTreeMap<StoreId, (Moment, StoreStats)>,
    /// Stores that were told which initial Regions to make.
    told: BTreeSet<StoreId>,
    /// Orphans that each Store named last, and when it first named each.
    orphans: BTreeMap<StoreId, BTreeMap<(RegionId, PeerId), Moment>>,
}

impl Heard {
    /// `store` said something.
    pub fn touch(&mut self, store: StoreId, now: Moment) {
        self.stores.entry(store).or_default().0 = now;
    }

    /// When `store` last said something.
    #[must_use]
    pub fn since(&self, store: StoreId) -> Option<Moment> {
        self.stores.get(&store).map(|(at, _)| *at)
    }

    /// Did `store` say something within `limit`?
    #[must_use]
    pub fn is_alive(&self, store: StoreId, now: Moment, limit: Duration) -> bool {
        self.since(store).is_some_and(|at| now.since(at) <= limit)
    }

    /// Last figures of `store`.
    #[must_use]
    pub fn stats(&self, store: StoreId) -> Option<StoreStats> {
        self.stores.get(&store).map(|(_, stats)| *stats)
    }

    /// `store` for people.
    #[must_use]
    pub fn view(&self, store: &StoreInfo, now: Moment) -> StoreView {
        let silent = self.since(store.id).map(|at| now.since(at).as_millis());
        StoreView {
            info: store.clone(),
            stats: self.stats(store.id).unwrap_or_default(),
            silent_ms: silent.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)),
        }
    }
}

impl Serving {
    /// A Store lives. `(store, stats, bootstrapped)` are its words about itself.
    pub(super) fn on_store_heartbeat(
        &mut self,
        (store, stats, bootstrapped): (StoreId, StoreStats, bool),
        orphans: &[(RegionId, Peer)],
        turn: &mut Turn<'_>,
    ) -> PdResult {
        self.live_store(store)?;
        self.heard.stores.insert(store, (turn.now, stats));
        self.bootstrap_regions(turn);
        let is_planned = self.state.cluster.as_ref().is_some_and(|c| c.bootstrapped);
        // A "yes" from before it was told what to make means nothing.
        let knows = self.regions_to_create(store).is_empty() || self.heard.told.contains(&store);
        if bootstrapped && is_planned && knows {
            self.on_bootstrapped(store);
        }
        let create = self.regions_to_create(store);
        if !create.is_empty() {
            self.heard.told.insert(store);
        }
        let destroy = orphans.iter().filter(|(_, peer)| peer.store == store);
        let destroy = destroy.filter_map(|orphan| self.expulsion(*orphan, turn.now)).collect();
        self.note_orphans(store, orphans, turn.now);
        let directory = self.directory();
        Ok(PdReply::StoreHeartbeat(StoreInstructions { create, destroy, directory }))
    }

    /// Is the orphan no member any more? Only if a report of its Region, heard since the orphan was
    /// first named, does not name it, and no operator adds it at the moment. The report may have been
    /// on its way for long, so its epoch goes along: the orphan knows whether that is news.
    fn expulsion(&self, (region, peer): (RegionId, Peer), now: Moment) -> Option<Expulsion> {
        let named = self.heard.orphans.get(&peer.store).and_then(|o| o.get(&(region, peer.id)));
        let named = named.copied().unwrap_or(now);
        let is_newer = self.routes.reported(region).is_some_and(|at| at > named);
        let shape = &self.routes.get(region)?.region;
        let is_out = is_newer && shape.peer(peer.id).is_none() && !self.operators.is_busy(region);
        is_out.then_some(Expulsion { region, peer, epoch: shape.epoch })
    }

    /// Remembers when each orphan was first named, and forgets those no longer named.
    fn note_orphans(&mut self, store: StoreId, orphans: &[(RegionId, Peer)], now: Moment) {
        let before = self.heard.orphans.remove(&store).unwrap_or_default();
        let first_named = |(region, peer): &(RegionId, Peer)| {
            let key = (*region, peer.id);
            (key, before.get(&key).copied().unwrap_or(now))
        };
        let named: BTreeMap<_, _> = orphans.iter().map(first_named).collect();
        if !named.is_empty() {
            self.heard.orphans.insert(store, named);
        }
    }

    /// Leaders report their Regions and hear the next step of each Region's operator.
    pub(super) fn on_region_heartbeat(
        &mut self,
        reports: Vec<RegionReport>,
        turn: &mut Turn<'_>,
    ) -> PdResult {
        let mut instructions = Vec::new();
        for report in reports {
            self.heard.touch(report.leader.store, turn.now);
            if !self.routes.report(&report, turn.now) {
                continue;
            }
            self.operators.on_report(&report);
            self.place(&report, turn);
            let leaders = |store: StoreId| self.routes.leaders_on(store);
            if let Some(command) = self.operators.command(&report, &leaders) {
                instructions.push((report.region.id, RegionInstruction::Do(command)));
            }
        }
        Ok(PdReply::RegionHeartbeat(instructions))
    }
}
