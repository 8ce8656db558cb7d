//! The real clock, for commands that people wait for. Nodes take theirs from their environment.
use std::time::{Instant, SystemTime, UNIX_EPOCH};

#[expect(clippy::disallowed_methods, reason = "people measure by the real clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970, by the clock that may be set; negative before that.
#[expect(clippy::disallowed_methods, reason = "the doctor looks at the machine's own clock")]
pub(crate) fn unix_seconds() -> f64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(error) => -error.duration().as_secs_f64(),
    }
}
