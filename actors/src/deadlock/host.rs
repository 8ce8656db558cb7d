//! The graph of waits on a Store that leads the system Region.
use super::core::{Detector, DetectorOptions};
use std::sync::{Mutex, PoisonError};
use troupe_types::txn::deadlock::{DetectReply, DetectRequest};
use troupe_types::{Moment, Term, UnixMillis};

/// See the module. Waits noted in an earlier term are forgotten: this Store may have missed their ends.
#[derive(Debug, Default)]
pub struct DetectorHost(Mutex<(Term, Detector)>);

impl DetectorHost {
    /// Answers `request` as leader of the system Region in `term`.
    pub fn answer(
        &self,
        term: Term,
        (now, at): (Moment, UnixMillis),
        request: DetectRequest,
    ) -> DetectReply {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.0 != term {
            *held = (term, Detector::new(DetectorOptions::default()));
        }
        held.1.step(now, at, request)
    }
}
