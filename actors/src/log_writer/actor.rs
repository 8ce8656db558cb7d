//! Messages of the LogWriter, and the thin actor. Guide: `mod.rs`. Decisions: `core.rs`.
use super::core::{Append, Input, LogWriterCore, Output, Work};
use crate::cell::{Acts, Cx, Delivery, Mailbox, Message, On, ReplyTo};
use crate::env::{Worker, essential};
use crate::region_peer::EntriesPersisted;
use crate::router::Router;
use crate::trace;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use troupe_storage::StorageError;
use troupe_storage::raft_log::{LogBatch, RaftLog, RegionLogWrite};
use troupe_types::{Generation, LogIndex, RegionId};

/// RegionPeer → LogWriter: make this durable. In order for each Region; answered by
/// `EntriesPersisted`.
#[derive(Debug)]
pub struct AppendEntries {
    /// Which Region.
    pub region: RegionId,
    /// Which life of its peer.
    pub generation: Generation,
    /// Number of the write in that life.
    pub number: u64,
    /// What.
    pub write: RegionLogWrite,
}

impl Message for AppendEntries {
    const NAME: &'static str = "AppendEntries";
    const DELIVERY: Delivery = Delivery::Must;

    fn bytes(&self) -> usize {
        self.write.entries.iter().map(|entry| entry.data.len() + 64).sum()
    }

    fn detail(&self) -> [u64; 2] {
        [self.region.get(), self.number]
    }
}

/// RegionPeer → LogWriter: entries up to `through` may go. Idempotent.
#[derive(Debug)]
pub struct CompactLog {
    /// Which Region.
    pub region: RegionId,
    /// The last entry to go.
    pub through: LogIndex,
}

impl Message for CompactLog {
    const NAME: &'static str = "CompactLog";
    const DELIVERY: Delivery = Delivery::Must;
}

/// Store → LogWriter: the Region was destroyed. Idempotent.
#[derive(Debug)]
pub struct ForgetLog {
    /// Which Region.
    pub region: RegionId,
}

impl Message for ForgetLog {
    const NAME: &'static str = "ForgetLog";
    const DELIVERY: Delivery = Delivery::Must;
}

/// Supervisor → LogWriter: answer when nothing of the Region is queued or under way.
#[derive(Debug)]
pub struct FenceLog {
    /// Which Region.
    pub region: RegionId,
    /// Who waits.
    pub reply: ReplyTo<()>,
}

impl Message for FenceLog {
    const NAME: &'static str = "FenceLog";
    const DELIVERY: Delivery = Delivery::Must;
}

/// Log thread → LogWriter: the round is over; the batch comes back if the disk was full.
#[derive(Debug)]
struct BatchDone {
    unwritten: Option<LogBatch>,
}

impl Message for BatchDone {
    const NAME: &'static str = "BatchDone";
    const DELIVERY: Delivery = Delivery::Must;
}

/// Wait before a batch that found the disk full is tried again.
const RETRY: Duration = Duration::from_millis(200);
const RETRY_TOKEN: u64 = 1;

/// See `mod.rs`.
pub struct LogWriter {
    core: LogWriterCore<ReplyTo<()>>,
    log: Arc<dyn RaftLog>,
    thread: Arc<dyn Worker>,
    router: Arc<Router>,
    /// Set while the disk is full: the Store refuses writes.
    disk_full: Arc<AtomicBool>,
    me: Mailbox<Self>,
}

impl LogWriter {
    /// Writes to `log` on `thread`, which has one thread.
    #[must_use]
    pub fn new(
        me: &Mailbox<Self>,
        log: Arc<dyn RaftLog>,
        thread: Arc<dyn Worker>,
        router: Arc<Router>,
        disk_full: Arc<AtomicBool>,
    ) -> Self {
        Self { core: LogWriterCore::default(), log, thread, router, disk_full, me: me.clone() }
    }

