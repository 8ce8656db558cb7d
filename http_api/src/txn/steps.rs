//! Steps and conditions of transactions, checked against the limits.
use super::settings::wait_ms;
use crate::error::Problem;
use crate::gate::call::Call;
use crate::json::bytes::BytesIn;
use crate::json::strict::in_range;
use crate::json::txn::numbers::{BareOr, DecimalIn, IntegerIn};
use crate::json::txn::outcome::Asked;
use crate::json::txn::request::{CompareIn, ScanStep, StepIn, ValueIs, VersionIs};
use crate::range::{Bounds, BoundsIn};
use crate::rows;
use crate::space::Space;
use troupe_types::txn::session::{Comparison, Condition, TxnCompare, TxnOp};
use troupe_types::{Code, Key, Timestamp};

/// Steps, and what is needed to show their answers.
#[derive(Clone, Debug, Default)]
pub struct Steps {
    /// The steps.
    pub ops: Vec<TxnOp>,
    /// One for each.
    pub asked: Vec<Asked>,
}

impl Steps {
    /// Reads steps.
    ///
    /// # Errors
    /// `BAD_ENCODING`, `BAD_PARAMETER`, `BAD_RANGE`, `TOO_LARGE`.
    pub fn read(call: &Call, steps: Vec<StepIn>) -> Result<Self, Problem> {
        let mut read = Self::default();
        for step in steps {
            let (op, asked) = step_of(call, step)?;
            read.ops.push(op);
            read.asked.push(asked);
        }
        Ok(read)
    }

    fn size(&self) -> Size {
        self.ops.iter().fold(Size::default(), |size, op| Size {
            count: size.count + keys_of(op),
            bytes: size.bytes + op.approximate_bytes(),
        })
    }
}

/// A lock of many keys is as many steps.
fn keys_of(op: &TxnOp) -> usize {
    match op {
        TxnOp::Lock { keys, .. } => keys.len(),
        TxnOp::Get { .. }
        | TxnOp::Scan { .. }
        | TxnOp::Put { .. }
        | TxnOp::Insert { .. }
        | TxnOp::Delete { .. }
        | TxnOp::Add { .. } => 1,
    }
}

#[derive(Default)]
struct Size {
    count: usize,
    bytes: usize,
}

/// Does a request with these conditions and steps fit its limits?
///
/// # Errors
/// `BAD_PARAMETER` if there is nothing at all, `TOO_LARGE`.
pub fn check_size(
    call: &Call,
    conditions: &[TxnCompare],
    branches: &[&Steps],
) -> Result<(), Problem> {
    let mut size = Size {
        count: conditions.len(),
        bytes: conditions.iter().map(|compare| compare.key.len() + operand(compare)).sum(),
    };
    for part in branches.iter().map(|steps| steps.size()) {
        size.count += part.count;
        size.bytes += part.bytes;
    }
    let limits = &call.state.parts.config.limits;
    let (most, largest) = (limits.txn_ops, limits.txn_bytes.bytes());
    if size.count == 0 {
        return Err(Problem::new(Code::BadParameter, "a transaction has at least one step"));
    }
    if size.count > most {
        return Err(Problem::too_large("txn_ops", most as u64, size.count as u64));
    }
    if size.bytes as u64 > largest {
        return Err(Problem::too_large("txn_bytes", largest, size.bytes as u64));
    }
    Ok(())
}

fn operand(compare: &TxnCompare) -> usize {
    match &compare.condition {
        Condition::Value(_, value) => value.len(),
        Condition::Exists(_) | Condition::Int(..) | Condition::Version(..) => 0,
    }
}

fn step_of(call: &Call, step: StepIn) -> Result<(TxnOp, Asked), Problem> {
    let key_of = |key: BytesIn| rows::stored_key(call, Space::Txn, key);
    let ttl_of = |ttl: Option<String>| ttl.as_deref().map(rows::ttl_ms).transpose();
    let value_of = |value: BytesIn| rows::value(call, value);
    let op = match step {
        StepIn::Get(get) => TxnOp::Get { key: key_of(get.key)?, for_update: get.for_update },
        StepIn::Put(put) => TxnOp::Put {
            key: key_of(put.key)?,
            value: value_of(put.value)?,
            ttl_ms: ttl_of(put.ttl)?,
        },
        StepIn::Insert(put) => TxnOp::Insert {
            key: key_of(put.key)?,
            value: value_of(put.value)?,
            ttl_ms: ttl_of(put.ttl)?,
        },
        StepIn::Delete(delete) => TxnOp::Delete { key: key_of(delete.key)? },
        StepIn::Add(add) => TxnOp::Add { key: key_of(add.key)?, by: add.by.0 },
        StepIn::Scan(scan) => scan_of(call, scan)?,
        StepIn::Lock(lock) => {
            if lock.keys.is_empty() {
                return Err(Problem::bad_parameter("keys", "a lock has at least one key"));
            }
            let keys = lock.keys.into_iter().map(key_of).collect::<Result<_, _>>()?;
            let wait = lock.wait.as_deref().map(|text| wait_ms("wait", text)).transpose()?;
            TxnOp::Lock { keys, wait_ms: wait }
        }
    };
    let asked = asked_of(&op);
    Ok((op, asked))
}

