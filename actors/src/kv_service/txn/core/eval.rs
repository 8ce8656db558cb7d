//! Conditions, and sums of decimal numbers.
use bytes::Bytes;
use std::cmp::Ordering;
use troupe_types::Timestamp;
use troupe_types::txn::TxnRow;
use troupe_types::txn::session::{Comparison, Condition};

/// A value that should be a decimal number between −2^63 and 2^63 − 1 is none, or a sum would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value is not a decimal integer of 64 bits, or the sum would not be one")]
pub struct NotAnInteger;

/// Does `condition` hold for what is stored?
///
/// # Errors
/// It compares numbers, and the value is none.
pub fn holds(condition: &Condition, row: Option<&TxnRow>) -> Result<bool, NotAnInteger> {
    match condition {
        Condition::Exists(wanted) => Ok(row.is_some() == *wanted),
        Condition::Value(comparison, wanted) => Ok(row
            .map_or(*comparison == Comparison::Ne, |row| {
                compares(row.value.cmp(wanted), *comparison)
            })),
        Condition::Int(comparison, wanted) => {
            let Some(row) = row else { return Ok(false) };
            Ok(compares(integer(&row.value)?.cmp(wanted), *comparison))
        }
        Condition::Version(comparison, wanted) => {
            let version = row.map_or(Timestamp::ZERO, |row| row.commit_ts);
            Ok(compares(version.cmp(wanted), *comparison))
        }
    }
}

fn compares(found: Ordering, comparison: Comparison) -> bool {
    match comparison {
        Comparison::Eq => found.is_eq(),
        Comparison::Ne => found.is_ne(),
        Comparison::Lt => found.is_lt(),
        Comparison::Le => found.is_le(),
        Comparison::Gt => found.is_gt(),
        Comparison::Ge => found.is_ge(),
    }
}

/// The value of a key after `by` was added; an absent key counts as 0.
///
/// # Errors
/// The value is no number, or the sum does not fit.
pub fn sum(row: Option<&TxnRow>, by: i64) -> Result<Bytes, NotAnInteger> {
    let before = row.map_or(Ok(0), |row| integer(&row.value))?;
    let sum = before.checked_add(by).ok_or(NotAnInteger)?;
    Ok(sum.to_string().into())
}

fn integer(value: &[u8]) -> Result<i64, NotAnInteger> {
    let text = std::str::from_utf8(value).map_err(|_| NotAnInteger)?;
    // A leading plus sign is no form that a sum is ever written in.
    if text.starts_with('+') {
        return Err(NotAnInteger);
    }
    text.parse().map_err(|_| NotAnInteger)
}
