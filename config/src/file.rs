//! Reads a configuration file: its values, the line of each, and keys that do not exist.
use crate::error::{ConfigError, UnknownKey};
use crate::sections::Config;
use std::collections::BTreeMap;
use toml::de::DeTable;
use toml::{Table, Value};

/// Names less like each other than this (0 to 1) are no suggestion.
const ALIKE: f64 = 0.75;

/// A file whose keys all exist and whose values have the right types.
#[derive(Debug)]
pub(crate) struct ParsedFile {
    pub(crate) values: Table,
    /// Line of each `section.key`, from 1.
    pub(crate) lines: BTreeMap<String, usize>,
}

pub(crate) fn parse(path: &str, text: &str) -> Result<ParsedFile, ConfigError> {
    let syntax = |error: toml::de::Error| ConfigError::Syntax {
        path: path.to_owned(),
        line: error.span().map_or(1, |span| line_of(text, span.start)),
        message: error.message().to_owned(),
    };
    let document = DeTable::parse(text).map_err(syntax)?;
    let lines = known_keys(path, text, document.get_ref())?;
    toml::from_str::<Config>(text).map_err(|error| wrong_value(path, text, &lines, &error))?;
    let values = toml::from_str(text).map_err(syntax)?;
    Ok(ParsedFile { values, lines })
}

/// The line of each key, or all keys that do not exist.
fn known_keys(
    path: &str,
    text: &str,
    document: &DeTable<'_>,
) -> Result<BTreeMap<String, usize>, ConfigError> {
    let mut lines = BTreeMap::new();
    let mut unknown = Vec::new();
    for (section, value) in document {
        let name: &str = section.get_ref();
        if Config::section(name).is_none() {
            let at = line_of(text, section.span().start);
            unknown.push(unknown_key(format!("{path}:{at}"), name));
            continue;
        }
        for (key, _) in value.get_ref().as_table().into_iter().flatten() {
            let full = format!("{name}.{}", key.get_ref());
            let at = line_of(text, key.span().start);
            if is_known(&full) {
                lines.insert(full, at);
            } else {
                unknown.push(unknown_key(format!("{path}:{at}"), &full));
            }
        }
    }
    if unknown.is_empty() { Ok(lines) } else { Err(ConfigError::UnknownKeys(unknown)) }
}

/// Names the key that stands on the line of the error, as far as it can be told.
fn wrong_value(
    path: &str,
    text: &str,
    lines: &BTreeMap<String, usize>,
    error: &toml::de::Error,
) -> ConfigError {
    let at = error.span().map_or(1, |span| line_of(text, span.start));
    let before = lines.iter().filter(|(_, line)| **line <= at);
    let key = before.max_by_key(|(_, line)| **line).map(|(key, _)| key.clone());
    ConfigError::BadValue {
        origin: format!("{path}:{at}"),
        key: key.unwrap_or_default(),
        message: error.message().to_owned(),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

/// Is `section.key` declared?
pub(crate) fn is_known(full: &str) -> bool {
    let Some((section, key)) = full.split_once('.') else { return false };
    Config::section(section).is_some_and(|section| section.key(key).is_some())
}

/// A report with the key that looks most like it. For `section.key` that is a key of any section,
/// its own section first; for a bare word it may also be a section.
pub(crate) fn unknown_key(origin: String, key: &str) -> UnknownKey {
    let name = key.rsplit('.').next().unwrap_or(key);
    let mut best = (ALIKE, None);
    let mut consider = |known: String, bare: &str| {
        let alike = strsim::jaro_winkler(name, bare) + strsim::jaro_winkler(key, &known) / 100.0;
        if alike > best.0 {
            best = (alike, Some(known));
        }
    };
    for section in Config::SECTIONS {
        if name == key {
            consider(section.name.to_owned(), section.name);
        }
        for known in section.keys {
            consider(format!("{}.{}", section.name, known.name()), &known.name());
        }
    }
    UnknownKey { origin, key: key.to_owned(), suggestion: best.1 }
}

/// The value at `section.key`.
pub(crate) fn value_at<'a>(table: &'a Table, full: &str) -> Option<&'a Value> {
    let (section, key) = full.split_once('.')?;
    table.get(section)?.as_table()?.get(key)
}
