//! Commands over key ranges: scan, checksum, delete-range.
use super::api::{CallOptions, Inner, KvService, ScanOptions, ScanPage, ServiceError, StoppedBy};
use super::ask::Answered;
use super::core::{Causes, Pauses, Reaction, Route};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use troupe_types::command::{RawChecksum, RawRow};
use troupe_types::request::{RegionBody, RegionReply};
use troupe_types::{KeyRange, ReadCommand, ReadReply, RegionId, WriteCommand, WriteReply};

/// Regions that one range command works on at the same time.
const REGIONS_AT_ONCE: usize = 8;
/// Rows of one page of a checksum: bounds how long a replica is busy with one command.
const CHECKSUM_ROWS: u32 = 50_000;

impl KvService {
    /// A page of raw rows of `range`, from Region to Region.
    ///
    /// # Errors
    /// [`ServiceError`]; rows found before are not returned, so that a page is never silently short.
    pub async fn raw_scan(
        &self,
        range: KeyRange,
        scan: ScanOptions,
        o: &CallOptions,
    ) -> Result<ScanPage, ServiceError> {
        self.0.traced("raw_scan", o, self.0.scan(range, scan, o)).await
    }

    /// Removes every raw key of `range`; answers how many Regions it touched. Not atomic over Regions.
    ///
    /// # Errors
    /// [`ServiceError`] of the first Region that failed; others may have removed their part.
    pub async fn raw_delete_range(
        &self,
        range: KeyRange,
        o: &CallOptions,
    ) -> Result<u64, ServiceError> {
        self.0.traced("raw_delete_range", o, self.0.delete_range(range, o)).await
    }

    /// Count, bytes and order-independent checksum of the raw rows of `range`. Regions are read one
    /// after the other in time, so writes meanwhile may or may not be in it.
    ///
    /// # Errors
    /// [`ServiceError`] of the first Region that failed.
    pub async fn raw_checksum(
        &self,
        range: KeyRange,
        o: &CallOptions,
    ) -> Result<RawChecksum, ServiceError> {
        self.0.traced("raw_checksum", o, self.0.checksum(range, o)).await
    }
}

/// What one Region did for a range command.
struct Part {
    region: Option<RegionId>,
    sum: RawChecksum,
    /// Not done: its Region has changed.
    rest: Option<KeyRange>,
}

impl Part {
    fn moved(rest: KeyRange, sum: RawChecksum) -> Self {
        Self { region: None, sum, rest: Some(rest) }
    }
}

impl Inner {
    async fn scan(
        &self,
        range: KeyRange,
        scan: ScanOptions,
        o: &CallOptions,
    ) -> Result<ScanPage, ServiceError> {
        let Some(mut left) = range.intersect(&KeyRange::raw_space()).filter(|_| scan.limit > 0)
        else {
            return Ok(ScanPage { rows: Vec::new(), rest: None, stopped_by: StoppedBy::End });
        };
        let mut causes = Causes::default();
        let (mut rows, mut bytes) = (Vec::new(), 0);
        loop {
            let limit = scan.limit - u32::try_from(rows.len()).unwrap_or(scan.limit);
            let stopped_by = if limit == 0 {
                Some(StoppedBy::Limit)
            } else if bytes >= scan.max_bytes && !rows.is_empty() {
                Some(StoppedBy::Bytes)
            } else {
                None
            };
            if let Some(stopped_by) = stopped_by {
                return Ok(ScanPage { rows, rest: Some(left), stopped_by });
            }
            let max_bytes = scan.max_bytes.saturating_sub(bytes).max(1);
            let command = ScanOptions { limit, max_bytes, ..scan };
            let (more, rest) = self.scan_region(&left, command, o, &mut causes).await?;
            bytes += more.iter().map(row_bytes).sum::<u64>();
            rows.extend(more);
            match rest {
                Some(rest) => left = rest,
                None => return Ok(ScanPage { rows, rest: None, stopped_by: StoppedBy::End }),
            }
        }
    }

    /// Rows of the first (in scan order) Region of `range`, and what is left of the whole.
    async fn scan_region(
        &self,
        range: &KeyRange,
        scan: ScanOptions,
        o: &CallOptions,
        causes: &mut Causes,
    ) -> Result<(Vec<RawRow>, Option<KeyRange>), ServiceError> {
        let ScanOptions { limit, max_bytes, reverse, keys_only } = scan;
        loop {
            let route = self.first_route(range, reverse, o, causes).await?;
            let Some(part) = range.intersect(&route.region.range) else {
                // The route was replaced between two looks at it.
                continue;
            };
            let anchor = part.start.clone();
            let command =
                ReadCommand::RawScan { range: part.clone(), limit, max_bytes, reverse, keys_only };
            match self.read(&anchor, &command, o, causes).await?.of_raw()? {
                Some((ReadReply::Rows { rows, rest }, _)) => {
                    return Ok((rows, left_of(range, &part, rest, reverse)));
                }
                Some((other, _)) => return Err(ServiceError::unexpected(&other)),
                None => {}
            }
        }
    }

