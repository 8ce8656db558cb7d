//! How a section is declared, and what is known about each of its keys.
use crate::sections::LogFormat;
use crate::units::ByteSize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How the value of a key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A string such as `"250ms"`.
    Duration,
    /// A string such as `"64MiB"`, or a whole number of bytes.
    Size,
    /// A list of strings; in the environment and in flags: separated by commas.
    List,
    /// A table of strings; in the environment and in flags: `name=value` separated by commas.
    Map,
}

/// One key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct KeyInfo {
    /// Name of the Rust field; in files `_` is `-`.
    pub field: &'static str,
    /// Meaning, unit and range, line by line.
    pub doc: &'static [&'static str],
    /// How the value is written.
    pub kind: Kind,
}

impl KeyInfo {
    /// The key as it stands in a file, such as `election-ticks`.
    #[must_use]
    pub fn name(&self) -> String {
        self.field.replace('_', "-")
    }
}

/// One section of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct SectionInfo {
    /// Name in a file, such as `raft`.
    pub name: &'static str,
    /// What the section is about, line by line.
    pub doc: &'static [&'static str],
    /// Its keys, in the order of the sample file.
    pub keys: &'static [KeyInfo],
}

impl SectionInfo {
    /// The key with this name in a file.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static KeyInfo> {
        self.keys.iter().find(|key| key.name() == name)
    }
}

/// A type that a key may have.
pub(crate) trait Keyed {
    /// How its values are written.
    const KIND: Kind;
}

macro_rules! kinds {
    ($($type:ty => $kind:ident),+ $(,)?) => {
        $(impl Keyed for $type { const KIND: Kind = Kind::$kind; })+
    };
}

kinds! {
    String => Text,
    Option<String> => Text,
    LogFormat => Text,
    u32 => Integer,
    u64 => Integer,
    usize => Integer,
    bool => Boolean,
    Duration => Duration,
    ByteSize => Size,
    Vec<String> => List,
    Vec<PathBuf> => List,
    BTreeMap<String, String> => Map,
}

/// Declares a section: the struct with its documentation, its defaults, and its [`SectionInfo`].
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $name:ident as $section:literal {
            $(
                $(#[doc = $doc:literal])+
                $(#[serde($($serde:tt)*)])?
                $field:ident: $type:ty = $default:expr,
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
        pub struct $name {
            $(
                $(#[doc = $doc])+
                $(#[serde($($serde)*)])?
                pub $field: $type,
            )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl $name {
            /// Name, description and keys.
            pub const INFO: $crate::table::SectionInfo = $crate::table::SectionInfo {
                name: $section,
                doc: &[$($about),+],
                keys: &[$(
                    $crate::table::KeyInfo {
                        field: stringify!($field),
                        doc: &[$($doc),+],
                        kind: <$type as $crate::table::Keyed>::KIND,
                    },
                )+],
            };
        }
    };
}
pub(crate) use section;
