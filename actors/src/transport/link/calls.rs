//! Requests that were forwarded to another node and wait for its answer.
use crate::transport::TransportError;
use crate::transport::link::core::Attempt;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use troupe_types::request::RegionResult;

/// What the asker gets.
pub type CallResult = Result<RegionResult, TransportError>;

struct Waiting {
    /// The connection whose stream it was handed to, if it was.
    sent_on: Option<Attempt>,
    reply: oneshot::Sender<CallResult>,
}

/// The table of one link. Answers go from the stream straight to the askers.
#[derive(Default)]
pub struct Calls {
    next: AtomicU64,
    waiting: Mutex<BTreeMap<u64, Waiting>>,
}

/// The asker's end. Dropping it cancels a request that was not sent yet.
pub struct PendingCall {
    calls: Arc<Calls>,
    /// Number of the request.
    pub id: u64,
    /// The answer.
    pub answer: oneshot::Receiver<CallResult>,
}

impl Calls {
    fn table(&self) -> MutexGuard<'_, BTreeMap<u64, Waiting>> {
        // A panic inside leaves a map that is whole: no operation below is half done.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request.
    pub fn open(self: &Arc<Self>) -> PendingCall {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let (reply, answer) = oneshot::channel();
        self.table().insert(id, Waiting { sent_on: None, reply });
        PendingCall { calls: self.clone(), id, answer }
    }

    /// The request is about to be handed to the stream of `attempt`. `false` if its asker went away:
    /// then it must not be sent.
    pub fn mark_sent(&self, id: u64, attempt: Attempt) -> bool {
        match self.table().get_mut(&id) {
            Some(waiting) => {
                waiting.sent_on = Some(attempt);
                true
            }
            None => false,
        }
    }

    /// The answer came.
    pub fn complete(&self, id: u64, result: RegionResult) {
        self.end(id, Ok(result));
    }

    /// It was not sent.
    pub fn fail_unsent(&self, id: u64, why: &str) {
        self.end(id, Err(TransportError::Unreachable { why: why.to_owned() }));
    }

    /// It was sent, and its answer is lost.
    pub fn break_one(&self, id: u64, why: &str) {
        self.end(id, Err(TransportError::Broken { why: why.to_owned() }));
    }

    fn end(&self, id: u64, result: CallResult) {
        let waiting = self.table().remove(&id);
        if let Some(waiting) = waiting {
            let _ = waiting.reply.send(result);
        }
    }

    /// The connection of `attempt` is lost: whether what was handed to it took effect is not known.
    pub fn break_sent(&self, attempt: Attempt, why: &str) {
        let lost: Vec<Waiting> = {
            let mut table = self.table();
            let sent = table.iter().filter(|(_, call)| call.sent_on == Some(attempt));
            let ids: Vec<u64> = sent.map(|(id, _)| *id).collect();
            ids.into_iter().filter_map(|id| table.remove(&id)).collect()
        };
        for waiting in lost {
            let _ = waiting.reply.send(Err(TransportError::Broken { why: why.to_owned() }));
        }
    }

    /// The link itself is gone.
    pub fn break_all(&self, why: &str) {
        for waiting in std::mem::take(&mut *self.table()).into_values() {
            let why = why.to_owned();
            let error = match waiting.sent_on {
                Some(_) => TransportError::Broken { why },
                None => TransportError::Unreachable { why },
            };
            let _ = waiting.reply.send(Err(error));
        }
    }

    /// Requests that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table().len()
    }

    /// Does none wait?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl PendingCall {
    /// The asker gives up: was the request sent?
    #[must_use]
    pub fn give_up(self, why: &str) -> TransportError {
        let waiting = self.calls.table().remove(&self.id);
        let why = why.to_owned();
        match waiting {
            Some(Waiting { sent_on: None, .. }) => TransportError::Unreachable { why },
            // Also when it is gone from the table: an answer is on its way.
            Some(Waiting { sent_on: Some(_), .. }) | None => TransportError::Broken { why },
        }
    }
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        self.calls.table().remove(&self.id);
    }
}
