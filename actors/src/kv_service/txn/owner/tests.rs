//! What a client hears when the answer to a request of its interactive transaction was lost.
use super::*;
use crate::transport::TransportError;
use troupe_types::RegionError;

/// Found by the simulator (seeds 22, 35 and 42): a commit whose answer was lost was reported as
/// `NO_QUORUM` or `PD_UNAVAILABLE`, which promise that nothing was done, and it had committed.
#[test]
fn only_what_is_certain_is_said_of_a_commit_whose_answer_was_lost() {
    let heard = |code| perhaps_committed(Inner::error(code, "the last that was heard")).code;
    for code in [Code::NoQuorum, Code::PdUnavailable, Code::DeadlineExceeded, Code::ServerBusy] {
        assert_eq!(heard(code), Code::TxnOutcomeUnknown, "{code:?}");
    }
    for code in [Code::TxnExpired, Code::WriteConflict, Code::TxnOutcomeUnknown] {
        assert_eq!(heard(code), code);
    }
}

/// A busy owner would have lost its transactions to whoever asked for them.
#[test]
fn only_an_owner_that_says_nothing_is_taken_for_gone() {
    let busy = Failure::Region(RegionError::ServerIsBusy {
        what: troupe_types::error::BusyReason::Mailbox,
        backoff_ms: 10,
    });
    let silent = Failure::Transport(TransportError::UnknownAddress);
    let at = |ms: u64| Moment(0).after(Duration::from_millis(ms));
    let mut silence = Silence::default();
    for ms in [0, 1_900, 2_100, 60_000] {
        assert!(!silence.is_too_long(&busy, at(ms)), "busy after {ms} ms");
    }
    assert!(!silence.is_too_long(&silent, at(60_100)), "only just");
    assert!(!silence.is_too_long(&silent, at(62_000)));
    assert!(silence.is_too_long(&silent, at(62_100)));
    assert!(!silence.is_too_long(&busy, at(62_200)), "it is back");
    assert!(!silence.is_too_long(&silent, at(64_000)));
}
