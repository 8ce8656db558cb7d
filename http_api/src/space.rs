//! The two spaces of rows: raw, and transactional (`/v1/kv`).
use troupe_types::key::{raw_key, raw_range, txn_key, txn_range};
use troupe_types::{Key, KeyRange};

/// A space of rows. Keys of one never meet those of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Single rows without versions.
    Raw,
    /// Rows with versions, changed by transactions.
    Txn,
}

impl Space {
    /// The stored key of a user key.
    #[must_use]
    pub fn key(self, user_key: &[u8]) -> Key {
        match self {
            Self::Raw => raw_key(0, user_key),
            Self::Txn => txn_key(0, user_key),
        }
    }

    /// The stored keys of user keys `[start, end)`; an empty `end` is unbounded.
    #[must_use]
    pub fn range(self, start: &[u8], end: &[u8]) -> KeyRange {
        match self {
            Self::Raw => raw_range(0, start, end),
            Self::Txn => txn_range(0, start, end),
        }
    }

    /// Names in parameters.
    pub const NAMES: &[&str] = &["raw", "kv"];

    /// The space that a parameter names.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "raw" => Some(Self::Raw),
            "kv" => Some(Self::Txn),
            _ => None,
        }
    }

    /// As people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "the raw space",
            Self::Txn => "the transactional space",
        }
    }
}
