//! What gateways pass in and get.
use super::core::{Causes, RegionCache};
use crate::env::{Env, Rng};
use crate::node::{PdCaller, RegionService, SharedDirectory};
use crate::transport::Transport;
use bytes::Bytes;
use std::sync::{Arc, Mutex, RwLock};
use troupe_types::command::RawRow;
use troupe_types::request::Consistency;
use troupe_types::txn::TxnError;
use troupe_types::{Class, Code, Key, KeyRange, Moment, RegionId, StoreId, TraceTags};

/// The service layer. Cheap to clone.
#[derive(Clone)]
pub struct KvService(pub(super) Arc<Inner>);

/// What the service layer needs.
pub struct ServiceParts {
    /// The environment.
    pub env: Env,
    /// Stores of this node.
    pub local: Arc<dyn RegionService>,
    /// Other nodes.
    pub transport: Arc<dyn Transport>,
    /// PD, wherever it leads.
    pub pd: Arc<dyn PdCaller>,
    /// All nodes.
    pub directory: SharedDirectory,
}

pub(super) struct Inner {
    pub(super) parts: ServiceParts,
    /// Read for each request, written when a route changes. A lock instead of a copy for each change,
    /// since after a crash thousands of leaders change at once.
    pub(super) cache: RwLock<RegionCache>,
    pub(super) jitter: Mutex<Box<dyn Rng>>,
    pub(super) txn: super::txn::Shared,
}

impl KvService {
    /// Knows no route yet.
    #[must_use]
    pub fn new(parts: ServiceParts) -> Self {
        let jitter = Mutex::new(parts.env.rngs.rng("kv_service"));
        let txn = super::txn::Shared::default();
        Self(Arc::new(Inner { parts, cache: RwLock::default(), jitter, txn }))
    }

    /// The environment.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.0.parts.env
    }
}

/// How a request is to be served.
#[derive(Clone, Debug)]
pub struct CallOptions {
    /// When the caller gives up.
    pub deadline: Moment,
    /// How fresh reads must be.
    pub consistency: Consistency,
    /// Traces that the request belongs to.
    pub tags: TraceTags,
}

/// Why a request failed. What it may have done follows from the class of `code`: only
/// [`Class::Unknown`] leaves that open, every other code promises that a write had no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", code.as_str())]
pub struct ServiceError {
    /// Stable code.
    pub code: Code,
    /// For people: what happened here.
    pub detail: String,
    /// Errors that were met on the way, newest last.
    pub causes: Vec<String>,
    /// When it makes sense to try again.
    pub retry_after_ms: Option<u64>,
    /// The Region asked last.
    pub region: Option<RegionId>,
    /// What a Region said of a transaction, if that was it.
    pub txn: Option<Box<TxnError>>,
}

impl ServiceError {
    /// An error with `code` after `causes`.
    pub(super) fn new(code: Code, detail: impl Into<String>, causes: &Causes) -> Self {
        let retry_after_ms = match code.class() {
            Class::Retry => causes.retry_after_ms(),
            Class::Conflict | Class::BadInput | Class::Unknown | Class::Fatal => None,
        };
        Self {
            code,
            detail: detail.into(),
            causes: causes.lines().to_vec(),
            retry_after_ms,
            region: causes.region(),
            txn: None,
        }
    }

    /// What a Region said of a transaction.
    pub(super) fn of_txn(error: TxnError, causes: &Causes) -> Self {
        let detail = error.to_string();
        Self { txn: Some(Box::new(error.clone())), ..Self::new(error.code(), detail, causes) }
    }

    /// A reply of a kind that was not asked for.
    pub(super) fn unexpected(what: &impl std::fmt::Debug) -> Self {
        let reply: String = format!("{what:?}").chars().take(80).collect();
        Self::new(Code::Internal, format!("unexpected reply: {reply}"), &Causes::default())
    }
}

/// Which replica answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServedBy {
    /// Its Store.
    pub store: StoreId,
    /// Its Region.
    pub region: RegionId,
}

/// What became of a batch of blind writes. Atomic only within what happens to fall into one command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOutcome {
    /// Changes that were written; one that a later change of the same key replaced counts too.
    pub written: u64,
    /// Keys that were not written, or whose outcome is not known, in key order.
    pub failed: Vec<(Key, ServiceError)>,
    /// Who answered, if it was one Region.
    pub served_by: Option<ServedBy>,
}

/// How to scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanOptions {
    /// At most so many rows (at least 1).
    pub limit: u32,
    /// Stop after so many bytes of keys and values; the first row is always returned.
    pub max_bytes: u64,
    /// From the end of the range to its start.
    pub reverse: bool,
    /// Leave values out.
    pub keys_only: bool,
}

/// Rows of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanPage {
    /// In scan order.
    pub rows: Vec<RawRow>,
    /// What is left to scan; `None` at the end.
    pub rest: Option<KeyRange>,
    /// Why it stopped.
    pub stopped_by: StoppedBy,
}

/// Why a scan stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoppedBy {
    /// The range is through.
    End,
    /// Enough rows.
    Limit,
    /// Enough bytes.
    Bytes,
}

/// Answer of a compare-and-swap: did it succeed, what was there before, who answered.
pub type Swapped = (bool, Option<Bytes>, ServedBy);
