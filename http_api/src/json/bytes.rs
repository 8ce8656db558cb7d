//! Keys and values in JSON and in URLs.
//!
//! In: a JSON string is its UTF-8 bytes; other bytes are `{"b64":"…"}` or `{"hex":"…"}`; values
//! also `{"json":…}`, stored exactly as written. Out: as the request's `enc` says.
use crate::error::Problem;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::{Error as _, SerializeMap};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use troupe_types::Code;
use utoipa::openapi::schema::{
    AdditionalProperties, ObjectBuilder, OneOfBuilder, SchemaType, Type,
};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Tags of bytes in JSON.
const TAGS: &[&str] = &["b64", "hex", "json"];

/// Bytes as they stand in a request. Encodings are checked by [`BytesIn::key`] and
/// [`BytesIn::value`], so that a wrong one is told from wrong JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BytesIn {
    /// A JSON string.
    Text(String),
    /// `{"b64":"…"}`
    Base64(String),
    /// `{"hex":"…"}`
    Hex(String),
    /// `{"json":…}`, exactly as written.
    Json(String),
}

impl BytesIn {
    /// The bytes of a value.
    ///
    /// # Errors
    /// `BAD_ENCODING`.
    pub fn value(self) -> Result<Bytes, Problem> {
        match self {
            Self::Text(text) | Self::Json(text) => Ok(text.into()),
            Self::Base64(text) => decode_base64(&text),
            Self::Hex(text) => decode_hex(&text),
        }
    }

    /// The bytes of a key.
    ///
    /// # Errors
    /// `BAD_ENCODING`, also for `{"json":…}`: a key has no JSON form.
    pub fn key(self) -> Result<Bytes, Problem> {
        match self {
            Self::Json(_) => Err(Problem::new(
                Code::BadEncoding,
                "a key is a string, {\"b64\":…} or {\"hex\":…}; {\"json\":…} is for values",
            )),
            Self::Text(_) | Self::Base64(_) | Self::Hex(_) => self.value(),
        }
    }
}

fn decode_base64(text: &str) -> Result<Bytes, Problem> {
    let decoded = STANDARD.decode(text);
    decoded.map(Bytes::from).map_err(|error| bad_encoding("base64", &error))
}

fn decode_hex(text: &str) -> Result<Bytes, Problem> {
    hex::decode(text).map(Bytes::from).map_err(|error| bad_encoding("hex", &error))
}

fn bad_encoding(encoding: &'static str, error: &dyn fmt::Display) -> Problem {
    Problem::new(Code::BadEncoding, format!("not {encoding}: {error}")).with("encoding", encoding)
}

impl<'de> Deserialize<'de> for BytesIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BytesVisitor)
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = BytesIn;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, {\"b64\":…}, {\"hex\":…}, or for a value {\"json\":…}")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<BytesIn, E> {
        Ok(BytesIn::Text(text.to_owned()))
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<BytesIn, E> {
        Ok(BytesIn::Text(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BytesIn, A::Error> {
        let Some(tag) = map.next_key::<Cow<'_, str>>()? else {
            return Err(A::Error::custom("an empty object is no bytes: use b64, hex or json"));
        };
        let bytes = match tag.as_ref() {
            "b64" => BytesIn::Base64(map.next_value()?),
            "hex" => BytesIn::Hex(map.next_value()?),
            "json" => BytesIn::Json(Box::<str>::from(map.next_value::<Box<RawValue>>()?).into()),
            other => return Err(A::Error::unknown_field(other, TAGS)),
        };
        match map.next_key::<Cow<'_, str>>()? {
            None => Ok(bytes),
            Some(_) => Err(A::Error::custom("bytes have one form: b64, hex or json")),
        }
    }
}

impl PartialSchema for BytesIn {
    fn schema() -> RefOr<Schema> {
        bytes_schema()
    }
}

impl ToSchema for BytesIn {
    fn name() -> Cow<'static, str> {
        "Bytes".into()
    }
}

fn bytes_schema() -> RefOr<Schema> {
    let tagged = |tag: &str, schema: Schema| {
        ObjectBuilder::new()
            .property(tag, schema)
            .required(tag)
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
    };
    let string = |about: &str| {
        let text = ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
        Schema::from(text.description(Some(about)).build())
    };
    let any = ObjectBuilder::new().schema_type(SchemaType::AnyValue).build().into();
    OneOfBuilder::new()
        .description(Some("Bytes: a string is its UTF-8 bytes; other bytes are tagged."))
        .item(string("The UTF-8 bytes of this text."))
        .item(tagged("b64", string("Base64 with padding.")))
        .item(tagged("hex", string("Two hexadecimal digits a byte.")))
        .item(tagged("json", any))
        .into()
}

/// How a reply shows bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enc {
    /// Printable UTF-8 as a string, other bytes as `{"b64":…}`.
    #[default]
    Auto,
    /// A string; other bytes are refused.
    Utf8,
    /// Always `{"b64":…}`.
    Base64,
    /// Always `{"hex":…}`.
    Hex,
    /// Values as `{"json":…}`; other bytes are refused. Keys as with `auto`.
    Json,
}

