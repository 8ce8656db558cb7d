//! 64-bit numbers in requests, as numbers or as decimal digits in a string, and what stands either
//! bare or in an object of comparisons.
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;

/// A number from 0 to 2^64 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecimalIn(pub u64);

/// A number from -2^63 to 2^63 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntegerIn(pub i64);

/// The number of decimal digits and nothing else.
#[must_use]
pub fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn signed_digits(text: &str) -> Option<i64> {
    let bare = text.strip_prefix('-').unwrap_or(text);
    let plain = !bare.is_empty() && bare.bytes().all(|c| c.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

impl<'de> Deserialize<'de> for DecimalIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl Visitor<'_> for Digits {
            type Value = DecimalIn;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number from 0 to 2^64 - 1, or its digits as a string")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<DecimalIn, E> {
                Ok(DecimalIn(number))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<DecimalIn, E> {
                let wrong = || E::invalid_value(serde::de::Unexpected::Str(text), &self);
                digits(text).map(DecimalIn).ok_or_else(wrong)
            }
        }
        deserializer.deserialize_any(Digits)
    }
}

impl<'de> Deserialize<'de> for IntegerIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl Visitor<'_> for Digits {
            type Value = IntegerIn;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number from -2^63 to 2^63 - 1, or its digits as a string")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<IntegerIn, E> {
                Ok(IntegerIn(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<IntegerIn, E> {
                let wrong = |_| E::invalid_value(serde::de::Unexpected::Unsigned(number), &self);
                i64::try_from(number).map(IntegerIn).map_err(wrong)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<IntegerIn, E> {
                let wrong = || E::invalid_value(serde::de::Unexpected::Str(text), &self);
                signed_digits(text).map(IntegerIn).ok_or_else(wrong)
            }
        }
        deserializer.deserialize_any(Digits)
    }
}

/// Something bare, which means "equal to it", or an object of comparisons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BareOr<T> {
    /// A string.
    Text(String),
    /// A number.
    Number(u64),
    /// An object.
    Compared(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for BareOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = BareOr<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("what it must equal, or an object of comparisons such as {\"ge\":…}")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<BareOr<T>, E> {
                Ok(BareOr::Text(text.to_owned()))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<BareOr<T>, E> {
                Ok(BareOr::Number(number))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BareOr<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(BareOr::Compared)
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}

#[cfg(test)]
mod tests;
