//! Exit codes of `troupe`, and the one place that says which outcome has which.
use std::process::ExitCode;
use troupe_types::Code;

/// How a command ended, as its exit code tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what it was told to do.
    Ok = 0,
    /// It failed, for a reason that has no code of its own.
    Failed = 1,
    /// The command line or the request is wrong.
    Usage = 2,
    /// There is no such key, Store, Region or other thing.
    NotFound = 3,
    /// The present state forbids it: a precondition, a comparison, a conflict.
    Conflict = 4,
    /// No server, a busy one, or too late; it had no effect and may be tried again.
    Unavailable = 5,
    /// Some of it was done and some not.
    Partial = 6,
    /// Whether a write took effect is not known.
    OutcomeUnknown = 7,
    /// Reading or writing a file failed, or stored data is damaged.
    InputOutput = 74,
    /// The configuration is wrong.
    Config = 78,
    /// Stopped by Ctrl-C.
    Interrupted = 130,
    /// Stopped by SIGTERM.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// For a problem that the server reported. `code` counts; the status only where a newer server
    /// has a code that this build does not know.
    #[must_use]
    pub fn of_problem(code: &str, status: u16) -> Self {
        match Code::ALL.into_iter().find(|known| known.as_str() == code) {
            Some(code) => Self::of_code(code),
            None => Self::of_status(status),
        }
    }

    fn of_code(code: Code) -> Self {
        match code {
            Code::BadJson
            | Code::UnknownField
            | Code::BadEncoding
            | Code::BadRange
            | Code::BadCursor
            | Code::BadConsistency
            | Code::BadParameter
            | Code::BadHost
            | Code::IdempotencyUnsupported
            | Code::ConfirmationNeeded
            | Code::MethodNotAllowed
            | Code::TooLarge
            | Code::NotAnInteger
            | Code::IdempotencyMismatch => Self::Usage,
            Code::KeyNotFound
            | Code::RegionNotFound
            | Code::StoreNotFound
            | Code::NotFound
            | Code::TxnNotFound => Self::NotFound,
            Code::OperatorConflict
            | Code::StoreNotEmpty
            | Code::CasMismatch
            | Code::SnapshotGone
            | Code::TxnExpired
            | Code::WriteConflict
            | Code::Deadlock
            | Code::LockWaitTimeout
            | Code::AlreadyExists
            | Code::AssertionFailed
            | Code::CommitTsExpired
            | Code::TxnRolledBack
            | Code::IdempotentInProgress => Self::Conflict,
            Code::ServerBusy
            | Code::RegionUnavailable
            | Code::NoQuorum
            | Code::DiskFull
            | Code::PdUnavailable
            | Code::NotReady
            | Code::RequestTimeout
            | Code::DataNotReady
            | Code::DeadlineExceeded => Self::Unavailable,
            Code::ActorCrashed | Code::OutcomeUnknown | Code::TxnOutcomeUnknown => {
                Self::OutcomeUnknown
            }
            Code::Corruption => Self::InputOutput,
            Code::Internal | Code::NotSupported | Code::NotUtf8 => Self::Failed,
        }
    }

    fn of_status(status: u16) -> Self {
        match status {
            404 | 410 => Self::NotFound,
            409 | 412 => Self::Conflict,
            408 | 429 | 503 => Self::Unavailable,
            504 => Self::OutcomeUnknown,
            400..=499 => Self::Usage,
            _ => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests;
