//! Import: lines of JSON into the raw space, any number of them, in bounded memory.
//!
//! ```text
//! body ─► lines ─► rows ─► batch (512 rows or 1 MiB) ─► at most 8 writes in flight ─► sum
//! ```
//! The body is read only as fast as batches are acknowledged. A key that is still in flight in an
//! earlier batch waits for it, so that of two lines with the same key the later one wins.
use crate::error::Problem;
use crate::gate::body::PacedBody;
use crate::gate::call::Call;
use crate::json::request::{RowIn, Trailer};
use crate::json::strict::from_json;
use crate::routes::raw_batch::{CheckedRow, row_of, worst};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;
use troupe_actors::kv_service::WriteOutcome;
use troupe_types::command::{RawChange, RawChecksum};
use troupe_types::key::PREFIX_LEN;
use troupe_types::raw_value::value_hash;
use troupe_types::{Code, Key};

/// Rows of a batch.
const BATCH_ROWS: usize = 512;
/// Bytes of a batch.
pub const BATCH_BYTES: usize = 1 << 20;
/// Batches in flight.
pub const IN_FLIGHT: usize = 8;

/// Why an import ended early, and at which line.
#[derive(Debug)]
pub struct Stopped {
    /// What was wrong.
    pub problem: Problem,
    /// Line, from 1; of a failed write the first of its batch.
    pub line: u64,
}

/// Cuts a body into lines.
struct Lines {
    body: PacedBody,
    buffer: BytesMut,
    searched: usize,
    ended: bool,
    max: usize,
}

impl Lines {
    /// The next line without its end; `None` behind the last.
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            if let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let end = self.searched + at;
                self.searched = 0;
                self.check(end)?;
                return Ok(Some(self.buffer.split_to(end + 1).freeze().slice(..end)));
            }
            self.searched = self.buffer.len();
            self.check(self.searched)?;
            if self.ended {
                let last = std::mem::take(&mut self.buffer);
                self.searched = 0;
                return Ok((!last.is_empty()).then(|| last.freeze()));
            }
            match self.body.next().await? {
                Some(part) => self.buffer.extend_from_slice(&part),
                None => self.ended = true,
            }
        }
    }

    fn check(&self, length: usize) -> Result<(), Problem> {
        if length > self.max {
            return Err(Problem::too_large("import_line_bytes", self.max as u64, length as u64));
        }
        Ok(())
    }
}

/// Rows that are written together.
#[derive(Default)]
struct Batch {
    changes: Vec<(Key, RawChange)>,
    hashes: Vec<u64>,
    sum: RawChecksum,
    bytes: usize,
    first_line: u64,
}

/// A batch that was answered.
struct Answered {
    outcome: WriteOutcome,
    hashes: Vec<u64>,
    sum: RawChecksum,
    first_line: u64,
}

/// An import under way.
pub struct Import {
    call: Call,
    lines: Lines,
    line: u64,
    batch: Batch,
    in_flight: FuturesUnordered<LocalBoxFuture<'static, Answered>>,
    keys_in_flight: HashSet<u64>,
    trailer: Option<Trailer>,
    /// What was acknowledged; shared with who tells the progress.
    pub done: Rc<Cell<RawChecksum>>,
}

impl Import {
    /// Reads the first line, so that a body that is no import at all is plainly refused.
    ///
    /// # Errors
    /// Those of the first line.
    pub async fn start(call: Call, body: PacedBody) -> Result<Self, Problem> {
        if let Some(ticket) = &call.passport.ticket {
            ticket.add_bytes((BATCH_BYTES * IN_FLIGHT) as u64)?;
        }
        let max = call.state.parts.config.limits.import_line.as_usize();
        let lines = Lines { body, buffer: BytesMut::new(), searched: 0, ended: false, max };
        let mut import = Self {
            call,
            lines,
            line: 0,
            batch: Batch::default(),
            in_flight: FuturesUnordered::new(),
            keys_in_flight: HashSet::new(),
            trailer: None,
            done: Rc::default(),
        };
        let problem = import.read_line().await;
        problem.map_err(|stopped| stopped.problem.with("line", stopped.line))?;
        Ok(import)
    }

    /// Imports all that is left.
    ///
    /// # Errors
    /// [`Stopped`], when nothing is in flight any more, so that the count is right.
    pub async fn run(&mut self) -> Result<(), Stopped> {
        let ended = self.work().await;
        if ended.is_err() {
            while !self.in_flight.is_empty() {
                // Only the first failure is told.
                let _ = self.wait_for_one().await;
            }
        }
        ended
    }

