//! What goes to stdout (data) and to stderr (talk).
mod progress;
mod table;

pub use progress::Progress;
pub(crate) use table::cell;
pub use table::{Cell, Column, column, table};

use crate::cli::OutputFormat;
use crate::error::CliError;
use serde_json::Value;
use std::io::{IsTerminal, Write};

/// Writes bytes to stdout.
///
/// # Errors
/// Nobody reads it any more, or the disk is full.
pub fn write_stdout(bytes: &[u8]) -> Result<(), CliError> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(output_error)
}

/// Why stdout or a file in its place could not be written.
pub(crate) fn output_error(source: std::io::Error) -> CliError {
    match source.kind() {
        std::io::ErrorKind::BrokenPipe => CliError::NoReader,
        _ => CliError::io("cannot write the output", source),
    }
}

/// Writes a line to stdout.
///
/// # Errors
/// As for [`write_stdout`].
pub fn write_line(line: &str) -> Result<(), CliError> {
    write_stdout(format!("{line}\n").as_bytes())
}

/// Prints a list: a table, or the whole answer, or an item a line.
///
/// # Errors
/// As for [`write_stdout`].
pub fn print_list(
    format: OutputFormat,
    answer: &Value,
    columns: &[Column],
) -> Result<(), CliError> {
    let items = answer.get("items").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    match format {
        OutputFormat::Table => write_stdout(table(columns, items).as_bytes()),
        OutputFormat::Json => write_line(&pretty(answer)),
        OutputFormat::Ndjson => {
            let lines: String = items.iter().map(|item| format!("{item}\n")).collect();
            write_stdout(lines.as_bytes())
        }
    }
}

/// Prints one thing: `name: value` lines, or JSON.
///
/// # Errors
/// As for [`write_stdout`].
pub fn print_object(format: OutputFormat, answer: &Value) -> Result<(), CliError> {
    match format {
        OutputFormat::Table => write_stdout(table::fields(answer).as_bytes()),
        OutputFormat::Json => write_line(&pretty(answer)),
        OutputFormat::Ndjson => write_line(&answer.to_string()),
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

/// May stderr be coloured?
#[must_use]
pub fn stderr_in_colour() -> bool {
    in_colour(std::io::stderr().is_terminal())
}

/// May stdout be coloured?
#[must_use]
pub fn stdout_in_colour() -> bool {
    in_colour(std::io::stdout().is_terminal())
}

fn in_colour(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests;