    fn step(&mut self, input: Input<ReplyTo<()>>, cx: &mut Cx<'_, Self>) {
        let mut out = Vec::new();
        self.core.step(input, &mut out);
        for output in out {
            self.perform(output, cx);
        }
    }

    fn perform(&mut self, output: Output<ReplyTo<()>>, cx: &mut Cx<'_, Self>) {
        match output {
            Output::Write(work) => self.submit(work),
            Output::Persisted { region, generation, number, tags } => {
                let Some(peer) = self.router.get(region) else { return };
                let message = EntriesPersisted { generation, number };
                // A peer that is down starts again from the log, which has these entries.
                let _ = trace::with_tags(tags, || peer.mailbox.tell(message));
            }
            Output::Fenced(reply) => reply.send(()),
            Output::RetryLater => {
                self.disk_full.store(true, Ordering::Relaxed);
                cx.wake_after(RETRY, RETRY_TOKEN);
            }
        }
    }

    fn submit(&self, work: Work) {
        let (log, me) = (self.log.clone(), self.me.clone());
        let current = trace::current();
        self.thread.run(essential("the log thread", move || {
            let unwritten = run(log.as_ref(), work);
            let told = trace::with(current, || me.tell(BatchDone { unwritten }));
            assert!(told.is_ok(), "the log writer outlives its thread's work");
        }));
    }
}

/// Answers the batch if the disk was full. All other failures end the process.
fn run(log: &dyn RaftLog, work: Work) -> Option<LogBatch> {
    let lazy = work.compact.iter().map(|(region, through)| log.compact(*region, *through));
    let lazy = lazy.chain(work.forget.iter().map(|region| log.remove(*region)));
    // One after the other: nothing more is written once a change has failed.
    for result in lazy {
        match result {
            Ok(()) | Err(StorageError::DiskFull | StorageError::Compacted { .. }) => {}
            Err(error) => troupe_storage::failure::fatal(&error),
        }
    }
    if work.batch.regions.is_empty() {
        return None;
    }
    match log.append(work.batch.clone()) {
        Ok(()) => None,
        Err(StorageError::DiskFull) => Some(work.batch),
        Err(error) => troupe_storage::failure::fatal(&error),
    }
}

impl Acts for LogWriter {
    const KIND: &'static str = "log_writer";

    fn flush(&mut self, cx: &mut Cx<'_, Self>) {
        self.step(Input::Flush, cx);
    }

    fn wake(&mut self, token: u64, cx: &mut Cx<'_, Self>) {
        assert!(token == RETRY_TOKEN, "one timer");
        self.step(Input::Retry, cx);
    }
}

impl On<AppendEntries> for LogWriter {
    fn on(&mut self, message: AppendEntries, cx: &mut Cx<'_, Self>) {
        let AppendEntries { region, generation, number, write } = message;
        let tags = trace::current().tags;
        self.step(Input::Append(Append { region, generation, number, write, tags }), cx);
    }
}

impl On<CompactLog> for LogWriter {
    fn on(&mut self, message: CompactLog, cx: &mut Cx<'_, Self>) {
        self.step(Input::Compact(message.region, message.through), cx);
    }
}

impl On<ForgetLog> for LogWriter {
    fn on(&mut self, message: ForgetLog, cx: &mut Cx<'_, Self>) {
        self.step(Input::Forget(message.region), cx);
    }
}

impl On<FenceLog> for LogWriter {
    fn on(&mut self, message: FenceLog, cx: &mut Cx<'_, Self>) {
        self.step(Input::Fence(message.region, message.reply), cx);
    }
}

impl On<BatchDone> for LogWriter {
    fn on(&mut self, message: BatchDone, cx: &mut Cx<'_, Self>) {
        match message.unwritten {
            Some(batch) => self.step(Input::DiskFull(batch), cx),
            None => {
                self.disk_full.store(false, Ordering::Relaxed);
                self.step(Input::Done, cx);
            }
        }
    }
}