/// Names of [`Enc`].
pub const ENCODINGS: &[&str] = &["auto", "utf8", "b64", "hex", "json"];

impl Enc {
    /// The encoding of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "utf8" => Some(Self::Utf8),
            "b64" => Some(Self::Base64),
            "hex" => Some(Self::Hex),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// How keys are shown.
    #[must_use]
    pub fn for_keys(self) -> Self {
        match self {
            Self::Json => Self::Auto,
            Self::Auto | Self::Utf8 | Self::Base64 | Self::Hex => self,
        }
    }
}

/// Bytes in a reply. Serializing fails (only) if they do not fit the encoding that was asked for.
#[derive(Clone, Debug)]
pub struct BytesOut {
    /// The bytes.
    pub bytes: Bytes,
    /// How they are shown.
    pub enc: Enc,
}

impl BytesOut {
    /// A key.
    #[must_use]
    pub fn key(bytes: Bytes, enc: Enc) -> Self {
        Self { bytes, enc: enc.for_keys() }
    }

    /// A value.
    #[must_use]
    pub fn value(bytes: Bytes, enc: Enc) -> Self {
        Self { bytes, enc }
    }
}

impl Serialize for BytesOut {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.enc {
            Enc::Auto => match std::str::from_utf8(&self.bytes) {
                Ok(text) if is_printable(text) => serializer.serialize_str(text),
                Ok(_) | Err(_) => tagged(serializer, "b64", &STANDARD.encode(&self.bytes)),
            },
            Enc::Utf8 => {
                let text = std::str::from_utf8(&self.bytes);
                serializer.serialize_str(text.map_err(S::Error::custom)?)
            }
            Enc::Base64 => tagged(serializer, "b64", &STANDARD.encode(&self.bytes)),
            Enc::Hex => tagged(serializer, "hex", &hex::encode(&self.bytes)),
            Enc::Json => {
                let raw = serde_json::from_slice::<&RawValue>(&self.bytes);
                let fail = |error| S::Error::custom(format_args!("not JSON: {error}"));
                tagged(serializer, "json", raw.map_err(fail)?)
            }
        }
    }
}

fn tagged<S: Serializer, T: Serialize + ?Sized>(
    serializer: S,
    tag: &str,
    content: &T,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(tag, content)?;
    map.end()
}

/// Is it text that a terminal shows as it is?
fn is_printable(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
}

impl PartialSchema for BytesOut {
    fn schema() -> RefOr<Schema> {
        bytes_schema()
    }
}

impl ToSchema for BytesOut {
    fn name() -> Cow<'static, str> {
        "Bytes".into()
    }
}

/// How a key stands in a URL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyEnc {
    /// Percent-encoded UTF-8.
    #[default]
    Text,
    /// Two hexadecimal digits a byte.
    Hex,
    /// Base64 with the alphabet of URLs, padding optional.
    Base64Url,
}

/// Names of [`KeyEnc`].
pub const KEY_ENCODINGS: &[&str] = &["hex", "b64url"];

impl KeyEnc {
    /// The encoding of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "hex" => Some(Self::Hex),
            "b64url" => Some(Self::Base64Url),
            _ => None,
        }
    }

    /// The bytes of `text`, from which percent-encoding was already removed.
    ///
    /// # Errors
    /// `BAD_ENCODING`.
    pub fn decode(self, text: Cow<'_, str>) -> Result<Bytes, Problem> {
        match self {
            Self::Text => Ok(text.into_owned().into()),
            Self::Hex => decode_hex(&text),
            Self::Base64Url => {
                let engine = if text.ends_with('=') { URL_SAFE } else { URL_SAFE_NO_PAD };
                let decoded = engine.decode(text.as_bytes());
                decoded.map(Bytes::from).map_err(|error| bad_encoding("b64url", &error))
            }
        }
    }
}

/// Removes percent-encoding. Unlike browsers it refuses a `%` that no two hexadecimal digits follow.
///
/// # Errors
/// `BAD_ENCODING`: such a `%`, or bytes that are not UTF-8.
pub fn percent_decode(text: &[u8]) -> Result<Cow<'_, str>, Problem> {
    let mut escapes = text.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    let broken = escapes.find(|(at, _)| {
        let digits = text.get(at + 1..at + 3);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    if broken.is_some() {
        let detail = "a % in a URL is followed by two hexadecimal digits; % itself is %25";
        return Err(Problem::new(Code::BadEncoding, detail));
    }
    let decoded: Cow<'_, [u8]> = percent_encoding::percent_decode(text).into();
    let text = match decoded {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).ok(),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).ok(),
    };
    text.ok_or_else(|| {
        let detail = "a text in the URL is not UTF-8; give other bytes as hex or b64url with kenc=";
        Problem::new(Code::BadEncoding, detail)
    })
}

#[cfg(test)]
mod tests;
