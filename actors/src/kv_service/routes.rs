//! Routes of keys: from the cache, else from PD.
use super::api::Inner;
use super::core::{Causes, Route};
use std::sync::{Arc, PoisonError, RwLockReadGuard, RwLockWriteGuard};
use troupe_types::pd::{PdError, PdReply, PdRequest, RegionRoute};
use troupe_types::{Key, KeyRange, Moment, Peer, Region, RegionEpoch, RegionId};

/// Routes asked for at once: neighbours are likely to be needed next.
const ROUTES_AT_ONCE: u32 = 64;

/// Why there is no route. What happened is in the causes.
pub(super) struct NoRoute;

impl Inner {
    fn cache(&self) -> RwLockReadGuard<'_, super::core::RegionCache> {
        self.cache.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn cache_mut(&self) -> RwLockWriteGuard<'_, super::core::RegionCache> {
        self.cache.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The Region that holds `key`.
    pub(super) async fn route(
        &self,
        key: &Key,
        deadline: Moment,
        causes: &mut Causes,
    ) -> Result<Arc<Route>, NoRoute> {
        let known = self.cache().lookup(key);
        if let Some(route) = known {
            return Ok(route);
        }
        let range = KeyRange::new(key.clone(), Key::new());
        self.fill(PdRequest::Regions { range, limit: ROUTES_AT_ONCE }, deadline, causes).await?;
        let found = self.cache().lookup(key);
        found.ok_or_else(|| {
            causes.no_region();
            NoRoute
        })
    }

    /// The Region that holds the largest keys below `end` (not empty).
    pub(super) async fn route_below(
        &self,
        end: &Key,
        deadline: Moment,
        causes: &mut Causes,
    ) -> Result<Arc<Route>, NoRoute> {
        let known = self.cache().lookup_below(end);
        if let Some(route) = known {
            return Ok(route);
        }
        // Start at a key a little below; if Region bounds lie in between, walk up to the last one.
        let mut key = a_little_below(end);
        loop {
            let route = self.route(&key, deadline, causes).await?;
            let range = &route.region.range;
            if range.end.is_empty() || range.end >= *end {
                return Ok(route);
            }
            key = range.end.clone();
        }
    }

    /// The Region with `id`.
    pub(super) async fn route_by_id(
        &self,
        id: RegionId,
        deadline: Moment,
        causes: &mut Causes,
    ) -> Result<Option<Region>, NoRoute> {
        let known = self.cache().by_id(id);
        if let Some(route) = known {
            return Ok(Some(route.region.clone()));
        }
        let routes = self.fill(PdRequest::RegionById { region: id }, deadline, causes).await?;
        Ok(routes.into_iter().find(|route| route.region.id == id).map(|route| route.region))
    }

    async fn fill(
        &self,
        request: PdRequest,
        deadline: Moment,
        causes: &mut Causes,
    ) -> Result<Vec<RegionRoute>, NoRoute> {
        let answer = self.parts.pd.call(request, deadline).await;
        let routes = match answer {
            Ok(PdReply::Routes(routes)) => routes,
            Ok(other) => {
                let why = format!("it answered something else: {other:?}");
                causes.pd_error(&PdError::Unavailable { why });
                return Err(NoRoute);
            }
            Err(error) => {
                causes.pd_error(&error);
                return Err(NoRoute);
            }
        };
        let mut cache = self.cache_mut();
        for route in &routes {
            cache.insert(route.region.clone(), route.leader);
        }
        Ok(routes)
    }

    pub(super) fn learn_shape(&self, region: Region) {
        self.cache_mut().insert(region, None);
    }

    pub(super) fn learn_leader(&self, region: RegionId, leader: Option<Peer>) {
        self.cache_mut().set_leader(region, leader);
    }

    pub(super) fn forget_route(&self, region: RegionId, epoch: RegionEpoch) {
        self.cache_mut().invalidate(region, epoch);
    }
}

/// A key below `end` with few keys in between.
fn a_little_below(end: &Key) -> Key {
    let mut key = end.to_vec();
    match key.pop() {
        // `k` + 0 follows `k` directly.
        None | Some(0) => {}
        Some(last) => {
            key.push(last - 1);
            key.extend_from_slice(&[u8::MAX; 16]);
        }
    }
    key.into()
}
