//! Why a command did not do what it was told to do.
use crate::api::Problem;
use crate::exit::Exit;
use troupe_config::ConfigError;

/// Why a command did not do what it was told to do. [`CliError::exit`] gives its exit code.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The words of the command line make no sense together.
    #[error("{0}")]
    Usage(String),
    /// The server answered with a problem.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// No connection, or none that lasted.
    #[error("{what}: {reason}")]
    Transport {
        /// What was tried.
        what: String,
        /// Why it failed, with all causes.
        reason: String,
        /// May the request have had an effect?
        outcome_unknown: bool,
    },
    /// The server's answer is not what its API promises.
    #[error("the server's answer is not understood: {0}")]
    BadAnswer(String),
    /// A comparison that the user asked for does not hold; nothing was written.
    #[error("{0}")]
    Compared(String),
    /// Some of it was done and some not.
    #[error("{0}")]
    Partial(String),
    /// It is still going on, or was too slow.
    #[error("{0}")]
    TooSlow(String),
    /// Whether it took effect is still open.
    #[error("{0}")]
    Undecided(String),
    /// Something that was asked for does not exist.
    #[error("{0}")]
    NotFound(String),
    /// A file, a pipe or a process.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The configuration.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// Anything else that went wrong, and was already told on stderr or is told now.
    #[error("{0}")]
    Failed(String),
    /// A signal ended it.
    #[error("stopped by a signal")]
    Signal(Exit),
    /// Whoever read stdout went away, as `head` does.
    #[error("nobody reads the output")]
    NoReader,
}

impl CliError {
    /// A failed file operation.
    pub fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }

    /// The exit code for this.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Problem(problem) => Exit::of_problem(&problem.code, problem.status),
            Self::Transport { outcome_unknown: true, .. } => Exit::OutcomeUnknown,
            Self::Transport { outcome_unknown: false, .. } | Self::TooSlow(_) => Exit::Unavailable,
            Self::Undecided(_) => Exit::OutcomeUnknown,
            Self::Compared(_) => Exit::Conflict,
            Self::Partial(_) => Exit::Partial,
            Self::NotFound(_) => Exit::NotFound,
            Self::Io { .. } => Exit::InputOutput,
            Self::Config(_) => Exit::Config,
            Self::BadAnswer(_) | Self::Failed(_) => Exit::Failed,
            Self::Signal(exit) => *exit,
            Self::NoReader => Exit::Ok,
        }
    }

    /// Is there nothing to tell?
    #[must_use]
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::NoReader)
    }
}
