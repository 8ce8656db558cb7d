//! A RocksDB snapshot that owns its database.
//!
//! The binding's snapshot borrows the database, yet ours travels between threads and outlives the
//! call that made it. This is the only unsafe code of the crate.
#![allow(unsafe_code, reason = "a snapshot and the database it borrows live in one struct")]
use rocksdb::{DB, SnapshotWithThreadMode};
use std::sync::Arc;

/// Invariant: `snapshot` borrows the database behind `db`, and is declared first, so that it is
/// dropped before its database can be.
pub(super) struct OwnedSnapshot {
    snapshot: SnapshotWithThreadMode<'static, DB>,
    db: Arc<DB>,
}

impl OwnedSnapshot {
    /// A consistent view of now.
    pub(super) fn new(db: Arc<DB>) -> Self {
        // SAFETY: the database lies on the heap behind `db`, so it does not move, and it lives at
        // least as long as `db`, which `Self` keeps and drops after the snapshot. The made-up
        // lifetime never leaves this module: `get` hands out one bounded by `self`.
        let forever: &'static DB = unsafe { &*Arc::as_ptr(&db) };
        Self { snapshot: forever.snapshot(), db }
    }

    /// The snapshot, for as long as `self` is borrowed.
    pub(super) fn get<'a>(&'a self) -> &'a SnapshotWithThreadMode<'a, DB> {
        &self.snapshot
    }

    /// The database that the snapshot is of.
    pub(super) fn db(&self) -> &DB {
        &self.db
    }
}