    pub(super) async fn first_route(
        &self,
        range: &KeyRange,
        reverse: bool,
        o: &CallOptions,
        causes: &mut Causes,
    ) -> Result<Arc<Route>, ServiceError> {
        if !reverse {
            return self.route_or_wait(&range.start, o, causes).await;
        }
        let mut pauses = Pauses::default();
        loop {
            if let Ok(route) = self.route_below(&range.end, o.deadline, causes).await {
                return Ok(route);
            }
            if self.parts.env.now() >= o.deadline {
                return Err(self.out_of_time(causes));
            }
            self.pause(pauses.next(&Reaction::RefreshRoute), o.deadline).await;
        }
    }

    async fn delete_range(&self, range: KeyRange, o: &CallOptions) -> Result<u64, ServiceError> {
        let mut regions = BTreeSet::new();
        let work = |part: KeyRange| -> BoxFuture<'_, Result<Part, ServiceError>> {
            Box::pin(self.delete_part(part, o))
        };
        self.over_regions(range, o, &work, |part| {
            regions.extend(part.region);
        })
        .await?;
        Ok(regions.len() as u64)
    }

    async fn delete_part(&self, part: KeyRange, o: &CallOptions) -> Result<Part, ServiceError> {
        let body = RegionBody::Write(WriteCommand::RawDeleteRange { range: part.clone() });
        match self.ask(&part.start, &body, o, &mut Causes::default()).await? {
            Answered::Reply(RegionReply::Write(WriteReply::Done), by) => {
                Ok(Part { region: Some(by.region), sum: RawChecksum::default(), rest: None })
            }
            Answered::Reply(other, _) => Err(ServiceError::unexpected(&other)),
            Answered::Moved => Ok(Part::moved(part, RawChecksum::default())),
        }
    }

    async fn checksum(
        &self,
        range: KeyRange,
        o: &CallOptions,
    ) -> Result<RawChecksum, ServiceError> {
        let mut total = RawChecksum::default();
        let work = |part: KeyRange| -> BoxFuture<'_, Result<Part, ServiceError>> {
            Box::pin(self.checksum_part(part, o))
        };
        self.over_regions(range, o, &work, |part| total.merge(&part.sum)).await?;
        Ok(total)
    }

    async fn checksum_part(&self, part: KeyRange, o: &CallOptions) -> Result<Part, ServiceError> {
        let (mut sum, mut left) = (RawChecksum::default(), part);
        let mut causes = Causes::default();
        loop {
            let command = ReadCommand::RawChecksum { range: left.clone(), limit: CHECKSUM_ROWS };
            match self.read(&left.start, &command, o, &mut causes).await?.of_raw()? {
                Some((ReadReply::Checksum { sum: more, rest }, by)) => {
                    sum.merge(&more);
                    match rest {
                        Some(rest) => left = rest,
                        None => return Ok(Part { region: Some(by.region), sum, rest: None }),
                    }
                }
                Some((other, _)) => return Err(ServiceError::unexpected(&other)),
                None => return Ok(Part::moved(left, sum)),
            }
        }
    }

    /// Runs `work` on the part of each Region of `range`, some at the same time, and hands what it
    /// answers to `take`. Parts whose Region changed meanwhile are cut anew.
    async fn over_regions<'a>(
        &self,
        range: KeyRange,
        o: &CallOptions,
        work: &(dyn Fn(KeyRange) -> BoxFuture<'a, Result<Part, ServiceError>> + Send + Sync),
        mut take: impl FnMut(&Part) + Send,
    ) -> Result<(), ServiceError> {
        let Some(range) = range.intersect(&KeyRange::raw_space()) else { return Ok(()) };
        let mut causes = Causes::default();
        let mut uncut = VecDeque::from([range]);
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < REGIONS_AT_ONCE
                && let Some(range) = uncut.pop_front()
            {
                let route = self.route_or_wait(&range.start, o, &mut causes).await?;
                let end = &route.region.range.end;
                let reaches_on = !end.is_empty() && *end < range.end;
                let part = if reaches_on {
                    uncut.push_front(KeyRange::new(end.clone(), range.end.clone()));
                    KeyRange::new(range.start, end.clone())
                } else {
                    range
                };
                running.push(work(part));
            }
            let Some(part) = running.next().await else { return Ok(()) };
            let part = part?;
            take(&part);
            uncut.extend(part.rest);
        }
    }
}

fn row_bytes(row: &RawRow) -> u64 {
    (row.key.len() + row.value.len()) as u64
}

/// What is left of `whole` after `part` of it was scanned up to `rest`.
pub(super) fn left_of(
    whole: &KeyRange,
    part: &KeyRange,
    rest: Option<KeyRange>,
    reverse: bool,
) -> Option<KeyRange> {
    let left = match (rest, reverse) {
        (Some(rest), false) => KeyRange::new(rest.start, whole.end.clone()),
        (Some(rest), true) => KeyRange::new(whole.start.clone(), rest.end),
        (None, false) => {
            // The part reaches to the end of the whole, or to that of its Region.
            if part.end == whole.end {
                return None;
            }
            KeyRange::new(part.end.clone(), whole.end.clone())
        }
        (None, true) => {
            if part.start == whole.start {
                return None;
            }
            KeyRange::new(whole.start.clone(), part.start.clone())
        }
    };
    (!left.is_empty()).then_some(left)
}