fn asked_of(op: &TxnOp) -> Asked {
    match op {
        TxnOp::Get { key, .. }
        | TxnOp::Put { key, .. }
        | TxnOp::Insert { key, .. }
        | TxnOp::Delete { key }
        | TxnOp::Add { key, .. } => Asked { key: key.clone(), keys_only: false },
        TxnOp::Scan { keys_only, .. } => Asked { key: Key::new(), keys_only: *keys_only },
        TxnOp::Lock { .. } => Asked::default(),
    }
}

fn scan_of(call: &Call, scan: ScanStep) -> Result<TxnOp, Problem> {
    let limits = &call.state.parts.config.limits;
    let limit = match scan.limit {
        Some(limit) => in_range("limit", Some(limit), 1, limits.scan_rows_max as u64)?,
        None => limits.scan_rows_default as u64,
    };
    let bounds = BoundsIn { prefix: scan.prefix, start: scan.start, end: scan.end };
    Ok(TxnOp::Scan {
        range: Bounds::from_body(bounds)?.stored(call, Space::Txn)?,
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
        reverse: scan.reverse,
        keys_only: scan.keys_only,
    })
}

/// Reads conditions.
///
/// # Errors
/// `BAD_ENCODING`, `BAD_PARAMETER`, `TOO_LARGE`.
pub fn conditions(call: &Call, compares: Vec<CompareIn>) -> Result<Vec<TxnCompare>, Problem> {
    let mut all = Vec::with_capacity(compares.len());
    for compare in compares {
        let key = rows::stored_key(call, Space::Txn, compare.key)?;
        let before = all.len();
        let mut add = |condition| all.push(TxnCompare { key: key.clone(), condition });
        compare.exists.map(Condition::Exists).into_iter().for_each(&mut add);
        values(call, compare.value)?.into_iter().for_each(&mut add);
        versions(compare.version)?.into_iter().for_each(&mut add);
        if all.len() == before {
            let detail = "a condition has `exists`, `value` or `version`, with a comparison";
            return Err(Problem::bad_parameter("if", detail));
        }
    }
    Ok(all)
}

fn values(call: &Call, value: Option<BareOr<ValueIs>>) -> Result<Vec<Condition>, Problem> {
    let is = match value {
        None => return Ok(Vec::new()),
        Some(BareOr::Text(text)) => ValueIs { eq: Some(BytesIn::Text(text)), ..ValueIs::default() },
        Some(BareOr::Number(_)) => {
            let detail = "a value is compared with a string, or with a number by `eq_int`";
            return Err(Problem::bad_parameter("value", detail));
        }
        Some(BareOr::Compared(is)) => is,
    };
    let bytes = [
        (Comparison::Eq, is.eq),
        (Comparison::Ne, is.ne),
        (Comparison::Lt, is.lt),
        (Comparison::Le, is.le),
        (Comparison::Gt, is.gt),
        (Comparison::Ge, is.ge),
    ];
    let numbers = [
        (Comparison::Eq, is.eq_int),
        (Comparison::Ne, is.ne_int),
        (Comparison::Lt, is.lt_int),
        (Comparison::Le, is.le_int),
        (Comparison::Gt, is.gt_int),
        (Comparison::Ge, is.ge_int),
    ];
    let mut all = Vec::new();
    for (how, operand) in bytes {
        let operand = operand.map(|bytes| rows::value(call, bytes)).transpose()?;
        all.extend(operand.map(|bytes| Condition::Value(how, bytes)));
    }
    let number = |(how, n): (_, Option<IntegerIn>)| n.map(|n| Condition::Int(how, n.0));
    all.extend(numbers.into_iter().filter_map(number));
    Ok(all)
}

fn versions(version: Option<BareOr<VersionIs>>) -> Result<Vec<Condition>, Problem> {
    let equal = |ts| VersionIs { eq: Some(DecimalIn(ts)), ..VersionIs::default() };
    let is = match version {
        None => return Ok(Vec::new()),
        Some(BareOr::Number(ts)) => equal(ts),
        Some(BareOr::Text(text)) => {
            let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
            let ts = digits.then(|| text.parse().ok()).flatten();
            equal(ts.ok_or_else(|| {
                Problem::bad_parameter("version", "a version is a decimal number of 64 bits")
            })?)
        }
        Some(BareOr::Compared(is)) => is,
    };
    let all = [
        (Comparison::Eq, is.eq),
        (Comparison::Ne, is.ne),
        (Comparison::Lt, is.lt),
        (Comparison::Le, is.le),
        (Comparison::Gt, is.gt),
        (Comparison::Ge, is.ge),
    ];
    let condition =
        |(how, ts): (_, Option<DecimalIn>)| ts.map(|ts| Condition::Version(how, Timestamp(ts.0)));
    Ok(all.into_iter().filter_map(condition).collect())
}
