//! What a client hears when the answer to a request of its interactive transaction was lost.
use super::*;

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
