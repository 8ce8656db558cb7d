//! Panics planted into one node, on demand.
use std::sync::Mutex;
use troupe_actors::env::{FaultPoint, Faults};
use troupe_types::RegionId;

/// See the module. Without plan it does nothing.
#[derive(Debug, Default)]
pub struct Planted {
    plans: Mutex<Vec<(FaultPoint, RegionId, u32)>>,
}

impl Planted {
    /// The next `times` hits of `point` in `region` panic.
    pub fn plan(&self, point: FaultPoint, region: RegionId, times: u32) {
        self.plans.lock().unwrap().push((point, region, times));
    }

    /// Plans nothing any more.
    pub fn clear(&self) {
        self.plans.lock().unwrap().clear();
    }

    /// Panics that are still to come.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.plans.lock().unwrap().iter().map(|(_, _, times)| times).sum()
    }
}

impl Faults for Planted {
    fn hit(&self, point: FaultPoint, region: RegionId) {
        let is_due = {
            let mut plans = self.plans.lock().unwrap();
            let plan =
                plans.iter_mut().find(|(p, r, times)| *p == point && *r == region && *times > 0);
            plan.map(|(_, _, times)| *times -= 1).is_some()
        };
        assert!(!is_due, "planted: {point:?} in region {region}");
    }
}
