//! Admission: how many requests, and bytes of their bodies, a node works on at the same time.
//!
//! What does not fit is refused at once: a client that waits in a queue for longer than its
//! deadline costs the same work and gets nothing.
use crate::error::Problem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use troupe_types::Code;

/// When a refused client is asked to try again.
const RETRY_AFTER_MS: u64 = 100;

/// The budget of a node.
pub struct Admission {
    max_requests: u64,
    max_bytes: u64,
    requests: AtomicU64,
    bytes: AtomicU64,
    refused: AtomicU64,
}

impl Admission {
    /// At most so many requests, and bytes of their bodies.
    #[must_use]
    pub fn new(max_requests: usize, max_bytes: u64) -> Self {
        Self {
            max_requests: max_requests as u64,
            max_bytes,
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Requests in flight.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Bytes in flight.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Requests refused since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn refuse(&self, what: &'static str, limit: u64) -> Problem {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let detail = format!("the node already works on {limit} {what}");
        let mut problem = Problem::new(Code::ServerBusy, detail).with("what", what);
        problem.retry_after_ms = Some(RETRY_AFTER_MS);
        problem.with("limit", limit)
    }
}

/// The part of the budget that one request holds; given back when it is dropped.
pub struct Ticket {
    admission: Arc<Admission>,
    bytes: AtomicU64,
}

impl Ticket {
    /// Admits a request.
    ///
    /// # Errors
    /// `SERVER_BUSY`.
    pub fn new(admission: &Arc<Admission>) -> Result<Self, Problem> {
        // The ticket exists before the check, so that a refusal gives back what was counted.
        let before = admission.requests.fetch_add(1, Ordering::Relaxed);
        let ticket = Self { admission: admission.clone(), bytes: AtomicU64::new(0) };
        if before >= admission.max_requests {
            return Err(admission.refuse("requests", admission.max_requests));
        }
        Ok(ticket)
    }

    /// Adds `bytes` of the request's body.
    ///
    /// # Errors
    /// `SERVER_BUSY`.
    pub fn add_bytes(&self, bytes: u64) -> Result<(), Problem> {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let before = self.admission.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > self.admission.max_bytes {
            return Err(self.admission.refuse("bytes", self.admission.max_bytes));
        }
        Ok(())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.admission.requests.fetch_sub(1, Ordering::Relaxed);
        let bytes = self.bytes.load(Ordering::Relaxed);
        self.admission.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
