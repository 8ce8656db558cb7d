//! How a raw value is stored: API V2 of TiKV.
//!
//! ```text
//! user value | expiry (u64 big endian, Unix ms; only with flag 1) | flags (1 byte: 1 = has expiry)
//! ```
//! The flags stand at the end so that the value is a prefix of what is stored, and a read without
//! expiry is one slice.
use crate::ids::UnixMillis;
use bytes::{BufMut, Bytes, BytesMut};

const HAS_EXPIRY: u8 = 1;
const EXPIRY_LEN: usize = 8;

/// A decoded raw value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawValue {
    /// What the user stored.
    pub value: Bytes,
    /// When it ends, if ever.
    pub expires_at: Option<UnixMillis>,
}

/// A stored raw value that this build cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored raw value has no readable trailer")]
pub struct BadRawValue;

impl RawValue {
    /// Bytes to store.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.value.len() + EXPIRY_LEN + 1);
        out.put_slice(&self.value);
        match self.expires_at {
            Some(at) => {
                out.put_u64(at.get());
                out.put_u8(HAS_EXPIRY);
            }
            None => out.put_u8(0),
        }
        out.freeze()
    }

    /// Reads stored bytes without copying the value.
    ///
    /// # Errors
    /// [`BadRawValue`] if the trailer is missing or has unknown flags.
    pub fn decode(stored: &Bytes) -> Result<Self, BadRawValue> {
        let (&flags, body) = stored.split_last().ok_or(BadRawValue)?;
        match flags {
            0 => Ok(Self { value: stored.slice(..body.len()), expires_at: None }),
            HAS_EXPIRY => {
                let at = body.len().checked_sub(EXPIRY_LEN).ok_or(BadRawValue)?;
                let expiry: [u8; EXPIRY_LEN] = body[at..].try_into().map_err(|_| BadRawValue)?;
                Ok(Self {
                    value: stored.slice(..at),
                    expires_at: Some(UnixMillis(u64::from_be_bytes(expiry))),
                })
            }
            _ => Err(BadRawValue),
        }
    }

    /// Has it ended at `now`?
    #[must_use]
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// Hash of a user value (XXH3, 64 bits), shown as ETag in the raw space.
#[must_use]
pub fn value_hash(value: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(value)
}

#[cfg(test)]
mod tests;
