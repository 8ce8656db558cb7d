//! Ids of interactive transactions as text: `tx_<store>-<start_ts>-<nonce in base 36>`, in exactly
//! one form each.
use super::numbers::digits;
use crate::error::Problem;
use troupe_types::txn::session::TxnId;
use troupe_types::{StoreId, Timestamp};

const PREFIX: &str = "tx_";
const BASE: u64 = 36;
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// The id as text.
#[must_use]
pub fn format(id: &TxnId) -> String {
    format!("{PREFIX}{}-{}-{}", id.store, id.start_ts, base36(id.nonce))
}

fn base36(mut number: u64) -> String {
    let mut text = Vec::new();
    loop {
        text.push(char::from(DIGITS[(number % BASE) as usize]));
        number /= BASE;
        if number == 0 {
            return text.into_iter().rev().collect();
        }
    }
}

/// The id that `text` names.
///
/// # Errors
/// `BAD_PARAMETER`: it is no id.
pub fn parse(text: &str) -> Result<TxnId, Problem> {
    read(text).filter(|id| format(id) == text).ok_or_else(|| {
        let detail = format!("`{text}` is no id of a transaction, such as tx_1-455930120-9fk3");
        Problem::bad_parameter("id", detail)
    })
}

fn read(text: &str) -> Option<TxnId> {
    let mut parts = text.strip_prefix(PREFIX)?.split('-');
    let (store, start_ts, nonce) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let nonce = u64::from_str_radix(nonce, BASE as u32).ok()?;
    Some(TxnId { store: StoreId(digits(store)?), start_ts: Timestamp(digits(start_ts)?), nonce })
}

#[cfg(test)]
mod tests;
