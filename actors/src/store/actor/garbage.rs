//! What a Store does about old versions: it asks for the safe points, and has its engine collect.
use super::{Store, tell};
use crate::cell::{Cx, On};
use crate::env::essential;
use crate::store::chores;
use crate::store::messages::GarbageCollected;
use troupe_types::Moment;
use troupe_types::pd::{PdReply, PdRequest};
use troupe_types::txn::gc::GcState;

impl Store {
    /// Asks which versions are still served; counts from before it is asked.
    pub(super) fn ask_safe_point(&mut self, cx: &mut Cx<'_, Self>) {
        let asked = cx.now();
        self.ask_pd(PdRequest::GcState, cx, move |store, result, _| match result {
            Ok(PdReply::Gc(state)) => store.on_safe_points(&state, asked),
            Ok(other) => tracing::error!(?other, "PD answers a question for the safe point"),
            Err(error) => tracing::debug!(%error, "PD told no safe point"),
        });
    }

    fn on_safe_points(&mut self, state: &GcState, asked: Moment) {
        let safe_point = &self.parts.safe_point;
        // In this order: what is collected is refused before.
        safe_point.heard(state.txn_safe_point, asked);
        safe_point.heard_gc(state.gc_safe_point);
        self.parts.engine.set_gc_safe_point(state.gc_safe_point);
        self.collector.heard(state.gc_safe_point);
    }

    pub(super) fn collect(&mut self, now: Moment) {
        if !self.collector.begin(now) {
            return;
        }
        let (engine, me) = (self.parts.engine.clone(), self.me.clone());
        self.parts.collects.run(essential("the Store's collection", move || {
            let collected = chores::or_fatal(engine.collect_garbage());
            tell(&me, GarbageCollected { collected });
        }));
    }
}

impl On<GarbageCollected> for Store {
    fn on(&mut self, message: GarbageCollected, cx: &mut Cx<'_, Self>) {
        use std::sync::atomic::Ordering::Relaxed;
        let GarbageCollected { collected } = message;
        self.collector.ended(cx.now(), collected.has_more);
        self.parts.garbage.runs.fetch_add(1, Relaxed);
        self.parts.garbage.records.fetch_add(collected.records, Relaxed);
        if collected.records > 0 {
            tracing::debug!(records = collected.records, "old versions were collected");
        }
    }
}
