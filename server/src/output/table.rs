//! JSON as tables for people.
use comfy_table::{Table, presets};
use serde_json::Value;
use troupe_config::ByteSize;

/// How a cell is made from a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// As it is.
    Plain,
    /// A number of bytes.
    Bytes,
    /// Replicas of a Region: `peer@store`, learners with `?`.
    Peers,
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    title: &'static str,
    pointer: &'static str,
    cell: Cell,
}

/// A column with the value at a JSON pointer of each item.
#[must_use]
pub const fn column(title: &'static str, pointer: &'static str, cell: Cell) -> Column {
    Column { title, pointer, cell }
}

/// A table of `items`, one a row.
#[must_use]
pub fn table(columns: &[Column], items: &[Value]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(columns.iter().map(|column| column.title));
    for item in items {
        table.add_row(columns.iter().map(|column| {
            item.pointer(column.pointer).map_or("-".to_owned(), |value| text(value, column.cell))
        }));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt() + "\n"
}

/// `name: value` lines of an object; lists and objects inside are indented below their name.
pub(super) fn fields(answer: &Value) -> String {
    let mut lines = String::new();
    push_fields(&mut lines, answer, 0);
    lines
}

fn push_fields(lines: &mut String, value: &Value, depth: usize) {
    let Value::Object(object) = value else {
        lines.push_str(&format!("{}\n", text(value, Cell::Plain)));
        return;
    };
    let indent = "  ".repeat(depth);
    for (name, value) in object {
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                lines.push_str(&format!("{indent}{name}:\n"));
                push_fields(lines, value, depth + 1);
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                lines.push_str(&format!("{indent}{name}:\n"));
                for item in items {
                    lines.push_str(&format!("{indent}  - {}\n", one_line(item)));
                }
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => {
                lines.push_str(&format!("{indent}{name}: {}\n", text(value, Cell::Plain)));
            }
        }
    }
}

/// A value as a cell of a table shows it.
pub(crate) fn cell(value: &Value) -> String {
    text(value, Cell::Plain)
}

fn one_line(value: &Value) -> String {
    let Value::Object(object) = value else { return text(value, Cell::Plain) };
    let parts = object.iter().map(|(name, value)| format!("{name}={}", text(value, Cell::Plain)));
    parts.collect::<Vec<_>>().join("  ")
}

fn text(value: &Value, cell: Cell) -> String {
    match (cell, value) {
        (Cell::Bytes, Value::Number(number)) => match number.as_u64() {
            Some(bytes) => size(bytes),
            None => number.to_string(),
        },
        (Cell::Peers, Value::Array(peers)) => peers.iter().map(peer).collect::<Vec<_>>().join(" "),
        (Cell::Peers, Value::Object(_)) => peer(value),
        (_, Value::Null) => "-".to_owned(),
        (_, Value::String(text)) => visible(text),
        (_, Value::Array(items)) if items.is_empty() => "-".to_owned(),
        (_, Value::Array(items)) => items.iter().map(text_of_part).collect::<Vec<_>>().join(" "),
        (_, Value::Object(object)) if object.is_empty() => "-".to_owned(),
        (_, Value::Object(_)) => text_of_part(value),
        (_, Value::Bool(_) | Value::Number(_)) => value.to_string(),
    }
}

/// Bytes that are not text stand as `hex:…` or `b64:…`; other objects as JSON.
fn text_of_part(value: &Value) -> String {
    let single = value.as_object().filter(|object| object.len() == 1);
    match (single.and_then(|object| object.iter().next()), value) {
        (Some((tag, Value::String(text))), _) if ["hex", "b64"].contains(&tag.as_str()) => {
            format!("{tag}:{text}")
        }
        (_, Value::String(text)) => visible(text),
        _ => value.to_string(),
    }
}

/// A stored value must not move the cursor or ring the bell.
fn visible(text: &str) -> String {
    let plain = text.chars().all(|c| !c.is_control());
    if plain { text.to_owned() } else { text.escape_debug().to_string() }
}

fn peer(peer: &Value) -> String {
    let number = |name| peer.get(name).and_then(Value::as_u64).unwrap_or_default();
    let learner = peer.get("role").and_then(Value::as_str).is_some_and(|role| role == "learner");
    format!("{}@{}{}", number("id"), number("store"), if learner { "?" } else { "" })
}

/// A size with at most one digit behind the point: people compare, they do not add up.
fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1024 => return ByteSize(bytes).to_string(),
        1024..0x10_0000 => (1_u64 << 10, "KiB"),
        0x10_0000..0x4000_0000 => (1 << 20, "MiB"),
        0x4000_0000.. => (1 << 30, "GiB"),
    };
    format!("{}.{}{name}", bytes / unit, bytes % unit * 10 / unit)
}