    async fn work(&mut self) -> Result<(), Stopped> {
        while self.read_line().await? {
            if self.batch.changes.len() >= BATCH_ROWS || self.batch.bytes >= BATCH_BYTES {
                self.send().await?;
            }
        }
        if !self.batch.changes.is_empty() {
            self.send().await?;
        }
        self.drain().await?;
        self.check_trailer()
    }

    /// Reads one line into the batch. False at the end.
    async fn read_line(&mut self) -> Result<bool, Stopped> {
        let read = self.next_line().await?;
        self.line += 1;
        let Some(line) = read.map_err(|problem| self.stopped(problem))? else { return Ok(false) };
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(true);
        }
        self.take(&line).map_err(|problem| self.stopped(problem))?;
        Ok(true)
    }

    /// Writes in flight go on while the client is waited for.
    async fn next_line(&mut self) -> Result<Result<Option<Bytes>, Problem>, Stopped> {
        loop {
            let answered = tokio::select! {
                biased;
                line = self.lines.next() => return Ok(line),
                Some(answered) = self.in_flight.next() => answered,
            };
            self.note(answered)?;
        }
    }

    fn stopped(&self, problem: Problem) -> Stopped {
        Stopped { problem, line: self.line }
    }

    fn take(&mut self, line: &[u8]) -> Result<(), Problem> {
        if self.trailer.is_some() {
            let detail = "a line follows the last line of an export";
            return Err(Problem::new(Code::BadJson, detail));
        }
        if line.starts_with(b"{\"done\":") {
            self.trailer = Some(from_json(line)?);
            return Ok(());
        }
        let row = row_of(&self.call, from_json::<RowIn>(line)?)?;
        self.add(row);
        Ok(())
    }

    fn add(&mut self, (key, value, expires_at): CheckedRow) {
        let batch = &mut self.batch;
        if batch.changes.is_empty() {
            batch.first_line = self.line;
        }
        batch.bytes += key.len() + value.len();
        batch.sum.add(&key[PREFIX_LEN..], &value);
        batch.hashes.push(value_hash(&key));
        batch.changes.push((key, RawChange::Put { value, expires_at }));
    }

    /// Starts to write the batch, once there is room and none of its keys is in flight.
    async fn send(&mut self) -> Result<(), Stopped> {
        let batch = std::mem::take(&mut self.batch);
        if batch.hashes.iter().any(|hash| self.keys_in_flight.contains(hash)) {
            self.drain().await?;
        }
        while self.in_flight.len() >= IN_FLIGHT {
            self.wait_for_one().await?;
        }
        self.keys_in_flight.extend(&batch.hashes);
        let (service, options) = (self.call.service().clone(), self.call.options());
        self.in_flight.push(Box::pin(async move {
            let Batch { changes, hashes, sum, first_line, .. } = batch;
            let outcome = service.raw_write(changes, &options).await;
            Answered { outcome, hashes, sum, first_line }
        }));
        Ok(())
    }

    async fn drain(&mut self) -> Result<(), Stopped> {
        while !self.in_flight.is_empty() {
            self.wait_for_one().await?;
        }
        Ok(())
    }

    async fn wait_for_one(&mut self) -> Result<(), Stopped> {
        match self.in_flight.next().await {
            Some(answered) => self.note(answered),
            None => Ok(()),
        }
    }

    /// Counts a batch that was answered.
    fn note(&mut self, answered: Answered) -> Result<(), Stopped> {
        for hash in &answered.hashes {
            self.keys_in_flight.remove(hash);
        }
        let mut done = self.done.get();
        if answered.outcome.failed.is_empty() {
            done.merge(&answered.sum);
            self.done.set(done);
            return Ok(());
        }
        done.rows += answered.outcome.written;
        self.done.set(done);
        let problem = worst(answered.outcome.failed).into();
        Err(Stopped { problem, line: answered.first_line })
    }

    /// An export says at its end what it had: what was imported must be the same.
    fn check_trailer(&self) -> Result<(), Stopped> {
        let Some(trailer) = &self.trailer else { return Ok(()) };
        let done = self.done.get();
        let checksum = format!("{:016x}", done.xor);
        let same = trailer.rows == done.rows && trailer.checksum == checksum;
        if trailer.done && same {
            return Ok(());
        }
        let detail = "the rows are not those that the last line of the export sums up";
        let problem = Problem::new(Code::BadParameter, detail)
            .with("rows", done.rows)
            .with("checksum", checksum);
        Err(self.stopped(problem))
    }
}
