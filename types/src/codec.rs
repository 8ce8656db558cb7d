//! Bytes of everything that is stored or sent: one format byte, then postcard.
//!
//! Compatibility: enum variants are only ever appended; a struct never changes its fields. What
//! must change gets a new variant, or a new format byte that [`decode`] tells apart.
use serde::{Serialize, de::DeserializeOwned};

/// The only format so far.
const FORMAT: u8 = 1;

/// Bytes that are not what they should be: damaged, or written by a newer build.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The first byte names a format that this build does not know.
    #[error("unknown format {found} (this build reads {FORMAT}); was it written by a newer build?")]
    UnknownFormat {
        /// The first byte.
        found: u8,
    },
    /// No bytes at all.
    #[error("empty input")]
    Empty,
    /// The rest does not decode.
    #[error("cannot decode {what}")]
    Malformed {
        /// Type that was expected.
        what: &'static str,
        /// What postcard says.
        #[source]
        source: postcard::Error,
    },
}

/// Encodes `value`.
#[must_use]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![FORMAT]).expect("invariant: a Vec takes any plain value")
}

/// Decodes what [`encode`] wrote.
///
/// # Errors
/// [`CodecError`]; never panics, whatever the input.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    match bytes.split_first() {
        None => Err(CodecError::Empty),
        Some((&FORMAT, body)) => postcard::from_bytes(body)
            .map_err(|source| CodecError::Malformed { what: std::any::type_name::<T>(), source }),
        Some((&found, _)) => Err(CodecError::UnknownFormat { found }),
    }
}

#[cfg(test)]
mod tests;
