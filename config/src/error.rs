//! What can be wrong with a configuration.
use std::fmt;
use std::path::PathBuf;

/// What can be wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path}:{line}: {message}")]
    Syntax {
        /// Which file.
        path: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// Keys that do not exist: all that a layer has.
    #[error("{}", lines(.0))]
    UnknownKeys(Vec<UnknownKey>),
    /// A value of the wrong type, or not in its unit.
    #[error("{origin}: {key}: {message}")]
    BadValue {
        /// Where it stands: file and line, variable, or flag.
        origin: String,
        /// Which key.
        key: String,
        /// What is wrong.
        message: String,
    },
    /// Values that do not fit together: all of them.
    #[error("{}", lines(.0))]
    Invalid(Vec<Finding>),
}

/// A key that does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownKey {
    /// Where it stands: file and line, variable, or flag.
    pub origin: String,
    /// The key as it was written.
    pub key: String,
    /// The known key that looks most like it.
    pub suggestion: Option<String>,
}

impl fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: there is no key `{}`", self.origin, self.key)?;
        match &self.suggestion {
            Some(known) => write!(f, "; did you mean `{known}`?"),
            None => Ok(()),
        }
    }
}

/// A value that does not fit to others, or is out of range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which key to change.
    pub key: &'static str,
    /// What it must be, and why.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)
    }
}

fn lines<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join("\n")
}
