//! Import: lines of JSON into either space, any number of them, in bounded memory.
//!
//! ```text
//! body ─► lines ─► rows ─► batch (512 rows or 1 MiB) ─► at most 8 writes in flight ─► sum
//! ```
//! The body is read only as fast as batches are acknowledged. A key that is still in flight in an
//! earlier batch waits for it, so that of two lines with the same key the later one wins. In the
//! transactional space a batch is a transaction.
use crate::error::Problem;
use crate::gate::body::PacedBody;
use crate::gate::call::Call;
use crate::json::request::{RowIn, Trailer};
use crate::json::strict::from_json;
use crate::routes::raw_batch::worst;
use crate::rows::{CheckedRow, expiry, row};
use crate::space::Space;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;
use troupe_actors::kv_service::{CallOptions, KvService, ServiceError};
use troupe_types::Code;
use troupe_types::command::{RawChange, RawChecksum};
use troupe_types::key::PREFIX_LEN;
use troupe_types::raw_value::value_hash;
use troupe_types::txn::session::{OneShot, TxnOp};

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
    rows: Vec<CheckedRow>,
    hashes: Vec<u64>,
    sum: RawChecksum,
    bytes: usize,
    first_line: u64,
}

/// A batch that was answered.
struct Answered {
    written: u64,
    failed: Option<ServiceError>,
    hashes: Vec<u64>,
    sum: RawChecksum,
    first_line: u64,
}

/// Rows written, and what went wrong.
type Written = (u64, Option<ServiceError>);

/// Writes rows in one transaction.
async fn commit(service: KvService, options: CallOptions, rows: Vec<CheckedRow>) -> Written {
    let count = rows.len() as u64;
    let put = |row: CheckedRow| TxnOp::Put { key: row.key, value: row.value, ttl_ms: row.ttl_ms };
    let then = rows.into_iter().map(put).collect();
    match service.txn_once(OneShot { then, ..OneShot::default() }, &options).await {
        Ok(_) => (count, None),
        Err(error) => (0, Some(error)),
    }
}

/// An import under way.
pub struct Import {
    call: Call,
    space: Space,
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
    pub async fn start(call: Call, space: Space, body: PacedBody) -> Result<Self, Problem> {
        if let Some(ticket) = &call.passport.ticket {
            ticket.add_bytes((BATCH_BYTES * IN_FLIGHT) as u64)?;
        }
        let max = call.state.parts.config.limits.import_line.as_usize();
        let lines = Lines { body, buffer: BytesMut::new(), searched: 0, ended: false, max };
        let mut import = Self {
            call,
            space,
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
            if self.batch.rows.len() >= BATCH_ROWS || self.batch.bytes >= BATCH_BYTES {
                self.send().await?;
            }
        }
        if !self.batch.rows.is_empty() {
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
        let row = row(&self.call, self.space, from_json::<RowIn>(line)?)?;
        self.add(row);
        Ok(())
    }

    fn add(&mut self, row: CheckedRow) {
        let batch = &mut self.batch;
        if batch.rows.is_empty() {
            batch.first_line = self.line;
        }
        batch.bytes += row.key.len() + row.value.len();
        batch.sum.add(&row.key[PREFIX_LEN..], &row.value);
        batch.hashes.push(value_hash(&row.key));
        batch.rows.push(row);
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
        let Batch { rows, hashes, sum, first_line, .. } = batch;
        let write = self.write(rows);
        self.in_flight.push(Box::pin(async move {
            let (written, failed) = write.await;
            Answered { written, failed, hashes, sum, first_line }
        }));
        Ok(())
    }

    fn write(&self, rows: Vec<CheckedRow>) -> LocalBoxFuture<'static, Written> {
        let (service, options) = (self.call.service().clone(), self.call.options());
        match self.space {
            Space::Raw => {
                let end = |ttl: u64| expiry(&self.call, ttl);
                let change = |row: CheckedRow| {
                    let expires_at = row.ttl_ms.map(end);
                    (row.key, RawChange::Put { value: row.value, expires_at })
                };
                let changes = rows.into_iter().map(change).collect();
                Box::pin(async move {
                    let outcome = service.raw_write(changes, &options).await;
                    let failed = (!outcome.failed.is_empty()).then(|| worst(outcome.failed));
                    (outcome.written, failed)
                })
            }
            Space::Txn => Box::pin(commit(service, options, rows)),
        }
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
        let Some(failed) = answered.failed else {
            done.merge(&answered.sum);
            self.done.set(done);
            return Ok(());
        };
        done.rows += answered.written;
        self.done.set(done);
        Err(Stopped { problem: failed.into(), line: answered.first_line })
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
