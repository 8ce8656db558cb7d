//! Walks a range of keys and hands on, of each, the newest put or delete at or below a timestamp:
//! one pass over the commit records, both ways. Many versions of one key are not walked through,
//! but jumped over by a new scan.
use super::keys::{Ordered, rows_of, split, stored_key};
use super::reader::{Reader, Version, WALK_AT_MOST, Walk};
use super::record::WriteRecord;
use crate::engine::Cf;
use crate::error::StorageError;
use bytes::Bytes;
use std::ops::ControlFlow;
use troupe_types::key::successor;
use troupe_types::{Key, KeyRange, Timestamp};

/// What a walk hands keys to.
pub(crate) trait Sink {
    /// Takes a key (encoded) and its newest change. [`ControlFlow::Break`] if it does not fit any
    /// more; the walk then ends before it.
    fn take(&mut self, key: &[u8], newest: Version) -> Result<ControlFlow<()>, StorageError>;
}

/// What to walk.
pub(crate) struct Route<'a> {
    pub(crate) range: &'a KeyRange,
    pub(crate) newest: Timestamp,
    pub(crate) reverse: bool,
    /// Ends before the first key that it meets after so many records.
    pub(crate) max_rows: u64,
}

/// Walks, and says what is left of the range.
pub(crate) fn walk(
    reader: Reader<'_>,
    route: &Route<'_>,
    sink: &mut dyn Sink,
) -> Result<Option<KeyRange>, StorageError> {
    if route.range.is_empty() {
        return Ok(None);
    }
    let mut walker =
        Walker { reader, route, sink, key: Vec::new(), at: At::Behind, rows: 0, steps: 0 };
    let mut rows = rows_of(route.range);
    loop {
        let mut stop = None;
        reader.scan(Cf::Write, &rows, route.reverse, &mut |row, stored| {
            stop = walker.step(row, stored)?;
            Ok(if stop.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        match stop {
            Some(Stop::Jump(to)) if route.reverse => rows.end = to,
            Some(Stop::Jump(to)) => rows.start = to,
            Some(Stop::Before(key)) => return Ok(Some(left(route, &key))),
            None => {
                let end = walker.finish()?;
                return Ok(end.map(|key| left(route, &key)));
            }
        }
    }
}

/// What is left of the range if the walk ends before `key`.
pub(crate) fn left(route: &Route<'_>, key: &Key) -> KeyRange {
    rest(route.range, route.reverse, key)
}

/// What is left of `range` before `key` was taken.
pub(crate) fn rest(range: &KeyRange, reverse: bool, key: &Key) -> KeyRange {
    if reverse {
        KeyRange::new(range.start.clone(), successor(key))
    } else {
        KeyRange::new(key.clone(), range.end.clone())
    }
}

/// Why a scan ends early.
enum Stop {
    /// Go on there (forward: from there; in reverse: below it).
    Jump(Bytes),
    /// The walk ends before this key.
    Before(Key),
}

/// Where the walk stands in the versions of the current key.
enum At {
    /// Looking for the newest change. In reverse: nothing found that is old enough.
    Looking,
    /// In reverse: this one, if no newer one comes.
    Candidate(Version),
    /// Done with it.
    Behind,
}

struct Walker<'a, 'b> {
    reader: Reader<'a>,
    route: &'a Route<'a>,
    sink: &'b mut dyn Sink,
    /// Current key, encoded; empty at the start.
    key: Vec<u8>,
    at: At,
    /// Records met in all.
    rows: u64,
    /// Records of the current key met one by one.
    steps: u64,
}

impl Walker<'_, '_> {
    fn step(&mut self, row: &[u8], stored: &[u8]) -> Result<Option<Stop>, StorageError> {
        let (key, commit_ts) = split(row)?;
        self.rows += 1;
        if key != self.key.as_slice() {
            if let Some(full) = self.finish()? {
                return Ok(Some(Stop::Before(full)));
            }
            if self.rows > self.route.max_rows && !self.key.is_empty() {
                return Ok(Some(Stop::Before(stored_key(key)?)));
            }
            self.key.clear();
            self.key.extend_from_slice(key);
            (self.at, self.steps) = (At::Looking, 0);
        }
        self.steps += 1;
        if self.route.reverse {
            self.step_back(commit_ts, stored)
        } else {
            self.step_on(commit_ts, stored)
        }
    }

    /// Newest version first.
    fn step_on(&mut self, ts: Timestamp, stored: &[u8]) -> Result<Option<Stop>, StorageError> {
        let far = self.steps > WALK_AT_MOST;
        if matches!(self.at, At::Behind) {
            return Ok(far.then(|| Stop::Jump(self.ordered().behind())));
        }
        if ts > self.route.newest {
            return Ok(far.then(|| Stop::Jump(self.ordered().at(self.route.newest))));
        }
        match Walk::after(ts, WriteRecord::decode(stored)?) {
            Walk::Nothing => {}
            Walk::Absent => self.at = At::Behind,
            Walk::Jump(to) => return Ok(Some(Stop::Jump(self.ordered().at(to)))),
            Walk::Found(version) => return self.hand(version).map(|end| end.map(Stop::Before)),
        }
        Ok(None)
    }

    /// Oldest version first.
    fn step_back(&mut self, ts: Timestamp, stored: &[u8]) -> Result<Option<Stop>, StorageError> {
        if matches!(self.at, At::Behind) || ts > self.route.newest {
            // Newer versions only from here to the next key.
            let far = self.steps > WALK_AT_MOST;
            return Ok(far.then(|| Stop::Jump(self.ordered().bytes().clone())));
        }
        if self.steps > WALK_AT_MOST {
            let newest = self.reader.newest_change(&self.ordered(), self.route.newest)?;
            self.at = newest.map_or(At::Behind, At::Candidate);
            return Ok(Some(Stop::Jump(self.ordered().bytes().clone())));
        }
        let record = WriteRecord::decode(stored)?;
        if record.is_change() {
            self.at = At::Candidate(Version { commit_ts: ts, record });
        }
        Ok(None)
    }

    /// Hands on what is known of the current key. Its stored key, if it does not fit any more.
    fn finish(&mut self) -> Result<Option<Key>, StorageError> {
        match std::mem::replace(&mut self.at, At::Behind) {
            At::Candidate(version) => self.hand(version),
            At::Looking | At::Behind => Ok(None),
        }
    }

    fn hand(&mut self, version: Version) -> Result<Option<Key>, StorageError> {
        self.at = At::Behind;
        match self.sink.take(&self.key, version)? {
            ControlFlow::Continue(()) => Ok(None),
            ControlFlow::Break(()) => stored_key(&self.key).map(Some),
        }
    }

    fn ordered(&self) -> Ordered {
        Ordered::from_encoded(&self.key)
    }
}
