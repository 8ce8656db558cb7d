//! Layers of a configuration: default < profile < file < environment < flag. The later one counts,
//! key by key, and it stays known which one that was.
use crate::error::ConfigError;
use crate::file::{self, is_known, unknown_key, value_at};
use crate::sections::Config;
use crate::table::{KeyInfo, Kind};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use toml::{Table, Value};

/// How variables of the environment begin: `TROUPE__SECTION__KEY`.
pub const PREFIX: &str = "TROUPE__";

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A set of defaults for a purpose, and how it was asked for.
    Profile(String),
    /// A line of a file.
    File {
        /// Which file.
        path: String,
        /// Line, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// A configuration and where each value that was set came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values in effect.
    pub config: Config,
    origins: BTreeMap<String, Origin>,
}

/// The value of one key and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// `section.key`.
    pub key: String,
    /// As it would stand in a file.
    pub value: String,
    /// Which layer set it.
    pub origin: Origin,
}

impl Loaded {
    /// Where the value of `section.key` came from.
    #[must_use]
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// Every key with its value and origin, in the order of the sample file.
    #[must_use]
    pub fn explain(&self) -> Vec<Explained> {
        let values = as_table(&self.config);
        let keys = Config::SECTIONS.into_iter().flat_map(|section| {
            section.keys.iter().map(move |key| format!("{}.{}", section.name, key.name()))
        });
        keys.map(|key| Explained {
            value: value_at(&values, &key).map(Value::to_string).unwrap_or_default(),
            origin: self.origin(&key),
            key,
        })
        .collect()
    }
}

/// Gathers layers. Call in the order of their weight: file, environment, flags.
#[derive(Debug, Default)]
pub struct Layers {
    values: Table,
    origins: BTreeMap<String, Origin>,
}

impl Layers {
    /// Defaults alone.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lays what `profile` has other than the defaults on top; call it first. `name` is how it
    /// was asked for.
    pub fn profile(&mut self, name: &str, profile: &Config) {
        let defaults = as_table(&Config::default());
        for (section, values) in as_table(profile) {
            for (key, value) in values.as_table().into_iter().flatten() {
                let full = format!("{section}.{key}");
                if value_at(&defaults, &full) != Some(value) {
                    self.set(&full, value.clone(), Origin::Profile(name.to_owned()));
                }
            }
        }
    }

    /// Lays the text of a file on top; `path` is how it is named in messages.
    ///
    /// # Errors
    /// Not TOML, keys that do not exist, values of the wrong type.
    pub fn file(&mut self, path: &str, text: &str) -> Result<(), ConfigError> {
        let parsed = file::parse(path, text)?;
        for (key, line) in parsed.lines {
            if let Some(value) = value_at(&parsed.values, &key) {
                let origin = Origin::File { path: path.to_owned(), line };
                self.set(&key, value.clone(), origin);
            }
        }
        Ok(())
    }

    /// Reads a file and lays it on top.
    ///
    /// # Errors
    /// It cannot be read, or as for [`Layers::file`].
    pub fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        self.file(&path.display().to_string(), &text)
    }

    /// Lays the variables that begin with [`PREFIX`] on top; others are passed over.
    ///
    /// # Errors
    /// Names of keys that do not exist (all of them), or a value that is not what its key takes.
    pub fn environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        let mut unknown = Vec::new();
        for (name, text) in variables {
            let Some(path) = name.strip_prefix(PREFIX) else { continue };
            let key = path.to_lowercase().replacen("__", ".", 1).replace('_', "-");
            if is_known(&key) {
                self.set_text(&key, &text, Origin::Environment(name))?;
            } else {
                unknown.push(unknown_key(format!("environment {name}"), &key));
            }
        }
        if unknown.is_empty() { Ok(()) } else { Err(ConfigError::UnknownKeys(unknown)) }
    }

    /// Lays one flag on top: `flag` is its name in messages, `key` what it sets.
    ///
    /// # Errors
    /// There is no such key, or it does not take this value.
    pub fn flag(&mut self, flag: &str, key: &str, text: &str) -> Result<(), ConfigError> {
        if !is_known(key) {
            return Err(ConfigError::UnknownKeys(vec![unknown_key(format!("flag {flag}"), key)]));
        }
        self.set_text(key, text, Origin::Flag(flag.to_owned()))
    }

    /// The configuration in effect, not yet [validated](Config::validate).
    ///
    /// # Errors
    /// None in practice: every value was checked when its layer was added.
    pub fn load(self) -> Result<Loaded, ConfigError> {
        let config = Config::deserialize(Value::Table(self.values)).map_err(|error| {
            ConfigError::BadValue {
                origin: "all layers".to_owned(),
                key: String::new(),
                message: error.message().to_owned(),
            }
        })?;
        Ok(Loaded { config, origins: self.origins })
    }

    fn set_text(&mut self, key: &str, text: &str, origin: Origin) -> Result<(), ConfigError> {
        let bad = |message: String| ConfigError::BadValue {
            origin: origin.to_string(),
            key: key.to_owned(),
            message,
        };
        let info = info_of(key).expect("invariant: callers know the key");
        let value = parse_text(info.kind, text).map_err(bad)?;
        let mut alone = Table::new();
        insert(&mut alone, key, value.clone());
        Config::deserialize(Value::Table(alone))
            .map_err(|error| bad(error.message().to_owned()))?;
        self.set(key, value, origin);
        Ok(())
    }

    fn set(&mut self, key: &str, value: Value, origin: Origin) {
        insert(&mut self.values, key, value);
        self.origins.insert(key.to_owned(), origin);
    }
}

fn info_of(key: &str) -> Option<&'static KeyInfo> {
    let (section, name) = key.split_once('.')?;
    Config::section(section)?.key(name)
}

fn insert(table: &mut Table, key: &str, value: Value) {
    let (section, name) = key.split_once('.').expect("invariant: a known key has a section");
    let keys = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    keys.as_table_mut().expect("invariant: sections are tables").insert(name.to_owned(), value);
}

/// A value as flags and variables give it.
fn parse_text(kind: Kind, text: &str) -> Result<Value, String> {
    match kind {
        Kind::Text | Kind::Duration | Kind::Size => Ok(Value::String(text.to_owned())),
        Kind::Integer => {
            text.parse().map(Value::Integer).map_err(|_| format!("`{text}` is not a whole number"))
        }
        Kind::Boolean => text
            .parse()
            .map(Value::Boolean)
            .map_err(|_| format!("`{text}` is neither true nor false")),
        Kind::List => Ok(Value::Array(parts(text).map(Value::from).collect())),
        Kind::Map => parts(text)
            .map(|part| match part.split_once('=') {
                Some((name, value)) => Ok((name.trim().to_owned(), Value::from(value.trim()))),
                None => Err(format!("`{part}` is not name=value")),
            })
            .collect::<Result<Table, String>>()
            .map(Value::Table),
    }
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// The configuration as TOML, every key present.
pub(crate) fn as_table(config: &Config) -> Table {
    Table::try_from(config).expect("invariant: a configuration is TOML")
}
