//! Questions to the Placement Driver, with the answer that belongs to each.
use crate::error::Problem;
use crate::gate::call::Call;
use bytes::Bytes;
use troupe_types::pd::{
    ClusterView, OperatorRequest, OperatorView, PdReply, PdRequest, RegionRoute,
};
use troupe_types::txn::gc::{GcRound, GcState};
use troupe_types::{Code, KeyRange, RegionId, Timestamp};

/// Regions asked for at a time.
pub const PAGE: u32 = 1000;

async fn ask(call: &Call, request: PdRequest) -> Result<PdReply, Problem> {
    Ok(call.service().pd(request, call.deadline()).await?)
}

fn other() -> Problem {
    Problem::internal("the Placement Driver gave an answer to another question")
}

/// The cluster as PD sees it.
///
/// # Errors
/// Those of PD.
pub async fn cluster(call: &Call) -> Result<ClusterView, Problem> {
    let PdReply::Cluster(view) = ask(call, PdRequest::Cluster).await? else { return Err(other()) };
    Ok(*view)
}

/// Regions that overlap `range`, in key order.
///
/// # Errors
/// Those of PD.
pub async fn regions(
    call: &Call,
    range: KeyRange,
    limit: u32,
) -> Result<Vec<RegionRoute>, Problem> {
    routes(ask(call, PdRequest::Regions { range, limit }).await?)
}

fn routes(reply: PdReply) -> Result<Vec<RegionRoute>, Problem> {
    let PdReply::Routes(routes) = reply else { return Err(other()) };
    Ok(routes)
}

/// The Region that holds a stored key.
///
/// # Errors
/// Those of PD.
pub async fn region_by_key(call: &Call, key: Bytes) -> Result<Vec<RegionRoute>, Problem> {
    routes(ask(call, PdRequest::RegionByKey { key }).await?)
}

/// The Region with this id.
///
/// # Errors
/// `REGION_NOT_FOUND`, those of PD.
pub async fn region(call: &Call, region: RegionId) -> Result<RegionRoute, Problem> {
    let found = routes(ask(call, PdRequest::RegionById { region }).await?)?;
    let missing = || {
        let detail = format!("there is no Region {region}");
        Problem::new(Code::RegionNotFound, detail).with("region", region.get())
    };
    found.into_iter().next().ok_or_else(missing)
}

/// How many Regions overlap `range`.
///
/// # Errors
/// Those of PD.
pub async fn count_regions(call: &Call, mut range: KeyRange) -> Result<u64, Problem> {
    let mut count = 0;
    loop {
        let page = regions(call, range.clone(), PAGE).await?;
        count += page.len() as u64;
        match next_start(&page, PAGE) {
            Some(start) => range.start = start,
            None => return Ok(count),
        }
        if range.is_empty() {
            return Ok(count);
        }
    }
}

/// Where the page behind this one begins, if there can be one.
#[must_use]
pub fn next_start(page: &[RegionRoute], asked: u32) -> Option<Bytes> {
    let full = page.len() >= asked as usize;
    let end = page.last().map(|route| route.region.range.end.clone());
    end.filter(|end| full && !end.is_empty())
}

/// Makes an operator.
///
/// # Errors
/// Those of PD.
pub async fn add_operator(
    call: &Call,
    region: RegionId,
    request: OperatorRequest,
) -> Result<OperatorView, Problem> {
    let PdReply::Operator(view) = ask(call, PdRequest::AddOperator { region, request }).await?
    else {
        return Err(other());
    };
    Ok(view)
}

/// Running and recent operators, newest first.
///
/// # Errors
/// Those of PD.
pub async fn operators(call: &Call) -> Result<Vec<OperatorView>, Problem> {
    let PdReply::Operators(views) = ask(call, PdRequest::Operators).await? else {
        return Err(other());
    };
    Ok(views)
}

/// The largest of `count` new timestamps.
///
/// # Errors
/// Those of PD.
pub async fn timestamps(call: &Call, count: u32) -> Result<Timestamp, Problem> {
    let PdReply::Timestamps { last, .. } = ask(call, PdRequest::Timestamps { count }).await? else {
        return Err(other());
    };
    Ok(last)
}

/// Safe points and barriers, and how collection is getting on, after `request` about them.
///
/// # Errors
/// Those of PD.
pub async fn gc(call: &Call, request: PdRequest) -> Result<(GcState, Option<GcRound>), Problem> {
    let PdReply::Gc(state) = ask(call, request).await? else { return Err(other()) };
    let PdReply::GcRound(round) = ask(call, PdRequest::GcRound).await? else {
        return Err(other());
    };
    Ok((state, round))
}

/// A command that PD acknowledges without more.
///
/// # Errors
/// Those of PD.
pub async fn command(call: &Call, request: PdRequest) -> Result<(), Problem> {
    let PdReply::Done = ask(call, request).await? else { return Err(other()) };
    Ok(())
}
