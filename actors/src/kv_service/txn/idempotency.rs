//! Transactions that commit once only, however often they are sent.
//!
//! A transaction with an idempotency key also stores a record under a key made of it, as its primary,
//! and only if there is none. Two outcomes for one idempotency key are impossible: both transactions
//! would write that record. The one that began later either sees the record of the other, or meets its
//! lock, or is refused at its prewrite since somebody committed there after it began. And since the
//! record is part of the transaction, it is there exactly if the transaction committed: a client that
//! asks again hears what was stored then, even if the first answer was lost, and the node that gave it
//! with it.
use super::core::buffer::Written;
use super::core::fate::removal;
use super::resolve::growing;
use super::steps::Transaction;
use crate::kv_service::api::Inner;
use crate::kv_service::core::Causes;
use crate::kv_service::reads::Read;
use crate::kv_service::{CallOptions, ServiceError};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use troupe_types::key::txn_key;
use troupe_types::txn::session::{Idempotency, TxnOpResult};
use troupe_types::txn::{TxnError, TxnRow, TxnValue};
use troupe_types::{Code, Key, ReadCommand, ReadReply, Timestamp, UnixMillis, codec};

/// The keyspace of the coordinator's own records.
pub(super) const KEYSPACE: u32 = 0x00FF_FFFE;
/// How long a record is kept.
pub(crate) const RECORD_MS: u64 = 24 * 60 * 60 * 1000;
/// Longest record: it must fit into one value.
const RECORD_BYTES: usize = 4 << 20;

/// What is stored of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    fingerprint: u64,
    pub(crate) succeeded: bool,
    pub(crate) results: Vec<TxnOpResult>,
}

/// Where the record of an idempotency key lies.
pub(crate) fn record_key(idempotency: &Idempotency) -> Key {
    txn_key(KEYSPACE, format!("idempotency/{}", idempotency.key).as_bytes())
}

impl Inner {
    /// The record of a transaction that was committed before, and when that was.
    ///
    /// # Errors
    /// `IDEMPOTENCY_MISMATCH`, `IDEMPOTENT_IN_PROGRESS`.
    pub(crate) async fn earlier(
        self: &Arc<Self>,
        idempotency: &Idempotency,
        start_ts: Timestamp,
        o: &CallOptions,
    ) -> Result<Option<(Record, Timestamp)>, ServiceError> {
        let Some(row) = self.record_row(&record_key(idempotency), start_ts, o).await? else {
            return Ok(None);
        };
        let record: Record = codec::decode(&row.value)
            .map_err(|error| Self::error(Code::Corruption, error.to_string()))?;
        if record.fingerprint != idempotency.fingerprint {
            let detail = "the Idempotency-Key was used for another request";
            return Err(Self::error(Code::IdempotencyMismatch, detail));
        }
        Ok(Some((record, row.commit_ts)))
    }

    /// The record, or who is just about to store it. Nobody is pushed: a lock that is passed by would
    /// be taken for no record at all.
    async fn record_row(
        self: &Arc<Self>,
        key: &Key,
        at: Timestamp,
        o: &CallOptions,
    ) -> Result<Option<TxnRow>, ServiceError> {
        let look = self.look(at);
        let mut causes = Causes::default();
        for waits in 0_u32.. {
            let command = ReadCommand::TxnGet { keys: vec![key.clone()], view: look.view() };
            let lock = match self.read(key, &command, o, &mut causes).await? {
                Read::Reply(ReadReply::TxnValues(mut values), _) => match values.pop() {
                    Some(TxnValue::Locked(lock)) => lock,
                    Some(TxnValue::Row(row)) => return Ok(row),
                    None => return Ok(None),
                },
                Read::Reply(other, _) => return Err(ServiceError::unexpected(&other)),
                Read::Blocked(lock) => lock,
                Read::Moved => continue,
            };
            let fate = self.fate_of(&lock, Timestamp::ZERO, o).await?;
            if removal(&lock, fate).is_some() {
                self.remove(&lock, fate, o).await?;
                self.pause(growing(waits), o.deadline).await;
            } else {
                let detail = "a request with the same Idempotency-Key is still running";
                let txn = Some(Box::new(TxnError::Locked(lock)));
                return Err(ServiceError {
                    txn,
                    ..Self::error(Code::IdempotentInProgress, detail)
                });
            }
        }
        Ok(None)
    }
}

/// Has `txn` store its outcome under the idempotency key.
pub(crate) fn store_record(
    txn: &mut Transaction,
    idempotency: &Idempotency,
    succeeded: bool,
    results: &[TxnOpResult],
) -> Result<(), ServiceError> {
    let fingerprint = idempotency.fingerprint;
    let record = Record { fingerprint, succeeded, results: results.to_vec() };
    let value = codec::encode(&record);
    if value.len() > RECORD_BYTES {
        let detail = format!(
            "results of {} bytes cannot be kept for an Idempotency-Key ({RECORD_BYTES} allowed)",
            value.len()
        );
        return Err(Inner::error(Code::TooLarge, detail));
    }
    put_record(txn, record_key(idempotency), value.into());
    Ok(())
}

/// Has `txn` store a record of the coordinator, if there is none.
pub(crate) fn put_record(txn: &mut Transaction, key: Key, value: bytes::Bytes) {
    let expires_at = Some(UnixMillis(txn.start_ts.physical_ms() + RECORD_MS));
    if txn.locked.contains(&key) {
        txn.buffer.write(key.clone(), Written::Value { value, expires_at });
    } else {
        let inserted = txn.buffer.insert(key.clone(), value, expires_at);
        assert!(inserted.is_ok(), "no step of a client writes into the coordinator's keyspace");
    }
    // Whoever comes to a lock of the transaction asks where the record is; and it is the record
    // that must not be there twice.
    txn.primary.get_or_insert(key);
}
