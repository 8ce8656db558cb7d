//! Reads by lease: the order of looks at the delegate, the lease and the clock.
use super::RegionView;
use crate::env::Clock;
use crate::region_peer::core::Delegate;
use std::sync::atomic::{AtomicU64, Ordering};
use troupe_storage::engine::memory::MemoryEngine;
use troupe_types::{KeyRange, Moment, Region, RegionEpoch, RegionId, Term, UnixMillis};

fn delegate(term: u64, may_serve: bool) -> Delegate {
    let region = Region {
        id: RegionId(7),
        range: KeyRange::default(),
        epoch: RegionEpoch::INITIAL,
        peers: Vec::new(),
    };
    Delegate { region, term: Term(term), leader: None, may_serve, halted: false }
}

/// Every look at the clock finds it `step` later.
struct Walking {
    now: AtomicU64,
    step: u64,
}

impl Clock for Walking {
    fn now(&self) -> Moment {
        Moment(self.now.fetch_add(self.step, Ordering::SeqCst))
    }

    fn unix(&self) -> UnixMillis {
        UnixMillis(0)
    }
}

fn reads(view: &RegionView, now: u64, step: u64) -> bool {
    let clock = Walking { now: AtomicU64::new(now), step };
    view.lease_snapshot(&MemoryEngine::new(), &clock).is_some()
}

#[test]
fn a_lease_is_good_until_its_end_and_not_at_it() {
    let view = RegionView::default();
    assert!(!reads(&view, 0, 0), "nothing is published");
    view.publish(delegate(6, true));
    assert!(!reads(&view, 0, 0), "no lease");
    view.set_lease(Moment(100));
    for (now, good) in [(0, true), (99, true), (100, false), (5000, false)] {
        assert_eq!(reads(&view, now, 0), good, "at {now}");
        assert_eq!(view.leads(Moment(now)), good, "at {now}");
    }
}

/// B1: the process sleeps between its look at the lease and the snapshot.
#[test]
fn a_leader_that_slept_over_its_lease_does_not_read() {
    let view = RegionView::default();
    view.publish(delegate(6, true));
    view.set_lease(Moment(100));
    assert!(reads(&view, 90, 9));
    assert!(!reads(&view, 90, 10));
}

#[test]
fn a_delegate_that_may_not_serve_ends_the_lease() {
    let view = RegionView::default();
    view.publish(delegate(6, true));
    view.set_lease(Moment(100));
    view.publish(delegate(7, false));
    assert!(!reads(&view, 0, 0));
    view.publish(delegate(7, true));
    assert!(!reads(&view, 0, 0), "the old lease does not come back");
    view.set_lease(Moment(100));
    assert!(reads(&view, 0, 0));
    view.close();
    assert!(view.delegate().is_none() && !reads(&view, 0, 0));
}
