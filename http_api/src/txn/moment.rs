//! The timestamp of a moment.
use crate::error::Problem;
use crate::gate::call::Call;
use crate::json::txn::when::When;
use troupe_actors::kv_service::CallOptions;
use troupe_types::{Timestamp, UnixMillis};

/// First timestamp of a millisecond; none beyond what timestamps can hold.
fn first_of(UnixMillis(ms): UnixMillis) -> Option<Timestamp> {
    const BITS: u32 = 46;
    (ms < 1 << (BITS - 1)).then(|| Timestamp::compose(ms, 0))
}

/// The timestamp of a moment that does not depend on the present.
#[must_use]
pub fn fixed(when: When) -> Option<Timestamp> {
    match when {
        When::At(ts) => Some(ts),
        When::Wall(at) => first_of(at),
        When::Ago(_) => None,
    }
}

/// The timestamp of a moment. So long ago is counted by the oracle's clock: this node's may go ahead of
/// it, and then a recent moment would lie in the future.
///
/// # Errors
/// `BAD_PARAMETER` if there is none; those of the oracle.
pub async fn resolve(
    call: &Call,
    name: &'static str,
    when: When,
    options: &CallOptions,
) -> Result<Timestamp, Problem> {
    let when = match when {
        When::Ago(ago) => {
            let now = call.service().timestamp(options).await?.physical_ms();
            let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
            When::Wall(UnixMillis(now.saturating_sub(ago)))
        }
        When::At(_) | When::Wall(_) => when,
    };
    let ts = fixed(when).filter(|ts| *ts != Timestamp::ZERO);
    ts.ok_or_else(|| Problem::bad_parameter(name, "there is no timestamp of that moment"))
}

/// The timestamp that `text` names, if it was given.
///
/// # Errors
/// As [`When::parse`] and [`resolve`].
pub async fn optional(
    call: &Call,
    name: &'static str,
    text: Option<&str>,
    options: &CallOptions,
) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = text else { return Ok(None) };
    resolve(call, name, When::parse(name, text)?, options).await.map(Some)
}
