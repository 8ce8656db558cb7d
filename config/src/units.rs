//! Sizes and durations as people write them.
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Units of a size, largest first; the first that divides a size is how it is printed.
const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A number of bytes, written as `64MiB` or as a whole number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// So many times 1024 bytes.
    #[must_use]
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    /// So many times 1024 KiB.
    #[must_use]
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes as a length in memory; the largest one if it is larger than that.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Why a text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// No digits in front.
    #[error("`{0}` is not a size: write a whole number and a unit, such as 64MiB")]
    NoNumber(String),
    /// A unit that is none of ours.
    #[error("`{0}` is not a unit of size: use B, KiB, MiB, GiB or TiB")]
    Unit(String),
    /// More bytes than a 64-bit number holds.
    #[error("`{0}` is too large")]
    TooLarge(String),
}

impl FromStr for ByteSize {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
        let (digits, unit) = (text[..end].replace('_', ""), text[end..].trim());
        if digits.is_empty() {
            return Err(SizeError::NoNumber(text.to_owned()));
        }
        let factor = if unit.is_empty() {
            1
        } else {
            let known = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
            known.ok_or_else(|| SizeError::Unit(unit.to_owned()))?.1
        };
        let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        number.map(Self).ok_or_else(|| SizeError::TooLarge(text.to_owned()))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor));
        let (name, factor) = unit.unwrap_or(&("B", 1));
        write!(f, "{}{name}", self.0 / factor)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as \"64MiB\", or a number of bytes")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ByteSize, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
        Ok(ByteSize(bytes))
    }

    fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
        u64::try_from(bytes).map(ByteSize).map_err(|_| E::custom("a size is not negative"))
    }
}

/// Durations as text, for `#[serde(with = …)]`.
pub mod duration {
    use super::{Deserialize, Deserializer, Serializer};
    use serde::de::Error as _;
    use std::time::Duration;

    /// Writes `1m 30s` as `1m30s`.
    #[must_use]
    pub fn to_text(duration: Duration) -> String {
        humantime::format_duration(duration).to_string().replace(' ', "")
    }

    /// Reads `250ms`, `1m30s` and the like.
    ///
    /// # Errors
    /// A sentence for people, if it is not a duration.
    pub fn from_text(text: &str) -> Result<Duration, String> {
        humantime::parse_duration(text).map_err(|error| {
            format!("`{text}` is not a duration: {error}; write it like 250ms, 10s or 5m")
        })
    }

    /// For serde.
    ///
    /// # Errors
    /// Those of the format.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&to_text(*duration))
    }

    /// For serde.
    ///
    /// # Errors
    /// The value is not a string, or not a duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        from_text(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// An optional text that files write as an empty one, for `#[serde(with = …)]`: TOML has no null.
pub(crate) mod empty_is_none {
    use super::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        text: &Option<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text.as_deref().unwrap_or_default())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<String>, D::Error> {
        Ok(Some(String::deserialize(deserializer)?).filter(|text| !text.is_empty()))
    }
}

#[cfg(test)]
mod tests;
